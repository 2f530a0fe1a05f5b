"""Measure the mini encoder on held-out scenes: retrieval among 256, and zero-shot recognition of kinds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPModel, CLIPTokenizer

from explorer.analysis.statistics import wilson
from explorer.jobs.encoder_data import encoder_pixels
from explorer.jobs.train_encoder import embed_texts, embed_windows
from explorer.scenes.captions import article, make_caption
from explorer.scenes.kinds import COLOURS, EMOJI, SHAPES
from explorer.scenes.layout import make_scene, random_seed
from explorer.scenes.scene import Scene

TEMPLATES = ("{}", "a picture of {}", "{} on grass", "{} in front of a blurred photo", "{} on a white background")


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of `score`: the model's folder, how many scenes, and the pool a caption is sought in."""

    model: str = "assets/models/mini"
    scenes: int = 4096
    pool: int = 256
    one_object_scenes: int = 2048
    seed: int = 0
    batch: int = 32


@torch.inference_mode()
def _embed_scenes(model: CLIPModel, scenes: list[Scene], batch: int, what: str) -> Tensor:
    found = []
    for start in tqdm(range(0, len(scenes), batch), desc=what):
        pixels = np.stack([encoder_pixels(scene) for scene in scenes[start : start + batch]])
        firsts = torch.zeros(len(pixels), 2, dtype=torch.long)
        images = embed_windows(model, torch.from_numpy(pixels).permute(0, 3, 1, 2), firsts)[:, 0]
        found.append(torch.nn.functional.normalize(images, dim=-1))
    return torch.cat(found)


@torch.inference_mode()
def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, settings: ScoreSettings) -> dict[str, Any]:
    """Top-1 retrieval in pools of ``settings.pool`` test scenes, both ways; identical captions count as right."""
    rng = np.random.default_rng((settings.seed, 1))
    scenes = [make_scene(random_seed("test", rng)) for _ in range(settings.scenes)]
    captions = [make_caption(scene, rng) for scene in scenes]
    images = _embed_scenes(model, scenes, settings.batch, "retrieval")
    texts = torch.cat([embed_texts(model, tokenizer, captions[k : k + 256]) for k in range(0, len(captions), 256)])
    right = {"scene_to_caption": 0, "caption_to_scene": 0}
    for start in range(0, settings.scenes, settings.pool):
        pool = slice(start, start + settings.pool)
        names, scores = captions[pool], images[pool] @ texts[pool].T
        for way, best in (("scene_to_caption", scores.argmax(1)), ("caption_to_scene", scores.argmax(0))):
            right[way] += sum(names[int(b)] == name for name, b in zip(names, best, strict=True))
    return {way: _share(count, settings.scenes) for way, count in right.items()}


@torch.inference_mode()
def recognition(model: CLIPModel, tokenizer: CLIPTokenizer, settings: ScoreSettings) -> dict[str, Any]:
    """Zero-shot recognition of the kind in test scenes that hold one thing."""
    names = [kind.name for kind in EMOJI] + [f"{colour} {shape.name}" for shape in SHAPES for colour in COLOURS]
    kinds = [kind.name for kind in EMOJI] + [shape.name for shape in SHAPES for _ in COLOURS]
    prompts = [template.format(article(name)) for name in names for template in TEMPLATES]
    classes = embed_texts(model, tokenizer, prompts).view(len(names), len(TEMPLATES), -1).mean(1)
    rng = np.random.default_rng((settings.seed, 2))
    scenes = [make_scene(random_seed("test", rng), things=1) for _ in range(settings.one_object_scenes)]
    images = _embed_scenes(model, scenes, settings.batch, "recognition")
    best = (images @ torch.nn.functional.normalize(classes, dim=-1).T).argmax(1).tolist()
    wrong = [(scene.objects[0].kind, kinds[b]) for scene, b in zip(scenes, best, strict=True)]
    wrong = [pair for pair in wrong if pair[0] != pair[1]]
    confused = [f"{a} as {b}" for a, b in sorted(set(wrong), key=wrong.count, reverse=True)[:12]]
    return {"classes": len(names), "kind": _share(len(scenes) - len(wrong), len(scenes)), "most_confused": confused}


def _share(right: int, n: int) -> dict[str, float]:
    found = wilson(right, n)
    return {"accuracy": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4), "n": n}


def score_encoder(settings: ScoreSettings) -> dict[str, Any]:
    """Both measures of a saved model, as plain JSON values."""
    model = CLIPModel.from_pretrained(Path(settings.model), dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = CLIPTokenizer.from_pretrained(settings.model)
    return {
        "model": settings.model,
        "pool": settings.pool,
        "retrieval": retrieval(model, tokenizer, settings),
        "recognition": recognition(model, tokenizer, settings),
    }
