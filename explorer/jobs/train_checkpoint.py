"""Train checkpoints side by side: one frozen encoder, one order of batches, one budget; only the layers differ.

Start: each projector is the linear map of its layers to written pictures (see ``align``). Stage 1: projectors alone, on
captions. Stage 2: projectors and language models, on questions; the words' vectors, which all share, stay as stage 0
made them. Loss is on answers, and in stage 2 with ``hints`` on what has to be found too (see ``noun_facts``).
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import AutoTokenizer, LlamaForCausalLM

from explorer.jobs.align import Moments, start_projections, written_vectors
from explorer.jobs.encoder_data import encoder_pixels
from explorer.jobs.lm_data import PictureBatches, Shown
from explorer.jobs.noun_facts import fact_losses, make_heads, option_tokens
from explorer.jobs.run import Log, make_optimizers, rate_share, save_state, step_optimizers
from explorer.jobs.settings import save_settings
from explorer.jobs.training_scenes import draw_scene
from explorer.jobs.written_pictures import Notation, Writer
from explorer.layers import LayerSet
from explorer.models.family import (
    Parts,
    checkpoint_name,
    layer_states,
    make_processor,
    read_encoder,
    read_parts,
    save_checkpoint,
    words_file,
)
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.language import LANGUAGE
from explorer.models.packed import IGNORE, Pack, read_pack
from explorer.models.projections import LayerProjections
from explorer.records import SettingsError
from explorer.scenes.questions import TASKS


@dataclass(frozen=True)
class CheckpointSettings:
    """Settings of `train checkpoint`.

    Attributes:
        out: folder of the run (state, log) and, at its end, of a folder for each checkpoint under ``models/``.
        encoder: "mini" or a folder.
        language: "mini-language" or the folder of a language model that stage 0 made.
        start: folder of a finished checkpoint whose layers could be chosen, to start from its language model and
            projections instead; "" to start from stage 0.
        realign: start from that language model alone, and fit the projections as from stage 0: for another encoder.
        layers: one entry a checkpoint: "18", "3,18,23", or "any" for one whose layers can be chosen later.
        align_pictures: pictures behind the projectors' start.
        ridge, voice: of that regression, see ``align.start_projections``.
        numbers: of the written pictures behind it, see ``Notation.number``: for an encoder whose patches tell numbers.
        caption_steps, question_steps: of stages 1 and 2.
        pictures, questions: of a batch, and most of a picture.
        plain_tasks, plain_steps: in the first so many steps of stage 2 questions are of these tasks alone and in the
            world's own wordings.
        pool: scenes that are shown again and again, their features kept in memory (36 kB a layer each); 0 shows new
            ones always, which costs one forward of the encoder a step for all checkpoints together.
        crowds, signs: shares of the scenes, the start's too, that are drawn for their many things of one kind, and for
            their sign (``training_scenes.draw_scene``).
        counts: share of the scenes of stage 2 about which numbers alone are asked, after the plain steps.
        hints: weight of stage 0's help in stage 2: to tell at each thing's middle, and at each noun of a question, what
            has to be found there (``noun_facts.FACTS``).
        learning_rate: of AdamW for the projectors, both stages.
        language_rate, matrix_rate: of AdamW and Muon for the language model, in stage 2.
        warmup, cooldown: shares of each stage in which the rates rise from 0 and fall to 0.
        device, dtype: by default what this machine has and is fastest in.
    """

    out: str = "runs/checkpoints"
    encoder: str = "mini"
    language: str = LANGUAGE.name
    start: str = ""
    realign: bool = False
    layers: tuple[str, ...] = ("3", "12", "18", "23", "24", "3,18,23", "any")
    seed: int = 0
    align_pictures: int = 384
    ridge: float = 0.01
    voice: float = 0.75
    numbers: float = 0.0
    caption_steps: int = 150
    question_steps: int = 2500
    pictures: int = 16
    questions: int = 12
    plain_tasks: tuple[str, ...] = TASKS
    plain_steps: int = 0
    pool: int = 0
    crowds: float = 0.0
    signs: float = 0.0
    counts: float = 0.0
    hints: float = 0.0
    learning_rate: float = 1e-3
    language_rate: float = 1e-3
    matrix_rate: float = 0.005
    warmup: float = 0.03
    cooldown: float = 0.6
    device: str | None = None
    dtype: str | None = None
    threads: int = 2
    workers: int = 1
    save_minutes: float = 5.0


class Member:
    """A checkpoint while it learns."""

    _PARTS = ("projections", "language", "heads")

    def __init__(self, entry: str, settings: CheckpointSettings, language: LlamaForCausalLM, vision: Any):
        """Start with a copy of the language model; ``entry`` is as in ``settings.layers``."""
        blocks, features = vision.num_hidden_layers, vision.hidden_size
        self.layers = None if entry.strip() == "any" else LayerSet.parse(entry, blocks).layers
        self.name = checkpoint_name(self.layers)
        self.language: Any = deepcopy(language)
        self.learn_to_speak(True)
        known = self.layers or tuple(range(1, blocks + 1))
        width = self.language.config.hidden_size
        self.projections = LayerProjections(known, width, features).to(language.device)
        self.heads = make_heads(width).to(language.device)
        self.optimizers = {
            1: make_optimizers([self.projections], settings.learning_rate, 0.0),
            2: make_optimizers([self.projections], settings.learning_rate, 0.0)
            + make_optimizers([self.language, self.heads], settings.language_rate, settings.matrix_rate),
        }

    def learn_to_speak(self, learn: bool) -> None:
        """Whether the language model's blocks learn; the words' vectors never do."""
        self.language.requires_grad_(learn)
        self.language.model.embed_tokens.requires_grad_(False)

    def shares(self, n: int, chance: np.random.Generator) -> Tensor:
        """Weight of each known layer for each of n pictures, [n, L]: all, or for "any" one to three drawn evenly."""
        known = len(self.projections.layers)
        if self.layers is not None:
            return torch.ones(n, known)
        drawn = torch.zeros(n, known)
        for row in drawn:
            chosen = chance.choice(known, int(chance.integers(1, min(3, known) + 1)), replace=False)
            row[torch.from_numpy(chosen)] = 1 / len(chosen)
        return drawn

    def loss(
        self,
        states: dict[int, Tensor],
        pack: Pack,
        shares: Tensor,
        first: int,
        halved: bool,
        told: Tensor,
        options: dict[str, list[int]],
    ) -> tuple[Tensor, Tensor, float]:
        """Cross-entropy of the answers' tokens, and of the hints, and the share of tokens (without the last) that are right.

        Args:
            states: raw features of every layer, as ``layer_states`` gives them.
            pack: the questions.
            shares: as ``shares`` gives them.
            first: the token before the picture.
            halved: whether the language model computes in bfloat16; the projections never do.
            told: the hints, as ``Shown`` has them.
            options: as ``option_tokens`` gives them.
        """
        words = self.projections(states, shares)
        start = self.language.model.embed_tokens.weight[first].expand(len(words), 1, -1)
        asked = pack.targets != IGNORE
        with torch.autocast(words.device.type, torch.bfloat16, enabled=halved):
            hidden, seen = read_pack(self.language.model, torch.cat([start.to(words), words], 1), pack)
            help_ = sum(fact_losses(self.language, told, seen, options, self.heads).values(), words.new_zeros(()))
            logits, targets = self.language.lm_head(hidden[asked]), pack.targets[asked]
        right = (logits.argmax(1) == targets)[targets != self.language.config.eos_token_id]
        return F.cross_entropy(logits.float(), targets), 0.5 * help_, right.float().mean().item()

    def state(self) -> dict[str, Any]:
        """All that learning changes."""
        optimizers = {str(stage): [o.state_dict() for o in some] for stage, some in self.optimizers.items()}
        return {name: getattr(self, name).state_dict() for name in self._PARTS} | {"optimizers": optimizers}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""
        for name in self._PARTS:
            getattr(self, name).load_state_dict(state[name])
        for stage, some in self.optimizers.items():
            for optimizer, saved in zip(some, state["optimizers"][str(stage)], strict=True):
                optimizer.load_state_dict(saved)


class LayerPool:
    """Features of scenes, from the encoder or, where they were seen before, from memory."""

    def __init__(self, encoder: Any, images: Any, layers: Iterable[int], keep: bool):
        """Look with an encoder; hold only the layers named, in bfloat16 where they are kept."""
        self._encoder, self._images, self._layers, self._keep = encoder, images, sorted(set(layers)), keep
        self._known: dict[int, Tensor] = {}

    def states(self, shown: Shown) -> dict[int, Tensor]:
        """Raw patch features by layer, [N, P, D] each."""
        if len(shown.pixels):
            every = layer_states(self._encoder, self._images, shown.pixels)
            fresh = torch.stack([every[layer] for layer in self._layers], 1)  # (n, L, P, D)
            if not self._keep:
                return dict(zip(self._layers, fresh.unbind(1), strict=True))
            for k, features in zip(shown.new, fresh.bfloat16(), strict=True):
                self._known[shown.places[k]] = features
        together = torch.stack([self._known[place] for place in shown.places]).float()
        return dict(zip(self._layers, together.unbind(1), strict=True))


class FamilyRun:
    """A run that can be stopped at any step and resumed to the same result."""

    def __init__(self, settings: CheckpointSettings):
        """Start afresh, or take up the state in ``settings.out``."""
        self.settings, self.out = settings, Path(settings.out)
        torch.set_num_threads(settings.threads)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        encoder: Any = read_encoder(settings.encoder)
        self.encoder = encoder.to(self.device)
        self.start = read_parts(Path(settings.start), settings.realign) if settings.start else None
        self.tokenizer: Any
        language: Any
        if self.start:
            self.tokenizer, language = self.start.tokenizer, self.start.language
            self.words = self.start.facts.get("words", "")
        elif ((folder := words_file(settings.language).parent) / "config.json").is_file():
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            language = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
            self.words = LANGUAGE.name if folder.resolve() == LANGUAGE.resolve() else settings.language
        else:
            raise SettingsError(
                f"There is no language model in {settings.language}: run `python -m explorer train language` first."
            )
        self.processor = make_processor(settings.encoder, self.tokenizer)
        self.options = option_tokens(self.tokenizer)
        language = language.to(self.device)
        self.members = [Member(entry, settings, language, self.encoder.config) for entry in settings.layers]
        if len({member.name for member in self.members}) < len(self.members) or not self.members:
            raise SettingsError(f"Name each set of layers once; got {' '.join(settings.layers) or 'none'}.")
        self.out.mkdir(parents=True, exist_ok=True)
        save_settings(settings, self.out / "settings.json")
        self.step = 0
        if (self.out / "state.pt").exists():
            state = torch.load(self.out / "state.pt", weights_only=True, map_location=self.device)
            for member in self.members:
                member.restore(state["members"][member.name])
            self.step = state["step"]
        else:
            self._align()
            self.save()

    def save(self) -> None:
        """Write the state."""
        members = {member.name: member.state() for member in self.members}
        save_state({"members": members, "step": self.step}, self.out / "state.pt")

    def _align(self) -> None:
        """Start every projector from written pictures."""
        settings, rng = self.settings, np.random.default_rng((self.settings.seed, 2))
        notation = Notation(number=settings.numbers)
        writer, embedding = Writer(self.tokenizer), self.members[0].language.model.embed_tokens.weight.detach()
        groups = {m.name: [[layer] for layer in m.projections.layers] if m.layers is None else [list(m.layers)]
                  for m in self.members}  # fmt: skip
        features, width = self.encoder.config.hidden_size, embedding.shape[1]
        sums = {name: [Moments(len(g) * features, width) for g in some] for name, some in groups.items()}
        for _ in tqdm(range(0, settings.align_pictures, settings.pictures), desc="start"):
            scenes = [draw_scene(rng, settings.crowds, settings.signs) for _ in range(settings.pictures)]
            pixels = torch.from_numpy(np.stack([encoder_pixels(scene) for scene in scenes]))
            states = layer_states(self.encoder, self.processor.image_processor, pixels)
            words = written_vectors(writer, scenes, embedding, notation).flatten(0, 1)
            for name, some in groups.items():
                for group, moments in zip(some, sums[name], strict=True):
                    moments.add(torch.cat([states[layer] for layer in group], -1).flatten(0, 1), words)
        for member in self.members:
            at = 0
            for group, moments in zip(groups[member.name], sums[member.name], strict=True):
                start_projections(
                    member.projections, moments, list(range(at, at + len(group))), settings.ridge, settings.voice
                )
                at += len(group)
            if self.start and not settings.realign:
                self._take_over(member, self.start)

    @staticmethod
    def _take_over(member: Member, start: Parts) -> None:
        """Start a member's projections from those of a finished checkpoint."""
        for k, layer in enumerate(member.projections.layers):
            if layer not in start.facts["layers"]:
                raise SettingsError(f"The checkpoint to start from does not know layer {layer}.")
            parts = len(member.layers) if member.layers and start.facts["choosable"] else 1
            at = start.facts["layers"].index(layer)
            device = member.projections.weight.device
            member.projections.unfold(k, start.maps[at].to(device) / parts, start.biases[at].to(device) / parts)

    def train_step(self, stage: int, share: float, states: dict[int, Tensor], shown: Shown) -> dict[str, float]:
        """One update of every checkpoint on one batch; returns what is logged."""
        hints = self.settings.hints if stage == 2 else 0.0
        pack, told, row = shown.pack.to(self.device), shown.told[: len(shown.told) if hints else 0].to(self.device), {}
        for member in self.members:
            chance = np.random.default_rng((self.settings.seed, 3, self.step))
            shares = member.shares(pack.pictures, chance).to(self.device)
            member.learn_to_speak(stage == 2)
            first, halved = self.tokenizer.bos_token_id, self.dtype == torch.bfloat16
            loss, help_, right = member.loss(states, pack, shares, first, halved, told, self.options)
            (loss + hints * help_).backward()
            speaking = [*member.language.parameters(), *member.heads.parameters()] if stage == 2 else []
            step_optimizers(member.optimizers[stage], [*member.projections.parameters(), *speaking], share)
            named = {"loss": loss.item(), "right": right} | ({"hints": help_.item()} if hints else {})
            row |= {f"{member.name}/{name}": value for name, value in named.items()}
        return row

    def train(self, until: int | None = None) -> None:
        """Train to the end of the plan, or to step ``until``."""
        s = self.settings
        plan = [(1, s.pictures)] * s.caption_steps + [(2, s.pictures)] * s.question_steps
        lessons = (s.caption_steps + s.plain_steps, s.plain_tasks)
        data = PictureBatches(self.tokenizer, s.seed, plan, s.questions, s.pool, lessons, s.crowds, s.signs, s.counts)
        read = {layer for member in self.members for layer in member.projections.layers}
        features = LayerPool(self.encoder, self.processor.image_processor, read, keep=s.pool > 0)
        stop = min(until or len(plan), len(plan))
        loader = DataLoader(data, batch_size=None, sampler=range(self.step, stop), num_workers=s.workers)
        log = Log(self.out, self.step, self.save, s.save_minutes)
        for shown in tqdm(loader, initial=self.step, total=stop, desc="checkpoints"):
            stage = plan[self.step][0]
            done, total = (
                (self.step, s.caption_steps) if stage == 1 else (self.step - s.caption_steps, s.question_steps)
            )
            share = rate_share(done, total, s.warmup, s.cooldown)
            row = self.train_step(stage, share, features.states(shown), shown)
            self.step += 1
            log.add(self.step, {"stage": stage, "rate": share, "tokens": len(shown.pack.tokens), **row})
        log.close()

    def export(self) -> list[Path]:
        """Write a folder for each checkpoint; returns them."""
        folders = []
        for member in self.members:
            folder = self.out / "models" / member.name
            training = {"steps": self.step, "language": "stage 0", **asdict(self.settings)}
            save_checkpoint(
                folder, member.projections, member.language, self.processor, self.settings.encoder,
                member.layers is None, training, self.words,
            )  # fmt: skip
            folders.append(folder)
        return folders


def train_checkpoints(settings: CheckpointSettings) -> list[Path]:
    """Train, resume or finish a run; returns the folders of the finished checkpoints."""
    run = FamilyRun(settings)
    run.train()
    return run.export()
