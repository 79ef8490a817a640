#!/usr/bin/env python3
"""Time imbed beside a plain transformers loop on the same photos and weights, whole processes, in turn.

    python xtask/compare/transformers_speed.py --images DIR --model CHECKPOINT [--rounds 3] [--batch 32] [--threads 2]

Both read the files, prepare and embed them in float32 and write Parquet. Each round runs one after the other; printed are medians,
the ratio round by round (its median is the figure to quote), and peak memory. Needs: torch, transformers, Pillow, pyarrow.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def peer(images: str, model: str, out: str, batch: int, threads: int) -> None:
    """The loop that a user of transformers writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from transformers.image_utils import load_image

    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from transformers_cosine import processor
    from transformers import AutoModel

    torch.set_num_threads(threads)
    suffixes = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    paths = sorted(str(p) for p in pathlib.Path(images).rglob("*") if p.suffix.lower() in suffixes)
    network = AutoModel.from_pretrained(model, dtype=torch.float32).eval()
    prepare = processor(model)
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(paths), batch):
            pixels = prepare(images=[load_image(p) for p in paths[start : start + batch]], return_tensors="pt")
            result = network.get_image_features(**pixels) if hasattr(network, "get_image_features") else network(**pixels)
            vectors.extend((result if torch.is_tensor(result) else result.pooler_output).tolist())
    pq.write_table(pa.table({"path": paths, "embedding": vectors}), out)


def timed(command: list[str], threads: int) -> tuple[float, float]:
    """Seconds of wall time, and peak memory in MiB, of one process."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--imbed", default="target/release/imbed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", metavar="OUT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.images, args.model, args.peer, args.batch, args.threads)

    with tempfile.TemporaryDirectory() as folder:
        ours_out, peer_out = f"{folder}/ours.parquet", f"{folder}/peer.parquet"
        ours = [os.path.abspath(args.imbed), "embed", args.images, "--model", args.model, "-o", ours_out, "--overwrite"]
        ours += ["--batch-size", str(args.batch), "--quiet"]
        theirs = [sys.executable, __file__, "--images", args.images, "--model", args.model]
        theirs += ["--batch", str(args.batch), "--threads", str(args.threads), "--peer", peer_out]
        rounds = []
        for number in range(args.rounds + 1):
            pair = timed(ours, args.threads), timed(theirs, args.threads)
            if number:  # the first round warms the file cache
                rounds.append(pair)
        import pyarrow.parquet as pq

        images = pq.read_metadata(peer_out).num_rows
    ratio = statistics.median(peer[0] / ours[0] for ours, peer in rounds)
    for name, side in (("imbed", 0), ("transformers fp32", 1)):
        seconds = statistics.median(pair[side][0] for pair in rounds)
        memory = max(pair[side][1] for pair in rounds)
        print(f"{name:<20}{images / seconds:8.2f} images/s{memory:9.0f} MiB peak")
    print(f"imbed / transformers, images/s: {ratio:.2f} (median of {args.rounds} rounds in turn, whole processes)")
    print(json.dumps({"images": images, "rounds": rounds, "ratio": ratio}))


if __name__ == "__main__":
    main()
