"""The figure of docs/results.md: a panel a task, accuracy over layers, as SVG without any library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd

from explorer.services.sweep import ANY, INDIVIDUAL

COLUMNS, PANEL, HEIGHT, GAP, LEFT, TOP = 3, 250, 150, 34, 44, 58
BLUE, ORANGE, GREEN, INK, GRID = "#0072b2", "#d55e00", "#007a5a", "#1d2329", "#d6d1c7"


def draw_figure(accuracy: pd.DataFrame, tasks: Sequence[str]) -> str:
    """Draw mini-any's curve with its intervals, individually trained layers as dots, the fusion as a line."""
    names = ["all", *tasks]
    rows = -(-len(names) // COLUMNS)
    width = LEFT + COLUMNS * (PANEL + GAP)
    height = TOP + rows * (HEIGHT + GAP + 20) + 10
    last = max([24, *(int(text) for text in accuracy["layers"] if str(text).isdigit())])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        "<title>Accuracy of the mini family by layer, task by task, with 95 % intervals</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_key(),
    ]
    for k, task in enumerate(names):
        x = LEFT + (k % COLUMNS) * (PANEL + GAP)
        y = TOP + (k // COLUMNS) * (HEIGHT + GAP + 20)
        some: Any = accuracy[accuracy["task"] == task]
        parts += _panel(task, some.to_dict("records"), last, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _key() -> list[str]:
    return [
        f'<path d="M{LEFT} 16h26" stroke="{BLUE}" stroke-width="2"/>',
        f'<text x="{LEFT + 32}" y="20" fill="{INK}">mini-any reading one layer, 95 % band</text>',
        f'<path d="M{LEFT + 262} 16m-5 0l5 -5l5 5l-5 5z" fill="{ORANGE}"/>',
        f'<text x="{LEFT + 274}" y="20" fill="{INK}">trained on that layer, 95 %</text>',
        f'<path d="M{LEFT + 446} 16h26" stroke="{GREEN}" stroke-width="2" stroke-dasharray="7 4"/>',
        f'<text x="{LEFT + 478}" y="20" fill="{INK}">trained on 3 + 18 + 23</text>',
        f'<text x="{LEFT}" y="38" fill="{INK}">accuracy (0 to 1) over the layer of the encoder that is read</text>',
    ]


def _panel(task: str, rows: list[dict[str, Any]], last: int, x: float, y: float) -> list[str]:
    def at(layer: float, share: float) -> tuple[float, float]:
        return round(x + (layer - 0.5) / last * PANEL, 1), round(y + (1 - share) * HEIGHT, 1)

    parts = [f'<text x="{x}" y="{y - 6}" font-weight="bold" fill="{INK}">{escape(task)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        line = at(0.5, share)[1]
        parts.append(f'<path d="M{x} {line}h{PANEL}" stroke="{GRID}"/>')
        if share in (0, 0.5, 1):
            parts.append(f'<text x="{x - 5}" y="{line + 4}" text-anchor="end" fill="{INK}">{share:g}</text>')
    for layer in (1, 6, 12, 18, 24):
        if layer <= last:
            parts.append(
                f'<text x="{at(layer, 0)[0]}" y="{y + HEIGHT + 14}" text-anchor="middle" fill="{INK}">{layer}</text>'
            )
    fused = next((row for row in rows if row["kind"] == INDIVIDUAL and row["layers"] == "3+18+23"), None)
    if fused:
        parts.append(
            f'<path d="M{x} {at(0, fused["accuracy"])[1]}h{PANEL}" stroke="{GREEN}" stroke-width="2" stroke-dasharray="7 4"/>'
        )
    swept = sorted(
        (row for row in rows if row["kind"] == ANY and str(row["layers"]).isdigit()), key=lambda row: int(row["layers"])
    )
    if swept:
        ends = [at(int(row["layers"]), row["high"]) for row in swept]
        ends += [at(int(row["layers"]), row["low"]) for row in reversed(swept)]
        parts.append(f'<path d="M{_points(ends)}z" fill="{BLUE}" fill-opacity="0.18"/>')
        middle = [at(int(row["layers"]), row["accuracy"]) for row in swept]
        parts.append(f'<path d="M{_points(middle)}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for row in rows:
        if row["kind"] == INDIVIDUAL and str(row["layers"]).isdigit():
            layer = int(row["layers"])
            (px, py), low, high = at(layer, row["accuracy"]), at(layer, row["low"])[1], at(layer, row["high"])[1]
            parts.append(f'<path d="M{px} {low}V{high}" stroke="{ORANGE}" stroke-width="1.5"/>')
            parts.append(f'<path d="M{px} {py}m-4.5 0l4.5 -4.5l4.5 4.5l-4.5 4.5z" fill="{ORANGE}"/>')
    return parts


def _points(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x} {y}" for x, y in points)
