"""Where an encoder runs and in which number format."""

from __future__ import annotations

import os

import torch

from explorer.records import SettingsError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str | None = None) -> torch.device:
    """The device that was asked for, or CUDA where present and the CPU otherwise.

    A ZeroGPU Space lends its GPU to one function at a time (``services.gpu``); all else computes on the CPU there.

    Raises:
        SettingsError: there is no such device here.
    """
    if name is None:
        lent = "SPACES_ZERO_GPU" not in os.environ or "VLE_GPU_LENT" in os.environ
        return torch.device("cuda" if lent and torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise SettingsError(
            f"The device {name!r} cannot be used here: write cpu, or cuda where a GPU is present."
        ) from None
    if device.type == "meta":
        raise SettingsError("The device 'meta' holds no numbers: write cpu or cuda.")
    return device


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The number format that was asked for, or the one that this device computes fastest in.

    bfloat16 on CUDA from Ampere on and on processors with AMX or AVX512-BF16 instructions, float16 on older
    CUDA devices, float32 elsewhere: without those instructions bfloat16 is emulated and slower.

    Raises:
        SettingsError: the name is not one of float32, bfloat16, float16.
    """
    if name is not None:
        if name not in DTYPES:
            raise SettingsError(f"There is no number format {name!r} here: write one of {', '.join(DTYPES)}.")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _processor_has_bfloat16() else torch.float32


def _processor_has_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # torch before 2.10
