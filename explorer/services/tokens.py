"""Tokens of one picture or several as maps, what colours them, and facts of each layer."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.records import EncoderInfo, Fit, InputError, Picture, View
from explorer.services.cache import OnceCache
from explorer.services.explore import Explorer

if TYPE_CHECKING:
    from torch import Tensor

MOST_PICTURES = 8
MOST_TOKENS = 36_000  # of all layers together; beyond, only every second (third, …) row and column is taken
MOST_TSNE = 5_000
MOST_CLUSTERS = 8
CACHE_BYTES = 64 << 20
WARM_AFTER_SECONDS = 8.0
METHODS = ("pca", "umap", "tsne")


@dataclass(frozen=True)
class Board:
    """Which tokens are looked at: S = N · rows · cols of every layer, picture by picture, row by row.

    Attributes:
        encoder: that made them.
        views: what it saw of each picture, N.
        names: of the pictures, N.
        rows, cols: of the grid of tokens taken.
        grid: rows and columns of the encoder's own grid.
        stride: 1 where every patch is taken, 2 where every second row and column is, and so on.
    """

    encoder: EncoderInfo
    views: tuple[View, ...]
    names: tuple[str, ...]
    rows: int
    cols: int
    grid: tuple[int, int]
    stride: int


@dataclass(frozen=True)
class TokenMap:
    """Where the tokens lie on a map.

    Attributes:
        method: "pca", "umap" or "tsne".
        layers: that are laid out together, M.
        places: float32 [M, S, 2]; components for "pca", else without unit.
        shares: of all variation that the two axes hold, 0…1; NaN but for "pca".
        trust: float [M], trustworthiness of each layer's part, 0…1; NaN for too few tokens.
        seconds: the fit took.
    """

    method: str
    layers: tuple[int, ...]
    places: np.ndarray
    shares: tuple[float, float]
    trust: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Underway:
    """How far a fit is: a share 0…1 and a sentence for people."""

    fraction: float
    message: str


@dataclass(frozen=True)
class LayerFacts:
    """What can be said of each layer in a number or a curve, as the mean over pictures and its standard error.

    Attributes:
        pictures: how many, N; standard errors are NaN for one.
        patches: of each picture.
        effective_rank, anisotropy: float [2, L].
        distances: int [R], in patches.
        locality: float [2, L, R].
        place: float [L, 2], cross-validated R² of row and column.
        by_picture: whether place was read on pictures that the map was not fitted to.
        seconds: it took.
    """

    pictures: int
    patches: int
    effective_rank: np.ndarray
    anisotropy: np.ndarray
    distances: np.ndarray
    locality: np.ndarray
    place: np.ndarray
    by_picture: bool
    seconds: float


class TokenMaps:
    """Answers about the tokens of the encoder in use; every method may be called from any thread."""

    def __init__(self, explorer: Explorer, cache_bytes: int = CACHE_BYTES) -> None:
        """Use the explorer's encoder and the features that it keeps."""
        self._explorer = explorer
        self._cache = OnceCache(cache_bytes)
        self._warming = threading.Lock()
        self._warm = False

    # ---- UMAP's compilation ---------------------------------------------------------------------------------------

    @property
    def warm(self) -> bool:
        """Whether UMAP's code is compiled."""
        return self._warm

    def warm_up(self) -> None:
        """Compile UMAP's code, once; whoever calls meanwhile waits."""
        with self._warming:
            if not self._warm:
                from explorer.analysis.embedding import warm_up

                warm_up()
                self._warm = True

    def warm_up_later(self, after_seconds: float = WARM_AFTER_SECONDS) -> None:
        """Compile in a thread of its own, some seconds after the encoder is ready (or has failed); returns at once."""

        def work() -> None:
            self._explorer.wait()
            time.sleep(after_seconds)
            self.warm_up()

        threading.Thread(target=work, name="warm up UMAP", daemon=True).start()

    # ---- maps -----------------------------------------------------------------------------------------------------

    def board(self, pictures: Sequence[Picture], fit: Fit) -> Board:
        """Which tokens are looked at.

        Raises:
            InputError: there is no picture, or there are more than ``MOST_PICTURES``.
            EncoderError: no encoder is ready, or it cannot look at a picture.
        """
        return self._tokens(pictures, fit)[0]

    def map(
        self, pictures: Sequence[Picture], fit: Fit, method: str = "pca", layers: Sequence[int] = ()
    ) -> Iterator[Underway | TokenMap]:
        """Lay the tokens out; says how far it is, and at last gives the map. To close the iterator stops the fit.

        Args:
            pictures: N.
            fit: how each is laid on the input.
            method: "pca" and "umap" lay out all layers together, "tsne" the ``layers`` named.
            layers: for "tsne".

        Raises:
            InputError: there is no such method or layer, or t-SNE would take too many tokens.
            EncoderError: as for ``board``.
        """
        board, states = self._tokens(pictures, fit)
        wanted = _layers_of(method, layers, board, states.shape[1])
        key = (method, wanted, *_key(board, pictures, fit))
        if method == "pca":
            yield self._cache.get(key, lambda: _sized(_pca(states)))
            return
        said: queue.Queue = queue.Queue()
        stop = threading.Event()

        def work() -> None:
            from explorer.analysis.embedding import StoppedError

            while not stop.is_set():
                try:
                    return said.put(self._cache.get(key, lambda: _sized(self._fit(method, wanted, states, said, stop))))
                except StoppedError:
                    continue  # somebody else's, who has gone, was waited for: now it is done here
                except BaseException as error:  # reaches the one who waits
                    return said.put(error)

        threading.Thread(target=work, name=f"{method} of tokens", daemon=True).start()
        try:
            while not isinstance(got := said.get(), TokenMap):
                if isinstance(got, BaseException):
                    raise got
                yield got
            yield got
        finally:
            stop.set()

    def fitted(self, pictures: Sequence[Picture], fit: Fit) -> list[TokenMap]:
        """The maps of these pictures that are held, latest last."""
        key = _key(self.board(pictures, fit), pictures, fit)
        return self._cache.held(lambda other: isinstance(other, tuple) and other[0] in METHODS and other[2:] == key)

    def _fit(
        self, method: str, layers: tuple[int, ...], states: Tensor, said: queue.Queue, stop: threading.Event
    ) -> TokenMap:
        from explorer.analysis import embedding
        from explorer.analysis.projection import pca_coordinates

        count = len(layers) * states.shape[1]

        def tell(fraction: float) -> None:
            if stop.is_set():
                raise embedding.StoppedError
            said.put(Underway(fraction, f"UMAP lays out {count:,} tokens …"))

        if method == "umap" and not self._warm:
            said.put(Underway(0.0, "UMAP's code is being compiled, once after the start …"))
            self.warm_up()
        start = time.perf_counter()
        chosen = states[list(layers)]
        first = pca_coordinates(states)[list(layers)]
        if method == "umap":
            places = embedding.umap_coordinates(chosen, first, on_progress=tell)
        else:
            said.put(Underway(0.0, f"t-SNE lays out {count:,} tokens; it does not say how far it is …"))
            places = embedding.tsne_coordinates(chosen, first)
        return _judged(method, layers, chosen, places, start)

    # ---- colours --------------------------------------------------------------------------------------------------

    def clusters(self, pictures: Sequence[Picture], fit: Fit, count: int) -> np.ndarray:
        """K-means cluster of every token, uint8 [L, S]; numbers follow from layer to layer.

        Raises:
            InputError: there cannot be so many clusters.
            EncoderError: as for ``board``.
        """
        board, states = self._tokens(pictures, fit)
        if not 2 <= count <= min(MOST_CLUSTERS, states.shape[1]):
            raise InputError(f"Tokens can be divided into 2 to {MOST_CLUSTERS} clusters; {count} were asked for.")
        from explorer.analysis.embedding import cluster

        def compute() -> tuple[np.ndarray, int]:
            found = cluster(states, count)
            return found, found.nbytes

        return self._cache.get(("clusters", count, *_key(board, pictures, fit)), compute)

    def similarity(self, pictures: Sequence[Picture], fit: Fit, token: int) -> np.ndarray:
        """Cosine of one token with all tokens of all pictures at the same layer, float32 [L, S].

        Raises:
            InputError: there is no such token.
            EncoderError: as for ``board``.
        """
        _, states = self._tokens(pictures, fit)
        if not 0 <= token < states.shape[1]:
            raise InputError(f"Token {token} does not exist: there are 0 to {states.shape[1] - 1}.")
        from explorer.analysis.similarity import patch_similarity

        return patch_similarity(states, token).cpu().numpy()

    def things(self, pictures: Sequence[Picture], fit: Fit, scenes: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """What is seen at each token, where the truth is known.

        Args:
            pictures: N.
            fit: how each is laid on the input.
            scenes: of each picture the record of its scene as JSON, "" where it is none.

        Returns:
            Names, the first "backdrop", and int16 [S] which of them covers most of the patch; -1 where unknown.
        """
        from explorer.services.scene_truth import things_at

        board = self.board(pictures, fit)
        sizes = [(picture.pixels.shape[1], picture.pixels.shape[0]) for picture in pictures]
        return things_at([view.box_px for view in board.views], sizes, scenes, *board.grid, board.stride)

    # ---- facts ----------------------------------------------------------------------------------------------------

    def facts(self, pictures: Sequence[Picture], fit: Fit) -> LayerFacts:
        """Effective rank, anisotropy, locality and readability of place, layer by layer, of all patches.

        Raises:
            InputError: as for ``board``.
            EncoderError: as for ``board``.
        """
        board, states = self._tokens(pictures, fit, thinned=False)
        count, patches = len(pictures), states.shape[1] // len(pictures)
        from explorer.analysis.facts import FOLDS, anisotropy, effective_rank, locality, place_readability

        def compute() -> tuple[LayerFacts, int]:
            start = time.perf_counter()
            each = states.unflatten(1, (count, patches))  # [L, N, P, D]
            by_picture = each.unbind(1)
            curves = [locality(one, *board.grid) for one in by_picture]
            found = LayerFacts(
                pictures=count,
                patches=patches,
                effective_rank=_mean_and_error([effective_rank(one) for one in by_picture]),
                anisotropy=_mean_and_error([anisotropy(one) for one in by_picture]),
                distances=curves[0][0],
                locality=_mean_and_error([cosines for _, cosines in curves]),
                place=place_readability(each, *board.grid),
                by_picture=count >= FOLDS,
                seconds=time.perf_counter() - start,
            )
            return found, found.locality.nbytes * 2

        return self._cache.get(("facts", *_key(board, pictures, fit)), compute)

    def _tokens(self, pictures: Sequence[Picture], fit: Fit, thinned: bool = True) -> tuple[Board, Tensor]:
        """The tokens and their states [L, S, D]."""
        if not 0 < len(pictures) <= MOST_PICTURES:
            raise InputError(f"A map takes 1 to {MOST_PICTURES} pictures; {len(pictures)} were given.")
        import torch

        features = [self._explorer.features(picture, fit) for picture in pictures]
        first = features[0]
        if any(other.encoder != first.encoder for other in features):
            raise InputError("Another encoder came into use meanwhile: ask again.")
        rows, cols = first.layout.rows, first.layout.cols
        stride = 1
        while thinned and len(first.states) * len(pictures) * -(-rows // stride) * -(-cols // stride) > MOST_TOKENS:
            stride += 1
        taken = first.layout.patches.reshape(rows, cols)[::stride, ::stride]
        states = [one.states[:, 0, torch.from_numpy(taken.ravel())] for one in features]
        views, names = tuple(one.views[0] for one in features), tuple(picture.name for picture in pictures)
        board = Board(first.encoder, views, names, len(taken), taken.shape[1], (rows, cols), stride)
        return board, torch.cat(states, 1) if len(states) > 1 else states[0]


def _key(board: Board, pictures: Sequence[Picture], fit: Fit) -> tuple:
    return board.encoder, fit, tuple(picture.key for picture in pictures)


def _layers_of(method: str, layers: Sequence[int], board: Board, tokens: int) -> tuple[int, ...]:
    """The layers that are laid out together, checked."""
    if method not in METHODS:
        raise InputError(f"There is no map {method!r}: choose {', '.join(METHODS)}.")
    every = tuple(range(board.encoder.blocks + 1))
    if method != "tsne":
        return every
    wanted = tuple(sorted(set(layers)))
    if not wanted or not set(wanted) <= set(every):
        raise InputError(f"Name layers from 0 to {every[-1]} for t-SNE.")
    if len(wanted) * tokens > MOST_TSNE:
        raise InputError(
            f"t-SNE would take minutes for {len(wanted) * tokens:,} tokens: choose fewer layers or pictures, "
            f"for {MOST_TSNE:,} tokens at most, or UMAP."
        )
    return wanted


def _pca(states: Tensor) -> TokenMap:
    from explorer.analysis.projection import pca_coordinates, pca_shares

    start = time.perf_counter()
    places = pca_coordinates(states)
    found = _judged("pca", tuple(range(len(states))), states, places, start)
    return dataclasses.replace(found, shares=pca_shares(states, places))


def _judged(method: str, layers: tuple[int, ...], states: Tensor, places: np.ndarray, start: float) -> TokenMap:
    from explorer.analysis.embedding import trustworthiness

    seconds = time.perf_counter() - start
    trust = np.array([trustworthiness(one, flat) for one, flat in zip(states, places, strict=True)])
    return TokenMap(method, layers, places, (float("nan"), float("nan")), trust, seconds)


def _sized(found: TokenMap) -> tuple[TokenMap, int]:
    return found, found.places.nbytes


def _mean_and_error(values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over pictures and its standard error, [2, …]; the latter NaN for one picture."""
    stacked = np.stack(values)
    many = len(stacked) > 1
    error = stacked.std(0, ddof=1) / np.sqrt(len(stacked)) if many else np.full(stacked.shape[1:], np.nan)
    return np.stack([stacked.mean(0), error])
