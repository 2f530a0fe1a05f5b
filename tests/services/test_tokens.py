import threading
import time

import numpy as np
import pytest
from test_explore import FakeEncoder, explorer_with, make_picture

from explorer.records import EncoderError, Fit, InputError
from explorer.services import tokens
from explorer.services.tokens import TokenMap, TokenMaps, Underway


@pytest.fixture
def encoder():
    return FakeEncoder("one")


@pytest.fixture
def maps(encoder):
    return TokenMaps(explorer_with(encoder))


def finished(maps, *asked):
    *before, last = maps.map(*asked)
    assert isinstance(last, TokenMap) and all(isinstance(said, Underway) for said in before)
    return last


def test_a_map_of_one_picture_and_of_two_in_one_basis(maps):
    one = finished(maps, [make_picture()], Fit.CROP)
    assert one.method == "pca" and one.layers == (0, 1, 2, 3, 4) and one.places.shape == (5, 16, 2)
    assert 0 < one.shares[1] <= one.shares[0] < 1 and np.isnan(one.trust).all()  # too few tokens to judge
    two = finished(maps, [make_picture(), make_picture(1)], Fit.CROP)
    assert two.places.shape == (5, 32, 2) and two.trust.shape == (5,) and ((two.trust > 0.3) & (two.trust <= 1)).all()
    np.testing.assert_allclose(two.places.mean(1), 0, atol=1e-5)  # of both together, not of each
    assert np.abs(two.places[:, :16].mean(1)).max() > 1e-3


def test_an_encoder_looks_once_and_a_map_is_made_once(maps, encoder):
    first = finished(maps, [make_picture()], Fit.CROP)
    assert finished(maps, [make_picture(name="again.png")], Fit.CROP) is first
    maps.clusters([make_picture()], Fit.CROP, 3)
    assert encoder.forwards == 1


def test_tsne_takes_the_layers_named_and_says_that_it_is_underway(maps):
    pictures = [make_picture()]
    said = list(maps.map(pictures, Fit.CROP, "tsne", [4, 1, 1]))
    assert isinstance(said[0], Underway) and "32 tokens" in said[0].message
    assert said[-1].layers == (1, 4) and said[-1].places.shape == (2, 16, 2)
    for layers in ([], [5], [-1]):
        with pytest.raises(InputError, match="0 to 4"):
            list(maps.map(pictures, Fit.CROP, "tsne", layers))


def test_the_maps_of_a_picture_that_are_held_are_told(maps):
    picture, other = make_picture(), make_picture(1)
    made = [finished(maps, [picture], Fit.CROP, "tsne", layers) for layers in ([1], [2, 3])]
    finished(maps, [other], Fit.CROP, "tsne", [1])
    finished(maps, [picture], Fit.SQUASH, "tsne", [1])
    maps.clusters([picture], Fit.CROP, 3)
    assert maps.fitted([make_picture(name="again.png")], Fit.CROP) == made and maps.fitted([other], Fit.PAD) == []


def test_tsne_of_too_many_tokens_is_refused(maps, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TSNE", 40)
    with pytest.raises(InputError, match="48 tokens"):
        list(maps.map([make_picture()], Fit.CROP, "tsne", [0, 1, 2]))


def test_umap_waits_for_its_compilation_and_says_so(maps, monkeypatch):
    from explorer.analysis import embedding

    compiled = []
    monkeypatch.setattr(embedding, "warm_up", lambda: compiled.append(1))

    def fit(states, start, on_progress):
        on_progress(0.5)
        return start

    monkeypatch.setattr(embedding, "umap_coordinates", fit)
    said = list(maps.map([make_picture()], Fit.CROP, "umap"))
    assert "compiled" in said[0].message and said[1].fraction == 0.5 and said[-1].method == "umap"
    assert maps.warm and finished(maps, [make_picture(1)], Fit.CROP, "umap").places.shape == (5, 16, 2)
    assert compiled == [1]


def test_who_leaves_stops_the_fit_and_the_next_one_fits_again(maps, monkeypatch):
    from explorer.analysis import embedding

    going, stopped = threading.Event(), threading.Event()
    monkeypatch.setattr(embedding, "warm_up", lambda: None)

    def endless(states, start, on_progress):
        try:
            while True:
                on_progress(0.1)
                going.wait(0.01)
        except embedding.StoppedError:
            stopped.set()
            raise

    monkeypatch.setattr(embedding, "umap_coordinates", endless)
    asking = maps.map([make_picture()], Fit.CROP, "umap")
    next(asking)
    asking.close()
    assert stopped.wait(20)
    monkeypatch.setattr(embedding, "umap_coordinates", lambda states, start, on_progress: start)
    assert finished(maps, [make_picture()], Fit.CROP, "umap").method == "umap"


def test_who_waited_for_one_who_leaves_gets_a_map_all_the_same(maps, monkeypatch):
    from explorer.analysis import embedding

    begun = []
    monkeypatch.setattr(embedding, "warm_up", lambda: None)

    def fit(states, start, on_progress):
        begun.append(1)
        while len(begun) == 1:  # the first never ends by itself
            on_progress(0.1)
            time.sleep(0.01)
        return start

    monkeypatch.setattr(embedding, "umap_coordinates", fit)
    leaving = maps.map([make_picture()], Fit.CROP, "umap")
    next(leaving)
    found = []
    other = threading.Thread(target=lambda: found.append(finished(maps, [make_picture()], Fit.CROP, "umap")))
    other.start()
    time.sleep(0.3)
    assert begun == [1] and not found
    leaving.close()
    other.join(20)
    assert found[0].method == "umap" and begun == [1, 1]


def test_what_fails_in_the_fit_reaches_who_waits(maps, monkeypatch):
    from explorer.analysis import embedding

    def broken(states, start):
        raise RuntimeError("no memory")

    monkeypatch.setattr(embedding, "tsne_coordinates", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        list(maps.map([make_picture()], Fit.CROP, "tsne", [1]))


def test_every_second_row_and_column_where_all_would_be_too_many(maps, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", 79)
    board = maps.board([make_picture()], Fit.CROP)
    assert (board.rows, board.cols, board.grid, board.stride) == (2, 2, (4, 4), 2)
    thinned = maps.similarity([make_picture()], Fit.CROP, 1)
    monkeypatch.setattr(tokens, "MOST_TOKENS", 80)
    every = maps.similarity([make_picture()], Fit.CROP, 2)  # the same patch, in row 0 and column 2
    np.testing.assert_allclose(thinned, every[:, [0, 2, 8, 10]], atol=1e-6)
    assert maps.facts([make_picture()], Fit.CROP).patches == 16


def test_similarity_reaches_across_pictures(maps):
    pictures = [make_picture(), make_picture(1)]
    found = maps.similarity(pictures, Fit.CROP, 20)
    assert found.shape == (5, 32) and np.abs(found).max() <= 1 + 1e-6
    np.testing.assert_allclose(found[:, 20], 1, atol=1e-5)
    assert maps.similarity(pictures, Fit.CROP, 3)[2, 20] == pytest.approx(found[2, 3], abs=1e-6)
    with pytest.raises(InputError, match="0 to 31"):
        maps.similarity(pictures, Fit.CROP, 32)


def test_clusters_are_counted_and_bounded(maps):
    assert maps.clusters([make_picture()], Fit.CROP, 4).max() == 3
    for count in (1, 9):
        with pytest.raises(InputError, match="2 to 8"):
            maps.clusters([make_picture()], Fit.CROP, count)


def test_facts_of_one_picture_have_no_interval_and_of_many_have(maps):
    one = maps.facts([make_picture()], Fit.CROP)
    assert one.pictures == 1 and one.patches == 16 and not one.by_picture
    assert one.effective_rank.shape == (2, 5) and np.isnan(one.effective_rank[1]).all()
    assert one.locality.shape == (2, 5, len(one.distances)) and one.place.shape == (5, 2)
    pictures = [make_picture(seed) for seed in range(5)]
    many = maps.facts(pictures, Fit.CROP)
    assert many.by_picture and (many.anisotropy[1] > 0).all()
    each = [maps.facts([picture], Fit.CROP).effective_rank[0] for picture in pictures]
    np.testing.assert_allclose(many.effective_rank[0], np.mean(each, 0))
    np.testing.assert_allclose(many.effective_rank[1], np.std(each, 0, ddof=1) / np.sqrt(5))


def test_complaints(maps):
    with pytest.raises(InputError, match="1 to 8 pictures; 9"):
        maps.board([make_picture(seed) for seed in range(9)], Fit.CROP)
    with pytest.raises(InputError, match="pca, umap, tsne"):
        list(maps.map([make_picture()], Fit.CROP, "magic"))
    with pytest.raises(EncoderError):
        TokenMaps(explorer_with()).board([make_picture()], Fit.CROP)
