"""What ``analyze`` and ``lrs`` are given, checked: each complaint is one sentence for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.records import EncoderInfo, Fit, InputError
from explorer.services.pictures import printable

if TYPE_CHECKING:
    from explorer.models.encoders import VisionEncoder

REASONS = 5  # told in one sentence where no picture can be read


def as_fit(fit: str | Fit) -> Fit:
    """The fit of a name.

    Raises:
        InputError: there is no such fit.
    """
    try:
        return Fit(fit)
    except ValueError:
        raise InputError(f"There is no fit {fit!r}: choose {', '.join(each.value for each in Fit)}.") from None


def check_groups(groups: int, encoder: EncoderInfo | None = None) -> None:
    """Complain of a number of groups that is impossible, for any encoder or for this one.

    Raises:
        InputError: it is no whole number, there are fewer than one, or more than the encoder has blocks.
    """
    if not isinstance(groups, int) or isinstance(groups, bool):
        raise InputError(f"The number of groups is a whole number; got {groups!r}.")
    if groups < 1:
        raise InputError(f"{groups} groups are too few: choose at least 1.")
    if encoder and groups > encoder.blocks:
        raise InputError(f"{encoder.title} has {encoder.blocks} blocks: choose at most as many groups.")


def make_folder(out: str | Path | None) -> Path | None:
    """Make the folder to write to, None where nothing is to be written.

    Raises:
        InputError: it cannot be made.
    """
    if out is None:
        return None
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot make the folder {printable(str(out))}: {reason}.") from error
    return Path(out)


def as_encoder(
    encoder: str | VisionEncoder, device: str | None, dtype: str | None, progress: Callable[[float, str], None]
) -> VisionEncoder:
    """The encoder of an id, loaded; or the one that was given.

    Raises:
        EncoderError: it cannot be had.
        SettingsError: there is no such device or number format.
    """
    if not isinstance(encoder, str):
        return encoder
    from explorer.models.encoders import open_encoder

    return open_encoder(encoder, device=device, dtype=dtype, on_progress=progress)


def none_left(skipped: Sequence[tuple[str, str]]) -> str:
    """Why no picture is left, from the reasons of each."""
    reasons = [reason for _, reason in skipped[:REASONS]]
    more = f"So it is with {len(skipped) - REASONS} more." if len(skipped) > REASONS else ""
    return " ".join([*reasons, more]).strip() or "No picture was given: name at least one file."
