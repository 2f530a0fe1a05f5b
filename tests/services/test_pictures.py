import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from explorer.records import InputError
from explorer.services import pictures
from explorer.services.pictures import MAX_MEGAPIXELS, WORKING_SIDE_PX, read_picture


def corner_picture(width=40, height=20):
    """Red in the top left quarter, blue elsewhere: every turn of it is different."""
    pixels = np.full((height, width, 3), (0, 0, 255), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    return Image.fromarray(pixels)


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_picture(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def huge_png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_a_plain_picture_is_kept_as_it_is(tmp_path):
    corner_picture().save(tmp_path / "plain.png")
    picture = read_picture(tmp_path / "plain.png")
    assert picture.name == "plain.png" and picture.notes == ()
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels, np.asarray(corner_picture()))
    assert read_picture(str(tmp_path / "plain.png"), name="my title").name == "my title"


def test_one_pixel_is_a_picture(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "dot.png")
    assert read_picture(tmp_path / "dot.png").pixels.tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("text", ["Hello, this is no picture.\n" * 9, "naïve\tŒuvre", "{}"])
def test_text_named_png(tmp_path, text):
    (tmp_path / "notes.png").write_text(text, encoding="utf-8")
    assert "notes.png holds text" in refusal(tmp_path / "notes.png")


def test_unreadable_things_are_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "is empty" in refusal(tmp_path / "empty.jpg")
    assert "is a folder" in refusal(tmp_path)
    assert "There is no file" in refusal(tmp_path / "missing.png")
    assert "There is no file" in refusal("bad\0name.png")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 300 + ".png"))
    (tmp_path / "random.png").write_bytes(bytes(range(256)) * 8)
    assert "is not a picture" in refusal(tmp_path / "random.png")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)
    assert "HEIC" in refusal(tmp_path / "photo.heic")
    (tmp_path / "paper.png").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    assert "PDF" in refusal(tmp_path / "paper.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert "not an ordinary file" in refusal(tmp_path / "pipe.png")


@pytest.mark.parametrize("name", ["drawing.svg", "drawing.png"])
def test_svg_is_refused(tmp_path, name):
    (tmp_path / name).write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')
    assert "SVG" in refusal(tmp_path / name)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_truncated_file(tmp_path, format):
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(whole, format)
    (tmp_path / "cut").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    assert "cut" in refusal(tmp_path / "cut")


@pytest.mark.filterwarnings("ignore")  # Pillow warns too, where a program has not switched it off
@pytest.mark.parametrize("side", [20_000, 9_500])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(huge_png_header(side, side))
    assert f"{MAX_MEGAPIXELS}" in refusal(tmp_path / "bomb.png")


def test_a_thread_of_a_picture_is_refused(tmp_path):
    Image.new("RGB", (1, 5000)).save(tmp_path / "thread.png")
    assert "too narrow: 1 × 5000 px" in refusal(tmp_path / "thread.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_large_pictures_are_reduced(tmp_path, format):
    corner_picture(6000, 3000).save(tmp_path / "large", format)
    picture = read_picture(tmp_path / "large")
    assert picture.pixels.shape == (WORKING_SIDE_PX // 2, WORKING_SIDE_PX, 3)
    assert picture.notes == (f"reduced from 6000 × 3000 to {WORKING_SIDE_PX} × {WORKING_SIDE_PX // 2} px",)
    assert picture.pixels[10, 10, 0] > 200 and picture.pixels[-10, -10, 2] > 200


def test_cmyk(tmp_path):
    corner_picture().convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    picture = read_picture(tmp_path / "print.jpg")
    assert picture.notes == ("converted from CMYK",)
    assert np.abs(picture.pixels[2, 2].astype(int) - (255, 0, 0)).max() < 30


def test_sixteen_bits(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        assert picture.pixels[0, :, 0].tolist() == [0, 1, 128, 255]
        assert picture.notes == ("16-bit grey scaled to 8 bits",)


def test_sixteen_bit_rgb_png(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", 65535, 0, 32896)))
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    assert read_picture(tmp_path / "deep.png").pixels.tolist() == [[[255, 0, 128]]]


def test_float_values_are_stretched_and_nan_is_black(tmp_path):
    Image.fromarray(np.array([[-1.0, 0.0, 1.0, np.nan]], np.float32)).save(tmp_path / "float.tif")
    picture = read_picture(tmp_path / "float.tif")
    assert picture.pixels[0, :, 0].tolist() == [0, 128, 255, 0]
    assert picture.notes == ("values -1 to 1 shown as black to white",)


def test_palette_with_transparency_is_laid_on_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((3, 3), 1)
    image.save(tmp_path / "palette.png", transparency=0)
    picture = read_picture(tmp_path / "palette.png")
    assert picture.pixels[0, 0].tolist() == [255, 255, 255]
    assert picture.pixels[3, 3].tolist() == [0, 255, 0]
    assert picture.notes == ("transparent parts shown on white",)


@pytest.mark.parametrize(("mode", "colour", "expected"), [
    ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
    ("LA", (0, 128), (127, 127, 127)),
    ("LA", (90, 0), (255, 255, 255)),
])  # fmt: skip
def test_alpha(tmp_path, mode, colour, expected):
    Image.new(mode, (3, 3), colour).save(tmp_path / "alpha.png")
    picture = read_picture(tmp_path / "alpha.png")
    assert picture.pixels[1, 1].tolist() == list(expected)
    assert picture.notes == ("transparent parts shown on white",)


def test_opaque_alpha_needs_no_note(tmp_path):
    Image.new("RGBA", (3, 3), (9, 8, 7, 255)).save(tmp_path / "opaque.png")
    picture = read_picture(tmp_path / "opaque.png")
    assert picture.notes == () and picture.pixels[0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LAB"])
def test_other_modes(tmp_path, mode):
    image = Image.new("L", (4, 4), 255).convert(mode) if mode != "LAB" else Image.new("LAB", (4, 4), (255, 128, 128))
    image.save(tmp_path / "mode.tif")
    assert read_picture(tmp_path / "mode.tif").pixels.min() >= 254


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(tmp_path, format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "moving", format, save_all=True, append_images=frames[1:], duration=50)
    picture = read_picture(tmp_path / "moving")
    assert picture.notes == (f"first {'page' if format == 'TIFF' else 'frame'} of 3",)
    assert picture.pixels[4, 4, 0] > 240 and picture.pixels[4, 4, 1:].max() < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = corner_picture()
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(pictures.UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "phone.png", exif=exif)
    picture = read_picture(tmp_path / "phone.png")
    assert np.array_equal(picture.pixels, np.asarray(upright))
    assert picture.notes == (() if orientation == 1 else ("turned upright as its EXIF data say",))


def test_exif_rotation_is_what_the_standard_says(tmp_path):
    """Orientation 6: the stored row 0 is the right side seen upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.new("RGB", (4, 2), "blue")
    for x in range(4):
        stored.putpixel((x, 0), (255, 0, 0))
    stored.save(tmp_path / "phone.png", exif=exif)
    picture = read_picture(tmp_path / "phone.png")
    assert picture.pixels.shape == (4, 2, 3)
    assert (picture.pixels[:, 1] == (255, 0, 0)).all() and (picture.pixels[:, 0] == (0, 0, 255)).all()


def test_large_and_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    corner_picture(4096, 2048).save(tmp_path / "phone.jpg", exif=exif)
    picture = read_picture(tmp_path / "phone.jpg")
    assert picture.pixels.shape == (2048, 1024, 3)
    assert picture.notes[-1] == "reduced from 2048 × 4096 to 1024 × 2048 px"


def test_an_embedded_profile_is_applied(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "srgb.png", icc_profile=srgb)
    same = read_picture(tmp_path / "srgb.png")
    assert same.notes == () and np.abs(same.pixels[0, 0].astype(int) - (200, 100, 50)).max() <= 1

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "wrong.png", icc_profile=lab)
    assert read_picture(tmp_path / "wrong.png").pixels[0, 0].tolist() == [200, 100, 50]
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "junk.png", icc_profile=b"junk")
    assert read_picture(tmp_path / "junk.png").pixels[0, 0].tolist() == [200, 100, 50]


def test_a_profile_of_other_primaries_changes_the_colours(tmp_path):
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"swap"))
    swapped = bytes(swapped).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    tags = {swapped[132 + 12 * i : 136 + 12 * i]: 132 + 12 * i for i in range(struct.unpack(">I", swapped[128:132])[0])}
    body = bytearray(swapped)
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    body[red : red + 4], body[blue : blue + 4] = b"bXYZ", b"rXYZ"  # red and blue change places
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "swapped.png", icc_profile=bytes(body))
    picture = read_picture(tmp_path / "swapped.png")
    assert picture.pixels[0, 0, 2] > 240 and picture.pixels[0, 0, 0] < 15
    assert picture.notes == ("colours converted to sRGB from the embedded profile",)


def test_hostile_names_are_one_printable_line(tmp_path):
    path = tmp_path / "a\nb\x1b[31m.png"
    path.write_text("no picture")
    assert "\x1b" not in refusal(path)
    corner_picture().save(path)
    assert read_picture(path).name == "a�b�[31m.png"
