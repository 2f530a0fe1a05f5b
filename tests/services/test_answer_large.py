"""Real classes, the mini family and a served checkpoint answer side by side, and what does not fit takes turns."""

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
import tiny_llavas
from loopback_hub import Hub, files_of
from loopback_openai import Server

from explorer.models import loading, memory, transformers_speaker
from explorer.models.inspect_checkpoint import inspect_checkpoint
from explorer.records import CheckpointError, Picture
from explorer.services.answer import Answerers

PICTURE = Picture("noise", np.random.default_rng(0).integers(0, 256, (168, 168, 3), dtype=np.uint8))
QUESTION = "Is there a cat?"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny_checkpoints.save_checkpoints(tmp_path_factory.mktemp("family"), {"mini-l2": [2]})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: str(tiny_llavas.save_checkpoint(kind, tmp_path_factory.mktemp(kind))) for kind in tiny_llavas.KINDS}


@pytest.fixture
def server():
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"openai:http://127.0.0.1:{made.server_port}/v1#"
    made.go_on.set()
    made.shutdown()
    made.server_close()


def test_all_kinds_answer_one_question_and_a_bad_server_stops_no_other(root, folders, server):
    services = Answerers(catalogue=root, device="cpu")
    ids = ["mini-l2", folders["llava"], f"{folders['vip']}#swap=4,2,1", f"{server}good", f"{server}fails"]
    replies = services.ask([PICTURE], QUESTION, ids)
    assert [reply.checkpoint for reply in replies] == ids and all(reply.done for reply in replies)
    mini, llava, vip, served, failed = replies
    assert [reply.error for reply in replies[:4]] == [""] * 4 and "status 500" in failed.error
    assert llava.layers == (3,) and "layer 3" in llava.reads and served.text == "Yes, two."
    assert vip.layers == (4, 2, 1) and "untrained swap" in vip.reads and "Untrained swap" in vip.remarks[0]
    for reply in (mini, served):
        assert [name for name, _ in reply.probabilities] == ["yes", "no"]
        assert sum(p for _, p in reply.probabilities) == pytest.approx(1)
    assert all(reply.seconds >= 0 for reply in replies)


def test_many_questions_to_a_checkpoint_of_a_real_class(folders):
    services = Answerers(device="cpu")
    replies = services.ask_many([(PICTURE, QUESTION, ()), (PICTURE, "How many cats are there?", ())], folders["next"])
    assert len(replies) == 2 and all(reply.done and not reply.error for reply in replies)


def test_two_that_do_not_fit_together_take_turns(folders, monkeypatch):
    """Memory for one: the first leaves before the second is loaded, and none is refused."""
    alive = set()

    class Watched(transformers_speaker.TransformersSpeaker):
        def __init__(self, id, device=None, **how):
            super().__init__(id, device, **how)
            alive.add(id)

        def __del__(self):
            alive.discard(getattr(self, "id", ""))

    one = memory.needed_bytes(0, "float32") + 1_000_000
    monkeypatch.setattr(transformers_speaker, "TransformersSpeaker", Watched)
    monkeypatch.setattr(loading, "free_bytes", lambda device: one * (1 - len(alive)))
    services = Answerers(device="cpu")
    ids = [folders["llava"], folders["vip"], folders["llava"]]
    for replies in services.stream([PICTURE], QUESTION, ids):
        assert len(alive) <= 1, replies
    assert [reply.error for reply in replies] == ["", "", ""] and replies[0].text == replies[2].text
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    assert "does not fit" in services.ask([PICTURE], QUESTION, [folders["next"]])[0].error


def test_strangers_ask_only_what_is_listed_and_here(root, folders, server, monkeypatch, tmp_path):
    catalogue = tmp_path / "mine.toml"
    catalogue.write_text(f"[[checkpoints]]\nid = '{server}good'\ntitle = 'Ours'\n")
    monkeypatch.setenv("VLE_CATALOGUE", str(catalogue))
    services = Answerers(catalogue=root, device="cpu", any_id=False)
    allowed = ["mini-l2", "mini-l2#swap=3", f"{server}good"]
    assert [reply.error for reply in services.ask([PICTURE], QUESTION, allowed)] == ["", "", ""]
    refused = [
        folders["llava"],
        f"{server}slow",
        "openai:http://169.254.169.254/v1#m",
        "llava-hf/llava-1.5-7b-hf",
        str(root / "mini-l2"),
    ]
    for reply in services.ask([PICTURE], QUESTION, refused):
        assert "only the checkpoints that are listed" in reply.error and not reply.text
    calls = (
        services.info,
        partial(services.look, PICTURE, QUESTION),
        lambda id: services.xray(PICTURE, QUESTION, checkpoint=id),
    )
    for call in calls:
        with pytest.raises(CheckpointError, match="only the checkpoints that are listed"):
            call(refused[0])
    with pytest.raises(CheckpointError, match="only the checkpoints that are listed"):
        services.ask_many([(PICTURE, QUESTION, ())], refused[0])


def test_a_checkpoint_of_the_hub_tells_its_download_stops_and_goes_on(folders, monkeypatch, tmp_path):
    with Hub({"some/llava": files_of(Path(folders["llava"])) | {"modeling_evil.py": b"raise SystemExit"}}) as hub:
        hub.answer(monkeypatch, tmp_path / "cache")
        services = Answerers(device="cpu")
        stop = threading.Event()
        hub.go_on.clear()
        for replies in services.stream([PICTURE], QUESTION, ["some/llava"], stop=stop):
            if any("Looking for" in remark for remark in replies[0].remarks):
                stop.set()
        hub.go_on.set()
        assert replies[0].done and not replies[0].text
        said = set()
        for replies in services.stream([PICTURE], QUESTION, ["some/llava"]):
            said |= set(replies[0].remarks)
        assert (
            replies[0].error == ""
            and replies[0].text == Answerers(device="cpu").ask([PICTURE], QUESTION, [folders["llava"]])[0].text
        )
        assert any("some/llava" in remark for remark in said) and not any("some/llava" in r for r in replies[0].remarks)
        assert not any(path.endswith(".py") for path in hub.asked if "/resolve/" in path)
        hub.go_away(monkeypatch)
        hub.asked.clear()
        assert Answerers(device="cpu").ask([PICTURE], QUESTION, ["some/llava"])[0].text == replies[0].text
        assert hub.asked == [] and services.info("some/llava").on_this_machine


@pytest.mark.parametrize("kind", tiny_llavas.KINDS)
def test_each_class_answers_from_the_hub_as_from_its_folder_and_is_inspected(folders, kind, monkeypatch, tmp_path):
    with Hub({"some/model": files_of(Path(folders[kind]))}) as hub:
        hub.answer(monkeypatch, tmp_path / "cache")
        found = inspect_checkpoint("some/model")
        assert any("/resolve/" in path for path in hub.asked)
        far = Answerers(device="cpu").ask([PICTURE], QUESTION, ["some/model"])[0]
    near = Answerers(device="cpu").ask([PICTURE], QUESTION, [folders[kind]])[0]
    layers = tiny_llavas.KINDS[kind][2]
    assert found.layers.layers == far.layers == layers and found.check.agrees
    assert (far.error, far.text, far.probabilities) == ("", near.text, near.probabilities)
