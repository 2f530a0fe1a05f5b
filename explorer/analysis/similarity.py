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

All products run and add up in float32, but the Grams of ``cka`` where a processor's forward ran in bfloat16: there the
centred patches and their products are rounded to it (``parts.in_bfloat16``), which changes ``cka`` by less than 0.001
even where one token is thirty times as long as the others (a test holds that).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.parts import float_parts, in_bfloat16, norms
from explorer.records import InputError, Similarity

KINDS = ("token", "pooled", "cls", "cka")
WORKING_BYTES = 2**22  # states of pictures that are worked on at once for CKA, in float32
BLOCK_TOKENS = 96  # rows of a token Gram at a time: small enough to stay in cache, large enough for fast products
ROUNDED_TOKENS = 192  # the same for products in bfloat16
ROUNDED_PATCHES = 100  # so many average out what rounding the products changes; with fewer, float32 costs little


def token_gram(states: Tensor) -> Tensor:
    """Compare all layers at each token, by one Gram product of its L vectors: L·L·N·T·D multiplications.

    Args:
        states: float [L, N, T, D], any device and float dtype.

    Returns:
        float32 [L, L, N, T], cosine between layers i and j at each token, -1…1; 0 where either vector is zero. It is
        a view of [N, T, L, L] memory: call ``.contiguous()`` before slicing one pair of layers many times.
    """
    each = [torch.cat([_gram(part.transpose(0, 1)) for part in float_parts(one, 1)]) for one in states.unbind(1)]
    grams = torch.stack(each)  # [N, T, L, L]
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
        found["token"] = _mean_cosine(states) if cosines is None else cosines.mean(-1).permute(2, 0, 1)
    means = _means(states) if {"pooled", "cka"} & set(kinds) else None
    if "pooled" in kinds and means is not None:
        found["pooled"] = _cosine(_gram(means.transpose(0, 1)))
    if "cls" in kinds:
        missing = torch.full((pictures, layers, layers), torch.nan, device=states.device)
        found["cls"] = missing if cls is None else _cosine(_gram(cls.transpose(0, 1)))
    if "cka" in kinds:
        found["hsic"] = hsic(states, means)
        own = found["hsic"].diagonal(dim1=1, dim2=2)
        found["cka"] = (found["hsic"] / (own[:, :, None] * own[:, None, :]).sqrt()).float()
    return found


def hsic(states: Tensor, means: Tensor | None = None) -> Tensor:
    """Unbiased HSIC₁ between all layers, from the token Grams K = X Xᵀ of the centred patches of each picture.

    HSIC₁ = [tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1)/((P-1)(P-2)) - 2/(P-2)·1ᵀK̃L̃1] / (P(P-3)), where K̃ is K with a zero diagonal
    (Song et al. 2012). Only the upper triangle of the Grams is used. The estimator does not depend on the centre, but
    its terms are smaller, and cancel better, around the mean.

    Args:
        states: float [L, N, P, D].
        means: float32 [L, N, D] of the patches, if they are at hand.

    Returns:
        float64 [N, L, L], symmetric, ≥ 0 on the diagonal; NaN with fewer than four patches.
    """
    layers, pictures, patches, width = states.shape
    if patches < 4 or not pictures:
        return torch.full((pictures, layers, layers), torch.nan, dtype=torch.float64, device=states.device)
    means = _means(states) if means is None else means
    at_once = max(1, WORKING_BYTES // (4 * layers * patches * width))
    few = zip(states.split(at_once, 1), means.split(at_once, 1), strict=True)
    return torch.cat([_hsic_at_once(*each) for each in few])


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
    products = torch.cat([torch.bmm(part, part[:, patch, :, None])[:, :, 0] for part in float_parts(states)])
    lengths = norms(states)
    return _divide(products, lengths * lengths[:, patch, None])


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


def _mean_cosine(states: Tensor) -> Tensor:
    """[L, N, P, D] → float32 [N, L, L], averaged over the patches."""
    layers, pictures, patches, _ = states.shape
    total = torch.zeros(pictures, layers, layers, device=states.device)
    for part in float_parts(states, 2):
        lengths = torch.linalg.vector_norm(part, dim=-1, keepdim=True)
        unit = part.div_(lengths.masked_fill_(lengths == 0, torch.inf)).permute(1, 2, 0, 3)  # [N, p, L, D]
        total += torch.matmul(unit, unit.mT).sum(1)
    return (total / patches).clamp_(-1, 1)


def _cosine(grams: Tensor) -> Tensor:
    """Gram matrices [..., M, M] → cosines."""
    lengths = grams.diagonal(dim1=-2, dim2=-1).sqrt()
    return _divide(grams, lengths[..., :, None] * lengths[..., None, :])


def _divide(products: Tensor, lengths: Tensor) -> Tensor:
    """Cosines from inner products and products of lengths, 0 where a length is 0."""
    return (products / lengths.masked_fill(lengths == 0, torch.inf)).clamp_(-1, 1)


def _means(states: Tensor) -> Tensor:
    """[L, N, P, D] → float32 [L, N, D]."""
    return torch.cat([part.mean(2) for part in float_parts(states)])


def _hsic_at_once(states: Tensor, means: Tensor) -> Tensor:
    """HSIC₁ of a few pictures, [L, n, P, D] and [L, n, D] → float64 [n, L, L]."""
    layers, pictures, patches, _ = states.shape
    products = torch.zeros(pictures, layers, layers, device=states.device)
    sums = torch.zeros(layers * pictures, patches, device=states.device)  # of the rows of K̃
    trace = torch.zeros(layers * pictures, dtype=torch.float64, device=states.device)  # of K
    start = 0
    rounded = in_bfloat16(states) and patches >= ROUNDED_PATCHES
    for block in (_rounded_grams if rounded else _grams)(states, means):
        trace += block.diagonal(dim1=1, dim2=2).sum(1, dtype=torch.float64)
        block.triu_(1)
        sums[:, start : start + block.shape[1]] += block.sum(2)
        sums[:, start:] += block.sum(1)
        start += block.shape[1]
        flat = block.view(layers, pictures, -1).transpose(0, 1)
        products.baddbmm_(flat, flat.mT)
    sums = sums.double().view(layers, pictures, patches).transpose(0, 1)  # [n, L, P]
    total, trace = sums.sum(-1), trace.view(layers, pictures).T
    terms = (
        2 * products.double()
        + total[:, :, None] * total[:, None, :] / ((patches - 1) * (patches - 2))
        - torch.bmm(sums, sums.mT) * 2 / (patches - 2)
    ) / (patches * (patches - 3))
    # Where all patches are equal, what is left after centring is rounding error.
    varies = trace > 1e-12 * patches * means.double().square().sum(2).T
    return terms * (varies[:, :, None] & varies[:, None, :])


def _grams(states: Tensor, means: Tensor) -> Iterator[Tensor]:
    """Yield rows of the Grams of the centred patches from the diagonal on, float32 [L·n, rows, P - first row].

    No P × P Gram is kept: half of the products are never made.
    """
    centred = (states.float() - means[:, :, None]).flatten(0, 1)
    for start in range(0, states.shape[2], BLOCK_TOKENS):
        yield torch.bmm(centred[:, start : start + BLOCK_TOKENS], centred[:, start:].mT)


def _rounded_grams(states: Tensor, means: Tensor) -> Iterator[Tensor]:
    """The same from products in bfloat16, so fast that keeping the Grams costs less than keeping the centred states."""
    layers, pictures, patches, _ = states.shape
    grams = torch.empty(layers, pictures, patches, patches, dtype=torch.bfloat16)  # below the diagonal never read
    first = 0
    for part in float_parts(states):
        here = slice(first, first := first + len(part))
        part.sub_(means[here, :, None])
        pieces = [piece.bfloat16() for piece in part.flatten(0, 1).split(ROUNDED_TOKENS, 1)]
        for i, rows in enumerate(grams[here].flatten(0, 1).split(ROUNDED_TOKENS, 1)):
            for j, block in enumerate(rows.split(ROUNDED_TOKENS, 2)[i:], i):
                block.copy_(torch.bmm(pieces[i], pieces[j].mT))
    for start in range(0, patches, BLOCK_TOKENS):
        yield grams[:, :, start : start + BLOCK_TOKENS, start:].flatten(0, 1).float()


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
