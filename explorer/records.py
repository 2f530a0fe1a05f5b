"""Records that pass between the parts of the program: frozen dataclasses, enums and errors.

Dimensions are named by letter everywhere: ``L`` layers + 1 (layer 0 is the patch embedding), ``N`` pictures,
``T`` tokens (CLS, registers and patches), ``P`` patches, ``D`` width, ``H`` attention heads, ``Q`` questions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np


class ExplorerError(Exception):
    """Something a person can act on: says what was wrong, what was given and what to do, in one or two sentences."""


class InputError(ExplorerError):
    """A picture, text or argument that cannot be used."""


class EncoderError(ExplorerError):
    """A vision encoder that cannot be found, loaded or asked for what was wanted."""


class CheckpointError(ExplorerError):
    """A multimodal checkpoint that cannot be found, loaded or asked."""


class SettingsError(ExplorerError):
    """A setting with an unknown name or an impossible value."""


class AnswerKind(StrEnum):
    """What the probabilities of an answer are about."""

    YES_NO = "yes-no"
    COUNT = "count"  # the numbers 0 to 10
    CHOICE = "choice"  # candidates that were given
    OPEN = "open"  # the likeliest first tokens


class TokenKind(StrEnum):
    """What a token of the encoder's sequence stands for."""

    CLS = "cls"
    REGISTER = "register"
    PATCH = "patch"


class Fit(StrEnum):
    """How a picture of any shape is laid on the encoder's input."""

    ENCODER = "encoder"  # as the encoder's own processor does
    CROP = "crop"  # shorter side fills the input, the rest is cut away
    PAD = "pad"  # longer side fills the input, the rest is grey
    SQUASH = "squash"  # both sides fill the input, proportions change


@dataclass(frozen=True)
class Picture:
    """A picture as a person sees it.

    Attributes:
        name: file name or title, shown as text, never trusted.
        pixels: uint8 [height, width, 3], upright sRGB.
        notes: sentences on what was done to it ("first frame of 12", "turned upright").
    """

    name: str
    pixels: np.ndarray
    notes: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Content hash: equal pixels give the equal key."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).tobytes())
        return digest.hexdigest()[:20]


@dataclass(frozen=True)
class View:
    """What the encoder saw of a picture.

    Attributes:
        pixels: uint8 [height, width, 3], the exact input before normalisation.
        box_px: (left, top, right, bottom) of the input's extent in the picture's own pixels; it reaches
            outside the picture where the input was padded, and lies inside it where the picture was cropped.
        fit: the rule that was applied (never ``Fit.ENCODER``: that is resolved to what the processor does).
    """

    pixels: np.ndarray
    box_px: tuple[float, float, float, float]
    fit: Fit


@dataclass(frozen=True)
class TokenLayout:
    """Which tokens stand where: ``kinds`` has T entries; the patches stand together, in rows, left to right, top to bottom."""

    kinds: tuple[TokenKind, ...]
    rows: int
    cols: int

    @cached_property
    def patches(self) -> np.ndarray:
        """Indices of the patch tokens, int [P]."""
        return np.array([i for i, kind in enumerate(self.kinds) if kind is TokenKind.PATCH])

    @cached_property
    def cls(self) -> int | None:
        """Index of the CLS token, or None where the encoder has none."""
        return self.kinds.index(TokenKind.CLS) if TokenKind.CLS in self.kinds else None


@dataclass(frozen=True)
class EncoderInfo:
    """What is known of a loaded encoder.

    Attributes:
        id: how it was asked for ("mini", a hub id, a folder, "open_clip:ARCH/TAG").
        title: its name for people.
        architecture: the class that was loaded ("CLIPVisionModel").
        blocks: number of transformer blocks; there are ``blocks + 1`` layers.
        width: D.
        heads: H.
        patch_px, image_px: sizes of one patch and of the (square) input.
        parameters: number of weights of the vision tower.
        reads_text: whether texts can be matched with it.
        has_cls: whether it has a CLS token.
        dtype, device: how it runs here ("float32", "cpu").
        layer_note: where layer 0 and the last layer are taken, in one sentence.
        knows: what it was trained on, in one sentence, where that limits what it can see.
    """

    id: str
    title: str
    architecture: str
    blocks: int
    width: int
    heads: int
    patch_px: int
    image_px: int
    parameters: int
    reads_text: bool
    has_cls: bool
    dtype: str
    device: str
    layer_note: str = ""
    knows: str = ""


@dataclass(frozen=True)
class Groups:
    """A division of consecutive layers.

    Attributes:
        starts: first layer of each group, ascending; the first entry is the first layer divided.
        stop: one past the last layer.
        names: one per group.
        clarity: how clear the boundaries are, 0 (no structure) to 1 (perfect blocks); NaN if not measured.
        source: where the division is from ("automatic", "paper", "drawn").
    """

    starts: tuple[int, ...]
    stop: int
    names: tuple[str, ...]
    clarity: float = float("nan")
    source: str = "automatic"

    def ranges(self) -> list[tuple[str, int, int]]:
        """(name, first layer, last layer) of each group, both ends included."""
        ends = [*self.starts[1:], self.stop]
        return [(n, a, b - 1) for n, a, b in zip(self.names, self.starts, ends, strict=True)]


@dataclass(frozen=True)
class Similarity:
    """Layer × layer similarity (LRS) of one picture or many.

    Attributes:
        kind: "token" (token-wise cosine), "pooled", "cls" or "cka".
        mean: float64 [L, L]; NaN where the encoder lacks what is compared (no CLS).
        stderr: float64 [L, L], standard error over pictures; NaN for one picture.
        pictures: how many pictures were averaged.
    """

    kind: str
    mean: np.ndarray
    stderr: np.ndarray
    pictures: int


@dataclass(frozen=True)
class Exploration:
    """All that the Layers view shows of one picture, ready to draw; arrays are small and live on the CPU.

    Attributes:
        picture_name, picture_key, notes: of the picture.
        size_px: (width, height) of the picture.
        encoder: the encoder that looked.
        view: what it saw.
        layout: its tokens.
        similarity: LRS by kind, of this picture alone.
        groups: divisions by source ("automatic", and "paper" where the encoder has 24 blocks).
        change: float32 [L, L, P], cosine between layers i and j at each patch.
        norm: float32 [L, T], token norms.
        pca_joint, pca_each: uint8 [L, P, 3], colours with one basis for all layers and with one each.
        seconds: of the vision forward, and of the analysis after it.
    """

    picture_name: str
    picture_key: str
    notes: tuple[str, ...]
    size_px: tuple[int, int]
    encoder: EncoderInfo
    view: View
    layout: TokenLayout
    similarity: dict[str, Similarity]
    groups: dict[str, Groups]
    change: np.ndarray
    norm: np.ndarray
    pca_joint: np.ndarray
    pca_each: np.ndarray
    forward_seconds: float = float("nan")
    analysis_seconds: float = float("nan")
    live: bool = field(default=True)


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint before it is loaded.

    Attributes:
        id: how it is asked for: a built-in name, "mini-any@3+18", a folder, a hub id, "ID#swap=18", "openai:URL#MODEL".
        title: its name for people.
        layers: what it reads; () where that is unknown.
        blocks: of the encoder it reads; 0 where that is unknown.
        reads: the same for people: "layer 18 · middle", "3 + 18 + 23 · fused", "any layers".
        choosable: whether any set of its layers can be chosen.
        encoder: id of its encoder, "" where that is unknown.
        size_bytes: of its files; None where that is unknown.
        licence, source: as its owner states them.
        on_this_machine: whether it can be loaded without a network.
        knows: what it was trained on, in one sentence, where that limits what it can answer.
        untrained_swap: whether it reads other layers than it was trained on.
        memory_bytes: of its weights in 16-bit numbers; None where that is unknown.
        revision: of its repository on the hub; "" where it has none.
    """

    id: str
    title: str
    layers: tuple[int, ...]
    blocks: int
    reads: str
    choosable: bool
    encoder: str
    size_bytes: int | None
    licence: str
    source: str
    on_this_machine: bool
    knows: str = ""
    untrained_swap: bool = False
    memory_bytes: int | None = None
    revision: str = ""


STOPPED = "Stopped."  # the remark of a reply that was ended early by whoever asked


@dataclass(frozen=True)
class Reply:
    """How far a checkpoint is with its answer to one question.

    Attributes:
        checkpoint: its id.
        layers, reads: as in ``CheckpointInfo``.
        text: the answer so far.
        kind: what the probabilities are about.
        probabilities: (candidate, probability), in the candidates' order; of an open question the likeliest first tokens.
        seconds: from the start of its work; NaN while it waits.
        remarks: sentences that a reader should know ("It has never seen the word unicorn.").
        error: why there is no answer, one sentence, or "".
        done: whether nothing more will come.
    """

    checkpoint: str
    layers: tuple[int, ...]
    reads: str
    text: str = ""
    kind: AnswerKind = AnswerKind.OPEN
    probabilities: tuple[tuple[str, float], ...] = ()
    seconds: float = float("nan")
    remarks: tuple[str, ...] = ()
    error: str = ""
    done: bool = False

    @property
    def whole(self) -> bool:
        """Whether it came to its end; one that failed or was stopped is neither right nor wrong."""
        return self.done and not self.error and STOPPED not in self.remarks


@dataclass(frozen=True)
class Truth:
    """The right answer to a question about a scene: its task, the answer, all possible answers, the question's form."""

    task: str
    answer: str
    candidates: tuple[str, ...]
    form: str


@dataclass(frozen=True)
class XRay:
    """One question, asked through every layer and some fusions.

    Attributes:
        columns: the layers read, one entry a column.
        candidates: possible answers.
        probabilities: float32 [columns, candidates], each row sums to 1.
        answers: the greedy answer of each column.
        checkpoint: which model read them.
        seconds: for all of it.
    """

    columns: tuple[tuple[int, ...], ...]
    candidates: tuple[str, ...]
    probabilities: np.ndarray
    answers: tuple[str, ...]
    checkpoint: str
    seconds: float


@dataclass(frozen=True)
class Looked:
    """Where a checkpoint looked for the first token of its answer.

    Attributes:
        checkpoint: its id.
        rows, cols: grid of the picture tokens.
        attention: float32 [blocks, H, P], from the position that answers to each picture token.
        rollout: float32 [P], attention followed through the blocks, sums to 1.
        gradient: float32 [P], size of gradient × input, sums to 1.
    """

    checkpoint: str
    rows: int
    cols: int
    attention: np.ndarray
    rollout: np.ndarray
    gradient: np.ndarray
