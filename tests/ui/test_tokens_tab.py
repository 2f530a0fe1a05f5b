import dataclasses
import json

import gradio as gr
import numpy as np
import pytest
from synthetic import make_exploration
from test_page import context, explorer, folder  # noqa: F401

from explorer.models.vision import Features
from explorer.records import EncoderError, Fit
from explorer.services.tokens import TokenMap, TokenMaps
from explorer.ui.session import Session
from explorer.ui.tokens_payload import map_payload
from explorer.ui.tokens_tab import TokensTab


class SeeingExplorer:
    """Hands out the synthetic vectors as features; without an encoder until it is made ready."""

    encoder = None

    def __init__(self):
        self.forwards = 0

    def ready(self, encoder_id="mini"):
        self.encoder = dataclasses.replace(make_exploration(rows=4, cols=4, blocks=2)[0].encoder, id=encoder_id)
        return self

    def features(self, picture, fit):
        import torch

        if self.encoder is None:
            raise EncoderError("No encoder is ready.")
        self.forwards += 1
        found, states = make_exploration(picture, rows=4, cols=4, blocks=2, encoder_id=self.encoder.id, fit=fit)
        return Features(found.encoder, torch.from_numpy(states)[:, None], (found.view,), found.layout, 0.1)


@pytest.fixture
def tab(context):  # noqa: F811
    seeing = SeeingExplorer()
    seeing.status = context.explorer.status
    return TokensTab(dataclasses.replace(context, explorer=seeing, tokens=TokenMaps(seeing)))


def value_of(tab, session):
    return tab.show(session)[0]["value"]


def asked(tab, session, prop, handler, **about):
    said = {"id": value_of(tab, session).get("id"), "question": 7, "about": {"pictures": "one", **about}}
    got = handler(session, gr.EventData(None, said))
    return (got[prop] if isinstance(got, dict) else [each[prop] for each in got]), said


def test_what_the_view_is_about_changes_with_picture_fit_and_encoder_alone(tab):
    assert value_of(tab, Session()) == {"waiting": "Loading mini …"}
    tab.context.explorer.ready()
    first = value_of(tab, Session())
    assert first["pictures"] == 3 and first["label"] == "3 of the examples"
    assert value_of(tab, Session(question="How many?")) == first
    assert value_of(tab, Session(current=1))["id"] != first["id"] != value_of(tab, Session(fit=Fit.PAD))["id"]
    tab.context.explorer.ready("other")
    assert value_of(tab, Session())["id"] != first["id"]
    assert tab.context.explorer.forwards == 0  # cheap: nobody looks yet


def test_pictures_of_one_zip_are_told_apart(tab):
    tab.context.explorer.ready()
    pair = [dataclasses.replace(tab.context.examples[0], member=member) for member in (0, 1)]
    first, second = (value_of(tab, Session(own=(one,)))["id"] for one in pair)
    assert first != second


def test_no_picture_is_said(tab):
    tab.context.explorer.ready()
    nothing = TokensTab(dataclasses.replace(tab.context, examples=()))
    assert value_of(nothing, Session()) == {"waiting": "Add a picture to look at."}


def test_pca_comes_with_the_pictures_and_truth_where_it_is_known(tab):
    tab.context.explorer.ready()
    (answer,), said = asked(tab, Session(), "map", tab.ask_map, method="pca", pictures="all")
    json.dumps(answer, allow_nan=False)
    assert answer["question"] == 7 and answer["id"] == said["id"] and "things" not in answer["board"]
    assert [picture["name"] for picture in answer["board"]["pictures"]] == ["0", "1", "2"]
    assert answer["board"]["grid"] == [4, 4] and answer["map"]["layers"] == [0, 1, 2]
    backdrop = {"name": "grass", "style": "plain", "colours": [[0, 99, 0]] * 2, "seed": 0, "horizon": None}
    scene = json.dumps({"seed": 1, "backdrop": backdrop, "objects": [], "sign": None})
    examples = tuple(dataclasses.replace(source, scene=scene) for source in tab.context.examples)
    known = TokensTab(dataclasses.replace(tab.context, examples=examples))
    (answer,), _ = asked(known, Session(), "map", known.ask_map, method="pca")
    assert answer["board"]["things"] == {"names": ["backdrop"], "numbers": [0] * 16}


def test_tsne_says_how_far_it_is_and_then_gives_the_map(tab):
    tab.context.explorer.ready()
    answers, _ = asked(tab, Session(), "map", tab.ask_map, method="tsne", layers=[1])
    assert "16 tokens" in answers[0]["progress"][1] and answers[-1]["map"]["layers"] == [1]
    assert "board" not in answers[-1]


def test_colours_and_facts(tab):
    tab.context.explorer.ready()
    answer, _ = asked(tab, Session(), "colour", tab.ask_colour, kind="cluster", number=3)
    assert isinstance(answer["numbers"], str)
    answer, _ = asked(tab, Session(), "colour", tab.ask_colour, kind="similar", number=5)
    assert set(answer["map"]) == {"codes", "low", "high"}
    answer, _ = asked(tab, Session(), "facts", tab.ask_facts)
    assert answer["facts"]["pictures"] == 1 and answer["facts"]["patches"] == 16


@pytest.mark.parametrize(
    ("kind", "about", "sentence"),
    [
        ("map", {"method": "magic"}, "no such map"),
        ("map", {"method": ["pca"]}, "no such map"),
        ("map", {"method": "tsne", "layers": ["x", 1e9]}, "0 to 2"),
        ("colour", {"kind": "cluster", "number": 99}, "2 to 8"),
        ("colour", {"kind": "cluster", "number": True}, "No number"),
        ("colour", {"kind": "similar", "number": 16}, "0 to 15"),
        ("colour", {"kind": "magic", "number": 1}, "no such colouring"),
    ],
)
def test_what_a_browser_makes_up_is_refused_in_a_sentence(tab, kind, about, sentence):
    tab.context.explorer.ready()
    handler = {"map": tab.ask_map, "colour": tab.ask_colour}[kind]
    answer, _ = asked(tab, Session(), kind, handler, **about)
    assert sentence in (answer[-1] if isinstance(answer, list) else answer)["problem"]


def test_a_question_about_what_is_no_longer_on_show_is_not_answered(tab):
    tab.context.explorer.ready()
    for data in (None, {"id": "old", "question": 1, "about": {"kind": "cluster", "number": 3}}):
        answer = tab.ask_colour(Session(), gr.EventData(None, data))["colour"]
        assert "on show by now" in answer["problem"] and "numbers" not in answer


def test_places_are_packed_to_a_fraction_of_a_thousandth_of_the_map():
    places = np.random.default_rng(0).normal(size=(2, 9, 2)).astype(np.float32) * [[[1, 5]]]
    said = map_payload(TokenMap("umap", (1, 2), places, (float("nan"),) * 2, np.full(2, np.nan), 0.1))
    import base64

    codes = np.frombuffer(base64.b64decode(said["places"]), "<u2").reshape(2, 9, 2)
    np.testing.assert_allclose(codes * said["step"] + said["low"], places, atol=1e-3 * 30 / 65)
    assert said["shares"] == [None, None] and codes.min() == 0 and codes.max() == 65_535
