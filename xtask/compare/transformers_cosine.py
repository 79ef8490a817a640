#!/usr/bin/env python3
"""Embed a folder of images with imbed and with Hugging Face transformers, and compare the vectors.

    python xtask/compare/transformers_cosine.py --images DIR --model CHECKPOINT [--imbed target/release/imbed]

The reference loads every image with `transformers.image_utils.load_image` (PIL, EXIF orientation applied, RGB), prepares it with
the checkpoint's own processor on its PIL backend, and runs the model in float32: `get_image_features` where the model has it,
else the pooler's output. Needs: torch, transformers, Pillow, pyarrow.

Printed: the smallest and the median cosine over all images, plain and after the reference set's mean is removed, and the largest
relative error ||a - b|| / ||b||. The exit status is 1 if a cosine is below --plain or --centred.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from transformers import AutoConfig, AutoModel
from transformers.image_utils import load_image


def processor(model: str):
    """The checkpoint's image processor on its PIL backend, whatever this version of transformers calls that."""
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(model, backend="pil")
    except (TypeError, ValueError):
        return AutoImageProcessor.from_pretrained(model, use_fast=False)


@torch.inference_mode()
def reference(paths: list[str], folder: str, batch: int) -> np.ndarray:
    """float32 [len(paths), D]."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    prepare = processor(folder)
    vectors = []
    for start in range(0, len(paths), batch):
        images = [load_image(path).convert("RGB") for path in paths[start : start + batch]]
        pixels = prepare(images=images, return_tensors="pt")["pixel_values"]
        if hasattr(model, "get_image_features"):
            out = model.get_image_features(pixel_values=pixels)
        else:
            out = model(pixel_values=pixels)
        vectors.append(out if torch.is_tensor(out) else out.pooler_output)
    return torch.cat(vectors).numpy()


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--imbed", default="target/release/imbed")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--plain", type=float, default=0.9999, help="smallest plain cosine that passes")
    parser.add_argument("--centred", type=float, default=0.999, help="smallest cosine without the mean that passes")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "ours.parquet"
        command = [args.imbed, "embed", args.images, "--model", args.model, "-o", str(out), "--quiet"]
        subprocess.run(command, check=True)
        table = pq.read_table(out)
    paths = table["path"].to_pylist()
    ours = np.array(table["embedding"].to_pylist(), dtype=np.float32)
    theirs = reference(paths, args.model, args.batch)

    mean = theirs.mean(0, keepdims=True)
    plain, centred = cosine(ours, theirs), cosine(ours - mean, theirs - mean)
    relative = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    others = cosine(theirs, np.roll(theirs, 1, axis=0))
    kind = AutoConfig.from_pretrained(args.model).model_type
    print(f"{len(paths)} images, {kind}, D = {ours.shape[1]}, torch {torch.__version__}, transformers {transformers.__version__}")
    print(f"cosine of unrelated images in the reference: median {np.median(others):.4f}")
    for name, values in (("plain", plain), ("mean removed", centred)):
        worst = int(values.argmin())
        print(f"cosine, {name}: min {values.min():.7f} ({paths[worst]}), median {np.median(values):.7f}")
    print(f"relative error: max {relative.max():.2e}, median {np.median(relative):.2e}")
    return int(plain.min() < args.plain or centred.min() < args.centred)


if __name__ == "__main__":
    sys.exit(main())
