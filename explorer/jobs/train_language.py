"""Stage 0: teach the mini language model to answer questions about written pictures, before it sees any picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import AutoTokenizer, LlamaForCausalLM

from explorer.jobs.align import written_vectors
from explorer.jobs.answers import Answered, summarise
from explorer.jobs.lm_data import Asker, Phase, Reading, WrittenBatches
from explorer.jobs.lm_tokenizer import IMAGE, make_tokenizer
from explorer.jobs.noun_facts import fact_losses, make_heads, option_tokens
from explorer.jobs.run import Log, make_optimizers, rate_share, save_state, step_optimizers
from explorer.jobs.settings import save_settings
from explorer.jobs.written_pictures import GRID, Notation, Writer
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.language import LanguageShape, make_language
from explorer.models.packed import IGNORE, read_pack, reply_greedily
from explorer.scenes.kinds import KINDS
from explorer.scenes.questions import Question, question_set
from explorer.scenes.scene import Scene
from explorer.services.judging import is_right


@dataclass(frozen=True)
class LanguageSettings:
    """Settings of `train language`.

    Attributes:
        out: folder of the run (state, log) and, at its end, of the model under ``model/``.
        start: folder of a finished language model to go on from, with its tokenizer and shape; "" starts afresh.
        phases: in order, see ``lm_data.Phase``; a table each in a settings file.
        blind: share of batches without a picture, so that the model also knows what words alone tell.
        noise: largest spread of what is added to the cells of a picture, in units of the embeddings' own spread.
        hints: weight of the help that goes away: to tell after the second block each cell's row and column, and later,
            at each thing which one it is, at each noun of a question what it has to find (``noun_facts.FACTS``).
        heads_steps: in so many first steps only the heads of the hints learn, as a run from ``start`` has new ones.
        learning_rate, matrix_learning_rate: of AdamW (embeddings, norms) and of Muon (the matrices of the blocks).
        warmup, cooldown: shares of all steps in which the rates rise from 0 and fall to 0.
        device, dtype: by default what this machine has and is fastest in.
    """

    out: str = "runs/language"
    start: str = ""
    seed: int = 0
    blocks: int = LanguageShape.blocks
    width: int = LanguageShape.width
    mlp_width: int = LanguageShape.mlp_width
    heads: int = LanguageShape.heads
    spread: float = LanguageShape.spread
    phases: tuple[Phase, ...] = (Phase(400, 16, 6, 60, plain=True), Phase(4000))
    blind: float = 0.06
    noise: float = 1.0
    hints: float = 0.3
    heads_steps: int = 0
    learning_rate: float = 3e-3
    matrix_learning_rate: float = 0.02
    warmup: float = 0.02
    cooldown: float = 0.4
    device: str | None = None
    dtype: str | None = None
    threads: int = 2
    workers: int = 1
    save_minutes: float = 4.0

    def __post_init__(self):
        """Take phases as a file gives them too."""
        phases = tuple(Phase(**phase) if isinstance(phase, dict) else phase for phase in self.phases)
        object.__setattr__(self, "phases", phases)

    def shape(self) -> LanguageShape:
        """The model's."""
        return LanguageShape(self.blocks, self.width, self.mlp_width, self.heads, self.spread)


def embed_reading(embedding: Tensor, reading: Reading, first: int, mark: int, noise: Tensor | None = None) -> Tensor:
    """Vectors of the written pictures, [N, P, D]: a mark, the words of each cell, and something random.

    Args:
        embedding: [vocabulary, D].
        reading: the batch.
        first: the token before the picture.
        mark: the token that every cell holds beside its words, so that a word of the picture is told from the same
            word of the question; a real picture's tokens have their projector's bias for that.
        noise: [N, P, D].
    """
    n, p = reading.positions.shape
    flat = embedding[mark].expand(n * p, -1)
    flat = flat.index_add(0, reading.spots, embedding[reading.words] * reading.weights[:, None])
    cells = flat.view(n, p, -1)
    if noise is not None:
        cells = cells + noise
    start = embedding[first].expand(n, 1, -1)
    return torch.cat([start, cells[:, 1:]], 1)


@torch.no_grad()
def join_plurals(embedding: Tensor, tokenizer: Any, share: float = 0.85) -> None:
    """Start the plural of each kind near its singular, so that "dogs" finds the cells that say "dog".

    Args:
        embedding: [vocabulary, D], changed in place.
        tokenizer: whose tokens they are; kinds of several words are joined word by word.
        share: cosine of the two, roughly, beside what all embeddings have in common.
    """
    common = embedding.mean(0)
    for kind in KINDS.values():
        pair = [tokenizer(word, add_special_tokens=False).input_ids for word in (kind.name, kind.plural)]
        for one, many in zip(*pair, strict=False):
            if one != many and tokenizer.unk_token_id not in (one, many):
                own = embedding[[one, many]] - common
                embedding[many] = common + share * own[0] + (1 - share**2) ** 0.5 * own[1]


class LanguageRun:
    """A run that can be stopped at any step and resumed to the same result."""

    def __init__(self, settings: LanguageSettings):
        """Start afresh, or take up the state in ``settings.out``."""
        self.settings, self.out = settings, Path(settings.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(settings.threads)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self.tokenizer: Any
        known = self.out / "tokenizer"
        if known.exists() or settings.start:
            self.tokenizer = AutoTokenizer.from_pretrained(known if known.exists() else settings.start)
        else:
            self.tokenizer = make_tokenizer()
        self.tokenizer.save_pretrained(known)
        self.mark = self.tokenizer.convert_tokens_to_ids(IMAGE)
        model: Any
        if settings.start:
            model = LlamaForCausalLM.from_pretrained(settings.start, dtype=torch.float32)
        else:
            model = make_language(settings.shape(), self.tokenizer, settings.seed)
            join_plurals(model.model.embed_tokens.weight, self.tokenizer)
        self.model = model.to(self.device)
        cell = nn.Linear(settings.width, 2 * GRID)
        self.hints = nn.ModuleDict({"cell": cell, **make_heads(settings.width)}).to(self.device)
        self.options = option_tokens(self.tokenizer)
        self.optimizers = make_optimizers(
            [self.model, self.hints], settings.learning_rate, settings.matrix_learning_rate
        )
        self.step = 0
        if (self.out / "state.pt").exists():
            state = torch.load(self.out / "state.pt", weights_only=True, map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.hints.load_state_dict(state["hints"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step = state["step"]
        save_settings(settings, self.out / "settings.json")

    def save(self) -> None:
        """Write the state."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        parts = {"model": self.model.state_dict(), "hints": self.hints.state_dict(), "optimizers": optimizers}
        save_state({**parts, "step": self.step}, self.out / "state.pt")

    def loss(self, reading: Reading) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch and what is logged of it."""
        embedding, pack = self.model.model.embed_tokens.weight, reading.pack
        chance = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        shape = (*reading.positions.shape, self.settings.width)
        level = self.settings.noise * self.settings.spread * torch.rand(shape[0], 1, 1, generator=chance)
        noise = (level * torch.randn(shape, generator=chance)).to(self.device)
        prefix = embed_reading(embedding, reading, self.tokenizer.bos_token_id, self.mark, noise)
        states, seen = read_pack(self.model.model, prefix, pack, reading.positions)
        asked = pack.targets != IGNORE
        logits, targets = self.model.lm_head(states[asked]), pack.targets[asked]
        loss = F.cross_entropy(logits.float(), targets)
        right = (logits.argmax(1) == targets)[targets != self.tokenizer.eos_token_id]
        row = {"loss": loss.item(), "right": float(right.float().mean())}
        if self.settings.hints and pack.prefix > 1:
            help_, told = self._hint(reading, seen, prefix.shape)
            loss, row = loss + self.settings.hints * help_, row | told
        return loss, row

    def _hint(self, reading: Reading, seen: list[Tensor], shape: torch.Size) -> tuple[Tensor, dict[str, float]]:
        """Loss of the help; ``seen`` as ``read_pack`` gives it, ``shape`` [N, P, D] of the prefix."""
        cells = seen[min(2, len(seen)) - 1][: shape[0] * shape[1]].view(shape)[:, 1:]
        at = (reading.positions[:, 1:] - 1).flatten()
        row, column = self.hints["cell"](cells).flatten(0, 1).split(GRID, -1)
        where = F.cross_entropy(row, at // GRID) + F.cross_entropy(column, at % GRID)
        found = fact_losses(self.model, reading.told, seen, self.options, self.hints)
        told = {"place": where.item()} | {name: part.item() for name, part in found.items()}
        return 0.5 * (where + sum(found.values())), told

    def train(self, until: int | None = None) -> None:
        """Train to the end of the plan, or to step ``until``."""
        settings = self.settings
        data = WrittenBatches(self.tokenizer, settings.seed, settings.phases, settings.blind)
        stop = min(until or len(data), len(data))
        loader = DataLoader(data, batch_size=None, sampler=range(self.step, stop), num_workers=settings.workers)
        parameters = [*self.model.parameters(), *self.hints.parameters()]
        log = Log(self.out, self.step, self.save, settings.save_minutes)
        for reading in tqdm(loader, initial=self.step, total=stop, desc="language"):
            self.model.requires_grad_(self.step >= settings.heads_steps)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                loss, row = self.loss(reading.to(self.device))
            if loss.requires_grad:  # a batch without pictures tells the heads nothing
                loss.backward()
            share = rate_share(self.step, len(data), settings.warmup, settings.cooldown)
            row["gradient"] = step_optimizers(self.optimizers, parameters, share)
            self.step += 1
            log.add(self.step, row | {"questions": len(reading.pack.tokens), "rate": share})
        log.close()

    def score(self, n: int = 200) -> dict[str, Any]:
        """Accuracy by task on written pictures of validation scenes, as ``answers.summarise`` has it; n questions a task."""
        asked: dict[int, tuple[Scene, list[Question]]] = {}
        for scene, question in question_set("val", n, self.settings.seed):
            asked.setdefault(scene.seed, (scene, []))[1].append(question)
        asker, writer, embedding = Asker(self.tokenizer), Writer(self.tokenizer), self.model.model.embed_tokens.weight
        answers = []
        every = list(asked.values())
        for some in (every[k : k + 20] for k in range(0, len(every), 20)):
            questions = [qs for _, qs in some]
            ids = [[q for q, _ in pairs] for pairs in asker.encode([[(q.text, "") for q in qs] for qs in questions])]
            words = written_vectors(writer, [scene for scene, _ in some], embedding.detach(), Notation())
            start = embedding[self.tokenizer.bos_token_id].expand(len(some), 1, -1).detach()
            prefix = torch.cat([start, words], 1)
            said = reply_greedily(self.model.model, self.model.lm_head, prefix, ids, self.tokenizer.eos_token_id)
            for q, reply in zip((q for qs in questions for q in qs), (r for one in said for r in one), strict=True):
                text = self.tokenizer.decode(reply.tokens)
                right = is_right(text, q.answer, q.candidates)
                answers.append(Answered(q.task, q.form.value, "", False, q.answer, text, right))
        return summarise(answers)

    def export(self, folder: Path) -> None:
        """Write the model and tokenizer as a folder that transformers loads."""
        self.model.to(torch.bfloat16).save_pretrained(folder)
        self.model.float()
        self.tokenizer.save_pretrained(folder)


def train_language(settings: LanguageSettings) -> Path:
    """Train, resume or finish a run; returns the folder of the finished model."""
    run = LanguageRun(settings)
    run.train()
    (run.out / "score.json").write_text(json.dumps(run.score(), indent=1) + "\n")
    run.export(run.out / "model")
    return run.out / "model"
