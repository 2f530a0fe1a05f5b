"""Read a picture file of any sort into upright 8-bit sRGB, or say in one sentence why not."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from explorer.records import InputError, Picture

MAX_MEGAPIXELS = 64
MAX_ASPECT = 50
WORKING_SIDE_PX = 2048
HEAD_BYTES = 2048  # enough to say what a file is
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")  # never EPS, whose reader runs a program
READABLE = "a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file"
UPRIGHT = {  # value of EXIF tag 0x0112 -> what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The limit below is stricter than Pillow's own warning, which would only add lines to what a person reads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_picture(path: str | Path, name: str | None = None) -> Picture:
    """Read a picture file.

    The result is the first frame, turned upright as its EXIF data say, with transparent parts on white, its colours
    converted to sRGB by the embedded profile, 16 bits scaled to 8, and at most ``WORKING_SIDE_PX`` on the longer
    side. Each of these that was done is a sentence in ``notes``.

    Args:
        path: the file.
        name: shown instead of the file's name.

    Raises:
        InputError: the file is missing, a folder, empty, no picture, damaged, of an unsupported kind, larger than
            ``MAX_MEGAPIXELS`` (known from its header, before anything is decoded) or narrower than 1 : ``MAX_ASPECT``.
    """
    path = Path(path)
    name = printable(name or path.name or str(path))
    return _decode(path, name, _first_bytes(path, name), path.suffix)


def decode_picture(content: bytes, name: str) -> Picture:
    """Read a picture from the bytes of its file, by the rules of ``read_picture``.

    Raises:
        InputError: as ``read_picture``.
    """
    shown = printable(name)
    if not content:
        raise InputError(_empty(shown))
    return _decode(io.BytesIO(content), shown, content[:HEAD_BYTES], Path(name).suffix)


def printable(text: str, limit: int = 160) -> str:
    """One line of ``text`` without control characters or lone surrogates, at most ``limit`` long."""
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _decode(source: Path | io.BytesIO, name: str, head: bytes, suffix: str) -> Picture:
    try:
        with _open(source, name, head, suffix) as image:
            _check_size(image.size, name)
            return _develop(image, name)
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the damage makes them trip over
        raise InputError(
            f"{name} is damaged or incomplete: {printable(str(error)) or type(error).__name__}. "
            "Open it in an image program and save it again, or take another copy."
        ) from error


def _empty(name: str) -> str:
    return f"{name} is empty (0 bytes): take another copy of the picture."


def _first_bytes(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder: name the pictures in it.")
        if not path.exists():
            raise InputError(f"There is no file {printable(str(path))}: check the path.")
        if not path.is_file():
            raise InputError(f"{name} is not an ordinary file: give {READABLE}.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{name} cannot be opened: {error.strerror or error}.") from error
    if not head:
        raise InputError(_empty(name))
    return head


def _open(source: Path | io.BytesIO, name: str, head: bytes, suffix: str) -> Image.Image:
    Image.init()
    try:
        return Image.open(source, formats=[known for known in FORMATS if known in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name} is too large: more than {MAX_MEGAPIXELS} megapixels. Make it smaller first."
        ) from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{name} {_what_it_is(head, suffix.lower())}") from error


def _what_it_is(head: bytes, suffix: str) -> str:
    if suffix in (".svg", ".svgz") or re.search(rb"<svg[\s>]", head):
        return f"is an SVG drawing, which has no pixels: export it as PNG and give {READABLE}."
    if head[4:8] == b"ftyp":
        return f"is a HEIC/HEIF picture or a film, which is not read here: export it as JPEG and give {READABLE}."
    if head.startswith(b"%PDF"):
        return f"is a PDF document: export the page as PNG and give {READABLE}."
    text = head.decode("utf-8", "ignore")
    plain = sum(char.isprintable() or char.isspace() for char in text)
    if b"\0" not in head and plain > 0.9 * len(text) > 0.4 * len(head):
        return f"holds text, not a picture, whatever its name says: give {READABLE}."
    return f"is not a picture that can be read: give {READABLE}."


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise InputError(
            f"{name} is too large: {width} × {height} px is {width * height / 1e6:.0f} megapixels and the limit is "
            f"{MAX_MEGAPIXELS}. Make it smaller first."
        )
    if min(size) < 1 or max(size) > MAX_ASPECT * min(size):
        raise InputError(
            f"{name} is too narrow: {width} × {height} px, and one side may be at most {MAX_ASPECT} times the other. "
            "Cut out the part that matters."
        )


def _develop(image: Image.Image, name: str) -> Picture:
    """Decode and convert; the order matters: the profile speaks of the stored colours, the notes of the whole."""
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # an MPO is a JPEG with a preview or gain map behind it
        image.seek(0)
        notes.append(f"first {'page' if image.format == 'TIFF' else 'frame'} of {frames}")
    original = image.size
    turn = UPRIGHT.get(_orientation(image))
    profile = image.info.get("icc_profile")
    image.draft(None, (WORKING_SIDE_PX, WORKING_SIDE_PX))  # a JPEG is decoded at a half, quarter or eighth at once
    image.load()
    deep = _eight_bits(image, notes)
    clear = deep.convert("RGBA").getchannel("A") if deep.has_transparency_data else None
    colour = _to_srgb(deep, profile, notes)
    if clear is not None and np.asarray(clear).min() < 255:
        colour = Image.composite(colour, Image.new("RGB", colour.size, "white"), clear)
        notes.append("transparent parts shown on white")
    if turn is not None:
        colour = colour.transpose(turn)
        original = original[::-1] if turn in (UPRIGHT[5], UPRIGHT[6], UPRIGHT[7], UPRIGHT[8]) else original
        notes.append("turned upright as its EXIF data say")
    if max(original) > WORKING_SIDE_PX:
        scale = WORKING_SIDE_PX / max(original)
        size = tuple(max(1, round(side * scale)) for side in original)
        colour = colour.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        notes.append(f"reduced from {original[0]} × {original[1]} to {size[0]} × {size[1]} px")
    return Picture(name, np.array(colour), tuple(notes))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF data do not make the pixels unusable
        return 1


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Scale 16-bit grey to 8 bits by its full range, and 32-bit or float grey by the range of its values."""
    if image.mode.startswith("I;16"):
        notes.append("16-bit grey scaled to 8 bits")
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.asarray(image).astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    notes.append(f"values {low:g} to {high:g} shown as black to white")
    share = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low or 1.0)
    return Image.fromarray(np.rint(share * 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Colours without alpha, through the embedded profile where it fits the picture, as sRGB."""
    if image.mode in ("P", "PA", "LA", "La", "RGBa", "RGBA", "RGBX", "1", "HSV"):
        image = image.convert("RGBA").convert("RGB") if image.mode[0] != "L" else image.convert("LA").getchannel("L")
    if image.mode == "CMYK":
        notes.append("converted from CMYK")
    if profile or image.mode == "LAB":
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # a profile that is damaged or made for other channels is passed over, as browsers do
        if converted is not None:
            if profile and not any("sRGB".encode(code) in profile for code in ("ascii", "utf-16-be")):
                notes.append("colours converted to sRGB from the embedded profile")
            return converted
    return image.convert("RGB")
