import numpy as np
import pytest

from explorer.records import InputError
from explorer.scenes.kinds import COLOURS, EMOJI, SHAPES
from explorer.scenes.layout import grounds
from explorer.scenes.scene import Scene, SceneObject
from explorer.services.stage import (
    CELL_PX,
    compare_scenes,
    draw_ground,
    draw_scene,
    empty_scene,
    invent_scene,
    palette,
    patches_within,
    read_scene,
)

DOG = SceneObject("dog", 0.3, 0.4, 0.2)
CAT = SceneObject("cat", 0.7, 0.6, 0.2)
HEART = SceneObject("heart", 0.5, 0.5, 0.3, "red")


def scene(*things, ground=3):
    return Scene(1_100_000_000, grounds()[ground], things)


def test_every_kind_and_colour_is_on_the_sheet_within_its_cell():
    found = palette()
    assert len(found.places) == len(EMOJI) + len(SHAPES) * len(COLOURS)
    for name, (left, top, width, height) in found.places.items():
        assert max(width, height) == CELL_PX, name
        assert found.sheet[top : top + height, left : left + width, 3].any(), name
    corners = {(left, top) for left, top, _, _ in found.places.values()}
    assert len(corners) == len(found.places)


def test_what_a_scene_can_hold_can_be_drawn():
    found = palette()
    for ground in found.grounds:
        record = {"seed": 5, "backdrop": ground, "objects": [], "sign": found.signs["STOP"]}
        assert read_scene(record).sign.word == "STOP"
    assert draw_scene(read_scene(record)).pixels.shape == (672, 672, 3)
    assert {kind["name"] for kind in found.kinds if kind["shape"]} == {shape.name for shape in SHAPES}


@pytest.mark.parametrize("record", [None, [], "scene", {}, {"seed": "x"}, {"seed": 5, "backdrop": {}, "objects": 3}])
def test_what_is_no_scene_is_refused(record):
    with pytest.raises(InputError, match="scene"):
        read_scene(record)


def test_the_ground_is_the_scene_without_things():
    with_things = scene(DOG)
    ground, whole = draw_ground(with_things), draw_scene(with_things).pixels
    np.testing.assert_array_equal(ground[:150], whole[:150])
    assert (ground != whole).any()
    np.testing.assert_array_equal(draw_scene(empty_scene()).pixels, draw_ground(empty_scene()))


def test_an_invented_scene_was_in_no_training():
    assert invent_scene().seed >= 1_100_000_000
    assert invent_scene(3) == invent_scene(3)


@pytest.mark.parametrize(
    ("before", "after", "sentence", "boxes"),
    [
        ((DOG, CAT), (CAT,), "The dog went away.", 1),
        ((DOG,), (DOG, DOG), "The dog came in.", 1),
        ((DOG,), (SceneObject("dog", 0.6, 0.4, 0.3),), "The dog moved and grew.", 2),
        ((DOG, HEART), (DOG, SceneObject("heart", 0.5, 0.5, 0.3, "blue")), "The red heart turned blue.", 2),
        ((DOG,), (SceneObject("dog", 0.3, 0.4, 0.2, flip=True),), "The dog was mirrored.", 2),
        ((DOG,), (SceneObject("elephant", 0.3, 0.4, 0.2),), "The dog became an elephant.", 2),
    ],
)
def test_the_change_is_told(before, after, sentence, boxes):
    change = compare_scenes(scene(*before), scene(*after))
    assert change.sentence == sentence and change.objects == 1
    assert len(change.boxes) == boxes and not change.everywhere


def test_several_changes_and_the_ground_are_told():
    change = compare_scenes(scene(DOG, CAT), scene(ground=4))
    assert change.sentence == "The dog went away; the cat went away; the ground changed."
    assert change.objects == 2 and change.everywhere


def test_equal_scenes_are_refused():
    with pytest.raises(InputError, match="the same"):
        compare_scenes(scene(DOG, CAT), scene(DOG, CAT))


def test_patches_of_a_box_in_a_view_of_the_whole_picture():
    found = patches_within(((0.25, 0.0, 0.75, 0.5),), (0, 0, 100, 100), (100, 100), (4, 4)).reshape(4, 4)
    np.testing.assert_array_equal(found, [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_patches_of_a_view_that_was_cropped_or_padded():
    cropped = patches_within(((0.0, 0.0, 0.3, 1.0),), (25, 0, 75, 50), (100, 50), (2, 2)).reshape(2, 2)
    np.testing.assert_array_equal(cropped, [[1, 0], [1, 0]])  # 30 of 25…75: a fifth of the left column
    padded = patches_within(((0.0, 0.0, 1.0, 1.0),), (0, -25, 100, 75), (100, 50), (4, 1))
    np.testing.assert_array_equal(padded, [False, True, True, False])


def test_a_sliver_of_a_patch_does_not_count():
    assert not patches_within(((0.0, 0.0, 0.02, 1.0),), (0, 0, 100, 100), (100, 100), (1, 2)).any()
