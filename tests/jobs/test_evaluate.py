import argparse
import csv
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny_family
from PIL import Image

from explorer.cli_checkpoints import add_checkpoints, add_evaluate
from explorer.jobs import evaluate as job
from explorer.jobs.evaluate import Case, EvaluateSettings, as_table, evaluate, read_cases, scene_cases, write_csv
from explorer.jobs.scenes import ScenesSettings, write_scenes
from explorer.models import checkpoint_ids
from explorer.models.answering import Pictures
from explorer.models.family import make_processor, save_checkpoint
from explorer.models.projections import LayerProjections
from explorer.records import InputError, SettingsError
from explorer.scenes.captions import noun
from explorer.scenes.questions import TASKS
from explorer.scenes.scene import split_of

ROOT = Path(__file__).resolve().parents[2]


class Told:
    """Says what it is told to, and how often it was asked."""

    def __init__(self, id, says, dies_after=None):
        self.id, self.layers, self.says, self.asked, self.dies_after = id, (3,), says, 0, dies_after

    def answer(self, pictures, questions):
        assert isinstance(pictures, Pictures) and len(pictures.pixels) == len(questions)
        self.asked += sum(map(len, questions))
        if self.dies_after is not None and self.asked > self.dies_after:
            raise KeyboardInterrupt
        return [[self.says(text) for text in some] for some in questions]


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Puts answerers in the place of checkpoints, by id; there is no language model for the words alone."""
    answerers = {}
    monkeypatch.setattr(job, "open_answerer", lambda id, encoders: answerers[id])
    monkeypatch.setattr(job, "LANGUAGE", tmp_path / "none")
    return answerers


@pytest.fixture
def own(tmp_path):
    """A person's own questions: some lines are bad."""
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no picture")
    rows = [
        json.dumps({"image": "black.png", "question": "Is there a dog?", "answer": "no", "task": "existence"}),
        "{broken",
        json.dumps({"image": "missing.png", "question": "Is there a dog?", "answer": "no"}),
        "",
        json.dumps({"image": "text.png", "question": "Is there a dog?", "answer": "no"}),
        json.dumps({"image": "black.png", "answer": "no"}),
        json.dumps({"image": "black.png", "question": "How many dogs?", "answer": 0, "task": "count"}),
        json.dumps(["black.png"]),
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(rows), "utf-8")
    return tmp_path / "own.jsonl"


def test_bad_lines_are_told_by_number_and_do_not_stop_the_rest(own, told, capsys):
    told["a"] = Told("a", lambda text: "There are none." if "many" in text else "No, there is not.")
    found = evaluate(EvaluateSettings(("a",), str(own)))
    assert [line.split(":")[0] for line in found["complaints"]] == [f"own.jsonl, line {n}" for n in (2, 3, 5, 6, 8)]
    assert "line 5" in capsys.readouterr().err
    mine = found["results"][0]
    assert mine["checkpoint"] == "a" and mine["layers"] == [3]
    assert {task: (row["accuracy"], row["n"]) for task, row in mine["tasks"].items()} == {
        "existence": (1.0, 1),
        "count": (1.0, 1),
    }
    assert [row["said"] for row in mine["answers"]] == ["No, there is not.", "There are none."]


def test_files_without_a_usable_line_are_refused(tmp_path):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match='line 1: "image" is missing'):
        read_cases(tmp_path / "bad.jsonl")
    with pytest.raises(InputError, match="Cannot read"):
        read_cases(tmp_path / "none.jsonl")
    with pytest.raises(SettingsError, match="at least one checkpoint"):
        evaluate(EvaluateSettings(()))
    with pytest.raises(SettingsError, match="split"):
        EvaluateSettings(("a",), split="train-and-test")


def test_what_scenes_writes_can_be_evaluated(tmp_path, told):
    write_scenes(ScenesSettings(n=3, seed=1, px=64), tmp_path / "scenes")
    truth = {}
    for line in (tmp_path / "scenes" / "questions.jsonl").read_text().splitlines():
        row = json.loads(line)
        truth.setdefault(row["question"], row["answer"])
    told["all"] = Told("all", truth.get)
    told["yes"] = Told("yes", lambda text: "yes")
    found = evaluate(EvaluateSettings(("all", "yes"), str(tmp_path / "scenes" / "questions.jsonl"), batch=2))
    best, yes, majority = found["results"]
    assert np.mean([row["accuracy"] for row in best["tasks"].values()]) > 0.9  # a text may be asked of two scenes
    assert all(row.get("pairs", {"accuracy": 0})["accuracy"] == 0 for row in yes["tasks"].values())
    assert majority["checkpoint"] == "majority"
    table = as_table(found)
    assert len(table.splitlines()) == 4 and "existence" in table
    write_csv(found, tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(rows) == 3 * len(best["tasks"])
    for row in rows:
        assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])


def test_questions_of_a_split_are_balanced_and_have_held_out_ones():
    cases = scene_cases("test", 8, 0)
    assert {task: sum(case.task == task for case in cases) for task in TASKS} == dict.fromkeys(TASKS, 8)
    assert len({(case.key, case.question) for case in cases}) == len(cases)
    assert [(c.key, c.question) for c in scene_cases("test", 8, 0)] == [(c.key, c.question) for c in cases]
    assert cases[0].pixels().shape == (168, 168, 3)


def test_a_killed_evaluation_goes_on_where_it_stopped(own, told, tmp_path, monkeypatch):
    pixels = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(Case, "pixels", lambda case: pixels)
    cases = [Case(str(k), f"picture {k}", f"Question {k}?", "yes", "existence") for k in range(10)]
    monkeypatch.setattr(job, "scene_cases", lambda split, n, seed: cases)
    settings = EvaluateSettings(("a", "b"), answers=str(tmp_path / "kept" / "answers.jsonl"), batch=2, baselines=False)
    told.update(a=Told("a", lambda text: "yes"), b=Told("b", lambda text: "no", dies_after=5))
    with pytest.raises(KeyboardInterrupt):
        evaluate(settings)
    kept = tmp_path / "kept" / "answers.jsonl"
    assert len(kept.read_text().splitlines()) == 6 + 4
    with kept.open("a") as file:
        file.write('{"checkpoint": "b", "ke')  # cut short by the kill
    told.update(a=Told("a", lambda text: "no"), b=Told("b", lambda text: "no"))
    first, second = evaluate(settings)["results"]
    assert (told["a"].asked, told["b"].asked) == (4, 6)
    assert first["tasks"]["existence"]["accuracy"] == 0.6  # the first six answers are the old ones
    assert second["tasks"]["existence"]["accuracy"] == 0
    assert all(json.loads(line) for line in kept.read_text().splitlines())


def test_the_command_line_evaluates_and_lists_real_checkpoints(tmp_path, capsys, monkeypatch, own):
    encoder = str(tiny_family.save_encoder(tmp_path / "models" / "mini"))
    words = tiny_family.tokenizer()
    parts = tiny_family.language(words), make_processor(encoder, words), encoder
    save_checkpoint(tmp_path / "models" / "mini-l2", LayerProjections((2,), 32, 16), *parts, False, {})
    known = (
        checkpoint_ids.find_mini,
        checkpoint_ids.describe,
        checkpoint_ids.list_ids,
        checkpoint_ids.list_checkpoints,
    )
    for function in known:
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "models",))
    monkeypatch.setattr(job, "LANGUAGE", tiny_family.save_language(tmp_path / "models" / "mini-language"))
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_evaluate(commands)
    add_checkpoints(commands)
    args = parser.parse_args(["evaluate", "--checkpoints", "mini-l2", "--questions", str(own), "--json"])
    assert args.run(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert [result["checkpoint"] for result in found["results"]] == ["mini-l2", "words only", "majority"]
    assert set(found["results"][0]["tasks"]["count"]) >= {"accuracy", "low", "high", "n"}
    assert len(found["results"][0]["answers"]) == 2
    args = parser.parse_args(["checkpoints"])
    assert args.run(args) == 0
    assert "mini-l2" in capsys.readouterr().out


def test_an_evaluation_killed_by_the_system_goes_on(tmp_path):
    """SIGKILL in the middle; the second run keeps what was answered and asks only what is missing."""
    encoder = str(tiny_family.save_encoder(tmp_path / "encoder"))
    words = tiny_family.tokenizer()
    parts = tiny_family.language(words), make_processor(encoder, words), encoder
    save_checkpoint(tmp_path / "mine", LayerProjections((2,), 32, 16), *parts, False, {})
    write_scenes(ScenesSettings(n=12, seed=1, px=64), tmp_path / "scenes")
    kept = tmp_path / "answers.jsonl"
    settings = EvaluateSettings(
        (str(tmp_path / "mine"),), str(tmp_path / "scenes" / "questions.jsonl"), answers=str(kept), baselines=False
    )
    flags = ["--checkpoints", settings.checkpoints[0], "--questions", settings.questions, "--answers", settings.answers]
    command = [sys.executable, "-m", "explorer", "evaluate", *flags, "--batch", "1", "--no-baselines", "--json"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not (kept.exists() and kept.stat().st_size) and running.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    running.kill()
    progress = running.communicate()[1]
    assert running.returncode == -signal.SIGKILL, progress
    assert "question" in progress
    before = [json.loads(line) for line in kept.read_text().rpartition("\n")[0].splitlines()]
    found = evaluate(settings)["results"][0]["answers"]
    assert 0 < len(before) < len(found)
    said = {(row["key"], row["question"]): row["said"] for row in found}
    assert all(said[row["key"], row["question"]] == row["said"] for row in before)
    after = [json.loads(line) for line in kept.read_text().splitlines()]
    assert after[: len(before)] == before
    assert {(row["key"], row["question"]) for row in after} == set(said)


def test_own_words_about_drawn_scenes_agree_with_their_records(tmp_path):
    cases, complaints = read_cases(Path(__file__).parent / "own_words.jsonl")
    assert complaints == [] and len(cases) >= 100 and len({case.picture.seed for case in cases}) == 30
    checked = 0
    for case in cases:
        groups = Counter(noun(thing) for thing in case.picture.objects)
        assert split_of(case.picture.seed) == "test"
        if case.task == "total" and case.answer.isdigit():
            assert int(case.answer) == groups.total(), case.question
        elif case.task == "word":
            assert case.answer == case.picture.sign.word
        elif case.task == "count" and case.answer.isdigit():
            assert int(case.answer) in [
                sum(n for name, n in groups.items() if name.endswith(kind)) for kind in {n.split()[-1] for n in groups}
            ], case.question
        else:
            continue
        checked += 1
    assert checked > 30
    bad = tmp_path / "q.jsonl"
    bad.write_text('{"scene": -1, "question": "A dog?", "answer": "no"}\n')
    with pytest.raises(InputError, match="outside all splits"):
        read_cases(bad)
    bad.write_text('{"scene": true, "question": "A dog?", "answer": "no"}\n')
    with pytest.raises(InputError, match='"image" is missing'):
        read_cases(bad)
