import json

import numpy as np

from explorer.jobs import guess
from explorer.scenes.kinds import KINDS
from explorer.scenes.questions import TASKS, Form, Question


def leaky(n, rng, form):
    """Questions that their words give away: large kinds are always larger, and every dog is there."""
    kinds = [kind for kind in KINDS.values() if kind.glyph]
    for _ in range(n):
        a, b = (kinds[int(k)] for k in rng.permutation(len(kinds))[:2])
        if form is Form.OPEN and a.scale != b.scale:
            text = f"Which is larger, the {a.name} or the {b.name}?"
            yield Question(text, max(a, b, key=lambda kind: kind.scale).name, "larger", form, (a.name, b.name))
        elif form is Form.YESNO:
            name, answer = ("dog", "yes") if rng.random() < 0.5 else (a.name, "no")
            yield Question(f"Is there a {name}?", answer, "existence", form, ("yes", "no"))


def test_the_guesser_finds_what_words_give_away():
    rng = np.random.default_rng(0)
    for form, least in ((Form.OPEN, 0.75), (Form.YESNO, 0.95)):
        train, test = list(leaky(900, rng, form)), list(leaky(300, rng, form))
        right, chance, _ = np.array(guess._marks(train, test), float).T
        assert right.mean() > least and np.all(chance == 0.5)


def test_it_reports_every_task_and_form(capsys):
    assert guess.main(["--n", "8", "--train", "100", "--seed", "1", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [(row["task"], row["form"]) for row in results] == [(t, f) for t in TASKS for f in ("yesno", "open", "both")]
    for row in results:
        assert row["n"] == (8 if row["form"] == "both" else 4)
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["form"] != "yesno" or row["chance"] == row["majority"] == 0.5


def test_it_refuses_what_cannot_be_measured(capsys):
    assert guess.main(["--n", "1", "--train", "1"]) == 2
    assert "at least 4" in capsys.readouterr().err
