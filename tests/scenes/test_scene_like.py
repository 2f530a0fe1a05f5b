from pathlib import Path

from explorer.scenes.layout import make_scene
from explorer.scenes.render import render
from explorer.scenes.scene_like import could_be_scene
from explorer.services.pictures import read_picture

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PHOTOGRAPHS = [
    *(ASSETS / "photos").glob("*.jpg"),
    *(path for path in (ASSETS / "examples").glob("*.jpg") if "scene" not in path.name),
]


def test_scenes_are_taken_for_scenes_at_both_sizes():
    seeds = range(1_100_000_000, 1_100_000_000 + 7 * 40, 7)
    assert all(could_be_scene(render(make_scene(seed), px)) for seed in seeds for px in (168, 672))


def test_photographs_are_not():
    assert len(PHOTOGRAPHS) >= 7 and not any(could_be_scene(read_picture(path).pixels) for path in PHOTOGRAPHS)
