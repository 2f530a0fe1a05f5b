"""What can be said of the patches of each layer in one number or one curve."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

RIDGE_PENALTY = 0.1  # times the mean squared length of a standardised patch
FOLDS = 5


def effective_rank(states: Tensor) -> np.ndarray:
    """How many directions the patches use: exp of the entropy of the singular values (Roy and Vetterli 2007, eq. 4).

    Args:
        states: float [L, P, D], any device and float dtype; each layer's mean patch is taken away first, because
            ``anisotropy`` tells of it.

    Returns:
        float64 [L], 1…min(P - 1, D); NaN where all patches are equal.
    """
    found = []
    for layer in states:  # one at a time: no copy of all
        raw = layer.double()
        centred = raw - raw.mean(0)
        gram = centred @ centred.T if len(centred) <= centred.shape[1] else centred.T @ centred
        values = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()  # singular values, at half the cost of svdvals
        values = values.where(values > 1e-6 * torch.linalg.vector_norm(raw), 0)  # the rest is rounding error
        found.append(torch.special.entr(values / values.sum()).sum().exp())
    return torch.stack(found).cpu().numpy()


def anisotropy(states: Tensor) -> np.ndarray:
    """Mean cosine over all pairs of different patches, from the length of the sum of the unit vectors.

    Args:
        states: float [L, P, D], any device and float dtype.

    Returns:
        float64 [L], -1/(P-1)…1: 0 where directions are spread evenly, 1 where all are the same. A zero patch counts 0
        with all others. NaN for a single patch.
    """
    states = states.float()
    lengths = torch.linalg.vector_norm(states, dim=-1)
    weights = lengths.masked_fill(lengths == 0, torch.inf).reciprocal()
    total = torch.bmm(weights[:, None], states)[:, 0].double().square().sum(-1)
    patches = states.shape[1]
    pairs = patches * (patches - 1) if patches > 1 else float("nan")
    return ((total - (lengths > 0).sum(-1)) / pairs).cpu().numpy()


def locality(states: Tensor, rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean cosine of two patches as a function of how far apart they lie on the grid.

    Args:
        states: float [L, P, D] with P = rows · cols, row by row.
        rows: of the grid.
        cols: of the grid.

    Returns:
        distances: int [R], 1…R in patches; Euclidean distances are rounded to the nearest of them.
        cosines: float64 [L, R], -1…1. A local layer falls steeply; a flat curve says that place does not matter.
    """
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(cols)).double()
    bins = torch.cdist(place, place).round().long().flatten().to(states.device)
    pairs = torch.bincount(bins)
    found = []
    for layer in states:
        unit = torch.nn.functional.normalize(layer.float(), dim=-1)
        found.append(torch.bincount(bins, (unit @ unit.T).flatten().double()) / pairs)
    cosines = torch.stack(found)[:, 1:].cpu().numpy()
    return np.arange(1, cosines.shape[1] + 1), cosines


def place_readability(states: Tensor, rows: int, cols: int) -> np.ndarray:
    """How well a linear map reads a patch's row and column: cross-validated R² of ``ridge_r2``.

    With at least five pictures the folds are whole pictures, so that the map is read on pictures it was not fitted to.
    With fewer they are random patches (fixed seed): then smooth content gives place away too, through neighbours.

    Args:
        states: float [L, N, P, D] with P = rows · cols, row by row.
        rows: of the grid.
        cols: of the grid.

    Returns:
        float64 [L, 2] for row and column: 1 is perfect, 0 no better than the middle of the grid, negative worse; NaN
        where the grid has a single row or column.
    """
    layers, pictures, patches, _ = states.shape
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(cols)).float().repeat(pictures, 1)
    if pictures >= FOLDS:
        folds = (torch.arange(pictures) % FOLDS).repeat_interleave(patches)
    else:
        order = torch.randperm(pictures * patches, generator=torch.Generator().manual_seed(0))
        folds = order % FOLDS
    device = states.device
    return np.stack([ridge_r2(layer.flatten(0, 1), place.to(device), folds.to(device)) for layer in states])


def ridge_r2(features: Tensor, targets: Tensor, folds: Tensor) -> np.ndarray:
    """Cross-validated R² of closed-form ridge regression, of each target on all features.

    Features are standardised over all samples; the penalty is ``RIDGE_PENALTY`` times their mean squared length. With
    fewer samples than features the dual form is solved (samples × samples), else the primal one; both give the same.

    Args:
        features: float [S, D].
        targets: float [S, K].
        folds: int [S], which fold a sample is tested in, 0…F-1.

    Returns:
        float64 [K], 1 - squared error / squared error of the training mean, over all folds; NaN for a constant target.
    """
    centred = features.float() - features.mean(0, dtype=torch.float32)
    deviation = centred.square().mean(0).sqrt()
    x = centred / deviation.masked_fill(deviation <= 1e-6 * deviation.max(), torch.inf)
    y = targets.float()
    penalty = RIDGE_PENALTY * x.square().sum(-1).mean() + 1e-6  # never 0: constant features predict the mean
    dual = len(x) < x.shape[1]
    product = x @ x.T if dual else x.T @ x
    error, spread = torch.zeros(2, y.shape[1], dtype=torch.float64, device=y.device)
    for fold in range(int(folds.max()) + 1):
        test, train = (folds == fold).nonzero()[:, 0], (folds != fold).nonzero()[:, 0]
        middle = y[train].mean(0)
        solve = _dual if dual else _primal
        guess = middle + solve(x, product, y[train] - middle, train, test, penalty)
        error += (y[test] - guess).double().square().sum(0)
        spread += (y[test] - middle).double().square().sum(0)
    return (1 - error / spread.masked_fill(spread == 0, torch.nan)).cpu().numpy()


def _dual(x: Tensor, gram: Tensor, y: Tensor, train: Tensor, test: Tensor, penalty: Tensor) -> Tensor:
    """Ridge predictions from the Gram of all samples, centred on the training samples."""
    rows = gram[:, train]
    mean = rows[train].mean(0)
    inner = rows[train] - mean - mean[:, None] + mean.mean()
    inner.diagonal().add_(penalty)
    weights = torch.cholesky_solve(y, torch.linalg.cholesky(inner))  # they add up to 0, as y does
    return (rows[test] - mean) @ weights


def _primal(x: Tensor, covariance: Tensor, y: Tensor, train: Tensor, test: Tensor, penalty: Tensor) -> Tensor:
    """Ridge predictions from the uncentred covariance of all samples, less that of the test samples."""
    mean = x[train].mean(0)
    inner = covariance - x[test].T @ x[test] - len(train) * mean[:, None] * mean
    inner.diagonal().add_(penalty)
    weights = torch.cholesky_solve(x[train].T @ y, torch.linalg.cholesky(inner))
    return (x[test] - mean) @ weights
