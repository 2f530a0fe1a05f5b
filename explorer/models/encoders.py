"""Opening a vision encoder by its id: built in, a folder, from the Hugging Face hub, or of open_clip."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from explorer.models.catalogue import MINI, MINI_KNOWS, OPEN_CLIP, list_encoders, repository_of, title_of
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.hub import TRANSFORMERS_FILES, Progress, fetch
from explorer.models.memory import ENCODER_BYTES, check_encoder
from explorer.models.vision import Features, VisionEncoder
from explorer.records import EncoderError

__all__ = ["Features", "VisionEncoder", "list_encoders", "open_encoder"]


def open_encoder(
    id: str, *, device: str | None = None, dtype: str | None = None, on_progress: Progress | None = None
) -> VisionEncoder:
    """Load an encoder, downloading it where it is not on this machine.

    Args:
        id: "mini", a folder, a Hugging Face id ("owner/name") of CLIP, SigLIP, SigLIP 2, DINOv2 or ViT, or
            "open_clip:ARCH/TAG_OR_FILE".
        device: "cpu", "cuda"; by default CUDA where present.
        dtype: "float32", "bfloat16", "float16"; by default what this hardware is fastest in.
        on_progress: called with a fraction 0…1 and a sentence, possibly from other threads.

    Raises:
        EncoderError: the encoder cannot be had; one sentence says why and what to do.
        SettingsError: there is no such device or number format.
    """
    where = choose_device(device)
    how = choose_dtype(dtype, where)
    report = on_progress or (lambda part, said: None)
    if id.startswith(OPEN_CLIP):
        from explorer.models.open_clip_encoders import load_open_clip

        return load_open_clip(id, where, how, report)
    from explorer.models.hf_encoders import load_folder

    fetched = 0.0  # the share of the bar that a download takes, where there is one

    def fetching(part: float, said: str) -> None:
        nonlocal fetched
        fetched = 0.8
        report(fetched * part, said)

    folder = _find_folder(id, fetching, lambda size: check_encoder(id, size // ENCODER_BYTES, how, where))
    title = title_of(id) or (folder.name if Path(id).expanduser().is_dir() else id)
    encoder = load_folder(
        id, title, folder, where, how, lambda part, said: report(fetched + (1 - fetched) * part, said)
    )
    if folder == MINI:
        encoder.info = replace(encoder.info, knows=MINI_KNOWS)
    return encoder


def _find_folder(id: str, report: Progress, check: Callable[[int], None]) -> Path:
    if id == "mini":
        if not MINI.is_dir():
            raise EncoderError(f"The built-in encoder is missing from {MINI}: check the program out again.")
        return MINI
    path = Path(id).expanduser()
    if id and path.is_dir():
        return path
    if path.is_file():
        raise EncoderError(
            f"{id} is a file: give the folder that it lies in, or open_clip:ARCH/{id} for open_clip weights."
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", id) or id.startswith("."):
        raise EncoderError(
            f"There is no encoder {id!r}: write mini, a folder that exists, a Hugging Face id such as "
            "openai/clip-vit-large-patch14-336, or open_clip:ARCH/TAG_OR_FILE."
        )
    repository, revision = repository_of("encoders", id)
    return fetch(repository, TRANSFORMERS_FILES, report, revision, check)
