import numpy as np
import pytest
import torch

from explorer.analysis.projection import pca_colours, pca_coordinates


def spectrum_states(layers=3, patches=64, width=40, seed=0):
    """Patches whose variance falls quickly along random directions."""
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    spread = torch.randn(layers, patches, width, generator=generator) * 0.6 ** torch.arange(width)
    return (spread @ rotation + 0.3).contiguous()


def exact_scores(states, components):
    unit = torch.nn.functional.normalize(states.double(), dim=-1)
    centred = (unit - unit.mean(1, keepdim=True)).flatten(0, 1)
    return (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:components].T).view(*states.shape[:2], -1)


def test_coordinates_equal_an_exact_decomposition_up_to_sign():
    states = spectrum_states()
    found, exact = pca_coordinates(states), exact_scores(states, 2).numpy()
    assert found.shape == (3, 64, 2) and found.dtype == np.float32
    signs = np.sign((found * exact).sum((0, 1)))
    np.testing.assert_allclose(found * signs, exact, atol=2e-3)


def test_coordinates_are_deterministic_and_keep_their_sign():
    states = spectrum_states()
    state = torch.get_rng_state()
    found = pca_coordinates(states)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(found, pca_coordinates(states))
    reordered = pca_coordinates(states.flip(1))[:, ::-1]
    np.testing.assert_allclose(found, reordered, atol=2e-3)


def test_the_largest_loading_of_a_component_is_positive():
    angles = torch.linspace(-0.6, 0.6, 50)
    for sign in (1, -1):  # turning the vectors round turns the scores round: the largest loading decides
        arc = torch.stack([angles.cos(), angles.sin(), 0.1 * angles], -1)[None] * sign
        scores = pca_coordinates(arc)[0, :, 0]
        assert np.sign(np.corrcoef(scores, arc[0, :, 1])[0, 1]) == 1


def test_length_of_tokens_does_not_matter():
    states = spectrum_states()
    stretched = states * torch.linspace(0.1, 100, 64)[:, None]
    np.testing.assert_allclose(pca_coordinates(stretched), pca_coordinates(states), atol=1e-4)


def test_an_offset_between_layers_takes_no_component():
    states = torch.nn.functional.normalize(spectrum_states(), dim=-1)
    extra = torch.zeros(3, 64, 3)
    extra[torch.arange(3), :, torch.arange(3)] = 5  # each layer far away in a direction of its own
    apart = pca_coordinates(torch.cat([states, extra], -1))
    np.testing.assert_allclose(apart * np.sqrt(26), pca_coordinates(states), atol=5e-3)


def test_first_component_becomes_red():
    ramp = torch.linspace(-0.3, 0.3, 50)  # angle: the patches lie on an arc
    states = torch.stack([ramp.cos(), ramp.sin()], -1)[None]
    red = pca_colours(states)[0][0, :, 0]
    assert (np.diff(red.astype(int)) >= 0).all() or (np.diff(red.astype(int)) <= 0).all()
    assert red.min() == 0 and red.max() == 255


@pytest.mark.parametrize("joint", [True, False])
def test_colours_use_the_range_and_ignore_outliers(joint):
    states = spectrum_states(layers=4, patches=100)
    states[:, 0] *= -1  # one patch far from the others
    colours = pca_colours(states)[not joint]
    assert colours.shape == (4, 100, 3) and colours.dtype == np.uint8
    flat = colours.reshape(-1, 3)
    assert (flat.min(0) == 0).all() and (flat.max(0) == 255).all()
    assert (flat.std(0) > 40).all()
    np.testing.assert_array_equal(colours, pca_colours(states)[not joint])


def test_joint_colours_are_comparable_and_each_layer_alone_has_full_contrast():
    states = spectrum_states(layers=1)
    unit = torch.nn.functional.normalize(states, dim=-1)
    mean = unit.mean(1, keepdim=True)
    faint = mean + 0.1 * (unit - mean)  # the same pattern, ten times weaker
    both = torch.cat([states, faint])
    joint, each = pca_colours(both)
    assert np.ptp(joint[1, :, 0].astype(int)) < 150 < np.ptp(joint[0, :, 0].astype(int))
    assert np.ptp(each[1, :, 0].astype(int)) == 255


@pytest.mark.parametrize("joint", [True, False])
def test_components_without_spread_are_grey(joint):
    line = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[torch.arange(30) % 2][None]  # two directions: one component
    colours = pca_colours(line)[not joint]
    assert set(colours[0, :, 0]) == {0, 255}
    assert (colours[0, :, 1:] == 128).all()
    assert (pca_colours(torch.full((2, 30, 8), 0.7))[not joint] == 128).all()
    assert (pca_colours(torch.zeros(2, 30, 8))[not joint] == 128).all()


def test_bfloat16_and_slices_of_longer_sequences():
    tokens = spectrum_states(patches=65)
    plain = pca_coordinates(tokens[:, 1:].contiguous())
    np.testing.assert_allclose(pca_coordinates(tokens[:, 1:]), plain, atol=1e-4)
    np.testing.assert_allclose(pca_coordinates(tokens[:, 1:].bfloat16()), plain, atol=0.02)
