"""Pictures and captions for training the encoder: whole scenes, or windows cut from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from explorer.jobs.training_scenes import draw_scene
from explorer.scenes.captions import inside, make_caption
from explorer.scenes.kinds import KINDS, WORDS
from explorer.scenes.layout import invent_sign, make_scene
from explorer.scenes.render import draw_sign, letter_boxes, render
from explorer.scenes.scene import Scene, SceneObject, Sign
from explorer.scenes.sprites import box

PATCH_PX = 14
GRID = 12
IMAGE_PX = PATCH_PX * GRID


def encoder_pixels(scene: Scene) -> np.ndarray:
    """A scene as the mini encoder sees it, uint8 [168, 168, 3]: drawn at twice the size, then reduced."""
    drawn = Image.fromarray(render(scene, 2 * IMAGE_PX))
    return np.asarray(drawn.resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC))


@lru_cache(maxsize=32_768)
def drawn_scene(seed: int) -> tuple[Scene, np.ndarray]:
    """A scene and its pixels, kept for other windows (85 kB each)."""
    scene = make_scene(seed)
    return scene, encoder_pixels(scene)


def choose_window(scene: Scene, step: Step, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a window in pixels: around the sign of a strip, else some thing's middle; a tenth lie anywhere."""
    sides = (step.rows * PATCH_PX, step.columns * PATCH_PX)
    most = [IMAGE_PX - side for side in sides]
    if step.words and scene.sign:
        aim = (scene.sign.y, scene.sign.x)
        slack = [
            max(0.0, side / IMAGE_PX - long) / 2
            for side, long in zip(sides, (scene.sign.height, scene.sign.width), strict=True)
        ]
        shift = [float(rng.uniform(-1, 1)) * IMAGE_PX * free for free in slack]
    elif not scene.objects or rng.random() < 0.1:
        return int(rng.integers(most[0] + 1)), int(rng.integers(most[1] + 1))
    else:
        thing = scene.objects[int(rng.integers(len(scene.objects)))]
        aim = (thing.y, thing.x)
        shift = [float(rng.uniform(-0.25, 0.25)) * side for side in sides]
    firsts = [round(at * IMAGE_PX - side / 2 + by) for at, side, by in zip(aim, sides, shift, strict=True)]
    top, left = (min(max(first, 0), end) for first, end in zip(firsts, most, strict=True))
    return top, left


def cuts_badly(scene: Scene, cut: tuple[float, float, float, float]) -> bool:
    """Whether some thing or the sign is neither mostly inside nor mostly outside."""
    boxes = [box(thing) for thing in scene.objects] + ([scene.sign.box()] if scene.sign else [])
    return any(0.25 < inside(one, cut) < 0.75 for one in boxes)


@dataclass(frozen=True)
class Step:
    """What one update looks at: ``batch`` windows of ``rows`` by ``columns`` patches.

    Where there are ``words``, each is a strip with a new sign whose word is one of the first so many of the world's.
    """

    rows: int
    columns: int
    batch: int
    words: int = 0


def write_sign(scene: Scene, image: np.ndarray, words: int, rng: np.random.Generator) -> tuple[Scene, np.ndarray]:
    """Put another sign on a drawn scene; things that it covers are taken out of the record.

    Args:
        scene: without a sign.
        image: the scene as ``encoder_pixels`` draws it.
        words: how many of the world's words are in use.
        rng: chooses word, font, colours and place.
    """
    sign = invent_sign(rng, WORDS[:words])
    board = Image.new("RGBA", (2 * IMAGE_PX, 2 * IMAGE_PX))
    draw_sign(board, sign, 2 * IMAGE_PX)
    board = board.resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC)
    canvas = Image.fromarray(image)
    canvas.paste(board, (0, 0), board)
    left = tuple(thing for thing in scene.objects if inside(box(thing), sign.box()) < 0.3)
    return replace(scene, objects=left, sign=sign), np.asarray(canvas)


def sign_labels(sign: Sign | None, top: int, left: int, step: Step) -> np.ndarray:
    """What each patch of a window shows of a sign, int64 [rows*columns, 2]: a letter of its word, and which of ``WORDS``.

    Args:
        sign: whose word is one of ``WORDS``.
        top: of the window, in pixels.
        left: of the window, in pixels.
        step: how many rows and columns of patches it has.

    Returns:
        np.ndarray: letters 0 to 25 where a patch's middle lies within one, the word where it lies on the board, if that
        is within the window as a whole; -1 elsewhere.
    """
    labels = np.full((step.rows, step.columns, 2), -1)
    if sign:
        x, y = np.meshgrid(
            (left / PATCH_PX + np.arange(step.columns) + 0.5) / GRID,
            (top / PATCH_PX + np.arange(step.rows) + 0.5) / GRID,
        )
        shows = [
            (0, ord(letter.lower()) - ord("a"), edges)
            for letter, edges in zip(sign.word, letter_boxes(sign), strict=True)
        ]
        if inside(sign.box(), cut_out(top, left, step)) > 0.9:
            shows.append((1, WORDS.index(sign.word), sign.box()))
        for which, what, (start, above, end, below) in shows:
            labels[(x >= start) & (x < end) & (y >= above) & (y < below), which] = what
    return labels.reshape(-1, 2)


def middle_labels(things: Sequence[SceneObject], top: int, left: int, step: Step) -> np.ndarray:
    """Whose middle lies in each patch of a window, int64 [rows*columns], a place among ``KINDS``; -1 where no thing's does."""
    labels, kinds = np.full((step.rows, step.columns), -1), list(KINDS)
    for thing in things:
        row, column = (int((x * IMAGE_PX - first) // PATCH_PX) for x, first in ((thing.y, top), (thing.x, left)))
        if 0 <= row < step.rows and 0 <= column < step.columns:
            labels[row, column] = kinds.index(thing.kind)
    return labels.flatten()


def cut_out(top: int, left: int, step: Step) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a window at a place in pixels, as shares of the picture's side."""
    right, bottom = left + step.columns * PATCH_PX, top + step.rows * PATCH_PX
    return left / IMAGE_PX, top / IMAGE_PX, right / IMAGE_PX, bottom / IMAGE_PX


class Windows(Dataset):
    """Batch k of a run, always the same for the same seed and k, so that a resumed run sees what it would have seen.

    Each item is (pixels uint8 [B, 3, rows*14, columns*14], first patches int64 [B, 2], captions, labels int64
    [B, rows*columns, 3] as ``sign_labels`` and ``middle_labels`` give them).
    """

    def __init__(self, seed: int, plan: list[Step], scenes: int, crowds: float = 0.0):
        """Args: seed of the run; plan; how many scenes the windows are cut from, 0 for new ones; share cut from new crowds."""
        self.seed, self.plan, self.scenes, self.crowds = seed, plan, scenes, crowds

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.plan)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """The batch of a step."""
        plan = self.plan[step]
        rng = np.random.default_rng((self.seed, step))
        pixels, firsts, captions, labels = [], [], [], []
        while len(pixels) < plan.batch:
            crowd = self.crowds > 0 and rng.random() < self.crowds
            if self.scenes and not crowd:
                scene, image = drawn_scene(int(rng.integers(self.scenes)))
            else:
                scene = draw_scene(rng, float(crowd))
                image = encoder_pixels(scene)
            if plan.words:
                if scene.sign:
                    continue
                scene, image = write_sign(scene, image, plan.words, rng)
            top, left = choose_window(scene, plan, rng)
            cut = cut_out(top, left, plan)
            if not plan.words and cuts_badly(scene, cut):
                continue
            shows = sign_labels(scene.sign, top, left, plan)
            middles = middle_labels(scene.objects, top, left, plan)
            window = image[top : top + plan.rows * PATCH_PX, left : left + plan.columns * PATCH_PX]
            if rng.random() < 0.5 and not scene.sign:
                window = window[:, ::-1]
                middles = middles.reshape(plan.rows, -1)[:, ::-1].flatten()
                left = IMAGE_PX - left - plan.columns * PATCH_PX
            labels.append(np.concatenate([shows, middles[:, None]], 1))
            pixels.append(window)
            firsts.append((round(top / PATCH_PX), round(left / PATCH_PX)))
            captions.append(make_caption(scene, rng, cut))
        shown = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        return shown, torch.tensor(firsts), captions, torch.from_numpy(np.stack(labels))
