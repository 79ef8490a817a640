"""Writes a few images and their embeddings, for checking another implementation of the exported model.

    python golden.py --model DIR --out tiny-golden.safetensors

Keys: `pixels` u8 [4, 64, 64, 3], RGB, after resize and crop; `embedding` f32 [4, 256], of unit length, computed in f32 on the
f16 weights. The images are drawn here, not taken from any data set: gradients, shapes and noise, then their preprocessing.
"""
import argparse
import os

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from evaluate import preprocess
from export import load
from model import normalise


def drawings():
    """Four images of different sizes and content."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:96, 0:128]
    gradient = np.stack([x * 2, y * 2.6, 255 - x], -1).clip(0, 255).astype(np.uint8)
    shapes = Image.new("RGB", (100, 150), (30, 90, 160))
    draw = ImageDraw.Draw(shapes)
    draw.ellipse((15, 30, 85, 100), fill=(240, 200, 40), outline=(20, 20, 20), width=4)
    draw.polygon([(10, 140), (50, 95), (90, 140)], fill=(60, 140, 60))
    noise = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    stripes = np.where((x // 9 + y // 17) % 2, 230, 40).astype(np.uint8)
    return [Image.fromarray(gradient), shapes, Image.fromarray(noise), Image.fromarray(stripes).convert("RGB")]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--model", required=True)
    args.add_argument("--out", required=True)
    args = args.parse_args()
    pixels = torch.from_numpy(np.stack([preprocess(image, 64) for image in drawings()]))
    with torch.no_grad():
        embedding = load(args.model)(normalise(pixels.permute(0, 3, 1, 2).float() / 255))
    save_file({"pixels": pixels.contiguous(), "embedding": embedding.contiguous()}, args.out)
    os.chmod(args.out, 0o644)
    print(pixels.shape, embedding.shape, "cosines", (embedding @ embedding.T)[0].tolist())


if __name__ == "__main__":
    main()
