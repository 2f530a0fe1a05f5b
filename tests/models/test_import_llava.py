import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from explorer import cli
from explorer.models.import_llava import import_llava
from explorer.models.inspect_checkpoint import inspect_checkpoint
from explorer.records import CheckpointError

BLOCKS, WIDTH, HIDDEN, WORDS = 4, 16, 24, 70
PATCHES = 4
WAYS = {  # the projector, mm_vision_select_layer, its true layers, how the folder is written
    "linear-inside": ("linear", -2, (3,), "inside", "safetensors"),
    "mlp-beside-bin": ("mlp2x_gelu", 2, (2,), "beside", "bin"),
    "fused-beside": ("linear", [1, -3, 3], (1, 2, 3), "beside", "safetensors"),
}


def shake(model):
    for weight in model.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    return model.eval()


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A tiny CLIP in a folder, and a tiny Llama whose rotary base is not the usual."""
    torch.manual_seed(0)
    sizes = dict(intermediate_size=24, num_attention_heads=2)
    vision = dict(sizes, hidden_size=WIDTH, num_hidden_layers=BLOCKS, image_size=28, patch_size=14)
    text = dict(sizes, hidden_size=16, num_hidden_layers=1)
    clip = shake(transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision, text_config=text)))
    tower = tmp_path_factory.mktemp("clip")
    clip.save_pretrained(tower)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size=28, image_mean=[0.2, 0.4, 0.6]
    ).save_pretrained(tower)
    config = transformers.LlamaConfig(
        **sizes,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        vocab_size=WORDS,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    )
    return tower, clip.vision_model, shake(transformers.LlamaForCausalLM(config))


def projector_of(kind, count):
    torch.manual_seed(count)
    first = nn.Linear(WIDTH * count, HIDDEN)
    return first if kind == "linear" else nn.Sequential(first, nn.GELU(), nn.Linear(HIDDEN, HIDDEN))


def write(folder, parts, projector, *, kind="linear", layer=-2, place="inside", format="safetensors", **extra):
    """A folder as LLaVA's training code writes it."""

    def save(weights, name, stem):
        if format == "bin":
            torch.save(weights, folder / f"{'pytorch_model' if stem else name}.bin")
        else:
            save_file(weights, folder / f"{stem or name}.safetensors")

    tower, _, llama = parts
    folder.mkdir(exist_ok=True)
    weights = {name: value.clone() for name, value in llama.state_dict().items()}
    own = {f"model.mm_projector.{name}": value.clone() for name, value in projector.state_dict().items()}
    if place == "inside":
        weights |= own
    else:
        save(own, "mm_projector", "")
    save(weights | extra.pop("weights", {}), "model", "model")
    config = {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        "hidden_size": HIDDEN,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "vocab_size": WORDS,
        "rope_theta": 100.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
        "mm_vision_tower": str(tower),
        "mm_hidden_size": WIDTH,
        "mm_projector_type": kind,
        "mm_vision_select_layer": layer,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "image_aspect_ratio": "pad",
        "tokenizer_padding_side": "right",
    }
    (folder / "config.json").write_text(json.dumps(config | extra))
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(WORDS - 3))]
    model = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@torch.no_grad()
def original_logits(parts, projector, layers, pixels, before, after):
    """The forward as LLaVA's training code has it: states, select, projector, between the words' embeddings."""
    _, tower, llama = parts
    states = tower(pixels, output_hidden_states=True).hidden_states
    picture = projector(torch.cat([states[layer][:, 1:] for layer in layers], -1))
    words = llama.get_input_embeddings()
    return llama(inputs_embeds=torch.cat([words(before), picture, words(after)], 1)).logits


@pytest.mark.parametrize("way", WAYS)
def test_the_imported_model_answers_as_the_original(parts, tmp_path, way):
    kind, layer, layers, place, format = WAYS[way]
    projector = projector_of(kind, len(layers))
    source = write(tmp_path / "in", parts, projector, kind=kind, layer=layer, place=place, format=format)
    done = import_llava(source, tmp_path / "out")
    assert done.layers.layers == layers and "padded" in done.notes[0]
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    pixels, before, after = torch.randn(2, 3, 28, 28), torch.randint(3, WORDS, (2, 3)), torch.randint(3, WORDS, (2, 5))
    image = torch.full((2, PATCHES), model.config.image_token_index)
    with torch.no_grad():
        logits = model(input_ids=torch.cat([before, image, after], 1), pixel_values=pixels).logits
    wanted = original_logits(parts, projector, layers, pixels, before, after)
    assert wanted.std() > 0.1
    torch.testing.assert_close(logits[..., :WORDS], wanted, atol=1e-4, rtol=1e-4)
    assert (logits[..., WORDS:] <= wanted.amax(-1, keepdim=True)).all()  # no new token is ever chosen
    assert model.lm_head.out_features == 128 and model.config.text_config.vocab_size == 128
    read = inspect_checkpoint(str(tmp_path / "out"))
    assert read.layers.layers == layers and read.check.agrees and read.projector == kind and read.fit == "padded"


def test_the_processor_pads_and_the_template_is_llavas(parts, tmp_path):
    source = write(tmp_path / "in", parts, projector_of("linear", 1))
    import_llava(source, tmp_path / "out")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "out")
    parts_of_turn = [{"type": "text", "text": "w5 w6"}, {"type": "image"}]
    prompt = processor.apply_chat_template([{"role": "user", "content": parts_of_turn}], add_generation_prompt=True)
    assert prompt.startswith("A chat between") and prompt.endswith("questions. USER: <image>\nw5 w6 ASSISTANT:")
    wide = Image.fromarray(np.full((14, 28, 3), 255, dtype=np.uint8))
    given = processor(images=wide, text=prompt, return_tensors="pt")
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert image == WORDS and (given.input_ids == image).sum() == PATCHES and processor.tokenizer.pad_token == "<pad>"
    top, middle = given.pixel_values[0, :, 0, 14], given.pixel_values[0, :, 14, 14]
    assert top.abs().max() < 0.02 and middle.min() > 1  # grey of the tower's own mean above, white within
    history = [
        {"role": "user", "content": "w5"},
        {"role": "assistant", "content": "w6"},
        {"role": "user", "content": "w7"},
    ]
    said = processor.apply_chat_template(history, add_generation_prompt=True)
    assert said.endswith("USER: w5 ASSISTANT: w6</s>USER: w7 ASSISTANT:")


def test_a_tokenizer_of_sentencepiece(parts, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    found = sentencepiece.ModelProto()
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((f"<0x{byte:02X}>", 6) for byte in range(256))]
    pieces += [(piece, 1) for piece in ("he", "ll", "hell", "hello", "▁hello", *"▁helo")]
    for rank, (piece, kind) in enumerate(pieces):
        found.pieces.add(piece=piece, score=-rank, type=kind)
    found.trainer_spec.model_type, found.trainer_spec.byte_fallback = 2, True
    source = write(tmp_path / "in", parts, projector_of("linear", 1))
    (source / "tokenizer.json").unlink()
    (source / "tokenizer.model").write_bytes(found.SerializeToString())
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    import_llava(source, tmp_path / "out")
    words = transformers.AutoProcessor.from_pretrained(tmp_path / "out").tokenizer
    assert words.tokenize("hello <image>\nhello") == ["▁hello", "▁", "<image>", "<0x0A>", "hello"]
    assert words("hello").input_ids[0] == words.bos_token_id
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "out")
    assert model.lm_head.out_features == 320 and model.config.image_token_index == len(pieces) < 320


def test_weights_of_the_tower_inside_the_checkpoint_are_kept(parts, tmp_path):
    own = {f"model.vision_tower.vision_tower.vision_model.{k}": v + 0.1 for k, v in parts[1].state_dict().items()}
    source = write(tmp_path / "in", parts, projector_of("linear", 1), weights=own)
    assert "own" in import_llava(source, tmp_path / "out").notes[-1]
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "out")
    tower = {name.removeprefix("vision_model."): value for name, value in model.model.vision_tower.state_dict().items()}
    for name, value in parts[1].state_dict().items():
        torch.testing.assert_close(tower[name.removeprefix("vision_model.")], value + 0.1)


def test_the_command_and_layers_named_by_hand(parts, tmp_path, capsys):
    source = write(tmp_path / "in", parts, projector_of("linear", 3), mm_vision_tower="nobody/knows-this")
    assert cli.main(["import", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "--vision-tower" in capsys.readouterr().err
    arguments = ["import", str(source), "--out", str(tmp_path / "out"), "--vision-tower", str(parts[0])]
    assert cli.main(arguments) == 2
    assert "takes 48 numbers a token, but 1 layer of this vision tower gives 16" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*arguments, "--layers", "1,2,4"]) == 0
    assert "1 + 2 + 4 · fused" in capsys.readouterr().out
    assert cli.main([*arguments, "--layers", "1,2,4"]) == 2
    assert "holds something already" in capsys.readouterr().err


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_malicious_bin_is_refused_and_not_run(parts, tmp_path):
    source = write(tmp_path / "in", parts, projector_of("linear", 1), place="beside", format="bin")
    torch.save({"model.mm_projector.weight": Evil(tmp_path / "ran")}, source / "mm_projector.bin")
    with pytest.raises(CheckpointError, match=r"mm_projector.bin was refused.*could run code.*safetensors"):
        import_llava(source, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def change(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("match", "spoil"),
    [
        ("holds no config.json", lambda f: (f / "config.json").unlink()),
        ("'c-abstractor'.*read here are linear, mlp2x_gelu", lambda f: change(f, mm_projector_type="c-abstractor")),
        ("lacks 'mm_vision_tower'", lambda f: change(f, mm_vision_tower=None)),
        ("'mpt'", lambda f: change(f, model_type="mpt")),
        ("'anyres'", lambda f: change(f, image_aspect_ratio="anyres")),
        ("standard folder already", lambda f: change(f, vision_config={})),
        ("Layer 7 does not exist", lambda f: change(f, mm_vision_select_layer=7)),
        ("has the weights 0.bias", lambda f: change(f, mm_projector_type="mlp2x_gelu")),
        ("LoRA adapter", lambda f: (f / "adapter_config.json").write_text("{}")),
        ("as stage 1 writes it", lambda f: (f / "model.safetensors").unlink()),
        ("damaged or incomplete", lambda f: (f / "model.safetensors").write_bytes(b"x" * 99)),
        (r"mlp.*asks for \(24, 30\)", lambda f: change(f, intermediate_size=30)),
        ("weights are missing", lambda f: change(f, num_hidden_layers=3)),
        ("have no place", lambda f: change(f, num_hidden_layers=1)),
        ("tokenizer of .* cannot be loaded", lambda f: (f / "tokenizer.json").write_text("{")),
        ("cannot be used", lambda f: change(f, mm_vision_tower=str(f))),
    ],
)
def test_complaints(parts, tmp_path, match, spoil):
    source = write(tmp_path / "in", parts, projector_of("linear", 1))
    spoil(source)
    with pytest.raises(CheckpointError, match=match):
        import_llava(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there():
    with pytest.raises(CheckpointError, match="There is no folder"):
        import_llava(Path("nowhere"), Path("out"))
