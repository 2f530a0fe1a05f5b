"""What the language models read while they learn: questions, captions and written pictures, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from explorer.jobs.encoder_data import encoder_pixels
from explorer.jobs.lm_tokenizer import english_words
from explorer.jobs.noun_facts import FactFinder
from explorer.jobs.training_scenes import draw_scene, pick
from explorer.jobs.written_pictures import CELLS, Notation, Writer, covered_cells
from explorer.models.packed import Pack, make_pack
from explorer.scenes.captions import NUMBERS, article, join, make_caption, noun, plural
from explorer.scenes.facts import CELLS as PLACES
from explorer.scenes.layout import MOST_THINGS, make_scene, random_seed
from explorer.scenes.questions import TASKS, make_questions
from explorer.scenes.rewordings import ABSENT, both_numbers, reword, vary
from explorer.scenes.scene import Scene

_DESCRIBE = (
    "Describe the picture.", "What is in the picture?", "What do you see?", "Write a caption.", "What does this show?",
    "Tell me about this image.", "Caption this.", "Describe the scene.",
)  # fmt: skip
_LIST = ("List everything and where it is.", "What is where?", "List all things with their places.", "Where is what?")


def place_caption(scene: Scene) -> str:
    """All things from top to bottom, single ones with their places: "a dog in the top left, two cats and a sign …"."""
    groups = Counter(noun(thing) for thing in scene.objects)
    parts = []
    for thing in sorted(scene.objects, key=lambda thing: (int(3 * thing.y), thing.x)):
        count = groups.pop(noun(thing), 0)
        place = PLACES[3 * min(2, int(3 * thing.y)) + min(2, int(3 * thing.x))]
        if count == 1:
            parts.append(f"{article(noun(thing))} in the {place}")
        elif count:
            parts.append(f"{NUMBERS[count]} {plural(thing)}")
    if scene.sign:
        parts.append(f'a sign that says "{scene.sign.word}"')
    return join(parts or ["nothing"])


class Asker:
    """Turns a scene into tokens of questions and answers."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        """Ask with the tokens of one tokenizer."""
        self.tokenizer: Any = tokenizer
        self._english = english_words()
        self._reply: Any = tokenizer.convert_tokens_to_ids("<reply>")

    def captions(self, scene: Scene, rng: np.random.Generator) -> list[tuple[str, str]]:
        """A caption as on the web, and one that says what is where."""
        return [(pick(_DESCRIBE, rng), make_caption(scene, rng)), (pick(_LIST, rng), place_caption(scene))]

    def questions(
        self,
        scene: Scene,
        rng: np.random.Generator,
        most: int,
        tasks: Sequence[str] = TASKS,
        plain: bool = False,
    ) -> list[tuple[str, str]]:
        """Questions in the world's wordings and in others; now and then about something that no scene holds.

        Args:
            scene: what is asked about.
            rng: chooses questions and wordings.
            most: questions of the world at most.
            tasks: some of ``TASKS``.
            plain: in the world's wordings alone.
        """
        asked = []
        for question in make_questions(scene, rng, tasks, most):
            text = question.text
            if plain:
                asked.append((text, question.answer))
                continue
            if rng.random() < 0.5:
                text = reword(text, question.task, question.form, rng)
            asked.append((vary(text, rng, self._english) if rng.random() < 0.7 else text, question.answer))
        if not plain and rng.random() < 0.3:
            single, many = both_numbers(pick(ABSENT, rng))
            wordings = ((f"Is there {article(single)}?", "no"), (f"Are there any {many} in the picture?", "no"))
            asked.append(pick((*wordings, (f"How many {many} are there?", "0")), rng))
        return asked

    def encode(self, texts: list[list[tuple[str, str]]]) -> list[list[tuple[list[int], list[int]]]]:
        """Tokens of the questions, each ended by the sign to reply, and of the answers, ended by the end of a turn."""
        flat = [text for some in texts for pair in some for text in pair]
        ids = iter(self.tokenizer(flat, add_special_tokens=False).input_ids)
        last = self.tokenizer.eos_token_id
        return [[([*next(ids), self._reply], [*next(ids), last]) for _ in some] for some in texts]


@dataclass(frozen=True)
class Reading:
    """A batch of written pictures with questions.

    Attributes:
        pack: the questions.
        positions: int64 [N, P], positions of the prefix: 0 for the first token, 1 + cell for the others.
        spots, words, weights: parallel, [E]: a word's place in the flattened [N, P], its token, its weight.
        told: int64 [K, 3], what nouns and cells have to find, see ``noun_facts``.
    """

    pack: Pack
    positions: Tensor
    spots: Tensor
    words: Tensor
    weights: Tensor
    told: Tensor

    def to(self, device: torch.device) -> Reading:
        """The same on another device."""
        names = ("positions", "spots", "words", "weights", "told")
        return replace(self, pack=self.pack.to(device), **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class Phase:
    """A stretch of the language run.

    Attributes:
        steps: how many batches.
        pictures: of a batch.
        things: at most so many in a scene; 10 is any number.
        cells: so many of a picture's are kept, those of things first.
        questions: of a picture, at most.
        tasks: what is asked about.
        plain: in the world's own wordings alone, and no captions.
        crowds: share of the scenes that are drawn for their many things of one kind, where ``things`` is any number.
    """

    steps: int
    pictures: int = 12
    things: int = MOST_THINGS
    cells: int = CELLS
    questions: int = 12
    tasks: tuple[str, ...] = TASKS
    plain: bool = False
    crowds: float = 0.0


class WrittenBatches(Dataset):
    """Batch k of stage 0, always the same for the same seed and k."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, phases: Sequence[Phase], blind: float):
        """Args: the tokenizer; seed of the run; its phases; share of batches that withhold the picture."""
        self.asker, self.writer, self.first = Asker(tokenizer), Writer(tokenizer), tokenizer.bos_token_id
        self.seed, self.blind, self._facts = seed, blind, FactFinder(tokenizer)
        self.plan = [phase for phase in phases for _ in range(phase.steps)]

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.plan)

    def __getitem__(self, step: int) -> Reading:
        """The batch of a step."""
        phase, rng = self.plan[step], np.random.default_rng((self.seed, 0, step))
        few = phase.things < MOST_THINGS
        scenes = [
            make_scene(random_seed("train", rng), things=1 + int(rng.integers(phase.things)))
            if few
            else draw_scene(rng, phase.crowds)
            for _ in range(phase.pictures)
        ]
        texts = [self.asker.questions(scene, rng, phase.questions, phase.tasks, phase.plain) for scene in scenes]
        # Captions stand in one batch together, since the longest text sets the cost of attention.
        with_captions = not phase.plain and rng.random() < 0.1
        for scene, some in zip(scenes, texts, strict=True):
            captions = self.asker.captions(scene, rng)
            if with_captions or not some:
                some.append(pick(captions, rng))
        encoded = self.asker.encode(texts)
        if rng.random() < self.blind:
            return self._blind(encoded)
        written = [self.writer.write(scene, Notation.draw(rng), rng) for scene in scenes]
        return self._lay_out(scenes, written, encoded, phase.cells, rng)

    def _blind(self, encoded: list[list[tuple[list[int], list[int]]]]) -> Reading:
        n, none = len(encoded), torch.zeros(0, dtype=torch.long)
        pack = make_pack(encoded, 1)
        first = torch.zeros(n, 1, dtype=torch.long)
        return Reading(pack, first, none, none, torch.zeros(0), none.view(-1, 3))

    def _lay_out(self, scenes, written, encoded, cells: int, rng: np.random.Generator) -> Reading:
        covered = [covered_cells(scene) for scene in scenes]
        cells = max(cells, *(int(some.sum()) for some in covered))
        positions, spots, words, weights, stand = [], [], [], [], []
        for n, (at, tokens, weight) in enumerate(written):
            # What is kept: things first, then ground by chance; the position of what is left out stays empty.
            order = np.argsort(rng.random(CELLS) - covered[n], kind="stable")
            kept = np.sort(order[:cells])
            place = np.full(CELLS, -1)
            place[kept] = n * (1 + cells) + 1 + np.arange(cells)
            there = place[at] >= 0
            stand.append(place)
            positions.append(np.concatenate([[0], 1 + kept]))
            spots.append(place[at][there])
            words.append(tokens[there])
            weights.append(weight[there])
        pack = make_pack(encoded, 1 + cells, after=1 + CELLS)
        joined = [torch.from_numpy(np.concatenate(parts)) for parts in (spots, words, weights)]
        places = torch.from_numpy(np.stack(positions))
        return Reading(pack, places, joined[0], joined[1], joined[2], self._facts.find(scenes, pack, np.stack(stand)))


@dataclass(frozen=True)
class Shown:
    """A batch of drawn scenes with texts.

    Attributes:
        places: of the N scenes in the pool.
        pixels: uint8 [n, 168, 168, 3], as the encoder sees them, of those scenes alone that were not shown before.
        new: which of the N those n are.
        pack: captions or questions.
        told: int64 [K, 3], what nouns and patches have to find, see ``noun_facts``.
    """

    places: tuple[int, ...]
    pixels: Tensor
    new: tuple[int, ...]
    pack: Pack
    told: Tensor


class PictureBatches(Dataset):
    """Batch k of stages 1 and 2; what it holds depends on the seed and k alone, which pixels come along does not.

    With a pool, the same so many scenes are shown again and again, with new questions each time, and their pixels are
    handed out the first time only.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        plan: list[tuple[int, int]],
        most: int,
        pool: int = 0,
        lessons: tuple[int, Sequence[str]] = (0, TASKS),
        crowds: float = 0.0,
        signs: float = 0.0,
        counts: float = 0.0,
    ):
        """Take the order of batches.

        Args:
            tokenizer: of the language models.
            seed: of the run.
            plan: (stage, pictures) of each step.
            most: questions of a picture at most.
            pool: how many scenes are shown again and again; 0 for new ones always.
            lessons: (steps, tasks): before that step, plain questions of these tasks alone.
            crowds: share of the scenes, as ``draw_scene`` takes it.
            signs: share of the scenes, as ``draw_scene`` takes it.
            counts: share of the scenes, after the plain lessons, about which numbers alone are asked.
        """
        self.lessons, self.shares, self.counts = lessons, (crowds, signs), counts
        self.asker, self.seed, self.plan, self.most, self.pool = Asker(tokenizer), seed, plan, most, pool
        self._facts = FactFinder(tokenizer)
        self._scenes: dict[int, Scene] = {}

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.plan)

    def __getitem__(self, step: int) -> Shown:
        """The batch of a step."""
        stage, pictures = self.plan[step]
        rng = np.random.default_rng((self.seed, 1, step))
        if self.pool:
            places = rng.choice(self.pool, pictures, replace=False).tolist()
            new = [k for k, place in enumerate(places) if place not in self._scenes]
            for k in new:
                own = np.random.default_rng((self.seed, 4, places[k]))
                self._scenes[places[k]] = draw_scene(own, *self.shares)
            scenes = [self._scenes[place] for place in places]
        else:
            places = new = list(range(pictures))
            scenes = [draw_scene(rng, *self.shares) for _ in places]
        texts = []
        for scene in scenes:
            captions = self.asker.captions(scene, rng)
            plain = step < self.lessons[0]
            tasks = self.lessons[1] if plain else TASKS
            if self.counts and not plain and rng.random() < self.counts:
                tasks = ("count", "total")
            asked = [] if stage == 1 else self.asker.questions(scene, rng, self.most, tasks, plain)
            texts.append(asked or captions)
        drawn = [encoder_pixels(scenes[k]) for k in new]
        pixels = torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(0, 168, 168, 3, dtype=torch.uint8)
        pack = make_pack(self.asker.encode(texts), 1 + CELLS)
        cells = pack.prefix * np.arange(len(scenes))[:, None] + 1 + np.arange(CELLS)
        return Shown(tuple(places), pixels, tuple(new), pack, self._facts.find(scenes, pack, cells))
