import pytest

from explorer.jobs.answers import Answered, is_right, majority, normalise, number_said, summarise


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


def answered(task, truth, said, form="open", pair="", held_out=False):
    return Answered(task, form, pair, held_out, truth, said, is_right(said, truth))


def test_the_summary():
    answers = [
        answered("count", "3", "three"),
        answered("count", "3", "5", held_out=True),
        answered("count", "1", "lots"),
        answered("existence", "yes", "yes", "yesno", "p"),
        answered("existence", "no", "no", "yesno", "p"),
        answered("existence", "yes", "yes", "yesno", "q"),
        answered("existence", "no", "yes", "yesno", "q"),
    ]
    tasks = summarise(answers)["tasks"]
    count, existence = tasks["count"], tasks["existence"]
    assert (count["accuracy"], count["n"], count["count_error"]) == (pytest.approx(1 / 3), 3, 1.0)
    assert count["confusion"] == {"1": {"other": 1}, "3": {"3": 1, "5": 1}}
    assert (count["held_out"]["accuracy"], count["held_out"]["n"]) == (0, 1)
    assert existence["accuracy"] == 0.75
    assert existence["low"] == pytest.approx(0.3006, abs=1e-4)  # Wilson's interval of 3 of 4
    assert existence["high"] == pytest.approx(0.9544, abs=1e-4)
    assert (existence["pairs"]["accuracy"], existence["pairs"]["n"]) == (0.5, 2)


def test_the_majority_is_of_task_and_form():
    answers = [answered("count", t, "") for t in ("1", "1", "2")] + [answered("count", "yes", "", "yesno")]
    assert [a.said for a in majority(answers)] == ["1", "1", "1", "yes"]
    assert [a.right for a in majority(answers)] == [True, True, False, True]
