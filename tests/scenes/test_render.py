from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from explorer.scenes.layout import make_scene
from explorer.scenes.render import PEOPLE_PX, picture, render
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign
from explorer.scenes.sprites import box

GREY = Backdrop("a grey background", "plain", ((120, 120, 120), (120, 120, 120)))


def reduced(pixels, px):
    return np.asarray(Image.fromarray(pixels).resize((px, px), Image.Resampling.BOX), np.float32)


def test_a_scene_looks_the_same_at_every_size(test_scenes):
    by_style = {scene.backdrop.style: scene for scene in test_scenes}
    assert len(by_style) == 8
    for style, scene in by_style.items():
        large, small = reduced(render(scene, 672), 168), reduced(render(scene, 336), 168)
        assert np.abs(large - small).mean() < 4, style


def test_drawing_is_repeatable_and_right_in_form(test_scenes):
    scene = test_scenes[0]
    first, again = render(scene, 168), render(scene, 168)
    assert np.array_equal(first, again)
    assert first.shape == (168, 168, 3) and first.dtype == np.uint8
    shown = picture(scene)
    assert shown.pixels.shape == (PEOPLE_PX, PEOPLE_PX, 3) and str(scene.seed) in shown.name


@pytest.mark.parametrize("edit", ["move", "remove", "enlarge"])
def test_editing_a_thing_changes_only_the_pixels_around_it(test_scenes, edit):
    px = 336
    for scene in test_scenes[:12]:
        thing = scene.objects[-1]
        changed = {
            "move": [replace(thing, x=1 - thing.x)],
            "remove": [],
            "enlarge": [replace(thing, size=1.2 * thing.size)],
        }[edit]
        after = replace(scene, objects=(*scene.objects[:-1], *changed))
        differs = (render(scene, px) != render(after, px)).any(axis=2)
        allowed = np.zeros((px, px), bool)
        for each in (thing, *changed):
            left, top, right, bottom = box(each)
            spread = 0.13 * each.size + 3 / px  # 12 degrees of rotation move a corner by at most 0.11 of the side
            rows = slice(max(0, int((top - spread) * px)), int((bottom + spread) * px) + 1)
            allowed[rows, max(0, int((left - spread) * px)) : int((right + spread) * px) + 1] = True
        assert not (differs & ~allowed).any()
        assert differs.any() or changed == [thing]


def test_things_stand_where_their_boxes_say():
    for kind, colour in (("dog", ""), ("giraffe", ""), ("square", "red"), ("knife", "")):
        scene = Scene(1_100_000_000, GREY, (SceneObject(kind, 0.3, 0.6, 0.4, colour),))
        inked = np.argwhere(np.abs(render(scene, 400).astype(int) - 120).max(axis=2) > 8) / 400
        top, left = inked.min(axis=0)
        bottom, right = inked.max(axis=0)
        assert np.allclose((left, top, right, bottom), box(scene.objects[0]), atol=0.012), kind


def test_lower_things_stand_in_front_and_colours_are_true():
    things = (SceneObject("square", 0.5, 0.55, 0.3, "red"), SceneObject("square", 0.5, 0.45, 0.3, "blue"))
    pixels = render(Scene(1_100_000_000, GREY, things), 200)
    assert tuple(pixels[100, 100]) == (214, 40, 40)
    assert tuple(pixels[70, 100]) == (40, 95, 200)


def test_a_word_fits_its_board():
    for word in ("ICE", "WINTER"):
        sign = Sign(word, "DejaVuSerif-Bold", 0.5, 0.5, 0.3, 0.2)
        plain = render(Scene(1_100_000_000, GREY, ()), 300).astype(int)
        drawn = render(Scene(1_100_000_000, GREY, (), sign), 300).astype(int)
        rows, cols = np.nonzero(np.abs(drawn - plain).max(axis=2) > 0)
        assert cols.min() >= 104 and cols.max() <= 196 and rows.min() >= 119 and rows.max() <= 181
        ink = (drawn.max(axis=2) < 60)[125:175, 110:190]
        assert 0.02 < ink.mean() < 0.5


def test_flip_and_angle_show():
    thing = SceneObject("airplane", 0.5, 0.5, 0.5)
    upright, flipped, turned = (
        render(Scene(1_100_000_000, GREY, (each,)), 168)
        for each in (thing, replace(thing, flip=True), replace(thing, angle=10.0))
    )
    assert not np.array_equal(upright, flipped) and not np.array_equal(upright, turned)
    assert np.abs(upright[:, ::-1].astype(int) - flipped).mean() < 3


def test_more_things_can_be_asked_for():
    assert len(make_scene(1_100_000_001, things=1).objects) == 1
    assert len(make_scene(1_100_000_001, things=10).objects) > 7
