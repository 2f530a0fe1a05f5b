"""Model files: in the Hugging Face cache on this machine, or downloaded into it. Loads neither torch nor models."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

from explorer.records import EncoderError

CONNECT_SECONDS = 8.0
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class FileChoice:
    """Which files of a repository are wanted; code is never among them.

    Attributes:
        weights: regular expressions of weight files, the preferred first; pickled formats last.
        extras: endings of small files that are taken along.
        probe: files of which at least one is in every such repository.
        companions: of these small files at least one belongs to a complete copy; () if none is needed.
    """

    weights: tuple[str, ...]
    extras: tuple[str, ...]
    probe: tuple[str, ...]
    companions: tuple[str, ...] = ()

    def weight_files(self, names: Iterable[str]) -> list[str]:
        """The weight files to read, [] where there is no complete set of one format."""
        names = list(names)
        for pattern in self.weights:
            found = sorted(name for name in names if re.fullmatch(pattern, name))
            shards = [name for name in found if "-of-" in name]
            if len(shards) < len(found):
                return [next(name for name in found if name not in shards)]
            if shards and len(shards) == int(shards[0].rpartition("-of-")[2].partition(".")[0]):
                return shards
        return []

    def files(self, names: Iterable[str]) -> list[str]:
        """All files to download, [] where the weights are not complete; never one in a subfolder."""
        names = [name for name in names if "/" not in name]
        weights = self.weight_files(names)
        return weights and weights + [name for name in names if name.endswith(self.extras)]

    def is_complete(self, folder: Path) -> bool:
        """Whether the folder holds the weights and what belongs to them."""
        names = {path.name for path in folder.iterdir()}
        return bool(self.weight_files(names)) and (not self.companions or not names.isdisjoint(self.companions))


TRANSFORMERS_FILES = FileChoice(
    weights=(r"model(-\d+-of-\d+)?\.safetensors", r"pytorch_model(-\d+-of-\d+)?\.bin"),
    extras=(".json", ".jinja", ".txt", ".model"),
    probe=("config.json",),
    companions=("preprocessor_config.json", "processor_config.json"),
)


def cached_folder(repo_id: str, choice: FileChoice, revision: str = "main") -> Path | None:
    """The folder in this machine's cache that holds all weights of a repository, or None. Never asks the network."""
    from huggingface_hub import errors, try_to_load_from_cache

    for name in choice.probe:
        try:
            found = try_to_load_from_cache(repo_id, name, revision=revision)
        except errors.HFValidationError:  # no id at all
            return None
        if isinstance(found, str) and choice.weight_files(path.name for path in Path(found).parent.iterdir()):
            return Path(found).parent
    return None


def fetch(
    repo_id: str,
    choice: FileChoice,
    report: Progress,
    revision: str = "main",
    check: Callable[[int], None] = lambda weight_bytes: None,
) -> Path:
    """A folder with the wanted files of a hub repository: from the cache, else downloaded into it.

    A repository that is in the cache is never asked for again, so it works offline and does not change. A download that
    was stopped goes on where it was.

    Args:
        repo_id: "owner/name".
        choice: which files.
        report: called with the fraction of bytes present, 0…1, and a sentence; from several threads. What it raises stops
            the download and comes out here.
        revision: branch, tag or commit.
        check: told how many bytes the weights are before they are downloaded; what it raises comes out here.

    Raises:
        EncoderError: there is no such repository, no network, or no weights of a kind that is read here.
    """
    cached = cached_folder(repo_id, choice, revision)
    if cached and choice.is_complete(cached):
        return cached
    try:
        return _download(repo_id, choice, report, revision, check)
    except EncoderError:
        if cached is None:
            raise
        return cached  # all weights are here: only small files could not be completed


def fetch_config(repo_id: str, revision: str = "main") -> Path:
    """A folder with the config.json of a hub repository, and the rules for pictures where it has some: no weights.

    Raises:
        EncoderError: there is no such repository, or no network.
    """
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache

    names = ["config.json", *TRANSFORMERS_FILES.companions]
    try:
        cached = try_to_load_from_cache(repo_id, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent
        HfApi().model_info(repo_id, revision=revision, timeout=CONNECT_SECONDS)  # fails at once, without retries
        return Path(
            snapshot_download(
                repo_id, revision=revision, allow_patterns=names, etag_timeout=CONNECT_SECONDS, tqdm_class=_silent()
            )
        )
    except Exception as problem:  # as in _download
        raise EncoderError(_why_not_fetched(repo_id, problem)) from problem


def _download(repo_id: str, choice: FileChoice, report: Progress, revision: str, check: Callable[[int], None]) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    from explorer.models.hub_files import fetch_files

    told = Told(report)
    try:
        told(0.0, f"Looking for {repo_id} on the Hugging Face hub")
        found = HfApi().model_info(repo_id, revision=revision, timeout=CONNECT_SECONDS, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in found.siblings or []}
        names = choice.files(sizes)
        if names:
            weights = {name: sizes[name] for name in choice.weight_files(names)}
            check(sum(weights.values()))
            fetch_files(repo_id, found.sha or revision, weights, told)
            told(1.0, f"Completing {repo_id}")
            return Path(
                snapshot_download(
                    repo_id, revision=revision, allow_patterns=names, etag_timeout=CONNECT_SECONDS, tqdm_class=_silent()
                )
            )
    except EncoderError:
        raise
    except Exception as problem:  # the hub client and its HTTP library raise too many kinds to name
        if problem is told.raised:
            raise
        raise EncoderError(_why_not_fetched(repo_id, problem)) from problem
    raise EncoderError(
        f"{repo_id} holds no weights that are read here (safetensors, or PyTorch's .bin): choose another id."
    )


class Told:
    """Passes progress on, and remembers what its receiver raised to stop the work."""

    def __init__(self, report: Progress) -> None:
        """Pass on to ``report``."""
        self._report = report
        self.raised: BaseException | None = None

    def __call__(self, part: float, said: str) -> None:
        """Tell, and remember what that raises."""
        try:
            self._report(part, said)
        except BaseException as stop:
            self.raised = stop
            raise


def _why_not_fetched(repo_id: str, problem: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(problem, errors.HFValidationError):
        return f"{repo_id!r} is neither a folder on this machine nor a Hugging Face id: write owner/name."
    if isinstance(problem, errors.GatedRepoError):
        return f"{repo_id} is gated: accept its terms on its page, log in with `hf auth login`, and try again."
    if isinstance(problem, errors.RevisionNotFoundError):
        return f"{repo_id} has no such revision on the Hugging Face hub: check the catalogue."
    if isinstance(problem, errors.RepositoryNotFoundError):
        return f"There is no model {repo_id} on the Hugging Face hub, or it is private: check the spelling, or log in."
    if isinstance(problem, errors.OfflineModeIsEnabled):
        return f"{repo_id} is not on this machine and HF_HUB_OFFLINE is set: unset it, or give a folder."
    return (
        f"{repo_id} is not on this machine and could not be downloaded ({type(problem).__name__}): "
        "check the network and try again, or give a folder that holds it."
    )


def _silent() -> type:
    """A progress bar class that shows nothing; the hub client wants a class."""
    from tqdm.std import tqdm

    class Silent(tqdm):
        # With a lock of its own: tqdm's is shared with forked processes, and one that ends while it holds the lock would stop
        # all downloads for ever.
        monitor_interval = 0
        _instances = WeakSet()

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            shown = {key: value for key, value in kwargs.items() if key not in ("name", "disable", "file")}
            super().__init__(*args, file=io.StringIO(), **shown)

        def display(self, *args: Any, **kwargs: Any) -> bool:
            return True

    Silent.set_lock(threading.RLock())
    return Silent


def check_safetensors(path: Path) -> None:
    """Read the header of a safetensors file.

    Raises:
        EncoderError: the file is damaged or was only partly downloaded.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as problem:
        raise EncoderError(
            f"{path} is damaged or incomplete ({brief(problem)}): delete it and fetch it again."
        ) from problem


def brief(problem: BaseException) -> str:
    """An error's own text in one line, short enough to stand inside a sentence."""
    line = " ".join(str(problem).split()).rstrip(".: ") or type(problem).__name__
    return line if len(line) <= 160 else line[:159] + "…"
