#!/usr/bin/env python3
"""Embed pictures of one scene that are stored turned and mirrored, and compare the vectors pair by pair.

    python xtask/compare/orientations.py --model CHECKPOINT IMAGE IMAGE … [--imbed target/release/imbed]

The images show one scene, each stored in another of EXIF's orientations. With orientation applied (the default) they are one
picture, and every pair has nearly the same vector; with `--exif-orientation false` they are not. Needs: numpy, pyarrow.

The exit status is 1 if a pair is below --least with orientation applied, or all pairs are above it without.
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow.parquet as pq


def least_cosine(args: argparse.Namespace, applied: bool) -> float:
    """The smallest cosine of all pairs."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.parquet"
        flags = ["--model", args.model, "--exif-orientation", str(applied).lower(), "-o", str(out), "--quiet"]
        subprocess.run([args.imbed, "embed", *args.images, *flags], check=True)
        vectors = np.array(pq.read_table(out)["embedding"].to_pylist(), dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return min(float(a @ b) for a, b in itertools.combinations(vectors, 2))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--imbed", default="target/release/imbed")
    parser.add_argument("--least", type=float, default=0.99)
    args = parser.parse_args()
    upright, as_stored = least_cosine(args, True), least_cosine(args, False)
    print(f"{len(args.images)} images, smallest cosine of a pair: {upright:.5f}; with --exif-orientation false {as_stored:.5f}")
    return int(upright < args.least or as_stored >= args.least)


if __name__ == "__main__":
    sys.exit(main())
