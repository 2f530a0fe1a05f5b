import numpy as np
import pytest

from explorer.analysis.unlike import unlike_rest


def matrices(count, layers=4, seed=0):
    drift = np.abs(np.arange(layers)[:, None] - np.arange(layers)) / layers
    noise = np.random.default_rng(seed).normal(0, 0.01, (count, layers, layers))
    found = 1 - drift + noise + noise.transpose(0, 2, 1)
    found[:, range(layers), range(layers)] = 1
    return found


def test_the_odd_one_comes_first_with_the_pair_of_layers_that_makes_it_odd():
    given = matrices(12)
    given[7, 1, 3] = given[7, 3, 1] = -0.4
    first, second, *_ = unlike_rest(given)
    assert first.index == 7 and first.stands_out and first.pair == (1, 3) and first.here == pytest.approx(-0.4)
    assert first.others == pytest.approx(np.delete(given[:, 1, 3], 7).mean())
    assert not second.stands_out and second.distance < first.distance / 3


def test_the_distance_is_to_the_mean_of_the_others():
    given = np.ones((3, 2, 2))
    given[0, 0, 1] = given[0, 1, 0] = 0.1
    found = {one.index: one for one in unlike_rest(given)}
    assert found[0].distance == pytest.approx(0.9) and found[1].distance == pytest.approx(0.45)
    assert not any(one.stands_out for one in found.values())  # three do not tell what is usual


def test_equal_pictures_do_not_stand_out_and_two_are_too_few():
    assert not any(one.stands_out for one in unlike_rest(np.ones((20, 3, 3))))
    assert unlike_rest(np.ones((2, 3, 3))) == []
