"""The one interface to a vision encoder, whatever library it comes from.

Layer 0 is what enters the first block, layer k what block k returns; both are collected by hooks on the blocks
themselves, so no library's own idea of "hidden states" (final norm applied or not, counted from 0 or 1) comes in.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from explorer.models.hardware import DTYPES
from explorer.models.views import Preprocessing, make_view
from explorer.records import EncoderError, EncoderInfo, Fit, InputError, Picture, TokenKind, TokenLayout, View


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder computed of some pictures.

    Attributes:
        encoder: the encoder.
        states: [L, N, T, D] in the encoder's number format, on its device; layer 0 is the patch embedding with
            positions (and after the pre-norm, where the encoder has one), layer k the output of block k; no
            final norm is applied to any.
        views: what was seen of each picture, N.
        layout: which tokens stand where, the same for all pictures.
        seconds: of the forward, normalisation of the pixels included.
    """

    encoder: EncoderInfo
    states: Tensor
    views: tuple[View, ...]
    layout: TokenLayout
    seconds: float

    @property
    def patches(self) -> Tensor:
        """States of the patches, a view [L, N, P, D]."""
        found = self.layout.patches
        return self.states[:, :, found[0] : found[-1] + 1]

    @property
    def cls(self) -> Tensor | None:
        """States of the CLS token, a view [L, N, D]; None where there is none."""
        return None if self.layout.cls is None else self.states[:, :, self.layout.cls]


class VisionEncoder(ABC):
    """A loaded encoder. Its methods may be called from several threads; forwards run one at a time.

    Attributes:
        info: what is known of it.
        layout: its tokens.
        preprocessing: what its own processor does.
    """

    def __init__(
        self, info: EncoderInfo, layout: TokenLayout, preprocessing: Preprocessing, blocks: Sequence[nn.Module]
    ) -> None:
        self.info = info
        self.layout = layout
        self.preprocessing = preprocessing
        self._blocks = tuple(blocks)
        self._device = torch.device(info.device)
        self._dtype = DTYPES[info.dtype]
        self._one_at_a_time = threading.Lock()

    def view(self, picture: Picture, fit: Fit = Fit.ENCODER) -> View:
        """What this encoder will see of a picture laid out by ``fit``."""
        return make_view(picture, fit, self.preprocessing)

    def forward(self, views: Sequence[View]) -> Features:
        """Run the vision tower once and keep every layer.

        Raises:
            InputError: there is no view, or one made for another encoder.
            EncoderError: the pictures do not fit into the device's memory together.
        """
        self._check(views)
        started = time.perf_counter()
        size = (len(self._blocks) + 1, len(views), len(self.layout.kinds), self.info.width)
        try:
            states = torch.empty(size, dtype=self._dtype, device=self._device)
            with self._one_at_a_time, torch.inference_mode(), _collecting(self._blocks, states):
                self._run(self._normalised(views))
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)
        except torch.OutOfMemoryError as problem:
            raise EncoderError(
                f"{len(views)} pictures at once do not fit into the memory of {self.info.device}: give fewer at a time."
            ) from problem
        return Features(self.info, states, tuple(views), self.layout, time.perf_counter() - started)

    def text_match(self, features: Features, text: str) -> Tensor:
        """How well each patch of each layer matches a text.

        A layer's token is treated as if it were the last layer's: it goes through the encoder's own final norm and
        projection (the "logit lens" of language models), and is compared with the text's embedding. CLIP projects
        the CLS token so; here every patch is. SigLIP pools by attention, so there each patch is pooled alone: the
        only key and value of the pooling head. A text longer than the text tower's context is cut off at its end.

        Args:
            features: of this encoder.
            text: any words.

        Returns:
            float32 [L, N, P], cosines in -1…1.

        Raises:
            InputError: the text is empty.
            EncoderError: the encoder reads no text.
        """
        if not text.strip():
            raise InputError("The text to match is empty: write a word or a sentence.")
        if not self.info.reads_text:
            raise EncoderError(self._why_no_text())
        with torch.inference_mode():
            target = normalize(self._embed_text(text.strip()).float(), dim=-1)
            layers = (patches.to(self._device) for patches in features.patches)
            cosines = [normalize(self._project(layer).float(), dim=-1) @ target for layer in layers]
        return torch.stack(cosines)

    def cls_attention(self, features: Features) -> Tensor:
        """Where the CLS token looks in each block, by head, recomputed from the stored states.

        Only the norm and the query and key projections of each block are run, on the state that entered it.

        Returns:
            float32 [blocks, N, H, P]: softmax weights over all tokens, of which the patches' are kept; what is
            missing to 1 went to the CLS token itself and to registers.

        Raises:
            EncoderError: the encoder has no CLS token.
        """
        if self.layout.cls is None:
            raise EncoderError(f"{self.info.title} has no CLS token, so there is no CLS attention to show.")
        patches = torch.as_tensor(self.layout.patches, device=self._device)
        weights = []
        with torch.inference_mode():
            for number, state in enumerate(features.states[:-1]):
                query, keys = self._query_and_keys(number, state.to(self._device))  # (N, H, 1, d), (N, H, T, d)
                scores = query.float() @ keys.float().transpose(-1, -2) * query.shape[-1] ** -0.5
                weights.append(scores.softmax(dim=-1)[:, :, 0, patches])
        return torch.stack(weights)

    @abstractmethod
    def _run(self, pixels: Tensor) -> None:
        """Run the vision tower on normalised pixels [N, 3, H, W] in the encoder's number format."""

    @abstractmethod
    def _project(self, tokens: Tensor) -> Tensor:
        """Tokens [..., D] through the final norm and projection, into the space of texts [..., E]."""

    @abstractmethod
    def _embed_text(self, text: str) -> Tensor:
        """The embedding [E] of a text that is not empty."""

    @abstractmethod
    def _query_and_keys(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Of block ``number`` (from 0), given what enters it: the CLS query [N, H, 1, d] and all keys [N, H, T, d]."""

    @abstractmethod
    def _why_no_text(self) -> str:
        """A sentence on why texts cannot be matched."""

    def _check(self, views: Sequence[View]) -> None:
        if not views:
            raise InputError("No picture was given: give at least one.")
        side = self.preprocessing.seen_px
        for view in views:
            if view.pixels.shape != (side, side, 3):
                raise InputError(
                    f"A view of {view.pixels.shape[1]} × {view.pixels.shape[0]} px was given to {self.info.title}, which "
                    f"sees {side} × {side}: make it with this encoder's view()."
                )

    def _normalised(self, views: Sequence[View]) -> Tensor:
        pixels = torch.from_numpy(np.stack([view.pixels for view in views])).to(self._device)
        mean = torch.tensor(self.preprocessing.mean, device=self._device)
        std = torch.tensor(self.preprocessing.std, device=self._device)
        return ((pixels * self.preprocessing.scale - mean) / std).to(self._dtype).permute(0, 3, 1, 2).contiguous()


@contextmanager
def _collecting(blocks: Sequence[nn.Module], states: Tensor) -> Iterator[None]:
    """Copy what enters the first block and what every block returns into ``states`` [L, N, T, D]."""

    def keep_input(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        states[0].copy_(args[0] if args else named["hidden_states"])

    def keep_output(layer: int) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            states[layer].copy_(output[0] if isinstance(output, tuple) else output)

        return hook

    hooks = [blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True)]
    hooks += [block.register_forward_hook(keep_output(layer)) for layer, block in enumerate(blocks, start=1)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def make_layout(side: int, *, cls: bool, registers: int = 0) -> TokenLayout:
    """The usual order of tokens: CLS, registers, then ``side`` × ``side`` patches."""
    prefix = (TokenKind.CLS,) * cls + (TokenKind.REGISTER,) * registers
    return TokenLayout(prefix + (TokenKind.PATCH,) * side**2, side, side)


def split_heads(projected: Tensor, heads: int) -> Tensor:
    """[N, T, H·d] to [N, H, T, d]."""
    return projected.unflatten(-1, (heads, -1)).transpose(1, 2)


def prepare(id: str, model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Make a model ready to run here, after checking that its weights are numbers.

    Raises:
        EncoderError: a weight is NaN or infinite, or the model does not fit into the device's memory.
    """
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight.detach().sum(dtype=torch.float32)):
            raise EncoderError(
                f"The weights of {id} are broken: {name} holds NaN or infinity. Fetch or save them again."
            )
    try:
        model.requires_grad_(False).eval().to(device=device, dtype=dtype)
    except torch.OutOfMemoryError as problem:
        raise EncoderError(
            f"{id} does not fit into the memory of {device}: choose a smaller one or the CPU."
        ) from problem
