"""Vision towers that several checkpoints have in common: one copy of the weights, one forward of each picture.

Checkpoints from different folders share a tower where all its weights are equal. A shared tower always gives the hidden
states of all layers and keeps what it gave for the last pictures.
"""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

FEATURE_BYTES = 512 << 20


class SharedTowers:
    """Towers in use and what they made of the last pictures; may be used from any thread."""

    def __init__(self, limit_bytes: int = FEATURE_BYTES):
        """Share none yet."""
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._lock = threading.Lock()
        self._towers: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[str, tuple[dict[str, Any], float, int]] = OrderedDict()
        self.forwards = 0

    def join(self, tower: Any) -> Any:
        """The tower in use that has the same weights, or this one, from now on shared.

        One whose forward others have replaced already, as accelerate does, stays as it is.
        """
        if "forward" in vars(tower):
            return tower
        name = fingerprint(tower)
        with self._lock:
            shared = self._towers.get(name)
            if shared is None:
                tower.forward = _Remembering(self, name, tower)
                self._towers[name] = shared = tower
        return shared

    def output(self, key: str, compute: Any) -> tuple[dict[str, Any], float]:
        """What a tower gave for a picture, and in how many seconds, computed now or kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][:2]
            began = time.perf_counter()
            found = dict(compute())
            seconds = time.perf_counter() - began
            self.forwards += 1
            size = sum(state.nbytes for state in found.get("hidden_states") or ())
            self._kept[key] = found, seconds, size
            self._bytes += size
            while len(self._kept) > 1 and self._bytes > self._limit_bytes:
                self._bytes -= self._kept.popitem(last=False)[1][2]
            return found, seconds


class _Remembering:
    """Stands in for a tower's forward."""

    def __init__(self, towers: SharedTowers, name: str, tower: Any):
        self._towers, self._name, self._kind, self._forward = towers, name, type(tower), tower.forward.__func__
        self._tower = weakref.ref(tower)

    def __call__(self, pixel_values: Tensor, **how: Any) -> Any:
        if torch.is_grad_enabled():
            return self._forward(self._tower(), pixel_values, **how)
        how = {**how, "output_hidden_states": True, "return_dict": True}
        told = sorted(
            (name, _digest(value) if isinstance(value, Tensor) else repr(value)) for name, value in how.items()
        )
        kind: Any = None

        def compute() -> Any:
            nonlocal kind
            found = self._forward(self._tower(), pixel_values, **how)
            return {**found, "": type(found)}

        found, _ = self._towers.output(f"{self._name} {_digest(pixel_values)} {told}", compute)
        kind = found[""]
        return kind(**{name: value for name, value in found.items() if name})  # its own copy: models write into it


def fingerprint(tower: Any) -> str:
    """Says which weights a tower has."""
    found = hashlib.blake2b(type(tower).__name__.encode(), digest_size=16)
    for name, weight in sorted(tower.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype} {weight.device}".encode())
        found.update(_bytes(weight))
    return found.hexdigest()


def _digest(values: Tensor) -> str:
    return hashlib.blake2b(
        f"{tuple(values.shape)} {values.dtype}".encode() + _bytes(values), digest_size=16
    ).hexdigest()


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
