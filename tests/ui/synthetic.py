"""An Exploration of smooth synthetic vectors: shaped like a real one, made without any encoder."""

import numpy as np
from PIL import Image, ImageDraw

from explorer.layers import PAPER_GROUPS
from explorer.records import EncoderInfo, Exploration, Fit, Groups, Picture, Similarity, TokenKind, TokenLayout, View

WIDTH = 32


def make_picture(width=640, height=420, name="scene.png"):
    """A sky, a field and two discs."""
    image = Image.new("RGB", (width, height), "#9fc7e8")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.6, width, height), fill="#6d9b55")
    draw.ellipse((width * 0.15, height * 0.45, width * 0.35, height * 0.8), fill="#b5402f")
    draw.ellipse((width * 0.6, height * 0.3, width * 0.9, height * 0.85), fill="#e4b33c")
    return Picture(name, np.asarray(image), ("first frame of 12",))


def centre_crop(picture, side):
    """The view of a processor that fills a square with the shorter side."""
    height, width = picture.pixels.shape[:2]
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    pixels = np.asarray(Image.fromarray(picture.pixels).resize((side, side), Image.Resampling.BICUBIC, box))
    return View(pixels, box, Fit.CROP)


def make_states(view, rows, cols, layers, seed=0):
    """float32 [L, 1 + P, WIDTH]: colours of the patches, drifting in three stages over the layers."""
    rng = np.random.default_rng(seed)
    colours = np.asarray(Image.fromarray(view.pixels).resize((cols, rows), Image.Resampling.BOX), dtype=float) / 255
    place = np.stack(np.meshgrid(np.linspace(-1, 1, cols), np.linspace(-1, 1, rows)), -1)
    base = np.concatenate([colours, place], -1).reshape(rows * cols, 5)
    bases = [rng.normal(size=(5, WIDTH)) for _ in range(3)]
    depth = np.linspace(0, 1, layers)
    weights = np.stack([np.exp(-(((depth - centre) / 0.22) ** 2)) for centre in (0.1, 0.6, 0.95)], -1)
    states = np.stack([sum(w * base @ b for w, b in zip(row, bases, strict=True)) for row in weights])
    states += 0.15 * rng.normal(size=(1, *states.shape[1:]))
    states = np.concatenate([states.mean(1, keepdims=True), states], 1).astype(np.float32)
    return states * np.linspace(1, 4, layers, dtype=np.float32)[:, None, None]


def colours_of(flat):
    """uint8 [P, 3]: the first three principal components."""
    centred = flat - flat.mean(0)
    parts = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    low, high = parts.min(0), parts.max(0)
    return ((parts - low) / np.maximum(high - low, 1e-9) * 255).astype(np.uint8)


def make_exploration(picture=None, rows=12, cols=12, blocks=24, live=True, encoder_id="mini", fit=Fit.CROP):
    """Return (Exploration, states [L, T, WIDTH])."""
    picture, layers = picture or make_picture(), blocks + 1
    view = centre_crop(picture, rows * 14)
    states = make_states(view, rows, cols, layers)
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    change = np.einsum("ipd,jpd->ijp", unit[:, 1:], unit[:, 1:]).astype(np.float32)
    nan = np.full((layers, layers), np.nan)
    cls = unit[:, 0] @ unit[:, 0].T
    kinds = {"token": change.mean(-1), "pooled": cls**2, "cls": cls, "cka": change.mean(-1) ** 2}
    encoder = EncoderInfo(
        encoder_id, "Mini CLIP", "CLIPVisionModel", blocks, WIDTH, 4, 14, rows * 14, 5_000_000, True, True, "float32",
        "cpu", "Layer 0 is the patch embedding; layer k is the output of block k.",
    )  # fmt: skip
    groups = {"automatic": Groups((1, 9, 18), layers, ("shallow", "middle", "deep"), 0.41)}
    if blocks == 24:
        groups["paper"] = PAPER_GROUPS
    found = Exploration(
        picture.name, picture.key, picture.notes, (picture.pixels.shape[1], picture.pixels.shape[0]), encoder, view,
        TokenLayout((TokenKind.CLS, *[TokenKind.PATCH] * (rows * cols)), rows, cols),
        {kind: Similarity(kind, matrix.astype(float), nan, 1) for kind, matrix in kinds.items()},
        groups, change, np.linalg.norm(states, axis=-1).astype(np.float32),
        colours_of(states[:, 1:].reshape(-1, WIDTH)).reshape(layers, -1, 3),
        np.stack([colours_of(layer[1:]) for layer in states]), 0.042, 0.011, live,
    )  # fmt: skip
    return found, states
