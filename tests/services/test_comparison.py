import threading

import numpy as np
import pytest

from explorer.records import ExplorerError, Fit, InputError, Picture
from explorer.services.comparison import Comparison

PICTURES = [Picture(str(k), np.full((8, 8, 3), k, np.uint8)) for k in range(5)]


class Tensor:
    def __init__(self, values):
        self.values = values

    def float(self):
        return self

    cpu = float

    def numpy(self):
        return self.values


class Explorer:
    """Takes one picture at a time; waits before the third until it may go on."""

    def __init__(self):
        self.go_on, self.seen = threading.Event(), 0

    def similarity_over(self, pictures, fit, on_progress, on_matrices):
        for self.seen, picture in enumerate(pictures, 1):
            matrix = np.full((1, 2, 2), 1.0)
            matrix[0, 0, 1] = matrix[0, 1, 0] = picture.pixels[0, 0, 0] / 10
            on_matrices({"token": Tensor(matrix)})
            on_progress(self.seen)
            if self.seen == 2:
                assert self.go_on.wait(60)
        return {"token": self.seen}


def test_it_tells_how_far_it_is_and_who_is_unlike_the_rest():
    explorer = Explorer()
    running = Comparison(explorer, iter(PICTURES), Fit.ENCODER)
    for done in running.progress():
        if done == 2:
            explorer.go_on.set()
    found, unlike = running.result()
    assert found == {"token": 5} and sorted(one.index for one in unlike) == [0, 1, 2, 3, 4]
    assert {one.index for one in unlike[:2]} == {0, 4}


def test_it_stops_before_the_next_picture():
    explorer = Explorer()
    running = Comparison(explorer, iter(PICTURES), Fit.ENCODER)
    next(running.progress())
    running.stop()
    explorer.go_on.set()
    with pytest.raises(InputError, match="stopped"):
        running.result()
    assert explorer.seen == 2


def test_what_goes_wrong_in_the_background_is_told():
    class Broken:
        def similarity_over(self, *args, **kwargs):
            raise ZeroDivisionError("no")

    with pytest.raises(ExplorerError, match="ZeroDivisionError: no"):
        Comparison(Broken(), PICTURES, Fit.ENCODER).result()
