"""Caches what the teacher says about the training images: two views of each.

    python teacher.py --data DIR --cache DIR

Reads `tiny-imagenet-train.parquet` and `models/mobilenetv2-features.onnx` from --data. Writes to --cache, N being the
number of images in the file's order:

    images.npy       u8  [N, 64, 64, 3]   the decoded images, RGB
    labels.npy       i64 [N]              class index, classes in sorted order of their WordNet id
    boxes.npy        f32 [2, N, 4]        the view's crop: left, top, width, height in pixels of the 64x64 image
    flips.npy        bool [2, N]          whether the view is mirrored left to right
    features.npy     f16 [2, N, 1280]     the teacher's pooled features of the view (all zero: not computed)
    logits.npy       f16 [2, N, 1000]     the teacher's ImageNet logits of the view

View 0 is the whole image. View 1 is one random crop of 35 to 85 % of its area, mirrored half of the time. The student is
later shown the same two crops (with a slight jitter), so that its target belongs to the pixels it sees.

The teacher runs at 128x128: on 40 classes of `tiny-imagenet-val.parquet` its 1-nearest-neighbour accuracy at 128, 160
and 224 pixels is 0.493, 0.509 and 0.490, since 64x64 images have no more detail to give; 128 is three times as fast as 224.
"""
import argparse
import io
import os
import time

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow.parquet as pq
from PIL import Image

SIZE = 128
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def decode(table):
    """u8 [N, 64, 64, 3] from the table's JPEGs."""
    column = table["image"]
    out = np.empty((len(column), 64, 64, 3), np.uint8)
    for i, data in enumerate(column):
        out[i] = np.asarray(Image.open(io.BytesIO(data.as_py())).convert("RGB"))
    return out


def views(n, rng):
    """Crop boxes f32 [2, n, 4] and mirror flags bool [2, n]."""
    boxes = np.zeros((2, n, 4), np.float32)
    boxes[0, :, 2:] = 64
    area = rng.uniform(0.35, 0.85, n) * 64 * 64
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), n))
    width = np.minimum(64, np.sqrt(area * aspect))
    height = np.minimum(64, np.sqrt(area / aspect))
    boxes[1] = np.stack([rng.uniform(0, 64 - width), rng.uniform(0, 64 - height), width, height], 1)
    flips = np.zeros((2, n), bool)
    flips[1] = rng.random(n) < 0.5
    return boxes, flips


def session(path, threads):
    """The teacher with a free image size: the file fixes 224x224, but its pooling takes any."""
    model = onnx.load(path)
    for value in list(model.graph.input) + list(model.graph.output):
        for k, dim in enumerate(value.type.tensor_type.shape.dim):
            if k != 1:
                dim.ClearField("dim_value")
                dim.dim_param = f"{value.name}{k}"
    del model.graph.value_info[:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model.SerializeToString(), options)


def prepare(image, box, flip):
    """f32 [3, SIZE, SIZE], normalised, of one u8 [64, 64, 3] image."""
    left, top, width, height = (float(v) for v in box)
    view = Image.fromarray(image).resize((SIZE, SIZE), Image.BILINEAR, (left, top, left + width, top + height))
    x = (np.asarray(view, np.float32) / 255 - MEAN) / STD
    return (x[:, ::-1] if flip else x).transpose(2, 0, 1)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", required=True)
    args.add_argument("--cache", required=True)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--seed", type=int, default=20)
    args = args.parse_args()
    os.makedirs(args.cache, exist_ok=True)

    def at(name):
        return os.path.join(args.cache, name)

    table = pq.read_table(os.path.join(args.data, "tiny-imagenet-train.parquet"))
    classes = {c: i for i, c in enumerate(sorted(set(table["label"].to_pylist())))}
    images = decode(table)
    boxes, flips = views(len(images), np.random.default_rng(args.seed))
    np.save(at("images.npy"), images)
    np.save(at("labels.npy"), np.array([classes[c] for c in table["label"].to_pylist()]))
    np.save(at("boxes.npy"), boxes)
    np.save(at("flips.npy"), flips)

    teacher = session(os.path.join(args.data, "models", "mobilenetv2-features.onnx"), args.threads)
    features = np.lib.format.open_memmap(at("features.npy"), "w+", np.float16, (2, len(images), 1280))
    logits = np.lib.format.open_memmap(at("logits.npy"), "w+", np.float16, (2, len(images), 1000))
    start = time.time()
    for view in range(2):
        for i in range(0, len(images), 40):
            rows = range(i, min(i + 40, len(images)))
            x = np.stack([prepare(images[r], boxes[view, r], flips[view, r]) for r in rows])
            features[view, i : i + 40], logits[view, i : i + 40] = teacher.run(["features", "logits"], {"input": x})
            if i % 4000 == 0:
                print(f"view {view}: {i} of {len(images)}, {time.time() - start:.0f} s", flush=True)
    features.flush()
    logits.flush()
    print(f"done, {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
