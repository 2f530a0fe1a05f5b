"""Pictures and captions for training the encoder: whole scenes, or windows cut from them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from explorer.scenes.captions import inside, make_caption
from explorer.scenes.layout import make_scene
from explorer.scenes.render import render
from explorer.scenes.scene import Scene
from explorer.scenes.sprites import box

PATCH_PX = 14
GRID = 12
IMAGE_PX = PATCH_PX * GRID


def encoder_pixels(scene: Scene) -> np.ndarray:
    """A scene as the mini encoder sees it, uint8 [168, 168, 3]: drawn at twice the size, then reduced."""
    drawn = Image.fromarray(render(scene, 2 * IMAGE_PX))
    return np.asarray(drawn.resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC))


@lru_cache(maxsize=16_384)
def drawn_scene(seed: int) -> tuple[Scene, np.ndarray]:
    """A scene and its pixels, kept for other windows (85 kB each)."""
    scene = make_scene(seed)
    return scene, encoder_pixels(scene)


def choose_window(scene: Scene, grid: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a window in pixels; the middle of some thing lies in it, where there is one."""
    most = IMAGE_PX - grid * PATCH_PX
    if not scene.objects or rng.random() < 0.1:
        return int(rng.integers(most + 1)), int(rng.integers(most + 1))
    thing = scene.objects[int(rng.integers(len(scene.objects)))]
    side = grid * PATCH_PX
    top, left = (round(at * IMAGE_PX - side / 2 + rng.uniform(-0.25, 0.25) * side) for at in (thing.y, thing.x))
    return min(max(top, 0), most), min(max(left, 0), most)


def cuts_badly(scene: Scene, cut: tuple[float, float, float, float]) -> bool:
    """Whether some thing or the sign is neither mostly inside nor mostly outside."""
    boxes = [box(thing) for thing in scene.objects] + ([scene.sign.box()] if scene.sign else [])
    return any(0.25 < inside(one, cut) < 0.75 for one in boxes)


class Windows(Dataset):
    """Batch k of a run, always the same for the same seed and k, so that a resumed run sees what it would have seen.

    Each item is (pixels uint8 [B, 3, g*14, g*14], first patches int64 [B, 2], captions).
    """

    def __init__(self, seed: int, plan: list[tuple[int, int]], scenes: int):
        """Args: seed of the run; plan = (grid, batch) of each step; how many scenes the windows are cut from."""
        self.seed, self.plan, self.scenes = seed, plan, scenes

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.plan)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, list[str]]:
        """The batch of a step."""
        grid, batch = self.plan[step]
        rng = np.random.default_rng((self.seed, step))
        pixels, firsts, captions = [], [], []
        while len(pixels) < batch:
            scene, image = drawn_scene(int(rng.integers(self.scenes)))
            top, left = choose_window(scene, grid, rng)
            cut = (
                left / IMAGE_PX,
                top / IMAGE_PX,
                (left + grid * PATCH_PX) / IMAGE_PX,
                (top + grid * PATCH_PX) / IMAGE_PX,
            )
            if cuts_badly(scene, cut):
                continue
            window = image[top : top + grid * PATCH_PX, left : left + grid * PATCH_PX]
            if rng.random() < 0.5 and not scene.sign:
                window = window[:, ::-1]
                left = IMAGE_PX - left - grid * PATCH_PX
            pixels.append(window)
            firsts.append((round(top / PATCH_PX), round(left / PATCH_PX)))
            captions.append(make_caption(scene, rng, cut))
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.tensor(firsts), captions
