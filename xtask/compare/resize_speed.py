#!/usr/bin/env python3
"""Time imbed's resize beside Pillow's, which gives the same bytes, on one thread and in turns.

    cargo build --release -p imbed-core --example resize_speed
    python xtask/compare/resize_speed.py [--rounds 5] [--binary target/release/examples/resize_speed]

Printed: for each size and filter the smallest time of each side in milliseconds, over rounds that alternate, and their ratio. The
smallest, because it is what a busy machine disturbs least.
"""

import argparse
import pathlib
import subprocess
import time

import numpy as np
import PIL
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
FILTERS = {"bilinear": 2, "bicubic": 3, "lanczos": 1}
SIZES = [((500, 375), (298, 224)), ((1800, 1200), (336, 224)), ((4000, 3000), (298, 224)), ((160, 120), (298, 224))]


def pillow(before, after, resample, times):
    width, height = before
    samples = (np.arange(width * height * 3, dtype=np.uint64) * np.uint64(2654435761)) >> np.uint64(13)
    image = Image.fromarray(samples.astype(np.uint8).reshape(height, width, 3))
    image.resize(after, resample)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        image.resize(after, resample)
        taken.append((time.perf_counter() - start) * 1e3)
    return min(taken)


def imbed(binary, before, after, resample, times):
    numbers = [str(n) for n in (*before, *after, resample, times)]
    out = subprocess.run([binary, *numbers], capture_output=True, text=True, check=True).stdout
    return float(out.split()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target/release/examples/resize_speed"))
    args = parser.parse_args()
    print(f"Pillow {PIL.__version__}, milliseconds, the smallest of {args.rounds} rounds")
    for before, after in SIZES:
        times = max(10, 20_000_000 // (before[0] * before[1]))
        for name, resample in FILTERS.items():
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(imbed(args.binary, before, after, resample, times))
                theirs.append(pillow(before, after, resample, times))
            print(
                f"{before[0]} x {before[1]} to {after[0]} x {after[1]}, {name}: imbed {min(ours):.3f}, "
                f"Pillow {min(theirs):.3f}, ratio {min(theirs) / min(ours):.2f}"
            )


main()
