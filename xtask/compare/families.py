#!/usr/bin/env python3
"""Run every family at its published size, with imbed and with transformers, and print how far apart they are.

    cargo build --release -p imbed-cli
    cargo build --release -p imbed-core --example preprocess
    python xtask/compare/families.py --images DIR [--limit 16] [--only dinov2-base]

For each family a checkpoint of the published shape with seeded weights is written to a temporary folder (the text tower, which
nobody reads, is a small one). transformers embeds the images, decoded by PIL and prepared by the checkpoint's own processor on
its PIL backend, in float32; the release build of imbed embeds the same files. Printed is a table in Markdown:

    relative error      the largest ||a - b|| / ||b|| over the images
    centred cosine      the smallest cosine after the reference set's mean is removed
    cosine of others    the median cosine of two different images, centred: how much the column before it can tell
    pixel error         the largest difference between the numbers that the two give their model, in the model's units

DINOv3's processor exists for torchvision alone, which resizes floats; its arithmetic is written out here with torch. imbed rounds
to bytes, as PIL does for all others, which the pixel error of that row shows.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import PIL
import pyarrow.parquet as pq
import torch
import transformers
from PIL import Image, ImageOps
from transformers import AutoImageProcessor, AutoModel

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "xtask/fixtures"))
import make  # noqa: E402

SEED = 20240917
TEXT = dict(
    hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=64,
    max_position_embeddings=8, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)  # fmt: skip
SO400M = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16)
LARGE = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16)


def clip(projection, **vision):
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=projection)
    return transformers.CLIPModel(config)


def siglip(hidden=768, **vision):
    text = dict(TEXT, projection_size=hidden)
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))


def naflex(**vision):
    text = dict(TEXT, projection_size=768)
    return transformers.Siglip2Model(transformers.Siglip2Config(text_config=text, vision_config=vision))


def aimv2(projection, **vision):
    config = transformers.Aimv2Config(text_config=TEXT, vision_config=vision, projection_dim=projection)
    return transformers.Aimv2Model(config)


def dino_processor():
    size = dict(size={"shortest_edge": 256}, crop_size=make.square(224))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return transformers.BitImageProcessor(**size, image_mean=mean, image_std=std)


# Name of the published checkpoint: its family, its model, its processor.
CHECKPOINTS = {
    "clip-vit-base-patch32": ("CLIP", lambda: clip(512), lambda: make.clip_processor(224)),
    "clip-vit-large-patch14-336": (
        "CLIP",
        lambda: clip(768, **LARGE, image_size=336, patch_size=14),
        lambda: make.clip_processor(336),
    ),
    "siglip-base-patch16-224": (
        "SigLIP",
        lambda: siglip(),
        lambda: transformers.SiglipImageProcessor(size=make.square(224)),
    ),
    "siglip-so400m-patch14-384": (
        "SigLIP",
        lambda: siglip(1152, **SO400M, image_size=384, patch_size=14),
        lambda: transformers.SiglipImageProcessor(size=make.square(384)),
    ),
    "siglip2-base-patch16-naflex": ("SigLIP 2", naflex, transformers.Siglip2ImageProcessor),
    "vit-base-patch16-224": (
        "ViT",
        lambda: transformers.ViTModel(transformers.ViTConfig()),
        transformers.ViTImageProcessor,
    ),
    "deit-base-distilled-patch16-224": (
        "DeiT",
        lambda: transformers.DeiTModel(transformers.DeiTConfig()),
        transformers.DeiTImageProcessor,
    ),
    "dinov2-base": (
        "DINOv2",
        lambda: transformers.Dinov2Model(transformers.Dinov2Config(image_size=518)),
        dino_processor,
    ),
    "dinov2-with-registers-base": (
        "DINOv2",
        lambda: transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(image_size=518, patch_size=14)
        ),
        dino_processor,
    ),
    "dinov3-vitb16-pretrain-lvd1689m": (
        "DINOv3",
        lambda: transformers.DINOv3ViTModel(
            transformers.DINOv3ViTConfig(
                hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_register_tokens=4
            )
        ),
        lambda: make.Dinov3Processor(224),
    ),
    "beit-base-patch16-224": (
        "BEiT",
        lambda: transformers.BeitModel(transformers.BeitConfig(use_relative_position_bias=True)),
        lambda: transformers.BeitImageProcessor(size=make.square(224), do_center_crop=False),
    ),
    "aimv2-large-patch14-224-lit": ("AIMv2", lambda: aimv2(768), lambda: make.clip_processor(224)),
}


def prepared(folder, images):
    """What the processor of the checkpoint gives its model."""
    config = json.loads((folder / "preprocessor_config.json").read_text())
    if not config["image_processor_type"].startswith("DINOv3"):
        return dict(AutoImageProcessor.from_pretrained(folder, backend="pil")(images=images, return_tensors="pt"))
    size, mean, std = config["size"], config["image_mean"], config["image_std"]
    rows = []
    for image in images:
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() * config["rescale_factor"]
        x = torch.nn.functional.interpolate(
            x, size=(size["height"], size["width"]), mode="bilinear", align_corners=False, antialias=True
        )
        rows.append((x[0] - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    return {"pixel_values": torch.stack(rows)}


@torch.inference_mode()
def reference(folder, images):
    """The vectors, and each image's numbers as the model gets them."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    vectors, numbers = [], []
    for start in range(0, len(images), 4):
        inputs = prepared(folder, images[start : start + 4])
        features = getattr(model, "get_image_features", model)
        vectors.append(features(**inputs).pooler_output)
        numbers += list(inputs["pixel_values"].numpy())
    return torch.cat(vectors).numpy(), numbers


def pixel_error(binary, folder, paths, numbers):
    """The largest difference between our numbers and those of the reference."""
    config = json.loads((folder / "preprocessor_config.json").read_text())
    jobs = [{"config": config, "image": path, "out": f"{folder}/{i}"} for i, path in enumerate(paths)]
    lines = "\n".join(map(json.dumps, jobs))
    said = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    worst = 0.0
    for job, said, theirs in zip(jobs, map(json.loads, said), numbers, strict=True):
        ours = np.fromfile(job["out"] + ".f32", "<f4").reshape(3, said["height"], said["width"])
        if theirs.ndim == 2:
            ours = make.convert_image_to_patches(ours, config["patch_size"])
            theirs = theirs[: len(ours)]
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst


def cosine(a, b):
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def row(name, paths, images, args):
    family, model, processor = CHECKPOINTS[name]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make.checkpoint(folder, model(), processor(), SEED)
        theirs, numbers = reference(folder, images)
        out = folder / "ours.parquet"
        command = [args.imbed, "embed", *paths, "--model", str(folder), "-o", str(out), "--quiet"]
        subprocess.run(command, check=True)
        table = pq.read_table(out)
        assert table["path"].to_pylist() == paths, "imbed keeps the order"
        ours = np.array(table["embedding"].to_pylist(), np.float64)
        theirs = theirs.astype(np.float64)
        pixels = pixel_error(args.preprocess, folder, paths, numbers)
    relative = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    mean = theirs.mean(0)
    centred = cosine(ours - mean, theirs - mean)
    others = np.median(cosine(theirs - mean, np.roll(theirs - mean, 1, axis=0)))
    columns = [family, f"`{name}`", ours.shape[1], f"{relative.max():.1e}", f"{centred.min():.7f}", f"{others:.2f}"]
    print("|", " | ".join(map(str, [*columns, f"{pixels:.1e}" if pixels else "0"])), "|", flush=True)
    return centred.min() >= 0.999


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="a folder of JPEGs")
    parser.add_argument("--limit", type=int, default=16, help="images to embed, spread over the folder")
    parser.add_argument("--only", choices=CHECKPOINTS, action="append", help="just this checkpoint; may be repeated")
    parser.add_argument("--imbed", default=str(ROOT / "target/release/imbed"))
    parser.add_argument("--preprocess", default=str(ROOT / "target/release/examples/preprocess"))
    args = parser.parse_args()

    found = sorted(str(path) for path in pathlib.Path(args.images).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = found[:: max(1, len(found) // args.limit)][: args.limit]
    images = [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths]
    print(f"{len(paths)} images, torch {torch.__version__}, transformers {transformers.__version__}, Pillow {PIL.__version__}\n")
    print("| family | shape | D | relative error | centred cosine | cosine of others | pixel error |")
    print("|---|---|---|---|---|---|---|")
    good = [row(name, paths, images, args) for name in args.only or CHECKPOINTS]
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
