"""The drawn things: sprites of emoji from assets/sprites and plain shapes in any colour."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw

from explorer.scenes.kinds import COLOURS, KINDS
from explorer.scenes.scene import SceneObject

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SPRITE_PX = 128


def _polygon(name: str) -> list[tuple[float, float]]:
    """Corners of a shape on the unit square."""
    if name == "square":
        return [(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94)]
    if name == "triangle":
        return [(0.5, 0.06), (0.97, 0.92), (0.03, 0.92)]
    if name == "diamond":
        return [(0.5, 0.02), (0.86, 0.5), (0.5, 0.98), (0.14, 0.5)]
    if name == "star":
        radii = [0.5, 0.2] * 5
        return [
            (0.5 + r * math.sin(k * math.pi / 5), 0.53 - r * math.cos(k * math.pi / 5)) for k, r in enumerate(radii)
        ]
    if name == "heart":
        angles = [k * math.pi / 40 for k in range(80)]
        return [
            (
                0.5 + 0.029 * 16 * math.sin(t) ** 3,
                0.46 - 0.029 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
            )
            for t in angles
        ]
    return [(0.5 + 0.47 * math.cos(k * math.pi / 40), 0.5 + 0.47 * math.sin(k * math.pi / 40)) for k in range(80)]


@cache
def sprite(kind: str, colour: str = "", flip: bool = False) -> Image.Image:
    """The drawing of a thing, RGBA, SPRITE_PX square or, trimmed to its ink, less in one direction."""
    if KINDS[kind].glyph:
        image = Image.open(ASSETS / "sprites" / f"{kind.replace(' ', '_')}.png").convert("RGBA")
    else:
        big = 4 * SPRITE_PX
        image = Image.new("RGBA", (big, big))
        red, green, blue = COLOURS[colour]
        edge = tuple(
            150 if colour == "black" else int(0.55 * c) for c in (red, green, blue)
        )  # seen on white and on black
        corners = [(x * big, y * big) for x, y in _polygon(kind)]
        ImageDraw.Draw(image).polygon(corners, fill=(red, green, blue, 255), outline=(*edge, 255), width=12)
        image = image.resize((SPRITE_PX, SPRITE_PX), Image.Resampling.LANCZOS)
    image = image.crop(image.getbbox())
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


def extent(thing: SceneObject) -> tuple[float, float]:
    """Width and height of a thing as fractions of the picture's side, before its slight rotation."""
    image = sprite(thing.kind, thing.colour)
    longer = max(image.size)
    return thing.size * image.width / longer, thing.size * image.height / longer


def box(thing: SceneObject) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a thing as fractions of the picture's side."""
    width, height = extent(thing)
    return thing.x - width / 2, thing.y - height / 2, thing.x + width / 2, thing.y + height / 2
