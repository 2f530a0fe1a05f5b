"""A projector's start, in closed form: the linear map of a picture's patches to the words of the written picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.jobs.written_pictures import CELLS, Notation, Writer
from explorer.models.projections import LayerProjections
from explorer.scenes.scene import Scene


def written_vectors(writer: Writer, scenes: list[Scene], embedding: Tensor) -> Tensor:
    """What the cells of written pictures are to a language model, float32 [N, CELLS, W], in the plain notation."""
    rng = np.random.default_rng(0)
    found = []
    for scene in scenes:
        cells, tokens, weights = (
            torch.from_numpy(x).to(embedding.device) for x in writer.write(scene, Notation(), rng)
        )
        marked = embedding[writer.mark].expand(CELLS, -1)
        found.append(marked.index_add(0, cells, embedding[tokens] * weights[:, None]))
    return torch.stack(found)


class Moments:
    """Sums over tokens that a linear regression of words on features needs, float64."""

    def __init__(self, features: int, width: int):
        """For features [*, features] and words [*, width]."""
        self.n = 0
        self.x, self.xx = torch.zeros(features).double(), torch.zeros(features, features).double()
        self.y, self.xy = torch.zeros(width).double(), torch.zeros(features, width).double()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add tokens: x [n, features], y [n, width]."""
        x, y = x.double().cpu(), y.double().cpu()
        self.n += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx += x.T @ x
        self.xy += x.T @ y


@torch.no_grad()
def start_projections(
    projections: LayerProjections, moments: Moments, which: list[int], ridge: float, sharpen: float
) -> None:
    """Whiten some layers and set their maps by ridge regression of the words on these layers together.

    Args:
        projections: changed in place.
        moments: of the layers' raw features, concatenated in the order of ``which``.
        which: places in ``projections.layers``.
        ridge: added to the covariance of the whitened features, whose diagonal is about 1.
        sharpen: factor on the maps. Regression says what it is unsure of in a low voice (its output varies less than
            the words do), and the heads that look for a word then do not hear it.
    """
    mean, words = moments.x / moments.n, moments.y / moments.n
    covariance = moments.xx / moments.n - mean[:, None] * mean
    cross = moments.xy / moments.n - mean[:, None] * words
    width = len(mean) // len(which)
    for at, k in enumerate(which):
        own = slice(at * width, (at + 1) * width)
        projections.fit_whitening(k, mean[own], covariance[own, own])
    whiten = torch.block_diag(*(projections.whiten[k].double().cpu() for k in which))
    inner = whiten.T @ covariance @ whiten + ridge * torch.eye(len(mean)).double()
    maps = sharpen * torch.linalg.solve(inner, whiten.T @ cross).float()  # (k * D, W)
    for at, k in enumerate(which):
        projections.weight[k] = maps[at * width : (at + 1) * width].T
        projections.bias[k] = words.float() / len(which)
