"""``app.py`` whose encoder takes seconds to look at the first example."""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import app  # noqa: E402
from explorer.services.explore import Explorer  # noqa: E402

SECONDS = 3


class Slow(Explorer):
    def explore(self, picture, *how):
        if picture.name == "a square":
            time.sleep(SECONDS)
        return super().explore(picture, *how)


if __name__ == "__main__":
    app.Explorer = Slow
    app.main()
