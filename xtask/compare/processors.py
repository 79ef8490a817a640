#!/usr/bin/env python3
"""Compare imbed's preprocessing with the image processors of transformers on random files and random images.

    cargo build -p imbed-core --example preprocess
    python xtask/compare/processors.py --cases 500 [--seed 0] [--photos DIR]

Each case is a random `preprocessor_config.json` of a random class, and a random image, of which some have transparency. The
reference is `AutoImageProcessor` on its PIL backend, which lays transparency over white. Sizes and bytes must be equal, and so
must the model's numbers, bit for bit. What one side refuses the other must refuse, but for what is listed at the end.

With --photos also how far DINOv3's processor, which resizes floats, is from ours, which rounds to bytes; needs torchvision.
"""

import argparse
import collections
import contextlib
import io
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import numpy as np
import PIL
import transformers
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "crates/core/tests/fixtures"))
import processors  # noqa: E402

CLASSES = ["CLIP", "Siglip", "Siglip2", "ViT", "Bit", "ConvNext", "DeiT", "Beit", "ChineseCLIP"]


def random_config(rng: random.Random) -> dict:
    side = lambda: rng.choice([1, 2, 3, 7, 16, 30, 37, 64, 100, 223, 224, 256, 384, 400])
    both = lambda: rng.choice([side(), {"height": side(), "width": side()}, [side(), side()]])
    name = rng.choice(CLASSES)
    config = {"image_processor_type": f"{name}ImageProcessor" + rng.choice(["", "", "Fast", "Pil"])}
    if name not in ("Siglip", "Siglip2") and rng.random() < 0.2:
        config = {"feature_extractor_type": f"{name}FeatureExtractor"}
    if rng.random() < 0.8:
        edge = {"shortest_edge": side()}
        choices = [side(), edge]
        if name != "ConvNext":
            bounds = {"shortest_edge": side(), "longest_edge": side()}
            choices += [both(), both(), bounds, {"max_height": side(), "max_width": side()}]
        config["size"] = rng.choice(choices)
    if rng.random() < 0.6:
        config["crop_size"] = both()
    if name == "ConvNext" and rng.random() < 0.5:
        config["crop_pct"] = rng.choice([0.875, 0.9, 0.95, 1.0, 0.5, 1.2])
    if name == "Siglip2":
        config["patch_size"] = rng.choice([1, 7, 8, 14, 16, 32])
        config["max_num_patches"] = rng.choice([1, 2, 7, 64, 256, 729, 1024])
    if rng.random() < 0.7:
        config["resample"] = rng.randrange(6)
    for switch in ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "default_to_square", "do_convert_rgb"):
        if rng.random() < 0.15:
            config[switch] = rng.choice([True, False, None])
    # Without it the reference hands on one, two or four channels, which no model here takes.
    if config.get("do_convert_rgb", name not in ("ViT", "DeiT", "Beit", "Siglip2", "ConvNext")) is not True:
        config["do_convert_rgb"] = True
    if rng.random() < 0.3:
        config["rescale_factor"] = rng.choice([1 / 255, 1 / 256, 2 / 255, 0.00392156862745098, 1])
    if rng.random() < 0.4:
        config["image_mean"] = rng.choice([0.5, [rng.random() for _ in range(3)], [0.485, 0.456, 0.406]])
        config["image_std"] = rng.choice([0.5, [rng.random() + 0.01 for _ in range(3)], [0.229, 0.224, 0.225]])
    if rng.random() < 0.05:
        config["do_pad"] = True
    if rng.random() < 0.1:
        config[rng.choice(["size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std"])] = None
    return {"image_processor": config} if rng.random() < 0.1 else config


def random_image(rng: random.Random) -> Image.Image:
    side = lambda: rng.choice([1, 2, 3, rng.randint(1, 70), rng.randint(1, 300), rng.randint(1, 900)])
    width, height = side(), side()
    pixels = processors.picture(width, height, rng.choice(processors.KINDS), rng.randrange(1000))
    if rng.random() < 0.15:
        alpha = processors.picture(width, height, rng.choice(processors.KINDS), rng.randrange(1000))[:, :, :1]
        pixels = np.concatenate([pixels, alpha], 2)
    elif rng.random() < 0.1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def reference(config: dict, image: Image.Image):
    """Bytes and numbers, [height, width, 3], or why there are none."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            run = processors.Reference(config).run
            pixels = run(image, do_rescale=False, do_normalize=False)
            numbers = run(image).astype(np.float32)
        return pixels, numbers
    except Exception as error:  # noqa: BLE001: whatever it refuses with
        return f"{type(error).__name__}: {error}".splitlines()[0]


def ours(binary: str, jobs: list[dict]) -> list[dict]:
    lines = "\n".join(json.dumps(job) for job in jobs)
    out = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def result(job: dict, said: dict):
    shape = (said["height"], said["width"], 3)
    pixels = np.fromfile(job["out"] + ".u8", np.uint8).reshape(shape)
    planes = np.fromfile(job["out"] + ".f32", "<f4").reshape(3, *shape[:2])
    return pixels, planes.transpose(1, 2, 0)


def compare(binary: str, cases: int, seed: int) -> int:
    rng = random.Random(seed)
    count = collections.Counter()
    refusals = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        jobs, wanted = [], []
        for number in range(cases):
            config, image = random_config(rng), random_image(rng)
            path = f"{folder}/{number}.png"
            image.save(path, compress_level=1)
            jobs.append({"config": config, "image": path, "out": f"{folder}/{number}"})
            wanted.append(reference(config, image))
        for job, wanted, said in zip(jobs, wanted, ours(binary, jobs), strict=True):
            config = json.dumps(job["config"])
            if isinstance(wanted, str) or "error" in said:
                both = isinstance(wanted, str) and "error" in said
                count["refused by both" if both else "refused by one"] += 1
                # Without what differs from case to case.
                mine = said.get("error", "none").splitlines()[0].replace(f"{job['image']}: ", "")
                theirs = wanted if isinstance(wanted, str) else "none"
                mine, theirs = (re.sub(r"\d+", "N", text)[:100] for text in (mine, theirs))
                refusals["both" if both else "one", mine, theirs] += 1
                continue
            pixels, numbers = result(job, said)
            if pixels.shape != wanted[0].shape:
                count["another size"] += 1
                print(f"size {pixels.shape} for {wanted[0].shape}: {config}")
            elif (pixels != wanted[0]).any():
                count["other bytes"] += 1
                worst = np.abs(pixels.astype(int) - wanted[0]).max()
                print(f"bytes differ by up to {worst}: {config}, image {Image.open(job['image']).size}")
            elif (numbers.view(np.uint32) != np.ascontiguousarray(wanted[1]).view(np.uint32)).any():
                count["other numbers"] += 1
                print(f"numbers differ by up to {np.abs(numbers - wanted[1]).max()}: {config}")
            else:
                count["equal"] += 1
    print(f"transformers {transformers.__version__}, Pillow {PIL.__version__}, {cases} cases, seed {seed}: {dict(count)}")
    for (who, mine, theirs), times in sorted(refusals.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"  refused by {who}, {times} times. imbed: {mine}; reference: {theirs}")
    return count["another size"] + count["other bytes"] + count["other numbers"]


def photos(binary: str, folder: str, limit: int) -> None:
    """How far our bytes are from the floats of DINOv3's own processor, in 255ths."""
    from transformers import DINOv3ViTImageProcessor

    config = {"image_processor_type": "DINOv3ViTImageProcessor", "do_normalize": False}
    processor = DINOv3ViTImageProcessor(do_normalize=False)
    errors = []
    with tempfile.TemporaryDirectory() as out:
        jobs = []
        paths = sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        for number, path in enumerate(paths[:limit]):
            image = Image.open(path).convert("RGB")
            image.save(f"{out}/{number}.png", compress_level=1)
            jobs.append({"config": config, "image": f"{out}/{number}.png", "out": f"{out}/{number}"})
        for job, said in zip(jobs, ours(binary, jobs), strict=True):
            wanted = processor(Image.open(job["image"]))["pixel_values"][0].numpy().transpose(1, 2, 0)
            errors.append(np.abs(result(job, said)[1] - wanted) * 255)
    errors = np.stack(errors)
    import torchvision

    print(
        f"DINOv3, torchvision {torchvision.__version__}, {len(errors)} photos, difference in 255ths: "
        f"mean {errors.mean():.3f}, largest {errors.max():.3f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--binary", default=str(ROOT / "target/debug/examples/preprocess"))
    parser.add_argument("--photos", help="a folder of JPEGs for the comparison with DINOv3's processor")
    args = parser.parse_args()
    wrong = compare(args.binary, args.cases, args.seed)
    if args.photos:
        photos(args.binary, args.photos, 200)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
