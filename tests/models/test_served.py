"""Served checkpoints against an OpenAI-compatible server on this machine, well and badly behaved."""

import base64
import io
import math
import threading
import time

import numpy as np
import pytest
from loopback_openai import SECRET, Server
from PIL import Image

from explorer.models import served
from explorer.models.first_tokens import share_of_candidates
from explorer.models.served import KEY, OPENAI_KEY, Address, Served
from explorer.models.speaking import Asked
from explorer.records import AnswerKind, CheckpointError, Picture

PICTURE = Picture("noise", np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(OPENAI_KEY, "sk-of-openai-alone")
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.go_on.set()
    made.shutdown()
    made.server_close()


def at(server, model, **how):
    return Served(f"openai:http://127.0.0.1:{server.server_port}/v1#{model}", **how)


def yes_no(**how):
    return Asked(PICTURE, "Is there a cat?", AnswerKind.YES_NO, ("yes", "no"), **how)


def say(served, asked=None, stop=None):
    return list(served.speak(asked or yes_no(), stop or threading.Event()))


def test_it_streams_an_answer_with_probabilities(server):
    said = say(at(server, "good"))
    assert [one.text for one in said][-1] == "Yes, two." and {"", "Yes", "Yes,"} <= {one.text for one in said}
    assert dict(said[-1].probabilities) == pytest.approx({"yes": 0.8 / 0.95, "no": 0.15 / 0.95})
    assert said[-1].remarks == ("Probabilities are of its first token: 95% of it fell on the candidates.",)
    asked = server.asked[0]
    assert asked["model"] == "good" and asked["stream"] and asked["temperature"] == 0 and asked["max_tokens"] == 24
    picture, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "Is there a cat?"}
    sent = Image.open(io.BytesIO(base64.b64decode(picture["image_url"]["url"].partition(",")[2])))
    assert np.array_equal(np.asarray(sent), PICTURE.pixels)


def test_an_open_question_has_the_likeliest_first_tokens(server):
    found = say(at(server, "good"), Asked(PICTURE, "What is this?"))[-1].probabilities
    assert [name for name, _ in found] == ["Yes", "yes", "No", "There"] and found[0][1] == pytest.approx(0.7)


def test_earlier_turns_go_along_and_the_picture_once(server):
    say(at(server, "good"), yes_no(turns=(("What is it?", "A room."),)))
    first, answer, last = server.asked[0]["messages"]
    assert [part["type"] for part in first["content"]] == ["image_url", "text"]
    assert answer == {"role": "assistant", "content": "A room."} and [p["type"] for p in last["content"]] == ["text"]


def test_the_key_goes_to_servers_that_the_owner_named_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(OPENAI_KEY, "sk-of-openai-alone")
    monkeypatch.setattr(served, "_TRUSTED", set(served._TRUSTED))
    ids = [f"openai:https://{host}/v1#m" for host in ("listed.example", "typed.example", "evil.example")]
    catalogue = tmp_path / "mine.toml"
    catalogue.write_text(f"[[checkpoints]]\nid = '{ids[0]}'\ntitle = 'Ours'\n")
    monkeypatch.setenv("VLE_CATALOGUE", str(catalogue))
    served.trust([ids[1], "mini-l18"])
    assert [Address.parse(id).key() for id in ids] == [SECRET, SECRET, ""]
    assert Address.parse("openai:https://api.openai.com/v1#m").key() == "sk-of-openai-alone"


def test_a_large_picture_is_sent_smaller_and_that_is_said(server):
    large = Picture("large", np.zeros((400, 3072, 3), np.uint8))
    said = say(at(server, "good"), Asked(large, "What is this?"))[-1]
    assert "The picture was sent to the server at 1536 × 200 px." in said.remarks


def test_words_arrive_while_the_server_still_writes_and_a_stop_ends_it(server):
    stop = threading.Event()
    for said in at(server, "").speak(yes_no(), stop):  # no model is named: the first it lists
        if said.text == "Yes":
            assert not server.go_on.is_set()
            stop.set()
    assert said.text == "Yes" and server.asked[0]["model"] == "slow"


def test_a_server_without_probabilities(server):
    served = at(server, "plain")
    said = say(served)[-1]
    assert said.text == "Yes, two." and said.probabilities == ()
    assert said.remarks == ("This server tells no probabilities.",)
    say(served)
    assert ["logprobs" in asked for asked in server.asked] == [True, False, False]


def test_a_busy_server_is_asked_again(server):
    assert say(at(server, "busy"))[-1].text == "Yes, two." and server.failures == 3


SAYS = {
    "fails": r"failed with status 500 \(out of memory …\)",
    "refuses": "refused the key: set .VLE_SERVED_KEY",
    "unknown": r"was not found \(no such model\): check the address",
    "hangs": "said nothing for 1 s",
    "stalls": "said nothing for 1 s",
    "page": "answered (nothing|what is no answer)",
    "odd": "answered what is no answer",
    "garbage": "answered what is no answer",
    "empty": "answered nothing",
}


@pytest.mark.parametrize("model", SAYS)
def test_a_bad_server_is_one_sentence_without_the_key(server, model):
    with pytest.raises(CheckpointError, match=SAYS[model]) as caught:
        say(at(server, model, silence_seconds=1.0, tries=1))
    text = str(caught.value)
    assert SECRET not in text and "\n" not in text and text.endswith((".", "?")) and len(text) < 400
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or not caught.value.__context__)


def test_no_server_at_all():
    with pytest.raises(CheckpointError, match="cannot be reached .*: is the server running"):
        say(Served("openai:http://127.0.0.1:9/v1#m", tries=1))


def test_an_answer_that_takes_too_long_is_cut_off(server):
    said = say(at(server, "endless", most_seconds=2.0))[-1]
    assert said.text.startswith("very very") and "It was cut off after 2 s." in said.remarks


def test_many_at_once_in_order(server):
    many = [Asked(PICTURE, f"Is there a cat, number {n}?", AnswerKind.YES_NO, ("yes", "no")) for n in range(20)]
    said = at(server, "good").answer_many(many)
    assert [one.text for one in said] == ["Yes, two."] * 20
    assert len({asked["messages"][0]["content"][1]["text"] for asked in server.asked}) == 20


def test_each_key_goes_to_its_own_server(server, monkeypatch):
    say(at(server, "good"))
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert not any("sk-of-openai" in value for value in server.headers[0].values())
    assert Address.parse("openai:https://api.openai.com/v1#m").key() == "sk-of-openai-alone"
    monkeypatch.delenv(KEY)
    say(at(server, "good"))
    assert server.headers[1]["Authorization"] == "Bearer none"


@pytest.mark.parametrize(
    "id",
    [
        "openai:",
        "openai:#m",
        "openai:ftp://x/v1#m",
        "openai:http://#m",
        "openai:file:///etc/passwd",
        "openai:http://h:99999/v1#m",
        "openai:http://h/v1?key=3#m",
        "openai:http://h /v1#m",
    ],
)
def test_what_is_no_address(id):
    with pytest.raises(CheckpointError, match="is written openai:BASE_URL#MODEL"):
        Served(id)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(CheckpointError, match="must hold no key") as caught:
        Served("openai:http://me:hunter2@host/v1#m")
    assert "hunter2" not in str(caught.value)


def test_how_a_first_token_is_shared():
    counts = tuple(map(str, range(11)))
    tops = (("Two", math.log(0.5)), (" 1", math.log(0.25)), ("10", math.log(0.05)), ("a", math.log(0.2)))
    found, said = share_of_candidates(tops, counts)
    assert dict(found)["2"] == pytest.approx(0.625) and dict(found)["1"] == pytest.approx(0.3125)
    assert sum(p for _, p in found) == pytest.approx(1) and "80%" in said
    assert share_of_candidates((("There", -0.01),), counts)[0] == ()
    left, _ = share_of_candidates(
        (("up", math.log(0.5)), ("low", math.log(0.5))), ("upper left", "lower right", "upper")
    )
    assert dict(left) == {"upper left": 0.0, "lower right": 1.0, "upper": 0.0}  # "up" could be two of them


def test_time_is_not_wasted_where_nobody_answers(server):
    started = time.monotonic()
    with pytest.raises(CheckpointError):
        say(at(server, "hangs", silence_seconds=0.5))
    assert time.monotonic() - started < 30 and len(server.asked) == 1  # silence is not asked again
