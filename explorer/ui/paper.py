"""Numbers read off Figure 1a of the paper (arXiv 2504.21447), for comparing with what is measured here."""

from __future__ import annotations

from typing import Any

from explorer.layers import PAPER_GROUPS
from explorer.records import EncoderInfo

SOURCE = "arXiv 2504.21447, Figure 1a, digitised by eye, about ±0.03; its tokens and pictures are not published"
OPEN_CLIP_IDS = ("open_clip:vit-l-14-336/openai", "open_clip:vit-l-14-336-quickgelu/openai")
PAIRS = {
    (3, 18): 0.02,
    (3, 23): 0.01,
    (18, 23): 0.57,
    (11, 12): 0.73,
    (12, 13): 0.80,
    (11, 13): 0.44,
    (20, 21): 0.72,
    (23, 24): 0.92,
}
BLOCK_MEANS = (  # rows and columns: shallow, middle, deep
    (0.48, 0.14, 0.07),
    (0.14, 0.86, 0.53),
    (0.07, 0.53, 0.89),
)


def is_papers_encoder(info: EncoderInfo) -> bool:
    """Whether this is OpenAI's CLIP ViT-L/14-336, by its size and by the name it was asked for."""
    size = (info.blocks, info.width, info.patch_px, info.image_px) == (24, 1024, 14, 336)
    name = info.id.rstrip("/").rsplit("/", 1)[-1].lower()
    return size and (name == "clip-vit-large-patch14-336" or info.id.lower() in OPEN_CLIP_IDS)


def papers_figure(info: EncoderInfo) -> dict[str, Any] | None:
    """The digitised figure as JSON, or None where the encoder is another one."""
    if not is_papers_encoder(info):
        return None
    return {
        "pairs": [[i, j, value] for (i, j), value in PAIRS.items()],
        "blocks": [list(row) for row in BLOCK_MEANS],
        "ranges": [[first, last] for _, first, last in PAPER_GROUPS.ranges()],
        "source": SOURCE,
    }
