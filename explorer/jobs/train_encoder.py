"""Train the mini encoder: a CLIP of 24 vision blocks, from scratch, on scenes and their captions."""

from __future__ import annotations

import math
import string
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from explorer.jobs.encoder_data import GRID, IMAGE_PX, PATCH_PX, Step, Windows
from explorer.jobs.muon import Muon
from explorer.jobs.run import Log, save_state, step_optimizers
from explorer.jobs.settings import save_settings
from explorer.models.hardware import choose_dtype
from explorer.scenes.captions import make_caption
from explorer.scenes.kinds import KINDS, WORDS
from explorer.scenes.layout import MOST_THINGS, make_scene

MEAN_STD = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of `train encoder`.

    Attributes:
        out: folder for the run (state, log) and, at its end, the model under ``model/``.
        init: folder of a model whose weights and tokenizer the run starts from; "" starts from scratch.
        phases: (steps, grid, batch) in order; a grid below 12 trains on windows of so many patches a side.
        strips: (n, rows, batch): every n-th step of the plan is one of strips with new signs instead, so many rows of
            patches high, first with few words, from the middle of the run on with all; n = 0 for none.
        scenes: how many different scenes the windows are cut from, at most 32,768 of them in memory; 0 draws new ones always.
        crowds: share of the windows that are cut from new scenes with many things of one kind (``training_scenes``).
        words_weight: of the loss of the caption's words beside CLIP's loss (see ``words_loss``).
        patch_words_weight: of the same loss read from the patches, each word from the patch that says it loudest.
        signs_weight: of the cross-entropy of the letter, and of the word, that the patches of signs are asked for.
        middles_weight: of the cross-entropy of what every patch is asked: which kind of thing has its middle there, if any;
            a sum over patches, for each thing.
        counts_weight: of ``counts_loss``, for the chances of these middles.
        numbers_weight: of the cross-entropies of what a patch with a thing's middle is asked: how many of its kind there
            are, and how many things.
        heads_steps: in so many first steps only the heads learn that these losses are read from, as a run from ``init``
            begins with good weights and new heads.
        learning_rate: of AdamW, for all that is not a matrix of a block.
        matrix_learning_rate: of Muon, for the matrices of the blocks.
        warmup, cooldown: shares of all steps in which the rates rise from 0, and fall to 0.
        save_minutes: how often the state is written.
    """

    out: str = "runs/encoder"
    init: str = ""
    seed: int = 0
    width: int = 128
    mlp_width: int = 384
    heads: int = 4
    blocks: int = 24
    text_width: int = 128
    text_blocks: int = 3
    projection: int = 128
    vocabulary: int = 1600
    tokenizer_captions: int = 8000
    phases: tuple[tuple[int, int, int], ...] = ((800, 6, 96), (160, 8, 64), (160, 12, 64))
    strips: tuple[int, int, int] = (0, 3, 48)
    scenes: int = 12_000
    crowds: float = 0.0
    words_weight: float = 1.0
    patch_words_weight: float = 0.0
    signs_weight: float = 0.0
    middles_weight: float = 0.0
    counts_weight: float = 0.0
    numbers_weight: float = 0.0
    heads_steps: int = 0
    learning_rate: float = 1.5e-3
    matrix_learning_rate: float = 0.02
    weight_decay: float = 0.05
    warmup: float = 0.04
    cooldown: float = 0.35
    threads: int = 2
    workers: int = 1
    save_minutes: float = 4.0

    def plan(self) -> list[Step]:
        """What every step looks at."""
        plan = [Step(grid, grid, batch) for steps, grid, batch in self.phases for _ in range(steps)]
        every, rows, batch = self.strips
        for k in range(every - 1, len(plan), every) if every else ():
            words = min(len(WORDS), 8 + int(len(WORDS) * k / (0.5 * len(plan))))
            plan[k] = Step(rows, GRID, batch, words)
        return plan


def train_tokenizer(vocabulary: int, captions: int) -> CLIPTokenizer:
    """A CLIP tokenizer whose merges are learned on captions, with every printable character known."""
    rng = np.random.default_rng(0)
    texts = [make_caption(make_scene(k), rng) for k in range(captions)]
    alphabet = string.printable + "".join(map(chr, range(0xA1, 0x250))) + "€–—‘’“”…日本語中文한국어🐕🙂"
    texts += [" ".join(alphabet), alphabet]
    return CLIPTokenizer().train_new_from_iterator(texts, vocabulary)


def make_model(settings: EncoderSettings, tokenizer: Any) -> CLIPModel:
    """The untrained model."""
    vision = CLIPVisionConfig(
        hidden_size=settings.width,
        intermediate_size=settings.mlp_width,
        num_hidden_layers=settings.blocks,
        num_attention_heads=settings.heads,
        image_size=IMAGE_PX,
        patch_size=PATCH_PX,
        projection_dim=settings.projection,
    )
    text = CLIPTextConfig(
        hidden_size=settings.text_width,
        intermediate_size=4 * settings.text_width,
        num_hidden_layers=settings.text_blocks,
        num_attention_heads=settings.heads,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        projection_dim=settings.projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(settings.seed)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=settings.projection)
    return CLIPModel._from_config(config, attn_implementation="eager")


def embed_windows(model: CLIPModel, pixels: Tensor, firsts: Tensor) -> Tensor:
    """Embed windows with the positions that their patches have in the whole picture.

    Args:
        model: the CLIP.
        pixels: uint8 [B, 3, rows*14, columns*14].
        firsts: int64 [B, 2], row and column of each window's first patch.

    Returns:
        Tensor: float32 [B, 1 + rows*columns, projection], of any length; first of the picture, then of its patches.
    """
    vision = model.vision_model
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in MEAN_STD)
    patches = vision.embeddings.patch_embedding((pixels.float() / 255 - mean) / std)  # (B, D, rows, columns)
    rows, columns = (torch.arange(side) for side in patches.shape[-2:])
    places = (firsts[:, :1, None] + rows[:, None]) * GRID + firsts[:, 1:, None] + columns  # (B, rows, columns)
    places = torch.cat([torch.zeros(len(pixels), 1, dtype=torch.long), 1 + places.flatten(1)], 1)
    cls = vision.embeddings.class_embedding.expand(len(pixels), 1, -1)
    hidden = torch.cat([cls, patches.flatten(2).mT], 1) + vision.embeddings.position_embedding(places)
    hidden = vision.encoder(inputs_embeds=vision.pre_layrnorm(hidden)).last_hidden_state
    return model.visual_projection(vision.post_layernorm(hidden))


def embed_texts(model: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Embed texts, float32 [B, projection], of length 1."""
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    return F.normalize(model.text_projection(model.text_model(**tokens).pooler_output), dim=-1)


def contrastive_loss(logits: Tensor, captions: list[str]) -> Tensor:
    """CLIP's symmetric loss; equal captions share the target."""
    same = torch.tensor([[float(a == b) for b in captions] for a in captions])
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def words_loss(logits: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the words of the caption, as a weighted bag, read from the picture alone.

    In-batch contrast alone stays on a plateau for thousands of pictures, and is soon content with backdrops; naming
    the caption's words, rare ones first, leaves no way round the things (SuperClass, arXiv 2411.03313; CatLIP, arXiv
    2404.15653). The head is dropped after training.

    Args:
        logits: [B, vocabulary].
        tokens: int64 [B, length], the captions.
        weights: [vocabulary], inverse document frequencies; 0 for tokens that are no words.
    """
    target = torch.zeros_like(logits).scatter_(1, tokens, 1.0) * weights + 1e-9
    return F.cross_entropy(logits, target / target.sum(1, keepdim=True))


def counts_loss(sums: Tensor, there: Tensor) -> Tensor:
    """How far the things of each kind that the patches' chances add up to are from those that are there.

    Squared, in units of the spread that a count of its size would have by chance (its square root), summed over the kinds,
    mean over the pictures: as in counting by density maps (Lempitsky and Zisserman 2010), what a reader needs is the sum.

    Args:
        sums: [B, kinds], sum over the patches of the chance that a thing of the kind has its middle there.
        there: int64 [B, kinds], as ``count_things`` gives them.
    """
    return ((sums - there).square() / (1 + there)).sum(1).mean()


def count_things(right: Tensor, kinds: int) -> Tensor:
    """How many things of each kind have their middle in a picture.

    Args:
        right: int64 [B, patches], 1 + the kind that has its middle there, 0 for none.
        kinds: how many there are.

    Returns:
        Tensor: int64 [B, kinds].
    """
    return F.one_hot(right, 1 + kinds)[..., 1:].sum(1)


def rate(step: int, total: int, settings: EncoderSettings) -> float:
    """Share of the full learning rate at a step: rises, stays, falls along a cosine."""
    done = step / total
    if done < settings.warmup:
        return (step + 1) / (settings.warmup * total + 1)
    if done > 1 - settings.cooldown:
        return 0.5 * (1 + math.cos(math.pi * (done - 1 + settings.cooldown) / settings.cooldown))
    return 1.0


class EncoderRun:
    """A training run that can be stopped at any step and resumed to the same result."""

    def __init__(self, settings: EncoderSettings):
        """Start afresh, or take up the state in ``settings.out``."""
        self.settings, self.out = settings, Path(settings.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(settings.threads)
        self.halved = choose_dtype(None, torch.device("cpu")) == torch.bfloat16
        folder = self.out / "tokenizer"
        if folder.exists() or settings.init:
            self.tokenizer = CLIPTokenizer.from_pretrained(folder if folder.exists() else settings.init)
        else:
            self.tokenizer = train_tokenizer(settings.vocabulary, settings.tokenizer_captions)
        self.tokenizer.save_pretrained(folder)
        self.model: Any = make_model(settings, self.tokenizer)
        if settings.init:
            self.model.load_state_dict(CLIPModel.from_pretrained(settings.init, dtype=torch.float32).state_dict())
        self.head = torch.nn.Linear(settings.projection, len(self.tokenizer))
        self.middles = torch.nn.Linear(settings.projection, 1 + len(KINDS))
        self.middles.bias.data[0] = 8  # at first no patch is a middle, as most are none
        self.numbers = torch.nn.Linear(settings.projection, 2 * (1 + MOST_THINGS))
        letters, words = list(string.ascii_lowercase), [word.lower() for word in WORDS]
        self.signs = [[self.tokenizer(text).input_ids[-2] for text in texts] for texts in (letters, words)]
        blocks = {id(p) for n, p in self.model.named_parameters() if ".layers." in n and p.ndim == 2}
        matrices = [p for p in self.model.parameters() if id(p) in blocks]
        self.heads = torch.nn.ModuleDict({"words": self.head, "middles": self.middles, "numbers": self.numbers})
        others = [p for p in (*self.model.parameters(), *self.heads.parameters()) if id(p) not in blocks]
        self.trained = matrices + others
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay),
            torch.optim.AdamW(others, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay),
        ]
        self.step, self.captions = 0, 0
        self.containing = torch.zeros(len(self.tokenizer))  # in how many captions each token was
        if (self.out / "state.pt").exists():
            state = torch.load(self.out / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.heads.load_state_dict(state["heads"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.captions, self.containing = state["step"], state["captions"], state["containing"]
        save_settings(settings, self.out / "settings.json")

    def save(self) -> None:
        """Write the state, all or nothing."""
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "captions": self.captions,
            "containing": self.containing,
        }
        save_state(state, self.out / "state.pt")

    def train_step(
        self, total: int, pixels: Tensor, firsts: Tensor, captions: list[str], labels: Tensor
    ) -> dict[str, float]:
        """One update on what ``Windows`` gives; returns what is logged."""
        share = rate(self.step, total, self.settings)
        self.model.requires_grad_(self.step >= self.settings.heads_steps)
        tokens = self.tokenizer(captions, padding=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16, enabled=self.halved):
            seen = embed_windows(self.model, pixels, firsts)
            texts = self.model.text_projection(self.model.text_model(**tokens).pooler_output)
        seen, texts = seen.float(), F.normalize(texts.float(), dim=-1)
        images = seen[:, 0]
        logits = self.model.logit_scale.exp().clamp(max=100) * F.normalize(images, dim=-1) @ texts.T
        loss = contrastive_loss(logits, captions)
        rarity = self._rarity(tokens["input_ids"])
        words = words_loss(self.head(images), tokens["input_ids"], rarity)
        every = loss + self.settings.words_weight * words
        row: dict[str, float] = {}
        if self.settings.patch_words_weight:
            loudest = self.head(seen[:, 1:]).amax(1)
            patches = words_loss(loudest, tokens["input_ids"], rarity)
            every = every + self.settings.patch_words_weight * patches
            row["patches"] = float(patches.detach())
        if self.settings.signs_weight:
            for name, ids, shown in zip(("letter", "word"), self.signs, labels[..., :2].unbind(-1), strict=True):
                said, right = self.head(seen[:, 1:][shown >= 0])[:, ids], shown[shown >= 0]
                if not len(right):
                    continue
                every = every + self.settings.signs_weight * F.cross_entropy(said, right)
                row[name] = float((said.argmax(1) == right).float().mean())
        if self.settings.middles_weight:
            right = 1 + labels[..., 2]
            said = self.middles(seen[:, 1:]).transpose(1, 2)
            surprise = F.cross_entropy(said, right, reduction="sum") / right.count_nonzero().clamp(min=1)
            every = every + self.settings.middles_weight * surprise
            there = count_things(right, len(KINDS))
            if self.settings.counts_weight:
                missed = counts_loss(said.softmax(1)[:, 1:].sum(-1), there)
                every = every + self.settings.counts_weight * missed
                row["counts"] = float(missed.detach())
            if self.settings.numbers_weight and right.any():
                here = right > 0
                alike = there.gather(1, (right - 1).clamp(min=0))
                numbers = torch.stack([alike, there.sum(1, keepdim=True).expand_as(right)], -1)[here]  # (M, 2)
                counted = self.numbers(seen[:, 1:][here]).unflatten(1, (2, -1))  # (M, 2, numbers)
                every = every + self.settings.numbers_weight * F.cross_entropy(counted.mT, numbers)
                row["alike"], row["all"] = (counted.argmax(-1) == numbers).float().mean(0).tolist()
            row["middle"] = float((said.argmax(1) == right)[right > 0].float().mean())
            row["nothing"] = float((said.argmax(1) == right)[right == 0].float().mean())
        every.backward()
        norm = step_optimizers(self.optimizers, self.trained, share)
        logits, loss = logits.detach(), loss.detach()
        best = logits.argmax(1).tolist()
        found = sum(captions[k] == caption for k, caption in zip(best, captions, strict=True)) / len(captions)
        self.step += 1
        return {
            "loss": float(loss),
            "words": float(words.detach()),
            "retrieval": found,
            "gradient": norm,
            "rate": share,
            **row,
        }

    def _rarity(self, tokens: Tensor) -> Tensor:
        """Inverse document frequency of every token over the captions so far, these included; 0 for specials."""
        self.captions += len(tokens)
        self.containing += torch.zeros(len(tokens), len(self.containing)).scatter_(1, tokens, 1.0).sum(0)
        weights = torch.log((self.captions + 1) / (self.containing + 1))
        weights[self.tokenizer.all_special_ids] = 0
        return weights

    def train(self, until: int | None = None) -> None:
        """Train to the end of the plan, or to step ``until``."""
        plan = self.settings.plan()
        stop = min(until or len(plan), len(plan))
        data = Windows(self.settings.seed, plan, self.settings.scenes, self.settings.crowds)
        loader = DataLoader(data, batch_size=None, sampler=range(self.step, stop), num_workers=self.settings.workers)
        log = Log(self.out, self.step, self.save, self.settings.save_minutes)
        for shown in tqdm(loader, initial=self.step, total=stop, desc="encoder"):
            began, step = time.monotonic(), plan[self.step]
            row = self.train_step(len(plan), *shown)
            log.add(self.step, {"rows": step.rows, "batch": step.batch, **row, "seconds": time.monotonic() - began})
        log.close()

    def export(self, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        """Write the model, tokenizer and image processor as a folder that transformers loads."""
        self.model.to(dtype).save_pretrained(folder)
        self.model.float()
        CLIPTokenizer.from_pretrained(self.out / "tokenizer").save_pretrained(folder)  # without what training set
        CLIPImageProcessor(
            size={"shortest_edge": IMAGE_PX},
            crop_size={"height": IMAGE_PX, "width": IMAGE_PX},
            image_mean=MEAN_STD[0],
            image_std=MEAN_STD[1],
        ).save_pretrained(folder)


def train_encoder(settings: EncoderSettings) -> Path:
    """Train, resume or finish a run; returns the folder of the finished model."""
    run = EncoderRun(settings)
    run.train()
    run.export(run.out / "model")
    return run.out / "model"
