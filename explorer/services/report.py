"""One HTML file that shows an analysis: it opens from disk, without a network.

Without scripts it shows all that is still: the matrix, the strips, the numbers. Its one script, allowed by its hash,
makes the layers of each picture explorable from the arrays in the file.
"""

from __future__ import annotations

import base64
import hashlib
import platform
from datetime import datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer import __version__
from explorer.records import Exploration, Similarity
from explorer.services.drawing import colour_bar, heatmap, png, shade, value_text
from explorer.services.report_data import VIEWS, Opened, Table, data_block

if TYPE_CHECKING:
    from explorer.services.analyze import Analysis
    from explorer.services.lrs import LrsResult
    from explorer.services.results import LayerSimilarity

KINDS = {
    "token": ("Token-wise cosine", "cosine of the same patch at two layers, averaged over the patches"),
    "pooled": ("Pooled", "cosine of the mean patch vectors"),
    "cls": ("CLS", "cosine of the CLS tokens"),
    "cka": ("Linear CKA", "linear centred kernel alignment of the patches, unbiased estimator"),
}
LISTED = 100  # pictures left out, told one by one
PACKAGES = ("torch", "transformers", "open_clip_torch", "numpy", "pillow")


def report(found: Analysis, opened: Opened | None = None) -> str:
    """The whole page; names of files and encoders appear as text, whatever they contain.

    Args:
        found: in one picture or many.
        opened: what a visitor had on the page, for the report to begin with.
    """
    title = found.pictures[0] if len(found.pictures) == 1 else f"{len(found.pictures)} pictures"
    named = zip(found.pictures, found.explorations, strict=False)
    explorable = len(found.details)
    shown = "".join(_picture(number, name, seen, number < explorable) for number, (name, seen) in enumerate(named))
    rest = len(found.pictures) - len(found.explorations)
    more = f"<p>{rest} more pictures are in the tables and in the averages alone.</p>" if rest else ""
    data, chosen = "", {}
    opened = opened or Opened()
    if explorable:
        opened = opened.of(found.details[0])
        data = data_block(found.explorations, found.details, opened)
        chosen = _chosen(opened, found)
    tables = "".join(_section(table) for table in opened.tables)
    return _page(found, title, len(found.pictures), shown + more + tables, data, chosen)


def report_many(found: LrsResult) -> str:
    """The page of LRS over many pictures, none of which is shown."""
    title = "one picture" if found.pictures == 1 else f"{found.pictures:,} pictures"
    return _page(found, title, found.pictures, "")


def _page(
    found: LayerSimilarity, title: str, count: int, pictures: str, data: str = "", chosen: dict[str, str] | None = None
) -> str:
    encoder = found.encoder
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    script, allowed = "", ""
    if data:
        text = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
        allowed = f"; script-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        script = f'<script type="application/json" id="data">{data}</script>\n<script>{text}</script>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}\">\n"
        f"<title>{escape(title)} · {escape(encoder.title)} · layers</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>What {encoder.blocks + 1} layers keep of {escape(title)}</h1>\n"
        f'<p class="quiet">{escape(encoder.title)} · {encoder.blocks} blocks · width {encoder.width} · '
        "layer 0 is the patch embedding, layer k the output of block k</p></header>\n<main>\n"
        f"{_layers(found)}\n{pictures}\n{_settings(found, count, chosen or {})}\n</main>\n{script}</body>\n</html>\n"
    )


def _layers(found: LayerSimilarity) -> str:
    """The similarity of every layer with every layer, its groups, and the numbers."""
    token = found.similarity["token"]
    pictures = "one picture" if token.pictures == 1 else f"mean over {token.pictures} pictures ± standard error"
    others = "".join(
        f"<figure><figcaption><b>{KINDS[kind][0]}</b>: {KINDS[kind][1]}</figcaption>"
        f"{heatmap(lrs.mean, {}, KINDS[kind][0], lrs.stderr)}</figure>"
        for kind, lrs in found.similarity.items()
        if kind != "token" and not np.isnan(lrs.mean).all()
    )
    tables = "".join(_table(kind, lrs) for kind, lrs in found.similarity.items() if not np.isnan(lrs.mean).all())
    divisions = "".join(
        f"<li><b>{escape(source)}</b>: "
        + ", ".join(f"{escape(name)} {first}–{last}" for name, first, last in groups.ranges())
        + ("" if np.isnan(groups.clarity) else f" (clarity of the boundaries {groups.clarity:.2f} of 1)")
        + "</li>"
        for source, groups in found.groups.items()
    )
    return (
        "<section><h2>How alike the layers are</h2>"
        f'<figure class="main">{heatmap(token.mean, found.groups, "mean cosine (no unit)", token.stderr)}'
        f"<figcaption>{KINDS['token'][0]}: {KINDS['token'][1]}; {pictures}. "
        "Point at a cell for its value; where a picture can be explored below, a click shows its change between the two "
        "layers.</figcaption></figure>"
        f"<h3>Groups of layers</h3><ul>{divisions}</ul>"
        f'<details><summary>Other measures</summary><div class="kinds">{others}</div></details>'
        f"<details><summary>The numbers</summary>{tables}</details></section>"
    )


def _table(kind: str, lrs: Similarity) -> str:
    layers = range(len(lrs.mean))
    head = "".join(f'<th scope="col">{layer}</th>' for layer in layers)
    rows = "".join(
        f'<tr><th scope="row">{row}</th>'
        + "".join(f"<td>{value_text(lrs.mean, lrs.stderr, row, col)}</td>" for col in layers)
        + "</tr>"
        for row in layers
    )
    return (
        f'<h3>{KINDS[kind][0]}</h3><div class="scroll" tabindex="0" role="region" aria-label="{KINDS[kind][0]}">'
        f'<table><thead><tr><th scope="col">layer</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _section(table: Table) -> str:
    """A table of the page: everything in it is text."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    title = escape(table.title)
    return (
        f'<section><h2>{title}</h2><div class="scroll said-table" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _picture(number: int, title: str, seen: Exploration, explorable: bool) -> str:
    """One picture: what the encoder saw, all layers as two filmstrips, and a place for the interactive part."""
    layers, patches = len(seen.norm), seen.layout.rows * seen.layout.cols
    change = np.full((layers, patches), np.nan, np.float32)
    for layer in range(1, layers):
        change[layer] = 1 - seen.change[layer - 1, layer]
    high = max(float(np.nanmax(change)), 0.01)
    grid = (seen.layout.rows, seen.layout.cols)
    changes = [_frame(layer, shade(change[layer], 0, high), change[layer].mean(), grid) for layer in range(layers)]
    colours = [_frame(layer, seen.pca_joint[layer], None, grid) for layer in range(layers)]
    name = escape(f"{number + 1}. {title}")
    look = f'<div class="look" data-look="{number}"></div>' if explorable else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*seen.notes, _cut(seen)))
    return (
        f'<section><h2>{name}</h2><div class="picture"><figure>'
        f'<img src="{png(seen.view.pixels)}" alt="{name}, as the encoder saw it"></figure>'
        f"<div><p>What the encoder saw: {seen.view.pixels.shape[1]} × {seen.view.pixels.shape[0]} px, "
        f"{grid[0]} × {grid[1]} patches, of a picture of {seen.size_px[0]} × {seen.size_px[1]} px.</p>"
        f'<ul>{notes}</ul><p class="quiet">Forward {seen.forward_seconds:.2f} s, '
        f"analysis {seen.analysis_seconds:.2f} s.</p></div></div>"
        "<h3>Change against the layer before (below each layer: mean over the patches)</h3>"
        f'<div class="strip">{"".join(changes)}</div>'
        f'<div class="scale">{colour_bar(0, high, "1 − cosine (no unit)")}</div>'
        "<h3>PCA colours (red, green, blue: first three principal components, one basis for all layers)</h3>"
        f'<div class="strip">{"".join(colours)}</div>{look}</section>'
    )


def _frame(layer: int, colours: np.ndarray, value: float | None, grid: tuple[int, int]) -> str:
    """One layer of a filmstrip; there is nothing to show where its value is NaN."""
    caption = f"{layer}" if value is None else f"{layer} · {value:.2f}"
    if value is not None and np.isnan(value):
        image, caption = f'<div class="none" style="aspect-ratio:{grid[1]}/{grid[0]}">–</div>', f"{layer}"
    else:
        size = f'width="{grid[1]}" height="{grid[0]}"'
        image = f'<img src="{png(colours.reshape(*grid, 3))}" {size} alt="layer {layer}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _cut(seen: Exploration) -> str:
    """How the picture was laid on the input, in one sentence."""
    left, top, right, bottom = seen.view.box_px
    width, height = seen.size_px
    inside = max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(bottom, height) - max(top, 0))
    lost = 1 - inside / (width * height)
    added = 1 - inside / ((right - left) * (bottom - top))
    said = f"fit: {seen.view.fit.value}"
    if lost > 0.001:
        said += f", {lost:.0%} of the picture was cut away"
    if added > 0.001:
        said += f", {added:.0%} of the input is padding"
    return said


def _chosen(opened: Opened, found: Analysis) -> dict[str, str]:
    """What a visitor had chosen on the page, for the list of settings."""
    chosen = {"text matched": found.details[0].text, "view": VIEWS.get(opened.mode, "")}
    if opened.layer is not None:
        chosen["layer"] = str(opened.layer)
    if opened.compared is not None:
        chosen["compared with"] = f"layer {opened.compared}"
    if opened.patch is not None:
        row, column = divmod(opened.patch, found.explorations[0].layout.cols)
        chosen["patch"] = f"row {row + 1}, column {column + 1}"
    if opened.head is not None and opened.mode == "attention":
        chosen["head"] = str(opened.head + 1)
    lacks = {
        "UMAP of pictures with too many tokens": any(one.umap is None for one in found.details),
        "t-SNE": not opened.maps,
        "answers and X-ray": not opened.tables,
    }
    chosen["not in this file"] = ", ".join(name for name, lacking in lacks.items() if lacking)
    return {name: value for name, value in chosen.items() if value}


def _settings(found: LayerSimilarity, count: int, chosen: dict[str, str]) -> str:
    encoder = found.encoder
    rows = {
        "encoder": f"{encoder.title} ({encoder.id})",
        "architecture": f"{encoder.architecture}, {encoder.parameters / 1e6:.1f} million weights",
        "input": f"{encoder.image_px} px, patches of {encoder.patch_px} px",
        "heads": str(encoder.heads),
        "layers": encoder.layer_note or f"0 to {encoder.blocks}",
        "ran as": f"{encoder.dtype} on {encoder.device}",
        "fit": found.fit.value,
        "groups": str(len(found.groups["automatic"].starts)),
        **chosen,
        "pictures": str(count),
        "time": f"forward {found.forward_seconds:.2f} s, analysis {found.analysis_seconds:.2f} s",
        "made": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z} by Visual Layer Explorer {__version__}",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name in PACKAGES if (number := _version(name))),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    skipped = "".join(f"<li>{escape(reason)}</li>" for _, reason in found.skipped[:LISTED])
    if len(found.skipped) > LISTED:
        skipped += f"<li>and {len(found.skipped) - LISTED} more</li>"
    left_out = f"<h3>Left out</h3><ul>{skipped}</ul>" if skipped else ""
    return f"<section><h2>Settings</h2><dl>{listed}</dl>{left_out}</section>"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
