"""``/analyze`` and ``/lrs`` on a served page, as a program and as an MCP client use them; by the built-in encoder."""

import ast
import base64
import gzip
import io
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio import processing_utils
from gradio_client import Client, handle_file
from mcp_client import call_tools
from PIL import Image

from explorer.models.encoders import open_encoder
from explorer.records import InputError
from explorer.services.analyze import analyze
from explorer.services.pictures import decode_picture
from explorer.ui.context import Context
from explorer.ui.given import given_picture
from explorer.ui.layer_endpoints import add_layer_endpoints
from explorer.ui.server import serve
from explorer.ui.session import read_examples

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"


class Explorer:
    def __init__(self, encoder):
        self.encoder = encoder

    def model(self):
        return self.encoder


@pytest.fixture(scope="module")
def context():
    encoder = open_encoder("mini", device="cpu", dtype="float32")
    return Context(Explorer(encoder), lambda *what: None, "mini", lambda: [], read_examples(EXAMPLES))


@pytest.fixture(scope="module")
def address(context):
    patch = pytest.MonkeyPatch()
    for name in ("async_ssrf_protected_download", "ssrf_protected_download", "save_url_to_cache"):
        patch.setattr(processing_utils, name, getattr(processing_utils, name))  # serve() replaces them
    with gr.Blocks() as page:
        add_layer_endpoints(context)
    serve(page, host="127.0.0.1", port=None, limit_mb=8)
    yield page.local_url
    page.close()
    patch.undo()


def png(seed=0):
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (168, 168, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def data_url(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def test_a_client_analyses_an_uploaded_picture(address, context, tmp_path):
    (tmp_path / "noise.png").write_bytes(png())
    client = Client(address, verbose=False)
    found = client.predict(handle_file(str(tmp_path / "noise.png")), api_name="/analyze")
    expected = analyze(decode_picture(png(), "noise.png"), context.explorer.model()).similarity["token"].mean
    assert found["encoder"] == "mini" and found["layers"] == len(expected)
    np.testing.assert_allclose(found["similarity"]["token"], expected, atol=1e-5)
    assert [group["name"] for group in found["groups"]["automatic"]["groups"]] == ["shallow", "middle", "deep"]
    found = client.predict([data_url(png(1)), "cat", handle_file(str(tmp_path / "noise.png"))], api_name="/lrs")
    assert found["pictures"] == 3
    with pytest.raises(Exception, match="There is no fit"):
        client.predict("cat", "round", api_name="/analyze")
    with pytest.raises(Exception, match="Give 1 to 64 pictures"):
        client.predict([], api_name="/lrs")


def test_the_page_is_sent_compressed(address):
    request = urllib.request.Request(address, headers={"accept-encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["x-content-type-options"] == "nosniff"
        assert b"<html" in gzip.decompress(answer.read())


@pytest.mark.parametrize(
    "given", ["/etc/passwd", "../cat", "https://example.org/a.png", 7, None, {"path": "/etc/passwd"}, ["cat"]]
)
def test_only_uploads_data_urls_and_examples_are_read(context, given):
    with pytest.raises(InputError, match="uploaded here.*Or name an example: .*cat"):
        given_picture(given, context)


@pytest.mark.parametrize(
    "given", ["data:text/html;base64,AAAA", "data:image/png;base64,*", "data:image/png,AAAA", "data:"]
)
def test_a_data_url_that_is_no_picture_is_one_sentence(context, given):
    with pytest.raises(InputError, match="data URL must begin|base64 is damaged"):
        given_picture(given, context)


def test_an_mcp_client_finds_and_calls_the_tools(address):
    tools, (said, wrong) = call_tools(
        address,
        ("analyze", {"image": data_url(png()), "groups": 2}),
        ("analyze", {"image": "/etc/passwd"}),
    )
    assert set(tools) == {"analyze", "lrs"}
    assert "which layers of the encoder hold different information" in tools["analyze"].description
    assert "Use it instead of analyze" in tools["lrs"].description
    assert set(tools["analyze"].inputSchema["properties"]) == {"image", "fit", "groups"}
    assert "data URL" in tools["analyze"].inputSchema["properties"]["image"]["description"]
    found = ast.literal_eval(said.content[0].text)  # as gradio writes what it returns
    assert not said.isError and len(found["groups"]["automatic"]["groups"]) == 2
    assert wrong.isError and "uploaded here" in wrong.content[0].text
