"""Small figures as SVG and inline PNG: what a report needs where there is no plotting library."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from explorer.records import Groups

# Ten even samples of cividis (Nuñez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239): it rises evenly
# in lightness and looks the same to colour-blind eyes.
CIVIDIS = np.array([
    (0x00, 0x22, 0x4E), (0x12, 0x35, 0x70), (0x3B, 0x49, 0x6C), (0x57, 0x5D, 0x6D), (0x70, 0x71, 0x73),
    (0x8A, 0x86, 0x78), (0xA5, 0x9C, 0x74), (0xC3, 0xB3, 0x69), (0xE1, 0xCC, 0x55), (0xFE, 0xE8, 0x38),
])  # fmt: skip
MISSING = (160, 160, 160)  # NaN
SIDE = 340  # of a heatmap, in the units of its view box: about a phone's width in px, so that 10 is legible
LEFT = 34


def shade(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colour numbers by cividis: float [...] -> uint8 [..., 3]; clipped to low…high, NaN grey."""
    share = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-12), 0, 1) * (len(CIVIDIS) - 1)
    places = np.arange(len(CIVIDIS))
    colours = np.stack([np.interp(share, places, CIVIDIS[:, channel]) for channel in range(3)], axis=-1)
    colours[np.isnan(values)] = MISSING
    return np.rint(colours).astype(np.uint8)


def png(pixels: np.ndarray) -> str:
    """A picture, uint8 [height, width, 3], as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def colour_bar(low: float, high: float, label: str) -> str:
    """A horizontal scale from low to high with what it measures, as SVG."""
    stops = "".join(
        f'<stop offset="{i / (len(CIVIDIS) - 1):.3f}" stop-color="{_hex(colour)}"/>' for i, colour in enumerate(CIVIDIS)
    )
    # Equal gradients may share an id: every copy in the page is the same.
    return (
        f'<svg class="bar" viewBox="0 0 {LEFT + SIDE} 34" role="img" aria-label="{escape(label)}: '
        f'dark {low:.2f} to bright {high:.2f}">'
        f'<defs><linearGradient id="cividis">{stops}</linearGradient></defs>'
        f'<rect x="{LEFT}" y="2" width="{SIDE}" height="10" fill="url(#cividis)"/>'
        f'<text x="{LEFT}" y="27">{low:.2f}</text>'
        f'<text x="{LEFT + SIDE}" y="27" text-anchor="end">{high:.2f}</text>'
        f'<text x="{LEFT + SIDE / 2}" y="27" text-anchor="middle">{escape(label)}</text></svg>'
    )


def heatmap(matrix: np.ndarray, groups: dict[str, Groups], label: str, stderr: np.ndarray | None = None) -> str:
    """A layer × layer matrix as SVG with its values on hover, group brackets above it and a scale below.

    Args:
        matrix: float [L, L]; NaN is grey.
        groups: divisions by source, one row of brackets each; the first is also framed in the matrix.
        label: what the shade measures.
        stderr: float [L, L], shown with the values where it is not NaN.
    """
    count = len(matrix)
    cell = SIDE / count
    top = 8 + 26 * len(groups)
    low, high = scale(matrix)
    parts = [_brackets(found, source, 4 + 26 * row, cell) for row, (source, found) in enumerate(groups.items())]
    colours = shade(matrix, low, high)
    for row in range(count):
        for col in range(count):
            parts.append(
                f'<rect x="{LEFT + col * cell:.2f}" y="{top + row * cell:.2f}" width="{cell + 0.3:.2f}" '
                f'height="{cell + 0.3:.2f}" fill="{_hex(colours[row, col])}">'
                f"<title>layers {row} and {col}: {value_text(matrix, stderr, row, col)}</title></rect>"
            )
    parts.append(_frames(next(iter(groups.values()), None), top, cell))
    parts.append(_axes(count, top, cell))
    svg = (
        f'<svg class="lrs" viewBox="0 0 {LEFT + SIDE + 2} {top + SIDE + 32}" role="img" '
        f'aria-label="{escape(label)} of every layer with every layer">{"".join(parts)}</svg>'
    )
    return svg + colour_bar(low, high, label)


def scale(matrix: np.ndarray) -> tuple[float, float]:
    """Ends of a scale for cosines and the like: from the lowest tenth that is needed, at most 0, to 1."""
    finite = matrix[np.isfinite(matrix)]
    lowest = float(finite.min()) if finite.size else 0.0
    return min(0.0, np.floor(lowest * 10) / 10), max(1.0, float(finite.max()) if finite.size else 1.0)


def value_text(mean: np.ndarray, stderr: np.ndarray | None, row: int, col: int) -> str:
    """Write a mean as "0.412", with "± 0.010" (standard error) where it is known; NaN as "–"."""
    if np.isnan(mean[row, col]):
        return "–"
    known = stderr is not None and not np.isnan(stderr[row, col])
    return f"{mean[row, col]:.3f}" + (f" ± {stderr[row, col]:.3f}" if stderr is not None and known else "")


def _hex(colour: np.ndarray) -> str:
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)


def _brackets(groups: Groups, source: str, y: float, cell: float) -> str:
    parts = [f"<title>groups: {escape(source)}</title>"]
    for name, first, last in groups.ranges():
        left, right = LEFT + first * cell + 1, LEFT + (last + 1) * cell - 1
        shown = name if (right - left) > 5.6 * len(name) else name[:1]
        parts.append(
            f'<path class="bracket" d="M{left:.1f} {y + 21:.1f}v-5H{right:.1f}v5"/>'
            f'<text x="{(left + right) / 2:.1f}" y="{y + 11:.1f}" text-anchor="middle">{escape(shown)}'
            f"<title>{escape(name)}: layers {first}–{last} ({escape(source)})</title></text>"
        )
    short = {"automatic": "auto"}.get(source, source)
    return f'<g>{"".join(parts)}<text class="quiet" x="0" y="{y + 11:.1f}">{escape(short)}</text></g>'


def _frames(groups: Groups | None, top: float, cell: float) -> str:
    """Frames of the groups on the diagonal, light on dark so that they show on every shade."""
    rects = [
        f'x="{LEFT + first * cell:.2f}" y="{top + first * cell:.2f}" '
        f'width="{(last + 1 - first) * cell:.2f}" height="{(last + 1 - first) * cell:.2f}"'
        for _, first, last in (groups.ranges() if groups else [])
    ]
    return "".join(f'<rect class="frame under" {rect}/><rect class="frame" {rect}/>' for rect in rects)


def _axes(count: int, top: float, cell: float) -> str:
    step = max(1, round(count / 8))
    middle, parts = LEFT + SIDE / 2, []
    for layer in range(0, count, step):
        at = (layer + 0.5) * cell
        parts.append(f'<text x="{LEFT + at:.1f}" y="{top + SIDE + 13}" text-anchor="middle">{layer}</text>')
        parts.append(f'<text x="{LEFT - 4}" y="{top + at + 4:.1f}" text-anchor="end">{layer}</text>')
    parts.append(f'<text x="{middle}" y="{top + SIDE + 28}" text-anchor="middle">layer</text>')
    parts.append(f'<text transform="translate(10 {top + SIDE / 2}) rotate(-90)" text-anchor="middle">layer</text>')
    return "".join(parts)
