"""The tabs Failures and Results and the first screen's case, without a browser."""

import json

import gradio as gr
import pytest
import stored_family

from explorer.records import InputError
from explorer.services.precomputed import Precomputed
from explorer.ui.case_endpoint import add_case_endpoints
from explorer.ui.components.failures_view import failures_view
from explorer.ui.components.first_case import first_case
from explorer.ui.components.results_view import results_view
from explorer.ui.context import Context
from explorer.ui.failures_tab import MOST_THUMBS, PER_PAGE, FailuresTab
from explorer.ui.first_screen import first_payload, how_often
from explorer.ui.results_tab import ResultsTab
from explorer.ui.session import Session, Source
from explorer.ui.tabs import Wiring


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precomputed")
    held, _ = stored_family.save_family(folder)
    return Precomputed(folder), held


@pytest.fixture
def context(stored, tmp_path):
    example = Source(tmp_path / "none.png", "example")
    return Context(None, lambda *args: None, "mini", lambda: [], (example,), precomputed=stored[0])


@pytest.fixture
def tab(context):
    """The tab, wired to a page that gives back what it is told."""
    made = FailuresTab(context)
    with gr.Blocks():
        session = gr.State()
        made.build_first()
        made.build(session)
        made.wire(Wiring(session, [session], lambda session, tab=None: (session, tab)))
    return made


def test_the_page_is_told_of_every_request_that_fails(context):
    with gr.Blocks() as page:
        for made in (FailuresTab(context), ResultsTab(context)):
            session = gr.State()
            made.build(session)
            made.wire(Wiring(session, [session], lambda session: (session,)))
    told = "".join(str(one.js) for one in page.fns.values())
    for name in ("failures-unanswered", "failures-undrawn", "results-unanswered", "pair-unanswered"):
        assert f"vle-{name}" in told


def event(**data):
    return gr.EventData(None, data)


def test_the_whole_truth_and_a_page_of_cases(tab, stored):
    value = tab.find(event(number=3))["value"]
    assert json.loads(json.dumps(value)) == value and value["number"] == 3
    wanted, ways = value["wanted"], value["ways"]
    assert (wanted["task"], wanted["first"], wanted["second"]) == ("count", "mini-l23", "mini-l18")
    assert ways["n"] == 16 and value["found"] == ways["second"] == len(value["cases"])
    for case in value["cases"]:
        assert not case["first"]["right"] and case["second"]["right"] and case["task"] == "count"
    assert value["tasks"][0] == "all" and {one["id"] for one in value["checkpoints"]} == set(stored_family.FAMILY)
    assert value["made"]["command"].startswith("python -m explorer")


def test_pages_stay_within_what_is_found(tab):
    everything = {"task": "all", "outcome": "both", "number": 1}
    first, last = (tab.find(event(page=page, **everything))["value"] for page in (0, 10**9))
    assert len(first["cases"]) == PER_PAGE and first["pages"] == -(-first["found"] // PER_PAGE) > 1
    assert last["page"] == last["pages"] - 1 and 0 < len(last["cases"]) <= PER_PAGE
    assert tab.find(event(page="x", **everything))["value"]["page"] == 0


def test_all_that_is_found_is_listed_in_its_order(tab):
    everything = {"task": "all", "outcome": "both", "sort": "truth"}
    found = tab.find(event(page=1, **everything))["value"]
    said = tab.list_cases(event(number=4, **everything))["list"]
    assert said["number"] == 4 and len(said["cases"]) == found["found"] > PER_PAGE
    assert said["cases"][PER_PAGE : PER_PAGE + len(found["cases"])] == found["cases"]
    assert "problem" in tab.list_cases(event(number=5, first="nobody"))["list"]


@pytest.mark.parametrize(
    "said", [{"task": "<b>"}, {"first": "x"}, {"sure": "much"}, {"sure": 2}, {"sort": "x"}, {"outcome": "x"}]
)
def test_impossible_requests_are_answered_with_a_sentence(tab, said):
    value = tab.find(event(number=1, **said))["value"]
    assert set(value) == {"problem", "number"} and value["problem"].endswith(".")


def test_pictures_are_drawn_few_at_a_time_and_kept(tab, stored, monkeypatch):
    ids = [stored[1].case(row).id for row in range(MOST_THUMBS + 3)]
    drawn = tab.draw(event(ids=[*ids, 7, "no-such-case"]))["thumbs"]
    assert list(drawn) == ids[:MOST_THUMBS] and all(url.startswith("data:image/") for url in drawn.values())
    assert tab.draw(event(ids=["no-such-case", None, "x" * 500]))["thumbs"] == {"no-such-case": ""}
    monkeypatch.setattr(stored[0], "draw", lambda id, px: pytest.fail("drawn twice"))
    assert tab.draw(event(ids=ids[:2]))["thumbs"] == {id: drawn[id] for id in ids[:2]}
    assert tab.draw(event(ids="no list"))["thumbs"] == {}


def test_a_case_opens_in_answers_with_its_picture_question_and_pair(tab, stored):
    case = stored[1].case(4)
    session, opened = tab.open_case(Session(), event(id=case.id, first="mini-l3", second="mini-l24"))
    assert opened == "answers" and session.question == case.question and session.current == 1
    assert session.checkpoints == ("mini-l3", "mini-l24", "mini-fused")
    assert json.loads(session.own[0].scene)["seed"] == case.seed and session.own[0].path.is_file()
    again, _ = tab.open_case(session, event(id=case.id, first=["x"]))
    assert len(again.own) == 1 and again.checkpoints == ("mini-l23", "mini-l18", "mini-fused")
    for bad in ({"id": "1-count-open"}, {"id": None}, {}):
        with pytest.raises(gr.Error):
            tab.open_case(Session(), event(**bad))


def test_a_link_opens_its_case(tab, stored):
    case = stored[1].case(9)
    session = tab.openers["case"](Session(), case.id)
    assert session.question == case.question and session.checkpoints[0] == "mini-l23"
    with pytest.raises(InputError, match="no such case"):
        tab.openers["case"](Session(), "<script>")


def test_the_first_screen_says_both_ways_and_stays_honest(stored):
    value = first_payload(stored[0])
    assert json.loads(json.dumps(value)) == value and value["picture"].startswith("data:image/")
    assert [answer["right"] for answer in value["answers"][:2]] == [False, True]
    assert len(value["answers"]) == 3 and "layer 23" in value["lead"] and "layer 18" in value["lead"]
    found = stored[0].first
    said = how_often(found)
    assert f"in {found['together']['second']:,} (" in said and f"in {found['together']['first']:,} (" in said
    for ways, verdict in (
        ({"first": 9, "second": 40, "p": 0.001}, "middle layer is ahead"),
        ({"first": 40, "second": 9, "p": 0.001}, "deep layer is ahead"),
        ({"first": 9, "second": 10, "p": 0.9}, "neither layer"),
    ):
        assert verdict in how_often(found | {"together": {"n": 100} | ways})


def test_without_stored_answers_the_page_says_so(tmp_path):
    empty = Context(None, lambda *args: None, "mini", lambda: [], (), precomputed=Precomputed(tmp_path))
    tab = FailuresTab(empty)
    with gr.Blocks():
        tab.build_first()
    assert tab.first is None and first_payload(empty.precomputed) is None
    assert "precompute failures" in tab.find(event(number=1))["value"]["problem"]
    assert "precompute results" in json.loads(ResultsTab(empty).tell()["value"])["problem"]


def test_results_are_told_whole_and_pairs_are_compared_on_request(context):
    tab = ResultsTab(context)
    value = json.loads(tab.tell()["value"])
    assert value["tasks"][0] == "all" and len(value["findings"]) == 6
    assert len(value["accuracy"]) == len(value["columns"]) * len(value["tasks"])
    assert value["paper"]["source"].startswith("arXiv") and "normalised" in value["paper"]
    assert all(row["accuracy"] is not None for row in value["accuracy"])
    paired = tab.compare(event(first="mini-l18", second="mini-l23", number=2))["paired"]
    assert json.loads(json.dumps(paired, allow_nan=False)) == paired and paired["number"] == 2
    assert [row["task"] for row in paired["rows"]] == value["tasks"]
    assert "problem" in tab.compare(event(first="nobody", second=None, number=2))["paired"]


def endpoint(context, name):
    """The function behind a named endpoint, as a client calls it."""
    with gr.Blocks() as page:
        add_case_endpoints(context)
    return next(made.fn for made in page.fns.values() if made.api_name == name)


def test_the_case_endpoint_gives_question_answers_and_scene(context, stored):
    ask, case = endpoint(context, "case"), stored[1].case(2)
    found = ask(case.id)
    assert json.loads(json.dumps(found, allow_nan=False))["answers"][0]["checkpoint"] == "mini-l3"
    assert (found["question"], found["truth"], found["scene"]["seed"]) == (case.question, case.truth, case.seed)
    assert found["made"]["command"].startswith("python -m explorer")
    assert ask("")["id"] == stored[0].first["case"]["id"]
    for bad in ("1-count-open", "x" * 1000, None):
        with pytest.raises(gr.Error):
            ask(bad)


def test_the_cases_endpoint_finds_who_fails_where_whom(context, stored):
    ask = endpoint(context, "cases")
    found = ask("count", "mini-l24", "mini-fused", 0.0, 200)
    assert found["found"] == found["ways"]["second"] == len(found["cases"])
    assert ask()["first"] == "mini-l23" and len(ask(most=3)["cases"]) == 3
    for bad in (("colours",), ("all", "nobody"), ("all", "", "", 2), ("all", "", "", 0, 0), ("all", 7)):
        with pytest.raises(gr.Error):
            ask(*bad)


def test_events_can_be_listened_to():
    for view, events in (
        (failures_view(), ("wanted", "list_asked", "thumbs_asked", "case_opened")),
        (first_case({}), ("case_opened",)),
        (results_view(), ("results_asked", "pair_chosen")),
    ):
        for name in events:
            assert callable(getattr(view, name))
