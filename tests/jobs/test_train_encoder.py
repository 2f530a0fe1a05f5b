import csv
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, CLIPModel

from explorer.jobs.encoder_data import (
    GRID,
    PATCH_PX,
    Step,
    Windows,
    drawn_scene,
    encoder_pixels,
    middle_labels,
    sign_labels,
    write_sign,
)
from explorer.jobs.muon import orthogonalise
from explorer.jobs.score_encoder import ScoreSettings, score_encoder
from explorer.jobs.settings import load_settings
from explorer.jobs.train_encoder import (
    EncoderRun,
    EncoderSettings,
    contrastive_loss,
    count_things,
    counts_loss,
    embed_texts,
    embed_windows,
    rate,
    train_encoder,
    words_loss,
)
from explorer.records import SettingsError
from explorer.scenes.kinds import KINDS, WORDS
from explorer.scenes.layout import make_scene
from explorer.scenes.scene import SceneObject, Sign

TINY = EncoderSettings(
    width=32, mlp_width=32, heads=2, blocks=2, text_width=32, text_blocks=1, projection=16, vocabulary=800, tokenizer_captions=300,
    phases=((3, 6, 4), (2, 12, 3)), threads=1, workers=0, save_minutes=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train_encoder(dataclasses.replace(TINY, out=str(out)))


def test_a_stopped_run_ends_with_the_same_weights(finished, tmp_path):
    out, _ = finished
    settings = dataclasses.replace(TINY, out=str(tmp_path))
    shutil.copytree(out / "tokenizer", tmp_path / "tokenizer")  # ties between merges are broken by chance
    EncoderRun(settings).train(until=2)
    EncoderRun(settings).train()
    whole, resumed = (torch.load(folder / "state.pt", weights_only=True)["model"] for folder in (out, tmp_path))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_can_start_from_a_finished_model(finished, tmp_path):
    _, folder = finished
    run = EncoderRun(dataclasses.replace(TINY, out=str(tmp_path), init=str(folder)))
    saved = CLIPModel.from_pretrained(folder, dtype=torch.float32).state_dict()
    assert run.step == 0 and all(torch.equal(saved[name], weight) for name, weight in run.model.state_dict().items())


def test_new_heads_learn_before_the_model_does(finished, tmp_path):
    _, folder = finished
    settings = dataclasses.replace(TINY, out=str(tmp_path), init=str(folder), middles_weight=1.0, heads_steps=2)
    run = EncoderRun(settings)
    before = [{name: w.clone() for name, w in part.state_dict().items()} for part in (run.model, run.head, run.middles)]
    run.train(until=2)
    model, head, middles = (part.state_dict() for part in (run.model, run.head, run.middles))
    assert all(torch.equal(before[0][name], weight) for name, weight in model.items())
    assert not torch.equal(before[1]["weight"], head["weight"])
    assert not torch.equal(before[2]["weight"], middles["weight"])
    run.train(until=3)
    assert not torch.equal(before[0]["visual_projection.weight"], run.model.state_dict()["visual_projection.weight"])


def test_half_precision_gives_nearly_the_same_loss(finished, tmp_path):
    _, folder = finished
    losses = []
    for halved in (False, True):
        settings = dataclasses.replace(
            TINY, out=str(tmp_path / str(halved)), init=str(folder), patch_words_weight=1.0, middles_weight=1.0
        )
        run = EncoderRun(settings)
        run.halved = halved
        data = Windows(settings.seed, settings.plan(), settings.scenes)
        losses.append(run.train_step(5, *data[0]))
    for name in ("loss", "words", "patches"):
        assert losses[0][name] == pytest.approx(losses[1][name], rel=0.03), name


def test_rare_words_weigh_more_and_specials_nothing(finished, tmp_path):
    out, _ = finished
    shutil.copytree(out / "tokenizer", tmp_path / "tokenizer")
    run = EncoderRun(dataclasses.replace(TINY, out=str(tmp_path)))
    tokens = run.tokenizer(["a dog", "a cat", "a cow on grass"], padding=True, return_tensors="pt")["input_ids"]
    weights = run._rarity(tokens)
    a, dog = (run.tokenizer.convert_tokens_to_ids(word) for word in ("a</w>", "dog</w>"))
    assert weights[a] == 0 and weights[dog] == pytest.approx(np.log(2)) and weights[run.tokenizer.eos_token_id] == 0
    sure = torch.full((3, len(run.tokenizer)), -20.0).scatter(1, tokens[:, 2:3], 20.0)
    assert words_loss(sure[:2], tokens[:2], weights) < 0.01 < words_loss(-sure[:2], tokens[:2], weights)


def test_the_exported_folder_sees_as_training_did(finished):
    out, folder = finished
    scene = make_scene(1_100_000_123)
    processor = AutoProcessor.from_pretrained(folder)
    pixels = processor(images=Image.fromarray(encoder_pixels(scene)), return_tensors="pt")["pixel_values"]
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    run = EncoderRun(dataclasses.replace(TINY, out=str(out)))
    raw = torch.from_numpy(encoder_pixels(scene).copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        seen = torch.nn.functional.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
        trained = embed_windows(run.model, raw, torch.zeros(1, 2, dtype=torch.long))[:, 0]
        assert torch.allclose(seen, torch.nn.functional.normalize(trained, dim=-1), atol=0.02)  # bf16 weights
        words = processor.tokenizer(["a dog"], return_tensors="pt")
        read = torch.nn.functional.normalize(model.get_text_features(**words).pooler_output, dim=-1)
        assert torch.allclose(read, embed_texts(run.model, run.tokenizer, ["a dog"]), atol=0.02)


def test_the_tokenizer_knows_every_printable_character(finished):
    _, folder = finished
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    for text in ("3 dogs & 7 cats!", 'the word "OPEN"', "été", "日本"):
        tokens = tokenizer.tokenize(text)
        assert tokenizer.eos_token not in tokens
    assert "dogs</w>" in tokenizer.tokenize("dogs")


def test_scoring_counts_what_it_should(finished):
    _, folder = finished
    scores = score_encoder(ScoreSettings(model=str(folder), scenes=64, pool=32, one_object_scenes=32, batch=16))
    for share in (*scores["retrieval"].values(), scores["recognition"]["kind"]):
        assert share["low"] <= share["accuracy"] <= share["high"] and share["accuracy"] < 0.5  # untrained
    assert scores["retrieval"]["scene_to_caption"]["n"] == 64


def test_batches_depend_on_seed_and_step_alone():
    plan = [Step(6, 6, 3), Step(GRID, GRID, 2)]
    first, again = Windows(7, plan, 2), Windows(7, plan, 2)
    for step in (1, 0):
        a, b = first[step], again[step]
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]
    assert first[0][0].shape == (3, 3, 84, 84) and first[1][0].shape == (2, 3, 168, 168)


def test_a_share_of_the_windows_is_cut_from_crowds():
    plan = [Step(GRID, GRID, 24)]
    middles = [Windows(7, plan, 5000, crowds=share)[0][3][..., 2] for share in (0.0, 1.0)]
    most = [[np.bincount(scene[scene >= 0], minlength=1).max() for scene in some.numpy()] for some in middles]
    assert min(most[1]) >= 3 and np.mean(most[1]) > 5 > 3.5 > np.mean(most[0])  # two middles may share a patch


def test_sums_that_miss_the_counts_cost_in_units_of_chance():
    right = count_things(torch.tensor([[0, 2, 2, 3], [0, 0, 0, 0]]), 3)  # two things of kind 1, one of kind 2; nothing
    exact = torch.tensor([[0.0, 2, 1], [0, 0, 0]])
    assert torch.equal(right, exact.long()) and counts_loss(exact, right) == 0
    for kind, there in ((0, 0), (1, 2), (2, 1)):
        more = exact.clone()
        more[0, kind] += 1
        assert counts_loss(more, right) == pytest.approx(0.5 / (1 + there))  # mean of two pictures


def test_the_chances_of_middles_learn_to_add_up(finished, tmp_path):
    _, folder = finished
    settings = dataclasses.replace(
        TINY, out=str(tmp_path), init=str(folder), middles_weight=1.0, counts_weight=100.0, phases=((8, GRID, 4),)
    )
    run = EncoderRun(settings)
    run.train()
    with (tmp_path / "log.csv").open() as file:
        missed = [float(row["counts"]) for row in csv.DictReader(file)]
    assert len(missed) == 8 and np.mean(missed[-2:]) < missed[0]


def test_a_middle_learns_how_many_there_are(finished, tmp_path):
    _, folder = finished
    settings = dataclasses.replace(
        TINY, out=str(tmp_path), init=str(folder), middles_weight=1.0, numbers_weight=10.0, phases=((40, GRID, 2),),
        scenes=2,
    )  # fmt: skip
    run = EncoderRun(settings)
    run.train()
    with (tmp_path / "log.csv").open() as file:
        rows = [(float(row["alike"]), float(row["all"])) for row in csv.DictReader(file)]
    first, last = np.mean(rows[:5], 0), np.mean(rows[-5:], 0)
    assert (last > first).all() and last.min() > 0.5, (first, last)


def test_strips_hold_a_new_sign_and_the_caption_says_its_word():
    plan = EncoderSettings(phases=((4, 6, 3),), strips=(2, 3, 5)).plan()
    assert [step.rows for step in plan] == [6, 3, 6, 3] and plan[1].words < plan[3].words == len(WORDS)
    pixels, firsts, captions, labels = Windows(7, [Step(3, GRID, 12, words=4)], 6)[0]
    assert pixels.shape == (12, 3, 3 * PATCH_PX, 168) and not firsts[:, 1].any()
    said = [next((word for word in WORDS if f'"{word}"' in caption), None) for caption in captions]
    assert {word for word in said if word} <= set(WORDS[:4]) and sum(word is not None for word in said) >= 8
    assert labels.shape == (12, 36, 3)
    for word, letters, boards in zip(said, *labels[..., :2].unbind(-1), strict=True):
        spelled = "".join(chr(ord("A") + letter) for letter in letters.tolist() if letter >= 0)
        assert word is None or set(boards.tolist()) == {-1, WORDS.index(word)} and set(spelled) <= set(word)


def test_middles_lie_where_the_things_are_also_in_mirrored_windows():
    things = [SceneObject("dog", 0.5, 0.3, 0.2), SceneObject("cat", 0.9, 0.9, 0.2)]
    labels = middle_labels(things, 28, 42, Step(6, 6, 1)).reshape(6, 6)
    assert np.argwhere(labels >= 0).tolist() == [[1, 3]] and labels[1, 3] == list(KINDS).index("dog")
    seed = next(seed for seed in range(100) if len(drawn_scene(seed)[0].objects) > 2 and not drawn_scene(seed)[0].sign)
    scene, image = drawn_scene(seed)
    right = middle_labels(scene.objects, 0, 0, Step(GRID, GRID, 1)).reshape(GRID, GRID)
    seen = set()
    for step in range(200):
        pixels, _, _, labels = Windows(step, [Step(GRID, GRID, 1)], seed + 1)[0]
        shown = pixels[0].permute(1, 2, 0).numpy()
        for mirrored, drawn, middles in ((False, image, right), (True, image[:, ::-1], right[:, ::-1])):
            if (shown == drawn).all():
                assert (labels[0, :, 2].numpy() == middles.flatten()).all()
                seen.add(mirrored)
        if len(seen) == 2:
            return
    raise AssertionError(seen)


def test_patches_of_strips_are_asked_for_letters_and_words(finished, tmp_path):
    out, _ = finished
    shutil.copytree(out / "tokenizer", tmp_path / "tokenizer")
    EncoderRun(
        dataclasses.replace(TINY, out=str(tmp_path), strips=(2, 3, 4), signs_weight=1.0, middles_weight=1.0)
    ).train()
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    read = [bool(row["letter"] and row["word"]) for row in rows if row["rows"] == "3"]
    assert read == [True, True]
    assert all(float(row["nothing"]) > 0.9 for row in rows)


def test_a_sign_is_asked_for_where_it_lies_and_its_word_where_it_is_whole():
    sign = Sign("TEA", "LiberationSans-Bold", 0.5, 0.3, 0.5, 0.2)
    letters, boards = sign_labels(sign, 0, 0, Step(12, 12, 1)).reshape(12, 12, 2).transpose(2, 0, 1)
    row = [letter for letter in letters.max(0) if letter >= 0]
    assert list(dict.fromkeys(row)) == [19, 4, 0]  # T, E, A from left to right
    assert (boards >= 0).sum() == 3 * 6 and boards.max() == WORDS.index("TEA")
    cut = sign_labels(sign, 28, 84, Step(3, 6, 1)).reshape(3, 6, 2)
    assert (cut[..., 0] == letters[2:5, 6:]).all() and (cut[..., 1] == -1).all()
    assert (sign_labels(None, 0, 0, Step(3, 3, 1)) == -1).all()


def test_a_new_sign_changes_its_place_alone_and_hides_what_it_covers():
    seed = next(seed for seed in range(100) if not drawn_scene(seed)[0].sign)
    scene, image = drawn_scene(seed)
    other, changed = write_sign(scene, image, 9, np.random.default_rng(3))
    left, top, right, bottom = (168 * edge for edge in other.sign.box())
    rows, columns = np.nonzero((image != changed).any(-1))
    assert (
        left - 2 <= columns.min() and columns.max() <= right + 2 and top - 2 <= rows.min() and rows.max() <= bottom + 2
    )
    assert set(other.objects) <= set(scene.objects) and other.sign.word in WORDS[:9]


def test_equal_captions_share_the_target():
    logits = torch.tensor([[2.0, 2.0, -9.0], [2.0, 2.0, -9.0], [-9.0, -9.0, 9.0]])
    assert contrastive_loss(logits, ["a", "a", "b"]) < contrastive_loss(logits, ["a", "c", "b"]) + 1e-6
    assert contrastive_loss(logits, ["a", "a", "b"]) == pytest.approx(2 * np.log(2) / 3, abs=1e-3)


def test_orthogonalise_makes_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 40, 24)))
    assert values.min() > 0.6 and values.max() < 1.3


def test_the_rate_rises_stays_and_falls():
    rates = [rate(step, 100, EncoderSettings()) for step in range(101)]
    assert rates[0] < 0.5 and rates[30] == 1.0 and rates[100] == pytest.approx(0.0, abs=1e-9)


def test_settings_come_from_file_then_flags_and_unknown_keys_are_errors(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("width = 64\nphases = [[1, 6, 4]]\n")
    assert load_settings(EncoderSettings, file, heads=8) == dataclasses.replace(
        EncoderSettings(), width=64, phases=((1, 6, 4),), heads=8
    )
    file.write_text("widht = 64\n")
    with pytest.raises(SettingsError, match="widht"):
        load_settings(EncoderSettings, file)
