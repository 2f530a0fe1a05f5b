"""From layers of a vision encoder to a language model: one linear map a layer, summed.

The paper's fusion concatenates layers and maps them linearly: W [V3; V18; V23] = W3 V3 + W18 V18 + W23 V23. So a fused
projector is a sum of maps of single layers, and maps that were trained in changing company can be summed at will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class LayerProjections(nn.Module):
    """Linear maps of layers, learned on whitened features and written as maps of the raw ones.

    Attributes:
        layers: the layers it knows.
        weight: float32 [L, W, D] on whitened features.
        bias: float32 [L, W].
        centre, whiten: float32 [L, D] and [L, D, D]: whitened = (raw - centre) @ whiten.
    """

    centre: Tensor
    whiten: Tensor

    def __init__(self, layers: Sequence[int], width: int, features: int):
        """Maps that give nothing, on features as they are."""
        super().__init__()
        self.layers = tuple(layers)
        self.weight = nn.Parameter(torch.zeros(len(layers), width, features))
        self.bias = nn.Parameter(torch.zeros(len(layers), width))
        self.register_buffer("centre", torch.zeros(len(layers), features))
        self.register_buffer("whiten", torch.eye(features).repeat(len(layers), 1, 1))

    def forward(self, states: Mapping[int, Tensor] | Sequence[Tensor], shares: Tensor) -> Tensor:
        """Project pictures.

        Args:
            states: raw features by layer number, [N, P, D] each.
            shares: float32 [N, L], weight of each known layer for each picture; 0 leaves it out.

        Returns:
            Tensor: [N, P, W].
        """
        total = torch.zeros(1)
        for k, layer in enumerate(self.layers):
            chosen = shares[:, k].nonzero()[:, 0]
            if len(chosen) == 0:
                continue
            x = states[layer][chosen] if len(chosen) < len(shares) else states[layer]
            part = ((x - self.centre[k]) @ self.whiten[k]) @ self.weight[k].T + self.bias[k]
            part = part * shares[chosen, k, None, None].to(part.dtype)
            empty = part.new_zeros(len(shares), *part.shape[1:])
            total = total.to(part) + (empty.index_add(0, chosen, part) if len(chosen) < len(shares) else part)
        return total

    @torch.no_grad()
    def fit_whitening(self, k: int, mean: Tensor, covariance: Tensor, floor: float = 1e-3) -> None:
        """Set the whitening of the k-th known layer from float64 [D] and [D, D]; small directions are not blown up."""
        values, vectors = torch.linalg.eigh(covariance)
        scale = (values.clamp(min=0) + floor * values.mean()).rsqrt()
        self.centre[k] = mean.float()
        self.whiten[k] = (vectors * scale @ vectors.T).float()

    @torch.no_grad()
    def unfold(self, k: int, weight: Tensor, bias: Tensor) -> None:
        """Set the map of the k-th known layer from one of raw features, [W, D] and [W]; undoes ``fold``."""
        self.weight[k] = torch.linalg.solve(self.whiten[k], weight.T).T
        self.bias[k] = bias + weight @ self.centre[k]

    @torch.no_grad()
    def fold(self, chosen: Sequence[int], share: float = 1.0) -> tuple[Tensor, Tensor]:
        """The chosen layers as one linear map of their concatenated raw features.

        Args:
            chosen: layer numbers, in the order of the channels.
            share: factor of every layer.

        Returns:
            tuple: weight, float32 [W, len(chosen) * D], rounded to bfloat16; bias, float32 [W], which makes up for
            what the rounding does to features far from zero.
        """
        weights, bias = [], torch.zeros_like(self.bias[0])
        for layer in chosen:
            k = self.layers.index(layer)
            weight = (share * self.weight[k] @ self.whiten[k].T).bfloat16().float()
            weights.append(weight)
            bias += share * self.bias[k] - weight @ self.centre[k]
        return torch.cat(weights, 1), bias
