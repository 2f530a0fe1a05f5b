"""One vision encoder for all mini checkpoints that read it: each picture goes through it once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.models.family import encoder_folder, layer_states, read_encoder
from explorer.models.fitting import check_finite, first_line, fit
from explorer.records import CheckpointError, Picture
from explorer.scenes.scene_like import could_be_scene

FEATURE_BYTES = 384 << 20  # 218 pictures of the mini encoder
BATCH = 16


class SharedEncoder:
    """An encoder with what it made of the pictures it saw last; may be used from any thread.

    Attributes:
        id: "mini" or a folder.
        model: the vision tower.
        blocks, width: of it.
        rows: of the grid of patches, which is square.
        forwards: how many pictures went through it.
    """

    def __init__(self, id: str, device: torch.device, limit_bytes: int = FEATURE_BYTES):
        """Load an encoder.

        Raises:
            CheckpointError: it is missing, or its weights are no numbers.
        """
        from transformers import CLIPImageProcessor

        self.id, self.device = id, device
        try:
            encoder: Any = read_encoder(id)
            self.model = encoder.to(device)
            self._images: Any = CLIPImageProcessor.from_pretrained(encoder_folder(id))
        except CheckpointError:
            raise
        except Exception as problem:  # a damaged file makes the loaders raise nearly anything
            raise CheckpointError(f"The encoder {id!r} cannot be loaded: {first_line(problem)}") from None
        check_finite(f"the encoder {id!r}", self.model)
        vision = self.model.config
        self.blocks, self.width = int(vision.num_hidden_layers), int(vision.hidden_size)
        self.rows = vision.image_size // vision.patch_size
        self.forwards = 0
        self._side = int(vision.image_size)
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Tensor, float]] = OrderedDict()
        self._scene_like: OrderedDict[str, bool] = OrderedDict()

    def features(self, pictures: Sequence[Picture]) -> tuple[list[Tensor], float]:
        """Raw patch features of all layers.

        Returns:
            For each picture float32 [L, P, D]; and in how many seconds the encoder made them, now or before.
        """
        with self._lock:  # so that two who ask at once wait for one forward
            wanted = {picture.key: picture for picture in pictures}
            missing = [picture for key, picture in wanted.items() if key not in self._kept]
            found = {key: self._kept[key] for key in wanted if key in self._kept}
            for key in found:
                self._kept.move_to_end(key)
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                began = time.perf_counter()
                every = self._run(batch)
                each = (time.perf_counter() - began) / len(batch)
                for picture, features in zip(batch, every, strict=True):
                    found[picture.key] = self._keep(picture.key, features, each)
        return [found[picture.key][0] for picture in pictures], sum(seconds for _, seconds in found.values())

    def is_scene_like(self, picture: Picture) -> bool:
        """Whether a picture could be one of the generated scenes; remembered for the last thousand."""
        found = self._scene_like.get(picture.key)
        if found is None:
            found = self._scene_like[picture.key] = could_be_scene(picture.pixels)
            while len(self._scene_like) > 1000:
                self._scene_like.popitem(last=False)
        return found

    @torch.no_grad()  # not inference_mode: a gradient is taken through the picture tokens later
    def _run(self, pictures: Sequence[Picture]) -> Tensor:
        pixels = np.stack([fit(picture.pixels, self._side, self._images) for picture in pictures])
        self.forwards += len(pictures)
        return torch.stack(layer_states(self.model, self._images, torch.from_numpy(pixels)), 1)

    def _keep(self, key: str, features: Tensor, seconds: float) -> tuple[Tensor, float]:
        """Keep a copy of its own, so that no batch is held by one of its pictures; forget the oldest."""
        entry = self._kept[key] = features.clone(), seconds
        while len(self._kept) > 1 and len(self._kept) * features.nbytes > self._limit_bytes:
            self._kept.popitem(last=False)
        return entry
