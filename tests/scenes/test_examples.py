import json
import re

import numpy as np
from PIL import Image

from explorer.scenes.render import render
from explorer.scenes.scene import Scene, split_of
from explorer.scenes.sprites import ASSETS

EXAMPLES = json.loads((ASSETS / "examples" / "examples.json").read_text("utf-8"))
LICENSES = (ASSETS / "LICENSES.md").read_text("utf-8")


def test_every_example_is_listed_with_credit_and_licence():
    files = {path.name for path in (ASSETS / "examples").iterdir()} - {"examples.json"}
    assert set(EXAMPLES) == files
    assert all(entry["title"] and entry["credit"] and entry["licence"] for entry in EXAMPLES.values())
    assert all((ASSETS / "examples" / name).stat().st_size < 150_000 for name in EXAMPLES)


def test_scenes_among_the_examples_are_what_they_say():
    scenes = {name: Scene.from_dict(entry["scene"]) for name, entry in EXAMPLES.items() if "scene" in entry}
    assert len(scenes) >= 6 and next(iter(EXAMPLES)) in scenes
    for name, scene in scenes.items():
        assert split_of(scene.seed) == "test" and str(scene.seed) in name
        with Image.open(ASSETS / "examples" / name) as image:
            pixels = np.asarray(image.convert("RGB"), float)
        assert pixels.shape == (672, 672, 3) and np.abs(pixels - render(scene)).mean() < 2


def test_licences_cover_all_that_others_made():
    for folder in ("photos", "fonts"):
        for path in (ASSETS / folder).iterdir():
            assert f"{folder}/{path.name}" in LICENSES
    for name in EXAMPLES:
        assert name in LICENSES or name.startswith("scene-")
    texts = re.findall(r"`(licenses/[^`]+)`", LICENSES)
    assert len(texts) >= 4
    assert all((ASSETS / text).stat().st_size > 1000 for text in texts)
