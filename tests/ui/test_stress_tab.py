import dataclasses
import json
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from explorer.records import AnswerKind, CheckpointError, CheckpointInfo, EncoderError, InputError, Reply, Truth, View
from explorer.services import stage, stress
from explorer.ui.asking import MOST_CHECKPOINTS
from explorer.ui.context import Context
from explorer.ui.session import Session, Source
from explorer.ui.stress_payload import parting_payload, reply_payload
from explorer.ui.stress_tab import StressTab

ME = SimpleNamespace(session_hash="me")
SCENE = {
    "seed": 1_100_000_000,
    "backdrop": {"name": "a blue background", "style": "plain", "colours": [[160, 195, 235], [160, 195, 235]]},
    "objects": [{"kind": "dog", "x": 0.3, "y": 0.4, "size": 0.2}, {"kind": "cat", "x": 0.7, "y": 0.6, "size": 0.2}],
}
NUMBERS = tuple(map(str, range(11)))


class Answerers:
    """ "two" says two, "sure" counts what the picture's name cannot tell: the scene's dogs, "lost" fails."""

    def __init__(self):
        self.stops = []

    def list(self):
        return [
            self.info("two"),
            self.info("lost"),
            replace(self.info("any@3"), id="any", choosable=True, on_this_machine=False),
        ]

    def info(self, name):
        if name == "gone":
            raise CheckpointError("There is no checkpoint of this name.")
        return CheckpointInfo(name, name, (18,), 24, "layer 18 · middle", False, "mini", 1, "", "", name != "lost")

    def reply(self, checkpoint, candidates=NUMBERS):
        if checkpoint == "lost":
            return Reply(checkpoint, (), "", error="Its weights are missing.", done=True)
        said = "2" if "2" in candidates else candidates[0]
        shares = tuple((name, 0.9 if name == said else 0.1 / (len(candidates) - 1)) for name in candidates)
        return Reply(checkpoint, (18,), "layer 18", said, AnswerKind.COUNT, shares, 0.1, done=True)

    def stream(self, pictures, question, checkpoints, *, stop=None, **more):
        self.stops.append(stop)
        replies = [Reply(name, (), "") for name in checkpoints]
        yield list(replies)
        for k, name in enumerate(checkpoints):
            replies[k] = self.reply(name)
            yield list(replies)

    def ask_many(self, items, checkpoint, *, stop=None):
        return [self.reply(checkpoint, candidates) for _, _, candidates in items]


def difference(explorer, first, second, fit):
    """Features differ at the left half of the picture, more at every layer."""
    distance = np.zeros((3, 4, 4), np.float32)
    distance[:, :, :2] = np.array([0.1, 0.2, 0.3])[:, None, None]
    return distance.reshape(3, 16), View(np.zeros((56, 56, 3), np.uint8), (0.0, 0.0, 672.0, 672.0), fit), (4, 4)


@pytest.fixture
def tab(tmp_path, monkeypatch):
    monkeypatch.setattr(stress, "difference", difference)
    examples = (Source(tmp_path / "a.png", "A photograph"), Source(tmp_path / "b.png", "Two", scene=json.dumps(SCENE)))
    return StressTab(
        Context(
            SimpleNamespace(encoder=SimpleNamespace(title="Tiny")), None, "tiny", list, examples, answerers=Answerers()
        )
    )


def event(**data):
    return gr.EventData(None, data)


def without(scene, index):
    return scene | {"objects": [thing for k, thing in enumerate(scene["objects"]) if k != index]}


def test_the_picture_on_show_is_offered_if_it_is_a_scene(tab):
    (first,) = tab.show(Session())
    assert first["current"]["scene"] is None and first["current"]["name"] == "A photograph"
    (second,) = tab.show(Session(current=1, question="How many?", checkpoints=("two",)))
    assert second["current"]["scene"]["objects"][0]["kind"] == "dog"
    assert (second["current"]["question"], second["current"]["checkpoints"]) == ("How many?", ["two"])
    assert [one["name"] for one in tab._examples()] == ["Two", "an empty scene"]


def test_what_can_be_drawn_and_who_can_answer_is_told_once_asked(tab):
    told = tab.tell(Session(checkpoints=("two", "own@3", "gone")), event())
    json.dumps(told["checkpoints"], allow_nan=False)
    assert json.loads(told["palette"])["sheet"].startswith("data:image/webp")
    known = [(one["id"], one["here"]) for one in told["checkpoints"]["known"]]
    assert known == [("two", True), ("lost", False), ("own@3", True)] and told["checkpoints"]["usual"] == ["two"]
    assert "palette" not in tab.tell(Session(), event(again=True))
    nobody = StressTab(dataclasses.replace(tab.context, answerers=None))
    assert nobody.tell(Session(), event())["checkpoints"] == {"known": [], "usual": [], "chosen": []}


def test_a_scene_is_drawn_and_its_ground_only_if_it_is_another(tab):
    drawn = tab.draw(event(number=7, scene=SCENE, ground=""))["drawn"]
    assert drawn["number"] == 7 and drawn["picture"].startswith("data:image/webp") and "problem" not in drawn
    assert drawn["ground"] and drawn["questions"]
    again = tab.draw(event(number=8, scene=SCENE, ground=drawn["key"]))["drawn"]
    assert "ground" not in again and again["picture"] == drawn["picture"]


@pytest.mark.parametrize("scene", [None, 3, {}, SCENE | {"objects": [{"kind": "unicorn", "x": 0, "y": 0, "size": 1}]}])
def test_what_is_no_scene_is_one_sentence(tab, scene):
    assert tab.draw(event(number=1, scene=scene))["drawn"]["problem"]
    (told,) = list(tab.answer(Session(), event(number=1, scene=scene, question="How many?", checkpoints=["two"]), ME))
    assert told["replies"]["problem"] and told["replies"]["rows"] == []


def test_the_pinned_question_is_answered_row_by_row_and_judged(tab):
    asked = event(number=3, scene=SCENE, question="How many dogs are there?", checkpoints=["two", "lost"])
    *earlier, last = [update["replies"] for update in tab.answer(Session(), asked, ME)]
    assert last["truth"]["answer"] == "1" and last["number"] == 3
    two, lost = last["rows"]
    assert (two["answer"], two["probability"], two["right"]) == ("2", 0.9, False)
    assert lost["error"] == "Its weights are missing." and lost["right"] is None
    assert not earlier[0]["rows"][0]["done"]
    json.dumps(last, allow_nan=False)
    assert tab.context.answerers.stops[0].is_set()  # the work is over


@pytest.mark.parametrize(
    "wrong",
    [{"question": ""}, {"question": "x" * 301}, {"question": "\x00\u202e"}, {"question": 5}, {"checkpoints": []}],
)
def test_a_question_that_cannot_be_asked_is_one_sentence(tab, wrong):
    asked = {"number": 1, "scene": SCENE, "question": "How many?", "checkpoints": ["two"]} | wrong
    (told,) = list(tab.answer(Session(), event(**asked), ME))
    assert told["replies"]["problem"]


def test_newer_answers_stop_the_older_ones_of_the_same_visitor(tab):
    asked = event(number=5, scene=SCENE, question="How many dogs are there?", checkpoints=["two"])
    running = tab.answer(Session(), asked, ME)
    next(running)
    next(tab.answer(Session(), asked, SimpleNamespace(session_hash="somebody else")))
    assert not tab.context.answerers.stops[0].is_set()
    next(tab.answer(Session(), asked, ME))
    assert tab.context.answerers.stops[0].is_set()


def sweep(tab, **more):
    asked = {"number": 2, "which": "staircase", "kind": "dog", "other": "cat", "layouts": 2, "seed": 1} | more
    return [update["sweep"] for update in tab.sweep(Session(), event(**({"checkpoints": ["two"]} | asked)), ME)]


def test_a_staircase_is_told_as_it_grows(tab):
    told = sweep(tab)
    assert [one["step"] for one in told] == [0, 1, 2, 3]  # so that the page notices each
    assert [one["done"] for one in told] == [0, 10, 20, 20] and told[-1]["over"] and not told[-1]["stopped"]
    (line,) = told[-1]["lines"]
    assert [point["mean"] for point in line["points"]] == [2.0] * 10 and (line["right"], line["n"]) == (2, 20)
    assert told[-1]["xs"] == [*range(1, 11)] and len(told[-1]["thumbs"]) == 10
    json.dumps(told, allow_nan=False)


def test_a_position_sweep_says_where_training_asks_nothing(tab):
    last = sweep(tab, which="crossing")[-1]
    assert 0.1 < last["doubtful"] < 0.3 and len(last["xs"]) == 16
    assert last["lines"][0]["switch"] is None and last["question"] == "Is the dog left or right of the cat?"


def test_a_sweep_can_use_the_ground_of_the_scene(tab):
    assert sweep(tab, ground="scene", scene=SCENE)[-1]["over"]
    assert "problem" in sweep(tab, ground="scene", scene=None)[-1]


def test_a_sweep_is_cancelled(tab):
    asked = event(number=2, which="staircase", kind="dog", layouts=4, seed=1, checkpoints=["two"])
    running = tab.sweep(Session(), asked, ME)
    next(running)
    assert next(running)["sweep"]["done"] == 10
    tab.stop(event(what="sweep"), ME)
    last = [update["sweep"] for update in running][-1]
    assert last["over"] and last["stopped"] and last["done"] == 10


def test_a_second_sweep_waits_in_line(tab):
    asked = event(number=2, which="staircase", kind="dog", layouts=1, seed=1, checkpoints=["two"])
    first = tab.sweep(Session(), asked, ME)
    next(first)
    second = tab.sweep(Session(), asked, SimpleNamespace(session_hash="somebody else"))
    assert next(second)["sweep"]["place"] == 1
    assert [update["sweep"] for update in first][-1]["over"]
    assert [update["sweep"] for update in second][-1]["done"] == 10


@pytest.mark.parametrize(
    "wrong", [{"kind": "unicorn"}, {"layouts": 99}, {"seed": -1}, {"seed": "1"}, {"which": "crossing", "other": "dog"}]
)
def test_an_impossible_sweep_is_one_sentence(tab, wrong):
    (told,) = sweep(tab, **wrong)
    assert told["over"] and told["problem"] and told["number"] == 2


def change(tab, **more):
    asked = {"number": 9, "before": SCENE, "after": without(SCENE, 1), "question": "How many dogs are there?"}
    return [u["change"] for u in tab.change(Session(), event(**({"checkpoints": ["two"]} | asked | more)), ME)]


def test_one_thing_changed_is_told_layer_by_layer_and_asked_of_both(tab):
    told = change(tab)
    last = told[-1]
    assert last["over"] and last["sentence"] == "The cat went away." and len(last["pictures"]) == 2
    parting = last["parting"]
    assert parting["encoder"] == "Tiny" and parting["grid"] == [4, 4] and sum(parting["patches"]) == 16
    assert parting["here"] == pytest.approx([0, 0, 0])  # the cat stood on the right, features differ on the left
    assert max(parting["elsewhere"]) > 0.1
    before, after = last["rows"]
    assert (before[0]["answer"], after[0]["answer"]) == ("2", "2")
    assert [truth["answer"] for truth in last["truths"]] == ["1", "1"]
    assert "rows" not in told[1] and len(told[2]["rows"]) == 1  # pictures, features, then answers
    json.dumps(told, allow_nan=False)


def test_without_an_encoder_or_a_checkpoint_the_rest_is_told(tab, monkeypatch):
    def refuse(*args):
        raise EncoderError("No encoder was chosen yet.")

    monkeypatch.setattr(stress, "difference", refuse)
    last = change(tab)[-1]
    assert last["parting_problem"] == "No encoder was chosen yet." and len(last["rows"]) == 2
    nobody = StressTab(dataclasses.replace(tab.context, answerers=None))
    last = change(nobody)[-1]
    assert last["problem"] == "No checkpoint is here: put trained ones into assets/models, or name a folder."
    assert last["sentence"] == "The cat went away."


def test_equal_scenes_are_one_sentence(tab):
    (told,) = change(tab, after=SCENE)
    assert "the same" in told["problem"]


def test_the_means_are_over_the_patches_of_what_changed_and_over_the_others():
    found = stage.Change("The dog moved.", 1, ((0.0, 0.0, 0.5, 0.5),))
    distance = np.array([[0.4, 0.2, 0.1, 0.0]], np.float32)
    payload = parting_payload(found, distance, np.array([True, True, False, False]), (2, 2))
    assert payload["here"] == pytest.approx([0.3]) and payload["elsewhere"] == pytest.approx([0.05])
    assert payload["patches"] == [2, 2]
    whole = parting_payload(found, distance, np.array([True] * 4), (2, 2))
    assert whole["elsewhere"] == [None]


def test_an_open_answer_is_its_text_and_is_judged_by_its_meaning():
    truth = Truth("count", "2", NUMBERS, "open")
    reply = Reply("x", (), "", "There are two.", AnswerKind.OPEN, (("There", 0.7),), done=True)
    row = reply_payload(reply, truth)
    assert (row["answer"], row["probability"], row["right"]) == ("There are two.", None, True)
    assert reply_payload(dataclasses.replace(reply, done=False), truth)["right"] is None
    assert reply_payload(reply, None)["right"] is None


def test_a_built_scene_goes_on_show_with_its_question(tab):
    session = tab.used(Session(question="Old?"), {"scene": SCENE, "question": " How many dogs? "})
    assert session.question == "How many dogs?" and session.current == 2
    assert json.loads(session.own[0].scene)["objects"][1]["kind"] == "cat" and session.own[0].path.is_file()
    assert tab.used(Session(question="Old?"), {"scene": SCENE}).question == "Old?"
    with pytest.raises(InputError):
        tab.used(Session(), {"scene": None})


def test_the_choice_of_checkpoints_is_kept_for_the_other_tabs(tab):
    many = [str(k) for k in range(9)]
    assert tab.choose(Session(), event(checkpoints=["a", "a", 3, "b"])).checkpoints == ("a", "b")
    assert len(tab.choose(Session(), event(checkpoints=many)).checkpoints) == MOST_CHECKPOINTS
    assert tab.choose(Session(checkpoints=("a",)), event(checkpoints=[])).checkpoints == ("a",)
