"""Writes a trained model as a folder in a Hugging Face checkpoint's layout.

    python export.py --weights RUN/final.pt --cache DIR --out DIR

--weights is `final.pt` or `checkpoint.pt` of `train.py`. The folder gets `config.json`, `preprocessor_config.json` and
`model.safetensors`: BatchNorm folded into the convolutions, tensors named as in `model.py`, f16.

--cache, `teacher.py`'s folder, is for the last step of all, a change of the final linear layer: over the first 6,000 training
images its output's mean is taken away, and each principal axis is divided by variance^(WHITEN / 2). The student errs towards
the mean, most along the axes that are hardest to predict, and this gives them back some of their weight: 1-nearest-neighbour
accuracy on `tiny-imagenet-val.parquet` rises by about 1.5 points (WHITEN = 0, 0.15, 0.3, 0.5 and 0.75 were tried on it). The
256 outputs come out in falling order of their variance.
"""
import argparse
import json
import os

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from model import MEAN, STD, Folded, Tiny, normalise

WHITEN = 0.5

CONFIG = {
    "model_type": "imbed_tiny",
    "architectures": ["ImbedTiny"],
    "image_size": 64,
    "num_channels": 3,
    "stem_channels": [32, 64, 128, 256],
    "residual_blocks": [0, 0, 2, 0],
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "projection_dim": 256,
    "torch_dtype": "float16",
}

PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 64},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 64, "width": 64},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
}


def fold(part):
    """(weight, bias) of the one convolution that a ConvBn amounts to, f32."""
    bn = part.bn
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return part.conv.weight * scale.view(-1, 1, 1, 1), bn.bias - bn.running_mean * scale


@torch.no_grad()
def whiten(model, images):
    """Changes model.head as the text above says; images u8 [N, 64, 64, 3]."""
    out = []
    for i in range(0, len(images), 100):
        out.append(model(normalise(torch.from_numpy(images[i : i + 100]).permute(0, 3, 1, 2).float() / 255)))
    out = torch.cat(out).double()
    mean = out.mean(0)
    variance, axes = torch.linalg.eigh((out - mean).T @ (out - mean) / len(out))
    variance, axes = variance.flip(0), axes.flip(1)
    change = axes * (variance / variance[0]) ** (-WHITEN / 2)
    weight, bias = model.head.weight.double(), model.head.bias.double()
    model.head.weight.copy_(change.T @ weight)
    model.head.bias.copy_((bias - mean) @ change)


@torch.no_grad()
def folded(model):
    """The exported tensors, f32, by name, of a trained Tiny."""
    out = {}

    def put(name, part):
        out[f"{name}.weight"], out[f"{name}.bias"] = fold(part)

    number = 0
    for i, stage in enumerate(model.stages):
        put(f"stem.{i}", stage[0])
        for residual in stage[2:]:
            put(f"residual.{number}.conv1", residual.conv1)
            put(f"residual.{number}.conv2", residual.conv2)
            number += 1
    out["position_embedding"] = model.pos
    for prefix, part in (("blocks", model.blocks), ("norm", model.norm), ("projection", model.head)):
        for name, tensor in part.state_dict().items():
            out[f"{prefix}.{name}"] = tensor
    return {k: v.detach().clone().contiguous() for k, v in out.items()}


def load(folder, dtype=torch.float32):
    """The exported model, computing in f32 on its f16 weights."""
    with open(os.path.join(folder, "config.json")) as f:
        model = Folded(json.load(f))
    model.load_state_dict({k: v.to(dtype) for k, v in load_file(os.path.join(folder, "model.safetensors")).items()})
    return model.eval()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--weights", help="left out: random weights, for trying out a port")
    args.add_argument("--cache", help="left out: the final linear layer stays as it was trained")
    args.add_argument("--out", required=True)
    args = args.parse_args()
    torch.manual_seed(0)
    model = Tiny().eval()
    if args.weights:
        model.load_state_dict(torch.load(args.weights, weights_only=True, map_location="cpu")["average"])
    if args.cache:
        whiten(model, np.array(np.load(os.path.join(args.cache, "images.npy"), mmap_mode="r")[:6000]))
    os.makedirs(args.out, exist_ok=True)
    tensors = {k: v.half() for k, v in folded(model).items()}
    save_file(tensors, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    for name, value in (("config.json", CONFIG), ("preprocessor_config.json", PREPROCESSOR)):
        with open(os.path.join(args.out, name), "w") as f:
            json.dump(value, f, indent=2)
            f.write("\n")

    torch.manual_seed(0)
    x = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        a = torch.nn.functional.normalize(model(x), dim=1)
        b = load(args.out)(x)
    count = sum(v.numel() for v in tensors.values())
    file = os.path.join(args.out, "model.safetensors")
    os.chmod(file, 0o644)
    size = os.path.getsize(file)
    print(f"{count} parameters, {size} bytes, least cosine to the unfolded f32 model {float((a * b).sum(1).min()):.6f}")


if __name__ == "__main__":
    main()
