"""Makes tests/golden.safetensors: seeded images, and what numpy gives for them.

    python tests/golden.py        # numpy, safetensors

Written apart from the Rust code, from the definition: the cosine transform by numpy's FFT of mirrored block means,
gradients by whole-array differences and numpy.add.at.
"""

import platform
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

SIDE, CELLS, BINS, SHAPE = 32, 4, 8, 0.5
ZIGZAG = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0)]


def images(n, seed):
    """u8 [n, 32, 32, 3]: one flat, the others slopes, stripes, discs and noise in changing colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    patterns = [
        lambda: np.zeros((SIDE, SIDE)),
        lambda: (x + y) / (2 * SIDE - 2),
        lambda: 0.5 + 0.5 * np.sin(x * rng.uniform(0.2, 1.2) + y * rng.uniform(0.2, 1.2)),
        lambda: ((x - SIDE / 2) ** 2 + (y - SIDE / 3) ** 2 < (SIDE / 3) ** 2).astype(float),
        lambda: rng.random((SIDE, SIDE)),
    ]
    out = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i in range(n):
        a, b = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        out[i] = np.round(a + (b - a) * patterns[i % len(patterns)]()[..., None])
    return out


def cosine_transform(x):
    """The orthonormal DCT-II along the last axis, from the Fourier transform of the signal and its mirror image."""
    n = x.shape[-1]
    spectrum = np.fft.fft(np.concatenate([x, x[..., ::-1]], axis=-1))[..., :n]
    k = np.arange(n)
    scale = np.where(k == 0, np.sqrt(1 / n), np.sqrt(2 / n))
    return scale * (np.exp(-1j * np.pi * k / (2 * n)) * spectrum).real / 2


def colours(y, cb, cr):
    parts = [[0.1]]
    for plane, kept in ((y, 10), (cb, 6), (cr, 6)):
        blocks = plane.reshape(8, 4, 8, 4).mean(axis=(1, 3))
        frequencies = cosine_transform(cosine_transform(blocks).T).T / 8
        parts.append([frequencies[place] for place in ZIGZAG[:kept]])
    vector = np.concatenate(parts)
    return vector / np.linalg.norm(vector)


def edges(y):
    padded = np.pad(y, 1, mode="edge")
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    strength = np.hypot(across, down)
    direction = np.mod(np.arctan2(down, across), np.pi) / np.pi * BINS
    lower = np.floor(direction)
    share = direction - lower
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] * CELLS // SIDE
    histogram = np.zeros((CELLS, CELLS, BINS))
    bins = lower.astype(int)
    np.add.at(histogram, (rows, columns, bins % BINS), strength * (1 - share))
    np.add.at(histogram, (rows, columns, (bins + 1) % BINS), strength * share)
    vector = histogram.ravel()
    return vector / (np.linalg.norm(vector) + 0.05)


def embed(pixels):
    r, g, b = np.moveaxis(pixels.astype(np.float64) / 255, -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    vector = np.concatenate([
        np.sqrt(1 - SHAPE) * colours(y, (b - y) / 1.772, (r - y) / 1.402),
        np.sqrt(SHAPE) * edges(y),
    ])
    return vector / np.linalg.norm(vector)


def main():
    pixels = images(10, 20251)
    embedding = np.stack([embed(image) for image in pixels]).astype(np.float32)
    file = Path(__file__).with_name("golden.safetensors")
    versions = {
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
    }
    save_file({"pixels": pixels, "embedding": embedding}, file, metadata=versions)
    file.chmod(0o644)
    print(f"{file.name}: {embedding.shape}, {versions}")


if __name__ == "__main__":
    main()
