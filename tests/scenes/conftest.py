import numpy as np
import pytest

from explorer.scenes.layout import make_scene, random_seed


def invent(split, n, seed=5):
    rng = np.random.default_rng(seed)
    return [make_scene(random_seed(split, rng)) for _ in range(n)]


@pytest.fixture(scope="session")
def test_scenes():
    return invent("test", 700)


@pytest.fixture(scope="session")
def train_scenes():
    return invent("train", 500)
