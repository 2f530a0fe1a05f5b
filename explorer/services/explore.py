"""Look at pictures through the encoder in use: one forward serves every view, and is kept for the next question."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.layers import PAPER_BLOCKS, PAPER_GROUPS
from explorer.records import (
    EncoderError,
    EncoderInfo,
    Exploration,
    ExplorerError,
    Fit,
    Groups,
    InputError,
    Picture,
    Similarity,
)
from explorer.services.cache import OnceCache

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.encoders import Features, VisionEncoder

KINDS = ("token", "pooled", "cls", "cka")
CACHE_BYTES = 1 << 30
WAIT_SECONDS = 300.0
BATCH = 4  # pictures in one forward of similarity_over


@dataclass(frozen=True)
class EncoderStatus:
    """What the encoder that was asked for last is doing.

    Attributes:
        id: the encoder asked for last, "" before the first.
        phase: "idle" (none was asked for), "loading", "ready" or "failed".
        fraction: 0…1, how much of the loading is done.
        message: one sentence for people; the reason where it failed.
        in_use: id of the encoder that answers now, which a failure leaves in place; "" if none.
    """

    id: str = ""
    phase: str = "idle"
    fraction: float = 0.0
    message: str = "No encoder was chosen yet."
    in_use: str = ""


class _SupersededError(Exception):
    """Another encoder was asked for while this one was loading."""


class Explorer:
    """The encoder in use and what it saw; every method may be called from any thread.

    The encoder is loaded by a thread of its own, so that nothing heavy is imported before the page is up. Calls that
    need an encoder wait for the first one; while another is loading, the current one answers.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        dtype: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        wait_seconds: float = WAIT_SECONDS,
        opener: Callable[..., VisionEncoder] | None = None,
    ) -> None:
        """Start without an encoder.

        Args:
            device: such as "cpu" or "cuda"; None lets ``open_encoder`` choose.
            dtype: such as "float32" or "bfloat16"; None lets it choose.
            cache_bytes: how much of features and results is kept, least recently used first to go.
            wait_seconds: how long a call waits for an encoder that is loading.
            opener: used in place of ``explorer.models.encoders.open_encoder``.
        """
        self._device, self._dtype, self._wait_seconds, self._opener = device, dtype, wait_seconds, opener
        self._changed = threading.Condition()  # guards the four below
        self._status = EncoderStatus()
        self._encoder: VisionEncoder | None = None
        self._asked = 0  # counts use(): only the newest may take its place
        self._generation = 0  # counts encoders that came into use, part of every cache key
        self._loading = threading.Lock()
        self._cache = OnceCache(cache_bytes)

    def use(self, encoder_id: str) -> None:
        """Start loading an encoder; returns at once. Nothing happens if it is loading already.

        The one in use needs no loading: to ask for it while another is loading ends that.
        """
        with self._changed:
            if self._status.id == encoder_id and self._status.phase in ("loading", "ready"):
                return
            self._asked += 1
            if self._encoder and encoder_id == self._status.in_use:
                title = self._encoder.info.title
                return self._say(id=encoder_id, phase="ready", fraction=1.0, message=f"{title} is ready.")
            self._say(id=encoder_id, phase="loading", fraction=0.0, message=f"Loading {encoder_id} …")
            asked = self._asked
        threading.Thread(target=self._load, args=(asked, encoder_id), name="load encoder", daemon=True).start()

    def status(self) -> EncoderStatus:
        """What the encoder asked for last is doing."""
        with self._changed:
            return self._status

    def wait(self, timeout_seconds: float | None = None) -> EncoderStatus:
        """Wait until no encoder is loading, or the time is up; returns the status then."""
        with self._changed:
            self._changed.wait_for(lambda: self._status.phase != "loading", timeout_seconds)
            return self._status

    @property
    def encoder(self) -> EncoderInfo | None:
        """The encoder that answers now."""
        with self._changed:
            return self._encoder.info if self._encoder else None

    def model(self) -> VisionEncoder:
        """The encoder that answers now, for what looks with it elsewhere; waits for the first as every call does.

        Raises:
            EncoderError: none is ready.
        """
        return self._ready()[1]

    def explore(self, picture: Picture, fit: Fit = Fit.ENCODER) -> Exploration:
        """All that the Layers view shows of a picture.

        Raises:
            EncoderError: no encoder is ready, or it cannot look at this picture.
        """
        generation, encoder = self._ready()

        def compute() -> tuple[Exploration, int]:
            features = self._features(generation, encoder, picture, fit)
            with as_encoder_error(encoder):
                found, _ = explore_features(picture, features, device=encoder.info.device)
            return found, found.change.nbytes + found.norm.nbytes + 2 * found.pca_each.nbytes + found.view.pixels.nbytes

        found = self._cache.get((generation, "exploration", fit, picture.key), compute)
        return dataclasses.replace(found, picture_name=picture.name, notes=picture.notes)

    def patch_similarity(self, picture: Picture, fit: Fit, patch: int) -> np.ndarray:
        """Cosine of one patch with all patches of the picture, at every layer: float32 [L, P], -1…1.

        Raises:
            InputError: the picture has no such patch.
            EncoderError: as for ``explore``.
        """
        features = self.features(picture, fit)
        count = len(features.layout.patches)
        if not 0 <= patch < count:
            raise InputError(f"Patch {patch} does not exist: this encoder sees patches 0 to {count - 1}.")
        from explorer.analysis.similarity import patch_similarity

        return patch_similarity(features.patches[:, 0], patch).cpu().numpy()

    def text_match(self, picture: Picture, fit: Fit, text: str) -> np.ndarray:
        """Cosine of each patch with a text, through the encoder's own final norm and projection: float32 [L, P].

        Raises:
            InputError: the text is empty.
            EncoderError: the encoder reads no text, or as for ``explore``.
        """
        return self._ask(
            picture, fit, ("text", text.strip()), lambda encoder, features: encoder.text_match(features, text)
        )

    def cls_attention(self, picture: Picture, fit: Fit) -> np.ndarray:
        """Attention of the CLS token to each patch: float32 [blocks, H, P], 0…1.

        Raises:
            EncoderError: the encoder has no CLS token, or as for ``explore``.
        """
        return self._ask(picture, fit, ("attention",), lambda encoder, features: encoder.cls_attention(features))

    def features(self, picture: Picture, fit: Fit) -> Features:
        """What the encoder makes of a picture, states [L, 1, T, D] on the CPU; kept. Raises as ``explore`` does."""
        return self._features(*self._ready(), picture, fit)

    def similarity_over(
        self,
        pictures: Iterable[Picture],
        fit: Fit = Fit.ENCODER,
        kinds: Collection[str] = KINDS,
        on_progress: Callable[[int], None] | None = None,
        on_matrices: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> dict[str, Similarity]:
        """LRS over many pictures, taken one batch at a time: memory does not grow with their number.

        Args:
            pictures: read as they are needed, so a generator may open the files.
            fit: how each is laid on the input.
            kinds: some of ``KINDS``.
            on_progress: told how many pictures are done.
            on_matrices: given each batch's matrices [N, L, L] by kind, for what compares single pictures.

        Raises:
            InputError: there is no picture.
            EncoderError: as for ``explore``.
        """
        _, encoder = self._ready()
        from explorer.analysis.similarity import SimilarityStream

        stream, done, batch = SimilarityStream(), 0, []

        def take_in() -> None:
            with as_encoder_error(encoder):
                features = encoder.forward([encoder.view(picture, fit) for picture in batch])
                stream.add(matrices := compare_layers(features, kinds))
            if on_matrices:
                on_matrices(matrices)

        for picture in pictures:
            batch.append(picture)
            if len(batch) == BATCH:
                take_in()
                done, batch = done + len(batch), []
                if on_progress:
                    on_progress(done)
        if batch:
            take_in()
            done += len(batch)
            if on_progress:
                on_progress(done)
        if not done:
            raise InputError("No picture was given: give at least one.")
        return stream.result()

    def _ask(
        self, picture: Picture, fit: Fit, what: tuple, answer: Callable[[VisionEncoder, Features], Tensor]
    ) -> np.ndarray:
        """Answer about one picture from its features, float32 [a, 1, ..., P] -> [a, ..., P], and keep the answer."""
        generation, encoder = self._ready()

        def compute() -> tuple[np.ndarray, int]:
            features = self._features(generation, encoder, picture, fit)
            with as_encoder_error(encoder):
                found = answer(encoder, features)[:, 0].float().cpu().numpy()
            return found, found.nbytes

        return self._cache.get((generation, *what, fit, picture.key), compute)

    def _features(self, generation: int, encoder: VisionEncoder, picture: Picture, fit: Fit) -> Features:
        """Features of one picture with its states on the CPU, in the forward's dtype."""

        def compute() -> tuple[Features, int]:
            with as_encoder_error(encoder):
                features = encoder.forward([encoder.view(picture, fit)])
                features = dataclasses.replace(features, states=features.states.cpu())
            return features, features.states.nbytes

        return self._cache.get((generation, "features", fit, picture.key), compute)

    def _ready(self) -> tuple[int, VisionEncoder]:
        with self._changed:
            self._changed.wait_for(
                lambda: self._encoder is not None or self._status.phase != "loading", self._wait_seconds
            )
            if self._encoder is None:
                late = f" It was not ready after {self._wait_seconds:.0f} s." if self._status.phase == "loading" else ""
                raise EncoderError(self._status.message + late)
            return self._generation, self._encoder

    def _load(self, asked: int, encoder_id: str) -> None:
        def progress(fraction: float, message: str) -> None:
            with self._changed:
                if asked != self._asked:
                    raise _SupersededError
                self._say(fraction=fraction, message=message)

        with self._loading:
            try:
                progress(0.0, f"Loading {encoder_id} …")
                opener = self._opener
                if opener is None:
                    from explorer.models.encoders import open_encoder as opener
                    from explorer.models.libraries import load_libraries

                    load_libraries()
                encoder = opener(encoder_id, device=self._device, dtype=self._dtype, on_progress=progress)
            except _SupersededError:
                return
            except Exception as error:  # whatever goes wrong, the page must learn of it: nobody sees this thread
                reason = f"{encoder_id} could not be loaded: {type(error).__name__}: {error}"
                reason = str(error) if isinstance(error, ExplorerError) else reason
                with self._changed:
                    if asked == self._asked:
                        self._say(phase="failed", message=reason)
                return
            with self._changed:
                if asked == self._asked:
                    self._encoder = encoder
                    self._generation += 1
                    self._cache.clear()
                    said = f"{encoder.info.title} is ready."
                    self._say(phase="ready", fraction=1.0, message=said, in_use=encoder_id)

    def _say(self, **what: Any) -> None:
        """Change the status and wake who waits for it; the caller holds ``_changed``."""
        self._status = dataclasses.replace(self._status, **what)
        self._changed.notify_all()


def explore_features(
    picture: Picture, features: Features, *, device: str = "cpu"
) -> tuple[Exploration, dict[str, Tensor]]:
    """Analyse the features of one picture.

    Args:
        picture: the picture.
        features: what the encoder made of it, N = 1.
        device: where to compute.

    Returns:
        All that the Layers view shows, and the matrices [1, L, L] by kind that ``SimilarityStream`` takes in.
    """
    from explorer.analysis.parts import norms
    from explorer.analysis.projection import pca_colours
    from explorer.analysis.similarity import similarity, token_gram

    start = time.perf_counter()
    on_device = dataclasses.replace(features, states=features.states.to(device))
    patches, cls = on_device.patches, on_device.cls
    cosines = token_gram(patches)
    matrices = similarity(patches, cls, kinds=KINDS, cosines=cosines)
    joint, each = pca_colours(patches[:, 0])
    lrs = {
        kind: Similarity(kind, mean := matrices[kind][0].double().cpu().numpy(), np.full_like(mean, np.nan), 1)
        for kind in KINDS
    }
    found = Exploration(
        picture_name=picture.name,
        picture_key=picture.key,
        notes=picture.notes,
        size_px=(picture.pixels.shape[1], picture.pixels.shape[0]),
        encoder=features.encoder,
        view=features.views[0],
        layout=features.layout,
        similarity=lrs,
        groups=divide(lrs["token"].mean, features.encoder.blocks),
        change=cosines[:, :, 0].contiguous().cpu().numpy(),
        norm=norms(on_device.states[:, 0]).cpu().numpy(),
        pca_joint=joint,
        pca_each=each,
        forward_seconds=features.seconds,
    )
    return dataclasses.replace(found, analysis_seconds=time.perf_counter() - start), matrices


def compare_layers(features: Features, kinds: Collection[str] = KINDS) -> dict[str, Tensor]:
    """The matrices [N, L, L] by kind that ``SimilarityStream`` takes in."""
    from explorer.analysis.similarity import similarity

    return similarity(features.patches, features.cls, kinds=kinds)


def divide(matrix: np.ndarray, blocks: int, groups: int = 3) -> dict[str, Groups]:
    """Divisions of the layers by their source: "automatic", and "paper" where the encoder has the paper's depth."""
    from explorer.analysis.grouping import segment

    found = {"automatic": segment(matrix, groups=min(groups, blocks))}
    return found | ({"paper": PAPER_GROUPS} if blocks == PAPER_BLOCKS else {})


@contextmanager
def as_encoder_error(encoder: VisionEncoder) -> Iterator[None]:
    """Say in a sentence what torch raises, such as memory that does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or ["out of memory"])[0]
        raise EncoderError(
            f"{encoder.info.title} could not look at the picture: {reason} Try a smaller encoder."
        ) from error
