"""Settings of a job: one frozen dataclass, overridden by a TOML file, then by flags."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from explorer.records import SettingsError

T = TypeVar("T")


def load_settings(cls: type[T], file: str | Path | None = None, **flags: Any) -> T:
    """Resolve the settings of a job.

    Args:
        cls: a frozen dataclass whose defaults are the job's.
        file: a TOML file whose keys are fields of ``cls``.
        flags: values that win over both; None means not given.

    Raises:
        SettingsError: the file cannot be read, or a key is unknown.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(Path(file).read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"Cannot read the settings in {file}: {error}.") from None
    values |= {key: value for key, value in flags.items() if value is not None}
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise SettingsError(f"Unknown setting {', '.join(unknown)}; known are {', '.join(known)}.")
    try:
        return cls(**{key: _freeze(value) for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise SettingsError(f"Cannot use these settings: {error}.") from None


def save_settings(settings: Any, file: Path) -> None:
    """Write the resolved settings as JSON, beside what they produce."""
    file.write_text(json.dumps(asdict(settings), indent=1) + "\n")


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _freeze(item) for key, item in value.items()}
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value
