import pytest
from synthetic import make_exploration, make_picture


@pytest.fixture(scope="session")
def picture():
    return make_picture()


@pytest.fixture(scope="session")
def explored(picture):
    return make_exploration(picture)[0]
