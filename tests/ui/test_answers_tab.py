import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from fake_answers import COUNTS, FAMILY, FakeAnswerers, make_info
from PIL import Image

from explorer.records import STOPPED, AnswerKind, CheckpointError, Looked, Picture, Reply, Truth
from explorer.ui.answers_payload import (
    looked_payload,
    reply_payload,
    row_of,
    usual_checkpoints,
    verdict,
    xray_columns,
)
from explorer.ui.answers_tab import NO_CHECKPOINT, PHOTOGRAPH, AnswersTab
from explorer.ui.context import Context
from explorer.ui.session import Session, read_examples

SCENE = {
    "seed": 1_100_000_001,
    "backdrop": {"name": "grass", "style": "plain", "colours": [[90, 160, 80], [90, 160, 80]]},
    "objects": [{"kind": "dog", "x": x, "y": 0.5, "size": 0.2} for x in (0.15, 0.4, 0.65, 0.88)],
    "sign": None,
}
QUESTION = "How many dogs are there?"
IDS = ["mini-l18", "mini-l23", "mini-fused"]
FOUR = Truth("count", "4", COUNTS, "open")


@pytest.fixture
def answerers():
    return FakeAnswerers()


@pytest.fixture
def tab(tmp_path, answerers):
    for name, colour in (("a scene.png", "green"), ("b photo.png", "red")):
        Image.new("RGB", (96, 64), colour).save(tmp_path / name)
    said = {"a scene.png": {"title": "Four dogs", "scene": SCENE}, "b photo.png": {"title": "A photograph"}}
    (tmp_path / "examples.json").write_text(json.dumps(said))
    context = Context(None, lambda *about: None, "mini", list, read_examples(tmp_path), answerers=answerers)
    return AnswersTab(context)


def event(**data):
    return gr.EventData(None, data)


def sent(tab, session=None, **more):
    picture = tab.context.picture(session or Session())
    return {"number": 5, "picture": picture.key, "question": QUESTION, "checkpoints": IDS} | more


WHO = SimpleNamespace(session_hash="visitor")


def asked(tab, session=None, **more):
    """All states of the cards, and the sessions told."""
    session = session or Session()
    states = list(tab.answer(session, event(**sent(tab, session, **more)), WHO))
    json.dumps([update["said"] for update, _ in states], allow_nan=False)
    return [update["said"] for update, _ in states], [told for _, told in states if isinstance(told, Session)]


def test_before_anything_is_asked(tab):
    value = tab.show(Session())[0]["value"]
    json.dumps(value, allow_nan=False)
    assert value["chosen"] == ["mini-l3", "mini-l18", "mini-l23", "mini-fused"] and value["empty"] == ""
    assert value["name"] == "Four dogs" and value["note"] == "" and len(value["suggestions"]) >= 4
    assert [group["name"] for group in value["groups"]] == ["shallow", "middle", "deep"]
    value = tab.show(Session(current=1, question="What is it?", checkpoints=("mini-l12",)))[0]["value"]
    assert value["note"] == PHOTOGRAPH and value["chosen"] == ["mini-l12"] and value["question"] == "What is it?"


def test_no_checkpoint_is_said_plainly(tab):
    for answerers in (None, FakeAnswerers(family=()), FakeAnswerers(family=(make_info("far/away", (3,), here=False),))):
        tab.context = replace(tab.context, answerers=answerers)
        value = tab.show(Session())[0]["value"]
        assert value["empty"] == NO_CHECKPOINT and value["chosen"] == []


def test_no_picture_is_said_plainly(tab):
    tab.context = replace(tab.context, examples=())
    assert tab.show(Session())[0]["value"]["note"] == "Add a picture to ask about."


def test_answers_stream_and_are_judged_by_the_scene(tab):
    states, sessions = asked(tab)
    last = states[-1]
    assert last["over"] and not last["stopped"] and last["number"] == 5
    assert sessions == [Session(question=QUESTION, checkpoints=tuple(IDS))]
    assert last["truth"]["answer"] == "4" and "scene" in last["truth"]["source"]
    assert [(one["text"], one["right"]) for one in last["replies"]] == [("4", True), ("5", False), ("4", True)]
    assert [one["gist"] for one in last["replies"]] == ["4", "5", "4"]
    assert last["replies"][0]["reads"] == "layer 18 · middle" and last["replies"][0]["kind"] == "count"


def test_what_the_person_states_counts(tab):
    last = asked(tab, truth="five")[0][-1]
    assert [one["right"] for one in last["replies"]] == [False, True, False] and last["truth"]["source"] == "as you say"
    last = asked(tab, Session(current=1))[0][-1]
    assert last["truth"] is None and [one["right"] for one in last["replies"]] == [None] * 3


def test_answers_are_judged_again_without_being_asked_again(tab, answerers):
    said = {"number": 5, "question": QUESTION, "truth": "5", "answers": ["4", "There are five", ""]}
    told = tab.judge(Session(current=1), event(**said))["verdicts"]
    assert told["right"] == [False, True, False] and answerers.asked == []
    assert tab.judge(Session(current=1), event(**said | {"truth": ""}))["verdicts"]["right"] == [None] * 3
    with pytest.raises(gr.Error):
        tab.judge(Session(), event(answers="x"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"picture": "another"}, "Another picture"),
        ({"question": "  "}, "Type a question"),
        ({"checkpoints": []}, "Choose one to 6"),
        ({"checkpoints": ["nobody"]}, "no checkpoint 'nobody'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(tab, wrong, sentence):
    states, sessions = asked(tab, **wrong)
    assert len(states) == 1 and sentence in states[0]["problem"] and sessions == []


def test_strangers_can_ask_the_listed_checkpoints_alone(tab, answerers):
    tab.context = replace(tab.context, choosable=False)
    assert asked(tab, checkpoints=["mini-any@3+18", "mini-l18"])[0][-1]["over"]
    for id in ("/etc", "some/model", "openai:http://127.0.0.1:1#x"):
        assert "Here only the built-in" in asked(tab, checkpoints=[id])[0][0]["problem"]
        assert "Here only the built-in" in tab.name_checkpoint(event(number=1, id=id))["named"]["problem"]


def test_strangers_can_ask_a_served_checkpoint_that_is_listed(tab, answerers):
    served = "openai:https://example.org/v1#ours"
    known = [*answerers.list(), replace(answerers.list()[0], id=served)]
    answerers.list = lambda: known
    tab.context = replace(tab.context, choosable=False)
    tab._check_allowed(served)
    with pytest.raises(CheckpointError, match="Here only the built-in"):
        tab._check_allowed(served + "-not")


def test_a_checkpoint_is_looked_up_by_its_name(tab):
    told = tab.name_checkpoint(event(number=2, id=" mini-any@3+18 "))["named"]
    assert told["info"]["reads"] == "3 + 18 · fused" and told["number"] == 2
    for wrong in ("", "nobody", None, "x" * 400):
        assert tab.name_checkpoint(event(number=2, id=wrong))["named"]["problem"]


def test_stop_ends_the_work_and_so_does_leaving(tab, answerers):
    answerers.slow = 60
    for end in (lambda: tab.stop(event(kinds=["asked"]), WHO), lambda: tab.leave(WHO)):
        states = tab.answer(Session(), event(**sent(tab)), WHO)
        assert "replies" in next(states)[0]["said"]
        threading.Timer(0.1, end).start()
        last = list(states)[-1][0]["said"]
        assert last["stopped"] and last["over"]
    assert answerers.stopped == 2


def test_a_closed_stream_sets_its_stop(tab, answerers):
    states = tab.answer(Session(), event(**sent(tab)), WHO)
    next(states)
    _, stop = tab.stops._events["visitor", "asked"]
    states.close()
    assert stop.is_set() and tab.stops._events == {}


def test_who_comes_later_is_told_the_place_in_line(tab):
    with tab.line.ticket(), tab.line.ticket():
        states = tab.answer(Session(), event(**sent(tab)), WHO)
        assert next(states)[0]["said"]["place"] == 1
    assert list(states)[-1][0]["said"]["over"]


def xray(tab, session=None, **more):
    states = [update["xray"] for update in tab.xray(session or Session(), event(**sent(tab, session, **more)), WHO)]
    json.dumps(states, allow_nan=False)
    return states


def test_the_xray_asks_all_layers_and_marks_those_trained_alone(tab):
    states = xray(tab)
    last = states[-1]
    assert last["columns"] == [[layer] for layer in range(1, 25)] + [[3, 18, 23], [18, 23]]
    assert [state["done"] for state in states[:3]] == [4, 8, 12] and last["done"] == 26 and last["over"]
    shares = np.array(last["probabilities"])
    assert shares.shape == (26, 11) and np.allclose(shares.sum(1), 1, atol=2e-3)
    assert last["answers"][17] == "4" and last["truth"]["gist"] == "4" and last["gists"] == list(COUNTS)
    trained = {one["checkpoint"]: (last["columns"][one["column"]], one["row"]) for one in last["trained"]}
    assert trained["mini-l18"] == ([18], 4) and trained["mini-fused"][0] == [3, 18, 23] and len(trained) == 6


def test_an_xray_stops(tab, answerers):
    answerers.slow = 60
    states = tab.xray(Session(), event(**sent(tab)), WHO)
    threading.Timer(0.1, lambda: tab.stop(event(kinds=["xray"]), WHO)).start()
    assert list(states)[-1]["xray"]["stopped"]


def test_an_xray_without_a_model_for_any_layer_is_one_sentence(tab):
    tab.context = replace(tab.context, answerers=FakeAnswerers(family=FAMILY[1:]))
    assert "any layer" in xray(tab)[-1]["problem"]


def test_the_dial_asks_the_layers_chosen(tab, answerers):
    states = [u["dial_said"] for u in tab.dial(Session(), event(**sent(tab, checkpoints=["mini-any@3+23"])), WHO)]
    assert states[-1]["replies"][0]["reads"] == "3 + 23 · fused" and states[-1]["replies"][0]["right"] is False


def test_where_they_looked_comes_one_by_one(tab):
    states = [
        update["looked"] for update in tab.look(Session(), event(**sent(tab, checkpoints=["mini-l3", "mini-l18"])), WHO)
    ]
    assert [list(state["maps"]) for state in states] == [["mini-l3"], ["mini-l3", "mini-l18"]]
    assert "cannot be seen" in states[-1]["maps"]["mini-l3"]["problem"]
    assert states[-1]["maps"]["mini-l18"]["box"] == pytest.approx([1 / 6, 0, 5 / 6, 1])  # 96 × 64: the middle square


def test_usual_checkpoints():
    assert usual_checkpoints(FAMILY) == ("mini-l3", "mini-l18", "mini-l23", "mini-fused")
    assert usual_checkpoints(FAMILY[:1]) == ("mini-any@3", "mini-any@18", "mini-any@23", "mini-any@3+18+23")
    small = (make_info("a", (1,), blocks=4), make_info("b", (4,), blocks=4), make_info("c", (1, 4), blocks=4))
    assert usual_checkpoints(small) == ("b", "c")
    assert usual_checkpoints(small[:1]) == ("a",) and usual_checkpoints(()) == ()


def test_columns_of_a_small_encoder():
    fused = make_info("f", (1, 4), blocks=4)
    assert xray_columns((fused, make_info("g", (1, 3), blocks=4)), (0, 1, 2, 4), 4) == [(1,), (2,), (4,), (1, 4)]


def test_a_reply_that_is_not_done_is_not_judged():
    half = Reply("mini-l18", (18,), "layer 18 · middle", "4", AnswerKind.COUNT, (("4", 1.0),))
    assert reply_payload(half, FOUR, "", COUNTS) | {"gist": "", "right": None, "seconds": None} == reply_payload(
        half, FOUR, "", COUNTS
    )
    wrong = replace(half, done=True, text="", error="It is broken.", seconds=0.5)
    assert reply_payload(wrong, FOUR, "", COUNTS)["right"] is None
    silent = reply_payload(replace(half, done=True, text=" "), FOUR, "", COUNTS)
    assert silent["right"] is False and silent["gist"] == ""  # who says nothing is wrong, and agrees with nobody
    said = replace(half, done=True, text="There are four of them")
    assert reply_payload(replace(said, kind=AnswerKind.OPEN), FOUR, "", ())["gist"] == "there are 4 of them"
    assert reply_payload(said, FOUR, "", COUNTS)["gist"] == "4" and verdict(said.text, FOUR, "")
    stopped = replace(said, remarks=(STOPPED,))
    assert reply_payload(stopped, FOUR, "", COUNTS)["right"] is None


def test_an_answer_finds_its_row():
    assert row_of("There are three.", COUNTS) == 3 and row_of("many", COUNTS) == -1
    assert row_of("In the top left", ("top", "top left")) == 1


def test_maps_say_where_they_lie():
    maps = np.full((2, 3, 6), 1 / 6, np.float32)
    told = looked_payload(Looked("x", 2, 3, maps, maps[0, 0], maps[0, 1]), Picture("p", np.zeros((4, 6, 3), np.uint8)))
    assert (told["blocks"], told["heads"], told["box"]) == (2, 3, [0.0, 0.0, 1.0, 1.0])
    assert len(told["rollout"]["low"]) > 0
