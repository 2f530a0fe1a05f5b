import re

import numpy as np
import pytest

from explorer.scenes.captions import NUMBERS, article, loose_relation, make_caption
from explorer.scenes.kinds import KINDS
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign, held_out_relation

RELATION = re.compile(r"\b(next to|on|under|above) an? (?!.*background)")
NUMBER = re.compile(rf"\b({'|'.join(NUMBERS)})\b|\d")


def relates(caption):
    """Whether two things are set in relation (the backdrop's "on grass" is none)."""
    match = re.search(
        r"^(?:a picture of )?an? (.+?) (next to|on|under|above) an? (.+?)(?:,| and | on | in front|$)", caption
    )
    return bool(match) and match[1].split()[-1] in LAST and match[3].split()[-1] in LAST


LAST = {kind.split()[-1] for kind in KINDS}


def test_one_caption_in_six_says_how_many_or_where(test_scenes):
    rng = np.random.default_rng(0)
    captions = [make_caption(scene, rng) for scene in test_scenes if len(scene.objects) > 1 for _ in range(4)]
    numbers = np.mean([bool(NUMBER.search(caption)) for caption in captions])
    relations = np.mean([relates(caption) for caption in captions])
    assert 0.02 < numbers < 0.12 and 0.02 < relations < 0.08
    assert 0.08 < numbers + relations < 0.2


def test_a_caption_names_what_is_there_and_nothing_else(test_scenes):
    rng = np.random.default_rng(1)
    names = {name: kind.name for kind in KINDS.values() for name in (kind.name, kind.plural)}
    pattern = re.compile(rf"\b({'|'.join(sorted(names, key=len, reverse=True))})\b")
    for scene in test_scenes[:200]:
        caption = make_caption(scene, rng)
        text = caption.replace(f'"{getattr(scene.sign, "word", "")}"', "").replace(scene.backdrop.name, "")
        text = re.sub(r"\borange (circle|square|triangle|star|heart|diamond)", r"\1", text)
        named = {names[found] for found in pattern.findall(text)}
        assert named <= set(scene.kinds()), caption
        assert relates(caption) or named == set(scene.kinds()), caption


def test_no_caption_for_training_tells_a_held_out_relation(train_scenes):
    rng = np.random.default_rng(2)
    relation = re.compile(
        r"^(?:a picture of )?an? (.+?) (next to|on|under|above) an? (.+?)(?:,| and | on | in front|$)"
    )
    told = 0
    for scene in train_scenes:
        for _ in range(6):
            if (match := relation.match(make_caption(scene, rng))) and match[3] in KINDS and match[1] in KINDS:
                told += 1
                assert not held_out_relation(match[1], match[3], match[2])
    assert told > 50


def test_only_what_is_within_the_cut_is_told():
    backdrop = Backdrop("sand", "horizon", ((0, 0, 0), (9, 9, 9)), horizon=0.4)
    sign = Sign("OPEN", "LiberationSans-Bold", 0.8, 0.2, 0.2, 0.1)
    scene = Scene(0, backdrop, (SceneObject("dog", 0.2, 0.5, 0.2), SceneObject("cat", 0.8, 0.5, 0.2)), sign)
    captions = {make_caption(scene, np.random.default_rng(seed), cut=(0, 0, 0.5, 1)) for seed in range(40)}
    assert all("dog" in caption and "cat" not in caption and "OPEN" not in caption for caption in captions)
    everything = {make_caption(scene, np.random.default_rng(seed)) for seed in range(40)}
    assert len(everything) > 8 and any("OPEN" in caption and "cat" in caption for caption in everything)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ((0.5, 0.3), (0.5, 0.52), "on"),
        ((0.5, 0.2), (0.5, 0.8), "above"),
        ((0.5, 0.8), (0.5, 0.2), "under"),
        ((0.2, 0.5), (0.8, 0.5), "next to"),
    ],
)
def test_loose_relations(a, b, said):
    assert loose_relation(SceneObject("ball", *a, 0.2), SceneObject("ball", *b, 0.2)) == said


def test_articles():
    assert [article(noun) for noun in ("dog", "airplane", "orange circle", "scissors")] == [
        "a dog",
        "an airplane",
        "an orange circle",
        "scissors",
    ]
