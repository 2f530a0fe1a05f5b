"""A projector's start, in closed form: the linear map of a picture's patches to the words of the written picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.jobs.written_pictures import CELLS, Notation, Writer
from explorer.models.projections import LayerProjections
from explorer.scenes.scene import Scene


def written_vectors(writer: Writer, scenes: list[Scene], embedding: Tensor, notation: Notation) -> Tensor:
    """What the cells of written pictures are to a language model, float32 [N, CELLS, W]."""
    rng = np.random.default_rng(0)
    found = []
    for scene in scenes:
        cells, tokens, weights = (torch.from_numpy(x).to(embedding.device) for x in writer.write(scene, notation, rng))
        marked = embedding[writer.mark].expand(CELLS, -1)
        found.append(marked.index_add(0, cells, embedding[tokens] * weights[:, None]))
    return torch.stack(found)


class Moments:
    """Sums over tokens that a linear regression of words on features needs, float64."""

    def __init__(self, features: int, width: int):
        """For features [*, features] and words [*, width]."""
        self.n = 0
        self.x, self.xx = torch.zeros(features).double(), torch.zeros(features, features).double()
        self.y, self.yy = torch.zeros(width).double(), torch.zeros(width, width).double()
        self.xy = torch.zeros(features, width).double()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add tokens: x [n, features], y [n, width]."""
        x, y = x.double().cpu(), y.double().cpu()
        self.n += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx += x.T @ x
        self.yy += y.T @ y
        self.xy += x.T @ y


def raise_voice(said: Tensor, meant: Tensor, power: float, most: float = 6.0) -> Tensor:
    """A linear map after a regression, under which what it is unsure of is not said in a low voice.

    A regression's output varies less than its target: in each direction by the share of the variance that it explains,
    and the heads that look for a word do not hear it. In the directions that belong to both (those that make ``meant``
    the identity and ``said`` diagonal), the map multiplies by that share to the power of ``-power``: at 0.5 the output
    varies as much as the target, at 1 a word that is there is as loud as it would be written, and so is the doubt.

    Args:
        said: covariance of the output, float64 [W, W].
        meant: covariance of the target, float64 [W, W].
        power: 0 leaves the output as it is.
        most: largest factor.

    Returns:
        Tensor: float64 [W, W], to be applied from the right.
    """
    values, vectors = torch.linalg.eigh(meant)
    there = values > 1e-6 * values[-1]
    scale = values[there].sqrt()
    to, back = vectors[:, there] / scale, (vectors[:, there] * scale).T
    explained, turn = torch.linalg.eigh(to.T @ said @ to)
    factors = (explained.clamp(min=1e-9) ** -power).clamp(max=most)
    return to @ (turn * factors) @ turn.T @ back


@torch.no_grad()
def start_projections(
    projections: LayerProjections, moments: Moments, which: list[int], ridge: float, voice: float
) -> None:
    """Whiten some layers and set their maps by ridge regression of the words on these layers together.

    Args:
        projections: changed in place.
        moments: of the layers' raw features, concatenated in the order of ``which``.
        which: places in ``projections.layers``.
        ridge: added to the covariance of the whitened features, whose diagonal is about 1.
        voice: the power of ``raise_voice``.
    """
    mean, words = moments.x / moments.n, moments.y / moments.n
    covariance = moments.xx / moments.n - mean[:, None] * mean
    cross = moments.xy / moments.n - mean[:, None] * words
    width = len(mean) // len(which)
    for at, k in enumerate(which):
        own = slice(at * width, (at + 1) * width)
        projections.fit_whitening(k, mean[own], covariance[own, own])
    whiten = torch.block_diag(*(projections.whiten[k].double().cpu() for k in which))
    white = whiten.T @ covariance @ whiten
    maps = torch.linalg.solve(white + ridge * torch.eye(len(mean)).double(), whiten.T @ cross)  # (k * D, W)
    maps = maps @ raise_voice(maps.T @ white @ maps, moments.yy / moments.n - words[:, None] * words, voice)
    for at, k in enumerate(which):
        projections.weight[k] = maps[at * width : (at + 1) * width].T.float()
        projections.bias[k] = words.float() / len(which)
