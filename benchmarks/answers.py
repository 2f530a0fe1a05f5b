"""Five checkpoints against one, and 20 visitors at once: `PYTHONPATH=. python benchmarks/answers.py`.

With the built-in checkpoints where there are five, else with random weights of the same size (their answers are cut to
one token, since they would never end, and no X-ray is timed).
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

import torch
from transformers import AutoConfig

from explorer.jobs.lm_tokenizer import english_words, make_tokenizer
from explorer.models.catalogue import MINI
from explorer.models.family import make_processor, save_checkpoint
from explorer.models.language import LanguageShape, make_language
from explorer.models.projections import LayerProjections
from explorer.records import Picture
from explorer.scenes.kinds import KINDS
from explorer.scenes.layout import make_scene
from explorer.scenes.render import picture
from explorer.scenes.rewordings import spoken_words
from explorer.services.answer import Answerers

QUESTION = "How many dogs are there?"
SETS = {"mini-l3": [3], "mini-l12": [12], "mini-l18": [18], "mini-l23": [23], "mini-fused": [3, 18, 23]}


def save_random(root: Path) -> Path:
    """The family's shapes with random weights, on the built-in encoder."""
    names = [name for kind in KINDS.values() for name in (kind.name, kind.plural)]
    words = make_tokenizer([*names, *spoken_words(), *english_words()])
    shape, width = LanguageShape(), AutoConfig.from_pretrained(MINI).vision_config.hidden_size
    processor = make_processor("mini", words)
    for seed, (name, layers) in enumerate({**SETS, "mini-any": list(range(1, 25))}.items()):
        maps = LayerProjections(layers, shape.width, width)
        torch.nn.init.normal_(maps.weight, std=0.05)
        save_checkpoint(root / name, maps, make_language(shape, words, seed), processor, "mini", name == "mini-any", {})
    return root


def scene(k: int) -> Picture:
    return picture(make_scene(1_100_000_000 + k))


def seconds(do, *given, **how) -> float:
    began = time.perf_counter()
    replies = do(*given, **how)
    took = time.perf_counter() - began
    assert not any(getattr(reply, "error", "") for reply in replies if hasattr(reply, "error")), replies
    return took


def side_by_side(answerers: Answerers, ids: list[str], most: int, runs: int, trained: bool) -> dict[str, float]:
    """Five against one, turn by turn, each on a picture that no one has seen before; then on the same again."""
    rows = []
    for k in range(runs + 1):  # the first warms up
        first, second = scene(3 * k), scene(3 * k + 1)
        one = seconds(answerers.ask, [first], QUESTION, ids[:1], most_tokens=most)
        five = seconds(answerers.ask, [second], QUESTION, ids, most_tokens=most)
        again = seconds(answerers.ask, [second], QUESTION, ids, most_tokens=most)
        xray = seconds(lambda p: [answerers.xray(p, QUESTION)], scene(3 * k + 2)) if trained else float("nan")
        rows.append((one, five, again, xray))
    one, five, again, xray = (statistics.median(column) for column in zip(*rows[1:], strict=True))
    ratios = [row[1] / row[0] for row in rows[1:]]
    return {
        "one_seconds": round(one, 3),
        "five_seconds": round(five, 3),
        "five_over_one": round(statistics.median(ratios), 2),
        "five_again_over_one": round(again / one, 2),
        "runs": runs,
    } | ({"xray_over_one": round(xray / one, 2)} if trained else {})


def crowd(answerers: Answerers, ids: list[str], most: int, visitors: int) -> dict[str, float]:
    """Everybody asks all checkpoints at the same moment, each about a picture of their own."""
    took: dict[int, float] = {}
    pictures = [scene(1000 + k) for k in range(visitors)]
    alone = seconds(answerers.ask, [scene(999)], QUESTION, ids, most_tokens=most)
    ready = threading.Barrier(visitors)

    def visit(k: int) -> None:
        ready.wait()
        replies = answerers.ask([pictures[k]], QUESTION, ids, most_tokens=most)
        if all(reply.done and not reply.error and reply.probabilities for reply in replies):
            took[k] = time.perf_counter() - began

    threads = [threading.Thread(target=visit, args=(k,)) for k in range(visitors)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "visitors": visitors,
        "answered": len(took),
        "all_answered_seconds": round(max(took.values()), 2),
        "median_wait_seconds": round(statistics.median(took.values()), 2),
        "all_over_alone_each": round(max(took.values()) / (visitors * alone), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--random", action="store_true", help="random weights even where there are trained ones")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        built_in = [info.id for info in Answerers().built_in() if not info.choosable]
        trained = len(built_in) >= len(SETS) and not args.random
        answerers = Answerers() if trained else Answerers(catalogue=save_random(Path(folder)))
        ids = [*SETS] if not trained or set(SETS) <= set(built_in) else built_in[: len(SETS)]
        most = 24 if trained else 1
        answerers.ask([scene(998)], QUESTION, [*ids, "mini-any"], most_tokens=most)  # loads all
        found = {"weights": "trained" if trained else "random", "checkpoints": ids, "threads": torch.get_num_threads()}
        found |= side_by_side(answerers, ids, most, args.runs, trained)
        print(json.dumps(found | crowd(answerers, ids, most, args.visitors)))


if __name__ == "__main__":
    main()
