"""Commands for long work: train, score."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from explorer.cli_checkpoints import add_train_family


def add_train(commands: Any) -> None:
    """``train encoder``, ``train language`` and ``train checkpoint``."""
    parser = commands.add_parser("train", help="train the models of the mini family")
    kinds = parser.add_subparsers(title="what to train", metavar="WHAT", required=True)
    encoder = kinds.add_parser(
        "encoder",
        help="a CLIP of 24 vision blocks on scenes and captions",
        description="Train a CLIP from scratch on scenes and captions. Stop it at any time; the same command resumes. "
        "The run's folder holds settings.json, log.csv (step; rows of patches and batch; loss of CLIP; words, patches: loss of "
        "the words read from the picture, from its patches; in-batch retrieval; gradient norm; rate: share of the full "
        "one; letter, word, middle, nothing: shares of patches that are right; seconds), state.pt and, at the end, model/.",
    )
    encoder.add_argument(
        "--settings", type=Path, metavar="FILE", help="TOML file; assets/settings/encoder.toml is ours"
    )
    encoder.add_argument("--out", metavar="DIR", help="folder of the run (default runs/encoder)")
    encoder.add_argument("--seed", type=int, help="of weights and data (default 0)")
    encoder.add_argument("--threads", type=int, help="processor threads (default 2)")
    encoder.set_defaults(run=run_train_encoder)
    add_train_family(kinds)


def run_train_encoder(args: argparse.Namespace) -> int:
    """Train, resume or finish; print the model's folder."""
    from explorer.jobs.settings import load_settings
    from explorer.jobs.train_encoder import EncoderSettings, train_encoder

    settings = load_settings(EncoderSettings, args.settings, out=args.out, seed=args.seed, threads=args.threads)
    print(train_encoder(settings))
    return 0


def add_score(commands: Any) -> None:
    """``score``: how good a mini encoder is on held-out scenes."""
    parser = commands.add_parser(
        "score",
        help="measure a mini encoder on held-out scenes",
        description="Top-1 retrieval between test scenes and captions in pools, both ways, and zero-shot recognition "
        "of the kind in scenes of one thing, with Wilson 95 % intervals, as JSON.",
    )
    parser.add_argument("--model", metavar="DIR", help="folder of the model (default assets/models/mini)")
    parser.add_argument("--scenes", type=int, metavar="N", help="scenes for retrieval (default 4096)")
    parser.add_argument("--pool", type=int, metavar="N", help="captions to choose among (default 256)")
    parser.add_argument("--one-object-scenes", type=int, metavar="N", help="scenes for recognition (default 2048)")
    parser.set_defaults(run=run_score)


def run_score(args: argparse.Namespace) -> int:
    """Measure and print JSON."""
    from explorer.jobs.score_encoder import ScoreSettings, score_encoder
    from explorer.jobs.settings import load_settings

    flags = {name: getattr(args, name) for name in ("model", "scenes", "pool", "one_object_scenes")}
    print(json.dumps(score_encoder(load_settings(ScoreSettings, None, **flags)), indent=1))
    return 0
