"""Whether a model fits, before it is loaded: its weights are counted from the headers of its files.

Loads neither torch nor transformers, unless it is asked about a GPU.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.models.hub import TRANSFORMERS_FILES
from explorer.records import CheckpointError, EncoderError

if TYPE_CHECKING:
    import torch

WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8 bits": 1.1, "4 bits": 0.6}  # bytes a weight, with scales
ENCODER_BYTES = 4  # a weight of an encoder, where its file does not say: most are published in float32
WORK = 1.1  # of the weights: what answering takes beside them
WORK_BYTES = 300_000_000
MOST_HEADER_BYTES = 100_000_000  # as safetensors itself allows
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class Plan:
    """How a model will be loaded.

    Attributes:
        form: number format of its weights, a key of ``WIDTHS``.
        needed_bytes: of memory, working space included.
    """

    form: str
    needed_bytes: int


def count_weights(folder: Path, bin_bytes: int = 2) -> int:
    """How many numbers a folder's weights are.

    A header is read, never the numbers; of PyTorch's .bin files, which have none, ``bin_bytes`` a number are assumed.

    Raises:
        CheckpointError: a file is no safetensors file.
    """
    names = TRANSFORMERS_FILES.weight_files(path.name for path in folder.iterdir())
    return sum(count_file(folder / name, bin_bytes) for name in names)


def count_file(path: Path, bin_bytes: int = 2) -> int:
    """The same of one file.

    Raises:
        CheckpointError: it is no safetensors file.
    """
    if path.suffix != ".safetensors":
        return path.stat().st_size // bin_bytes
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= MOST_HEADER_BYTES:
                raise ValueError("its header has an impossible length")
            header = json.loads(file.read(length))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise CheckpointError(f"{path} is damaged or incomplete ({problem}): delete it and fetch it again.") from None


def needed_bytes(weights: int, form: str) -> int:
    """Memory that so many weights take in a number format, with what answering takes beside them."""
    return round(weights * WIDTHS[form] * WORK) + WORK_BYTES


def free_bytes(device: str) -> int | None:
    """Memory that is free on "cpu" or "cuda:0", with the limit of a container heeded; None where that is unknown."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    found = [each for each in (_free_of_machine(), *map(_free_of_group, CGROUPS)) if each is not None]
    return min(found, default=None)


def release(device: str) -> None:
    """Give back at once what nobody holds any more."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def _free_of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:  # macOS: no count of what is free, so of all there is, a quarter is left to others
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    except (AttributeError, ValueError, OSError):
        return None


def _free_of_group(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (Path(file).read_text().strip() for file in files)
        return max(0, int(limit) - int(used)) if limit != "max" and int(limit) < 1 << 60 else None
    except (OSError, ValueError):
        return None


def plan(id: str, weights: int, forms: Sequence[str], free: int | None, device: str) -> Plan:
    """The first number format in which a model fits.

    Args:
        id: of the model, for messages.
        weights: how many.
        forms: formats to take, the preferred first.
        free: bytes of free memory, None where that is unknown; then the first format is taken.
        device: where, for messages.

    Raises:
        CheckpointError: it fits in none of them.
    """
    for form in forms:
        needed = needed_bytes(weights, form)
        if free is None or needed <= free:
            return Plan(form, needed)
    form = min(forms, key=WIDTHS.__getitem__)
    raise CheckpointError(
        _too_large(id, weights, form, free or 0, device)
        + ". Close other programs, choose a smaller checkpoint"
        + (
            "."
            if form == "4 bits"
            else ", load it in 4 bits (#bits=4 behind its id), or ask it on a server (openai:…)."
        )
    )


def check_encoder(id: str, weights: int, dtype: torch.dtype, device: torch.device) -> None:
    """Refuse an encoder that does not fit.

    Args:
        id: of the encoder, for messages.
        weights: how many.
        dtype: number format of its weights.
        device: where they will be.

    Raises:
        EncoderError: it does not fit.
    """
    form, where = str(dtype).removeprefix("torch."), str(device)
    needed, free = needed_bytes(weights, form), free_bytes(where)
    if free is not None and needed > free:
        release(where)
        free = free_bytes(where)
    if free is not None and needed > free:
        raise EncoderError(
            _too_large(id, weights, form, free, where) + ". Close other programs, or choose a smaller encoder."
        )


def _too_large(id: str, weights: int, form: str, free: int, device: str) -> str:
    needed = needed_bytes(weights, form)
    return (
        f"{id} does not fit: in {form} it needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free on "
        f"{device}"
    )


def check_quantisation(bits: int, cuda: bool) -> None:
    """Refuse 4 and 8 bits where they cannot be had.

    Raises:
        CheckpointError: the package is missing, or another number of bits was asked for.
    """
    from importlib.util import find_spec

    if bits not in (4, 8):
        raise CheckpointError(f"Weights can be loaded in 4 or 8 bits, not in {bits}.")
    missing = [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]
    if missing:
        raise CheckpointError(
            f"Loading in {bits} bits needs {' and '.join(missing)}: run `pip install {' '.join(missing)}`, or leave out "
            f"#bits={bits}."
        )
    if not cuda:
        raise CheckpointError(
            f"Loading in {bits} bits needs a CUDA GPU, and there is none here: leave out #bits={bits}."
        )


def quantisation(bits: int, dtype: Any) -> Any:
    """Settings of transformers for 4 or 8 bits."""
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type="nf4")
