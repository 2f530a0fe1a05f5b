import csv
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer import analyze, cli, lrs
from explorer.records import EncoderError, EncoderInfo, Fit, InputError, SettingsError, TokenKind, TokenLayout, View
from explorer.services import collections
from explorer.services import lrs as service
from explorer.services.archives import ZipLimits
from explorer.services.processes import Processes

ROOT = Path(__file__).parents[2]


class FakeEncoder:
    """States are the picture's pixels through random matrices, so that each picture has its own."""

    def __init__(self):
        self.info = EncoderInfo("fake", "Fake", "Fake", 4, 8, 2, 8, 32, 1, False, True, "float32", "cpu")
        self.layout = TokenLayout((TokenKind.CLS, *[TokenKind.PATCH] * 16), 4, 4)
        self.batches = []

    def view(self, picture, fit=Fit.ENCODER):
        pixels = np.asarray(Image.fromarray(picture.pixels).resize((17, 8)))
        return View(pixels, (0.0, 0.0, 1.0, 1.0), Fit.SQUASH)

    def forward(self, views):
        import torch

        from explorer.models.vision import Features

        self.batches.append(len(views))
        mixed = np.random.default_rng(0).normal(size=(5, 8, 8))
        seen = np.stack([view.pixels[..., 0].T / 255 for view in views])  # [N, T, 8]
        states = torch.tensor(np.tanh(np.einsum("ntd,ldk->lntk", seen, mixed)), dtype=torch.float32)
        return Features(self.info, states, tuple(views), self.layout, 0.1)

    def cls_attention(self, features):
        raise EncoderError("no attention")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(11):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 17, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed:02}.png")
    (folder / "05b.png").write_text("no picture")
    return folder


def same(one, other, tolerance=0.0):
    assert one.pictures == other.pictures and one.skipped == other.skipped
    for kind, found in one.similarity.items():
        assert np.allclose(found.mean, other.similarity[kind].mean, rtol=0, atol=tolerance, equal_nan=True)
        assert np.allclose(found.stderr, other.similarity[kind].stderr, rtol=0, atol=tolerance, equal_nan=True)


def test_a_folder_as_analyze_has_it_but_in_batches(photos, tmp_path):
    encoder, told = FakeEncoder(), []
    found = lrs(photos, encoder, out=tmp_path / "lrs", batch=4, on_progress=lambda *said: told.append(said))
    assert encoder.batches == [4, 3, 4] and found.pictures == 11
    assert told[-1] == (12, 12, "1 unreadable")
    expected = analyze(sorted(photos.iterdir()), FakeEncoder(), out=tmp_path / "analyze")
    for kind in ("token", "pooled", "cls", "cka"):
        for stderr in (False, True):
            pd.testing.assert_frame_equal(found.frame(kind, stderr), expected.frame(kind, stderr), atol=1e-6)
    names = {path.name for path in (tmp_path / "analyze").iterdir()} - {"tokens.parquet"} | {"skipped.csv"}
    assert {path.name for path in (tmp_path / "lrs").iterdir()} == names and "similarity_cka_stderr.csv" in names
    assert json.loads((tmp_path / "lrs/groups.json").read_text())["automatic"]["groups"]
    with (tmp_path / "lrs" / "skipped.csv").open() as file:
        assert list(csv.reader(file)) == [["picture", "reason"], list(found.skipped[0])]
    assert found.skipped[0][0] == str(photos / "05b.png") and "holds text" in found.skipped[0][1]
    page = (tmp_path / "lrs" / "report.html").read_text()
    assert "11 pictures" in page and "05b.png holds text" in page and "± standard error" in page
    lrs(photos / "0[0-3].png", encoder, out=tmp_path / "lrs")
    assert not (tmp_path / "lrs" / "skipped.csv").exists()


def test_a_killed_run_goes_on_and_ends_with_the_same_matrix(photos, tmp_path, monkeypatch):
    whole = lrs(photos, FakeEncoder(), batch=3)
    monkeypatch.setattr(service, "SAVE_SECONDS", 0)
    out = photos / "out"  # inside, to see that results are not taken for pictures

    def kill(done, total, message):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lrs(photos, FakeEncoder(), out=out, batch=3, on_progress=kill)
    assert list((out / ".lrs" / "state").glob("*.json")) and not (out / "similarity.csv").exists()
    other, encoder = FakeEncoder(), FakeEncoder()
    with pytest.raises(KeyboardInterrupt):  # other settings start anew
        lrs(photos, other, out=out, batch=3, fit="pad", on_progress=kill)
    assert other.batches == [3, 3, 2]
    same(lrs(photos, encoder, out=out, batch=3), whole)
    assert encoder.batches == [3] and not (out / ".lrs").exists()


def test_a_process_that_the_system_kills(photos, tmp_path):
    code = """
import os, signal, sys
sys.path.insert(0, "tests/services")
from test_lrs import FakeEncoder, service
service.SAVE_SECONDS = 0
kill = lambda done, total, message: done == 6 and os.kill(os.getpid(), signal.SIGKILL)
service.lrs(sys.argv[1], FakeEncoder(), out=sys.argv[2], batch=3, on_progress=kill)
"""
    out, encoder = tmp_path / "out", FakeEncoder()
    assert run(["-c", code, str(photos), str(out)]).returncode == -signal.SIGKILL
    same(lrs(photos, encoder, out=out, batch=3), lrs(photos, FakeEncoder(), batch=3))
    assert encoder.batches == [2, 3]


def test_a_damaged_state_is_not_used(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "SAVE_SECONDS", 0)

    def kill(done, total, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lrs(photos, FakeEncoder(), out=tmp_path / "out", on_progress=kill)
    (arrays,) = (tmp_path / "out" / ".lrs" / "state").glob("*.npz")
    arrays.write_bytes(arrays.read_bytes()[:-9])
    encoder = FakeEncoder()
    lrs(photos, encoder, out=tmp_path / "out")
    assert encoder.batches == [7, 4]


@pytest.mark.parametrize("count", [2, 5])
def test_several_processes_find_the_same(photos, tmp_path, monkeypatch, count):
    """One after the other, the first last; a real launch is tested below."""
    whole, parts, out = lrs(photos, FakeEncoder(), batch=3), {}, tmp_path / "out"

    def gather(self, mine):
        parts[self.rank] = mine
        if self.rank:
            raise InterruptedError
        return [parts[rank] for rank in range(count)]

    monkeypatch.setattr(Processes, "gather", gather)
    monkeypatch.setenv("WORLD_SIZE", str(count))
    for rank in range(count - 1, 0, -1):
        monkeypatch.setenv("RANK", str(rank))
        with pytest.raises(InterruptedError):
            lrs(photos, FakeEncoder(), batch=3, out=out)
    monkeypatch.setenv("RANK", "0")
    same(lrs(photos, FakeEncoder(), batch=3, out=out), whole, 1e-12)
    assert (out / "similarity.csv").exists() and not (out / ".lrs").exists()
    with pytest.raises(InputError, match="The processes see different"):
        lrs(photos, FakeEncoder(), batch=3, fit="pad")


def test_shares_are_the_whole(monkeypatch):
    for pieces in (0, 1, 7, 100):
        shares = [Processes(rank, 4).share(pieces) for rank in range(4)]
        assert [piece for share in shares for piece in share] == list(range(pieces))
    assert Processes.from_environment() == Processes(0, 1, 0)
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(SettingsError, match="RANK=3, WORLD_SIZE=1"):
        Processes.from_environment()


def test_a_sample_is_drawn_by_its_seed(photos):
    encoder = FakeEncoder()
    one = lrs(photos / "*.png", encoder, sample=5, seed=1)
    assert sum(encoder.batches) + len(one.skipped) == 5
    same(lrs(photos / "*.png", FakeEncoder(), sample=5, seed=1), one)
    assert not np.array_equal(lrs(photos, FakeEncoder(), sample=5, seed=2).frame(), one.frame())
    same(lrs(photos, FakeEncoder(), sample=99), lrs(photos, FakeEncoder()))


def test_a_zip_beyond_its_limits_is_told(photos, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(photos.glob("0[0-3].png")):
            archive.write(path, f"../../{path.name}")
    same(lrs(tmp_path / "a.zip", FakeEncoder()), lrs(photos / "0[0-3].png", FakeEncoder()))
    monkeypatch.setattr(collections, "ZipLimits", lambda: ZipLimits(entries=2))
    found = lrs(tmp_path / "a.zip", FakeEncoder())
    assert found.pictures == 2 and "2 were left out" in found.skipped[0][1]


def test_pictures_are_read_ahead_in_their_order_and_no_further(photos):
    started, see = [], lambda entry: started.append(entry) or time.sleep(0.01 * (entry % 3)) or entry
    results = service._ahead(iter(range(50)), see, 6)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    results.close()
    assert len(started) <= 4 + 6


@pytest.mark.parametrize(("wish", "words"), [
    ({"sample": 0}, "sample of 0"),
    ({"batch": 0}, "batch of 0"),
    ({"groups": 5}, "at most as many groups"),
    ({"fit": "stretch"}, "There is no fit"),
])  # fmt: skip
def test_impossible_wishes(photos, wish, words):
    with pytest.raises(InputError, match=words):
        lrs(photos, FakeEncoder(), **wish)


def test_nothing_to_see(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="There are no pictures"):
        lrs(tmp_path / "empty", FakeEncoder())
    with pytest.raises(InputError, match="05b.png holds text"):
        lrs(photos / "05b.png", FakeEncoder(), out=tmp_path / "out")


def test_the_command(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("explorer.models.encoders.open_encoder", lambda *_, **__: FakeEncoder())
    for number in range(6):
        (photos / f"bad{number}.png").touch()
    assert cli.main(["lrs", str(photos), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "11 pictures through Fake, layers 0–4" in said.out and "report.html" in said.out
    assert len(said.err.splitlines()) == 6 and "7 pictures were left out" in said.err and "skipped.csv" in said.err
    assert cli.main(["lrs", str(photos), "--out", str(tmp_path / "out"), "--sample", "4", "--seed", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] <= 4
    assert cli.main(["lrs", "none.zip", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "There is no file or folder none.zip: check the path.\n"
    assert cli.main(["lrs", "--help"]) == 0


OPTIONS = {"batch": 3, "device": "cpu", "dtype": "float32"}
LAUNCH = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
LAUNCH += " --dynamo_backend no --main_process_port 0"


def run(arguments, **more):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, **more)


def on_command_line(folder, photos, out, launch=()):
    """The tables that the command writes."""
    options = [part for name, value in OPTIONS.items() for part in (f"--{name}", str(value))]
    command = ["-m", "explorer", "lrs", str(photos), "--encoder", str(folder), "--out", str(out), "--json", *options]
    done = run([*launch, *command])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["pictures"] == 11 and len(said["skipped"]) == 1 and "05b.png holds text" in done.stderr
    tables = {path.name: pd.read_csv(path).to_numpy() for path in out.glob("similarity*.csv")}
    assert len(tables) == 8 and not (out / ".lrs").exists()
    return tables


@pytest.mark.slow
def test_two_processes_on_the_command_line(tiny_clip, photos, tmp_path):
    one = on_command_line(tiny_clip, photos, tmp_path / "one")
    two = on_command_line(tiny_clip, photos, tmp_path / "two", LAUNCH.split())
    for name, table in one.items():
        assert np.allclose(table, two[name], rtol=0, atol=1e-5), name
