"""Draw a scene at any size."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from explorer.records import Picture
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign
from explorer.scenes.sprites import ASSETS, sprite

PEOPLE_PX = 672  # four times what the mini encoder sees
FONTS = ("LiberationSans-Bold", "LiberationSerif-Bold", "LiberationMono-Bold", "DejaVuSerif-Bold")


def render(scene: Scene, px: int = PEOPLE_PX) -> np.ndarray:
    """Draw a scene, uint8 [px, px, 3]; things lower in the picture stand in front."""
    canvas = draw_backdrop(scene.backdrop, px)
    if scene.sign:
        draw_sign(canvas, scene.sign, px)
    for thing in sorted(scene.objects, key=lambda thing: thing.y):
        draw_thing(canvas, thing, px)
    return np.asarray(canvas.convert("RGB"))


def picture(scene: Scene, px: int = PEOPLE_PX) -> Picture:
    """The drawn scene as a picture named after its seed."""
    return Picture(f"scene {scene.seed}", render(scene, px))


def draw_thing(canvas: Image.Image, thing: SceneObject, px: int) -> None:
    """Draw one thing onto a canvas of side ``px``."""
    image = sprite(thing.kind, thing.colour, thing.flip)
    scale = thing.size * px / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
    )
    if thing.angle:
        image = image.rotate(thing.angle, Image.Resampling.BICUBIC, expand=True)
    left, top = round(thing.x * px - image.width / 2), round(thing.y * px - image.height / 2)
    canvas.paste(image, (left, top), image)


@cache
def _font(name: str, height_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(ASSETS / "fonts" / f"{name}.ttf"), height_px)


def draw_sign(canvas: Image.Image, sign: Sign, px: int) -> None:
    """Draw a board with a word onto a canvas of side ``px``."""
    left, top = (sign.x - sign.width / 2) * px, (sign.y - sign.height / 2) * px
    right, bottom = left + sign.width * px, top + sign.height * px
    draw = ImageDraw.Draw(canvas)
    draw.rounded_rectangle(
        (left, top, right, bottom), 0.012 * px, fill=sign.board, outline=sign.ink, width=max(1, px // 168)
    )
    middle = ((left + right) / 2, (top + bottom) / 2)
    draw.text(middle, sign.word, fill=sign.ink, font=_fitting_font(sign, px), anchor="mm")


def _fitting_font(sign: Sign, px: int) -> ImageFont.FreeTypeFont:
    """The font in the size in which the sign's word fits its board."""
    font = _font(sign.font if sign.font in FONTS else FONTS[0], max(4, round(0.72 * sign.height * px)))
    room = 0.9 * sign.width * px
    if (wide := font.getlength(sign.word)) > room:
        font = _font(Path(str(font.path)).stem, max(4, int(font.size * room / wide)))
    return font


def letter_boxes(sign: Sign, px: int = PEOPLE_PX) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each letter of a sign's word, as shares of the picture's side."""
    font = _fitting_font(sign, px)
    ends = [font.getlength(sign.word[:k]) / px for k in range(len(sign.word) + 1)]
    start, half = sign.x - ends[-1] / 2, 0.36 * font.size / px  # capitals are about 0.72 of a font's size high
    return [
        (start + left, sign.y - half, start + right, sign.y + half) for left, right in zip(ends, ends[1:], strict=False)
    ]


@cache
def photographs() -> tuple[Image.Image, ...]:
    """The photographs that can stand, blurred, behind a scene."""
    return tuple(Image.open(path).convert("RGB") for path in sorted((ASSETS / "photos").glob("*.jpg")))


def _clouds(rng: np.random.Generator, px: int, cells: int) -> np.ndarray:
    """Smooth noise in 0…1, float32 [px, px]."""
    coarse = Image.fromarray((255 * rng.random((cells, cells))).astype(np.uint8))
    return np.asarray(coarse.resize((px, px), Image.Resampling.BICUBIC), np.float32) / 255


def _blend(first: tuple[int, ...], second: tuple[int, ...], share: np.ndarray) -> np.ndarray:
    """Mix two colours, uint8 [rows, cols, 3], by ``share`` of the second."""
    a, b = np.array(first, np.float32), np.array(second, np.float32)
    return np.clip(a + (b - a) * share[..., None], 0, 255).astype(np.uint8)


def _photo(rng: np.random.Generator, px: int) -> Image.Image:
    source = photographs()[int(rng.integers(len(photographs())))]
    side = int(min(source.size) * rng.uniform(0.5, 1.0))
    left, top = (int(rng.integers(0, full - side + 1)) for full in source.size)
    small = source.crop((left, top, left + side, top + side)).resize((84, 84), Image.Resampling.BILINEAR)
    return small.filter(ImageFilter.GaussianBlur(rng.uniform(1.2, 3.0))).resize((px, px), Image.Resampling.BICUBIC)


def draw_backdrop(backdrop: Backdrop, px: int) -> Image.Image:
    """Draw what is behind the things, RGB [px, px]."""
    rng = np.random.default_rng(backdrop.seed)
    first, second = backdrop.colours
    ramp = np.linspace(0, 1, px, dtype=np.float32)
    if backdrop.style == "photo":
        return _photo(rng, px)
    if backdrop.style == "plain":
        return Image.new("RGB", (px, px), first)
    if backdrop.style == "gradient":
        return Image.fromarray(_blend(first, second, np.broadcast_to(ramp[:, None], (px, px))))
    if backdrop.style == "clouds":
        return Image.fromarray(_blend(first, second, _clouds(rng, px, int(rng.integers(4, 14)))))
    if backdrop.style == "horizon":
        edge = round((backdrop.horizon or 0.4) * px)
        sky = np.broadcast_to(ramp[:edge, None] * 0.35, (edge, px))
        ground = 0.25 * _clouds(rng, px, 24)[edge:]
        white, dark = (255, 255, 255), tuple(int(0.6 * c) for c in second)
        return Image.fromarray(np.concatenate([_blend(first, white, sky), _blend(second, dark, ground)]))
    period = rng.uniform(0.06, 0.16)
    across, down = ramp[None, :] / period, ramp[:, None] / period
    if backdrop.style == "stripes":
        mask = ((across + (down if rng.random() < 0.5 else 0 * down)) % 1) < 0.5
    elif backdrop.style == "checks":
        mask = (across % 1 < 0.5) ^ (down % 1 < 0.5)
    else:
        mask = np.hypot(across % 1 - 0.5, down % 1 - 0.5) < 0.28
    return Image.fromarray(_blend(first, second, mask.astype(np.float32)))
