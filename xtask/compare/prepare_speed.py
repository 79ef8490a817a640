#!/usr/bin/env python3
"""Time imbed's way from JPEG files to a model's pixels beside Pillow's, on one core and in turns.

    cargo build --release -p imbed-core --example prepare_speed
    python xtask/compare/prepare_speed.py --images DIR [--first N] [--side 224] [--rounds 5] [--times 1]

Both sides read the files, decode, turn upright, resize the shorter side to SIDE with the bicubic filter and cut the middle, as the
processor of CLIP in transformers does, which leaves this work to Pillow. Four ways take turns: ours with `decode = exact`, whose
pixels must be Pillow's, ours with `decode = fast`, Pillow, and Pillow with `draft` at twice the size. Measured is the time that the
processor spends on a process (on a busy machine the clock tells how busy it is), less what starting it takes. Printed are the
medians in milliseconds per file, the median ratio to Pillow and its spread over rounds, and how far `fast` is from `exact`.
Needs: Pillow, numpy. Unix.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys

import numpy as np
import PIL
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).parents[2]


def pillow(path, side, draft):
    with Image.open(path) as image:
        if draft:
            turned = image.getexif().get(274, 1) >= 5
            size = resized(image.size, 2 * side)
            image.draft("RGB", size[::-1] if turned else size)
        image = ImageOps.exif_transpose(image).convert("RGB")
    image = image.resize(resized(image.size, side), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def resized(size, side):
    width, height = size
    return (side, side * height // width) if width <= height else (side * width // height, side)


def peer(way, side, times, files):
    for _ in range(times):
        for file in files:
            pillow(file, side, way == "draft")


def cpu(command):
    """Seconds of processor time that a process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    if sys.argv[1:2] == ["--peer"]:
        way, side, times, *files = sys.argv[2:]
        return peer(way, int(side), int(times), files)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, type=pathlib.Path)
    parser.add_argument("--first", type=int, help="only so many files")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=1, help="how often a process goes over the files")
    parser.add_argument("--binary", default=str(ROOT / "target/release/examples/prepare_speed"))
    args = parser.parse_args()
    files = sorted(str(p) for p in args.images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))[: args.first]
    side, times = str(args.side), str(args.times)
    python = [sys.executable, __file__, "--peer"]
    ways = {
        "ours, exact": [args.binary, "exact"],
        "ours, fast": [args.binary, "fast"],
        "Pillow": [*python, "plain"],
        "Pillow, draft": [*python, "draft"],
    }
    taken = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, command in ways.items():
            whole = cpu([*command, side, times, *files]) - cpu([*command, side, "0"])
            taken[way].append(whole * 1e3 / len(files) / args.times)
    print(f"Pillow {PIL.__version__}, {len(files)} files to {side} x {side}, milliseconds of one core per file, {args.rounds} rounds")
    for way, own in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(taken["Pillow"], own)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{way:>13}: {statistics.median(own):.3f}, ratio to Pillow {statistics.median(ratios):.2f} ({spread})")
    differences(args.binary, args.side, files)


def differences(binary, side, files):
    def ours(way):
        out = subprocess.run([binary, way, str(side), "-", *files], capture_output=True, check=True).stdout
        return np.frombuffer(out, np.uint8).reshape(len(files), side, side, 3).astype(np.int16)

    exact, fast = ours("exact"), ours("fast")
    same = sum(np.array_equal(pixels, pillow(file, side, False)) for file, pixels in zip(files, exact))
    print(f"exact is Pillow's to the bit in {same} of {len(files)} files")
    far = np.abs(exact - fast)
    means = far.mean(axis=(1, 2, 3))
    print(f"fast differs from exact in {(means > 0).sum()} files: mean {means.mean():.3f} of 255, worst file {means.max():.3f}, largest {far.max()}")


main()
