"""Layer × layer similarity (LRS) of a vision encoder's hidden states, for one picture or streamed over many.

The paper (arXiv 2504.21447, Figure 1a) shows the "average cosine similarity of visual representations across
layers" without saying what is compared, so four kinds are offered:

- ``token``: cosine of the same patch at two layers, averaged over the patches;
- ``pooled``: cosine of the mean patch vectors;
- ``cls``: cosine of the CLS tokens;
- ``cka``: linear centred kernel alignment of the patches (Kornblith et al. 2019, arXiv 1905.00414), with the
  unbiased HSIC₁ of Song et al. (2012, JMLR 13, eq. 5) and each picture's patches as one minibatch (Nguyen, Raghu
  and Kornblith 2021, arXiv 2010.15327, eq. 3): the terms are averaged over pictures and divided at the end.

For a single picture ``cka`` is the same estimator of one minibatch ("debiased CKA"): 1 on the diagonal, and it may
be slightly negative where two layers share nothing. The biased estimator would be too high, since there are fewer
patches than channels.

All products run and add up in float32, whatever the dtype of the states.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from explorer.records import InputError, Similarity

KINDS = ("token", "pooled", "cls", "cka")
WORKING_BYTES = 2**28  # float32 copy of the states of some pictures at a time, for CKA
BLOCK_TOKENS = 96  # rows of a token Gram at a time: small enough to stay in cache, large enough for fast products


def token_gram(states: Tensor) -> Tensor:
    """Compare all layers at each token, by one Gram product of its L vectors: L·L·N·T·D multiplications, no copies.

    Args:
        states: float [L, N, T, D], any device and float dtype.

    Returns:
        float32 [L, L, N, T], cosine between layers i and j at each token, -1…1; 0 where either vector is zero. It is
        a view of [N, T, L, L] memory: call ``.contiguous()`` before slicing one pair of layers many times.
    """
    grams = torch.stack([_gram(picture.transpose(0, 1)) for picture in states.unbind(1)])  # [N, T, L, L]
    return _cosine(grams).permute(2, 3, 0, 1)


def similarity(
    states: Tensor, cls: Tensor | None, kinds: Collection[str] = KINDS, cosines: Tensor | None = None
) -> dict[str, Tensor]:
    """Compute one LRS matrix for each picture and kind; only what is asked for costs anything.

    Args:
        states: float [L, N, P, D], the patches alone.
        cls: float [L, N, D], or None where the encoder has no CLS token.
        kinds: some of ``KINDS``.
        cosines: [L, L, N, P] from ``token_gram`` of the same states, if it is at hand: spares computing it again.

    Returns:
        float32 [N, L, L] by kind. ``cls`` is NaN without a CLS token. ``cka`` is NaN with fewer than four patches and
        for a layer whose patches are all equal; with it comes ``hsic`` (float64 [N, L, L]), the terms that
        ``SimilarityStream`` averages over pictures.

    Raises:
        InputError: an unknown kind.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InputError(f"There is no similarity of kind {unknown[0]!r}: choose among {', '.join(KINDS)}.")
    layers, pictures = states.shape[:2]
    found: dict[str, Tensor] = {}
    if "token" in kinds:
        cosines = token_gram(states) if cosines is None else cosines
        found["token"] = cosines.mean(-1).permute(2, 0, 1)
    if "pooled" in kinds:
        found["pooled"] = _cosine(_gram(states.mean(2, dtype=torch.float32).transpose(0, 1)))
    if "cls" in kinds:
        missing = torch.full((pictures, layers, layers), torch.nan, device=states.device)
        found["cls"] = missing if cls is None else _cosine(_gram(cls.transpose(0, 1)))
    if "cka" in kinds:
        found["hsic"] = hsic(states)
        own = found["hsic"].diagonal(dim1=1, dim2=2)
        found["cka"] = (found["hsic"] / (own[:, :, None] * own[:, None, :]).sqrt()).float()
    return found


def hsic(states: Tensor) -> Tensor:
    """Unbiased HSIC₁ between all layers, from the token Grams K = X Xᵀ of the centred patches of each picture.

    HSIC₁ = [tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1)/((P-1)(P-2)) - 2/(P-2)·1ᵀK̃L̃1] / (P(P-3)), where K̃ is K with a zero diagonal
    (Song et al. 2012). As the patches are centred, the rows of K add up to zero and those of K̃ to minus the diagonal,
    so that only tr K̃L̃ needs the Grams; it is gathered over the blocks of their upper triangle and no P × P Gram is
    kept: about L·P²·D/2 multiplications, half of what the full Grams take.

    Args:
        states: float [L, N, P, D].

    Returns:
        float64 [N, L, L], symmetric, ≥ 0 on the diagonal; NaN with fewer than four patches.
    """
    layers, pictures, patches, width = states.shape
    at_once = max(1, WORKING_BYTES // (4 * layers * patches * width))
    parts = [_hsic_at_once(part) for part in states.split(at_once, dim=1)]
    return torch.cat(parts) if pictures else torch.empty(0, layers, layers, dtype=torch.float64, device=states.device)


def paired_distance(first: Tensor, second: Tensor) -> Tensor:
    """Compare the same tokens of two pictures, at every layer.

    Args:
        first: float [L, P, D].
        second: float [L, P, D].

    Returns:
        float32 [L, P], 1 - cosine, 0…2; 0 where both vectors are equal, 1 where one is zero.
    """
    cosine = torch.nn.functional.cosine_similarity(first.float(), second.float(), dim=-1)
    return torch.where((first == second).all(-1), 0.0, (1 - cosine).clamp(0, 2))


def patch_similarity(states: Tensor, patch: int) -> Tensor:
    """Compare one patch with all patches of the same layer, at every layer.

    Args:
        states: float [L, P, D], one picture.
        patch: 0…P-1, row by row.

    Returns:
        float32 [L, P], cosine, -1…1; 0 where either vector is zero.

    Raises:
        InputError: the picture has no such patch.
    """
    if not 0 <= patch < states.shape[1]:
        raise InputError(f"Patch {patch} does not exist: this picture has patches 0 to {states.shape[1] - 1}.")
    states = states.float()
    products = torch.bmm(states, states[:, patch, :, None])[:, :, 0]
    norms = torch.linalg.vector_norm(states, dim=-1)
    return _divide(products, norms * norms[:, patch, None])


class SimilarityStream:
    """Mean and standard error of the LRS over any number of pictures, in constant memory.

    Means and co-moments are merged as in Chan, Golub and LeVeque (1983), so that several processes can each work on
    a part of a collection: ``add`` what ``similarity`` returns, ``merge`` the ``state`` of the others, and read the
    ``result``.
    """

    def __init__(self) -> None:
        self._state: dict[str, np.ndarray] = {}

    def add(self, matrices: Mapping[str, Tensor]) -> None:
        """Take in the matrices [N, L, L] of N pictures, as ``similarity`` returns them.

        Raises:
            InputError: ``cka`` came without its ``hsic`` terms, which cannot be had from it.
        """
        if "cka" in matrices and "hsic" not in matrices:
            raise InputError("CKA over several pictures needs the hsic terms: add all that similarity() returned.")
        for kind, values in matrices.items():
            if kind != "cka" and len(values):
                each = values.detach().to("cpu", torch.float64).numpy()
                mean = each.mean(0)
                pictures = np.full_like(mean, len(each))
                self.merge({kind: np.stack([pictures, mean, *_products(each - mean).sum(1)])})

    def state(self) -> dict[str, np.ndarray]:
        """All that is known: by kind, float64 [5, L, L] with the pictures, the mean and three sums of co-moments."""
        return {kind: state.copy() for kind, state in self._state.items()}

    def merge(self, state: Mapping[str, np.ndarray]) -> None:
        """Take in the ``state`` of another stream, over other pictures."""
        for kind, there in state.items():
            here = self._state.get(kind, np.zeros_like(there))
            step, share = there[1] - here[1], there[0] / (here[0] + there[0])
            moments = here[2:] + there[2:] + _products(step) * here[0] * share
            self._state[kind] = np.stack([here[0] + there[0], here[1] + step * share, *moments])

    def result(self) -> dict[str, Similarity]:
        """Mean and standard error by kind; the ``hsic`` terms come out as ``cka``. Empty if nothing was added.

        A cell that was NaN for any picture stays NaN. The standard error of ``cka``, a ratio of means, is by the delta
        method; every standard error is NaN for one picture.
        """
        found = {}
        for kind, state in self._state.items():
            pictures, mean = int(state[0, 0, 0]), state[1].copy()
            covariance = state[2:] / (pictures - 1 if pictures > 1 else np.nan)
            variance = covariance[0]
            if kind == "hsic":
                kind, (mean, variance) = "cka", _ratio(mean, covariance)
            found[kind] = Similarity(kind, mean, np.sqrt(variance / pictures), pictures)
        return found


def _gram(vectors: Tensor) -> Tensor:
    """[B, M, D] → float32 [B, M, M]."""
    vectors = vectors.float()
    return torch.bmm(vectors, vectors.mT)


def _cosine(grams: Tensor) -> Tensor:
    """Gram matrices [..., M, M] → cosines."""
    norms = grams.diagonal(dim1=-2, dim2=-1).sqrt()
    return _divide(grams, norms[..., :, None] * norms[..., None, :])


def _divide(products: Tensor, norms: Tensor) -> Tensor:
    """Cosines from inner products, 0 where a norm is 0."""
    return (products / norms.masked_fill(norms == 0, torch.inf)).clamp_(-1, 1)


def _hsic_at_once(states: Tensor) -> Tensor:
    """HSIC₁ of a few pictures, [L, n, P, D] → float64 [n, L, L]."""
    layers, pictures, patches, _ = states.shape
    if patches < 4:
        return torch.full((pictures, layers, layers), torch.nan, dtype=torch.float64, device=states.device)
    mean = states.mean(2, keepdim=True, dtype=torch.float32)
    centred = (states.float() - mean).flatten(0, 1)  # [L·n, P, D]
    upper = torch.zeros(pictures, layers, layers, device=states.device)
    diagonals = []
    for start in range(0, patches, BLOCK_TOKENS):
        block = torch.bmm(centred[:, start : start + BLOCK_TOKENS], centred[:, start:].mT)  # [L·n, rows, P - start]
        diagonals.append(block.diagonal(dim1=1, dim2=2).double())
        block = block.triu_(1).view(layers, pictures, -1).transpose(0, 1)
        upper.baddbmm_(block, block.mT)
    diagonal = torch.cat(diagonals, 1).view(layers, pictures, patches).transpose(0, 1)  # [n, L, P]
    trace = diagonal.sum(-1)
    terms = (
        2 * upper.double()
        + trace[:, :, None] * trace[:, None, :] / ((patches - 1) * (patches - 2))
        - torch.bmm(diagonal, diagonal.mT) * 2 / (patches - 2)
    ) / (patches * (patches - 3))
    # Where all patches are equal, what is left after centring is rounding error.
    varies = trace > 1e-12 * patches * mean.double().square().sum((2, 3)).T
    return terms * (varies[:, :, None] & varies[:, None, :])


def _products(values: np.ndarray) -> np.ndarray:
    """What the co-moments add up, [..., L, L] → [3, ..., L, L]: v_ij², v_ij·v_ii and v_ii·v_jj."""
    own = np.diagonal(values, axis1=-2, axis2=-1)
    rows, cols = own[..., :, None], own[..., None, :]
    return np.stack([values * values, values * rows, rows * cols])


def _ratio(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CKA_ij = H_ij / √(H_ii H_jj) of the mean terms, and its variance (times N) by the delta method."""
    own = np.diagonal(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(own[:, None] * own[None, :])
        cka = mean / scale
        # d CKA = dH_ij/scale - CKA/2·(dH_ii/H_ii + dH_jj/H_jj)
        itself, with_own, between = covariance
        relative = np.diagonal(itself) / own**2
        cross = with_own / (scale * own[:, None])
        variance = (
            itself / scale**2
            + cka**2 / 4 * (relative[:, None] + relative[None, :] + 2 * between / scale**2)
            - cka * (cross + cross.T)
        )
    return cka, np.maximum(variance, 0)
