"""The components' own files: static markup, style and script, read once when the page is built."""

from pathlib import Path

FOLDER = Path(__file__).parent


def joined(*names: str) -> str:
    """Text of the files beside this module, one after the other."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
