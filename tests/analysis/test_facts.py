import numpy as np
import pytest
import torch

from explorer.analysis.facts import anisotropy, effective_rank, locality, place_readability, ridge_r2


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def place_states(rows, cols, pictures=1, width=32, signal=1.0):
    """Row and column along two random directions, in noise."""
    place = torch.cartesian_prod(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols))
    return signal * place @ noise(2, width, seed=1) * 3 + noise(pictures, rows * cols, width)


def test_effective_rank_by_hand():
    # Centred patches ±a on one axis, ±b on another: singular values a√2 and b√2.
    def cross(a, b):
        return torch.tensor([[a, 0.0, 0], [-a, 0, 0], [0, b, 0], [0, -b, 0]]) + 5

    shares = np.array([0.75, 0.25])
    found = effective_rank(torch.stack([cross(1, 1), cross(3, 1), cross(1, 0)]))
    np.testing.assert_allclose(found, [2, np.exp(-(shares * np.log(shares)).sum()), 1], rtol=1e-6)


@pytest.mark.parametrize("patches,width", [(40, 200), (200, 40)])
def test_effective_rank_counts_few_equal_directions_exactly(patches, width):
    left = torch.linalg.qr(noise(patches, 8) - noise(patches, 8).mean(0)).Q
    right = torch.linalg.qr(noise(width, 8)).Q
    np.testing.assert_allclose(effective_rank((left @ right.T)[None]), 8, rtol=1e-3)


def test_effective_rank_of_equal_patches_is_nan():
    assert np.isnan(effective_rank(torch.full((1, 20, 8), 0.1))).all()


def test_anisotropy_is_the_mean_over_pairs():
    states = noise(2, 30, 10) + 0.5
    unit = torch.nn.functional.normalize(states.double(), dim=-1)
    gram = unit @ unit.mT
    expected = (gram.sum((1, 2)) - 30) / (30 * 29)
    np.testing.assert_allclose(anisotropy(states), expected, atol=1e-6)
    np.testing.assert_allclose(anisotropy(states.bfloat16()), expected, atol=2e-3)


def test_anisotropy_at_its_limits():
    assert anisotropy(torch.ones(1, 9, 4)) == pytest.approx(1)
    assert anisotropy(torch.tensor([[[1.0, 2], [-1, -2]]])) == pytest.approx(-1)
    assert anisotropy(torch.tensor([[[1.0, 0], [1, 0], [0, 0]]])) == pytest.approx(1 / 3)  # a zero patch counts 0
    assert np.isnan(anisotropy(torch.ones(1, 1, 4))).all()


def test_locality_by_hand():
    # A row of three patches: neighbours at 60 degrees, the ends at 120.
    angles = torch.tensor([0.0, 60, 120]).deg2rad()
    states = torch.stack([angles.cos(), angles.sin()], -1)[None]
    distances, cosines = locality(states, 1, 3)
    assert distances.tolist() == [1, 2]
    np.testing.assert_allclose(cosines, [[0.5, -0.5]], atol=1e-6)


def test_locality_agrees_with_anisotropy_and_falls_for_a_smooth_layer():
    rough = noise(35, 16)
    place = torch.cartesian_prod(torch.arange(5.0), torch.arange(7.0))
    smooth = torch.cat([place.cos(), place.sin()], -1) @ noise(4, 16) * 0.5
    states = torch.stack([rough, smooth])
    distances, cosines = locality(states, 5, 7)
    assert distances[-1] == 7 and cosines.shape == (2, 7)  # √(4² + 6²) = 7.2
    bins = np.rint(np.hypot(*(place.numpy()[:, None] - place.numpy()[None]).transpose(2, 0, 1))).astype(int)
    pairs = np.bincount(bins.ravel())[1:]
    np.testing.assert_allclose(cosines @ pairs / pairs.sum(), anisotropy(states), atol=1e-6)
    assert cosines[1, 0] > cosines[1, 2] + 0.3 and abs(cosines[0, 0]) < 0.15
    zero = torch.zeros(1, 35, 4)
    assert not locality(zero, 5, 7)[1].any()


def ridge_by_definition(x, y, folds, penalty_share):
    """Augmented least squares with a free intercept, in float64."""
    x = (x - x.mean(0)) / x.std(0)
    penalty = penalty_share * (x**2).sum(1).mean()
    error = spread = 0
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        middle_x, middle_y = x[train].mean(0), y[train].mean(0)
        inner = (x[train] - middle_x).T @ (x[train] - middle_x) + penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(inner, (x[train] - middle_x).T @ (y[train] - middle_y))
        guess = middle_y + (x[test] - middle_x) @ weights
        error, spread = error + ((y[test] - guess) ** 2).sum(0), spread + ((y[test] - middle_y) ** 2).sum(0)
    return 1 - error / spread


@pytest.mark.parametrize("width", [20, 150])  # primal, dual
def test_ridge_in_both_forms_equals_its_definition(width):
    x = noise(100, width) + 2
    y = torch.stack([x[:, 0] + noise(100, seed=1), noise(100, seed=2)], -1)
    folds = torch.arange(100) % 5
    expected = ridge_by_definition(x.double().numpy(), y.double().numpy(), folds.numpy(), 0.1)
    np.testing.assert_allclose(ridge_r2(x, y, folds), expected, atol=1e-4)


def test_place_is_read_where_it_is_written():
    rows, cols = 8, 10
    readable, noisy = place_states(rows, cols), place_states(rows, cols, signal=0)
    found = place_readability(torch.stack([readable, noisy]), rows, cols)
    assert found.shape == (2, 2)
    assert (found[0] > 0.8).all() and (found[1] < 0.1).all()
    np.testing.assert_array_equal(found, place_readability(torch.stack([readable, noisy]), rows, cols))


def test_row_and_column_are_told_apart():
    place = torch.cartesian_prod(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8))
    row_only = place[:, :1] @ noise(1, 16) * 3 + noise(64, 16, seed=2)
    row, col = place_readability(row_only[None, None], 8, 8)[0]
    assert row > 0.8 and col < 0.2


def test_folds_are_whole_pictures_where_there_are_enough():
    """Each picture writes place into channels of its own: only folds that mix pictures could read it."""
    rows, cols = 6, 6
    mixed = torch.zeros(1, 6, rows * cols, 12)
    for n in range(6):
        mixed[0, n, :, 2 * n : 2 * n + 2] = torch.cartesian_prod(
            torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols)
        )
    assert (place_readability(mixed, rows, cols) < 0.1).all()
    assert (place_readability(mixed[:, :4], rows, cols) > 0.7).all()
    shared = place_readability(place_states(rows, cols, pictures=6)[None], rows, cols)
    assert (shared > 0.8).all()


def test_constant_features_and_targets():
    assert np.abs(place_readability(torch.ones(1, 1, 36, 8), 6, 6)).max() < 0.2
    assert np.isnan(place_readability(noise(1, 1, 6, 8), 1, 6)[0, 0])
