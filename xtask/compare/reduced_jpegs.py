#!/usr/bin/env python3
"""Decode a folder of JPEGs at 1/1, 1/2, 1/4 and 1/8 of their size with imbed and with Pillow, and compare the pixels.

    cargo build --release -p imbed-core --example decode_rgb
    python xtask/compare/reduced_jpegs.py --images DIR --decoder target/release/examples/decode_rgb [--damage N]

With --damage, N copies of each file are decoded too, in which bytes of the scans are overwritten (seeded). Printed: for each size
how many pictures have the same pixels, and those that have not. The exit status is 1 if a file that is not damaged differs.
Needs: Pillow, numpy.
"""

import argparse
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageFile

ImageFile.LOAD_TRUNCATED_IMAGES = True


def theirs(file, by):
    """Image.draft without its way of choosing, or None."""
    try:
        image = Image.open(io.BytesIO(file))
        size = tuple(-(-length // by) for length in image.size)
        image.tile = [image.tile[0]._replace(extents=(0, 0, *size))]
        image._size, image.decoderconfig = size, (by, 0)
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError):
        return None


def ours(decoder, path, size):
    run = subprocess.run([decoder, "--at-least", f"{size[0]}x{size[1]}", path], capture_output=True, check=True)
    line, _, pixels = run.stdout.partition(b"\n")
    said = json.loads(line)
    if "size" not in said:
        return None
    width, height = said["size"]
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def without_orientation(file):
    """The file without its EXIF and XMP segments, so that both sides give the pixels as they are stored."""
    at = 2
    while file[at + 1] != 0xDA:
        length = 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        if file[at + 1] == 0xE1:
            file = file[:at] + file[at + length :]
        else:
            at += length
    return file


def damaged(file, dice):
    scan = file.index(b"\xff\xda") + 14
    file = bytearray(file)
    for _ in range(dice.randint(1, 6)):
        # Never a marker: both sides would be asked to guess.
        file[dice.randrange(scan, len(file) - 2)] = dice.randrange(255)
    return bytes(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, type=pathlib.Path)
    parser.add_argument("--decoder", required=True)
    parser.add_argument("--damage", type=int, default=0)
    parser.add_argument("--first", type=int, help="only so many files")
    args = parser.parse_args()
    dice = random.Random(1)
    counts, differ = {}, False
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file.jpg")
        for image in sorted(args.images.iterdir())[: args.first]:
            if image.suffix.lower() not in (".jpg", ".jpeg"):
                continue
            whole = without_orientation(image.read_bytes())
            for number in range(args.damage + 1):
                file = damaged(whole, dice) if number else whole
                path.write_bytes(file)
                for by in (1, 2, 4, 8):
                    expected = theirs(file, by)
                    if expected is None:
                        continue
                    pixels = ours(args.decoder, path, (expected.shape[1], expected.shape[0]))
                    same = pixels is not None and np.array_equal(pixels, expected)
                    kind = (by, "damaged" if number else "whole")
                    counts.setdefault(kind, [0, 0])[same] += 1
                    if not same:
                        far = "not decoded" if pixels is None else int((pixels != expected).any(-1).sum())
                        print(f"{image.name} at 1/{by}, {kind[1]} {number}: {far} pixels differ")
                        differ |= number == 0
    for (by, kind), (other, same) in sorted(counts.items()):
        print(f"1/{by}, {kind}: {same} of {same + other} the same")
    sys.exit(differ)


main()
