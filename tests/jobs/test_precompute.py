"""The stored failures and results, made by real classes at tiny sizes."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_family

from explorer.cli import main
from explorer.jobs import precompute_failures as failures_job
from explorer.jobs import precompute_results as results_job
from explorer.jobs.findings import AS_IN_PAPER, NOT_MEASURED, NOT_SHOWN, OTHER_WAY, measure, spoken
from explorer.jobs.precompute_failures import FailuresSettings, cases_of, precompute_failures, some_scenes
from explorer.jobs.precompute_results import ResultsSettings, precompute_results
from explorer.models import checkpoint_ids
from explorer.models.family import make_processor, save_checkpoint
from explorer.models.projections import LayerProjections
from explorer.records import CheckpointError, InputError, SettingsError
from explorer.scenes.questions import TASKS
from explorer.services.held_out import HeldOut
from explorer.services.sweep import INDIVIDUAL, SEED, Sweep
from explorer.store import Store

N = 8


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """mini-l2, mini-l4, mini-any and the language model, all random."""
    root = tmp_path_factory.mktemp("family") / "models"
    encoder = str(tiny_family.save_encoder(root / "mini"))
    words = tiny_family.tokenizer()
    for name, layers, seed in (("mini-l2", (2,), 0), ("mini-l4", (4,), 1), ("mini-any", (0, 1, 2, 3, 4), 2)):
        parts = tiny_family.language(words, seed), make_processor(encoder, words), encoder
        save_checkpoint(root / name, LayerProjections(layers, 32, 16), *parts, name == "mini-any", {})
    tiny_family.save_language(root / "mini-language")
    return root


@pytest.fixture(scope="module")
def patched(models):
    with pytest.MonkeyPatch.context() as patch:
        for function in (checkpoint_ids.find_mini, checkpoint_ids.describe, checkpoint_ids.list_ids):
            patch.setattr(function, "__defaults__", (models,))
        patch.setattr(results_job, "LANGUAGE", models / "mini-language")
        yield


@pytest.fixture(scope="module")
def made(patched, tmp_path_factory):
    """Both jobs' settings and results."""
    root = tmp_path_factory.mktemp("stored")
    shared = {"n": N, "threads": 1, "out": str(root / "precomputed"), "work": str(root / "work")}
    first = FailuresSettings(("mini-l2", "mini-l4", "mini-any@2+4"), **shared)
    second = ResultsSettings(
        layers=(1, 2, 4), fusions=("2+4", "18+23"), docs=str(root / "docs"), **shared | {"n": N // 2}
    )
    return root, first, second, precompute_failures(first), precompute_results(second)


def test_answers_are_kept_with_their_probabilities_and_drawn_again_from_seeds(made):
    root, settings, _, found, _ = made
    again = HeldOut.load(Store(settings.out))
    assert isinstance(again, HeldOut) and again.tasks == found.tasks and set(again.tasks) == set(TASKS)
    assert len(again.table) == N * len(TASKS) and list(again.checkpoints) == ["mini-l2", "mini-l4", "mini-any@2+4"]
    assert again.meta["pictures"] == again.table["seed"].nunique() < len(again.table)
    assert {row["id"]: len(row["weights"]) for row in again.meta["checkpoints"]} == dict.fromkeys(again.checkpoints, 25)
    assert again.meta["versions"]["torch"] and again.meta["date"].startswith("20")
    rows = [again.row(again.case(k).id) for k in range(len(again.table))]
    assert rows == list(range(len(rows)))  # names are unique
    case = again.case(3)
    assert again.scene(3).seed == case.seed and case.answers[2].reads.startswith("any-layer")
    assert all(0 <= answer.chance <= 1 for answer in case.answers)
    assert sum(path.stat().st_size for path in (root / "precomputed" / "failures").iterdir()) < 100_000
    assert found.meta["first"] is None  # layers 18 and 23 are not among them


def test_a_finished_run_asks_nobody_again(made, monkeypatch):
    _, settings, _, found, _ = made
    monkeypatch.setattr("explorer.models.answering._answer_packed", lambda *args: pytest.fail("asked again"))
    again = precompute_failures(settings)
    pd.testing.assert_frame_equal(again.table, found.table)


def test_results_hold_every_column_with_intervals_and_say_on_how_many(made):
    root, _, settings, held, found = made
    again = Sweep.load(Store(settings.out))
    assert isinstance(again, Sweep)
    kinds = {column["id"]: column["kind"] for column in again.meta["columns"]}
    assert kinds == {
        "mini-l2": "individual", "mini-l4": "individual", "mini-any@2+4": "any-layer", "mini-any@1": "any-layer",
        "mini-any@2": "any-layer", "mini-any@4": "any-layer", "words only": "baseline", "majority": "baseline",
    }  # fmt: skip
    table = again.tables["accuracy"].set_index(["checkpoint", "task"])
    assert len(table) == len(kinds) * (len(TASKS) + 1)
    assert (table["low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["high"]).all()
    assert table.loc[("mini-l2", "all"), "n"] == N * len(TASKS)
    assert 0 < table.loc[("mini-any@1", "all"), "n"] == again.meta["questions_of_the_sweep"] < N * len(TASKS)
    assert table.loc[("mini-l2", "count"), "accuracy"] == held.right("mini-l2")[held.of_task("count")].mean()
    assert table.loc[("majority", "existence"), "pairs"] == 0  # always the same answer gets one of each pair
    assert (again.right("mini-any@1") >= 0).sum() == again.meta["questions_of_the_sweep"]
    shared = again.tables["shared"].set_index(["checkpoint", "task"])
    by_all = again.right("mini-any@1") >= 0
    assert (shared.xs("all", level="task")["n"] == by_all.sum()).all()
    assert shared.loc[("mini-l2", "all"), "accuracy"] == again.right("mini-l2")[by_all].mean()
    confusion = again.tables["confusion"]
    counts = confusion[(confusion["checkpoint"] == "mini-l4") & (confusion["task"] == "count")]
    open_counts = held.of_task("count") & (held.table["form"] == "open").to_numpy()
    assert counts["times"].sum() == open_counts.sum()
    agreement = again.tables["agreement"].set_index("task")
    assert agreement.loc["all", "checkpoints"] == 2  # layers 2 and 4 were trained both ways
    csv = pd.read_csv(root / "precomputed" / "results" / "accuracy.csv")
    assert csv["accuracy"].tolist() == pytest.approx(again.tables["accuracy"]["accuracy"].tolist(), abs=1e-4)


def test_the_document_names_commands_and_numbers(made):
    root, _, _, _, found = made
    text = (root / "docs" / "results.md").read_text()
    assert found.meta["command"] in text and found.meta["failures"]["command"] in text
    assert "make all of it again" in text and "--others" not in text
    table = found.tables["accuracy"].set_index(["checkpoint", "task"])
    assert f"{100 * table.loc[('mini-l4', 'word'), 'accuracy']:.1f} (" in text
    assert text.count(f"Ours: {NOT_MEASURED}.") == 6 and "No checkpoint was trained from a second seed" in text
    figure = (root / "docs" / "results.svg").read_text()
    assert figure.startswith("<svg") and figure.count('font-weight="bold"') == len(TASKS) + 1


def test_retrained_weights_are_not_mixed_with_stored_answers(made, models):
    _, _, settings, _, _ = made
    file = models / "mini-any" / "language.safetensors"
    before = file.read_bytes()
    words = tiny_family.tokenizer()
    encoder = str(models / "mini")
    parts = tiny_family.language(words, 7), make_processor(encoder, words), encoder
    save_checkpoint(models / "mini-any", LayerProjections((0, 1, 2, 3, 4), 32, 16), *parts, True, {})
    try:
        with pytest.raises(InputError, match="trained again"):
            precompute_results(replace(settings, docs=""))
    finally:
        file.write_bytes(before)


def test_other_seeds_tell_the_noise(made, models, monkeypatch):
    _, _, settings, _, _ = made
    new = models.parent / "swept" / "mini-l3"
    words, encoder = tiny_family.tokenizer(), str(models / "mini")
    parts = tiny_family.language(words, 7), make_processor(encoder, words), encoder
    save_checkpoint(new, LayerProjections((3,), 32, 16), *parts, False, {"seed": 5})
    few = replace(settings, any="", others=(str(models / "mini-l4"), str(new), str(new.parent)), docs="", n=4)
    found = precompute_results(few)
    kinds = found.tables["accuracy"].groupby("checkpoint")["kind"].first()
    assert kinds["mini-l3"] == INDIVIDUAL and kinds["mini-l3 · seed 5"] == SEED
    noise = found.tables["noise"].query("layers == '4'").set_index("task")
    assert noise.loc["all", "checkpoints"] == 2 and noise.loc["all", "deviation"] == 0  # it is the same checkpoint
    precompute_results(settings)


def test_the_command_line(made, capsys, models):
    _, settings, _, _, _ = made
    flags = ["--out", settings.out, "--work", settings.work, "--n", str(N), "--threads", "1"]
    asked = ["precompute", "failures", "--checkpoints", "mini-l2,mini-l4,mini-any@2+4", *flags]
    assert main(asked) == 0
    assert capsys.readouterr().out.startswith("existence   8 questions: mini-any@2+4 right where mini-l2 fails ")
    asked = ["precompute", "results", "--layers", "1,2,4", "--fusions", "2+4", "--docs", "", *flags[:4], "--n", "4"]
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["verdict"] == NOT_MEASURED
    assert main(["precompute", "results", "--layers", "one", *flags]) == 2
    assert "as layers" in capsys.readouterr().err


def test_what_cannot_be_computed_is_refused(patched, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="precompute failures"):
        precompute_results(ResultsSettings(out=str(tmp_path)))
    with pytest.raises(SettingsError):
        FailuresSettings(n=3)
    monkeypatch.setattr(failures_job, "list_ids", lambda: [])
    with pytest.raises(CheckpointError, match="No checkpoint is built in"):
        precompute_failures(FailuresSettings(out=str(tmp_path)))


def test_some_scenes_keeps_whole_scenes(made):
    cases = cases_of(made[3])
    chosen = some_scenes(cases, N // 2, 0)
    seeds = {case.picture.seed for case, yes in zip(cases, chosen, strict=True) if yes}
    assert all(yes == (case.picture.seed in seeds) for case, yes in zip(cases, chosen, strict=True))
    assert some_scenes(cases, 1000, 0).all()


def synthetic(**rates):
    """(columns, right, task): questions of two tasks; the rate of each checkpoint in each."""
    rng = np.random.default_rng(0)
    task = np.repeat(["count", "position", "word"], 600)
    columns, right = [], {}
    for name, by_task in rates.items():
        layers = [int(part) for part in name[1:].split("_")]
        columns.append({"id": name, "layers": layers, "kind": "individual"})
        right[name] = np.concatenate([rng.random(600) < rate for rate in by_task]).astype(np.int8)
    return columns, right, task


def test_findings_have_the_verdict_that_their_numbers_give():
    columns, right, task = synthetic(
        l3=(0.3, 0.3, 0.2), l18=(0.8, 0.6, 0.5), l23=(0.6, 0.6, 0.8), l24=(0.7, 0.7, 0.9), l3_18_23=(0.9, 0.8, 0.9)
    )
    found = {entry["id"]: entry for entry in measure(columns, right, task)}
    verdicts = {name: entry["verdict"] for name, entry in found.items()}
    assert verdicts == {
        "penultimate-last": OTHER_WAY, "middle-count": AS_IN_PAPER, "middle-position": NOT_SHOWN, "deep-words": AS_IN_PAPER,
        "fusion": AS_IN_PAPER, "shallow": AS_IN_PAPER,
    }  # fmt: skip
    fusion = found["fusion"]["individual"]
    assert fusion["second_id"] == "l24" and fusion["of_tasks"] == 3 and fusion["p"] <= fusion["p_holm"]
    count = found["middle-count"]["individual"]
    assert count["n"] == 600 and count["low"] < count["difference"] < count["high"]
    only = (right["l18"][:600] > right["l23"][:600]).sum()
    assert count["only_first"] == only and f"alone right {only}" in spoken(count)
    assert found["fusion"]["any"] is None
