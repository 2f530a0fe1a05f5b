import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from explorer.records import (
    EncoderError,
    EncoderInfo,
    Fit,
    InputError,
    Picture,
    TokenKind,
    TokenLayout,
    View,
)
from explorer.services.explore import Explorer, explore_features
from explorer.services.pictures import read_picture
from explorer.services.stress import difference


def make_picture(seed=0, name="a.png"):
    return Picture(name, np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8), ("a note",))


class FakeEncoder:
    """Random states that depend on the picture; counts its forwards and can be made slow or to fail."""

    def __init__(self, id, blocks=4, delay_seconds=0.0):
        self.info = EncoderInfo(id, id.title(), "Fake", blocks, 8, 2, 8, 32, 1, True, True, "float32", "cpu")
        self.layout = TokenLayout((TokenKind.CLS, *[TokenKind.PATCH] * 16), 4, 4)
        self.delay_seconds, self.forwards, self.error = delay_seconds, 0, None

    def view(self, picture, fit=Fit.ENCODER):
        return View(picture.pixels[:32, :32], (0.0, 0.0, 32.0, 32.0), Fit.CROP)

    def forward(self, views):
        import torch

        from explorer.models.vision import Features

        time.sleep(self.delay_seconds)
        self.forwards += 1
        if self.error:
            raise self.error
        states = []
        for view in views:
            random = torch.Generator().manual_seed(int(view.pixels.astype(int).sum()))
            states.append(torch.randn(self.info.blocks + 1, 17, 8, generator=random))
        return Features(self.info, torch.stack(states, 1), tuple(views), self.layout, 0.5)

    def text_match(self, features, text):
        return features.states[:, :, 1:].mean(-1) + len(text)


def explorer_with(*encoders, **settings):
    """An explorer that knows these encoders, with the first in use."""
    known = {encoder.info.id: encoder for encoder in encoders}

    def opener(id, *, device, dtype, on_progress):
        on_progress(0.5, "half")
        if id not in known:
            raise EncoderError(f"There is no encoder {id}: choose another.")
        return known[id]

    explorer = Explorer(opener=opener, **settings)
    if encoders:
        explorer.use(encoders[0].info.id)
        assert explorer.wait(5).phase == "ready"
    return explorer


def test_an_exploration_holds_what_the_view_shows():
    fake, picture = FakeEncoder("fake"), make_picture()
    explorer = explorer_with(fake)
    found = explorer.explore(picture)
    assert found.picture_name == "a.png" and found.picture_key == picture.key and found.notes == ("a note",)
    assert found.size_px == (60, 40) and found.encoder is fake.info and found.live
    assert set(found.similarity) == {"token", "pooled", "cls", "cka"}
    for lrs in found.similarity.values():
        assert lrs.mean.shape == (5, 5) and lrs.pictures == 1 and np.isnan(lrs.stderr).all()
        assert np.allclose(np.diagonal(lrs.mean), 1, atol=1e-5)
    assert found.change.shape == (5, 5, 16) and found.change.dtype == np.float32
    assert found.norm.shape == (5, 17)
    assert found.pca_joint.shape == found.pca_each.shape == (5, 16, 3)
    assert set(found.groups) == {"automatic"} and found.groups["automatic"].stop == 5
    assert found.forward_seconds == 0.5 and found.analysis_seconds > 0

    states = fake.forward([fake.view(picture)]).states[:, 0].numpy()
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    assert np.allclose(found.change[1, 3], (unit[1, 1:] * unit[3, 1:]).sum(-1), atol=1e-5)
    assert np.allclose(found.similarity["token"].mean[1, 3], found.change[1, 3].mean(), atol=1e-6)
    assert np.allclose(found.norm, np.linalg.norm(states, axis=-1), atol=1e-4)


def test_the_papers_groups_come_with_24_blocks():
    found = explorer_with(FakeEncoder("deep", blocks=24)).explore(make_picture())
    assert found.groups["paper"].starts == (1, 13, 21) and found.groups["paper"].source == "paper"


def test_one_forward_serves_every_view():
    fake, picture = FakeEncoder("fake"), make_picture()
    explorer = explorer_with(fake)
    found = explorer.explore(picture)
    same = explorer.patch_similarity(picture, Fit.ENCODER, 3)
    assert same.shape == (5, 16) and same.dtype == np.float32 and np.allclose(same[:, 3], 1, atol=1e-5)
    assert explorer.text_match(picture, Fit.ENCODER, " a car ").shape == (5, 16)
    renamed = Picture("b.png", picture.pixels)
    again = explorer.explore(renamed)
    assert fake.forwards == 1
    assert again.change is found.change and again.picture_name == "b.png" and again.notes == ()
    explorer.explore(picture, Fit.PAD)
    assert fake.forwards == 2


def test_concurrent_requests_compute_once():
    fake, picture = FakeEncoder("fake", delay_seconds=0.1), make_picture()
    explorer = explorer_with(fake)
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(explorer.explore, picture) for _ in range(3)]
        waiting += [pool.submit(explorer.patch_similarity, picture, Fit.ENCODER, 0) for _ in range(3)]
        for one in waiting:
            one.result()
    assert fake.forwards == 1


def test_the_cache_is_bounded():
    fake = FakeEncoder("fake")
    explorer = explorer_with(fake, cache_bytes=20_000)  # features take 2,720 bytes
    for seed in range(12):
        explorer.explore(make_picture(seed))
    assert fake.forwards == 12 and explorer._cache.bytes <= 20_000
    explorer.explore(make_picture(11))
    assert fake.forwards == 12
    explorer.explore(make_picture(0))
    assert fake.forwards == 13


def test_a_patch_outside_the_grid_is_refused():
    explorer = explorer_with(FakeEncoder("fake"))
    for patch in (-1, 16):
        with pytest.raises(InputError, match="0 to 15"):
            explorer.patch_similarity(make_picture(), Fit.ENCODER, patch)


def test_two_pictures_are_compared_patch_by_patch():
    explorer = explorer_with(FakeEncoder("fake"))
    found, view, grid = difference(explorer, make_picture(0), make_picture(1), Fit.ENCODER)
    assert found.shape == (5, 16) and (found > 0).all() and view.box_px == (0.0, 0.0, 32.0, 32.0)
    assert grid == (4, 4)
    assert not difference(explorer, make_picture(0), make_picture(0), Fit.ENCODER)[0].any()
    with pytest.raises(InputError, match="one size"):
        difference(explorer, make_picture(), Picture("b", np.zeros((40, 40, 3), np.uint8)), Fit.ENCODER)


def test_a_failing_load_leaves_the_encoder_in_use():
    explorer = explorer_with(FakeEncoder("fake"))
    explorer.use("unknown")
    status = explorer.wait(5)
    assert (status.id, status.phase, status.in_use) == ("unknown", "failed", "fake")
    assert status.message == "There is no encoder unknown: choose another."
    assert explorer.explore(make_picture()).encoder.id == "fake"


def test_an_unforeseen_error_while_loading_is_reported():
    def opener(id, **_):
        raise KeyError("weights")

    explorer = Explorer(opener=opener)
    explorer.use("odd")
    assert explorer.wait(5).message == "odd could not be loaded: KeyError: 'weights'"


def test_switching_serves_the_new_encoder():
    explorer, picture = explorer_with(FakeEncoder("one"), FakeEncoder("two", blocks=6)), make_picture()
    assert explorer.explore(picture).change.shape[0] == 5
    explorer.use("two")
    assert explorer.wait(5).in_use == "two"
    assert explorer.explore(picture).change.shape[0] == 7
    assert explorer.encoder is not None and explorer.encoder.id == "two"


def test_calls_wait_for_the_first_encoder_and_use_returns_at_once():
    go, fake, said = threading.Event(), FakeEncoder("fake"), []

    def opener(id, *, on_progress, **_):
        on_progress(0.3, "reading weights")
        said.append(explorer.status())
        go.wait(5)
        return fake

    explorer = Explorer(opener=opener)
    assert explorer.status().phase == "idle" and explorer.encoder is None
    started = time.perf_counter()
    explorer.use("fake")
    assert time.perf_counter() - started < 0.1 and explorer.status().phase == "loading"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(explorer.explore, make_picture())
        time.sleep(0.05)
        assert not waiting.done()
        go.set()
        assert waiting.result(5).encoder.id == "fake"
    assert (said[0].fraction, said[0].message) == (0.3, "reading weights")
    assert explorer.status().fraction == 1 and explorer.status().message == "Fake is ready."


def test_without_an_encoder_calls_say_why():
    with pytest.raises(EncoderError, match="No encoder was chosen"):
        Explorer().explore(make_picture())
    explorer = explorer_with()
    explorer.use("unknown")
    with pytest.raises(EncoderError, match="There is no encoder unknown"):
        explorer.explore(make_picture())


def test_a_call_does_not_wait_for_ever():
    go = threading.Event()
    explorer = Explorer(opener=lambda id, **_: go.wait(5), wait_seconds=0.05)
    explorer.use("slow")
    with pytest.raises(EncoderError, match="not ready after 0 s"):
        explorer.explore(make_picture())
    go.set()


def test_the_encoder_asked_for_last_wins():
    go, opened = threading.Event(), []

    def opener(id, *, on_progress, **_):
        opened.append(id)
        if id == "first":
            go.wait(5)
            on_progress(0.9, "nearly")  # leaves the load: another was asked for
            opened.append("first to its end")
        return FakeEncoder(id)

    explorer = Explorer(opener=opener)
    explorer.use("first")
    while not opened:
        time.sleep(0.01)
    explorer.use("second")
    go.set()
    status = explorer.wait(5)
    assert (status.id, status.phase, status.in_use) == ("second", "ready", "second")
    assert opened == ["first", "second"]


def test_asking_for_the_one_in_use_ends_the_loading_of_another():
    go, opened = threading.Event(), []

    def opener(id, *, on_progress, **_):
        opened.append(id)
        if id == "large":
            go.wait(5)
            on_progress(0.9, "nearly")
            opened.append("large to its end")
        return FakeEncoder(id)

    explorer = Explorer(opener=opener)
    explorer.use("fake")
    explorer.wait(5)
    explorer.use("large")
    while len(opened) < 2:
        time.sleep(0.01)
    explorer.use("fake")
    status = explorer.status()
    assert (status.id, status.phase, status.in_use) == ("fake", "ready", "fake")
    go.set()
    with explorer._loading:  # the other has left
        assert opened == ["fake", "large"] and explorer.encoder.id == "fake"


def test_using_the_same_encoder_again_does_not_load_it_again():
    explorer = explorer_with(FakeEncoder("fake"))
    explorer._opener = None
    explorer.use("fake")
    assert explorer.status().phase == "ready"


def test_what_torch_raises_becomes_a_sentence():
    fake = FakeEncoder("fake")
    explorer = explorer_with(fake)
    fake.error = RuntimeError("CUDA out of memory.\nTried to allocate much")
    with pytest.raises(EncoderError, match="Fake could not look at the picture: CUDA out of memory"):
        explorer.explore(make_picture())
    fake.error = None
    assert explorer.explore(make_picture()).encoder.id == "fake"


def test_similarity_over_many_is_the_mean_of_each():
    fake = FakeEncoder("fake")
    explorer = explorer_with(fake)
    pictures, done = [make_picture(seed) for seed in range(6)], []
    found = explorer.similarity_over(iter(pictures), on_progress=done.append)
    assert done == [4, 6] and fake.forwards == 2
    each = np.stack([explorer.explore(picture).similarity["token"].mean for picture in pictures])
    assert found["token"].pictures == 6
    assert np.allclose(found["token"].mean, each.mean(0), atol=1e-6)
    assert np.allclose(found["token"].stderr, each.std(0, ddof=1) / 6**0.5, atol=1e-6)
    assert set(explorer.similarity_over(pictures[:1], kinds=("pooled",))) == {"pooled"}
    with pytest.raises(InputError, match="No picture"):
        explorer.similarity_over([])


def test_an_encoder_without_cls_has_no_cls_similarity():
    fake = FakeEncoder("fake")
    fake.layout = TokenLayout((TokenKind.REGISTER, *[TokenKind.PATCH] * 16), 4, 4)
    found, _ = explore_features(make_picture(), fake.forward([fake.view(make_picture())]))
    assert np.isnan(found.similarity["cls"].mean).all() and not np.isnan(found.similarity["token"].mean).any()


def test_a_real_encoder_through_all_questions(tiny_clip, photo):
    explorer = Explorer(device="cpu", dtype="float32")
    explorer.use(str(tiny_clip))
    assert explorer.wait(60).phase == "ready"
    picture = read_picture(photo)
    found = explorer.explore(picture)
    assert found.encoder.reads_text and found.view.fit is Fit.CROP and found.change.shape == (5, 5, 16)
    same = explorer.patch_similarity(picture, Fit.ENCODER, 5)
    assert np.allclose(same[:, 5], 1, atol=1e-5)
    match = explorer.text_match(picture, Fit.ENCODER, "a red car")
    assert match.shape == (5, 16) and match.dtype == np.float32 and np.abs(match).max() <= 1
    assert not np.allclose(match, explorer.text_match(picture, Fit.ENCODER, "a car"))
    attention = explorer.cls_attention(picture, Fit.ENCODER)
    assert attention.shape == (4, 2, 16) and attention.min() >= 0 and (attention.sum(-1) < 1).all()
    with pytest.raises(InputError, match="text"):
        explorer.text_match(picture, Fit.ENCODER, " ")
    over = explorer.similarity_over([picture, picture])["token"]
    assert np.allclose(over.mean, found.similarity["token"].mean, atol=1e-5)
