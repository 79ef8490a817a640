"""1-nearest-neighbour class accuracy, leave one out, by cosine, of an exported model or of trained weights.

    python evaluate.py --model DIR --data DIR              the exported folder: f16 weights, f32 arithmetic
    python evaluate.py --weights RUN/final.pt --data DIR   the trained weights before export: f32; with --cache DIR, whitened
                                                           as `export.py` does
    python evaluate.py --pixels --data DIR                 16x16 raw pixels, the mean image removed, for comparison

--set names the parquet file in --data (columns `image`, `label`); the default is `caltech101-40`, which is never trained on.
--resize N resizes the shortest edge to N before the 64x64 centre is cut out (default: 64).
"""
import argparse
import io
import os

import numpy as np
import pyarrow.parquet as pq
from PIL import Image


def preprocess(image, size, resize=None, resample=Image.BICUBIC):
    """u8 [size, size, 3]: shortest edge to `resize`, then the centre, as a Hugging Face CLIP image processor does it."""
    resize = resize or size
    image = image.convert("RGB")
    w, h = image.size
    if w <= h:
        w, h = resize, int(resize * h / w)
    else:
        w, h = int(resize * w / h), resize
    if image.size != (w, h):
        image = image.resize((w, h), resample)
    left, top = (w - size) // 2, (h - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def load_images(path, size, limit=None, **how):
    """(u8 [N, size, size, 3], class names [N]) of a parquet file with columns `image` and `label`."""
    table = pq.read_table(path, columns=["image", "label"])[:limit] if limit else pq.read_table(path, columns=["image", "label"])
    images = np.stack([preprocess(Image.open(io.BytesIO(b.as_py())), size, **how) for b in table["image"]])
    return images, np.array(table["label"].to_pylist())


def nearest(embeddings, labels):
    """Share of rows whose nearest other row (cosine; unit embeddings [N, D]) has their label."""
    s = embeddings @ embeddings.T
    np.fill_diagonal(s, -np.inf)
    return float((labels[s.argmax(1)] == labels).mean())


def embed(model, images):
    """f32 [N, 256] of u8 images [N, 64, 64, 3]."""
    import torch

    from model import normalise

    out = []
    with torch.no_grad():
        for i in range(0, len(images), 100):
            x = torch.from_numpy(images[i : i + 100]).permute(0, 3, 1, 2).float() / 255
            out.append(torch.nn.functional.normalize(model(normalise(x)), dim=1))
    return torch.cat(out).numpy()


def main():
    args = argparse.ArgumentParser()
    what = args.add_mutually_exclusive_group(required=True)
    what.add_argument("--model")
    what.add_argument("--weights")
    what.add_argument("--pixels", action="store_true")
    args.add_argument("--cache")
    args.add_argument("--data", required=True)
    args.add_argument("--set", default="caltech101-40")
    args.add_argument("--resize", type=int)
    args = args.parse_args()
    path = os.path.join(args.data, f"{args.set}.parquet")
    if args.pixels:
        table = pq.read_table(path, columns=["image", "label"])
        labels = np.array(table["label"].to_pylist())
        images = [Image.open(io.BytesIO(b.as_py())).convert("RGB").resize((16, 16), Image.BILINEAR) for b in table["image"]]
        e = np.stack([np.asarray(image, np.float32).ravel() for image in images])
        e -= e.mean(0)
        e /= np.linalg.norm(e, axis=1, keepdims=True) + 1e-9
    else:
        images, labels = load_images(path, 64, resize=args.resize)
        if args.model:
            from export import load

            model = load(args.model)
        else:
            import torch

            from model import Tiny

            model = Tiny().eval()
            model.load_state_dict(torch.load(args.weights, weights_only=True, map_location="cpu")["average"])
            if args.cache:
                from export import whiten

                whiten(model, np.array(np.load(os.path.join(args.cache, "images.npy"), mmap_mode="r")[:6000]))
        e = embed(model, images)
    print(f"{args.set}: {len(labels)} images, {len(set(labels))} classes, 1-NN accuracy {nearest(e, labels):.4f}")


if __name__ == "__main__":
    main()
