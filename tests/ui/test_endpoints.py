"""The named endpoints on a served page, as a program on another machine would use them."""

import base64
import json
import urllib.error
import urllib.request
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import processing_utils
from gradio_client import Client, handle_file
from mcp_client import call_tools
from PIL import Image

from explorer.records import CheckpointError, InputError, Reply
from explorer.ui.endpoints import add_endpoints, texts
from explorer.ui.given import uploaded_picture
from explorer.ui.server import serve


class Told:
    """Answers what it was asked."""

    def ask(self, pictures, question, checkpoints, **how):
        if question == "fail":
            raise CheckpointError("<b>It</b> failed.")
        text = f"{pictures[0].pixels.shape} {question} {how}"
        return [Reply(id, (18,), "layer 18", text, probabilities=(("yes", 0.75),), done=True) for id in checkpoints]


@pytest.fixture(scope="module")
def address():
    patch = pytest.MonkeyPatch()
    for name in ("async_ssrf_protected_download", "ssrf_protected_download", "save_url_to_cache"):
        patch.setattr(processing_utils, name, getattr(processing_utils, name))  # serve() replaces them
    with gr.Blocks() as page:
        add_endpoints(SimpleNamespace(answerers=Told(), limit_mb=8, choosable=True, examples=()))
    serve(page, host="127.0.0.1", port=None, limit_mb=8)
    yield page.local_url
    page.close()
    patch.undo()


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_a_client_asks(address, image):
    client = Client(address, verbose=False)
    found = client.predict(
        handle_file(str(image)), "Is it <b>red</b>?", ["mini-l18", "b"], ["yes", "no"], api_name="/ask"
    )
    assert [row["checkpoint"] for row in found] == ["mini-l18", "b"] and found[0]["probabilities"] == {"yes": 0.75}
    assert found[0]["answer"].startswith("(20, 30, 3) Is it <b>red</b>? {'candidates': ['yes', 'no'], 'temperature': 0")
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/ask"}


def test_a_picture_may_come_as_a_data_url(address, image):
    given = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
    found = Client(address, verbose=False).predict(given, "Red?", ["mini-l18"], [], api_name="/ask")
    assert found[0]["answer"].startswith("(20, 30, 3) Red?")


def test_an_mcp_client_asks(address, image):
    given = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
    asked = {"image": given, "question": "<i>Red?</i>", "checkpoints": ["mini-l18"], "candidates": ["yes", "no"]}
    tools, (said, wrong) = call_tools(address, ("ask", asked), ("ask", asked | {"question": "fail"}))
    assert set(tools) == {"ask"} and "checkpoint" in tools["ask"].description
    described = tools["ask"].inputSchema["properties"]
    assert set(asked) <= set(described) and all(described[name].get("description") for name in asked)
    assert not said.isError and "<i>Red?</i>" in said.content[0].text and "mini-l18" in said.content[0].text
    assert wrong.isError and "failed." in wrong.content[0].text and "<b>" not in wrong.content[0].text


def call(address, *data):
    """What the endpoint answers to raw HTTP: its last event and that event's data."""
    body = json.dumps({"data": list(data)}).encode()
    request = urllib.request.Request(
        f"{address}gradio_api/call/ask", body, {"content-type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/ask/{event}", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")][-1], lines[-2]


@pytest.mark.parametrize(
    "data",
    [
        ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "?", ["a"], [], 0, 24),
        ({"path": "https://example.org/a.png", "meta": {"_type": "gradio.FileData"}}, "?", ["a"], [], 0, 24),
        ("/etc/passwd", "?", ["a"], [], 0, 24),
        (None, "?", ["a"], [], 0, 24),
        ({"path": ["a"]}, "?", ["a"], [], 0, 24),
    ],
)
def test_only_uploaded_files_are_read(address, data):
    try:
        event, _ = call(address, *data)
    except urllib.error.HTTPError as error:
        event = "error" if error.code in (400, 403, 422) else error.code
    assert event == "error"


def test_arguments_are_checked():
    for given in ({"path": "../../etc/passwd"}, {"path": "\0"}, {}, 7, None, ["a"]):
        with pytest.raises(InputError, match="uploaded here"):
            uploaded_picture(given)
    for given in ("mini-l18", [1], None, {"a": 1}):
        with pytest.raises(InputError, match="list of texts"):
            texts("checkpoints", given, 8, 400)
    for given in (["a"] * 9, ["a" * 401]):
        with pytest.raises(InputError, match="At most 8"):
            texts("checkpoints", given, 8, 400)


def test_what_went_wrong_reaches_the_client_as_one_sentence(address, image):
    with pytest.raises(Exception, match="It.*failed"):
        Client(address, verbose=False).predict(handle_file(str(image)), "fail", ["a"], api_name="/ask")
