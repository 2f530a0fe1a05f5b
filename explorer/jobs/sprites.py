"""Draw the sprites in assets/sprites from the Noto Color Emoji font: `python -m explorer.jobs.sprites FONT.ttf`.

Run once by whoever changes the table of kinds; the app itself needs only the drawn sprites.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from explorer.scenes.kinds import EMOJI

SPRITE_PX = 128
FONT_PX = 109  # the only size of the bitmaps in NotoColorEmoji.ttf


def draw_sprite(glyph: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Draw one emoji, trimmed to its ink and centred on a transparent square of SPRITE_PX."""
    canvas = Image.new("RGBA", (192, 192))
    ImageDraw.Draw(canvas).text((24, 24), glyph + "\ufe0f", font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"The font has no glyph for {glyph!r}.")
    ink = canvas.crop(box)
    scale = SPRITE_PX / max(ink.size)
    ink = ink.resize((max(1, round(ink.width * scale)), max(1, round(ink.height * scale))), Image.Resampling.LANCZOS)
    sprite = Image.new("RGBA", (SPRITE_PX, SPRITE_PX))
    sprite.alpha_composite(ink, ((SPRITE_PX - ink.width) // 2, (SPRITE_PX - ink.height) // 2))
    return sprite


def main(font_file: str, out: Path = Path("assets/sprites")) -> None:
    """Draw all kinds that have a glyph."""
    font = ImageFont.truetype(font_file, FONT_PX)
    for kind in EMOJI:
        draw_sprite(kind.glyph, font).save(out / f"{kind.name.replace(' ', '_')}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
