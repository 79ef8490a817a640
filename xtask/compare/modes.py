#!/usr/bin/env python3
"""Save one photo in every mode that images come in, embed all of them, and compare each with the RGB version.

    python xtask/compare/modes.py --image PHOTO --model CHECKPOINT [--imbed target/release/imbed]

The photo is taken without loss from PNG or TIFF where the mode allows it, so that what differs is the mode: grey versions lack
colour, a palette has 256 colours, CMYK goes through Pillow's conversion and, as JPEG, through compression. 16-bit versions hold the
8-bit samples times 257 (grey) and must come out as their 8-bit twins. Needs: Pillow, numpy, pyarrow.

Printed: the cosine of each version to the RGB one, and to its own twin where it must equal one. The exit status is 1 if a version
fails, or a twin is not equal.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import PIL
import pyarrow.parquet as pq
from PIL import Image

# Which version a mode must equal, bit for bit.
TWINS = {"RGBA": "RGB", "RGBA, half seen": "RGB", "LA": "L", "16-bit grey PNG": "L", "16-bit grey TIFF": "L", "RGB TIFF": "RGB"}


def save_all(photo: Image.Image, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes every version and gives their paths by name."""
    rgb = photo.convert("RGB")
    grey = rgb.convert("L")
    ramp = Image.linear_gradient("L").resize(rgb.size)
    half_seen = rgb.copy()
    half_seen.putalpha(ramp)
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    versions = {
        "RGB": (rgb, "png", {}),
        "RGB TIFF": (rgb, "tiff", {"compression": "tiff_lzw"}),
        "RGB JPEG": (rgb, "jpg", {"quality": 95}),
        "RGBA": (rgb.convert("RGBA"), "png", {}),
        "RGBA, half seen": (half_seen, "png", {}),
        "P": (rgb.quantize(256), "png", {}),
        "L": (grey, "png", {}),
        "LA": (grey.convert("LA"), "png", {}),
        "L JPEG": (grey, "jpg", {"quality": 95}),
        "16-bit grey PNG": (wide, "png", {}),
        "16-bit grey TIFF": (wide, "tiff", {}),
        "CMYK JPEG": (rgb.convert("CMYK"), "jpg", {"quality": 95}),
        "CMYK TIFF": (rgb.convert("CMYK"), "tiff", {}),
        "1 bit": (grey.convert("1"), "png", {}),
    }
    paths = {}
    for i, (name, (image, extension, how)) in enumerate(versions.items()):
        paths[name] = folder / f"{i:02}.{extension}"
        image.save(paths[name], **how)
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--imbed", default="target/release/imbed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = save_all(Image.open(args.image), folder)
        out = folder / "out.parquet"
        command = [args.imbed, "embed", *map(str, paths.values()), "--model", args.model, "-o", str(out)]
        subprocess.run([*command, "--on-error", "ignore", "--quiet"], check=False)
        table = pq.read_table(out)
    by_path = dict(zip(table["path"].to_pylist(), table["embedding"].to_pylist()))
    vectors = {version: by_path[str(path)] for version, path in paths.items()}
    failed = [version for version, vector in vectors.items() if vector is None]
    print(f"Pillow {PIL.__version__}\n\n| version | cosine to RGB | twin |\n|---|---|---|")
    unequal = []
    for version, vector in vectors.items():
        if vector is None:
            print(f"| {version} | failed | |")
            continue
        a, b = np.array(vector), np.array(vectors["RGB"])
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        twin = TWINS.get(version)
        equal = twin is not None and vectors[twin] == vector
        unequal += [version] if twin and not equal else []
        print(f"| {version} | {cosine:.5f} | {'' if twin is None else f'equal to {twin}' if equal else f'differs from {twin}'} |")
    return int(bool(failed or unequal))


if __name__ == "__main__":
    sys.exit(main())
