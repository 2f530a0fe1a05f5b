import math
import threading

import numpy as np
import pytest

from explorer.records import AnswerKind, CheckpointError, InputError, Reply
from explorer.scenes.facts import Facts
from explorer.scenes.scene import held_out_count, split_of
from explorer.services.stress import (
    BATCH,
    SIDES,
    STEPS,
    Outcome,
    Point,
    crossing,
    doubtful_reach,
    outcome,
    run,
    staircase,
    summarise,
    switch_at,
)


class Checkpoints:
    """Answers by rules, knowing the trials: "exact", "capped" at 4, "text" without probabilities, "broken"."""

    def __init__(self, trials):
        self.truths = {trial.question + str(k): trial for k, trial in enumerate(trials)}
        self.trials, self.asked = list(trials), []

    def ask_many(self, items, checkpoint, *, stop=None):
        if checkpoint == "broken":
            raise CheckpointError("Its weights are missing.")
        start = sum(n for name, n in self.asked if name == checkpoint)
        self.asked.append((checkpoint, len(items)))
        return [self.reply(self.trials[start + k], checkpoint, item[2]) for k, item in enumerate(items)]

    def reply(self, trial, checkpoint, candidates):
        said = trial.truth if checkpoint != "capped" else str(min(4, int(trial.truth)))
        if checkpoint == "text":
            return Reply(checkpoint, (), "", f"There are {said}.", done=True)
        shares = tuple((name, 0.8 if name == said else 0.2 / (len(candidates) - 1)) for name in candidates)
        return Reply(checkpoint, (18,), "layer 18", said, AnswerKind.COUNT, shares, 0.1, done=True)


def last(courses):
    *_, course = courses
    return course


def test_a_staircase_has_every_number_in_every_layout_and_nothing_else():
    trials = staircase("dog", 3, seed=4)
    assert [trial.x for trial in trials] == [*range(1, 11)] * 3
    for trial in trials:
        assert trial.scene.count("dog") == len(trial.scene.objects) == trial.x == int(trial.truth)
        assert trial.scene.sign is None and split_of(trial.scene.seed) == "test"
        assert trial.unseen == held_out_count("dog", trial.x)
    assert trials[3].scene.objects != trials[13].scene.objects
    assert trials == staircase("dog", 3, seed=4) != staircase("dog", 3, seed=5)


def test_sizes_say_nothing_of_the_number():
    trials = staircase("car", 8, seed=1)
    few = [thing.size for trial in trials if trial.x <= 3 for thing in trial.scene.objects]
    many = [thing.size for trial in trials if trial.x >= 8 for thing in trial.scene.objects]
    assert abs(np.mean(few) - np.mean(many)) < 0.02


def test_shapes_have_one_colour_and_a_ground_that_cannot_be_counted():
    for trial in staircase("circle", 12, seed=2, colour="red"):
        assert {thing.colour for thing in trial.scene.objects} == {"red"}
        assert "circle" in Facts(trial.scene).counts


def test_a_ground_can_be_given():
    ground = staircase("dog", 1)[0].scene.backdrop
    assert {trial.scene.backdrop for trial in staircase("cat", 2, backdrop=ground)} == {ground}
    assert {trial.scene.backdrop for trial in crossing("cat", "dog", 2, backdrop=ground)} == {ground}


def test_a_crossing_passes_the_other_and_has_a_truth_at_every_step():
    trials = crossing("dog", "car", 4, seed=3)
    assert len(trials) == 4 * STEPS and len({trial.x for trial in trials}) == STEPS
    for trial in trials:
        mover, still = trial.scene.objects
        assert mover.x - still.x == pytest.approx(trial.x, abs=2e-4)
        assert trial.truth == ("left" if mover.x < still.x else "right")
        assert abs(mover.y - still.y) > 0.3
    above = [trial.scene.objects[0].y < trial.scene.objects[1].y for trial in trials[::STEPS]]
    assert above == [True, False, True, False]
    assert len({trial.scene.objects[1].x for trial in trials}) == 4


def test_where_training_asks_nothing_is_told():
    reach = doubtful_reach("dog", "car")
    assert 0.1 <= reach < 0.25
    trials = [trial for trial in crossing("dog", "car", 1) if abs(trial.x) > reach]
    assert trials and all(Facts(trial.scene).unique for trial in trials)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: staircase("unicorn"), "unicorn"),
        (lambda: staircase(None), "None"),
        (lambda: staircase("dog", 0), "1 to 30"),
        (lambda: staircase("dog", 31), "1 to 30"),
        (lambda: staircase("dog", True), "1 to 30"),
        (lambda: staircase("dog", "6"), "1 to 30"),
        (lambda: staircase("star", colour="beige"), "beige"),
        (lambda: crossing("dog", "dog"), "two different"),
        (lambda: crossing("dog", ["cat"]), "No kind"),
    ],
)
def test_impossible_sweeps_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_sweep_asks_every_checkpoint_about_every_picture_once_in_batches():
    trials = staircase("dog", 2)
    answers = Checkpoints(trials)
    courses = list(run(answers, trials, ("exact", "capped")))
    assert [course.done for course in courses] == [0, 10, 20, 30, 40]
    assert answers.asked == [("exact", BATCH), ("capped", BATCH)] * 2
    assert courses[-1].total == 40 and courses[1].outcomes["capped"] == {}


def test_means_spreads_and_expected_numbers_are_those_of_the_answers():
    trials = staircase("dog", 3)
    course = last(run(Checkpoints(trials), trials, ("exact", "capped")))
    exact, capped = (summarise(trials, course.outcomes[name]) for name in ("exact", "capped"))
    assert [point.mean for point in exact] == [*range(1, 11)]
    assert [point.mean for point in capped] == [1, 2, 3, 4, 4, 4, 4, 4, 4, 4]
    assert [point.right for point in capped] == [3, 3, 3, 3, 0, 0, 0, 0, 0, 0]
    assert all(point.spread == 0 and point.n == 3 and point.unread == 0 for point in exact)
    assert exact[6].expected == pytest.approx(0.8 * 7 + 0.02 * (55 - 7))


def test_the_spread_is_the_standard_deviation_over_layouts():
    trials = staircase("dog", 2)
    shares = np.full(11, math.nan)
    found = summarise(trials, {0: Outcome("1", shares), 10: Outcome("3", shares)})
    assert found == [Point(1, 2, 2.0, pytest.approx(math.sqrt(2)), found[0].expected, 1, 0)]
    assert math.isnan(found[0].expected)


def test_an_answer_without_a_number_is_counted_and_in_no_mean():
    trials = staircase("dog", 2)
    shares = np.full(11, math.nan)
    (point,) = summarise(trials, {0: Outcome("", shares), 10: Outcome("1", shares)})
    assert (point.n, point.unread, point.mean, point.right) == (2, 1, 1.0, 1) and math.isnan(point.spread)


def test_texts_are_read_where_there_are_no_probabilities():
    trials = staircase("dog", 1)
    course = last(run(Checkpoints(trials), trials, ("text",)))
    assert [point.mean for point in summarise(trials, course.outcomes["text"])] == [*range(1, 11)]
    said = {"There are seven dogs.": "7", "none": "0", "3 or 4": "", "many": "", "12": ""}
    for text, number in said.items():
        assert outcome(Reply("x", (), "", text, done=True), trials[0]).said == number
    side = crossing("dog", "car", 1)[0]
    assert outcome(Reply("x", (), "", "It is on the left.", done=True), side).said == "left"


def test_probabilities_are_taken_among_the_candidates():
    side = crossing("dog", "car", 1)[0]
    reply = Reply("x", (), "", "right", AnswerKind.CHOICE, (("left", 0.1), ("right", 0.3)), done=True)
    found = outcome(reply, side)
    assert found.said == "right" and found.probabilities == pytest.approx([0.25, 0.75])
    (point,) = summarise([side], {0: found})
    assert point.mean == pytest.approx(0.25) and math.isnan(point.expected)


def test_one_that_fails_is_asked_no_more_and_the_others_go_on():
    trials = staircase("dog", 2)
    course = last(run(Checkpoints(trials), trials, ("broken", "exact")))
    assert course.failed == {"broken": "Its weights are missing."}
    assert course.done == course.total == 20
    with pytest.raises(CheckpointError, match="weights are missing"):
        list(run(Checkpoints(trials), trials, ("broken",)))
    with pytest.raises(InputError, match="at least one"):
        list(run(Checkpoints(trials), trials, ()))


def test_a_stopped_sweep_asks_nothing_more():
    trials = staircase("dog", 3)
    answers, stop = Checkpoints(trials), threading.Event()
    courses = []
    for course in run(answers, trials, ("exact", "capped"), stop):
        courses.append(course)
        if course.done == 10:
            stop.set()
    assert courses[-1].done == 10 and answers.asked == [("exact", BATCH)]


def point(x, mean):
    return Point(x, 1, mean, math.nan, math.nan, 0, 0)


def test_the_switch_is_where_the_line_falls_through_one_half():
    assert switch_at([point(-0.3, 0.9), point(-0.1, 0.7), point(0.1, 0.3), point(0.3, 0.0)]) == pytest.approx(0)
    assert math.isnan(switch_at([point(-0.1, 0.6), point(0.1, 0.7)]))  # never
    assert math.isnan(switch_at([point(-0.1, 0.2), point(0.1, 0.8)]))  # the wrong way
    assert math.isnan(switch_at([point(0, 0.9), point(1, 0.1), point(2, 0.9), point(3, 0.1)]))  # three times
    assert SIDES == ("left", "right")


def test_real_checkpoints_see_each_picture_once_for_all_of_them(tmp_path, monkeypatch):
    from tiny_checkpoints import save_checkpoints

    from explorer.models.shared_encoder import SharedEncoder
    from explorer.services.answer import Answerers

    seen, forward = [], SharedEncoder._run
    monkeypatch.setattr(SharedEncoder, "_run", lambda self, some: seen.append(len(some)) or forward(self, some))
    answers = Answerers(catalogue=save_checkpoints(tmp_path, {"mini-l2": [2], "mini-l4": [4]}), device="cpu")
    trials = crossing("dog", "car", 1)
    course = last(run(answers, trials, ("mini-l2", "mini-l4")))
    assert sum(seen) == len(trials) == STEPS
    for name in ("mini-l2", "mini-l4"):
        points = summarise(trials, course.outcomes[name])
        assert len(points) == STEPS and all(0 <= point.mean <= 1 and not point.unread for point in points)
