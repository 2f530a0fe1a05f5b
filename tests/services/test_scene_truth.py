import json

import numpy as np

from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign
from explorer.services.scene_truth import things_at

WHOLE = (0.0, 0.0, 100.0, 100.0)


def record(*things, sign=None):
    backdrop = Backdrop("a white background", "plain", ((255, 255, 255), (255, 255, 255)))
    return json.dumps(Scene(1, backdrop, things, sign).to_dict())


def squares(*places, size=0.5):
    return [SceneObject("square", x, y, size, "red") for x, y in places]


def seen(boxes, scenes, rows=4, cols=4, stride=1):
    names, numbers = things_at(boxes, [(100, 100)] * len(boxes), scenes, rows, cols, stride)
    return names, numbers.reshape(len(boxes), -(-rows // stride), -(-cols // stride))


def test_the_thing_that_covers_each_patch_is_named():
    names, numbers = seen([WHOLE], [record(*squares((0.25, 0.25), (0.75, 0.75)))])
    assert names == ["backdrop", "red square", "red square 2"]
    np.testing.assert_array_equal(numbers[0], np.kron([[1, 0], [0, 2]], np.ones((2, 2))))


def test_what_stands_in_front_hides_what_is_behind_and_signs_are_seen():
    sign = Sign("HI", "LiberationSans-Bold", 0.25, 0.75, 0.5, 0.5)
    front = SceneObject("square", 0.25, 0.5, 0.5, "blue")
    names, numbers = seen([WHOLE], [record(*squares((0.25, 0.25)), front, sign=sign)])
    assert names == ["backdrop", "sign", "red square", "blue square"]
    assert numbers[0, :, 0].tolist() == [2, 3, 3, 1]  # from above: the red one, the blue one in front of both, the sign
    assert (numbers[0, :, 2:] == 0).all()


def test_a_crop_and_a_frame_outside_of_the_picture():
    scene = record(*squares((0.25, 0.25)))
    _, numbers = seen([(0.0, 0.0, 50.0, 50.0)], [scene], 2, 2)
    assert (numbers == 1).all()
    _, numbers = seen([(-100.0, -100.0, 100.0, 100.0)], [scene])
    assert (numbers[0, :2] == -1).all() and (numbers[0, :, :2] == -1).all() and numbers[0, 2, 2] == 1


def test_several_pictures_share_names_and_one_without_truth_is_unknown():
    names, numbers = seen([WHOLE] * 3, [record(*squares((0.25, 0.25))), "", record(*squares((0.75, 0.75)))])
    assert names == ["backdrop", "red square"]
    assert numbers[0, 0, 0] == numbers[2, 3, 3] == 1 and (numbers[1] == -1).all()


def test_every_second_patch():
    _, numbers = seen([WHOLE], [record(*squares((0.25, 0.25)))], stride=2)
    np.testing.assert_array_equal(numbers[0], [[1, 0], [0, 0]])


def test_less_than_a_quarter_of_a_patch_does_not_count():
    _, numbers = seen([WHOLE], [record(*squares((0.25, 0.25), size=0.2))], 2, 2)
    assert (numbers == 0).all()
    _, numbers = seen([WHOLE], [record(*squares((0.25, 0.25), size=0.4))], 2, 2)
    assert numbers[0].tolist() == [[1, 0], [0, 0]]
