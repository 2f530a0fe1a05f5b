import numpy as np
import pytest
import torch

from explorer.analysis import embedding
from explorer.analysis.embedding import (
    StoppedError,
    cluster,
    nearest,
    trustworthiness,
    tsne_coordinates,
    umap_coordinates,
)
from explorer.analysis.projection import pca_coordinates, pca_shares


def three_bunches(layers=2, each=14, width=24, spread=0.25, seed=0):
    """[L, 3 · each, D]: three directions; the layers differ by a small turn."""
    random = torch.Generator().manual_seed(seed)
    middles = torch.linalg.qr(torch.randn(width, 3, generator=random)).Q.T.repeat_interleave(each, 0)
    steps = torch.randn(layers, 3 * each, width, generator=random) * spread / width**0.5
    return middles + steps


def bunches_kept(places, each=14):
    """Share of tokens whose nearest on the map is of the same bunch."""
    flat = torch.as_tensor(places)
    apart = torch.cdist(flat, flat).fill_diagonal_(torch.inf)
    return (apart.argmin(1) // each == torch.arange(len(flat)) // each).float().mean().item()


def test_nearest_equals_sorting_all_cosines_and_begins_with_the_token_itself():
    unit = torch.nn.functional.normalize(torch.randn(700, 12, generator=torch.Generator().manual_seed(0)), dim=-1)
    unit[5] = unit[3]  # a twin must not take the place of the token itself
    indices, distances = nearest(unit, 6)
    assert indices.dtype == np.int32 and distances.dtype == np.float32
    np.testing.assert_array_equal(indices[:, 0], np.arange(700))
    expected = np.sort(1 - (unit @ unit.T).fill_diagonal_(1).numpy(), axis=1)[:, :6]
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    assert indices[5, 1] == 3 and (np.diff(distances, axis=1) >= 0).all()


def test_candidates_in_few_directions_find_the_nearest_of_many_wide_tokens(monkeypatch):
    monkeypatch.setattr(embedding, "FEW", 200)
    monkeypatch.setattr(embedding, "SKETCH", 24)
    spectrum = 0.9 ** torch.arange(80)
    tokens = torch.randn(600, 80, generator=torch.Generator().manual_seed(0)) * spectrum
    unit = torch.nn.functional.normalize(tokens, dim=-1)
    indices, distances = nearest(unit, 8)
    exact = (unit @ unit.T).topk(8)
    recall = np.mean([len(set(a) & set(b)) / 8 for a, b in zip(indices.tolist(), exact.indices.tolist(), strict=True)])
    assert recall > 0.97
    np.testing.assert_allclose(distances[:, 1:4], 1 - exact.values[:, 1:4], atol=0.02)


def test_umap_keeps_bunches_together_aligns_layers_tells_how_far_it_is_and_stops():
    states = three_bunches()
    start, said = pca_coordinates(states), []
    places = umap_coordinates(states, start, epochs=60, on_progress=said.append)
    assert places.shape == (2, 42, 2) and places.dtype == np.float32 and np.isfinite(places).all()
    assert all(bunches_kept(layer) > 0.95 for layer in places)
    step = np.linalg.norm(places[1] - places[0], axis=-1).mean()
    size = np.linalg.norm(places - places.mean((0, 1)), axis=-1).mean()
    assert step < 0.5 * size
    assert said == sorted(said) and said[0] == 0 and said[-1] > 0.9

    def stop(share):
        if share > 0.3:
            raise StoppedError

    with pytest.raises(StoppedError):
        umap_coordinates(states, start, epochs=60, on_progress=stop)
    umap_coordinates(states, start, epochs=12)  # the one that was stopped holds nothing up


def test_tsne_keeps_bunches_together():
    states = three_bunches(layers=1)
    places = tsne_coordinates(states, pca_coordinates(states))
    assert places.shape == (1, 42, 2) and places.dtype == np.float32 and bunches_kept(places[0]) > 0.95


def test_trustworthiness_equals_the_definition_of_scikit_learn():
    from sklearn.manifold import trustworthiness as theirs

    states = torch.randn(90, 10, generator=torch.Generator().manual_seed(0))
    places = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    expected = theirs(states.numpy(), places, n_neighbors=7, metric="cosine")
    assert trustworthiness(states, places, 7) == pytest.approx(expected, abs=1e-6)
    arc = (0.01 + 0.02 * torch.rand(60, generator=torch.Generator().manual_seed(0))).cumsum(0)  # no two equally far
    assert trustworthiness(torch.stack([arc.cos(), arc.sin()], -1), torch.stack([arc, 0 * arc], -1).numpy(), 5) == 1
    assert np.isnan(trustworthiness(states[:20], places[:20], 15))


def test_clusters_keep_their_number_from_layer_to_layer():
    found = cluster(three_bunches(layers=4), 3)
    assert found.shape == (4, 42) and found.dtype == np.uint8
    assert (found == found[-1]).all()
    assert len({*found[0, :14]}) == 1 and len({*found[0]}) == 3
    uneven = torch.cat([three_bunches(layers=1)[:, :30], three_bunches(layers=1)[:, :2]], 1)
    assert np.bincount(cluster(uneven, 3)[0]).tolist() == sorted(np.bincount(cluster(uneven, 3)[0]), reverse=True)


def test_shares_of_variation_are_those_of_an_exact_decomposition():
    states = three_bunches(layers=3, spread=1.0)
    unit = torch.nn.functional.normalize(states.double(), dim=-1)
    values = torch.linalg.svdvals((unit - unit.mean(1, keepdim=True)).flatten(0, 1)).square()
    assert pca_shares(states, pca_coordinates(states)) == pytest.approx((values[:2] / values.sum()).tolist(), abs=0.01)
    assert np.isnan(pca_shares(torch.ones(1, 9, 4), np.zeros((1, 9, 2), np.float32))).all()
