import collections
import itertools
import string
import sys
from pathlib import Path

import numpy as np
import pytest

from explorer.records import InputError
from explorer.scenes.asking import _CELL_SHARE, _COUNT_SHARE, _TOTAL_SHARE
from explorer.scenes.facts import CELLS, FAMILIES, Facts, axis_held_out, cell_of, is_air, usual_log_size
from explorer.scenes.kinds import KINDS
from explorer.scenes.questions import TASKS, Form, check_tasks, make_questions, question_set
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign, held_out_count, split_of
from explorer.scenes.wordings import OPEN, YESNO

sys.path.insert(0, str(Path(__file__).parent))
from truth import NAMES, answer_of, fields_of

PLAIN = Backdrop("a blue background", "plain", ((160, 195, 235), (160, 195, 235)))
FIRST_TEST_SEED = 1_100_000_000


def ask_all(scenes, pairs=True, **options):
    rng = np.random.default_rng(3)
    return [(scene, question) for scene in scenes for question in make_questions(scene, rng, pairs=pairs, **options)]


@pytest.fixture(scope="module")
def asked(test_scenes):
    return ask_all(test_scenes)


@pytest.fixture(scope="module")
def balanced():
    return list(question_set("test", 24, seed=5))


def test_every_answer_is_true(asked, balanced):
    for scene, question in [*asked, *balanced]:
        assert answer_of(scene, question) == question.answer, (scene.seed, question)
        assert question.answer in question.candidates
        assert len(set(question.candidates)) == len(question.candidates)
    assert {(q.task, q.form) for _, q in asked} == set(itertools.product(TASKS, Form))


def test_a_scene_made_by_hand():
    scene = Scene(
        FIRST_TEST_SEED,
        PLAIN,
        (
            SceneObject("dog", 0.2, 0.5, 0.3),
            SceneObject("cat", 0.8, 0.5, 0.2),
            SceneObject("star", 0.5, 0.15, 0.2, "red"),
            *(SceneObject("apple", x, 0.85, 0.12) for x in (0.3, 0.5, 0.7)),
        ),
        Sign("OPEN", "LiberationSans-Bold", 0.5, 0.5, 0.3, 0.12),
    )
    questions = [question for _, question in ask_all([scene] * 60)]
    answers = collections.defaultdict(set)
    for question in questions:
        assert answer_of(scene, question) == question.answer
        if question.form is Form.OPEN:
            answers[question.text].add(question.answer)
    assert all(len(found) == 1 for found in answers.values())
    assert answers["How many apples are there?"] == {"3"}
    assert answers["Is the dog left or right of the cat?"] == {"left"}
    assert answers["Is the dog above or below the star?"] == {"below"}
    assert answers["Where in the picture is the star?"] == {"top"}
    assert answers["What colour is the star?"] == {"red"}
    assert answers["What colour is the background?"] == {"blue"}
    assert answers["What does the sign say?"] == {"OPEN"}
    assert answers["Which is larger in the picture, the dog or the cat?"] == {"dog"}
    assert not any(question.task == "total" for question in questions)  # a sign may or may not be counted


def test_nothing_doubtful_is_asked():
    things = (
        ("bear", 0.2, 0.3),
        ("teddy bear", 0.5, 0.3),
        ("tree", 0.8, 0.3),
        ("plant", 0.2, 0.7),
        ("stop sign", 0.8, 0.7),
    )
    objects = tuple(SceneObject(kind, x, y, 0.2) for kind, x, y in things)
    sign = Sign("STOP", "LiberationSans-Bold", 0.5, 0.7, 0.3, 0.12)
    questions = [question for _, question in ask_all([Scene(FIRST_TEST_SEED, PLAIN, objects, sign)] * 40)]
    named = {NAMES.get(name) for question in questions for name in fields_of(question).values()}
    named |= {name for question in questions for name in question.candidates}
    assert "teddy bear" in named and "tree" in named
    assert not named & {"bear", "plant", "stop sign"}
    assert not any(question.task == "word" for question in questions)


def test_close_places_and_sizes_are_not_asked_about():
    objects = (SceneObject("dog", 0.34, 0.5, 0.2), SceneObject("cat", 0.36, 0.42, 0.2))
    scene = Scene(FIRST_TEST_SEED, PLAIN, objects)
    tasks = {question.task for _, question in ask_all([scene] * 40)}
    assert not tasks & {"position", "location", "larger"}


def test_a_covered_sign_is_not_read():
    sign = Sign("OPEN", "LiberationSans-Bold", 0.5, 0.5, 0.4, 0.15)
    for x, readable in ((0.55, False), (0.9, True)):
        scene = Scene(FIRST_TEST_SEED, PLAIN, (SceneObject("dog", x, 0.5, 0.15),), sign)
        assert ("word" in {question.task for _, question in ask_all([scene] * 9)}) is readable


def test_pairs_are_one_yes_and_one_no_in_the_same_words(asked, balanced):
    pairs = collections.defaultdict(list)
    for number, (scene, question) in enumerate([*asked, *balanced]):
        assert (question.pair != "") == (question.form is Form.YESNO)
        if question.pair:
            pairs[number >= len(asked), question.pair].append((scene, question))
    assert len(pairs) > 500
    for some in pairs.values():
        assert [question.answer for _, question in some] == ["yes", "no"]
        assert len({scene for scene, _ in some}) == 1 and len({question.task for _, question in some}) == 1
        assert len({question.text.endswith("Please answer yes or no.") for _, question in some}) == 1


def test_at_most_so_many_none_twice(test_scenes):
    rng = np.random.default_rng(0)
    for scene in test_scenes[:60]:
        for most, pairs in ((12, False), (5, True), (1, False)):
            questions = make_questions(scene, rng, most=most, pairs=pairs)
            assert len(questions) <= most
            assert len({question.text for question in questions}) == len(questions)
    assert {q.task for _, q in ask_all(test_scenes[:60], tasks=["count", "word"])} == {"count", "word"}


def test_the_same_source_gives_the_same_questions(test_scenes):
    scene = test_scenes[0]
    first, again = (make_questions(scene, np.random.default_rng(9)) for _ in range(2))
    assert first == again
    once, twice = (list(question_set("val", 4, 2, ["existence", "position"])) for _ in range(2))
    assert once == twice


def test_sets_are_strictly_balanced(balanced):
    count = collections.Counter((question.task, question.form, question.answer) for _, question in balanced)
    for task in TASKS:
        assert sum(n for (name, _, _), n in count.items() if name == task) == 24
        assert count[task, Form.YESNO, "yes"] == count[task, Form.YESNO, "no"] == 6
    for task, answers, least in (("count", range(11), 1), ("total", range(1, 11), 1), ("location", CELLS, 1)):
        numbers = [count[task, Form.OPEN, str(answer)] for answer in answers]
        assert min(numbers) >= least and max(numbers) <= least + 1
    assert all(2 <= count["position", Form.OPEN, side] <= 4 for side in ("left", "right", "above", "below"))
    first = [q.answer == q.candidates[0] for _, q in balanced if q.task == "larger" and q.form is Form.OPEN]
    assert sum(first) == 6


def test_training_never_has_a_held_out_combination(train_scenes):
    questions = ask_all(train_scenes[:300], tasks=["count", "position"], most=16)
    questions += list(question_set("train", 8, 1, ["position"])) + list(question_set("val", 8, 1, ["position"]))
    for scene, question in questions:
        assert split_of(scene.seed) != "test" and not question.held_out
        assert not uses_held_out(scene, question)
    assert len(questions) > 1000


def uses_held_out(scene, question):
    fields = fields_of(question)
    if question.task == "position":
        a, b = NAMES[fields["a"]], NAMES[fields["b"]]
        sides = fields.get("side", question.answer)
        return axis_held_out(a, b, axis=int(sides in ("above", "below")))
    if question.task == "count":
        kind = NAMES[fields.get("many") or fields["a"]]
        return held_out_count(kind, scene.count(kind)) or held_out_count(kind, named_number(fields, scene, kind))
    return False


def named_number(fields, scene, kind):
    number = fields.get("number") or str(scene.count(kind))
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return int(number) if number.isdigit() else words.index(number)


def test_test_questions_say_which_use_a_held_out_combination(asked):
    flags = collections.Counter()
    for scene, question in asked:
        if question.task == "count" and question.form is Form.YESNO:
            continue  # the flag is the pair's: see below
        assert question.held_out == uses_held_out(scene, question), question
        flags[question.task] += question.held_out
    assert set(+flags) == {"count", "position"}
    pairs = collections.defaultdict(list)
    for scene, question in asked:
        if question.task == "count" and question.pair:
            pairs[question.pair].append((question.held_out, uses_held_out(scene, question)))
    for some in pairs.values():
        assert {flag for flag, _ in some} == {any(uses for _, uses in some)}


def test_the_rule_for_held_out_places_knows_no_order():
    pairs = list(itertools.combinations(KINDS, 2))
    for axis in (0, 1):
        held_out = [axis_held_out(a, b, axis) for a, b in pairs]
        assert held_out == [axis_held_out(b, a, axis) for a, b in pairs]
        assert 0.06 < np.mean(held_out) < 0.11


def test_the_world_is_as_the_shares_say(test_scenes, train_scenes):
    counts, totals = np.zeros(11), np.zeros(11)
    cells = {True: np.zeros(9), False: np.zeros(9)}
    for scene in [*test_scenes, *train_scenes]:
        facts = Facts(scene)
        things = [thing.kind for thing in scene.objects if thing.kind in facts.counts]
        for kind in things:
            counts[facts.counts[kind]] += 1 / len(things)
        totals[len(scene.objects)] += scene.sign is None
        for thing, _ in facts.unique:
            if cell := cell_of(thing):
                cells[is_air(thing.kind)][CELLS.index(cell)] += 1
    for measured, said in (
        (counts, _COUNT_SHARE),
        (totals, _TOTAL_SHARE),
        *((cells[a], _CELL_SHARE[a]) for a in cells),
    ):
        assert abs(sum(said) - 1) < 0.01
        expected = np.array(said) * measured.sum()
        assert np.all(np.abs(measured - expected) < 5 * np.sqrt(expected) + 2)


def test_what_is_named_does_not_tell_yes_from_no(test_scenes):
    """Of yes and of no, equally many name a number, a shape, a kind that is usually larger, taller or of the air."""
    asked = ask_all(test_scenes, most=30, tasks=["existence", "count", "total", "larger", "position", "location"])
    tally = collections.defaultdict(collections.Counter)
    for _, question in asked:
        if question.form is not Form.YESNO:
            continue
        fields = fields_of(question)
        for mark in marks(question.task, fields):
            tally[question.task, mark][question.answer] += 1
    seen = set()
    for (task, mark), count in tally.items():
        n = count["yes"] + count["no"]
        if n >= 150:
            seen.add(task)
            assert abs(count["yes"] - n / 2) < 4.5 * np.sqrt(n), (task, mark, count)  # 4.5: pairs share a scene
    assert seen == {"existence", "count", "total", "larger", "position", "location"}


def marks(task, fields):
    kinds = [NAMES[fields[name]] for name in ("one", "a", "b", "many") if name in fields]
    if "number" in fields:
        yield fields["number"].replace("3", "three")
    if task == "existence":
        yield next(k for k, family in enumerate(FAMILIES) if kinds[0] in family)
    if task == "larger":
        yield "larger" if sum(usual_log_size(kinds[0])) > sum(usual_log_size(kinds[1])) else "smaller"
    if fields.get("side") == "above":
        yield "taller" if usual_log_size(kinds[0])[1] > usual_log_size(kinds[1])[1] else "lower"
        yield is_air(kinds[0]), is_air(kinds[1])
    if task == "location":
        yield fields["cell"]


def test_families_divide_the_kinds():
    assert sorted(kind for family in FAMILIES for kind in family) == sorted(KINDS)


def test_every_task_has_wordings_and_the_form_of_mme():
    for forms in (OPEN, YESNO):
        assert {name.split()[0] for name in forms} == set(TASKS)
        assert all(len(set(texts)) >= 4 for texts in forms.values())
    for name, texts in YESNO.items():
        assert any(text.endswith("Please answer yes or no.") for text in texts)
        if f"{name} one" in YESNO:
            assert len(YESNO[f"{name} one"]) == len(texts)
    for texts in (*OPEN.values(), *YESNO.values()):
        assert all(
            set(field) <= set(string.ascii_lowercase)
            for text in texts
            for _, field, _, _ in string.Formatter().parse(text)
            if field
        )


@pytest.mark.parametrize("tasks", [["colour", "sound"], []])
def test_unknown_tasks_are_named(tasks):
    with pytest.raises(InputError, match="existence, count"):
        check_tasks(tasks)


@pytest.mark.parametrize("arguments", [("holiday", 8), ("test", 3)])
def test_impossible_sets_are_refused(arguments):
    with pytest.raises(InputError):
        next(question_set(*arguments, seed=0))
