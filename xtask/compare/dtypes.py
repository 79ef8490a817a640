#!/usr/bin/env python3
"""Run every family at its published size in imbed's number types, and print how near they come to its f32.

    cargo build --release -p imbed-cli
    python xtask/compare/dtypes.py --images DIR [--limit 64] [--only dinov2-base] [--dtypes bf16,int8]

The checkpoints are those of families.py: published shapes, seeded weights. Needs what it needs, and nothing of transformers computes
here. Printed is a table in Markdown, for each number type

    centred cosine      the smallest cosine to the vector of f32, after the mean of f32's vectors is removed from both
    nearest             of how many images the nearest other image is the same

and, to tell what they are worth, the median centred cosine of two different images in f32. The exit code is 1 if a type falls
below what the project holds it to.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from families import CHECKPOINTS, ROOT, SEED, cosine, make

# The smallest centred cosine that is allowed.
FLOORS = {"bf16": 0.999, "int8": 0.99}


def vectors(imbed, folder, paths, dtype):
    out = folder / f"{dtype}.npy"
    command = [imbed, "embed", *paths, "--model", folder, "--dtype", dtype, "-o", out, "--quiet"]
    subprocess.run(command, check=True)
    return np.load(out).astype(np.float64)


def nearest(centred):
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    return likeness.argmax(1)


def row(name, paths, args):
    family, model, processor = CHECKPOINTS[name]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make.checkpoint(folder, model(), processor(), SEED)
        f32 = vectors(args.imbed, folder, paths, "f32")
        mean = f32.mean(0)
        f32 -= mean
        columns, good = [], True
        for dtype in args.dtypes:
            narrow = vectors(args.imbed, folder, paths, dtype) - mean
            smallest = cosine(narrow, f32).min()
            good &= smallest >= FLOORS[dtype]
            columns += [f"{smallest:.6f}", f"{(nearest(narrow) == nearest(f32)).sum()} of {len(paths)}"]
    others = np.median(cosine(f32, np.roll(f32, 1, axis=0)))
    print("|", " | ".join([family, f"`{name}`", f"{others:.2f}", *columns]), "|", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="a folder of JPEGs")
    parser.add_argument("--limit", type=int, default=64, help="images to embed, spread over the folder")
    parser.add_argument("--only", choices=CHECKPOINTS, action="append", help="just this checkpoint; may be repeated")
    parser.add_argument("--dtypes", default="bf16,int8", type=lambda names: names.split(","), help="of bf16, int8")
    parser.add_argument("--imbed", default=str(ROOT / "target/release/imbed"))
    args = parser.parse_args()
    if unknown := set(args.dtypes) - set(FLOORS):
        parser.error(f"--dtypes: {', '.join(sorted(unknown))}; there are {', '.join(FLOORS)}")

    found = sorted(str(path) for path in pathlib.Path(args.images).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = found[:: max(1, len(found) // args.limit)][: args.limit]
    print(f"{len(paths)} images\n")
    titles = [title for dtype in args.dtypes for title in (f"{dtype}, centred cosine", f"{dtype}, nearest")]
    print("|", " | ".join(["family", "shape", "cosine of others", *titles]), "|")
    print("|" + "---|" * (3 + len(titles)))
    good = [row(name, paths, args) for name in args.only or CHECKPOINTS]
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
