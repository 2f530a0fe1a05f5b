"""All layers analysed against a bare forward of the same model: `python benchmarks/all_layers.py [--size large]`.

"large" is CLIP ViT-L/14-336 with random weights (the speed does not depend on the values); "mini" the built-in encoder.
"""

import argparse
import json
import statistics
import tempfile
import time

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from explorer.models.encoders import open_encoder
from explorer.services.explore import explore_features
from explorer.services.pictures import read_picture

PICTURE = "assets/examples/coffee.jpg"


def save_large(folder: str) -> str:
    vision = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                              image_size=336, patch_size=14, projection_dim=768)  # fmt: skip
    text = CLIPTextConfig(num_hidden_layers=1, projection_dim=768)
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=768))
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["mini", "large"], default="large")
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    picture = read_picture(PICTURE)
    with tempfile.TemporaryDirectory() as folder:
        encoder = open_encoder("mini" if args.size == "mini" else save_large(folder))
    views = [encoder.view(picture)]
    pixels = encoder._normalised(views)
    rounds = []
    with torch.inference_mode():
        for _ in range(args.runs + 1):  # the first warms up
            began = time.perf_counter()
            encoder._run(pixels)
            bare = time.perf_counter() - began
            features = encoder.forward(views)
            collected = time.perf_counter() - began - bare
            explore_features(picture, features)
            rounds.append((bare, collected, time.perf_counter() - began - bare))
    bare, collected, analysed = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
    print(json.dumps({"encoder": encoder.info.title if args.size == "mini" else "CLIP ViT-L/14-336, random weights",
                      "dtype": encoder.info.dtype, "bare_forward_seconds": round(bare, 3),
                      "collecting_ratio": round(collected / bare, 3), "analysed_ratio": round(analysed / bare, 3),
                      "runs": args.runs}))  # fmt: skip


if __name__ == "__main__":
    main()
