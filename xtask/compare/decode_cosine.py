#!/usr/bin/env python3
"""How near `imbed embed --decode fast` comes to `--decode exact`, as cosines of their vectors.

    cargo build --release -p imbed-cli
    python xtask/compare/decode_cosine.py --images DIR [--model NAME] [--imbed target/release/imbed]

Printed: the mean and the smallest cosine, plain and after the mean of the exact vectors is taken from both (which shows what a plain
cosine hides where all vectors lean one way), how many vectors are equal, and of how many images the nearest other image is the
same. Needs: numpy.
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]


def vectors(imbed, images, model, decode, folder):
    out = pathlib.Path(folder, f"{decode}.npy")
    named = ["--model", model] if model else []
    subprocess.run([imbed, "embed", images, "-o", out, "--decode", decode, "--quiet", *named], check=True)
    return np.load(out).astype(np.float64)


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def nearest(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    return cosine.argmax(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--model")
    parser.add_argument("--imbed", default=str(ROOT / "target/release/imbed"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exact, fast = (vectors(args.imbed, args.images, args.model, way, folder) for way in ("exact", "fast"))
    mean = exact.mean(0)
    print(f"{len(exact)} images, {(exact == fast).all(1).sum()} vectors equal to the bit")
    for name, own in [("plain", cosines(exact, fast)), ("mean removed", cosines(exact - mean, fast - mean))]:
        print(f"cosine, {name}: mean {own.mean():.6f}, smallest {own.min():.6f}")
    if len(exact) > 2:
        same = (nearest(exact - mean) == nearest(fast - mean)).sum()
        print(f"nearest other image the same for {same} of {len(exact)}")


main()
