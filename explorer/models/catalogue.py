"""Models known by name, ours and a user's, and whether they are on this machine. Loads neither torch nor transformers.

A user's own are named by ``$VLE_CATALOGUE`` (the flag ``--catalogue`` sets it): TOML files in the form of
``explorer/catalogue.toml``, and folders whose subfolders are checkpoints.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explorer.models.hub import TRANSFORMERS_FILES, FileChoice, brief, cached_folder
from explorer.records import SettingsError

CATALOGUE = Path(__file__).resolve().parents[1] / "catalogue.toml"
MINI = Path(__file__).resolve().parents[2] / "assets" / "models" / "mini"
MINI_KNOWS = "Mini was trained on generated scenes alone: of photographs it sees colours and edges, not things."
OWN = "VLE_CATALOGUE"
CHECKPOINTS = Path("checkpoints")  # found by itself in the folder that the program is started in
OPEN_CLIP = "open_clip:"
OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
KINDS = ("encoders", "checkpoints")


@dataclass(frozen=True)
class Entry:
    """One model of a catalogue; the fields are explained at the top of ``catalogue.toml``."""

    id: str
    title: str = ""
    reads: str = ""
    layers: tuple[int, ...] = ()
    blocks: int = 0
    encoder: str = ""
    repository: str = ""
    revision: str = "main"
    size_mb: float | None = None
    parameters_m: float | None = None
    licence: str = "not stated"
    source: str = "a catalogue of this machine's owner"
    knows: str = ""

    @property
    def size_bytes(self) -> int | None:
        """What a download brings, None where that is unknown."""
        return None if self.size_mb is None else round(self.size_mb * 1e6)

    @property
    def memory_bytes(self) -> int | None:
        """What the weights take in 16-bit numbers, None where their number is unknown."""
        return None if self.parameters_m is None else round(self.parameters_m * 2e6)


def open_clip_files(names: tuple[str, ...] = OPEN_CLIP_WEIGHTS) -> FileChoice:
    """Which file of a hub repository open_clip reads: the first of ``names`` that is there."""
    return FileChoice(weights=tuple(name.replace(".", r"\.") for name in names), extras=(), probe=names)


def use_catalogues(paths: list[str] | None) -> None:
    """Read these catalogues beside ours from now on, in this process and those it starts.

    Raises:
        SettingsError: one is no catalogue and no folder.
    """
    for path in paths or ():
        if not Path(path).expanduser().is_dir():
            read_entries(Path(path).expanduser())
    if paths:
        os.environ[OWN] = os.pathsep.join(str(Path(path).expanduser().resolve()) for path in paths)


def own_catalogues() -> list[Path]:
    """The files and folders a user named."""
    return [Path(part).expanduser() for part in os.environ.get(OWN, "").split(os.pathsep) if part]


def checkpoint_folders() -> list[Path]:
    """Folders whose subfolders may be checkpoints: those a user named, and ``checkpoints`` here."""
    return [path for path in (*own_catalogues(), CHECKPOINTS) if path.is_dir()]


def entries(kind: str) -> list[Entry]:
    """All entries of a kind ("encoders", "checkpoints"): ours first, a user's in place of ours where the id is the same.

    Raises:
        SettingsError: a user's file is no catalogue.
    """
    found: dict[str, Entry] = {}
    for path in (CATALOGUE, *(path for path in own_catalogues() if not path.is_dir())):
        found |= {entry.id: entry for entry in read_entries(path)[kind]}
    return list(found.values())


def read_entries(path: Path) -> dict[str, list[Entry]]:
    """What a catalogue says, by kind.

    Raises:
        SettingsError: it cannot be read, or says something that is not understood.
    """
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise SettingsError(f"The catalogue {path} cannot be read ({brief(problem)}).") from None
    if strange := set(said) - set(KINDS):
        raise SettingsError(
            f"The catalogue {path} has a part {sorted(strange)[0]!r}: write [[encoders]] or [[checkpoints]]."
        )
    return {kind: [_entry(path, given) for given in _tables(path, kind, said.get(kind, []))] for kind in KINDS}


def _tables(path: Path, kind: str, given: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise SettingsError(f"The catalogue {path}: write [[{kind}]] with two brackets, once for each.")
    yield from given


def _entry(path: Path, given: dict[str, Any]) -> Entry:
    kinds: dict[str, Any] = {"layers": list, "blocks": int, "size_mb": (int, float), "parameters_m": (int, float)}
    known = Entry.__dataclass_fields__
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"The catalogue {path} has an unknown word {name!r}: known are {', '.join(known)}.")
        if not isinstance(value, kinds.get(name, str)) or isinstance(value, bool):
            raise SettingsError(f"The catalogue {path} gives {name} as {value!r}, which is of the wrong kind.")
    if not given.get("id"):
        raise SettingsError(f"The catalogue {path} has an entry without an id.")
    layers = given.get("layers", [])
    if not all(isinstance(layer, int) and 0 <= layer <= given.get("blocks", 0) for layer in layers):
        raise SettingsError(
            f"The catalogue {path} says that {given['id']} reads layers {layers}: write numbers from 0 to its `blocks`."
        )
    title = given.get("title") or given["id"]
    return Entry(**{**given, "layers": tuple(layers), "title": title})


def list_encoders() -> list[dict[str, Any]]:
    """The catalogue's encoders, the built-in one first.

    Returns:
        For each: ``id``, ``title``, ``reads``, ``size_bytes`` of the download and ``memory_bytes`` of its weights in
        16-bit numbers (None if unknown), ``licence``, ``source``, ``revision`` and ``on_this_machine``. Nothing is asked
        from the network.
    """
    return [_row(entry) for entry in entries("encoders")]


def find_entry(kind: str, id: str) -> Entry | None:
    """The entry of an id, None if it is in no catalogue."""
    return next((entry for entry in entries(kind) if entry.id == id), None)


def repository_of(kind: str, id: str) -> tuple[str, str]:
    """Where an id's files lie on the hub, and which revision of them: as its entry says, or the id itself and "main"."""
    entry = find_entry(kind, id)
    return (entry.repository or id, entry.revision) if entry else (id, "main")


def title_of(id: str) -> str | None:
    """The catalogue's title of an encoder, None if it is not in the catalogue."""
    entry = find_entry("encoders", id)
    return entry.title if entry else None


def is_here(entry: Entry) -> bool:
    """Whether a model's weights are on this machine: its id is a folder, or its repository is in the cache."""
    if Path(entry.id).expanduser().is_dir():
        return True
    choice = open_clip_files() if entry.id.startswith(OPEN_CLIP) else TRANSFORMERS_FILES
    repository = entry.repository or entry.id
    return repository.count("/") == 1 and cached_folder(repository, choice, entry.revision) is not None


def _row(entry: Entry) -> dict[str, Any]:
    size, memory = entry.size_bytes, entry.memory_bytes
    if entry.id == "mini":
        files = [file for file in MINI.iterdir() if file.is_file()] if MINI.is_dir() else []
        size = sum(file.stat().st_size for file in files) if files else None
        memory = sum(file.stat().st_size for file in files if file.suffix == ".safetensors") or None
        here = MINI.is_dir() and TRANSFORMERS_FILES.is_complete(MINI)
    else:
        here = is_here(entry)
    kept = asdict(entry)
    row = {name: kept[name] for name in ("id", "title", "reads")}
    row |= {"size_bytes": size, "memory_bytes": memory}
    return row | {name: kept[name] for name in ("licence", "source", "revision")} | {"on_this_machine": here}
