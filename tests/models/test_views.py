"""Crop, pad and squash: the pixels a processor makes, and boxes that lie exactly on them."""

import dataclasses

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from explorer.models.encoders import open_encoder
from explorer.models.views import Preprocessing, make_view, mean_colour
from explorer.records import Fit, Picture

from .conftest import draw

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BICUBIC = Image.Resampling.BICUBIC
CLIP = Preprocessing(56, 56, Fit.CROP, 56, BICUBIC, MEAN, STD)
DINO = Preprocessing(56, 56, Fit.CROP, 64, BICUBIC, MEAN, STD)
SIGLIP = Preprocessing(60, 56, Fit.SQUASH, 60, BICUBIC, MEAN, STD)
SHAPES = [(90, 60), (60, 90), (57, 113), (400, 56), (30, 20), (56, 56), (1, 1), (2, 3)]


@pytest.mark.parametrize("backend", ["pil", "torchvision"])
@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_encoder_fit_is_what_the_processor_does(model, size, backend, opened):
    if "Siglip2" in model.kind:  # its processor keeps the shape, so only of squares it makes a square
        size = (size[0], size[0])
    encoder = opened(model)
    picture = draw(*size)
    view = encoder.view(picture)
    found = encoder._normalised([view])[0]
    processor = transformers.AutoImageProcessor.from_pretrained(model.folder, backend=backend)
    expected = torch.as_tensor(
        np.asarray(processor(picture.pixels, return_tensors="np", input_data_format="channels_last").pixel_values[0])
    )
    if "Siglip2" in model.kind:  # a list of patches
        expected = expected.reshape(4, 4, 8, 8, 3).permute(4, 0, 2, 1, 3).reshape(3, 32, 32)
    side = encoder.preprocessing.seen_px
    levels = (found - expected[:, :side, :side]).abs() * torch.tensor(encoder.preprocessing.std)[:, None, None] * 255
    # rounding of the resampling weights may turn single values by one grey level, nothing may be off by more
    assert levels.max() < (1.01 if backend == "pil" else 2.01)
    assert levels.mean() < (0.01 if backend == "pil" else 0.3)
    assert view.fit is not Fit.ENCODER and view.pixels.shape == (side, side, 3)


@pytest.mark.parametrize("how", [CLIP, DINO, SIGLIP], ids=["clip", "dino", "siglip"])
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(200, 120), (120, 201), (75, 75)], ids=str)
def test_the_box_is_where_the_pixels_are_from(how, fit, size):
    """Ramps in x and y: the colour of a view's pixel tells from which place of the picture it came."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    picture = Picture("ramps", np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    view = make_view(picture, fit, how)
    left, top, right, bottom = view.box_px
    centres = (np.arange(how.seen_px) + 0.5) / how.seen_px
    from_x, from_y = left + centres * (right - left) - 0.5, top + centres * (bottom - top) - 0.5
    seen_x, seen_y = np.meshgrid(from_x, from_y)
    rim = 2 * max(size) / 56 + 1  # as far as the bicubic filter reaches: there the padding shines in
    inside = (seen_x > rim) & (seen_x < width - rim) & (seen_y > rim) & (seen_y < height - rim)
    assert inside.mean() > 0.3
    assert np.abs(view.pixels[..., 0] - seen_x)[inside].max() < 1.01
    assert np.abs(view.pixels[..., 1] - seen_y)[inside].max() < 1.01


def test_boxes_by_hand():
    wide = Picture("wide", np.zeros((100, 300, 3), np.uint8))
    assert make_view(wide, Fit.ENCODER, CLIP).box_px == pytest.approx((100, 0, 200, 100))
    assert make_view(wide, Fit.PAD, CLIP).box_px == (0, -100, 300, 200)
    assert make_view(wide, Fit.SQUASH, CLIP).box_px == (0, 0, 300, 100)
    # 64 px high, of which the middle 56 are kept: 12.5 % less on each axis
    assert make_view(wide, Fit.ENCODER, DINO).box_px == pytest.approx((106.25, 6.25, 193.75, 93.75))
    assert make_view(wide, Fit.CROP, DINO).box_px == pytest.approx((100, 0, 200, 100))
    # the patch grid leaves the last 4 of 60 px out
    assert make_view(wide, Fit.ENCODER, SIGLIP).box_px == pytest.approx((0, 0, 280, 100 * 56 / 60))
    assert make_view(wide, Fit.PAD, SIGLIP).box_px == pytest.approx((0, -100, 280, 180))


def test_padding_is_llava_s():
    for size in ((90, 61), (61, 90), (64, 64)):
        picture = draw(*size)
        long = max(size)
        square = Image.new("RGB", (long, long), tuple(int(channel * 255) for channel in MEAN))
        square.paste(Image.fromarray(picture.pixels), ((long - size[0]) // 2, (long - size[1]) // 2))
        expected = np.asarray(square.resize((56, 56), BICUBIC)).astype(int)
        found = make_view(picture, Fit.PAD, CLIP).pixels.astype(int)
        assert np.abs(found - expected).max() <= 1
    assert mean_colour(CLIP) == (122, 116, 104)


def test_fit_crop_and_squash_are_resolved():
    picture = draw(90, 60)
    assert make_view(picture, Fit.ENCODER, CLIP).fit is Fit.CROP
    assert make_view(picture, Fit.ENCODER, SIGLIP).fit is Fit.SQUASH
    for fit in (Fit.CROP, Fit.PAD, Fit.SQUASH):
        assert make_view(picture, fit, SIGLIP).fit is fit


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (20_000, 7), (1, 1)], ids=str)
def test_extreme_shapes(size, fit):
    picture = Picture("thin", np.full((size[1], size[0], 3), 200, np.uint8))
    for how in (CLIP, DINO, SIGLIP):
        view = make_view(picture, fit, how)
        assert view.pixels.shape == (56, 56, 3) and view.pixels.dtype == np.uint8
        left, top, right, bottom = view.box_px
        assert right > left and bottom > top
        if view.fit is not Fit.PAD:
            assert (view.pixels == 200).all()
            assert min(left, top) >= 0 and right <= size[0] and bottom <= size[1]


def test_open_clip_rounds_as_torchvision_does():
    open_clip = pytest.importorskip("open_clip")
    how = Preprocessing(56, 56, Fit.CROP, 56, BICUBIC, MEAN, STD, rounds_offset=True)
    transform = open_clip.image_transform(56, is_train=False, mean=MEAN, std=STD)
    for size in ((59, 56), (56, 61), (63, 56), (91, 60)):
        picture = draw(*size)
        expected = transform(Image.fromarray(picture.pixels))
        found = torch.from_numpy(make_view(picture, Fit.ENCODER, how).pixels / 255).permute(2, 0, 1)
        found = (found - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        assert ((found - expected).abs() * 0.27 * 255).max() < 1.01


def test_a_folder_without_a_processor_gets_the_usual_one(model, opened, tmp_path):
    for file in model.folder.iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).symlink_to(file)
    encoder = open_encoder(str(tmp_path), device="cpu", dtype="float32")
    assert "assumed" in encoder.info.layer_note
    if "Dinov2" in model.kind:  # as the published checkpoints' processors do, whatever size it was trained at
        expected = Preprocessing(224, 224, Fit.CROP, 256, BICUBIC, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    else:
        expected = opened(model).preprocessing
    assert dataclasses.replace(encoder.preprocessing, scale=1 / 255) == dataclasses.replace(expected, scale=1 / 255)
