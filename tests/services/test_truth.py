import json

import numpy as np
import pytest

from explorer.records import AnswerKind, InputError
from explorer.scenes.layout import make_scene
from explorer.scenes.questions import make_questions
from explorer.scenes.rewordings import reword
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign
from explorer.services.truth import decide, scene_questions, truth_of

PLAIN = Backdrop("a red background", "plain", ((214, 40, 40), (214, 40, 40)))


def scene(*things: SceneObject, sign: Sign | None = None) -> Scene:
    return Scene(1_100_000_000, PLAIN, things, sign)


FARM = scene(
    SceneObject("dog", 0.15, 0.5, 0.2),
    SceneObject("cat", 0.85, 0.5, 0.4),
    SceneObject("cow", 0.5, 0.15, 0.2),
    SceneObject("cow", 0.5, 0.85, 0.2),
    SceneObject("circle", 0.15, 0.85, 0.1, "blue"),
)


def test_the_worlds_own_questions_are_understood():
    rng, asked, wrong = np.random.default_rng(0), 0, []
    for k in range(40):
        drawn = make_scene(1_100_000_000 + 13 * k)
        for question in make_questions(drawn, rng, most=16, pairs=True):
            for text in (question.text, reword(question.text, question.task, question.form.value, rng)):
                asked += 1
                truth = truth_of(drawn, text)
                if truth is None or (truth.task, truth.answer) != (question.task, question.answer):
                    wrong.append((text, question.answer, truth))
    assert asked > 800 and len(wrong) < 0.02 * asked, wrong[:10]
    assert all(truth is None or truth.task != said for _, said, truth in wrong)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many cows are there?", "2"),
        ("how many sheep?", "0"),
        ("number of objects in the picture", "5"),
        ("is the puppy left of the kitty?", "yes"),
        ("Is the cat to the left of the dog?", "no"),
        ("Is the dog left or right of the cat?", "left"),
        ("Where is the cat?", "right"),
        ("Is there a horse in the image? Please answer yes or no.", "no"),
        ("Do you see a horse or a cow?", "cow"),
        ("Are there two cows?", "yes"),
        ("are there 3 cows here", "no"),
        ("Which is bigger, the cat or the dog?", "cat"),
        ("Is the dog smaller than the cat?", "yes"),
        ("what color is the circle", "blue"),
        ("What colour is the background?", "red"),
        ("Is there a green circle here?", "no"),
        ("How many blue circles are there?", "1"),
    ],
)
def test_a_persons_own_wording_is_understood(question, answer):
    assert truth_of(FARM, question).answer == answer


@pytest.mark.parametrize(
    "question",
    [
        "How many dogs are asleep?",  # a word that no scene knows about
        "Is the cow left of the dog?",  # two cows
        "Are the dogs happy?",
        "Is the dog not left of the cat?",
        "What is the meaning of life?",
        "<script>alert(1)</script>",
        "",
        "?" * 10_000,
        "Where is the cow?",
        "How many dogs and cats are there?",
    ],
)
def test_what_is_in_doubt_has_no_truth(question):
    assert truth_of(FARM, question) is None


def test_a_kind_that_could_be_meant_by_another_is_in_doubt():
    assert truth_of(scene(SceneObject("penguin", 0.5, 0.5, 0.3)), "How many birds are there?") is None


def test_a_sign_is_read():
    sign = Sign("OPEN", "LiberationSans-Bold", 0.5, 0.5, 0.4, 0.2)
    assert truth_of(scene(sign=sign), "What does the sign say?").answer == "OPEN"
    assert truth_of(scene(sign=sign), 'Does the sign say "EXIT"?').answer == "no"
    assert truth_of(scene(sign=sign), "How many things are there?") is None


def test_a_scene_may_be_a_record_or_its_json():
    for given in (FARM.to_dict(), json.dumps(FARM.to_dict())):
        assert truth_of(given, "How many cows are there?").answer == "2"
    with pytest.raises(InputError, match="not a scene"):
        truth_of("{", "How many cows are there?")


def test_suggestions_fit_the_scene_and_stay_the_same():
    found = scene_questions(FARM, 8)
    assert found == scene_questions(FARM, 8) and 1 <= len(found) <= 8
    assert all(truth.answer in truth.candidates for _, truth in found)


@pytest.mark.parametrize(
    ("question", "kind", "candidates"),
    [
        ("How many dogs are there?", AnswerKind.COUNT, tuple(map(str, range(11)))),
        ("How many people are laughing?", AnswerKind.COUNT, tuple(map(str, range(11)))),
        ("Is it raining?", AnswerKind.YES_NO, ("yes", "no")),
        ("Is the dog left or right of the cat?", AnswerKind.CHOICE, ("left", "right")),
        ("Is it day or night?", AnswerKind.OPEN, ()),
        ("What does the sign say?", AnswerKind.OPEN, ()),
        ("Tell me a story.", AnswerKind.OPEN, ()),
    ],
)
def test_the_kind_of_answer_follows_from_the_question(question, kind, candidates):
    assert decide(question) == (kind, candidates)


def test_candidates_decide_the_kind():
    assert decide("?", ("Yes", "no"))[0] is AnswerKind.YES_NO
    assert decide("?", ("3", "12"))[0] is AnswerKind.COUNT
    assert decide("?", ("red", "3"))[0] is AnswerKind.CHOICE
