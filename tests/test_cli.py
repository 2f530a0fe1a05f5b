import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer import cli
from explorer.records import InputError


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DINO-like ViT with random weights: an encoder that reads no text."""
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    path = tmp_path_factory.mktemp("models") / "tiny-vit"
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    torch.manual_seed(0)
    ViTModel(ViTConfig(**sizes, image_size=16, patch_size=4)).save_pretrained(path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(path)
    return str(path)


def complaint(capsys):
    """The one line on stderr, with nothing on stdout."""
    said = capsys.readouterr()
    assert said.out == "" and said.err.endswith("\n") and said.err.count("\n") == 1 and len(said.err) > 10
    return said.err


def test_analyze(folder, photo, tmp_path, capsys):
    assert cli.main(["analyze", photo, "--encoder", folder, "--out", str(tmp_path / "out"), "--groups", "2"]) == 0
    said = capsys.readouterr()
    assert "1 picture through tiny-vit, layers 0–3" in said.out and "report.html" in said.out and said.err == ""
    assert (tmp_path / "out" / "similarity.csv").read_text().splitlines()[0] == "layer,0,1,2,3"
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_analyze_as_json_with_one_bad_picture(folder, photo, tmp_path, capsys):
    bad = tmp_path / "bad\n.png"
    bad.write_text("text")
    arguments = ["analyze", str(bad), photo, "--encoder", folder, "--out", str(tmp_path / "out"), "--json"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "holds text" in said.err
    found = json.loads(said.out)
    assert found["pictures"] == ["photo.png"] and len(found["skipped"]) == 1 and found["layers"] == 4
    assert found["groups"]["automatic"]["groups"][0]["first"] == 1
    assert np.shape(found["similarity"]["token"]) == (4, 4)
    assert found["encoder"] == folder and found["out"] == str(tmp_path / "out")


def bad_files(folder):
    (folder / "text.png").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "drawing.svg").write_text("<svg/>")
    Image.effect_noise((200, 200), 90).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:3000])
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return [folder / name for name in ("text.png", "empty.png", "drawing.svg", "cut.jpg", "huge.png", "none.png", ".")]


def test_every_bad_picture_is_one_line_and_status_2(tmp_path, capsys):
    for path in bad_files(tmp_path):
        assert cli.main(["analyze", str(path), "--encoder", "unused", "--out", str(tmp_path / "out")]) == 2
        complaint(capsys)
    assert not (tmp_path / "out").exists()


def test_an_unknown_encoder(photo, tmp_path, capsys):
    for encoder in ("no-such-thing", str(tmp_path), photo):
        assert cli.main(["analyze", photo, "--encoder", encoder, "--out", str(tmp_path / "out")]) == 2
        assert encoder in complaint(capsys)


@pytest.mark.parametrize("arguments", [
    [],
    ["unknown"],
    ["analyze"],
    ["analyze", "x.png"],
    ["analyze", "x.png", "--out", "o", "--groups", "three"],
    ["analyze", "x.png", "--out", "o", "--fit", "stretch"],
    ["encoders", "--unknown\nline"],
])  # fmt: skip
def test_usage_errors_are_one_line_and_status_2(arguments, capsys):
    assert cli.main(arguments) == 2
    assert "--help" in complaint(capsys)


def test_a_folder_that_cannot_be_written(photo, capsys):
    assert cli.main(["analyze", photo, "--encoder", "unused", "--out", photo]) == 2
    assert "Cannot make the folder" in complaint(capsys)


@pytest.mark.parametrize(("error", "status", "words"), [
    (InputError("Two\nlines."), 2, "Two lines."),
    (OSError(28, "No space left on device", "/x/y"), 2, "/x/y cannot be read or written: No space left on device."),
    (KeyboardInterrupt(), 130, ""),
])  # fmt: skip
def test_errors_end_in_a_line_and_a_status(error, status, words, capsys, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "run_encoders", fail)
    assert cli.main(["encoders"]) == status
    assert capsys.readouterr().err.strip() == words


def test_encoders(capsys):
    assert cli.main(["encoders"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[0] == "id" and table[1].startswith("mini ")
    assert cli.main(["encoders", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) == len(table) - 1 and {"id", "licence", "source", "on_this_machine"} <= set(listed[0])


def test_every_command_has_help(capsys):
    for arguments in ([], ["analyze"], ["encoders"]):
        assert cli.main([*arguments, "--help"]) == 0
        assert "usage: python -m explorer" in capsys.readouterr().out


def test_as_a_program(tmp_path):
    """In a process of its own: what is printed by whom, and that complaining loads nothing heavy."""
    (tmp_path / "text.png").write_text("hello")
    arguments = [sys.executable, "-X", "importtime", "-m", "explorer", "analyze", str(tmp_path / "text.png"), "--out"]
    done = subprocess.run([*arguments, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2 and done.stdout == "" and len(lines) == 1 and "holds text" in lines[0]
    assert "| torch" not in done.stderr and "| pandas" not in done.stderr
