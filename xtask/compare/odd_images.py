#!/usr/bin/env python3
"""Decode a folder of odd images with imbed and with Pillow, and compare the pixels.

    cargo build -p imbed-core --example decode_rgb
    python xtask/compare/odd_images.py --images DIR --decoder target/debug/examples/decode_rgb

Printed: one row of a Markdown table for every format, then every file that is not the same on both sides, with the reason.
A mean absolute difference is over all pixels and channels, in steps of 255. Every file is decoded in a process of its own
under a limit of time and of address space; its peak memory is that of the process. The exit status is 1 if one crashes or hangs.

The reference is `transformers.image_utils.load_image`: opened by PIL, turned by its EXIF orientation, converted to RGB. Where PIL
clips samples of more than 8 bits, they are scaled instead, as docs/images.md says. Needs: transformers, Pillow, numpy.
"""

import argparse
import io
import json
import pathlib
import resource
import subprocess
import sys
import warnings

import numpy as np
import PIL
import transformers
from PIL import Image, ImageCms, ImageOps, features
from transformers.image_utils import load_image

MEGABYTE = 1 << 20


def ours(decoder, path, seconds, megabytes, icc):
    """What the example `decode_rgb` says, and the pixels [H, W, 3] or None."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE, megabytes * MEGABYTE))

    try:
        run = subprocess.run([decoder, *["--icc"][: int(icc)], str(path)], capture_output=True, timeout=seconds, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return {"kind": "hang", "message": f"no answer within {seconds} s"}, None
    if run.returncode:
        return {"kind": "crash", "message": run.stderr.decode(errors="replace").strip()}, None
    line, _, pixels = run.stdout.partition(b"\n")
    said = json.loads(line)
    if "size" not in said:
        return said, None
    width, height = said["size"]
    return said, np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def in_srgb(image):
    """The image by its colour profile, if it has one that ImageCms can use; alpha, which it refuses, is left out before."""
    if "icc_profile" not in image.info or image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        opaque = image.convert("RGB") if image.mode == "RGBA" else image
        return ImageCms.profileToProfile(opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image


def theirs(path, icc):
    """The format that PIL tells, and the pixels [H, W, 3] or the reason why there are none."""
    name = None
    try:
        with Image.open(path) as image:
            name, mode = image.format, image.mode
            if mode.startswith("I;16") or (mode == "I" and name in ("PNG", "PPM")):
                # `convert` would clip at 255.
                words = np.asarray(ImageOps.exif_transpose(image), np.int64)
                return name, np.repeat(((words * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
            if icc:
                return name, np.asarray(in_srgb(ImageOps.exif_transpose(image)).convert("RGB"))
        return name, np.asarray(load_image(str(path)))
    except Exception as error:  # PIL raises all sorts for broken files.
        return name, f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=pathlib.Path, required=True, metavar="DIR", help="every file below it is decoded")
    parser.add_argument("--decoder", required=True, help="the example decode_rgb, built")
    parser.add_argument("--seconds", type=float, default=20, help="limit of time for each file (20)")
    parser.add_argument("--megabytes", type=int, default=3000, help="limit of address space for each file (3000)")
    parser.add_argument("--icc", action="store_true", help="use colour profiles: --icc srgb, and ImageCms in PIL")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")

    rows, notes = {}, []
    for path in sorted(p for p in arguments.images.rglob("*") if p.is_file()):
        said, a = ours(arguments.decoder, path, arguments.seconds, arguments.megabytes, arguments.icc)
        name, b = theirs(path, arguments.icc)
        row = rows.setdefault(said.get("format") or name or "none", [])
        shown = path.relative_to(arguments.images)
        reason = f"{said.get('kind')}: {said.get('message')}"
        difference = None
        if said.get("kind") in ("crash", "hang"):
            outcome = "crash or hang"
            notes.append((outcome, f"{shown}: {reason}"))
        elif a is None and isinstance(b, str):
            outcome = "both refuse"
            notes.append((outcome, f"{shown}: {reason} | {b}"))
        elif a is None:
            outcome = "only Pillow"
            notes.append((outcome, f"{shown}: {reason}"))
        elif isinstance(b, str):
            outcome = "only imbed"
            notes.append((outcome, f"{shown}: {said['mode']} {said['size']} | {b}"))
        elif a.shape != b.shape:
            outcome = "sizes differ"
            notes.append((outcome, f"{shown}: {a.shape[1]} x {a.shape[0]}, in Pillow {b.shape[1]} x {b.shape[0]}"))
        else:
            apart = np.abs(a.astype(np.int16) - b.astype(np.int16))
            difference = float(apart.mean())
            outcome = "equal" if not apart.any() else "within 1" if apart.max() <= 1 else "differs"
            if outcome == "differs":
                notes.append((outcome, f"{shown}: mean {difference:.3f}, at most {apart.max()}, {said['mode']}"))
        row.append((outcome, difference, said.get("micros", 0), said.get("peak_kb") or 0))

    columns = ["equal", "within 1", "differs", "sizes differ", "both refuse", "only Pillow", "only imbed"]
    print(f"Pillow {PIL.__version__} (libjpeg-turbo {features.version('libjpeg_turbo')}), transformers {transformers.__version__}\n")
    print("| format | files | " + " | ".join(columns) + " | mean abs. difference, largest | slowest, ms | peak, MB |")
    print("|---" * (len(columns) + 5) + "|")
    everything = [entry for row in rows.values() for entry in row]
    for name, row in [*sorted(rows.items()), ("all", everything)]:
        counts = [sum(entry[0] == column for entry in row) for column in columns]
        largest = max((entry[1] for entry in row if entry[1] is not None), default=None)
        cells = [name, len(row), *counts, "" if largest is None else f"{largest:.3f}"]
        cells += [f"{max(entry[2] for entry in row) / 1000:.1f}", f"{max(entry[3] for entry in row) / 1024:.0f}"]
        print("| " + " | ".join(map(str, cells)) + " |")
    for outcome in ["crash or hang", "sizes differ", "differs", "only Pillow", "only imbed", "both refuse"]:
        lines = [line for which, line in notes if which == outcome]
        if lines:
            print(f"\n{outcome}:")
            print("\n".join(lines))
    return any(which == "crash or hang" for which, _ in notes)


if __name__ == "__main__":
    sys.exit(main())
