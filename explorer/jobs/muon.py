"""The Muon optimiser (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon/) for matrices, in float32.

torch.optim.Muon orthogonalises one bfloat16 matrix at a time, which is slow on processors without bfloat16 units;
a deep narrow encoder has hundreds of small matrices of few shapes, so here all of a shape go through one batched product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest orthogonal matrices, roughly: the quintic Newton–Schulz iteration of Muon, float32 [B, rows, cols]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if wide else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if wide else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; for two-dimensional weights only."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        """Args as usual; ``lr`` is the spectral size of an update, about 0.02."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all weights that have a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[weight.shape].append(weight)
            for shape, weights in by_shape.items():
                for weight in weights:
                    state = self.state[weight]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(weight)
                    state["momentum"].lerp_(weight.grad, 1 - group["momentum"])  # type: ignore[arg-type]
                pushes = [w.grad.lerp(self.state[w]["momentum"], group["momentum"]) for w in weights]  # type: ignore[union-attr]
                size = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for weight, update in zip(weights, orthogonalise(torch.stack(pushes)), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=size)
