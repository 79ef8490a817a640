"""Trains the model by distillation, for a given wall-clock time.

    python train.py --data DIR --cache DIR --out DIR --minutes 95

Needs the cache that `teacher.py` writes. The learning rate follows elapsed time over --minutes, not a count of steps, so
that a run always ends annealed, however busy the machine. Writes to --out: `checkpoint.pt` (every --save minutes; a second
start with the same --out resumes from it, time spent included), `curve.csv`, and at the end `final.pt` with the averaged weights.

Losses, all of the embedding e [B, 256] that the model will ship with:
  cosine      1 - cos(e, t), t being the teacher's features on 256 principal axes, each divided by variance^(WHITEN / 2)
  logits      KL to the teacher's 1000 ImageNet classes through a linear head on 16 e / |e|, temperature 2
  labels      cross-entropy to the 200 classes through a linear head on 16 e / |e|, smoothing 0.1
  relation    KL between the rows of the two batches' similarity matrices, softmax at temperature 0.1, diagonal left out; its
              weight grows from nothing with time, because from the start and at full weight it keeps the model from learning:
              it asks for embeddings that differ before there is anything to tell them apart by
The two heads are thrown away.
"""
import argparse
import copy
import csv
import math
import os
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from evaluate import load_images, nearest
from model import Tiny, normalise

WEIGHTS = {"cosine": 4.0, "relation": 0.1, "logits": 0.2, "labels": 0.2}
WHITEN = 0.25
TEMPERATURE = 2.0
SHARP = 16.0


def targets(features):
    """(mean [1280], axes [1280, 256]) such that (f - mean) @ axes is the teacher's target; from view 0's f16 features."""
    f = torch.from_numpy(np.array(features[::3])).float()
    mean = f.mean(0)
    f -= mean
    values, vectors = torch.linalg.eigh(f.T @ f / len(f))
    values, vectors = values.flip(0)[:256], vectors.flip(1)[:, :256]
    return mean, vectors * values ** (-WHITEN / 2)


def augment(images, boxes, flips, size, rng):
    """f32 [B, 3, size, size], normalised, of u8 images [B, 3, 64, 64], each cropped to its view's box (pixels, moved and
    scaled by a few per cent), mirrored at random, and its brightness, contrast and saturation changed by up to 30 %."""
    b = len(images)

    def uniform(low, high, *shape):
        return torch.empty(b, *shape).uniform_(low, high, generator=rng)

    x = images.float().div_(255)
    scale = uniform(0.88, 1.04, 2)
    extent = boxes[:, 2:] * scale
    centre = boxes[:, :2] + boxes[:, 2:] / 2 + uniform(-0.05, 0.05, 2) * boxes[:, 2:]
    mirror = torch.where(torch.rand(b, generator=rng) < 0.5, -1.0, 1.0)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0] = extent[:, 0] / 64 * mirror
    theta[:, 1, 1] = extent[:, 1] / 64
    theta[:, :, 2] = centre / 32 - 1
    grid = F.affine_grid(theta, (b, 3, size, size), align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = grey + (x - grey) * uniform(0.7, 1.3, 1, 1, 1)
    level = x.mean((1, 2, 3), keepdim=True)
    x = (x - level) * uniform(0.7, 1.3, 1, 1, 1) + level * uniform(0.7, 1.3, 1, 1, 1)
    return normalise(x.clamp_(0, 1)).contiguous(memory_format=torch.channels_last)


def relation(e, t):
    """KL(teacher || student) of the rows of the two similarity matrices; e, t unit vectors [B, 256]."""
    hide = torch.eye(len(e), dtype=torch.bool)
    s = (e @ e.T / 0.1).masked_fill(hide, -1e4).log_softmax(1)
    g = (t @ t.T / 0.1).masked_fill(hide, -1e4).softmax(1)
    return F.kl_div(s, g, reduction="batchmean")


@torch.no_grad()
def embed(model, images, size=64):
    """Unit embeddings f32 [N, 256] of u8 images [N, H, W, 3]."""
    model.eval()
    out = []
    for i in range(0, len(images), 100):
        x = normalise(torch.from_numpy(images[i : i + 100]).permute(0, 3, 1, 2).float() / 255)
        if size != x.shape[-1]:
            x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
        with torch.autocast("cpu", torch.bfloat16):
            e = model(x.contiguous(memory_format=torch.channels_last))
        out.append(F.normalize(e.float(), dim=1))
    return torch.cat(out).numpy()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", required=True)
    args.add_argument("--cache", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--batch", type=int, default=160)
    args.add_argument("--lr", type=float, default=1.5e-3)
    args.add_argument("--decay", type=float, default=0.05)
    args.add_argument("--small", type=float, default=0.45, help="share of the time trained at 48x48 before 64x64")
    args.add_argument("--processes", type=int, default=2, help="each one thread, each a share of the batch")
    args.add_argument("--seed", type=int, default=7)
    args.add_argument("--save", type=float, default=8, help="minutes between checkpoints, each with an evaluation")
    args = args.parse_args()
    os.makedirs(args.out, exist_ok=True)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    torch.multiprocessing.spawn(work, (args,), args.processes)


def work(rank, args):
    """One of the processes. They exchange nothing but gradients, once a step: threads inside one process would wait for each
    other at every operation, which on a machine with other work to do costs more than half the speed."""
    dist.init_process_group("gloo", rank=rank, world_size=args.processes)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    def at(name):
        return os.path.join(args.cache, name)

    images = np.load(at("images.npy"), mmap_mode="r")
    labels = torch.from_numpy(np.load(at("labels.npy")))
    boxes = torch.from_numpy(np.load(at("boxes.npy")))
    flips = torch.from_numpy(np.load(at("flips.npy")))
    features = np.load(at("features.npy"), mmap_mode="r")
    logits = np.load(at("logits.npy"), mmap_mode="r")
    n = len(images)
    mean, axes = targets(features[0])
    if rank == 0:
        val_images, val_labels = load_images(os.path.join(args.data, "tiny-imagenet-val.parquet"), 64, 2000)
        cal_images, cal_labels = load_images(os.path.join(args.data, "caltech101-40.parquet"), 64)

    model = Tiny().to(memory_format=torch.channels_last)
    heads = nn.ModuleDict({"logits": nn.Linear(256, 1000), "labels": nn.Linear(256, 200)})
    average = copy.deepcopy(model).requires_grad_(False)
    named = list(model.named_parameters()) + list(heads.named_parameters())
    groups = [
        {"params": [p for _, p in named if p.ndim > 1], "weight_decay": args.decay},
        {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True)
    parameters = [p for _, p in named]

    state = {"elapsed": 0.0, "step": 0, "seen": 0}
    path = os.path.join(args.out, "checkpoint.pt")
    if os.path.exists(path):
        saved = torch.load(path, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        heads.load_state_dict(saved["heads"])
        optimiser.load_state_dict(saved["optimiser"])
        state = saved["state"]
    # One generator for the order of the images, the same in every process, and one of each process's own.
    shared = torch.Generator().manual_seed(args.seed + state["step"])
    rng = torch.Generator().manual_seed(args.seed + state["step"] + 1000 * (rank + 1))
    exchange = torch.zeros(sum(p.numel() for p in parameters) + 1)
    slots = [s.view_as(p) for s, p in zip(exchange[:-1].split([p.numel() for p in parameters]), parameters)]
    progress = state["elapsed"] / (args.minutes * 60)
    budget = args.minutes * 60
    begun = time.time() - state["elapsed"]
    last_save = state["elapsed"]
    running, recent = {}, {}
    order, cursor = torch.randperm(n, generator=shared), 0

    def save(size):
        nonlocal running, last_save
        state["elapsed"] = time.time() - begun
        parts = {"model": model, "average": average, "heads": heads, "optimiser": optimiser}
        torch.save({**{k: v.state_dict() for k, v in parts.items()}, "state": state}, path + ".new")
        os.replace(path + ".new", path)
        val = nearest(embed(average, val_images, size), val_labels)
        cal = nearest(embed(average, cal_images, size), cal_labels)
        row = {"minutes": state["elapsed"] / 60, "epoch": state["seen"] / n, "step": state["step"], "size": size}
        row |= {k: float(running[k] / max(1, running["count"])) for k in WEIGHTS}
        row |= {"val_1nn": val, "caltech_1nn": cal}
        row = {k: round(v, 4) for k, v in row.items()}
        new = not os.path.exists(os.path.join(args.out, "curve.csv"))
        with open(os.path.join(args.out, "curve.csv"), "a", newline="") as f:
            writer = csv.DictWriter(f, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)
        running, last_save = {}, time.time() - begun

    while progress < 1:
        size = 48 if progress < args.small else 64
        lr = args.lr * min(1.0, (progress + 1e-3) / 0.04) * max(0.01, 0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = lr
        if cursor + args.batch > n:
            order, cursor = torch.randperm(n, generator=shared), 0
        rows = order[cursor + rank : cursor + args.batch : args.processes]
        cursor += args.batch
        view = (torch.rand(len(rows), generator=rng) < 0.5).long()
        teacher = torch.from_numpy(features[view.numpy(), rows.numpy()]).float()
        missing = teacher.abs().sum(1) == 0  # a cache still being written: fall back to the whole image
        if missing.any():
            view[missing] = 0
            teacher[missing] = torch.from_numpy(features[0, rows[missing].numpy()]).float()
        soft = torch.from_numpy(logits[view.numpy(), rows.numpy()]).float()
        x = augment(torch.from_numpy(images[rows.numpy()]).permute(0, 3, 1, 2), boxes[view, rows], flips[view, rows], size, rng)

        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            raw = model(x)
        raw = raw.float()
        e, t = F.normalize(raw, dim=1), F.normalize((teacher - mean) @ axes, dim=1)
        losses = {
            "cosine": 1 - (e * t).sum(1).mean(),
            "relation": relation(e, t),
            "logits": TEMPERATURE**2
            * F.kl_div(
                (heads["logits"](e * SHARP) / TEMPERATURE).log_softmax(1), (soft / TEMPERATURE).softmax(1), reduction="batchmean"
            ),
            "labels": F.cross_entropy(heads["labels"](e * SHARP), labels[rows], label_smoothing=0.1),
        }
        loss = sum(WEIGHTS[k] * v * (progress if k == "relation" else 1) for k, v in losses.items())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        # The clock travels with the gradients, so that all processes agree on the learning rate and on when to stop.
        exchange[-1] = (time.time() - begun) / budget
        for slot, p in zip(slots, parameters):
            slot.copy_(p.grad)
        dist.all_reduce(exchange)
        exchange /= args.processes
        progress = float(exchange[-1])
        for slot, p in zip(slots, parameters):
            p.grad.copy_(slot)
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()

        state["step"] += 1
        state["seen"] += args.batch
        for sums in (running, recent):
            for k, v in losses.items():
                sums[k] = sums.get(k, 0.0) + v.detach()
            sums["count"] = sums.get("count", 0) + 1
        if rank:
            continue
        if state["step"] % 4 == 0:
            keep = min(0.996, state["step"] / (state["step"] + 40))
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                if a.dtype.is_floating_point:
                    a.lerp_(b, 1 - keep)
        if state["step"] % 25 == 0:
            elapsed = time.time() - begun
            part = {k: round(float(recent[k] / recent["count"]), 3) for k in WEIGHTS}
            recent = {}
            print(f"{elapsed / 60:.1f} min, step {state['step']}, epoch {state['seen'] / n:.2f}, lr {lr:.5f}, {size} px, {part}", flush=True)
            if not math.isfinite(part["cosine"]):
                raise SystemExit("diverged")
            if elapsed - last_save > args.save * 60 or (state["step"] == 200):
                save(size)
    if rank:
        return
    save(64)
    torch.save({"average": average.state_dict(), "model": model.state_dict(), "state": state, "args": vars(args)}, os.path.join(args.out, "final.pt"))


if __name__ == "__main__":
    main()
