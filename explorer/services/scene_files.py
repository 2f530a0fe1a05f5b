"""Scenes as pictures in files, so that a generated scene goes the same way as an uploaded picture."""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="scenes-"))


def scene_file(record: dict[str, Any]) -> tuple[Path, str]:
    """Draw a scene into a PNG of its own, once.

    Args:
        record: as ``Scene.to_dict`` writes it; untrusted.

    Returns:
        The file, and the record as compact JSON.

    Raises:
        InputError: this is no scene.
    """
    from PIL import Image

    from explorer.scenes.render import render
    from explorer.scenes.scene import Scene

    scene = Scene.from_dict(record)
    text = json.dumps(scene.to_dict(), separators=(",", ":"))
    file = _folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.png"
    if not file.exists():
        part = file.with_suffix(".part")
        Image.fromarray(render(scene)).save(part, "PNG", compress_level=1)
        part.rename(file)
    return file, text
