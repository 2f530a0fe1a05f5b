import numpy as np
import pytest
import torch

from explorer.analysis.parts import norms
from explorer.analysis.similarity import (
    KINDS,
    SimilarityStream,
    hsic,
    paired_distance,
    patch_similarity,
    similarity,
    token_gram,
)
from explorer.records import InputError


def random_states(layers=4, pictures=3, patches=30, width=16, seed=0, dtype=torch.float32):
    """Layers that resemble their predecessor, with a common offset."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(layers, pictures, patches, width, generator=generator)
    return (steps.cumsum(0) + 0.5).to(dtype)


def hsic_by_definition(x, y):
    """Song et al. 2012, eq. 5, on uncentred features."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    total = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    return total / (n * (n - 3))


def test_token_gram_is_the_cosine_of_each_pair_of_layers():
    states = random_states()
    grams = token_gram(states)
    assert grams.shape == (4, 4, 3, 30) and grams.dtype == torch.float32
    expected = torch.nn.functional.cosine_similarity(states[:, None], states[None], dim=-1)
    np.testing.assert_allclose(grams, expected, atol=1e-6, rtol=0)


def test_token_gram_by_hand():
    states = torch.tensor([[3.0, 4.0], [4.0, 3.0], [-3.0, -4.0]])[:, None, None]
    expected = torch.tensor([[1, 0.96, -1], [0.96, 1, -0.96], [-1, -0.96, 1]])
    np.testing.assert_allclose(token_gram(states)[:, :, 0, 0], expected, atol=1e-6)


def test_every_kind_is_symmetric_with_ones_on_the_diagonal():
    states = random_states()
    found = similarity(states, states[:, :, 0])
    assert set(found) == {*KINDS, "hsic"}
    for kind in KINDS:
        assert found[kind].shape == (3, 4, 4) and found[kind].dtype == torch.float32
        np.testing.assert_allclose(found[kind], found[kind].mT, atol=1e-6, rtol=0)
        np.testing.assert_allclose(found[kind].diagonal(dim1=1, dim2=2), torch.ones(3, 4), atol=1e-6, rtol=0)


def test_token_pooled_and_cls_match_their_definitions():
    states, cls = random_states(), random_states(patches=1, seed=1)[:, :, 0]
    found = similarity(states, cls)
    cosine = torch.nn.functional.cosine_similarity
    token = cosine(states[:, None], states[None], dim=-1).mean(-1).permute(2, 0, 1)
    pooled = cosine(states.mean(2)[:, None], states.mean(2)[None], dim=-1).permute(2, 0, 1)
    np.testing.assert_allclose(found["token"], token, atol=1e-6, rtol=0)
    np.testing.assert_allclose(found["pooled"], pooled, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        found["cls"], cosine(cls[:, None], cls[None], dim=-1).permute(2, 0, 1), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("patches", [4, 30, 200])  # below, and above, the size of a block of tokens
def test_hsic_is_the_unbiased_estimator(patches):
    states = random_states(patches=patches)
    found = hsic(states).numpy()
    arrays = states.double().numpy()
    for n in range(3):
        expected = [[hsic_by_definition(arrays[i, n], arrays[j, n]) for j in range(4)] for i in range(4)]
        np.testing.assert_allclose(found[n], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_cka_ignores_rotation_scale_and_offset_and_falls_without_relation():
    x = random_states(layers=1, pictures=1, patches=200)[0, 0]
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1))).Q
    unrelated = random_states(layers=1, pictures=1, patches=200, seed=2)[0, 0]
    layers = torch.stack([x, 7 * x @ rotation + 3, x * torch.linspace(0.01, 3, 16), unrelated])[:, None]
    cka = similarity(layers, None, ("cka",))["cka"][0]
    assert cka[0, 1] == pytest.approx(1, abs=1e-4)
    assert cka[0, 2] < 0.97  # stretching is not isotropic
    assert abs(cka[0, 3]) < 0.05  # unbiased: about zero, where the biased estimator gives about D/P


def test_pictures_are_worked_on_a_few_at_a_time(monkeypatch):
    states = random_states(pictures=5)
    at_once = hsic(states)
    monkeypatch.setattr("explorer.analysis.similarity.WORKING_BYTES", 4 * states[:, :2].numel())
    np.testing.assert_allclose(hsic(states), at_once, rtol=1e-6)


def test_only_what_is_asked_for_is_computed(monkeypatch):
    def refuse(*_):
        raise AssertionError

    states = random_states()
    cosines = token_gram(states)
    monkeypatch.setattr("explorer.analysis.similarity.hsic", refuse)
    monkeypatch.setattr("explorer.analysis.similarity.token_gram", refuse)
    found = similarity(states, None, ("token", "pooled"), cosines)
    assert set(found) == {"token", "pooled"}
    np.testing.assert_allclose(found["token"], cosines.mean(-1).permute(2, 0, 1), rtol=1e-6)


def test_few_bfloat16_patches_are_compared_in_float32():
    states = random_states(dtype=torch.bfloat16)
    low, high = similarity(states, states[:, :, 0]), similarity(states.float(), states[:, :, 0].float())
    for kind in KINDS:
        assert low[kind].dtype == torch.float32
        np.testing.assert_allclose(low[kind], high[kind], atol=1e-5, rtol=0)


@pytest.mark.parametrize("patches", [100, 250, 400])  # below, and above, the sizes of the blocks of products
def test_many_bfloat16_patches_are_compared_nearly_as_well(patches):
    states = random_states(layers=3, pictures=2, patches=patches, width=64)
    states[1:, :, 2] *= 30  # as the few tokens of huge norm that deep layers have
    states = (states + 20 * torch.eye(64)[5]).bfloat16()
    low, high = similarity(states, states[:, :, 0]), similarity(states.float(), states[:, :, 0].float())
    for kind in KINDS:
        assert low[kind].dtype == torch.float32
        np.testing.assert_allclose(low[kind], high[kind], atol=1e-3 if kind == "cka" else 1e-5, rtol=0)


def test_states_are_worked_on_in_parts(monkeypatch):
    for dtype in (torch.float32, torch.bfloat16):
        states = random_states(dtype=dtype)
        whole, grams, lengths = similarity(states, None), token_gram(states), norms(states)
        monkeypatch.setattr("explorer.analysis.parts.PART_BYTES", 4 * states[0].numel() + 1)  # a layer, some tokens
        for kind, found in similarity(states, None).items():
            np.testing.assert_allclose(found, whole[kind], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(token_gram(states), grams, atol=1e-6)
        assert torch.equal(norms(states), lengths)
        monkeypatch.undo()


def test_views_of_longer_sequences_and_transposed_memory():
    tokens = random_states(patches=31)
    patches = tokens[:, :, 1:]
    other = patches.permute(1, 2, 0, 3).contiguous().permute(2, 0, 1, 3)
    for kind, found in similarity(patches, None).items():
        np.testing.assert_allclose(found, similarity(patches.contiguous(), None)[kind], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found, similarity(other, None)[kind], rtol=1e-5, atol=1e-5)


def test_zero_tokens_are_like_nothing():
    states = random_states()
    states[1, :, 5] = 0
    grams = token_gram(states)
    assert not grams[1, :, :, 5].any() and torch.isfinite(grams).all()
    found = similarity(states, states[:, :, 5])
    assert not found["cls"][:, 1].any()
    assert all(torch.isfinite(values).all() for values in found.values())
    assert not patch_similarity(states[:, 0], 5)[1].any()


def test_cka_of_equal_patches_is_nan_and_leaves_the_other_layers_alone():
    states = random_states()
    states[1] = 0.1
    cka = similarity(states, None, ("cka",))["cka"]
    assert cka[:, 1].isnan().all() and cka[:, :, 1].isnan().all()
    rest = [0, 2, 3]
    assert torch.isfinite(cka[:, rest][:, :, rest]).all()


def test_missing_cls_and_too_few_patches_are_nan():
    found = similarity(random_states(patches=3), None)
    assert found["cls"].isnan().all() and found["cka"].isnan().all()
    assert torch.isfinite(found["token"]).all() and torch.isfinite(found["pooled"]).all()


def test_unknown_kind_and_patch_are_refused():
    with pytest.raises(InputError, match="'cosine'"):
        similarity(random_states(), None, ("cosine",))
    with pytest.raises(InputError, match="0 to 29"):
        patch_similarity(random_states()[:, 0], 30)


def test_patch_similarity_is_the_cosine_with_one_patch():
    states = random_states()[:, 0]
    expected = torch.nn.functional.cosine_similarity(states, states[:, 7:8], dim=-1)
    np.testing.assert_allclose(patch_similarity(states, 7), expected, atol=1e-6, rtol=0)


def stream_of(*parts):
    stream = SimilarityStream()
    for part in parts:
        stream.add(similarity(part, part[:, :, 0]))
    return stream


def test_stream_equals_one_batch():
    states = random_states(pictures=10)
    batch = similarity(states, states[:, :, 0])
    result = stream_of(states[:, :1], states[:, 1:4], states[:, 4:]).result()
    assert set(result) == set(KINDS)
    for kind in ("token", "pooled", "cls"):
        each = batch[kind].double().numpy()
        assert result[kind].kind == kind and result[kind].pictures == 10
        np.testing.assert_allclose(result[kind].mean, each.mean(0), atol=1e-6)
        np.testing.assert_allclose(result[kind].stderr, each.std(0, ddof=1) / np.sqrt(10), atol=1e-6)
    terms = batch["hsic"].mean(0).numpy()
    own = np.diagonal(terms)
    np.testing.assert_allclose(result["cka"].mean, terms / np.sqrt(np.outer(own, own)), rtol=1e-6)
    np.testing.assert_allclose(result["cka"].stderr.diagonal(), 0, atol=1e-6)


def test_merged_streams_equal_one_pass_through_stored_arrays(tmp_path):
    states = random_states(pictures=9)
    one = stream_of(states).result()
    np.savez(tmp_path / "part.npz", **stream_of(states[:, 5:]).state())
    stream = stream_of(states[:, :5])
    with np.load(tmp_path / "part.npz", allow_pickle=False) as part:
        stream.merge(part)
    for kind, merged in stream.result().items():
        assert merged.pictures == 9
        np.testing.assert_allclose(merged.mean, one[kind].mean, rtol=1e-9)
        np.testing.assert_allclose(merged.stderr, one[kind].stderr, rtol=1e-6, atol=1e-7)


def test_state_is_a_copy_of_constant_size():
    stream = stream_of(random_states())
    before = stream.state()
    stream.add(similarity(random_states(seed=1), None, ("token",)))
    assert before["token"][0, 0, 0] == 3 and stream.state()["token"][0, 0, 0] == 6
    assert {kind: state.shape for kind, state in stream.state().items()} == dict.fromkeys(before, (5, 4, 4))


def test_stderr_of_cka_agrees_with_the_spread_of_repetitions():
    """The delta method against what it estimates: CKA of many collections of 40 pictures each."""
    repetitions = [
        stream_of(random_states(pictures=40, patches=12, width=6, seed=s)).result()["cka"] for s in range(60)
    ]
    spread = np.std([r.mean for r in repetitions], axis=0, ddof=1)
    claimed = np.mean([r.stderr for r in repetitions], axis=0)
    off = ~np.eye(4, dtype=bool)
    assert (np.abs(claimed[off] / spread[off] - 1) < 0.35).all()  # a spread from 40 has an error of 11 %


def test_one_picture_has_no_stderr_and_a_missing_cls_stays_nan():
    stream = SimilarityStream()
    assert stream.result() == {}
    stream.add(similarity(random_states(pictures=1), None))
    result = stream.result()
    assert result["cka"].pictures == 1
    np.testing.assert_allclose(result["cka"].mean, similarity(random_states(pictures=1), None)["cka"][0], atol=1e-6)
    assert all(np.isnan(one.stderr).all() for one in result.values())
    assert np.isnan(result["cls"].mean).all()


def test_cka_without_its_terms_is_refused():
    with pytest.raises(InputError, match="hsic"):
        SimilarityStream().add({"cka": torch.ones(1, 4, 4)})


def test_paired_distance_is_one_less_cosine_of_the_same_token():
    first = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]])
    second = torch.tensor([[[0.0, 3.0], [5.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(paired_distance(first, second), [[1, 0, 0]], atol=1e-6)
    states = random_states()[:, 0]
    np.testing.assert_array_equal(paired_distance(states, states.clone()), 0)
    np.testing.assert_allclose(paired_distance(states, -states), 2, atol=1e-6)
