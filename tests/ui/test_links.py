from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from explorer.records import Fit, InputError
from explorer.ui.context import Context
from explorer.ui.links import Link, link_to, open_link, pack_scene, read_link, unpack_scene
from explorer.ui.session import Session, Source

EXAMPLES = (Source(Path("/x/a cat.png"), "a cat"), Source(Path("/x/ball.png"), "a ball"))


@pytest.fixture
def asked():
    return []


@pytest.fixture
def context(asked):
    explorer = SimpleNamespace(
        encoder=SimpleNamespace(id="mini"), use=asked.append, status=lambda: SimpleNamespace(id="mini")
    )
    known = [{"id": "big", "on_this_machine": True}, {"id": "far", "on_this_machine": False}]
    return Context(explorer, lambda *what: None, "mini", lambda: known, EXAMPLES)


def params(query):
    return {name: values[0] for name, values in parse_qs(query).items()}


def test_a_link_is_read_as_it_was_written():
    link = Link(
        tab="tokens", encoder="open_clip:A/B", example="a cat", layer=0, patch=5, mode="similar", question="is & was?"
    )
    assert read_link(params(link.query())) == (link, [])
    assert Link().query() == "" and read_link({"utm": "1", "theme": "dark"}) == (Link(), [])


@pytest.mark.parametrize(
    "wrong", [{"layer": "x"}, {"layer": "-1"}, {"patch": "1e3"}, {"patch": "9" * 20}, {"fit": "round"}, {"mode": "<b>"},
              {"question": "a" * 501}, {"layer": "²"}]
)  # fmt: skip
def test_each_wrong_part_is_one_sentence_and_the_rest_is_used(wrong):
    link, problems = read_link({"example": "ball"} | wrong)
    assert link == Link(example="ball") and len(problems) == 1 and "link" in problems[0]


def test_a_session_opens_again_with_picture_question_and_checkpoints(context, asked):
    session = Session(current=1, fit=Fit.PAD, question="How many?", checkpoints=("mini-l3", "mini-any@3+18"))
    link, note = link_to(session, context, {"tab": "answers", "layer": 7, "patch": "junk", "mode": "norm"})
    assert note == "" and (link.layer, link.patch, link.example, link.encoder) == (7, None, "ball", "")
    opened, problems = open_link(read_link(params(link.query()))[0], Session(), context, {})
    assert problems == [] and opened == session and asked == []


def test_a_scene_travels_in_the_link(context):
    from explorer.scenes.layout import make_scene

    scene = make_scene(7).to_dict()
    source = context.scene_source(scene)
    link, note = link_to(Session().having([source], 2), context, {})
    opened, problems = open_link(read_link(params(link.query()))[0], Session(), context, {})
    assert note == "" and problems == [] and context.source(opened).scene == source.scene and opened.current == 2
    for damaged in (link.scene[:-9], "!!", pack_scene("[1]"), pack_scene("x" * 10**6)):
        with pytest.raises(InputError, match="copy the whole link"):
            unpack_scene(damaged)
    _, problems = open_link(Link(scene=pack_scene('{"seed": 1}')), Session(), context, {})
    assert len(problems) == 1


def test_an_uploaded_picture_stays_here_and_the_link_says_so(context):
    link, note = link_to(Session().having([Source(Path("/secret/me.png"), "me")], 2), context, {})
    assert (
        "stays on this machine" in note and "secret" not in link.query() and "me" not in params(link.query()).values()
    )


def test_an_encoder_is_loaded_only_if_it_is_here(context, asked):
    assert open_link(Link(encoder="big"), Session(), context, {}) == (Session(), []) and asked == ["big"]
    for far in ("far", "unknown/hub-id", "/etc"):
        _, problems = open_link(Link(encoder=far), Session(), context, {})
        assert far in problems[0]
    assert asked == ["big"]


def test_what_a_tab_knows_is_opened_by_the_tab(context):
    def open_case(session, case):
        if case != "count-7":
            raise InputError(f"There is no case {case}.")
        return session.having([Source(Path("/x/case.png"), case)], 2)

    opened, problems = open_link(Link(case="count-7"), Session(), context, {"case": open_case})
    assert problems == [] and context.source(opened).name == "count-7"
    assert open_link(Link(case="no"), Session(), context, {"case": open_case})[1] == ["There is no case no."]
