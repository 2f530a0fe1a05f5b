import argparse
import json

import numpy as np
import pytest
from PIL import Image

from explorer.jobs.scenes import ScenesSettings, add_scenes, write_scenes
from explorer.records import InputError
from explorer.scenes.render import render
from explorer.scenes.scene import Scene, split_of


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_scenes(parser.add_subparsers())
    args = parser.parse_args(["scenes", *map(str, arguments)])
    return args.run(args)


def lines(folder):
    return [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]


def test_pictures_and_questions_are_written(tmp_path, capsys):
    out = tmp_path / "deep" / "scenes"
    assert run("--n", 4, "--seed", 7, "--out", out, "--split", "val", "--px", 96, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    rows = lines(out)
    assert said["scenes"] == 4 and said["questions"] == len(rows) == sum(said["tasks"].values())
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted({"questions.jsonl", "settings.json", *(row["image"] for row in rows)}) and len(names) == 6
    for row in rows:
        assert list(row) == ["image", "question", "answer", "task", "scene", "form", "candidates", "pair", "held_out"]
        scene = Scene.from_dict(row["scene"])
        assert split_of(scene.seed) == "val" and not row["held_out"] and row["answer"] in row["candidates"]
        with Image.open(out / row["image"]) as image:
            assert np.array_equal(np.asarray(image), render(scene, 96))
    assert json.loads((out / "settings.json").read_text())["seed"] == 7


def test_the_same_seed_gives_the_same_files(tmp_path):
    settings = ScenesSettings(n=2, seed=3, px=64, tasks=("count", "existence"))
    for name in ("first", "again"):
        write_scenes(settings, tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert {row["task"] for row in lines(tmp_path / "first")} == {"count", "existence"}


def test_a_folder_in_use_is_left_alone_unless_asked(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    settings = ScenesSettings(n=1, px=64)
    with pytest.raises(InputError, match="not empty"):
        write_scenes(settings, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    write_scenes(settings, tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine" and lines(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        write_scenes(settings, tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "arguments",
    [("--n", 0), ("--px", 5), ("--px", 100_000), ("--seed", -1), ("--tasks", "colour,sound"), ("--tasks", "")],
)
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, arguments):
    with pytest.raises(InputError):
        run(*arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_come_from_a_file_and_flags_win(tmp_path):
    (tmp_path / "s.toml").write_text('n = 3\npx = 64\ntasks = ["total"]\n')
    run("--settings", tmp_path / "s.toml", "--n", 2, "--out", tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (saved["n"], saved["px"], saved["tasks"], saved["split"]) == (2, 64, ["total"], "test")
