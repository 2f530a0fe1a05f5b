"""Principal components of the patches: colours for a filmstrip of layers, coordinates for a map.

Every patch is first scaled to length 1, so that directions are compared, as in the LRS, and a few outlier tokens of
huge norm do not become the components. Then each layer's own mean is taken away: with a single mean, a basis shared by
all layers would spend its first components on telling the layers apart and show nothing inside one.

The components come from randomised subspace iteration (Halko, Martinsson and Tropp 2011, SIAM Review 53, algorithms 4.4
and 5.1) from a fixed start; length and mean are applied to the small products, so that no copy of the states is made.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

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
    unit = _Unit(states)
    return _shade(unit.scores(3, joint=True), joint=True), _shade(unit.scores(3, joint=False), joint=False)


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
    return _Unit(states).scores(2, joint=True).cpu().numpy()


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
        self._states = states.float()
        norms = torch.linalg.vector_norm(self._states, dim=-1, keepdim=True)
        self._lengths = norms.masked_fill(norms == 0, 1).reciprocal()  # [L, P, 1]
        self._mean = torch.bmm(self._lengths.mT, self._states) / states.shape[1]  # [L, 1, D]
        width = states.shape[-1]
        start = torch.randn(width, min(DIRECTIONS, width), generator=torch.Generator().manual_seed(0))
        self._first = self._gather(self._project(start.to(states.device)[None]))

    def _project(self, basis: Tensor) -> Tensor:
        """[1 or L, D, K] → [L, P, K]."""
        states = self._states
        return torch.bmm(states, basis.expand(len(states), -1, -1)) * self._lengths - self._mean @ basis

    def _gather(self, scores: Tensor) -> Tensor:
        """[L, P, K] → [L, K, D]."""
        return torch.bmm((scores * self._lengths).mT, self._states) - scores.sum(1)[:, :, None] * self._mean

    def scores(self, components: int, joint: bool) -> Tensor:
        """Scores [L, P, components] on a basis that is shared or each layer's own; the largest loading is positive."""

        def direct(gathered: Tensor) -> Tensor:  # [L, K, D] → orthonormal [1 or L, D, K]
            return torch.linalg.qr((gathered.sum(0, keepdim=True) if joint else gathered).mT).Q

        basis = direct(self._first)
        for _ in range(POWER_ITERATIONS):
            basis = direct(self._gather(self._project(basis)))
        scores = self._project(basis)
        stacked = scores.flatten(0, 1)[None] if joint else scores
        turn = torch.linalg.eigh(stacked.mT @ stacked).eigenvectors  # [1 or L, K, K], the largest last
        turn = turn.flip(-1)[..., :components]
        loadings = basis @ turn
        signs = loadings.gather(1, loadings.abs().argmax(1, keepdim=True)).sign()
        found = scores @ (turn * signs)
        return torch.nn.functional.pad(found, (0, components - found.shape[-1]))


def _percentiles(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Robust range of each component, each [B, 1, K], of scores [B, S, K]."""
    ordered = scores.sort(dim=1).values
    low, high = (round(share * (scores.shape[1] - 1)) for share in PERCENTILES)
    return ordered[:, low : low + 1], ordered[:, high : high + 1]
