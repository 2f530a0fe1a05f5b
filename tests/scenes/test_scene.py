import copy
import json

import pytest

from explorer.records import InputError
from explorer.scenes.kinds import COLOURS, EMOJI, KINDS, SHAPES, WORDS
from explorer.scenes.layout import make_scene
from explorer.scenes.scene import SPLITS, Scene, SceneObject, held_out_count, split_of
from explorer.scenes.sprites import ASSETS, box


def test_the_world_is_as_large_as_promised():
    assert len(EMOJI) >= 60 and len(COLOURS) == 8 and len(SHAPES) >= 5
    assert len(WORDS) == len(set(WORDS)) >= 60
    assert all((ASSETS / "sprites" / f"{kind.name.replace(' ', '_')}.png").is_file() for kind in EMOJI)


def test_scenes_survive_json(test_scenes):
    for scene in test_scenes:
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_the_seed_is_the_scene(test_scenes):
    for scene in test_scenes[:40]:
        assert make_scene(scene.seed) == scene


def test_splits_do_not_touch():
    ranges = sorted(SPLITS.values(), key=lambda seeds: seeds.start)
    assert all(a.stop <= b.start for a, b in zip(ranges, ranges[1:], strict=False))
    assert [split_of(SPLITS[name].start) for name in SPLITS] == [split_of(SPLITS[name][-1]) for name in SPLITS]
    for seed in (-1, max(seeds.stop for seeds in SPLITS.values())):
        with pytest.raises(InputError, match="outside all splits"):
            make_scene(seed)


def test_held_out_counts_occur_in_test_scenes_only(train_scenes, test_scenes):
    def held_out(scenes):
        return sum(held_out_count(kind, scene.count(kind)) for scene in scenes for kind in scene.kinds())

    assert held_out(train_scenes) == 0
    assert held_out(test_scenes) > 10
    assert held_out([make_scene(seed) for seed in range(SPLITS["val"].start, SPLITS["val"].start + 60)]) == 0
    assert 0.06 < sum(held_out_count(kind, n) for kind in KINDS for n in range(2, 11)) / (9 * len(KINDS)) < 0.11


def test_things_stand_within_the_picture_and_hardly_overlap(test_scenes):
    for scene in test_scenes:
        assert 1 <= len(scene.objects) <= 10
        boxes = [box(thing) for thing in scene.objects]
        for k, (left, top, right, bottom) in enumerate(boxes):
            assert left >= 0 and top >= 0 and right <= 1 and bottom <= 1
            assert min(right - left, bottom - top) * 168 > 5  # a few of the encoder's pixels at least
            for other in boxes[:k]:
                width = min(right, other[2]) - max(left, other[0])
                height = min(bottom, other[3]) - max(top, other[1])
                smaller = min((right - left) * (bottom - top), (other[2] - other[0]) * (other[3] - other[1]))
                assert width <= 0 or height <= 0 or width * height < 0.07 * smaller


GOOD = json.loads(json.dumps(make_scene(1_100_000_004).to_dict()))
assert GOOD["sign"] and GOOD["objects"]


def edited(*path, value):
    scene = copy.deepcopy(GOOD)
    part = scene
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return scene


NAN, INFINITE = float("nan"), float("inf")
HOSTILE = {
    "nothing": None,
    "a list": [],
    "a text": "scene",
    "empty": {},
    "objects a text": edited("objects", value="dog"),
    "objects numbers": edited("objects", value=[1, 2]),
    "a field too many": edited("objects", 0, "evil", value=1),
    "an unknown kind": edited("objects", 0, "kind", value="dragon"),
    "a path for a kind": edited("objects", 0, "kind", value="../../etc/passwd"),
    "a list for a kind": edited("objects", 0, "kind", value=["dog"]),
    "x not a number": edited("objects", 0, "x", value=NAN),
    "x infinite": edited("objects", 0, "x", value=INFINITE),
    "x a text": edited("objects", 0, "x", value="0.5"),
    "y outside": edited("objects", 0, "y", value=1.5),
    "no size": edited("objects", 0, "size", value=0),
    "a huge size": edited("objects", 0, "size", value=1e9),
    "a shape without a colour": edited("objects", 0, value={"kind": "star", "x": 0.5, "y": 0.5, "size": 0.2}),
    "a seed in words": edited("seed", value="seven"),
    "no seed": edited("seed", value=None),
    "no backdrop": edited("backdrop", value=None),
    "a backdrop in words": edited("backdrop", value="grass"),
    "colours in words": edited("backdrop", "colours", value="red"),
    "a backdrop with more": edited("backdrop", "weather", value="rain"),
    "a sign in words": edited("sign", value="OPEN"),
    "x true": edited("objects", 0, "x", value=True),
    "angle not a number": edited("objects", 0, "angle", value=NAN),
    "angle a text": edited("objects", 0, "angle", value="steep"),
    "flip a text": edited("objects", 0, "flip", value="yes"),
    "flip a list": edited("objects", 0, "flip", value=[1]),
    "colour of a thing": edited("objects", 0, "colour", value=["red"]),
    "a crowd": edited("objects", value=200 * GOOD["objects"]),
    "seed infinite": edited("seed", value=INFINITE),
    "seed outside": edited("seed", value=10**30),
    "an unknown style": edited("backdrop", "style", value="lava"),
    "a list for a style": edited("backdrop", "style", value=[]),
    "one colour": edited("backdrop", "colours", value=[[1, 2, 3]]),
    "short colours": edited("backdrop", "colours", value=[[1, 2], [3, 4]]),
    "colours too bright": edited("backdrop", "colours", value=[[1, 2, 3000], [3, 4, 5]]),
    "colours infinite": edited("backdrop", "colours", value=[[INFINITE] * 3] * 2),
    "a negative texture": edited("backdrop", "seed", value=-3),
    "a texture in words": edited("backdrop", "seed", value="x"),
    "half a texture": edited("backdrop", "seed", value=1.5),
    "horizon outside": edited("backdrop", "horizon", value=2),
    "horizon not a number": edited("backdrop", "horizon", value=NAN),
    "horizon a text": edited("backdrop", "horizon", value="low"),
    "a backdrop's name a number": edited("backdrop", "name", value=5),
    "a backdrop's name too long": edited("backdrop", "name", value="x" * 10**6),
    "a sign a list": edited("sign", value=[]),
    "a word a number": edited("sign", "word", value=5),
    "a word too long": edited("sign", "word", value="A" * 10**5),
    "an empty word": edited("sign", "word", value=""),
    "a word in two lines": edited("sign", "word", value="A\nB"),
    "a font a list": edited("sign", "font", value=["x"]),
    "a sign nowhere": edited("sign", "x", value=NAN),
    "a sign without width": edited("sign", "width", value=0),
    "a sign turned inside out": edited("sign", "height", value=-0.2),
    "a sign too large": edited("sign", "width", value=1e9),
    "short ink": edited("sign", "ink", value=[1, 2]),
    "ink a word": edited("sign", "ink", value="red"),
    "no ink": edited("sign", "ink", value=None),
    "a sign without place": edited("sign", value={"word": "OPEN"}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_scene_is_refused_with_a_sentence(data):
    with pytest.raises(InputError) as caught:
        Scene.from_dict(data)
    assert len(str(caught.value)) > 20 and str(caught.value).endswith(".")


def test_a_thing_must_be_drawable():
    with pytest.raises(InputError, match="needs a colour"):
        SceneObject("heart", 0.5, 0.5, 0.2, "pink")
    with pytest.raises(InputError, match="off the picture"):
        SceneObject("dog", -0.1, 0.5, 0.2)
