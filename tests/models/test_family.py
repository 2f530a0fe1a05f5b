import json
import subprocess
import sys

import numpy as np
import pytest
import tiny_family
import torch
from PIL import Image
from transformers import AutoProcessor, CLIPModel, LlamaForCausalLM, LlavaForConditionalGeneration

from explorer import cli
from explorer.models.answering import MiniAnswerer, Pictures, open_answerer
from explorer.models.checkpoint_ids import list_checkpoints
from explorer.models.family import (
    FACTS,
    WEIGHTS,
    checkpoint_name,
    export_checkpoint,
    layer_states,
    load_checkpoint,
    make_processor,
    read_encoder,
    save_checkpoint,
    weights_digest,
)
from explorer.models.projections import LayerProjections
from explorer.models.wording import unknown_words
from explorer.records import CheckpointError

MESSAGE = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many hot dogs are there?"}]}]


def projections(layers) -> LayerProjections:
    torch.manual_seed(3)
    found = LayerProjections(layers, 32, 16)
    for tensor in (found.weight, found.bias, found.centre):
        torch.nn.init.normal_(tensor, std=0.3)
    found.whiten.add_(0.1 * torch.randn(len(layers), 16, 16))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of an encoder and of checkpoints: of layer 2, of layers 1 + 2 + 4, and of any."""
    root = tmp_path_factory.mktemp("family")
    encoder = str(tiny_family.save_encoder(root / "encoder"))
    words = tiny_family.tokenizer()
    model, processor = tiny_family.language(words), make_processor(encoder, words)
    for name, layers in (("one", (2,)), ("fused", (1, 2, 4)), ("any", (1, 2, 3, 4))):
        save_checkpoint(root / name, projections(layers), model, processor, encoder, name == "any", {"steps": 0})
    return root


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (210, 300, 3), dtype=np.uint8)


def logits(model, processor, picture):
    text = processor.apply_chat_template(MESSAGE, add_generation_prompt=True)
    given = processor(images=Image.fromarray(picture), text=text, return_tensors="pt")
    with torch.no_grad():
        return model(**given).logits


@pytest.mark.parametrize("name", ["one", "fused"])
def test_an_export_loads_in_plain_transformers_and_gives_the_same_logits(made, picture, tmp_path, name):
    own = load_checkpoint(made / name)
    export_checkpoint(made / name, tmp_path / "out")
    plain = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    theirs = logits(plain, AutoProcessor.from_pretrained(tmp_path / "out"), picture)
    assert plain.config.vision_feature_layer == (2 if name == "one" else [1, 2, 4])
    assert own.layers.layers == ((2,) if name == "one" else (1, 2, 4))
    assert torch.equal(logits(own.model, own.processor, picture), theirs)


ALONE = """
import json, sys
import numpy as np
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

folder, question = sys.argv[1:]
processor = AutoProcessor.from_pretrained(folder)
model = LlavaForConditionalGeneration.from_pretrained(folder, dtype="float32")
image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (210, 300, 3), dtype=np.uint8))
message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
text = processor.apply_chat_template(message, add_generation_prompt=True)
given = processor(images=image, text=text, return_tensors="pt")
said = processor.decode(model.generate(**given)[0, given["input_ids"].shape[1]:], skip_special_tokens=True)
assert not any(name.partition(".")[0] == "explorer" for name in sys.modules)
print(json.dumps(said))
"""


def test_the_command_export_writes_what_a_process_with_only_transformers_answers_from(made, picture, tmp_path, capsys):
    question = "How many hot dogs are there?"
    assert cli.main(["export", str(made / "fused"), "--out", str(tmp_path / "out")]) == 0
    assert "1 + 2 + 4 · fused" in capsys.readouterr().out
    run = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "out"), question]
    said = json.loads(subprocess.run(run, cwd=tmp_path, capture_output=True, check=True, text=True).stdout)
    assert [[said]] == open_answerer(str(made / "fused"), {}).answer(Pictures([picture]), [[question]])
    assert not any(path.is_symlink() or path.suffix == ".py" for path in (tmp_path / "out").iterdir())
    for arguments in ([str(made / "fused"), "--out", str(tmp_path / "out")], [str(tmp_path / "out"), "--out", "x"]):
        assert cli.main(["export", *arguments]) == 2
    assert cli.main(["export", f"{made / 'any'}@4+1", "--out", str(tmp_path / "chosen")]) == 0
    config = json.loads((tmp_path / "chosen" / "config.json").read_text())
    assert config["vision_feature_layer"] == [4, 1]


def test_a_choice_of_layers_exports_as_an_ordinary_fused_checkpoint(made, picture, tmp_path):
    own = load_checkpoint(made / "any", layers=(4, 1))
    export_checkpoint(made / "any", tmp_path / "out", layers=(4, 1))
    plain = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert plain.config.vision_feature_layer == [4, 1]
    theirs = logits(plain, AutoProcessor.from_pretrained(tmp_path / "out"), picture)
    assert torch.equal(logits(own.model, own.processor, picture), theirs)


def test_the_projector_reads_raw_layers_without_cls_as_the_projections_say(made):
    encoder = read_encoder(str(made / "encoder"))
    pixels = torch.randint(0, 256, (2, 168, 168, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    own = load_checkpoint(made / "fused", encoder=encoder)
    states = layer_states(encoder, own.processor.image_processor, pixels)
    expected = projections((1, 2, 4))(states, torch.ones(2, 3))
    values = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    found = torch.stack(own.model.get_image_features(values).pooler_output)
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.02)  # the projector is stored in bfloat16
    whole = CLIPModel.from_pretrained(made / "encoder", dtype=torch.float32).vision_model
    with torch.no_grad():
        hidden = whole(pixel_values=values, output_hidden_states=True).hidden_states
    assert len(states) == len(hidden) == tiny_family.BLOCKS + 1
    for state, other in zip(states, hidden, strict=True):
        torch.testing.assert_close(state, other[:, 1:])


def test_checkpoints_share_the_encoder_they_are_given(made):
    encoders = {}
    first, second = (open_answerer(str(made / name), encoders) for name in ("one", "any@3+4"))
    assert isinstance(first, MiniAnswerer) and isinstance(second, MiniAnswerer)
    assert second.layers == (3, 4)
    assert first._checkpoint.model.model.vision_tower is second._checkpoint.model.model.vision_tower


def test_many_questions_at_once_are_answered_as_generate_answers_them(made, picture, tmp_path, monkeypatch):
    monkeypatch.setattr("explorer.models.hardware._processor_has_bfloat16", lambda: False)  # rounding changes words
    export_checkpoint(made / "fused", tmp_path / "out")
    pictures = Pictures([picture, picture[:, ::-1].copy()])
    questions = [["Is there a dog?", "How many hot dogs are there?"], ["Where is the cat?"]]
    packed = open_answerer(str(made / "fused"), {}).answer(pictures, questions)
    assert packed == open_answerer(str(tmp_path / "out"), {}).answer(pictures, questions)
    assert all(answer for some in packed for answer in some)


def test_a_folder_without_its_encoder_is_no_whole_model(made):
    with pytest.raises(OSError):
        LlavaForConditionalGeneration.from_pretrained(made / "one")


def test_an_encoder_with_other_weights_is_refused(made, tmp_path):
    facts = json.loads((made / "one" / FACTS).read_text())
    facts["encoder"] = str(tiny_family.save_encoder(tmp_path / "other", seed=1))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (made / "one").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / FACTS).write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="trained on other weights"):
        load_checkpoint(copy)


def test_loading_does_not_mind_another_threads_number_format(made, picture):
    """transformers sets torch's default while it builds a model in bfloat16; what is built meanwhile must not follow it."""
    before = load_checkpoint(made / "fused")
    torch.set_default_dtype(torch.bfloat16)
    try:
        during = load_checkpoint(made / "fused")
    finally:
        torch.set_default_dtype(torch.float32)
    for a, b in zip(before.model.state_dict().values(), during.model.state_dict().values(), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    assert torch.equal(*(logits(one.model, one.processor, picture) for one in (before, during)))


def test_loading_does_not_mind_that_another_thread_loads(made):
    from transformers.initialization import no_tie_weights

    with no_tie_weights():  # as while another thread is in from_pretrained
        model = load_checkpoint(made / "fused").model
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight


def test_words_that_are_a_language_models_own_are_stored_there_alone(made, picture, tmp_path):
    shared = tiny_family.save_language(tmp_path / "words")
    model = LlamaForCausalLM.from_pretrained(shared, dtype=torch.float32)
    words, encoder = tiny_family.tokenizer(), str(made / "encoder")
    rest = projections((2,)), model, make_processor(encoder, words), encoder, False, {}
    save_checkpoint(tmp_path / "whole", *rest)
    save_checkpoint(tmp_path / "sharing", *rest, words=str(shared))
    saved = (tmp_path / "whole" / WEIGHTS).stat().st_size - (tmp_path / "sharing" / WEIGHTS).stat().st_size
    assert saved > 2 * model.get_input_embeddings().weight.numel()
    whole, sharing = (load_checkpoint(tmp_path / name) for name in ("whole", "sharing"))
    assert torch.equal(*(logits(one.model, one.processor, picture) for one in (whole, sharing)))
    digests = {weights_digest(tmp_path / name) for name in ("whole", "sharing")}
    with torch.no_grad():
        model.get_input_embeddings().weight[5] += 1
    save_checkpoint(tmp_path / "own", *rest, words=str(shared))  # no longer the same words: written whole
    assert "words" not in json.loads((tmp_path / "own" / FACTS).read_text())
    assert len(digests) == 2
    tiny_family.save_language(shared, seed=1)
    with pytest.raises(CheckpointError, match="sharing was trained on other weights of the language model"):
        load_checkpoint(tmp_path / "sharing")
    (shared / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="sharing needs the language model"):
        load_checkpoint(tmp_path / "sharing")


def test_damage_and_wrong_names_are_told(made, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (made / "one").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / WEIGHTS).write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(CheckpointError, match="copy is damaged"):
        load_checkpoint(copy)
    with pytest.raises(CheckpointError, match="no checkpoint of the mini family"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="cannot read layers 9"):
        load_checkpoint(made / "any", layers=(9,))
    with pytest.raises(CheckpointError, match="cannot read layers 3"):
        load_checkpoint(made / "one", layers=(3,))
    with pytest.raises(CheckpointError, match="no checkpoint 'nowhere' here"):
        open_answerer("nowhere", {})


def test_names_follow_the_layers():
    assert [checkpoint_name(x) for x in ((18,), (3, 18, 23), (18, 23), None)] == [
        "mini-l18",
        "mini-fused",
        "mini-l18-23",
        "mini-any",
    ]


def test_the_built_in_checkpoints_are_listed(made):
    rows = [row for row in list_checkpoints(made) if "/" not in row.id]
    assert [(row.id, row.choosable, row.on_this_machine, row.blocks) for row in rows] == [
        ("one", False, True, 4),
        ("fused", False, True, 4),
        ("any", True, True, 4),
    ]
    assert all(row.size_bytes > 10_000 and row.memory_bytes > 10_000 and row.licence for row in rows)


def test_words_that_must_be_spelled_are_unknown():
    words = tiny_family.tokenizer()
    assert unknown_words(words, "Is there a Xylophone near the hot dogs, or 12 wombats?") == ["Xylophone", "wombats"]
    assert unknown_words(words, "Isn't there a dog?") == []
    assert words.tokenize("2 hot dogs and a dog") == ["2", "hot dogs", "and", "a", "dog"]
    assert words.decode(words("a teddy bear on wxyz").input_ids) == "a teddy bear on wxyz"
