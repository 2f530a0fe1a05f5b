import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny_family
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from explorer.cli_checkpoints import add_train_family
from explorer.jobs.align import Moments, raise_voice, start_projections, written_vectors
from explorer.jobs.lm_data import (
    Asker,
    Phase,
    PictureBatches,
    WrittenBatches,
    place_caption,
)
from explorer.jobs.noun_facts import FACTS, FactFinder, number_things
from explorer.jobs.train_checkpoint import CheckpointSettings, FamilyRun, train_checkpoints
from explorer.jobs.train_language import LanguageRun, LanguageSettings, embed_reading
from explorer.jobs.training_scenes import draw_scene
from explorer.jobs.written_pictures import CELLS, Notation, Writer, middle_cells
from explorer.models.family import layer_states, load_checkpoint, read_parts
from explorer.models.language import LANGUAGE, LanguageShape, make_language
from explorer.models.packed import IGNORE, make_pack
from explorer.models.projections import LayerProjections
from explorer.records import CheckpointError, SettingsError
from explorer.scenes.layout import make_scene, random_seed
from explorer.scenes.questions import make_questions
from explorer.scenes.rewordings import reword, vary
from explorer.scenes.scene import Backdrop, Scene, SceneObject, Sign, held_out_count, split_of


@pytest.fixture(scope="module")
def words():
    return tiny_family.tokenizer()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    return {
        "encoder": str(tiny_family.save_encoder(root / "encoder")),
        "language": str(tiny_family.save_language(root / "language")),
    }


def scene():
    things = (
        SceneObject("dog", 0.125, 0.125, 0.17),
        SceneObject("hot dog", 0.8, 0.5, 0.2),
        SceneObject("circle", 0.4, 0.85, 0.2, "red"),
    )
    plain = Backdrop("a blue background", "plain", ((0, 0, 255), (0, 0, 255)))
    return Scene(5, plain, things, Sign("TEA", "LiberationSans-Bold", 0.5, 0.3, 0.4, 0.15))


def test_a_written_picture_has_each_word_where_its_thing_is(words):
    cells, tokens, weights = Writer(words).write(scene(), Notation(), np.random.default_rng(0))
    strongest = {}
    for cell, token, weight in zip(cells, words.convert_ids_to_tokens(tokens), weights, strict=True):
        if weight > 0.5:
            strongest.setdefault(token, set()).add((int(cell) // 12, int(cell) % 12))
    assert (1, 1) in strongest["dog"] and all(row <= 2 and col <= 2 for row, col in strongest["dog"])
    assert all(4 <= row <= 7 and col >= 8 for row, col in strongest["hot dog"])
    assert strongest["red"] == strongest["circle"] and all(row >= 8 for row, _ in strongest["red"])
    assert strongest["tea"] and all(row in (2, 3, 4) and 3 <= col <= 8 for row, col in strongest["tea"])


def test_each_thing_is_written_once_at_its_middle(shipped_words):
    cells, tokens, weights = Writer(shipped_words).write(scene(), Notation(), np.random.default_rng(0))
    middles = np.zeros(CELLS)
    here = tokens == shipped_words.convert_tokens_to_ids("thing")
    np.add.at(middles, cells[here], weights[here])
    assert middles.sum() == pytest.approx(3, abs=0.1)
    middles = middles.reshape(12, 12)
    for thing in scene().objects:
        row, column = (int(12 * place) for place in (thing.y, thing.x))
        assert middles[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].sum() == pytest.approx(1, abs=0.1)


def test_a_middle_is_spread_over_as_many_cells_as_the_notation_says():
    thing = SceneObject("dog", 0.5 + 0.1 / 12, 0.5 + 0.5 / 12, 0.2, "")  # a tenth of a cell right of a border
    soft, sharp = (middle_cells(thing, side).reshape(12, 12) for side in (1.0, 0.1))
    assert soft[6, 5:7] == pytest.approx([0.4, 0.6]) and sharp[6, 5:7] == pytest.approx([0, 1])
    assert soft.sum() == pytest.approx(1) and sharp.sum() == pytest.approx(1)


def test_place_captions_say_what_is_where():
    assert place_caption(scene()) == (
        'a dog in the top left, a hot dog in the right, a red circle in the bottom and a sign that says "TEA"'
    )


def test_rewording_keeps_what_is_asked():
    rng = np.random.default_rng(0)
    found = {reword("Is there a dog in the picture?", "existence", "yesno", rng) for _ in range(200)}
    assert "Any dogs here?" not in found  # the plural is not known from this wording
    assert {"Do you see a dog?", "a dog?"} <= found
    assert all("a dog" in text for text in found)
    for seed in range(20):
        for question in make_questions(make_scene(seed), rng):
            assert reword(question.text, question.task, question.form, rng)


def test_varying_never_takes_a_hot_dog_for_a_dog():
    rng = np.random.default_rng(0)
    found = [vary("Is there a hot dog or an airplane?", rng, ["word"]) for _ in range(300)]
    assert not any("hot puppy" in text or "hot hound" in text for text in found)
    assert any("or a plane" in text for text in found)


def test_batches_depend_on_seed_and_step_alone(words):
    phases = [Phase(2, 2, 3, 30, 3), Phase(2, 2, 10, CELLS, 3)]
    first, second = (WrittenBatches(words, 1, phases, 0.0) for _ in range(2))
    assert len(first) == 4
    second[0]
    for step in (1, 3):
        a, b = first[step], second[step]
        assert all(torch.equal(x, y) for x, y in ((a.spots, b.spots), (a.words, b.words), (a.weights, b.weights)))
        assert torch.equal(a.pack.tokens, b.pack.tokens)
    assert first[3].positions.shape == (2, 1 + CELLS)
    small = first[0]
    assert small.positions.shape[1] < 1 + CELLS
    assert (small.positions.diff(dim=1) > 0).all() and int(small.pack.positions.min()) == 1 + CELLS
    assert small.spots.max() < small.positions.numel()
    assert (small.spots % small.positions.shape[1] > 0).all()  # the first token is no cell


def test_a_blind_batch_has_no_picture(words):
    reading = WrittenBatches(words, 1, [Phase(1, 2, 3, 30, 3)], 1.0)[0]
    embedding = torch.randn(len(words), 8)
    prefix = embed_reading(embedding, reading, 2, 4)
    assert prefix.shape == (2, 1, 8) and torch.equal(prefix[0, 0], embedding[2])
    assert int(reading.pack.positions.min()) == 1


def test_stage_one_asks_for_captions_and_stage_two_asks_questions(words):
    data = PictureBatches(words, 0, [(1, 2), (2, 2)], 3)
    captions = data[0].pack
    assert data[0].pixels.shape == (2, 168, 168, 3) and data[0].pixels.dtype == torch.uint8
    assert captions.most == 2
    questions = data[1].pack
    assert questions.most <= 4
    reply = words.convert_tokens_to_ids("<reply>")
    for pack in (captions, questions):
        starts = (pack.tokens == reply).nonzero()[:, 0]
        assert (pack.targets[starts] != IGNORE).all()
        assert (pack.targets == words.eos_token_id).sum() == len(starts)


def test_encoding_puts_the_sign_to_reply_between_question_and_answer(words):
    [[(question, answer)]] = Asker(words).encode([[("How many dogs?", "3")]])
    assert words.convert_ids_to_tokens(question) == ["how", "many", "dogs", "?", "<reply>"]
    assert words.convert_ids_to_tokens(answer) == ["3", "</s>"]


def test_the_start_of_a_projector_is_the_least_squares_map_to_written_words():
    torch.manual_seed(0)
    mix, true = torch.randn(6, 6), torch.randn(6, 4)
    x = torch.randn(4000, 6) @ mix + 5
    y = x @ true + 1
    moments = Moments(6, 4)
    for part in range(4):
        moments.add(x[part::4], y[part::4])
    projections = LayerProjections((1, 2), 4, 3)
    start_projections(projections, moments, [0, 1], ridge=1e-6, voice=0.0)
    states = [torch.zeros(1), x[None, :, :3], x[None, :, 3:]]
    torch.testing.assert_close(projections(states, torch.ones(1, 2))[0], y, atol=0.02, rtol=0.01)
    weight, bias = projections.fold((1, 2))
    assert (x @ weight.T + bias - y).abs().mean() < 0.1


def test_written_vectors_are_sums_of_embeddings(words):
    embedding = torch.eye(len(words))
    [vectors] = written_vectors(Writer(words), [scene()], embedding, Notation())
    assert vectors.shape == (CELLS, len(words))
    middle = vectors[10 * 12 + 4]
    red, circle = words.convert_tokens_to_ids(["red", "circle"])
    assert middle[red] == middle[circle] > 0.8
    assert vectors[-1][words.convert_tokens_to_ids("blue")] == pytest.approx(0.3)


def test_a_middle_can_say_how_many_of_its_kind_there_are(words):
    crowd = Scene(5, scene().backdrop, tuple(SceneObject("dog", x / 12 + 0.042, 0.125, 0.05) for x in (1, 5, 9)))
    embedding, three = torch.eye(len(words)), words.convert_tokens_to_ids("3")
    without, told = (written_vectors(Writer(words), [crowd], embedding, Notation(number=n))[0] for n in (0.0, 0.8))
    assert not without[:, three].any()
    assert {k: round(v, 5) for k, v in enumerate(told[:, three].tolist()) if v} == {13: 0.8, 17: 0.8, 21: 0.8}


def language_settings(out, **changes):
    tiny = LanguageSettings(
        out=str(out), blocks=2, width=32, mlp_width=48, heads=2, threads=1, workers=0, blind=0.2,
        phases=(Phase(3, 2, 2, 20, 2), Phase(2, 2, 10, 40, 2)),
    )  # fmt: skip
    return replace(tiny, **changes)


def same(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_stage_zero_killed_and_resumed_ends_with_the_same_weights(tmp_path, words):
    runs = []
    for name, stops in (("whole", [None]), ("broken", [2, 4, None])):
        words.save_pretrained(tmp_path / name / "tokenizer")
        for stop in stops:
            run = LanguageRun(language_settings(tmp_path / name))
            run.train(stop)
        runs.append(run)
    assert same(runs[0].model, runs[1].model) and same(runs[0].hints, runs[1].hints)
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1] and logs[0].count("\n") == 6


def test_stage_zero_learns(tmp_path, words):
    words.save_pretrained(tmp_path / "tokenizer")
    run = LanguageRun(language_settings(tmp_path, phases=(Phase(40, 4, 2, 20, 2),), blind=0.0))
    run.train()
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:2])


def test_stage_zero_goes_on_from_a_finished_model(tmp_path, folders):
    run = LanguageRun(language_settings(tmp_path, start=folders["language"]))
    known = LlamaForCausalLM.from_pretrained(folders["language"], dtype=torch.float32)
    assert run.step == 0 and same(run.model, known) and run.model.config == known.config


def test_new_heads_learn_before_the_language_model_does(tmp_path, folders):
    settings = language_settings(tmp_path, start=folders["language"], hints=1.0, heads_steps=3, blind=0.5)
    known = LlamaForCausalLM.from_pretrained(folders["language"], dtype=torch.float32)
    run = LanguageRun(settings)
    before = run.hints["cell"].weight.clone()
    run.train(3)
    assert same(run.model, known) and not torch.equal(before, run.hints["cell"].weight)
    run.train(5)
    assert not same(run.model, known)


def test_one_head_of_each_of_the_first_blocks_tells_columns_at_the_start(words):
    model = make_language(LanguageShape(), words, 0)
    model.set_attn_implementation("eager")
    first, mark = words.bos_token_id, words.convert_tokens_to_ids("<image>")
    told = model(torch.tensor([[first] + [mark] * 144]), output_attentions=True).attentions
    looks = torch.stack([told[block][0, 1, 1 + 96 : 1 + 132, 0] for block in (0, 1)])  # cells of three rows, at the BOS
    rows = looks.view(2, 3, 12)
    assert (rows - rows[:, :1]).abs().max() < 0.1  # what a cell sees depends on its column
    apart = (rows[:, 1, :, None] - rows[:, 1, None, :]).abs().amax(0)
    assert rows.std(-1).min() > 0.02 and (apart + torch.eye(12)).min() > 1e-3  # and no two columns see the same twice


@pytest.fixture(scope="module")
def shipped_words():
    return AutoTokenizer.from_pretrained(LANGUAGE)


def find_facts(words, scenes, texts):
    """Words of questions, in order, that have to find something, and what."""
    pack = make_pack(Asker(words).encode(texts), 1)
    found = {}
    for place, fact, option in FactFinder(words).find(scenes, pack, np.full((len(scenes), CELLS), -1)).tolist():
        name = list(FACTS)[fact]
        options = FACTS[name].options
        word = words.convert_ids_to_tokens(pack.tokens[place - len(scenes)].item())
        found.setdefault((place, word), {})[name] = option if isinstance(options, int) else options[option]
    return [(word, found[place, word]) for place, word in sorted(found)]


def test_each_noun_is_told_what_it_has_to_find(shipped_words):
    several = replace(scene(), objects=(*scene().objects, SceneObject("dog", 0.6, 0.6, 0.1)))
    texts = [
        [("Where is the dog?", "top left"), ("Which is larger, the circle or the dog?", "circle")],
        [("How many dogs are there?", "2"), ("Is there a giraffe?", "no"), ("The circle and the dogs?", "no")],
    ]
    found = find_facts(shipped_words, [scene(), several], texts)
    assert [word for word, _ in found] == ["dog", "circle", "dog", "circle", "dogs", "giraffe", "circle", "dogs"]
    dog, circle, beside, _, dogs, giraffe, again, last = (told for _, told in found)
    where = {"row": 1, "column": 1, "upright": "top", "sideways": "left", "count": "1"}
    assert dog.items() >= where.items() and "colour" not in dog
    assert circle == again and (circle["colour"], circle["row"], circle["column"]) == ("red", 10, 4)
    assert beside.items() >= (where | {"beside": "right", "over": "below"}).items()
    assert dogs == last == {"count": "2"} and giraffe == {"count": "0"}
    texts = [
        [("How many things do you see?", "3"), ("What does the sign say?", "tea"), ("Would you say it is a car?", "no")]
    ]
    assert find_facts(shipped_words, [scene()], texts) == [
        ("things", {"count": "3"}),
        ("sign", {"says": "tea"}),
        ("car", {"count": "0"}),
    ]


def test_things_are_numbered_from_the_top_left_at_their_middles():
    things = [("dog", 0.9, 0.1), ("cat", 0.1, 0.1), ("dog", 0.3, 0.5), ("dog", 0.31, 0.51), ("dog", 0.5, 0.9)]
    several = replace(scene(), objects=tuple(SceneObject(kind, x, y, 0.1) for kind, x, y in things))
    places = np.arange(CELLS) + 1000
    places[12 * 10 + 6] = -1  # the last dog's middle is not shown
    found = [(place, list(FACTS)[fact], option) for place, fact, option in number_things(several, places)]
    assert found == [
        (1000 + 13, "nth of all", 1), (1000 + 13, "nth of kind", 1),
        (1000 + 22, "nth of all", 2), (1000 + 22, "nth of kind", 1),
        (1000 + 75, "nth of all", 4), (1000 + 75, "nth of kind", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Is the dog in the top left?", {"top": "yes", "left": "yes"}),
        ("Is the dog in the bottom middle?", {"bottom": "no", "middle": "no"}),
        ("Is the dog in the middle left?", {"middle": "no", "left": "yes"}),
        ("In a grid of three rows and three columns, is the dog in the top right cell?", {"top": "yes", "right": "no"}),
        ("Is the circle blue?", {"blue": "no"}),
        ("Is there a red circle?", {"circle": "yes"}),
        ("Are there three circles?", {"circles": "no"}),
        ("Is there exactly one dog?", {"dog": "yes"}),
        ("Is the circle to the left of the dog?", {"dog": "no"}),
        ("Is the dog above the circle?", {"circle": "yes"}),
        ("Is the dog bigger than the circle?", {"circle": "no"}),
        ("Are there 3 things in the picture?", {"things": "yes"}),
        ('Does the sign say "tea"?', {"tea": "yes"}),
        ('Is the word on the sign "boat"?', {"boat": "no"}),
        ("Is there a dog?", {}),
    ],
)
def test_a_statement_is_told_whether_it_is_so(shipped_words, text, told):
    for answer, expected in (("yes", told), ("top", {})):
        found = find_facts(shipped_words, [scene()], [[(text, answer)]])
        assert {word: facts["so"] for word, facts in found if "so" in facts} == expected


def checkpoint_settings(out, folders, **changes):
    tiny = CheckpointSettings(
        out=str(out), layers=("1", "2,4", "any"), align_pictures=4, caption_steps=2, question_steps=3, pictures=2,
        questions=2, threads=1, workers=0, **folders,
    )  # fmt: skip
    return replace(tiny, **changes)


def test_checkpoints_killed_and_resumed_end_with_the_same_weights(tmp_path, folders):
    runs = []
    for name, stops in (("whole", [None]), ("broken", [1, 3, None])):
        for stop in stops:
            run = FamilyRun(checkpoint_settings(tmp_path / name, folders, hints=1.0))
            run.train(stop)
        runs.append(run)
    for first, second in zip(runs[0].members, runs[1].members, strict=True):
        assert same(first.language, second.language) and same(first.projections, second.projections)
        assert same(first.heads, second.heads) and first.heads["nth of all"].weight.any()
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "broken" / "log.csv").read_text()


def test_words_stay_as_stage_zero_made_them(tmp_path, folders):
    before = LlamaForCausalLM.from_pretrained(folders["language"], dtype=torch.float32)
    made = train_checkpoints(checkpoint_settings(tmp_path, folders, layers=("2", "any"), hints=1.0))
    for folder in made:
        parts = read_parts(folder)
        assert parts.facts["words"] == folders["language"]
        assert torch.equal(parts.language.model.embed_tokens.weight, before.model.embed_tokens.weight)
        assert not torch.equal(
            parts.language.model.layers[0].mlp.up_proj.weight, before.model.layers[0].mlp.up_proj.weight
        )
    again = train_checkpoints(
        checkpoint_settings(tmp_path / "again", folders, layers=("3",), caption_steps=0, start=str(made[1]))
    )
    assert read_parts(again[0]).facts["words"] == folders["language"]


def test_a_pool_shows_few_scenes_often_and_resumes_to_the_same_weights(tmp_path, folders, monkeypatch):
    runs, looked = [], []
    real = layer_states
    for name, stops in (("whole", [None]), ("broken", [2, None])):
        monkeypatch.setattr(
            "explorer.jobs.train_checkpoint.layer_states",
            lambda e, i, pixels: looked.append(len(pixels)) or real(e, i, pixels),
        )
        for stop in stops:
            run = FamilyRun(checkpoint_settings(tmp_path / name, folders, pool=3, question_steps=6))
            looked.clear()
            run.train(stop)
            assert sum(looked) <= 3
        runs.append(run)
    for first, second in zip(runs[0].members, runs[1].members, strict=True):
        assert same(first.language, second.language) and same(first.projections, second.projections)
    data = PictureBatches(runs[0].tokenizer, 0, [(2, 2)] * 6, 2, pool=3)
    batches = [data[k] for k in range(6)]
    assert len({place for batch in batches for place in batch.places}) == 3
    names = list(FACTS)
    for batch in batches:  # a picture is 144 patches behind its first token; the questions stand behind all pictures
        at = {name: {k for k, fact, _ in batch.told.tolist() if names[fact] == name} for name in ("nth of all", "so")}
        middles = {n * 145 + 1 + 12 * int(12 * thing.y) + int(12 * thing.x)
                   for n, place in enumerate(batch.places)
                   for thing in draw_scene(np.random.default_rng((0, 4, place)), 0.0).objects}  # fmt: skip
        assert at["nth of all"] == middles and all(place >= 2 * 145 for place in at["so"])
    assert len({tuple(batch.pack.tokens.tolist()) for batch in batches}) == 6


def test_crowds_are_drawn_as_often_of_every_size():
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, 1.0) for _ in range(280)]
    sizes = Counter(max(Counter(thing.kind for thing in scene.objects).values()) for scene in scenes)
    assert set(sizes) - {3} == set(range(4, 11)) and sizes[3] < 15 and min(sizes[n] for n in range(4, 11)) > 20
    assert len({scene.seed for scene in scenes}) == 280 and {split_of(scene.seed) for scene in scenes} == {"train"}
    assert not any(held_out_count(kind, n) for scene in scenes
                   for kind, n in Counter(thing.kind for thing in scene.objects).items())  # fmt: skip
    seed = random_seed("train", np.random.default_rng(1))
    assert draw_scene(np.random.default_rng(1), 0.0) == make_scene(seed)


def test_stage_two_begins_with_plain_lessons(words):
    data = PictureBatches(words, 0, [(2, 6)] * 12, 12, pool=6, lessons=(6, ["existence"]))
    asked = [set(words.convert_ids_to_tokens(data[k].pack.tokens.tolist())) for k in range(12)]
    assert not any("many" in some or "color" in some or "colour" in some for some in asked[:6])
    assert any("many" in some for some in asked[6:])


def test_about_a_share_of_the_scenes_numbers_alone_are_asked(words):
    def said(counts, step):
        pack = PictureBatches(words, 0, [(2, 6)] * 3, 12, lessons=(1, ["existence"]), counts=counts)[step].pack
        answers = words.convert_ids_to_tokens(pack.targets[pack.targets != IGNORE].tolist())
        return set(answers) - {words.eos_token, *words.tokenize("yes no")}

    known = {str(n) for n in range(11)}
    assert not said(1.0, 0) & known
    assert len(said(1.0, 1)) > 3 and said(1.0, 1) <= known
    assert said(0.0, 1) - known


def test_a_raised_voice_says_what_is_there_as_loud_as_it_is_written():
    rng = np.random.default_rng(0)
    written = (
        torch.from_numpy(rng.normal(size=(20_000, 3))) @ torch.tensor([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]).double()
    )
    features = written + torch.from_numpy(rng.normal(size=(20_000, 3)))
    said = features @ torch.linalg.lstsq(features, written).solution
    assert (said.var(0) < 0.9 * written.var(0)).all()
    varied = said @ raise_voice(said.T.cov(), written.T.cov(), 0.5)
    torch.testing.assert_close(varied.T.cov(), written.T.cov(), rtol=0.01, atol=0.01)
    loud = said @ raise_voice(said.T.cov(), written.T.cov(), 1.0)
    slopes = torch.linalg.lstsq(written, loud).solution
    torch.testing.assert_close(slopes, torch.eye(3).double(), rtol=0.0, atol=0.05)
    assert torch.allclose(said @ raise_voice(said.T.cov(), written.T.cov(), 0.0), said)


def test_what_was_not_understood_at_all_is_not_shouted():
    said, written = torch.diag(torch.tensor([1e-4, 0.5])).double(), torch.eye(2).double()
    factors = raise_voice(said, written, 1.0, most=6.0)
    torch.testing.assert_close(factors, torch.diag(torch.tensor([6.0, 2.0])).double())


def test_a_start_speaks_up():
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.normal(size=(4000, 3))).float()
    x = y @ torch.from_numpy(rng.normal(size=(3, 4))).float() + torch.from_numpy(rng.normal(size=(4000, 4))).float()
    moments, spread = Moments(4, 3), []
    moments.add(x, y)
    for voice in (0.0, 0.5):
        projections = LayerProjections((1,), 3, 4)
        start_projections(projections, moments, [0], 0.01, voice)
        spread.append(projections({1: x[None]}, torch.ones(1, 1))[0].detach().var(0))
    assert (spread[0] < 0.9).all()
    torch.testing.assert_close(spread[1], y.var(0), rtol=0.05, atol=0.05)


def test_scenes_are_drawn_for_their_signs():
    rng = np.random.default_rng(0)
    drawn = [draw_scene(rng, 0.0, signs=0.5) for _ in range(200)]
    assert 0.55 < np.mean([scene.sign is not None for scene in drawn]) < 0.75  # 0.5 + 0.5 * 0.3
    assert all(split_of(scene.seed) == "train" for scene in drawn)


def test_stage_one_leaves_the_language_model_as_it_is(tmp_path, folders):
    run = FamilyRun(checkpoint_settings(tmp_path, folders, layers=("2",)))
    before = [weight.clone() for weight in run.members[0].language.parameters()]
    start = run.members[0].projections.weight.clone()
    run.train(2)
    assert all(torch.equal(a, b) for a, b in zip(before, run.members[0].language.parameters(), strict=True))
    assert not torch.equal(start, run.members[0].projections.weight)
    run.train()
    changed = [not torch.equal(a, b) for a, b in zip(before, run.members[0].language.parameters(), strict=True)]
    assert not changed[0] and all(changed[1:])  # the words' vectors stay


def test_a_checkpoint_learns_the_same_alone_as_beside_others(tmp_path, folders):
    together = FamilyRun(checkpoint_settings(tmp_path / "a", folders))
    together.train()
    alone = FamilyRun(checkpoint_settings(tmp_path / "b", folders, layers=("2,4",)))
    alone.train()
    assert same(together.members[1].language, alone.members[0].language)
    assert same(together.members[1].projections, alone.members[0].projections)


def test_bfloat16_gives_nearly_the_same_loss(tmp_path, folders, words):
    rows = []
    for dtype in ("float32", "bfloat16"):
        FamilyRun(checkpoint_settings(tmp_path / dtype, folders, dtype=dtype)).train()
        words.save_pretrained(tmp_path / dtype / "zero" / "tokenizer")
        LanguageRun(language_settings(tmp_path / dtype / "zero", dtype=dtype)).train()
        files = [tmp_path / dtype / name for name in ("log.csv", "zero/log.csv")]
        rows.append([list(csv.DictReader(file.open()))[-1] for file in files])
    (family, zero), (family_16, zero_16) = rows
    assert float(family_16["mini-any/loss"]) == pytest.approx(float(family["mini-any/loss"]), rel=0.05)
    assert float(zero_16["loss"]) == pytest.approx(float(zero["loss"]), rel=0.1)


def test_finished_checkpoints_load(tmp_path, folders):
    made = train_checkpoints(checkpoint_settings(tmp_path, folders))
    assert [folder.name for folder in made] == ["mini-l1", "mini-l2-4", "mini-any"]
    assert load_checkpoint(made[1]).layers.layers == (2, 4)
    assert load_checkpoint(made[2], layers=(1, 3)).layers.layers == (1, 3)
    assert json.loads((tmp_path / "settings.json").read_text())["layers"] == ["1", "2,4", "any"]


def test_a_run_can_start_from_a_finished_checkpoint_of_any_layers(tmp_path, folders):
    first = checkpoint_settings(tmp_path / "first", folders, layers=("any",))
    [folder] = train_checkpoints(first)
    settings = checkpoint_settings(tmp_path / "second", folders, layers=("2", "1,4", "any"), start=str(folder))
    run = FamilyRun(settings)
    shown = PictureBatches(run.tokenizer, 0, [(2, 2)], 2)[0]
    states = layer_states(run.encoder, run.processor.image_processor, shown.pixels)
    for member, layers in zip(run.members, ((2,), (1, 4), (1, 2, 3, 4)), strict=True):
        shares = torch.ones(2, len(layers)) / (4 if member.layers is None else 1)
        known = load_checkpoint(folder, layers).model.model.multi_modal_projector
        expected = known(torch.cat([states[layer] for layer in layers], -1))
        torch.testing.assert_close(member.projections(states, shares), expected, atol=0.02, rtol=0.02)
    run.train(1)
    with pytest.raises(SettingsError, match="does not know layer 0"):
        FamilyRun(replace(settings, out=str(tmp_path / "third"), layers=("0",)))


def test_with_another_encoder_a_run_starts_from_the_language_model_alone(tmp_path, folders):
    own = folders | {"encoder": str(tiny_family.save_encoder(tmp_path / "encoder"))}
    [folder] = train_checkpoints(checkpoint_settings(tmp_path / "first", own, layers=("any",)))
    settings = checkpoint_settings(tmp_path / "second", own, layers=("2",), start=str(folder))
    [kept] = FamilyRun(settings).members
    tiny_family.save_encoder(tmp_path / "encoder", seed=1)
    with pytest.raises(CheckpointError, match="other weights of the encoder"):
        FamilyRun(replace(settings, out=str(tmp_path / "third")))
    [member] = FamilyRun(replace(settings, out=str(tmp_path / "fourth"), realign=True)).members
    [afresh] = FamilyRun(replace(settings, out=str(tmp_path / "fifth"), start="")).members
    assert same(member.language, kept.language) and not same(member.language, afresh.language)
    # the regression looks at pictures and words alone
    assert same(member.projections, afresh.projections) and not same(member.projections, kept.projections)


def test_what_cannot_be_trained_is_told(tmp_path, folders):
    with pytest.raises(SettingsError, match="train language"):
        FamilyRun(checkpoint_settings(tmp_path, folders | {"language": str(tmp_path)}))
    with pytest.raises(SettingsError, match="Name each set of layers once"):
        FamilyRun(checkpoint_settings(tmp_path, folders, layers=("2", "2")))


def test_the_command_line_reaches_the_job(tmp_path, folders, capsys):
    import argparse

    parser = argparse.ArgumentParser()
    add_train_family(parser.add_subparsers())
    settings = tmp_path / "tiny.toml"
    settings.write_text("pictures = 2\nquestions = 2\nalign_pictures = 2\nworkers = 0\n")
    flags = ["--caption-steps", "1", "--question-steps", "1", "--threads", "1", "--out", str(tmp_path / "run")]
    places = ["--encoder", folders["encoder"], "--language", folders["language"], "--settings", str(settings)]
    args = parser.parse_args(["checkpoint", "--layers", "3", "1,2", *flags, *places])
    assert args.run(args) == 0
    assert [line.split("/")[-1] for line in capsys.readouterr().out.split()] == ["mini-l3", "mini-l1-2"]
