"""What is found of the layers of an encoder, over one picture or thousands, and how it is written down."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import EncoderInfo, Fit, Groups, Similarity

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerSimilarity:
    """How alike the layers of an encoder are.

    Attributes:
        encoder: the encoder that looked.
        fit: how the pictures were laid on its input, as asked for.
        skipped: (name, reason) of each picture that could not be used.
        similarity: LRS by kind ("token", "pooled", "cls", "cka"): mean and standard error over the pictures.
        groups: divisions of the layers by source, the automatic one made from the token-wise similarity.
        forward_seconds, analysis_seconds: of all pictures together.
    """

    encoder: EncoderInfo
    fit: Fit
    skipped: tuple[tuple[str, str], ...]
    similarity: dict[str, Similarity]
    groups: dict[str, Groups]
    forward_seconds: float
    analysis_seconds: float

    def frame(self, kind: str = "token", stderr: bool = False) -> pd.DataFrame:
        """LRS of a kind as a table, L × L, labelled by layer numbers; with ``stderr`` its standard errors."""
        import pandas as pd

        found = self.similarity[kind]
        table = pd.DataFrame(found.stderr if stderr else found.mean)
        table.index.name = "layer"
        return table

    def figure(self, kind: str = "token") -> Any:
        """LRS of a kind as a plotly figure: value and standard error on hover, layer 0 at the top left."""
        import plotly.graph_objects as go

        found = self.similarity[kind]
        label = "linear CKA" if kind == "cka" else "cosine"
        error = "<br>standard error %{customdata:.3f}" if found.pictures > 1 else ""
        says = f"layers %{{y}} and %{{x}}<br>{label} %{{z:.3f}}{error}<extra></extra>"
        bar = {"title": {"text": label}}
        heat = go.Heatmap(z=found.mean, colorbar=bar, customdata=found.stderr, colorscale="Cividis", hovertemplate=says)
        pictures = "one picture" if found.pictures == 1 else f"{found.pictures} pictures"
        title = f"Layers of {html.escape(self.encoder.title)}, {kind}, {pictures}"
        made = go.Figure(heat, {"title": {"text": title}, "width": 560, "height": 520})
        made.update_xaxes(title="layer")
        return made.update_yaxes(title="layer", autorange="reversed", scaleanchor="x")


def as_html(found: LayerSimilarity, title: str) -> str:
    """What a notebook shows of it: the token-wise similarity with its groups; every text is shown as text."""
    from explorer.services.drawing import heatmap

    token, say = found.similarity["token"], html.escape
    over = "one picture" if token.pictures == 1 else f"mean over {token.pictures} pictures ± standard error"
    lines = "".join(f"<li>{say(line)}</li>" for line in groups_as_text(found))
    skipped = f"<p>{len(found.skipped)} left out: see <code>skipped</code>.</p>" if found.skipped else ""
    figure = heatmap(token.mean, found.groups, "mean cosine (no unit)", token.stderr)
    style = "max-width:30rem;background:#fff;color:#1b1d21;padding:.5rem;font:10.5px system-ui,sans-serif"
    inside = "<style>.vle-found .bracket{fill:none;stroke:#1b1d21}.vle-found .frame{fill:none;stroke:#fff}</style>"
    return (
        f"{inside}<div class='vle-found'><b>{say(title)}</b>: layers 0–{found.encoder.blocks} of "
        f"{say(found.encoder.title)} ({say(found.encoder.id)}), {over}."
        f"<ul>{lines}</ul>{skipped}<div style='{style}'>{figure}</div></div>"
    )


def groups_as_json(found: LayerSimilarity) -> dict[str, Any]:
    """Divisions by source: first and last layer of each group, and how clear the boundaries are (None: not known)."""
    return {
        source: {
            "groups": [{"name": name, "first": first, "last": last} for name, first, last in groups.ranges()],
            "clarity": None if math.isnan(groups.clarity) else round(groups.clarity, 6),
            "source": groups.source,
        }
        for source, groups in found.groups.items()
    }


def as_json(found: LayerSimilarity) -> dict[str, Any]:
    """All of it as plain values for JSON, the matrices rounded to six decimals, None for NaN."""
    return {
        "encoder": found.encoder.id,
        "layers": found.encoder.blocks + 1,
        "fit": found.fit.value,
        "skipped": [{"image": image, "reason": reason} for image, reason in found.skipped],
        "groups": groups_as_json(found),
        "similarity": {
            kind: [[None if math.isnan(value) else round(value, 6) for value in row] for row in lrs.mean.tolist()]
            for kind, lrs in found.similarity.items()
        },
        "forward_seconds": round(found.forward_seconds, 3),
        "analysis_seconds": round(found.analysis_seconds, 3),
    }


def groups_as_text(found: LayerSimilarity) -> list[str]:
    """One line a division, for a terminal."""
    return [
        f"groups ({source}): " + ", ".join(f"{name} {first}–{last}" for name, first, last in groups.ranges())
        for source, groups in found.groups.items()
    ]


def write_tables(found: LayerSimilarity, folder: Path) -> None:
    """Write the matrices of all kinds with their standard errors as CSV, and the groups as JSON.

    Raises:
        OSError: a file cannot be written.
    """
    for kind, lrs in found.similarity.items():
        stem = "similarity" if kind == "token" else f"similarity_{kind}"
        for path, values in ((folder / f"{stem}.csv", lrs.mean), (folder / f"{stem}_stderr.csv", lrs.stderr)):
            if np.isnan(values).all():
                path.unlink(missing_ok=True)  # of an earlier analysis, which had it
            else:
                found.frame(kind, stderr=values is lrs.stderr).to_csv(path, float_format="%.6f")
    said = json.dumps(groups_as_json(found), indent=1, ensure_ascii=False)
    (folder / "groups.json").write_text(said + "\n", encoding="utf-8")
