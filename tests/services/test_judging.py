import pytest

from explorer.services.judging import gist, is_right, normalise, number_said


def test_normalising():
    assert normalise("  There are THREE dogs, and a cat! ") == "there are 3 dogs and cat"
    assert normalise("The colour: Grey.") == "color gray"


@pytest.mark.parametrize(
    ("said", "truth", "candidates"),
    [
        ("Yes, there is a dog.", "yes", ()),
        ("I think so: yes", "Yes", ()),
        ("There are no dogs", "no", ()),
        ("three", "3", ()),
        ("I count 3 of them.", "three", ()),
        ("none", "0", ()),
        ("It is in the top left.", "top left", ()),
        ("top middle", "top", ()),
        ("the upper right corner", "top right", ()),
        ("in the middle of the picture", "center", ()),
        ("middle left", "left", ()),
        ("to the left of it", "left", ("left", "right")),
        ("A red circle", "red", ()),
        ("it's gray", "grey", ()),
        ('The sign says "Stop"', "STOP", ("STOP", "SHOP")),
        ("the hot dog", "hot dog", ("dog", "hot dog")),
    ],
)
def test_right_answers(said, truth, candidates):
    assert is_right(said, truth, candidates)


@pytest.mark.parametrize(
    ("said", "truth", "candidates"),
    [
        ("No, yes", "yes", ()),
        ("maybe", "yes", ()),
        ("", "no", ()),
        ("three or four", "3", ()),
        ("top", "top left", ()),
        ("top left", "top", ()),
        ("left or right", "left", ("left", "right")),
        ("a hot dog", "dog", ("dog", "hot dog")),
        ("a dog and a hot dog", "dog", ("dog", "hot dog")),
        ("red and blue", "red", ()),
        ("SHOP", "STOP", ()),
    ],
)
def test_wrong_answers(said, truth, candidates):
    assert not is_right(said, truth, candidates)


def test_the_number_said():
    assert [number_said(text) for text in ("four", "4 dogs", "2 or 3", "many")] == [4, 4, None, None]


def test_the_gist_tells_what_is_said_apart():
    assert gist("Yes, there is one.", ("yes", "no")) == gist("yes", ("yes", "no")) == "yes"
    numbers = tuple(map(str, range(11)))
    assert gist("There are three dogs", numbers) == gist("3", numbers) == "3"
    assert gist("It is in the top left.", ("top", "top left", "left")) == "top left"
    assert gist("left or right", ("left", "right")) == "left or right"
    assert gist("A red ball!") == "red ball"
    assert gist("", ("yes", "no")) == ""
