"""The architecture of `imbed/tiny`: a small hybrid vision transformer, 64x64 RGB in, 256 numbers out.

What follows describes the exported checkpoint (`export.py`: BatchNorm folded, tensors stored f16, computed in f32), exactly
enough to implement it elsewhere. All tensors are contiguous; B is the batch.

Input: f32 [B, 3, 64, 64], channel first, RGB, (u8 / 255 - mean) / std with
    mean = (0.485, 0.456, 0.406), std = (0.229, 0.224, 0.225).

Every convolution: kernel 3x3, zero padding 1 on each side, dilation 1, groups 1, with bias. "relu" is max(x, 0).

    1. x = relu(conv(x; stem.0, stride 2))                      [B,  32, 32, 32]
    2. x = relu(conv(x; stem.1, stride 2))                      [B,  64, 16, 16]
    3. x = relu(conv(x; stem.2, stride 2))                      [B, 128,  8,  8]
    4. for i in 0, 1:                                           [B, 128,  8,  8]
           y = relu(conv(x; residual.i.conv1, stride 1))
           x = relu(x + conv(y; residual.i.conv2, stride 1))
    5. x = relu(conv(x; stem.3, stride 2))                      [B, 256,  4,  4]
    6. x = flatten the 4x4 positions row by row, channels last  [B, 16, 256]   (token t = 4 * row + column)
    7. x = x + position_embedding                               (broadcast over B)
    8. for i in 0..3:                                           [B, 16, 256]
           x = x + attention(layer_norm(x; blocks.i.norm1))
           x = x + fc2(gelu(fc1(layer_norm(x; blocks.i.norm2))))
    9. x = layer_norm(x; norm), then the mean of the 16 tokens  [B, 256]
   10. e = linear(x; projection)                                [B, 256]
   11. e / max(||e||_2, 1e-12)                                  the embedding

layer_norm: over the last axis (256), biased variance, eps 1e-6 inside the square root, weight and bias.
linear: x @ weight.T + bias; weights are stored [out, in].
gelu: the exact one, x / 2 * (1 + erf(x / sqrt 2)), not the tanh approximation.
attention, 4 heads of 64: qkv = linear(x; qkv) [B, 16, 768], whose last axis is q (256), k (256), v (256) in this order, each
    made of head 0's 64 numbers, head 1's, and so on; per head softmax(q @ k.T / sqrt 64) @ v, softmax over the keys; the heads
    laid side by side again [B, 16, 256]; then linear(proj). No mask, no dropout, no class token.

Tensors of `model.safetensors`, f16:

    stem.0.weight [ 32,   3, 3, 3]   stem.0.bias [ 32]
    stem.1.weight [ 64,  32, 3, 3]   stem.1.bias [ 64]
    stem.2.weight [128,  64, 3, 3]   stem.2.bias [128]
    residual.{0,1}.conv{1,2}.weight [128, 128, 3, 3]   residual.{0,1}.conv{1,2}.bias [128]
    stem.3.weight [256, 128, 3, 3]   stem.3.bias [256]
    position_embedding [16, 256]
    blocks.{0..3}.norm{1,2}.weight [256]    blocks.{0..3}.norm{1,2}.bias [256]
    blocks.{0..3}.qkv.weight [768, 256]     blocks.{0..3}.qkv.bias [768]
    blocks.{0..3}.proj.weight [256, 256]    blocks.{0..3}.proj.bias [256]
    blocks.{0..3}.fc1.weight [1024, 256]    blocks.{0..3}.fc1.bias [1024]
    blocks.{0..3}.fc2.weight [256, 1024]    blocks.{0..3}.fc2.bias [256]
    norm.weight [256]                       norm.bias [256]
    projection.weight [256, 256]            projection.bias [256]

`config.json` carries the dimensions: image_size 64, stem_channels [32, 64, 128, 256] (each a stride of 2), residual_blocks
[0, 0, 2, 0] (how many follow each stem convolution; numbered through in that order), hidden_size 256, num_hidden_layers 4,
num_attention_heads 4, intermediate_size 1024, hidden_act "gelu", layer_norm_eps 1e-6, projection_dim 256.

While training, each convolution has no bias and is followed by BatchNorm, and smaller images are allowed.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(x):
    """f32 [B, 3, H, W] in 0..1 to the model's input."""
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


class ConvBn(nn.Module):
    """3x3 convolution without bias, then BatchNorm; the exporter folds the two into one convolution with bias."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.bn(self.conv(x))


class Residual(nn.Module):
    """x + conv(relu(conv(x))), then relu: [B, C, H, W] to the same."""

    def __init__(self, c):
        super().__init__()
        self.conv1 = ConvBn(c, c)
        self.conv2 = ConvBn(c, c)
        nn.init.zeros_(self.conv2.bn.weight)

    def forward(self, x):
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class Block(nn.Module):
    """Pre-norm transformer block: [B, T, D] to the same."""

    def __init__(self, d, heads, mlp):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(d, 1e-6)
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.norm2 = nn.LayerNorm(d, 1e-6)
        self.fc1 = nn.Linear(d, mlp)
        self.fc2 = nn.Linear(mlp, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: the backward pass of scaled_dot_product_attention on a CPU takes ten times as long for so few tokens.
        a = (q @ k.transpose(-1, -2) * (d // self.heads) ** -0.5).softmax(-1) @ v
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Tiny(nn.Module):
    """The model as it is trained."""

    def __init__(self, image=64, stem=(32, 64, 128, 256), depths=(0, 0, 2, 0), blocks=4, heads=4, mlp=1024, out=256):
        super().__init__()
        layers, cin = [], 3
        for c, n in zip(stem, depths):
            layers.append(nn.Sequential(ConvBn(cin, c, 2), nn.ReLU(), *[Residual(c) for _ in range(n)]))
            cin = c
        self.stages = nn.Sequential(*layers)
        side = image >> len(stem)
        self.pos = nn.Parameter(torch.randn(side * side, cin) * 0.02)
        self.blocks = nn.ModuleList([Block(cin, heads, mlp) for _ in range(blocks)])
        self.norm = nn.LayerNorm(cin, 1e-6)
        self.head = nn.Linear(cin, out)

    def forward(self, x):
        """f32 [B, 3, H, W] to the embedding before normalisation [B, out]; H = W = 64, or smaller while training."""
        x = self.stages(x).flatten(2).transpose(1, 2)
        pos = self.pos
        if len(pos) != x.shape[1]:
            side, new = math.isqrt(len(pos)), math.isqrt(x.shape[1])
            pos = pos.T.reshape(1, -1, side, side)
            pos = F.interpolate(pos, size=(new, new), mode="bilinear", align_corners=False).flatten(2)[0].T
        x = x + pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


class Folded(nn.Module):
    """The model as it is exported, built from `config.json`; its state dict has the names listed above."""

    def __init__(self, config):
        super().__init__()
        channels, d = config["stem_channels"], config["hidden_size"]
        assert channels[-1] == d
        self.depths = config["residual_blocks"]
        self.stem = nn.ModuleList([nn.Conv2d(a, b, 3, 2, 1) for a, b in zip([config["num_channels"], *channels], channels)])
        self.residual = nn.ModuleList()
        for c, n in zip(channels, self.depths):
            for _ in range(n):
                pair = {"conv1": nn.Conv2d(c, c, 3, 1, 1), "conv2": nn.Conv2d(c, c, 3, 1, 1)}
                self.residual.append(nn.ModuleDict(pair))
        side = config["image_size"] >> len(channels)
        self.position_embedding = nn.Parameter(torch.zeros(side * side, d))
        heads, mlp = config["num_attention_heads"], config["intermediate_size"]
        self.blocks = nn.ModuleList([Block(d, heads, mlp) for _ in range(config["num_hidden_layers"])])
        self.norm = nn.LayerNorm(d, config["layer_norm_eps"])
        self.projection = nn.Linear(d, config["projection_dim"])

    def forward(self, x):
        """f32 [B, 3, 64, 64], normalised by mean and std, to the unit embedding [B, projection_dim]."""
        residual = iter(self.residual)
        for conv, depth in zip(self.stem, self.depths):
            x = F.relu(conv(x))
            for _ in range(depth):
                part = next(residual)
                x = F.relu(x + part["conv2"](F.relu(part["conv1"](x))))
        x = x.flatten(2).transpose(1, 2) + self.position_embedding
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.projection(self.norm(x).mean(1)), dim=1)
