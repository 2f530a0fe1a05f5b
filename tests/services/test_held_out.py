import dataclasses
import json

import numpy as np
import pytest
import stored_family

from explorer.records import InputError
from explorer.services.held_out import (
    DEEP,
    MIDDLE,
    HeldOut,
    Wanted,
    case_id,
    fingerprint,
    first_case,
    stored_first_case,
)
from explorer.services.precomputed import Precomputed
from explorer.services.sweep import Sweep, pair_up
from explorer.store import Absent, Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precomputed")
    stored_family.save_family(folder)
    return folder


@pytest.fixture(scope="module")
def held(folder):
    return HeldOut.load(Store(folder))


def test_both_ways_counts_every_question_once(held):
    ways = held.both_ways(DEEP, MIDDLE, "count")
    deep, middle = (held.right(id)[held.of_task("count")] for id in (DEEP, MIDDLE))
    assert ways.n == 16 == ways.both + ways.first + ways.second + ways.neither
    assert (ways.first, ways.second) == ((deep & ~middle).sum(), (middle & ~deep).sum())
    back = held.both_ways(MIDDLE, DEEP, "count")
    assert (back.first, back.second, back.p) == (ways.second, ways.first, ways.p)
    assert held.both_ways(DEEP, DEEP).p == 1
    assert held.both_ways(DEEP, MIDDLE, ["count", "position"]).n == 32


@pytest.mark.parametrize("outcome", ["second", "first", "neither", "both"])
def test_each_outcome_finds_the_cases_that_its_count_says(held, outcome):
    ways = dataclasses.asdict(held.both_ways(DEEP, MIDDLE))
    found = held.find(Wanted("all", DEEP, MIDDLE, outcome))
    assert len(found) == ways[outcome] > 0
    expected = {"second": (False, True), "first": (True, False), "neither": (False, False), "both": (True, True)}[
        outcome
    ]
    for row in found:
        by_id = {answer.checkpoint: answer.right for answer in held.case(int(row)).answers}
        assert (by_id[DEEP], by_id[MIDDLE]) == expected


def test_cases_are_filtered_by_how_sure_the_wrong_one_was_and_sorted(held):
    found = held.find(Wanted("all", DEEP, MIDDLE, "second", sure=0.8))
    everything = held.find(Wanted("all", DEEP, MIDDLE, "second"))
    assert 0 < len(found) < len(everything)
    assert (held.chance(DEEP)[found] >= 0.8 - 0.5 / 255).all()
    product = held.chance(DEEP) * held.chance(MIDDLE)
    assert (np.diff(product[everything]) <= 0).all()
    ascending = held.find(Wanted("all", DEEP, MIDDLE, "second", descending=False))
    assert (np.diff(product[ascending]) >= 0).all()
    counts = held.find(Wanted("count", DEEP, MIDDLE, "both", sort="truth", descending=False))
    numbers = [held.case(int(row)).truth for row in counts]
    digits = [int(text) for text in numbers if text.isdigit()]
    assert numbers == [str(n) for n in sorted(digits)] + sorted(text for text in numbers if not text.isdigit())


@pytest.mark.parametrize(
    "change", [{"task": "colours"}, {"first": "mini-l99"}, {"outcome": "draw"}, {"sort": "beauty"}]
)
def test_what_does_not_exist_is_refused_by_name(held, change):
    with pytest.raises(InputError):
        held.find(dataclasses.replace(Wanted("all", DEEP, MIDDLE), **change))


def test_a_case_is_found_by_its_name_and_its_scene_is_the_one_that_was_asked_about(held):
    case = held.case(5)
    assert held.row(case.id) == 5 and case.id.startswith(f"{case.seed}-{case.task}-")
    assert fingerprint(held.scene(5)) == held.table["drawn"][5]
    assert case_id(7, "count", "yesno", "no") == "7-count-no" and case_id(7, "count", "open", "4") == "7-count-open"
    with pytest.raises(InputError, match="no such case"):
        held.row("7-count-open")
    other = HeldOut(held.table.assign(drawn=np.uint32(1)), held.meta)
    with pytest.raises(InputError, match="precompute failures"):
        other.scene(5)


def test_the_first_case_follows_its_rule_and_is_read_without_the_answers(held, folder, monkeypatch):
    found = first_case(held)
    found = json.loads(json.dumps(found, allow_nan=False))
    rows = [
        row for row in range(len(held.table))
        if held.table["task"][row] in ("count", "position") and not held.right(DEEP)[row] and held.right(MIDDLE)[row]
    ]  # fmt: skip
    best = max(rows, key=lambda row: held.chance(DEEP)[row] * held.chance(MIDDLE)[row])
    assert found["case"]["id"] == held.case(best).id
    assert found["together"]["n"] == 32 == sum(found["by_task"][task]["n"] for task in ("count", "position"))
    monkeypatch.setattr(HeldOut, "load", lambda store: pytest.fail("the answers were read"))
    assert stored_first_case(Store(folder)) == found
    alone = HeldOut(held.table, held.meta | {"checkpoints": held.meta["checkpoints"][:2]})
    assert first_case(alone) is None


def test_nothing_stored_is_said_in_a_sentence(tmp_path):
    nothing = Precomputed(tmp_path)
    assert nothing.first is None and nothing.paper is None
    with pytest.raises(InputError, match="precompute failures"):
        nothing.held_out()
    with pytest.raises(InputError, match="precompute results"):
        nothing.sweep()
    assert isinstance(Sweep.load(Store(tmp_path)), Absent)


def test_pictures_are_drawn_again(folder, held):
    stored = Precomputed(folder)
    assert stored.draw(held.case(0).id, 40).shape == (40, 40, 3)
    assert stored.first_picture(30).shape == (30, 30, 3)
    with pytest.raises(InputError):
        stored.draw("1-count-open", 40)
    assert stored.paper["source"].startswith("arXiv 2504.21447")


def test_pairs_are_compared_on_the_questions_that_both_answered(folder):
    sweep = Precomputed(folder).sweep()
    rows = {row.task: row for row in sweep.paired("mini-l18", "mini-any@18")}
    assert rows["all"].n == sweep.meta["questions_of_the_sweep"] == sum(row.n for t, row in rows.items() if t != "all")
    a, b = sweep.right("mini-l18"), sweep.right("mini-any@18")
    asked = b >= 0
    assert rows["all"].difference == pytest.approx(
        ((a == 1) & asked).sum() / asked.sum() - (b == 1).sum() / asked.sum()
    )
    assert rows["all"].low <= rows["all"].difference <= rows["all"].high
    with pytest.raises(InputError):
        sweep.paired("mini-l18", "nobody")
    same = pair_up(np.array([True, False]), np.array([True, False]))
    assert (same.p, same.difference, same.low, same.high) == (1, 0, 0, 0)
