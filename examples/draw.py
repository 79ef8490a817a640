"""Draws the example images: six subjects, four of each. The same images every time, for one version of Pillow and numpy.

    python draw.py [--out DIR]        (default: `images` beside this file)

`sunset-3.jpg` is stored turned on its side, with an EXIF orientation of 6 that says so. The fabrics are PNG.
Written with Pillow 13.0 and numpy 2.4.
"""
import argparse
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SCALE = 3  # everything is drawn this much larger, then reduced: smooth edges


def colour(rng, base, spread=14):
    """`base` (RGB) moved by up to `spread` in each channel."""
    return tuple(int(np.clip(c + rng.uniform(-spread, spread), 0, 255)) for c in base)


def ramp(w, h, stops):
    """RGB image w x h, shaded from top to bottom through `stops`: (position 0..1, colour)."""
    y = np.linspace(0, 1, h)
    at = [s[0] for s in stops]
    rows = np.stack([np.interp(y, at, [s[1][c] for s in stops]) for c in range(3)], -1)
    return Image.fromarray(np.repeat(rows[:, None], w, 1).round().astype(np.uint8))


def noise(rng, w, h, cells):
    """f32 [h, w] in 0..1: smooth noise, `cells` (across, down) bumps."""
    small = Image.fromarray(rng.random((cells[1], cells[0])).astype(np.float32) * 255)
    return np.asarray(small.resize((w, h), Image.BICUBIC)).clip(0, 255) / 255


def blend(image, tint, mask):
    """`image` with `tint` (RGB) laid over where mask f32 [h, w] is 1."""
    a = np.asarray(image, np.float32)
    a = a + (np.array(tint, np.float32) - a) * mask[..., None]
    return Image.fromarray(a.round().clip(0, 255).astype(np.uint8))


def sunset(rng, w, h, n):
    """A low sun over the sea."""
    horizon = int(h * rng.uniform(0.52, 0.66))
    top = [(52, 40, 96), (88, 52, 110), (38, 60, 116), (120, 60, 80)][n]
    glow = [(255, 150, 60), (255, 120, 70), (255, 176, 92), (255, 130, 40)][n]
    sky = ramp(w, horizon, [(0, top), (0.55, (206, 96, 84)), (1, glow)])
    cloud = noise(rng, w, horizon, (5, 16)) * 0.6 + noise(rng, w, horizon, (14, 40)) * 0.4
    sky = blend(sky, (96, 52, 84), ((cloud - 0.5) * 3).clip(0, 0.75))
    image = Image.new("RGB", (w, h))
    image.paste(sky, (0, 0))
    sx, r = w * rng.uniform(0.28, 0.72), h * rng.uniform(0.07, 0.1)
    sy = horizon - r * rng.uniform(0.1, 1.3)
    y, x = np.mgrid[0:h, 0:w]
    far = np.hypot(x - sx, y - sy) / r
    image = blend(image, (255, 214, 130), np.exp(-((far / 3.2) ** 2)) * 0.8)
    image = blend(image, (255, 246, 206), (np.clip(1.05 - far, 0, 0.05) * 20))
    sea = ramp(w, h - horizon, [(0, tuple(int(c * 0.72) for c in glow)), (0.25, (112, 62, 84)), (1, (30, 30, 62))])
    yy, xx = np.mgrid[0 : h - horizon, 0:w]
    waves = noise(rng, w, h - horizon, (12, 70)) * 0.5 + noise(rng, w, h - horizon, (30, 110)) * 0.5
    path = np.exp(-(((xx - sx) / (r * 0.8 + yy * 0.28)) ** 2))
    sea = blend(sea, (255, 212, 140), (path * (waves - 0.3) * 2.6).clip(0, 1))
    sea = blend(sea, (20, 22, 50), ((0.42 - waves) * 2).clip(0, 0.5))
    image.paste(sea, (0, horizon))
    draw = ImageDraw.Draw(image)
    dark = (24, 20, 40)
    if n == 1:
        bx, by, s = w * 0.8, horizon + h * 0.05, h * 0.11
        draw.polygon([(bx - s, by), (bx + s, by), (bx + s * 0.7, by + s * 0.32), (bx - s * 0.7, by + s * 0.32)], fill=dark)
        draw.polygon([(bx, by - s * 0.1), (bx, by - s * 2), (bx + s * 0.8, by - s * 0.1)], fill=dark)
        draw.polygon([(bx - s * 0.1, by - s * 0.1), (bx - s * 0.1, by - s * 1.6), (bx - s * 0.6, by - s * 0.1)], fill=dark)
    if n == 3:
        xs = np.linspace(0, w * 0.45, 60)
        ys = horizon - h * 0.13 * np.clip(1 - xs / (w * 0.42), 0, 1) ** 0.7 * (0.8 + 0.2 * np.sin(xs / w * 60))
        draw.polygon([*zip(xs, ys), (w * 0.45, horizon), (0, horizon + h * 0.02)], fill=dark)
    return image


def forest(rng, w, h, n):
    """Trees: conifers or round crowns on a meadow, row behind row."""
    conifers = n % 2 == 0
    ground = int(h * 0.72)
    image = ramp(w, h, [(0, colour(rng, (150, 190, 220))), (0.6, (214, 228, 220)), (0.72, (120, 160, 80)), (1, (66, 112, 48))])
    for row in range(4):
        near = row / 3
        draw = ImageDraw.Draw(image)
        base = ground - h * 0.1 + h * 0.26 * near
        size = h * (0.34 + 0.34 * near)
        step = size * (0.26 if conifers else 0.44)
        for x in np.arange(-step, w + step, step):
            x = x + rng.uniform(-0.3, 0.3) * step
            s = size * rng.uniform(0.75, 1.12)
            haze = np.array((170, 196, 190)) * (1 - near) * 0.6
            green = np.array(colour(rng, (44, 96, 52) if conifers else (70, 126, 46), 20))
            leaf = green * (0.4 + 0.6 * near) + haze
            trunk = tuple(int(v) for v in np.array((82, 58, 38)) * (0.4 + 0.6 * near) + haze)
            draw.rectangle((x - s * 0.025, base - s * 0.3, x + s * 0.025, base), fill=trunk)
            if conifers:
                for k in range(5):
                    y0, half = base - s * (1 - k * 0.17), s * (0.07 + 0.035 * k)
                    shade = tuple(int(v) for v in (leaf * (1.12 - 0.07 * k)).clip(0, 255))
                    draw.polygon([(x, y0), (x - half, y0 + s * 0.26), (x + half, y0 + s * 0.26)], fill=shade)
            else:
                for _ in range(26):
                    angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * s * 0.22
                    cx, cy, r = x + far * np.cos(angle), base - s * 0.55 + far * np.sin(angle) * 1.2, s * rng.uniform(0.05, 0.1)
                    light = 0.85 + 0.4 * (base - s * 0.5 - cy) / s + rng.uniform(-0.1, 0.1)
                    draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=tuple(int(v) for v in (leaf * light).clip(0, 255)))
    grain = noise(rng, w, h, (w // 8, h // 8))
    grass = (np.arange(h)[:, None] > h * 0.4) * ((grain - 0.4) * 0.5).clip(0, 0.3)
    return blend(image, (20, 44, 24), grass)


def house(rng, w, h, n):
    """The front of a brick house, with windows and a door."""
    brick = [(158, 74, 56), (176, 92, 64), (140, 66, 60), (186, 108, 78)][n]
    image = Image.new("RGB", (w, h), (196, 182, 168))
    draw = ImageDraw.Draw(image)
    bh = h / 30
    for row in range(31):
        for col in range(-1, int(w / (bh * 2.4)) + 2):
            x, y = (col + 0.5 * (row % 2)) * bh * 2.4, row * bh
            draw.rectangle((x, y, x + bh * 2.2, y + bh * 0.8), fill=colour(rng, brick, 16))
    frame = [(240, 236, 226), (228, 228, 232), (236, 226, 200), (60, 70, 66)][n]

    def window(x, y, ww, hh):
        m = ww * 0.07
        draw.rectangle((x - m * 2, y - m * 2.4, x + ww + m * 2, y - m), fill=(206, 198, 184))
        draw.rectangle((x - m, y - m, x + ww + m, y + hh + m), fill=frame)
        glass = ramp(int(ww), int(hh), [(0, colour(rng, (120, 150, 176))), (1, colour(rng, (56, 70, 88)))])
        image.paste(glass, (int(x), int(y)))
        draw.polygon([(x + ww * 0.1, y + hh * 0.6), (x + ww * 0.45, y), (x + ww * 0.65, y), (x + ww * 0.1, y + hh * 0.9)], fill=(150, 176, 196))
        draw.rectangle((x + ww / 2 - m / 2, y, x + ww / 2 + m / 2, y + hh), fill=frame)
        draw.rectangle((x, y + hh * 0.45 - m / 2, x + ww, y + hh * 0.45 + m / 2), fill=frame)
        draw.rectangle((x - m * 3, y + hh + m, x + ww + m * 3, y + hh + m * 2.6), fill=(214, 206, 192))

    across = 3 if w > h else 2
    cell = w / across
    door = [1, 0, 1, 2][n] % across
    for k in range(across):
        x = cell * k + cell * 0.24
        window(x, h * 0.1, cell * 0.5, h * 0.28)
        if k != door:
            window(x, h * 0.52, cell * 0.5, h * 0.28)
    x, paint = cell * door + cell * 0.26, [(36, 76, 60), (40, 56, 100), (120, 30, 34), (30, 34, 38)][n]
    draw.rectangle((x - cell * 0.05, h * 0.5, x + cell * 0.53, h * 0.94), fill=frame)
    draw.rectangle((x, h * 0.53, x + cell * 0.48, h * 0.94), fill=paint)
    for py in (0.57, 0.76):
        for px in (0.06, 0.27):
            inner = tuple(int(c * 0.72) for c in paint)
            draw.rectangle((x + cell * px, h * py, x + cell * (px + 0.15), h * (py + 0.14)), fill=inner)
    draw.ellipse((x + cell * 0.42, h * 0.73, x + cell * 0.45, h * 0.75), fill=(220, 190, 90))
    draw.rectangle((0, h * 0.94, w, h), fill=colour(rng, (128, 124, 120), 8))
    shade = np.linspace(0, 0.28, h)[:, None] * np.ones((1, w))
    return blend(image, (40, 26, 30), shade * rng.uniform(0.5, 1))


def fruit(rng, w, h, n):
    """Round fruit on a table."""
    kinds = [[(212, 38, 34), (150, 176, 48)], [(244, 144, 24)], [(150, 186, 52), (206, 60, 40)], [(244, 140, 30), (246, 212, 60)]][n]
    wall = [(208, 200, 186), (186, 200, 206), (222, 212, 190), (196, 190, 200)][n]
    edge = int(h * rng.uniform(0.34, 0.44))
    image = ramp(w, h, [(0, wall), (edge / h, tuple(int(c * 0.88) for c in wall)), (edge / h + 0.002, (150, 104, 64)), (1, (176, 126, 80))])
    wood = noise(rng, w, h - edge, (3, 46))
    image.paste(blend(image.crop((0, edge, w, h)), (104, 64, 36), ((wood - 0.45) * 1.2).clip(0, 0.6)), (0, edge))
    y, x = np.mgrid[0:h, 0:w]
    count = [4, 5, 3, 5][n]
    places = sorted((h * rng.uniform(0.56, 0.78), w * (0.16 + 0.68 * (k + 0.5) / count + rng.uniform(-0.03, 0.03))) for k in range(count))
    for k, (cy, cx) in enumerate(places):
        r = h * rng.uniform(0.15, 0.19) * (1.15 if count < 5 else 1)
        base = np.array(colour(rng, kinds[k % len(kinds)], 10), np.float32)
        shadow = np.exp(-(((x - cx - r * 0.35) / (r * 1.1)) ** 2 + ((y - cy - r * 0.85) / (r * 0.32)) ** 2))
        image = blend(image, (50, 30, 20), shadow * 0.7)
        u, v = (x - cx) / r, (y - cy) / (r * 0.95)
        inside = np.hypot(u, v)
        z = np.sqrt(np.clip(1 - inside**2, 0, 1))
        light = np.clip(-0.5 * u - 0.6 * v + 0.62 * z, 0, 1)
        skin = base * (0.42 + 0.72 * light)[..., None] + 200 * (light**22)[..., None]
        skin = skin * (1 + 0.1 * (noise(rng, w, h, (w // 9, h // 9)) - 0.5))[..., None]
        a = np.asarray(image, np.float32)
        mask = np.clip((1 - inside) * r / 2, 0, 1)[..., None]
        image = Image.fromarray((a + (skin - a) * mask).clip(0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        draw.line((cx, cy - r * 0.78, cx + r * 0.12, cy - r * 1.12), fill=(80, 56, 30), width=max(2, int(r * 0.07)))
        if k % 2 == 0:
            draw.ellipse((cx + r * 0.1, cy - r * 1.18, cx + r * 0.55, cy - r * 0.95), fill=(70, 120, 44))
    return image


def city(rng, w, h, n):
    """A skyline at night with lit windows."""
    image = ramp(w, h, [(0, (8, 10, 30)), (0.7, [(30, 34, 84), (44, 30, 78), (22, 44, 88), (50, 40, 70)][n]), (1, (70, 60, 96))])
    draw = ImageDraw.Draw(image)
    for _ in range(70):
        x, y, s = rng.uniform(0, w), rng.uniform(0, h * 0.6), rng.uniform(0.4, 1.1) * SCALE * 0.6
        draw.ellipse((x - s, y - s, x + s, y + s), fill=(210, 214, 236))
    if n in (0, 3):
        x, y, r = w * (0.2 + 0.55 * (n == 3)), h * 0.16, h * 0.06
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 238, 214))
    floor = h if n != 2 else int(h * 0.8)
    for row in range(3):
        x = -w * 0.05
        while x < w:
            bw = w * rng.uniform(0.07, 0.14)
            bh = h * (rng.uniform(0.42, 0.8) - 0.15 * row)
            wall = tuple(int(c) for c in np.array((40, 42, 74)) * (1 - row * 0.33))
            top = floor - bh
            draw.rectangle((x, top, x + bw, floor), fill=wall)
            if rng.random() < 0.3:
                draw.line((x + bw / 2, top, x + bw / 2, top - h * 0.09), fill=wall, width=SCALE * 2)
                draw.ellipse((x + bw / 2 - 4, top - h * 0.1, x + bw / 2 + 4, top - h * 0.1 + 8), fill=(255, 60, 50))
            cell = w / 60
            lit = rng.uniform(0.3, 0.62)
            for wy in np.arange(top + cell, floor - cell, cell * 1.5):
                for wx in np.arange(x + cell * 0.6, x + bw - cell, cell * 1.15):
                    if rng.random() < lit:
                        lamp = colour(rng, (250, 206, 116) if rng.random() < 0.8 else (190, 214, 244), 24)
                        draw.rectangle((wx, wy, wx + cell * 0.62, wy + cell * 0.8), fill=lamp)
            x += bw * rng.uniform(0.95, 1.25)
    if n == 2:
        mirror = image.crop((0, floor - (h - floor), w, floor)).transpose(Image.FLIP_TOP_BOTTOM)
        mirror = mirror.filter(ImageFilter.BoxBlur(SCALE * 2))
        image.paste(blend(mirror, (10, 16, 44), np.full((h - floor, w), 0.45)), (0, floor))
    return image


def fabric(rng, w, h, n):
    """Woven cloth: checks and stripes."""
    pairs = [((196, 40, 48), (244, 240, 230)), ((36, 72, 150), (238, 240, 244)), ((30, 104, 76), (236, 222, 150)), ((92, 50, 110), (232, 204, 214))]
    a, b = (np.array(c, np.float32) for c in pairs[n])
    y, x = np.mgrid[0:h, 0:w] / h
    if n == 3:
        x, y = (x + y) * 0.7071, (y - x) * 0.7071
    period = [0.2, 0.16, 0.26, 0.18][n]
    across, down = (x % period) < period / 2, (y % period) < period / 2
    mix = (across.astype(np.float32) + down) / 2
    if n == 2:
        fine = ((x % period) < period * 0.08) | ((y % period) < period * 0.08)
        mix = np.where(fine, 1.0, mix * 0.7)
    if n == 1:
        mix = across * 0.85 + 0.1 * (((x % (period / 2)) < period * 0.06))
    cloth = b + (a - b) * mix[..., None]
    thread = SCALE * 4
    yy, xx = np.mgrid[0:h, 0:w]
    weave = ((xx // thread + yy // thread) % 2) * 0.09 - 0.045
    fold = (noise(rng, w, h, (4, 4)) - 0.5) * 0.34
    return Image.fromarray((cloth * (1 + weave + fold)[..., None]).clip(0, 255).astype(np.uint8))


SUBJECTS = [sunset, forest, house, fruit, city, fabric]
SIZES = [(288, 208), (272, 216), (216, 280), (304, 200)]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "images"))
    out = args.parse_args().out
    os.makedirs(out, exist_ok=True)
    for number, subject in enumerate(SUBJECTS):
        for n, (w, h) in enumerate(SIZES):
            if subject is sunset and n == 2:
                w, h = 280, 210
            rng = np.random.default_rng([number, n])
            image = subject(rng, w * SCALE, h * SCALE, n).resize((w, h), Image.LANCZOS)
            path = os.path.join(out, f"{subject.__name__}-{n + 1}")
            if subject is fabric:
                image.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB").save(path + ".png", optimize=True)
            elif subject is sunset and n == 2:
                exif = Image.Exif()
                exif[0x0112] = 6
                image.transpose(Image.Transpose.ROTATE_90).save(path + ".jpg", quality=84, exif=exif)
            else:
                image.save(path + ".jpg", quality=84)


if __name__ == "__main__":
    main()
