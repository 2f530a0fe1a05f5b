"""Principal components of the patches: colours for a filmstrip of layers, coordinates for a map.

Every patch is first scaled to length 1, so that directions are compared, as in the LRS, and a few outlier tokens of
huge norm do not become the components. Then each layer's own mean is taken away: with a single mean, a basis shared by
all layers would spend its first components on telling the layers apart and show nothing inside one.

The components come from randomised subspace iteration (Halko, Martinsson and Tropp 2011, SIAM Review 53, algorithms 4.4
and 5.1) from a fixed start; length and mean are applied to the small products, so that no copy of the states is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.parts import float_parts, in_bfloat16, parts

DIRECTIONS = 16  # followed at a time, of which two or three are kept; a width that matrix products are fast at
POWER_ITERATIONS = 1
ROUNDING = 1e-5  # spread of scores of unit vectors below which there is nothing to see
PERCENTILES = (0.02, 0.98)  # of the scores: black and full colour


def pca_colours(states: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Colour each patch by its first three principal components (red, green, blue).

    Args:
        states: float [L, P, D], the patches of one picture, any device and float dtype.

    Returns:
        tuple: uint8 [L, P, 3] each, a component without spread middle grey (128). First with one basis and one scale for
        all layers, so that a colour means the same in each; then with a basis and scale of each layer's own, so that its
        contrast is full.
    """
    shared, own = _Unit(states).scores(3, True, False)
    return _shade(shared, joint=True), _shade(own, joint=False)


def _shade(scores: Tensor, joint: bool) -> np.ndarray:
    layers, patches, _ = scores.shape
    low, high = _percentiles(scores.flatten(0, 1)[None] if joint else scores)
    spread = high - low
    flat = spread <= ROUNDING
    shades = ((scores - low) / spread.masked_fill(flat, torch.inf)).masked_fill(flat, 128 / 255)
    return shades.clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy().reshape(layers, patches, 3)


def pca_coordinates(states: Tensor) -> np.ndarray:
    """Place each patch on a map by its first two principal components, in one basis shared by all layers.

    Args:
        states: float [L, P, D], any device and float dtype. Tokens that are to keep their common differences, such as
            those of several pictures, belong on the P axis: the mean is taken away along it.

    Returns:
        float32 [L, P, 2], -2…2 (patches have length 1).
    """
    return _Unit(states).scores(2, True)[0].cpu().numpy()


def pca_shares(states: Tensor, coordinates: np.ndarray) -> tuple[float, float]:
    """Share of all variation that each axis of ``pca_coordinates`` holds, 0…1; NaN where nothing varies."""
    states = states.float()
    unit_sums = (states / torch.linalg.vector_norm(states, dim=-1, keepdim=True).clamp_min(1e-30)).sum(1)  # [L, D]
    lengths = int((states != 0).any(-1).sum())  # each token of length 1 adds 1
    total = lengths - float(unit_sums.double().square().sum()) / states.shape[1]
    first, second = (coordinates.astype(np.float64) ** 2).sum((0, 1))
    return (float(first / total), float(second / total)) if total > ROUNDING else (float("nan"), float("nan"))


class _Unit:
    """The patches at length 1, each layer's mean taken away, without a copy of the states."""

    def __init__(self, states: Tensor):
        """Take states [L, P, D]."""
        self._states = states
        lengths, means = [], []
        for part in float_parts(states):
            norms = torch.linalg.vector_norm(part, dim=-1, keepdim=True)
            lengths.append(norms.masked_fill(norms == 0, 1).reciprocal())  # [n, P, 1]
            means.append(torch.bmm(lengths[-1].mT, part) / states.shape[1])  # [n, 1, D]
        self._lengths, self._means = torch.cat(lengths), torch.cat(means)

    def scores(self, components: int, *joint: bool) -> list[Tensor]:
        """Scores [L, P, components] on a basis that is shared or each layer's own; the largest loading is positive."""
        layers, _, width = self._states.shape
        count = min(DIRECTIONS, width)
        start = torch.randn(width, count, generator=torch.Generator().manual_seed(0)).to(self._states.device)

        def direct(gathered: Sequence[Tensor]) -> list[Tensor]:  # [L, K, D] → orthonormal [1 or L, D, K], each
            each = zip(gathered, joint, strict=True)
            return [torch.linalg.qr((one.sum(0, keepdim=True) if shared else one).mT).Q for one, shared in each]

        def together(bases: list[Tensor]) -> Tensor:  # one pass over the states serves all
            return torch.cat([basis.expand(layers, -1, -1) for basis in bases], -1)

        bases = direct([self._gather(start[None])] * len(joint))
        for _ in range(POWER_ITERATIONS):
            bases = direct(self._gather(together(bases)).split(count, 1))
        scores = self._project(together(bases)).split(count, -1)
        return [_leading(*each, components) for each in zip(scores, bases, strict=True)]

    def _project(self, bases: Tensor) -> Tensor:
        """[1 or L, D, K] → [L, P, K]."""
        return torch.cat([_scores(*part) for part in self._parts(bases)])

    def _gather(self, bases: Tensor) -> Tensor:
        """Multiply bases [1 or L, D, K] by each layer's covariance (times P): [L, K, D]."""
        found = []
        for part, lengths, means, basis in self._parts(bases, rounded=in_bfloat16(self._states)):
            scores = _scores(part, lengths, means, basis)
            products = torch.bmm((scores * lengths).to(part.dtype).mT, part)
            found.append(products.float() - scores.sum(1)[:, :, None] * means)
        return torch.cat(found)

    def _parts(self, bases: Tensor, rounded: bool = False) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """A few layers at a time: states (as they are, or in float32), lengths, means and bases."""
        bases, start = bases.expand(len(self._states), -1, -1), 0
        for part in parts(self._states) if rounded else float_parts(self._states):
            here = slice(start, start := start + len(part))
            yield part, self._lengths[here], self._means[here], bases[here]


def _scores(states: Tensor, lengths: Tensor, means: Tensor, bases: Tensor) -> Tensor:
    return torch.bmm(states, bases.to(states.dtype)).float() * lengths - means @ bases


def _leading(scores: Tensor, basis: Tensor, components: int) -> Tensor:
    """Turn scores [L, P, K] on a basis [1 or L, D, K] to its principal axes: [L, P, components]."""
    stacked = scores.flatten(0, 1)[None] if len(basis) == 1 else scores
    turn = torch.linalg.eigh(stacked.mT @ stacked).eigenvectors  # [1 or L, K, K], the largest last
    turn = turn.flip(-1)[..., :components]
    loadings = basis @ turn
    signs = loadings.gather(1, loadings.abs().argmax(1, keepdim=True)).sign()
    found = scores @ (turn * signs)
    return torch.nn.functional.pad(found, (0, components - found.shape[-1]))


def _percentiles(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Robust range of each component, each [B, 1, K], of scores [B, S, K]."""
    low, high = (1 + round(share * (scores.shape[1] - 1)) for share in PERCENTILES)
    return scores.kthvalue(low, 1, keepdim=True).values, scores.kthvalue(high, 1, keepdim=True).values
