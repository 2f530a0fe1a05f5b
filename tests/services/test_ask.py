import json

import numpy as np
import pytest
from PIL import Image
from tiny_checkpoints import save_checkpoints

from explorer.cli import main
from explorer.records import CheckpointError, InputError, Picture, Reply
from explorer.services.answer import Answerers
from explorer.services.ask import Answers, ask

HOSTILE = '<img src=x onerror="alert(1)">${7*7}{{7*7}}\u202e\x07😀'


@pytest.fixture(scope="module")
def answerers(tmp_path_factory):
    return Answerers(catalogue=save_checkpoints(tmp_path_factory.mktemp("models")), device="cpu")


@pytest.fixture(scope="module")
def here(answerers):
    """Makes the command line find the tiny checkpoints."""
    from explorer.models import checkpoint_ids
    from explorer.services import answer

    patch = pytest.MonkeyPatch()
    patch.setattr(answer, "BUILT_IN", answerers._root)
    patch.setattr(checkpoint_ids, "BUILT_IN", answerers._root)
    yield
    patch.undo()


@pytest.fixture
def image(tmp_path):
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_all_built_in_checkpoints_are_asked_and_come_as_a_table(answerers, image):
    found = ask(image, "Is there a dog?", answerers=answerers, most_tokens=3)
    assert [reply.checkpoint for reply in found.replies] == ["mini-l2", "mini-l4", "mini-fused", "mini-any"]
    table = found.frame()
    assert list(table.columns[:5]) == ["checkpoint", "reads", "answer", "candidate", "probability"]
    assert np.allclose(table.groupby("checkpoint").probability.sum(), 1) and len(table) == 8
    assert found.picture == "scene.png" and "mini-fused" in found._repr_html_()
    bars = found.figure().data
    assert [bar.name.split(" (")[0] for bar in bars] == [reply.checkpoint for reply in found.replies]
    assert all(bar.x == ("yes", "no") and sum(bar.y) == pytest.approx(1) for bar in bars)


def test_hostile_texts_stay_text():
    reply = Reply(HOSTILE, (), HOSTILE, text=HOSTILE, probabilities=((HOSTILE, 1.0),), done=True)
    answers = Answers(HOSTILE, HOSTILE, (reply,))
    for page in (answers._repr_html_(), answers.figure().to_json()):
        assert "<img" not in page and "&lt;img" in page


def test_what_cannot_be_asked(answerers, image, tmp_path):
    with pytest.raises(InputError, match="no file"):
        ask(tmp_path / "none.png", "Is there a dog?", answerers=answerers)
    with pytest.raises(CheckpointError, match="built in are mini-l2"):
        ask(image, "Is there a dog?", ["mini-l2", "mini-l99"], answerers=answerers)
    with pytest.raises(CheckpointError, match="no built-in checkpoint"):
        ask(image, "Is there a dog?", answerers=Answerers(catalogue=tmp_path / "empty"))


def test_the_command_prints_one_entry_a_checkpoint(here, image, capsys):
    ids = "mini-l2,mini-any@1,4,mini-l4#swap=3"
    assert main(["ask", str(image), "How many dogs are there?", "--checkpoints", ids, "--tokens", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["checkpoint"], row["layers"]) for row in found] == [
        ("mini-l2", [2]),
        ("mini-any@1,4", [1, 4]),
        ("mini-l4#swap=3", [3]),
    ]
    assert all(set(row["probabilities"]) == set(map(str, range(11))) and row["seconds"] > 0 for row in found)
    assert all(isinstance(row["answer"], str) and row["error"] is None for row in found)
    assert "untrained swap" in found[2]["reads"]


def test_the_command_prints_a_table(here, image, capsys):
    assert main(["ask", str(image), "Is there a zyzzyva?", "--checkpoints", "mini-l2", "--tokens", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["checkpoint", "reads", "answer", "likeliest", "seconds"]
    assert lines[1].startswith("mini-l2") and any("zyzzyva" in line for line in lines[2:])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{image}", "Is there a dog?", "--checkpoints", "mini-l99"], "There is no checkpoint 'mini-l99'"),
        (["{image}", "", "--checkpoints", "mini-l2"], "question is empty"),
        (["{image}", "?" * 10_000, "--checkpoints", "mini-l2"], "10,000 letters, and the limit is 2,000"),
        (["none.png", "Is there a dog?"], "no file none.png"),
        (["{image}", "Dogs?", "--checkpoints", "mini-l2", "--temperature", "9"], "temperature goes from 0"),
        (["{image}", "Dogs?", "--checkpoints", ","], "No checkpoint was chosen"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here, image, capsys, arguments, says):
    assert main(["ask", *(part.replace("{image}", str(image)) for part in arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and says in told.err and len(told.err.splitlines()) == 1


def test_a_checkpoint_that_fails_does_not_stop_the_others(here, answerers, image, capsys):
    broken = answerers._root / "mini-broken"
    broken.mkdir(exist_ok=True)
    (broken / "checkpoint.json").write_bytes((answerers._root / "mini-l2" / "checkpoint.json").read_bytes())
    try:
        assert main(["ask", str(image), "Is there a dog?", "--checkpoints", "mini-broken,mini-l2", "--json"]) == 0
        told = capsys.readouterr()
        assert "mini-broken is incomplete: language.safetensors is missing" in told.err
        assert [bool(row["error"]) for row in json.loads(told.out)] == [True, False]
        assert main(["ask", str(image), "Is there a dog?", "--checkpoints", "mini-broken"]) == 2
    finally:
        (broken / "checkpoint.json").unlink()
        broken.rmdir()


def test_the_picture_may_be_in_memory(answerers):
    picture = Picture("grey", np.full((40, 40, 3), 128, np.uint8))
    assert ask(picture, "Is there a dog?", "mini-l2", answerers=answerers, most_tokens=1).replies[0].done
