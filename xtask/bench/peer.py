"""One run of somebody else's way to embed a folder of JPEG files, as its users would write it: files to a Parquet file.

    python xtask/bench/peer.py transformers --model CHECKPOINT --images FOLDER --out FILE.parquet [--overlap]
    python xtask/bench/peer.py onnxruntime  --model CHECKPOINT --graphs FOLDER --model-only 5 [--dtype int8]

`cargo xtask bench --peers` starts it, one process a run, and measures the process. Printed is one line of JSON. With
`--model-only SECONDS` no file is read: batches of noise are timed, in milliseconds an image. Files are taken in the
order of their names.
`--overlap` prepares the next batch while the model works on this one.
"""

import argparse
import importlib
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

# Nothing is downloaded while something is measured.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "DO_NOT_TRACK": "1", "DAFT_PROGRESS_BAR": "0"}

# Each is a module beside this one with a class that loads a model, prepares files and runs batches; or, for a system
# that does all of it by itself, with a function `embed`.
PEERS = {
    "transformers": ("by_torch", "Transformers", ["transformers", "torch"]),
    "sentence-transformers": ("by_torch", "SentenceTransformers", ["sentence-transformers", "torch"]),
    "onnxruntime": ("by_graph", "OnnxRuntime", ["onnxruntime"]),
    "openvino": ("by_graph", "OpenVino", ["openvino"]),
    "daft": ("by_daft", "Daft", ["daft", "transformers", "torch"]),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint's folder")
    parser.add_argument("--graphs", type=Path, help="the folder of its ONNX files, made by graphs.py")
    parser.add_argument("--images", type=Path, help="a folder of JPEG files")
    parser.add_argument("--out", type=Path, help="the Parquet file to write")
    parser.add_argument("--npy", type=Path, help="write the vectors to this file too")
    parser.add_argument("--limit", type=int, help="embed the first files only")
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16", "int8"])
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    parser.add_argument("--batch", type=int, default=32, help="0 is the peer's own")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cuda:0, of peers that compute on a GPU; Daft finds it by itself")
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--model-only", type=float, metavar="SECONDS")
    return parser.parse_args()


def time_model(peer, args):
    """Milliseconds an image of each call, the first ones, which also allocate, left out."""
    import numpy as np

    batch = np.random.default_rng(1).standard_normal((args.batch, 3, peer.side, peer.side), np.float32)
    pixels = peer.pixels(batch)
    for _ in range(2):
        peer.run(pixels)
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < args.model_only or len(times) < 3:
        call = time.perf_counter()
        peer.run(pixels)
        times.append((time.perf_counter() - call) * 1000 / args.batch)
    return {"milliseconds_per_image": times}


def embed(peer, paths, args):
    """The vectors of the files in their order, [N, width]."""
    import numpy as np

    if hasattr(peer, "embed"):
        return peer.embed(paths)
    batches = [paths[i : i + args.batch] for i in range(0, len(paths), args.batch)]
    prepared = peer.ahead(batches) if args.overlap else map(peer.prepare, batches)
    return np.concatenate([peer.run(pixels) for pixels in prepared])


def write(paths, vectors, out):
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = pa.array(vectors.reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
    pq.write_table(pa.table({"path": [str(path) for path in paths], "embedding": column}), out)


def main():
    args = arguments()
    module, name, packages = PEERS[args.peer]
    start = time.perf_counter()
    peer = getattr(importlib.import_module(module), name)(args)
    said = {"load_seconds": time.perf_counter() - start, "versions": {p: version(p) for p in packages}}
    if args.model_only:
        said |= time_model(peer, args)
    else:
        import numpy as np

        paths = sorted(args.images.glob("*.jpg"))[: args.limit]
        start = time.perf_counter()
        vectors = np.ascontiguousarray(embed(peer, paths, args), dtype=np.float32)
        write(paths, vectors, args.out)
        said |= {"images": len(paths), "seconds": time.perf_counter() - start}
        if args.npy:
            np.save(args.npy, vectors)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
