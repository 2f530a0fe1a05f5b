"""Checkpoints of the real classes, tiny and random, answer through their own processors and chat templates."""

import json
import shutil
import threading
from copy import deepcopy

import numpy as np
import pytest
import tiny_llavas
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from explorer.models import loading, memory
from explorer.models.inspect_checkpoint import inspect_checkpoint
from explorer.models.loading import load_checkpoint
from explorer.models.memory import count_weights, plan
from explorer.models.shared_towers import SharedTowers
from explorer.models.speaking import Asked
from explorer.models.spelling import spellings
from explorer.models.transformers_speaker import TransformersSpeaker
from explorer.records import AnswerKind, CheckpointError, Picture

PICTURE = Picture("noise", np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8))
QUESTION = "How many cats are there?"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = tiny_llavas.save_checkpoint(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved("llava"), tmp_path / "copy")


def speaker(folder, **how):
    return TransformersSpeaker(str(folder), "cpu", dtype="float32", **how)


def say(who, question=QUESTION, **how):
    return list(who.speak(Asked(PICTURE, question, **how), threading.Event()))


def plainly(folder, layer=None):
    """What transformers alone answers, and its first logits."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    if layer is not None:
        model.config.vision_feature_layer = layer
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    given = processor(images=Image.fromarray(PICTURE.pixels), text=text, return_tensors="pt")
    out = model.generate(**given, max_new_tokens=24, do_sample=False, output_logits=True, return_dict_in_generate=True)
    told = processor.tokenizer.decode(out.sequences[0, given.input_ids.shape[1] :], skip_special_tokens=True)
    return told.strip(), out.logits[0][0].softmax(-1)


@pytest.mark.parametrize("kind", tiny_llavas.KINDS)
def test_each_class_answers_as_transformers_alone_and_is_inspected(saved, kind):
    folder, layers = saved(kind), tiny_llavas.KINDS[kind][2]
    who = speaker(folder)
    assert (who.layers, who.blocks) == (layers, tiny_llavas.BLOCKS) and who.size_bytes > 10_000
    said = say(who)
    text, chances = plainly(folder)
    assert said[-1].text == text and (not text or len({one.text for one in said}) > 2)
    assert said[0].text == "" and [p for _, p in said[-1].probabilities] == pytest.approx(
        chances.topk(5).values.tolist()
    )
    found = inspect_checkpoint(str(folder))
    assert found.layers.layers == layers and found.check.agrees


def test_a_class_that_names_no_layers_answers_all_the_same(tmp_path):
    """SmolVLM's class: it reads its tower's last layer, and its processor writes the picture's tokens itself."""
    marks = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    words = deepcopy(tiny_llavas.tokenizer())
    words.add_special_tokens({"additional_special_tokens": ["<image>", *marks]})
    size = {"longest_edge": 28}
    images = transformers.Idefics3ImageProcessor(size=size, max_image_size=size, do_image_splitting=False)
    template = tiny_llavas.CHAT_TEMPLATE
    transformers.Idefics3Processor(images, words, image_seq_len=4, chat_template=template).save_pretrained(tmp_path)
    small = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2)
    config = transformers.Idefics3Config(
        vision_config=dict(small, image_size=28, patch_size=7),
        text_config=dict(tiny_llavas.LLAMA, vocab_size=64),
        image_token_id=tiny_llavas.WORDS.index("<image>"),
        scale_factor=2,
        pad_token_id=3,
    )
    torch.manual_seed(0)
    transformers.Idefics3ForConditionalGeneration(config).save_pretrained(tmp_path)
    who = speaker(tmp_path)
    assert (who.layers, who.blocks) == ((), 3)
    said = say(who)[-1]
    text, chances = plainly(tmp_path)
    assert said.text == text and said.probabilities[0][1] == pytest.approx(chances.max().item())
    with pytest.raises(CheckpointError, match="does not say which layers"):
        who.reading((1,))


@pytest.mark.parametrize("kind", ["llava", "next", "onevision"])
def test_candidates_are_scored_as_whole_answers(saved, kind):
    """Brute force: each candidate and its end of turn after the prompt, in one forward of its own."""
    candidates = ("yes", "no", "yes A room.", "10 cats")
    said = say(speaker(saved(kind)), kind=AnswerKind.CHOICE, candidates=candidates)[-1]
    processor = transformers.AutoProcessor.from_pretrained(saved(kind))
    model = transformers.AutoModelForImageTextToText.from_pretrained(saved(kind), dtype=torch.float32).eval()
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    scores = []
    for candidate in candidates:
        given = processor(images=Image.fromarray(PICTURE.pixels), text=text, return_tensors="pt")
        tokens = processor.tokenizer(f"{candidate} </s>", add_special_tokens=False).input_ids
        given["input_ids"] = torch.cat([given["input_ids"], torch.tensor([tokens])], 1)
        given["attention_mask"] = torch.ones_like(given["input_ids"])
        with torch.no_grad():
            rows = model(**given).logits[0].log_softmax(-1)
        scores.append(sum(rows[k - len(tokens) - 1, token].item() for k, token in enumerate(tokens)))
    assert [name for name, _ in said.probabilities] == list(candidates)
    assert [p for _, p in said.probabilities] == pytest.approx(torch.tensor(scores).softmax(0).tolist(), abs=1e-4)


def test_candidates_are_spelled_as_the_model_would():
    assert spellings(("yes", "no")) == [("yes", "no"), ("Yes", "No")]
    assert spellings(("0", "3")) == [("0", "3"), ("zero", "three"), ("Zero", "Three")]
    assert spellings(("A", "21")) == [("A", "21")]


def test_equal_towers_are_shared_and_see_a_picture_once(saved, copy):
    towers = SharedTowers()
    first, second = (speaker(folder, towers=towers) for folder in (saved("llava"), copy))
    assert first._model.model.vision_tower is second._model.model.vision_tower
    plain = say(speaker(saved("llava")))
    for who in (first, second, first.reading((1,))):
        assert len(say(who)) > 1
    assert towers.forwards == 1 and say(first) == plain
    assert say(first.reading((1,))) == say(speaker(saved("llava")).reading((1,)))


@pytest.mark.parametrize("kind", ["llava", "vip"])
def test_where_it_looked_sums_to_one(saved, kind):
    found = speaker(saved(kind)).look(PICTURE, QUESTION)
    assert (found.rows, found.cols) == (2, 2) and found.attention.shape == (2, 2, 4)
    for values in (found.attention, found.rollout, found.gradient):
        assert (values >= 0).all() and np.allclose(values.sum(-1), 1, atol=1e-5)
    assert found.gradient.std() > 0


def test_where_a_tiled_picture_was_looked_at_cannot_be_seen(saved):
    with pytest.raises(CheckpointError, match="no square grid"):
        speaker(saved("next")).look(PICTURE, QUESTION)


def test_weights_that_are_no_numbers_are_refused(copy):
    tensors = load_file(copy / "model.safetensors")
    next(value for name, value in tensors.items() if "q_proj" in name)[0] = float("nan")
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        speaker(copy)


@pytest.mark.parametrize(("kind", "layers"), [("llava", (1,)), ("vip", (4, 2, 1))])
def test_an_untrained_swap_reads_other_layers_with_the_same_weights(saved, kind, layers):
    who = speaker(saved(kind))
    before = say(who)[-1]
    swapped = who.reading(layers)
    assert swapped.layers == layers and swapped._model is who._model
    said = say(swapped)[-1]
    text, chances = plainly(saved(kind), layers[0] if kind == "llava" else list(layers))
    assert said.text == text and said.probabilities[0][1] == pytest.approx(chances.max().item())
    assert said.probabilities != before.probabilities and say(who)[-1] == before
    with pytest.raises(CheckpointError, match="name as many"):
        who.reading((1, 2))


def test_earlier_turns_temperature_and_a_stop(saved):
    who = speaker(saved("llava"))
    alone, after = say(who)[-1], say(who, turns=(("What is it?", "A room."),))[-1]
    assert alone.probabilities != after.probabilities
    assert len({say(who, temperature=1.5)[-1].text for _ in range(4)}) > 1
    stop = threading.Event()
    heard = []
    for said in who.speak(Asked(PICTURE, QUESTION, most_tokens=512), stop):
        heard.append(said)
        if said.text:
            stop.set()
    assert len(heard) < 100
    many = who.answer_many([Asked(PICTURE, QUESTION), Asked(PICTURE, "Is there a cat?")])
    assert many[0] == alone and len(many) == 2


def test_what_its_own_code_cannot_do_is_one_sentence(saved):
    with pytest.raises(CheckpointError, match="failed on this"):
        say(speaker(saved("llava")).reading((0,)))  # transformers cannot read layer 0 alone


def refuses(folder, says, **how):
    with pytest.raises(CheckpointError, match=says) as caught:
        load_checkpoint(str(folder), device="cpu", **how)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 500


def test_folders_that_cannot_be_asked(copy, tmp_path):
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    refuses(copy, "damaged or incomplete")
    weights.write_bytes(b"<html>")
    refuses(copy, "damaged or incomplete")
    weights.unlink()
    refuses(copy, "holds no complete weights")
    weights.write_bytes(whole)
    tensors = load_file(weights)
    save_file({k: v for k, v in tensors.items() if "layers.1.mlp.up_proj" not in k}, weights, {"format": "pt"})
    refuses(copy, "lacks 1 weights, .*up_proj.weight for one")
    weights.write_bytes(whole)
    (copy / "chat_template.jinja").unlink()
    refuses(copy, "lacks a chat template")
    refuses(tmp_path / "nowhere", "nowhere")
    (copy / "config.json").write_text("{")
    refuses(copy, "cannot be loaded")


def test_code_in_a_folder_is_never_run(copy, tmp_path):
    (copy / "modeling_evil.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForImageTextToText"), "modeling_evil.Evil"),
    }
    (copy / "config.json").write_text(json.dumps(config))
    refuses(copy, "cannot be loaded")
    assert not (tmp_path / "touched").exists()


def test_weights_are_counted_from_headers(saved):
    model = transformers.AutoModelForImageTextToText.from_pretrained(saved("vip"))
    assert count_weights(saved("vip")) == sum(weight.numel() for weight in model.parameters())


def test_it_is_told_before_the_load_that_it_does_not_fit(saved, monkeypatch):
    others = [1, 2]
    monkeypatch.setattr(loading, "free_bytes", lambda device: 290_000_000)
    monkeypatch.setattr(loading, "_load_model", lambda *_: pytest.fail("it was loaded"))
    says = "does not fit: in bfloat16 it needs 0.3 GB of memory, and 0.3 GB are free on cpu. Close"
    refuses(saved("llava"), says, drop_oldest=lambda: bool(others) and bool(others.pop()))
    assert others == []  # those that could leave memory left it


def test_a_plan_takes_the_first_format_that_fits():
    seven = 7_063_000_000
    assert plan("x", seven, ["float32", "bfloat16"], 64_000_000_000, "cpu").form == "float32"
    assert plan("x", seven, ["float32", "bfloat16"], 20_000_000_000, "cpu").form == "bfloat16"
    assert plan("x", seven, ["float32"], None, "cpu").form == "float32"
    with pytest.raises(CheckpointError, match=r"needs 15.8 GB of memory, and 8.0 GB are free on cuda:0.*#bits=4"):
        plan("x", seven, ["bfloat16"], 8_000_000_000, "cuda:0")
    assert plan("x", seven, ["4 bits"], 8_000_000_000, "cuda:0").needed_bytes < 6e9


def test_free_memory_heeds_a_container(monkeypatch, tmp_path):
    machine = memory.free_bytes("cpu")
    assert machine is None or machine > 1e6
    (tmp_path / "max").write_text("3000000\n")
    (tmp_path / "now").write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUPS", ((str(tmp_path / "max"), str(tmp_path / "now")),))
    assert memory.free_bytes("cpu") == 2_000_000
    (tmp_path / "max").write_text("max")
    assert memory.free_bytes("cpu") != 2_000_000


def test_few_bits_without_what_they_need(saved, monkeypatch):
    refuses(saved("llava"), "4 or 8 bits, not in 3", bits=3)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refuses(saved("llava"), r"needs bitsandbytes and accelerate: run `pip install", bits=4)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    refuses(saved("llava"), "needs a CUDA GPU", bits=8)
