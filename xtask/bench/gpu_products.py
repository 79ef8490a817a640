"""How fast a GPU multiplies one large pair of matrices through its vendor's library, as a line of JSON: 10^9 operations a
second by number type. Random numbers, as zeros are faster; without TF32.

    python xtask/bench/gpu_products.py --device cuda:0
"""

import argparse
import json
import statistics

import torch

SIDE = 8192


def rate(dtype, device, rounds):
    a, b = (torch.randn(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        a @ b
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    # The first ones also choose a kernel.
    return 2 * SIDE**3 / statistics.median(times[3:]) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    print(json.dumps({"f32": rate(torch.float32, args.device, 8), "bf16": rate(torch.bfloat16, args.device, 23)}))


if __name__ == "__main__":
    main()
