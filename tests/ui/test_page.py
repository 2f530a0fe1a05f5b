import dataclasses
import io
import json
import zipfile

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from synthetic import make_exploration

from explorer.records import EncoderError, Exploration, Fit, InputError, Picture
from explorer.services.explore import EncoderStatus
from explorer.ui.context import Context
from explorer.ui.page import Page, build_page
from explorer.ui.session import Session, Source, read_examples


class SyntheticExplorer:
    """Answers as ``Explorer`` does, from synthetic vectors; ``encoder`` is None until it is made ready."""

    def __init__(self):
        self.encoder, self.phase, self.asked = None, "idle", []

    def ready(self, encoder_id="mini"):
        self.encoder = dataclasses.replace(make_exploration(blocks=2, rows=4, cols=4)[0].encoder, id=encoder_id)
        self.phase = "ready"
        return self

    def status(self):
        return EncoderStatus("mini", self.phase, 0.4, "Loading mini …" if self.phase != "failed" else "It is broken.")

    def use(self, encoder_id):
        self.asked.append(encoder_id)

    def explore(self, picture: Picture, fit: Fit) -> Exploration:
        return make_exploration(picture, rows=4, cols=4, blocks=2, encoder_id=self.encoder.id, fit=fit)[0]

    def patch_similarity(self, picture, fit, patch):
        return np.full((3, 16), patch / 16, np.float32)

    def text_match(self, picture, fit, text):
        raise EncoderError("This encoder reads no text: choose a CLIP or SigLIP.")

    def cls_attention(self, picture, fit):
        return np.arange(2 * 4 * 16, dtype=np.float32).reshape(2, 4, 16)

    def similarity_over(self, pictures, fit, on_progress, on_matrices):
        count = len(list(pictures))
        on_progress(count)
        return {
            kind: dataclasses.replace(one, pictures=count)
            for kind, one in make_exploration(blocks=2, rows=4, cols=4)[0].similarity.items()
        }


@pytest.fixture
def folder(tmp_path):
    for k, colour in enumerate(["red", "green", "blue"]):
        Image.new("RGB", (90, 60), colour).save(tmp_path / f"{k}.png")
    return tmp_path


@pytest.fixture
def explorer():
    return SyntheticExplorer()


@pytest.fixture
def context(explorer, folder):
    return Context(explorer, lambda key, encoder_id, fit: None, "mini", lambda: [], read_examples(folder))


@pytest.fixture
def uploads(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("uploads")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def event(**data):
    return gr.EventData(None, data)


def shown(page, session):
    session, _, view, *_ = page.look_again(session)
    return session, view["value"]


def test_the_page_is_built_before_an_encoder_is_ready(context):
    config = build_page(context).get_config_file()
    view = next(part for part in config["components"] if part["props"].get("elem_id") == "layers-view")
    assert view["props"]["value"] == {"waiting": "Loading mini …"}


def test_requests_that_share_a_queue_share_its_limit(context):
    limits = {}
    for function in build_page(context).fns.values():
        limits.setdefault(function.concurrency_id, set()).add(function.concurrency_limit)
    # Gradio takes the lowest of one id for all.
    assert limits["answers"] == {24} and all(len(some) == 1 for some in limits.values()), limits


def test_the_endpoints_have_the_names_that_the_documents_give(context):
    # A private handler of the same name would leave "ask_1" to the endpoint.
    assert set(build_page(context).get_api_info()["named_endpoints"]) == {"/analyze", "/ask", "/case", "/cases", "/lrs"}


def test_a_stored_analysis_of_the_first_example_is_part_of_the_page(context):
    asked = []

    def stored(key, encoder_id, fit):
        asked.append((encoder_id, fit))
        return make_exploration(context.shelf.picture(context.examples[0]), live=False)[0]

    page = build_page(dataclasses.replace(context, stored=stored))
    view = next(p for p in page.get_config_file()["components"] if p["props"].get("elem_id") == "layers-view")
    assert view["props"]["value"]["live"] is False and view["props"]["value"]["name"] == "0"
    assert asked == [("mini", Fit.ENCODER)]
    json.dumps(view["props"]["value"], allow_nan=False)


def test_no_picture_at_all_is_said(context):
    page = Page(dataclasses.replace(context, examples=()))
    session, value = shown(page, Session())
    assert value == {"waiting": "Add a picture to look at."} and not session.live


def test_polling_shows_the_picture_once_the_encoder_is_ready_and_then_stops(context, explorer):
    page = Page(context)
    _, top, view, *_ = page.poll(Session())
    assert top["status"]["phase"] == "loading" and "value" not in view
    explorer.ready()
    session, top, view, *_ = page.poll(Session())
    assert session.live and view["value"]["live"] and top["status"]["phase"] == "ready"
    assert "value" not in page.poll(session)[2]
    assert "value" not in top  # a sentence about a file that could not be read stays


def test_an_encoder_that_never_came_is_told(context, explorer):
    explorer.phase = "failed"
    _, top, view, *_ = Page(context).poll(Session())
    assert top["status"]["phase"] == "failed" and view["encoder_state"]["message"] == "It is broken."


def test_choosing_a_picture_and_a_fit(context, explorer):
    explorer.ready()
    page = Page(context)
    session, top, view, *_ = page.choose_picture(Session(), event(index=2))
    assert session.current == 2 and top["value"]["current"] == 2 and view["value"]["name"] == "2"
    session, top, view, *_ = page.choose_fit(session, event(fit="pad"))
    assert session.fit is Fit.PAD and view["value"]["id"].split("/")[1] == "pad"


@pytest.mark.parametrize("index", [-1, 3, "0", None, 1.5])
def test_a_picture_that_is_not_there_is_refused(context, index):
    with pytest.raises(gr.Error, match="There is no such picture"):
        Page(context).choose_picture(Session(), event(index=index))


@pytest.mark.parametrize("data", [{"fit": "stretch"}, {"fit": ["pad"]}, {}, None, []])
def test_a_fit_that_is_not_there_is_refused(context, data):
    with pytest.raises(gr.Error, match="There is no fit"):
        Page(context).choose_fit(Session(), gr.EventData(None, data))


def test_uploaded_pictures_are_added_and_bad_ones_named(context, explorer, uploads):
    explorer.ready()
    Image.new("RGB", (50, 50), "gold").save(uploads / "good.png")
    (uploads / "bad.png").write_text("hello")
    files = [{"path": str(uploads / name), "name": f"{name[:-4]} <b>.png"} for name in ("bad.png", "good.png")]
    session, top, view, *_ = Page(context).add_pictures(
        Session(), event(files=files, problems=["big.png is too large."])
    )
    assert [source.name for source in session.own] == ["good <b>.png"]
    assert session.current == 3 and view["value"]["name"] == "good <b>.png"
    assert top["value"]["problems"][0] == "big.png is too large."
    assert top["value"]["problems"][1].startswith("bad <b>.png holds text")


def test_only_bad_files_leave_everything_in_place(context, uploads):
    (uploads / "empty.png").write_bytes(b"")
    before = Session(current=1)
    session, top, view, *_ = Page(context).add_pictures(
        before, event(files=[{"path": str(uploads / "empty.png"), "name": "empty.png"}])
    )
    assert session == before and "value" not in view
    assert top["value"]["problems"] == ["empty.png is empty (0 bytes): take another copy of the picture."]


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return {"path": str(path), "name": path.name}


def test_a_zip_gives_its_pictures_and_a_sentence_on_each_other_file(context, explorer, uploads):
    explorer.ready()
    nested = zipped(uploads / "inner.zip", **{"deep.png": png("red")})
    members = {
        "../../x.png": png("red"),
        "folder/blue.png": png("blue"),
        "damaged.png": png("red")[:60],
        "note.txt": "hi",
    }
    members |= {"inner.zip": (uploads / "inner.zip").read_bytes(), "__MACOSX/._x": b"x", "C:\\evil.png": png("green")}
    before = sorted(path for path in uploads.parent.rglob("*"))
    file = zipped(uploads / "many.zip", **members)
    page = Page(context)
    session, top, view, *_ = page.add_pictures(Session(), event(files=[file], problems=[]))
    assert [source.name.split("/", 1)[1] for source in session.own] == [
        "../../x.png",
        "folder/blue.png",
        "C:\\evil.png",
    ]
    said = top["value"]["problems"]
    assert len(said) == 3 and "damaged" in said[0] and "note.txt" in said[1] and "zip inside a zip" in said[2]
    assert sorted(path for path in uploads.parent.rglob("*")) == sorted([*before, uploads / "many.zip"])
    assert view["value"]["name"].endswith("x.png")
    _, _, view, *_ = page.choose_picture(session, event(index=4))
    assert view["value"]["name"] == "many.zip/folder/blue.png"
    assert context.picture(dataclasses.replace(session, current=4)).pixels[0, 0].tolist() == [0, 0, 255]
    assert page.remove_picture(session, event(index="all"))[0].own == () and nested


def test_a_zip_of_ten_thousand_is_read_up_to_the_limit(context, explorer, uploads):
    explorer.ready()
    content = png("gold")
    file = zipped(uploads / "huge.zip", **{f"{k:05}.png": content for k in range(10_000)})
    session, top, *_ = Page(context).add_pictures(Session(), event(files=[file], problems=[]))
    assert len(session.own) == 300 and len(top["value"]["items"]) == 3 + 32 and top["value"]["more"] == 268
    assert top["value"]["problems"] == [
        "huge.zip holds 10,000 files, and the first 300 are read: 9,700 were left out. Divide it into several zips."
    ]
    session, top, *_ = Page(context).add_pictures(session, event(files=[file], problems=[]))
    assert len(session.own) == 300 and "300 were left out" in top["value"]["problems"][-1]


def test_a_zip_that_is_none_is_told(context, uploads):
    (uploads / "broken.zip").write_bytes(b"PK\3\4 and then nothing")
    files = [{"path": str(uploads / "broken.zip"), "name": "broken.zip"}, zipped(uploads / "empty.zip")]
    session, top, *_ = Page(context).add_pictures(Session(), event(files=files, problems=[]))
    assert session == Session()
    assert ["damaged" in said or "no pictures" in said for said in top["value"]["problems"]] == [True, True]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "https://example.org/a.png", None, 3, ""])
def test_files_outside_of_the_uploads_are_refused(context, uploads, path):
    _, top, *_ = Page(context).add_pictures(Session(), event(files=[{"path": path, "name": "x"}]))
    assert top["value"]["problems"] == ["That file was not uploaded here: add it again."]


def test_removing_an_own_picture_keeps_the_one_on_show(context, explorer, uploads):
    explorer.ready()
    own = []
    for name in ("a", "b", "c"):
        Image.new("RGB", (50, 50)).save(uploads / f"{name}.png")
        own.append(Source(uploads / f"{name}.png", name))
    page, session = Page(context), Session(own=tuple(own), current=4)
    assert page.remove_picture(session, event(index=3))[0].current == 3  # b moved up
    assert page.remove_picture(session, event(index=5))[0].current == 4
    last = page.remove_picture(dataclasses.replace(session, current=5), event(index=5))[0]
    assert last.current == 4 and [source.name for source in last.own] == ["a", "b"]
    with pytest.raises(gr.Error, match="Example pictures cannot be removed"):
        page.remove_picture(session, event(index=0))


def test_an_encoder_can_be_asked_for_where_that_is_allowed(context, explorer):
    Page(context).use_encoder(event(id="  org/name "))
    assert explorer.asked == ["org/name"]
    for wrong in ("", "  ", None, 3):
        with pytest.raises(gr.Error, match="No encoder was named"):
            Page(context).use_encoder(event(id=wrong))
    with pytest.raises(gr.Error, match="the encoder is fixed"):
        Page(dataclasses.replace(context, choosable=False)).use_encoder(event(id="org/name"))
    assert explorer.asked == ["org/name"]


@pytest.fixture
def tab(context, explorer):
    explorer.ready()
    page = Page(context)
    session, value = shown(page, Session())
    return page.layers, session, value["id"]


def test_answers_name_their_question(tab):
    layers, session, id = tab
    answer = layers.choose_patch(session, event(id=id, question=7, about=5))["patch"]
    assert (answer["id"], answer["question"], answer["about"]) == (id, 7, 5) and "problem" not in answer
    answer = layers.attend(session, event(id=id, question=8, about=None))["attention"]
    assert len(answer["map"]["low"]) > 0
    *_, last = layers.compare_all(session, event(id=id, question=9))
    answer = last["overall"]
    assert answer["lrs"]["token"]["pictures"] == 3 and len(answer["over"]) == 20 and answer["unlike"] == []


@pytest.mark.parametrize("patch", [None, "5", 1.5, True, [1]])
def test_a_patch_that_is_no_number_is_refused(tab, patch):
    layers, session, id = tab
    assert (
        "No patch was chosen" in layers.choose_patch(session, event(id=id, question=1, about=patch))["patch"]["problem"]
    )


@pytest.mark.parametrize("text", [None, "", "  ", "x" * 201, 7])
def test_a_text_that_cannot_be_matched_is_refused(tab, text):
    layers, session, id = tab
    assert "Type a word" in layers.match_text(session, event(id=id, question=1, about=text))["text"]["problem"]


def test_what_the_encoder_cannot_do_is_one_sentence(tab):
    layers, session, id = tab
    answer = layers.match_text(session, event(id=id, question=1, about="a cat"))["text"]
    assert answer["problem"] == "This encoder reads no text: choose a CLIP or SigLIP."


def test_a_question_about_another_picture_is_not_answered(tab):
    layers, session, _ = tab
    answer = layers.choose_patch(session, event(id="another", question=1, about=5))["patch"]
    assert "Another picture" in answer["problem"] and "map" not in answer
    assert "problem" in layers.choose_patch(session, gr.EventData(None, "nonsense"))["patch"]


def test_after_a_change_of_encoder_the_view_is_told_to_look_again(tab, explorer):
    layers, session, id = tab
    explorer.ready("another")
    answer = layers.choose_patch(session, event(id=id, question=1, about=5))["patch"]
    assert answer["outdated"] and "map" not in answer


class Note:
    """The least tab: one component that repeats the question."""

    id, title = "note", "Note"

    def build(self, session):
        self.text = gr.Textbox()
        return [self.text]

    def show(self, session):
        return [gr.update(value=session.question)]

    def wire(self, page):
        self.page = page


def test_a_tab_follows_the_session_and_can_be_opened(context, explorer):
    explorer.ready()
    page, note = Page(context), Note()
    page.tabs = (note,)
    with gr.Blocks() as blocks:
        page.build(blocks)
    values = note.page.update(Session(question="How many?"), tab="note")
    assert len(values) == len(note.page.outputs)
    assert values[-2]["value"] == "How many?" and values[-1]["selected"] == "note"
    assert len(page.poll(values[0])) == len(note.page.outputs)


def test_a_scene_becomes_a_picture_with_its_record(context):
    record = json.loads(
        '{"seed": 5, "backdrop": {"name": "grass", "style": "plain", "colours": [[1, 2, 3], [4, 5, 6]]}, "objects": []}'
    )
    source = context.scene_source(record)
    assert source.path.is_file() and json.loads(source.scene)["seed"] == 5
    assert context.scene_source(record) == source
    with pytest.raises(InputError, match="not a scene"):
        context.scene_source({"seed": 5})
