import shutil
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import save_checkpoints

from explorer.models.family import load_checkpoint
from explorer.records import AnswerKind, CheckpointError, InputError, Picture
from explorer.scenes.layout import make_scene
from explorer.scenes.render import picture
from explorer.services.answer import Answerers

SCENE = picture(make_scene(1_100_000_005), 168)
OTHER = picture(make_scene(1_100_000_006), 168)
COUNTS = tuple(map(str, range(11)))
HOSTILE = (
    "<script>alert(1)</script> dog?",
    "${7*7} {{7*7}} `dog`",
    "\u202eكم عدد الكلاب\u202c dog",
    "dog\x00\x07\x1b[31m",
    "🐕🐕 dog",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return save_checkpoints(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def answerers(root):
    return Answerers(catalogue=root, device="cpu")


def encoder_of(answerers, root):
    return answerers._parts(root / "mini-l2", str(root / "encoder")).encoder


def one(answerers, question, id="mini-l2", **how):
    return answerers.ask([SCENE], question, [id], **how)[0]


def test_what_can_answer_is_listed_in_order(answerers):
    found = answerers.built_in()
    assert answerers.list()[: len(found)] == found
    assert [info.id for info in found] == ["mini-l2", "mini-l4", "mini-fused", "mini-any"]
    assert [info.reads for info in found] == ["layer 2", "layer 4", "1 + 3 + 4 · fused", "any layers"]
    assert found[3].choosable and found[0].on_this_machine and found[0].blocks == 4
    assert answerers.info("mini-any@1+4").layers == (1, 4)
    assert answerers.info("mini-l2#swap=3").untrained_swap and not answerers.info("mini-l2#swap=2").untrained_swap


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("mini-l2@3", "cannot read layers 3"),
        ("mini-any@9", "Layer 9 does not exist"),
        ("mini-fused#swap=3", "reads 3 layers: swap them for as many"),
        ("mini-l77", "built in are mini-l2"),
        ("x" * 10_000, "no checkpoint"),
        ("../../etc", "no checkpoint"),
        ("<b>", "no checkpoint"),
    ],
)
def test_ids_that_name_nothing_are_one_sentence(answerers, id, says):
    with pytest.raises(CheckpointError, match=says):
        answerers.info(id)
    reply = one(answerers, "Is there a dog?", id)
    assert says in reply.error and reply.done and "\n" not in reply.error and len(reply.error) < 400


@pytest.mark.parametrize("id", ["mini-l2", "mini-fused", "mini-any@1+4"])
def test_answers_and_probabilities_are_those_of_the_assembled_model(answerers, root, id):
    """Brute force: each candidate by itself through the ordinary LLaVA, its end of turn included."""
    name, _, chosen = id.partition("@")
    whole = load_checkpoint(root / name, [int(k) for k in chosen.split("+")] if chosen else None)
    question = "What is in the picture?"
    candidates = ("dog", "red car", "a dog and a cat")
    reply = one(answerers, question, id, candidates=candidates, most_tokens=6)
    prompt = f"<s><image>{question}<reply>"
    given = whole.processor(images=SCENE.pixels, text=prompt, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        scores = []
        for text in candidates:
            tokens = whole.processor.tokenizer(text + "</s>", add_special_tokens=False).input_ids
            ids = torch.cat([given["input_ids"], torch.tensor([tokens])], 1)
            rows = whole.model(input_ids=ids, pixel_values=given["pixel_values"]).logits[0].log_softmax(-1)
            scores.append(sum(rows[-len(tokens) - 1 + k, token].item() for k, token in enumerate(tokens)))
        out = whole.model.generate(**given, do_sample=False, max_new_tokens=6)
    wanted = torch.tensor(scores, dtype=torch.float64).softmax(0).tolist()
    assert [name for name, _ in reply.probabilities] == list(candidates)
    assert [p for _, p in reply.probabilities] == pytest.approx(wanted, abs=1e-4)
    said = whole.processor.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    assert reply.text == said.strip() and reply.kind is AnswerKind.CHOICE


def test_the_kind_of_probabilities_follows_from_the_question(answerers):
    counted = one(answerers, "How many dogs are there?", most_tokens=1)
    assert counted.kind is AnswerKind.COUNT and [name for name, _ in counted.probabilities] == list(COUNTS)
    asked = one(answerers, "Is there a dog?", most_tokens=1)
    assert asked.kind is AnswerKind.YES_NO and sum(p for _, p in asked.probabilities) == pytest.approx(1)
    open_ = one(answerers, "Tell me a story.", most_tokens=1)
    chances = [p for _, p in open_.probabilities]
    assert open_.kind is AnswerKind.OPEN and len(chances) == 5 and chances == sorted(chances, reverse=True)
    assert sum(chances) < 1


def test_one_look_of_the_encoder_serves_all_checkpoints_and_later_questions(root):
    answerers = Answerers(catalogue=root, device="cpu")
    ids = ["mini-l2", "mini-l4", "mini-fused", "mini-any@1", "mini-any"]
    replies = answerers.ask([SCENE], "Is there a dog?", ids, most_tokens=2)
    encoder = encoder_of(answerers, root)
    assert encoder.forwards == 1 and not any(reply.error for reply in replies)
    answerers.ask([SCENE], "How many dogs are there?", ids, most_tokens=2)
    answerers.xray(SCENE, "Is there a dog?")
    answerers.look(SCENE, "Is there a dog?", "mini-l2")
    assert encoder.forwards == 1
    answerers.ask([SCENE, OTHER], "Is there a dog?", ids[:2], most_tokens=2)
    assert encoder.forwards == 2


def test_the_stream_grows_token_by_token_in_the_order_asked_for(answerers):
    lists = list(answerers.stream([SCENE], "Is there a dog?", ["mini-l4", "mini-l2"], most_tokens=12))
    assert [reply.checkpoint for reply in lists[0]] == ["mini-l4", "mini-l2"]
    assert not any(reply.done for reply in lists[0]) and all(reply.done for reply in lists[-1])
    for k in (0, 1):
        texts = [some[k].text for some in lists]
        assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
        assert lists[-1][k].seconds > 0


def test_several_pictures_come_one_after_the_other(answerers):
    replies = answerers.ask([SCENE, OTHER], "Is there a dog?", ["mini-l2", "mini-l4"], most_tokens=1)
    alone = answerers.ask([OTHER], "Is there a dog?", ["mini-l2", "mini-l4"], most_tokens=1)
    assert [r.checkpoint for r in replies] == ["mini-l2", "mini-l4"] * 2
    assert [r.probabilities for r in replies[2:]] == [r.probabilities for r in alone]


def test_many_at_once_answer_as_each_alone(answerers):
    asked = [
        (SCENE, "Is there a dog?", ()),
        (OTHER, "How many dogs are there?", ()),
        (SCENE, "What is this?", ("dog", "red car")),
        (OTHER, "Is there a dog?", ()),
        (OTHER, "Tell me.", ()),
    ]
    told = []
    together = answerers.ask_many(asked, "mini-fused", on_progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 5)]
    for (shown, question, candidates), reply in zip(asked, together, strict=True):
        alone = answerers.ask([shown], question, ["mini-fused"], candidates=candidates)[0]
        assert (reply.text, reply.kind, reply.remarks) == (alone.text, alone.kind, alone.remarks)
        assert [n for n, _ in reply.probabilities] == [n for n, _ in alone.probabilities]
        assert [p for _, p in reply.probabilities] == pytest.approx([p for _, p in alone.probabilities], abs=1e-5)
    with pytest.raises(CheckpointError, match="built in are"):
        answerers.ask_many(asked, "nothing")


def test_an_xray_is_every_layer_asked_alone(answerers):
    found = answerers.xray(SCENE, "How many dogs are there?", columns=[(1,), (4,), (1, 3, 4)])
    assert found.columns == ((1,), (4,), (1, 3, 4)) and found.candidates == COUNTS
    assert found.probabilities.shape == (3, 11) and np.allclose(found.probabilities.sum(1), 1)
    for column, answer, row in zip(found.columns, found.answers, found.probabilities, strict=True):
        alone = one(answerers, "How many dogs are there?", "mini-any@" + "+".join(map(str, column)))
        assert answer == alone.text and row == pytest.approx([p for _, p in alone.probabilities], abs=1e-5)
    whole = answerers.xray(SCENE, "Tell me a story.")
    assert whole.columns == ((1,), (2,), (3,), (4,)) and set(whole.answers) <= set(whole.candidates)
    with pytest.raises(CheckpointError, match="always reads the same layers"):
        answerers.xray(SCENE, "Is there a dog?", checkpoint="mini-l2")
    with pytest.raises(InputError, match="cannot read layers 9"):
        answerers.xray(SCENE, "Is there a dog?", columns=[(9,)])


def test_where_it_looked_sums_to_one(answerers):
    found = answerers.look(SCENE, "Is there a dog?", "mini-fused")
    assert found.checkpoint == "mini-fused" and (found.rows, found.cols) == (12, 12)
    assert found.attention.shape == (2, 2, 144)
    for values in (found.attention, found.rollout, found.gradient):
        assert (values >= 0).all() and np.allclose(values.sum(-1), 1, atol=1e-5)
    assert found.gradient.std() > 0 and not np.allclose(found.rollout, found.rollout.mean(), rtol=1e-3)
    before = one(answerers, "Is there a dog?", "mini-fused", most_tokens=2)
    answerers.look(SCENE, "Is there a dog?", "mini-fused")
    assert one(answerers, "Is there a dog?", "mini-fused", most_tokens=2).probabilities == before.probabilities


def test_a_stop_is_heeded_between_tokens(answerers):
    stop = threading.Event()
    heard = []
    for replies in answerers.stream([SCENE], "Is there a dog?", ["mini-l2", "mini-l4"], most_tokens=300, stop=stop):
        heard = replies
        if any(reply.text for reply in replies):
            stop.set()
    assert all(reply.done for reply in heard) and "Stopped." in heard[1].remarks
    assert len(heard[0].text.split()) < 290


def test_closing_the_stream_ends_the_work(answerers):
    stream = answerers.stream([SCENE], "Is there a dog?", ["mini-l2"], most_tokens=300)
    next(stream)
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "answer":
            thread.join(60)
            assert not thread.is_alive()


def test_many_visitors_at_once_all_get_their_own_answer(answerers):
    questions = ["Is there a dog?", "How many dogs are there?", "Where is the cat?", "Tell me."] * 3
    alone = {text: one(answerers, text, most_tokens=3) for text in set(questions)}
    found = {}

    def visit(k):
        found[k] = one(answerers, questions[k], most_tokens=3)

    threads = [threading.Thread(target=visit, args=(k,)) for k in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for k, text in enumerate(questions):
        assert found[k].text == alone[text].text and found[k].probabilities == alone[text].probabilities


def test_broken_checkpoints_say_so_and_the_others_answer(root, tmp_path):
    for name in ("mini-l2", "mini-l4", "mini-fused"):
        shutil.copytree(root / name, tmp_path / name)
    weights = load_file(tmp_path / "mini-l2" / "language.safetensors")
    weights["language.norm.weight"][3] = float("nan")
    save_file(weights, tmp_path / "mini-l2" / "language.safetensors")
    weights = load_file(tmp_path / "mini-l4" / "language.safetensors")
    weights["projector.weight"] = torch.zeros(1, 32, 99)
    save_file(weights, tmp_path / "mini-l4" / "language.safetensors")
    shutil.copytree(root / "mini-l2", tmp_path / "mini-missing")
    (tmp_path / "mini-missing" / "language.safetensors").unlink()
    shutil.copytree(root / "mini-l2", tmp_path / "mini-cut")
    whole = (tmp_path / "mini-cut" / "language.safetensors").read_bytes()
    (tmp_path / "mini-cut" / "language.safetensors").write_bytes(whole[: len(whole) // 2])
    answerers = Answerers(catalogue=tmp_path, device="cpu")
    ids = ["mini-l2", "mini-l4", "mini-missing", "mini-cut", str(tmp_path), "mini-fused"]
    replies = answerers.ask([SCENE], "Is there a dog?", ids, most_tokens=1)
    for reply, says in zip(
        replies, ("holds NaN", "made for another encoder", "is missing", "damaged", "config.json", ""), strict=True
    ):
        assert says in reply.error and bool(says) == bool(reply.error) and reply.done
        assert "\n" not in reply.error and len(reply.error) < 400
    assert replies[-1].text


def test_weights_leave_when_memory_is_short_and_come_back(root):
    answerers = Answerers(catalogue=root, device="cpu", memory_bytes=1)
    first = one(answerers, "Is there a dog?", "mini-l2", most_tokens=2)
    one(answerers, "Is there a dog?", "mini-l4", most_tokens=2)
    assert len(answerers._models._entries) == 1
    assert one(answerers, "Is there a dog?", "mini-l2", most_tokens=2).probabilities == first.probabilities


def test_new_weights_in_a_folder_are_read(root, tmp_path):
    shutil.copytree(root / "mini-l2", tmp_path / "mini-l2")
    answerers = Answerers(catalogue=tmp_path, device="cpu")
    before = one(answerers, "Is there a dog?", most_tokens=1)
    weights = load_file(tmp_path / "mini-l2" / "language.safetensors")
    weights["projector.weight"] = 3 * weights["projector.weight"]
    save_file(weights, tmp_path / "mini-l2" / "language.safetensors")
    assert one(answerers, "Is there a dog?", most_tokens=1).probabilities != before.probabilities


@pytest.mark.parametrize("question", HOSTILE)
def test_hostile_questions_are_texts(answerers, question):
    reply = one(answerers, question, most_tokens=2)
    assert reply.done and not reply.error


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"question": "dog " * 2500}, "10,000 letters|9,999 letters|too long"),
        ({"question": "  \n"}, "empty"),
        ({"pictures": []}, "1 to 16 pictures"),
        ({"checkpoints": []}, "No checkpoint"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"most_tokens": 0}, "length"),
        ({"most_tokens": 10**9}, "length"),
        ({"candidates": ["a", "a"]}, "once only"),
        ({"candidates": ["a"] * 500}, "at most 128"),
        ({"candidates": "yes"}, "list"),
        ({"turns": [("a",)]}, "question and its answer"),
    ],
)
def test_what_cannot_be_asked_is_said_at_once(answerers, how, says):
    given = {"pictures": [SCENE], "question": "Is there a dog?", "checkpoints": ["mini-l2"]} | how
    with pytest.raises(InputError, match=says):
        answerers.stream(given.pop("pictures"), given.pop("question"), given.pop("checkpoints"), **given)


def test_a_question_longer_than_the_models_room_is_its_own_error(answerers):
    reply = one(answerers, "dog " * 450)
    assert "too long for mini-l2" in reply.error


def test_the_mini_family_says_what_it_does_not_know(answerers):
    noise = Picture("photo", np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    reply = answerers.ask([noise], "Is there a zyzzyva?", ["mini-l2"], turns=[("Is it a dog?", "no")])[0]
    said = " ".join(reply.remarks)
    assert "never seen “zyzzyva”" in said and "not one of my scenes" in said and "one question at a time" in said
    assert one(answerers, "Is there a dog?", most_tokens=1).remarks == ()


def test_an_untrained_swap_is_labelled_and_reads_the_other_layer(answerers, root):
    swapped = one(answerers, "Is there a dog?", "mini-l2#swap=4", most_tokens=1)
    assert swapped.layers == (4,) and "untrained swap" in swapped.reads and "Untrained swap" in swapped.remarks[0]
    assert swapped.probabilities != one(answerers, "Is there a dog?", most_tokens=1).probabilities
    same = one(answerers, "Is there a dog?", "mini-l2#swap=2", most_tokens=1)
    assert same.remarks == () and "swap" not in same.reads


def test_temperature_draws(answerers):
    texts = {one(answerers, "Tell me.", temperature=2.0, most_tokens=8).text for _ in range(4)}
    assert len(texts) > 1
