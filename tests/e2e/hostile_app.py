"""``app.py`` where every model answers with HTML, template marks and a mark that turns the direction of writing."""

import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ui")]

from fake_answers import FakeAnswerers  # noqa: E402
from page_steps import HOSTILE  # noqa: E402

import app  # noqa: E402
from explorer.records import AnswerKind  # noqa: E402


class Hostile(FakeAnswerers):
    def __init__(self, **settings):
        super().__init__()

    def reply(self, *asked):
        shares = ((HOSTILE, 0.6), ("two", 0.4))
        return replace(super().reply(*asked), text=HOSTILE, kind=AnswerKind.OPEN, probabilities=shares)

    def xray(self, *asked, **how):
        found = super().xray(*asked, **how)
        return replace(found, answers=(HOSTILE,) * len(found.answers))


if __name__ == "__main__":
    app.Answerers = Hostile
    app.main()
