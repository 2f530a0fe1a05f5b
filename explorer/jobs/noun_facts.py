"""What has to be found in a picture before a question is answered, by the things' cells and by the question's nouns.

Stage 0, and stage 2 with ``hints``, ask for it on the way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.jobs.written_pictures import GRID
from explorer.models.packed import IGNORE, Pack
from explorer.scenes.captions import NUMBERS
from explorer.scenes.facts import LARGER_RATIO, LEAST_DISTANCE, area, axis_held_out
from explorer.scenes.kinds import COLOURS, KINDS, WORDS
from explorer.scenes.layout import MOST_THINGS
from explorer.scenes.scene import Scene, SceneObject, held_out_count


@dataclass(frozen=True)
class Fact:
    """One thing to find.

    Attributes:
        block: after this block of the language model, counted from 1, the state of the noun or cell should tell it.
        options: what it can be: words, which the state then names by the model's own embeddings, so that a later block
            finds them as it finds equal words; or a number of classes.
    """

    block: int
    options: tuple[str, ...] | int


_SIZES = 6  # classes of a thing's area, each half as large again as the one before
FACTS = {
    "row": Fact(3, GRID),
    "column": Fact(3, GRID),
    "size": Fact(3, _SIZES),
    "upright": Fact(3, ("top", "middle", "bottom")),
    "sideways": Fact(3, ("left", "center", "right")),
    "colour": Fact(3, tuple(COLOURS)),
    "says": Fact(3, tuple(word.lower() for word in WORDS)),
    # At the cell of a thing's middle: the how manieth it is, from the top left, of its kind and of all things.
    "nth of kind": Fact(3, tuple(str(n) for n in range(MOST_THINGS + 1))),
    "nth of all": Fact(3, MOST_THINGS + 1),
    "count": Fact(4, tuple(str(n) for n in range(MOST_THINGS + 1))),
    # Of the first noun of a question, told by the second.
    "beside": Fact(4, ("left", "right")),
    "over": Fact(4, ("above", "below")),
    "larger": Fact(4, ("larger", "smaller")),
    # At a word that states one of these, or at the noun if that comes later, in questions to be answered by yes or no.
    "so": Fact(5, ("no", "yes")),
}
_WORDED = {name: list(fact.options) for name, fact in FACTS.items() if not isinstance(fact.options, int)}


def option_tokens(tokenizer: Any) -> dict[str, list[int]]:
    """The tokens of the options of those ``FACTS`` that words tell."""
    return {name: tokenizer.convert_tokens_to_ids(words) for name, words in _WORDED.items()}


def make_heads(width: int) -> nn.ModuleDict:
    """Heads for those ``FACTS`` that no words tell; of zeros, so that they learn before they push the model."""
    heads = {name: nn.Linear(width, fact.options) for name, fact in FACTS.items() if isinstance(fact.options, int)}
    for head in heads.values():
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return nn.ModuleDict(heads)


def fact_losses(
    language: Any, told: Tensor, seen: list[Tensor], options: dict[str, list[int]], heads: Any
) -> dict[str, Tensor]:
    """Cross-entropy of the facts that are told, by name.

    Args:
        language: a LlamaForCausalLM.
        told: as ``FactFinder.find`` and ``number_things`` give it.
        seen: states after each block, as ``read_pack`` gives them.
        options: as ``option_tokens`` gives them.
        heads: as ``make_heads`` gives them.
    """
    losses = {}
    for k, (name, fact) in enumerate(FACTS.items()):
        places, _, right = told[told[:, 1] == k].T
        if len(places):
            states = language.model.norm(seen[min(fact.block, len(seen)) - 1][places])
            worded = name in options  # of the head, only the rows of these words are needed
            logits = F.linear(states, language.lm_head.weight[options[name]]) if worded else heads[name](states)
            losses[name] = F.cross_entropy(logits.float(), right)
    return losses


def _middle_cell(thing: SceneObject) -> int:
    """The cell that a thing's middle lies in, counted row by row."""
    row, column = (min(GRID - 1, int(GRID * x)) for x in (thing.y, thing.x))
    return GRID * row + column


def _of_one(kind: str, things: list[SceneObject]) -> dict[str, int]:
    """What the things of a kind have, as places among the options of ``FACTS``."""
    told = {} if held_out_count(kind, len(things)) else {"count": min(MOST_THINGS, len(things))}
    if len(things) != 1:
        return told
    [thing] = things
    row, column = divmod(_middle_cell(thing), GRID)
    told |= {"row": row, "column": column, "upright": 3 * row // GRID, "sideways": 3 * column // GRID}
    told["size"] = min(_SIZES - 1, max(0, int(log(area(thing) / 0.01) / log(1.5))))
    if thing.colour:
        told["colour"] = list(COLOURS).index(thing.colour)
    return told


def _of_two(a: SceneObject, b: SceneObject) -> dict[str, int]:
    """How the first is to the second, where that is clear and no combination kept for tests."""
    told = {}
    for axis, (name, apart) in enumerate((("beside", a.x - b.x), ("over", a.y - b.y))):
        if abs(apart) >= LEAST_DISTANCE and not axis_held_out(a.kind, b.kind, axis):
            told[name] = int(apart > 0)
    ratio = area(a) / area(b)
    if max(ratio, 1 / ratio) >= LARGER_RATIO:
        told["larger"] = int(ratio < 1)
    return told


def number_things(scene: Scene, places: np.ndarray) -> list[tuple[int, int, int]]:
    """Which one of its kind, and of all, each thing of a scene is, at the cell of its middle.

    Args:
        scene: what is written.
        places: int64 [CELLS], where each cell stands in the row that ``read_pack`` makes; -1 where it was left out.

    Returns:
        list: of facts as in ``FactFinder.find``; of things whose middles share a cell, the last alone is told.
    """
    cells = {}
    counts: Counter[str] = Counter()
    for n, thing in enumerate(sorted(scene.objects, key=_middle_cell), 1):
        counts[thing.kind] += 1
        cells[_middle_cell(thing)] = (thing.kind, counts[thing.kind], n)
    names, found = list(FACTS), []
    for cell, (kind, of_kind, of_all) in cells.items():
        if places[cell] >= 0:
            found.append((int(places[cell]), names.index("nth of all"), min(MOST_THINGS, of_all)))
            if not held_out_count(kind, of_kind):
                found.append((int(places[cell]), names.index("nth of kind"), min(MOST_THINGS, of_kind)))
    return found


class FactFinder:
    """Tells what the nouns of questions have to find; for one tokenizer."""

    def __init__(self, tokenizer: Any):
        """Look up the tokens that name kinds, and those that a statement is true or false by."""

        def ids(*words: str) -> list[int]:
            # A word's last token; with a tokenizer that learned these words, mostly its only one.
            return [tokenizer(word, add_special_tokens=False).input_ids[-1] for word in words]

        kinds: dict[int, set[str]] = {}
        for name, kind in KINDS.items():
            for token in ids(kind.name, kind.plural):
                kinds.setdefault(token, set()).add(name)
        # What is asked about: the first of these tables that a question's words are in; "say" and "word" stand in
        # other questions too.
        self._nouns = (
            dict.fromkeys(ids("sign", "text", "board", "written", "read"), "sign"),
            {token: names.pop() for token, names in kinds.items() if len(names) == 1},
            dict.fromkeys(ids("thing", "things", "object", "objects"), "thing")
            | dict.fromkeys(ids("say", "word"), "sign"),
        )
        said = [(name, word, k) for name, words in _WORDED.items() for k, word in enumerate(words) if name != "so"]
        said += [("count", word, n) for n, word in enumerate(NUMBERS)]
        said += [(name, word, 1) for name in ("upright", "sideways") for word in ("middle", "center", "centre")]
        self._said: dict[int, dict[str, int]] = {}
        for name, word, option in [*said, ("larger", "bigger", 0)]:
            self._said.setdefault(ids(word)[0], {})[name] = option
        self._upright, self._sideways, self._middle = ids("top", "bottom"), ids("left", "right"), ids("middle")[0]
        self._grid, self._replies = ids("rows", "columns"), ids("yes", "no")

    def find(self, scenes: list[Scene], pack: Pack, places: np.ndarray) -> Tensor:
        """Look at all questions of a pack, and at the things they are about.

        Args:
            scenes: what is asked about.
            pack: the questions, some for each scene.
            places: int64 [N, CELLS], as ``number_things`` takes them.

        Returns:
            Tensor: int64 [K, 3], for each fact its place in the row that ``read_pack`` makes of pictures and questions,
            which of ``FACTS`` it is, and which of that one's options is right.
        """
        names, found, pictures = list(FACTS), [], pack.pictures * pack.prefix  # the pictures stand before the questions
        tokens, targets = pack.tokens.tolist(), pack.targets.tolist()
        of = (pack.slots // pack.longest).tolist()  # the question
        starts = [k for k in range(len(of)) if k == 0 or of[k] != of[k - 1]]
        for start, end in zip(starts, [*starts[1:], len(of)], strict=True):
            at = range(start, end)
            scene = scenes[of[start] // pack.most]
            nouns = next(
                filter(None, ([(k, table[tokens[k]]) for k in at if tokens[k] in table] for table in self._nouns)), []
            )
            things = {kind: [thing for thing in scene.objects if kind in (thing.kind, "thing")] for _, kind in nouns}
            told = {kind: _of_one(kind, some) for kind, some in things.items()}
            if scene.sign and "sign" in told:
                told["sign"] = {"says": WORDS.index(scene.sign.word)}
            found += [(k, names.index(name), option) for k, kind in nouns for name, option in told[kind].items()]
            known, ready = (told[nouns[0][1]], nouns[0][0]) if len(told) == 1 else ({}, end)
            if len(things) == 2 and all(len(some) == 1 for some in things.values()):
                (first,), (second,) = things.values()
                known, ready = _of_two(first, second), next(k for k, kind in nouns if kind == second.kind)
                found += [(ready, names.index(name), option) for name, option in known.items()]
            if next((t for t in targets[start:end] if t != IGNORE), IGNORE) in self._replies:
                found += [(max(k, ready), names.index("so"), so) for k, so in self._agree(tokens, at, known)]
        found = [(pictures + k, *rest) for k, *rest in found]
        found += [fact for scene, own in zip(scenes, places, strict=True) for fact in number_things(scene, own)]
        return torch.tensor(found, dtype=torch.long).view(-1, 3)

    def _agree(self, tokens: list[int], at: range, known: dict[str, int]) -> list[tuple[int, int]]:
        """Places of words that state something about what is known, and whether (1) or not (0) it is so."""
        found = []
        for k in at:
            stated = {name: option for name, option in self._said.get(tokens[k], {}).items() if name in known}
            before, after = tokens[max(at.start, k - 1)], tokens[min(at.stop - 1, k + 1)]
            if tokens[k] == self._middle and after in self._sideways:
                stated.pop("sideways", None)
            if tokens[k] == self._middle and before in self._upright:
                stated.pop("upright", None)
            if stated and after not in self._grid:
                found.append((k, int(all(known[name] == option for name, option in stated.items()))))
        return found
