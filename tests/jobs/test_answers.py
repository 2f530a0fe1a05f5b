import pytest

from explorer.jobs.answers import Answered, majority, summarise
from explorer.services.judging import is_right


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
