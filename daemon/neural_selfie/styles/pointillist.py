"""Paints `pointillist`: a sunny river bank in dabs of pure colour that the eye mixes. Nobody's copy: its own scene.

No dab has a mixed colour: each takes the pigment nearest to what is wanted there plus a random error, so that
neighbours differ, complements meet, and their mean is right (a dither with pigments).
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import Field, blend, bump, colour, grid, palette, ramp, smooth_noise, unit, whirl
from neural_selfie.styles.strokes import Brush, Guide, blank, lay, lit, scatter

ASPECT = 0.75
GUIDE_PX = (800, 600)
SKY, BANK, WATER, GRASS, THING, LEAVES = range(6)
HORIZON = 0.285

# fmt: off
PIGMENTS = (
    "#fffdf2", "#fdf0c0", "#fbe25a", "#f7bd1e", "#ef7d1c", "#de3a22", "#a81c3c", "#5a1030", "#f4b8b0", "#d978a6",
    "#a566b8", "#5c349a", "#2b1c66", "#0b0d33", "#1a3a9c", "#2f6fd0", "#6fb2e6", "#bfe0f0", "#1f9a9a", "#0c5a5e",
    "#062c2c", "#157a45", "#46a838", "#9cc634", "#dbe46a", "#fbd3a0", "#f6a868", "#c4603a",
)
# fmt: on

# brush, count, error of the wanted colour, share of complements
LAYERS = (
    (Brush(length=0.055, width=0.030, hue_spread=0.02, value_spread=0.03, pickup=0.1), 3500, 0.08, 0.0),
    (Brush(length=0.0300, width=0.0205, tip=0.5, tail=0.5, taper=0, dryness=0.1, pickup=0.06), 4200, 0.10, 0.04),
    (Brush(length=0.0235, width=0.0165, tip=0.5, tail=0.5, taper=0, dryness=0.1, pickup=0.04), 6000, 0.12, 0.06),
    (Brush(length=0.0175, width=0.0125, tip=0.5, tail=0.5, taper=0, dryness=0.0, pickup=0.03), 7000, 0.13, 0.07),
    (Brush(length=0.0125, width=0.0092, tip=0.5, tail=0.5, taper=0, dryness=0.0, pickup=0.0), 5500, 0.14, 0.08),
    (Brush(length=0.0085, width=0.0070, tip=0.5, tail=0.5, taper=0, dryness=0.0, pickup=0.0), 2500, 0.16, 0.25),
)
DOT = Brush(length=0.0095, width=0.0075, tip=0.5, tail=0.5, taper=0, dryness=0.0, pickup=0.0)
CROWNS = (  # x, y, radius of the foliage
    (0.93, 0.05, 0.190),
    (0.78, 0.02, 0.130),
    (0.99, 0.22, 0.120),
    (0.83, 0.15, 0.090),
    (0.665, 0.045, 0.105),
)


def _shore(x: Field) -> Field:
    """Return the height of the near bank: it swings from the lower left to the right."""
    return np.asarray(0.735 - 0.37 * ramp(x, -0.05, 0.95) + 0.018 * np.sin(11 * x + 0.5), dtype=np.float32)


def _backdrop(x: Field, y: Field, rng: Generator) -> tuple[Field, NDArray[np.int8]]:
    """Return colour and regions of sky, far bank and river."""
    soft = smooth_noise(rng, *GUIDE_PX, cell=0.09, octaves=3)
    fine = smooth_noise(rng, *GUIDE_PX, cell=0.03, octaves=2)
    clouds = ramp(smooth_noise(rng, *GUIDE_PX, cell=0.14, octaves=3) + 2.0 * bump(y, 0.13, 0.07), 0.7, 1.9)
    rows = np.sin(62 * y + 5.0 * np.sin(4.3 * x + 1) + 1.5 * soft)
    sky = palette(
        ("#2f6fd0", "#4f94e0", "#7fbcea", "#b4d8e4", "#f6dc9c", "#fbb98a"), y / HORIZON + 0.10 * soft + 0.11 * rows
    )
    sky = blend(
        sky, palette(("#8f86d0", "#d99cc4", "#fbd0b8", "#fff6dc"), 0.48 + 0.22 * soft + 0.24 * rows), clouds * 0.85
    )

    tops = HORIZON - 0.045 - 0.022 * np.sin(17 * x) - 0.016 * np.sin(41 * x + 1) - 0.05 * bump(x, 0.42, 0.12)
    for poplar, tall in (
        (0.020, 0.150),
        (0.066, 0.185),
        (0.105, 0.130),
        (0.137, 0.165),
        (0.575, 0.100),
        (0.605, 0.120),
    ):
        tops = np.minimum(tops, HORIZON - tall * np.sqrt(np.clip(1 - ((x - poplar) / 0.020) ** 2, 0, 1)))
    trees = palette(
        ("#1c2f6e", "#23606e", "#4f9a58", "#b6cc5a", "#f1dc84"), 0.42 + 0.24 * fine + 4.0 * (tops + 0.040 - y)
    )
    facade = (np.abs(np.mod(x - 0.29, 0.085) - 0.042) < 0.017) & (y > HORIZON - 0.038) & (np.abs(x - 0.46) < 0.17)
    roof = facade & (y < HORIZON - 0.024)
    trees = np.where(facade[..., None], colour("#fdeccb"), trees)
    trees = np.where(roof[..., None], colour("#e2552c"), trees)

    swell = np.sin(150 * y + 5 * np.sin(6 * x) + 1.6 * soft)
    depth = (y - HORIZON) / 0.42
    water = palette(
        ("#bfe0f0", "#77b9e4", "#3f82cf", "#2557ac", "#1b3280"), 0.15 + 0.75 * depth + 0.16 * swell + 0.06 * fine
    )
    mirrored = ramp(y, HORIZON + 0.085, HORIZON) * ramp(swell, -1.0, 0.6)
    water = blend(water, palette(("#1f4f6a", "#3f8f62", "#a9c065"), 0.5 + 0.3 * fine), mirrored * 0.8)
    glitter = bump(x - 0.28 * (y - HORIZON), 0.30, 0.085) * ramp(swell, 0.1, 0.9)
    water = blend(water, np.broadcast_to(colour("#fdf3c4"), water.shape), glitter * 0.95)

    region = np.where(y < tops, SKY, np.where(y < HORIZON, BANK, WATER)).astype(np.int8)
    picture = np.where((region == SKY)[..., None], sky, np.where((region == BANK)[..., None], trees, water))
    return picture.astype(np.float32), region


def _meadow(x: Field, y: Field, rng: Generator) -> Field:
    """Return the grass: sunlit, with the cool shade of the trees lying across it and flowers in the foreground."""
    soft = smooth_noise(rng, *GUIDE_PX, cell=0.10, octaves=3)
    fine = smooth_noise(rng, *GUIDE_PX, cell=0.022, octaves=2)
    depth = y - _shore(x)
    sun = palette(("#4f9c3a", "#a9c440", "#efd65a", "#fbc47c", "#fde6b0"), 0.50 + 0.18 * soft + 0.14 * fine)
    cool = palette(("#0b1238", "#142c62", "#16594f", "#2f7d44", "#6c56a8"), 0.45 + 0.22 * soft + 0.16 * fine)
    fall = (
        bump(depth - 0.05 * soft, 0.27, 0.065)
        + ramp(y + 0.02 * soft, 0.685, 0.730)
        + bump(np.hypot((x - 0.86) / 2.2, y - 0.53), 0, 0.045)
    )
    grass = blend(sun, cool, fall)
    flowers = ramp(smooth_noise(rng, *GUIDE_PX, cell=0.012), 1.5, 1.8) * ramp(y, 0.50, 0.62)
    bloom = palette(("#de3a22", "#f7bd1e", "#fffdf2", "#d978a6"), 0.5 + 0.4 * soft)
    grass = blend(grass, bloom, flowers)
    sand = palette(("#c4603a", "#ef9a60", "#f6a868", "#fbd3a0", "#fdf0c0"), 0.50 + 0.20 * soft + 0.18 * fine)
    return blend(grass, sand, ramp(depth + 0.010 * soft, 0.085, 0.055))


def _leaves(x: Field, y: Field, rng: Generator) -> tuple[Field, Field, tuple[Field, Field]]:
    """Return foliage colour, where it is (0..1), and its flow, which runs round every crown."""
    fine = smooth_noise(rng, *GUIDE_PX, cell=0.030, octaves=3)
    there, light = np.zeros_like(x), np.zeros_like(x)
    flow_x, flow_y = np.full_like(x, 0.2), np.full_like(x, 0.5)
    for centre_x, centre_y, radius in CROWNS:
        distance = np.hypot(x - centre_x, y - centre_y) / np.float32(radius)
        inside = ramp(distance + 0.16 * fine, 1.04, 0.98)
        lit_side = ((centre_x - x) + (centre_y - y)) / np.float32(radius)
        light = np.where(inside > there, lit_side, light)
        there = np.maximum(there, inside)
        round_x, round_y = whirl(x, y, centre=(centre_x, centre_y), radius=radius, turn=4)
        flow_x, flow_y = flow_x + round_x, flow_y + round_y
    value = 0.42 + 0.26 * light + 0.22 * fine
    stops = ("#080a2c", "#122a5a", "#0e5a4a", "#2f9440", "#9cc634", "#f3dc50", "#fdf0b0")
    return palette(stops, value), there.astype(np.float32), unit(flow_x, flow_y)


def _things(x: Field, y: Field) -> list[tuple[NDArray[np.bool_], str, str]]:
    """Return trunks, sails and people as masks, each with the colour of its lit and of its shaded side."""
    things: list[tuple[NDArray[np.bool_], str, str]] = []
    for foot_x, foot_y, girth, top in ((0.865, 0.560, 0.018, 0.10), (0.655, 0.500, 0.009, 0.02)):
        spine = foot_x + 0.022 * np.sin((foot_y - y) * 7)
        flare = girth * (1 + 1.2 * ramp(y, foot_y - 0.05, foot_y))
        things.append(((np.abs(x - spine) < flare) & (y < foot_y) & (y > top), "#c0603a", "#2b1c66"))
    for mast, water, tall in ((0.250, 0.385, 0.105), (0.440, 0.338, 0.065)):
        up = (water - y) / tall
        sail = (
            (up > 0.08)
            & (up < 1)
            & (x > mast - 0.30 * tall * (1 - up))
            & (x < mast + 0.42 * tall * np.clip(1 - up, 0, 1) ** 0.8)
        )
        hull = (np.abs(x - mast) < 0.40 * tall * (1 + 0.4 * up)) & (up > -0.06) & (up < 0.06)
        image = (up < -0.07) & (up > -0.75) & (np.abs(x - mast + 0.02 * np.sin(170 * y)) < 0.26 * tall * (1 + up))
        things += [(image, "#fbe8b8", "#a9b8e6"), (hull, "#5c349a", "#2b1c66"), (sail, "#fff3cf", "#f4b8a0")]
    for foot_x, foot_y, tall, dress, shade, hat in (
        (0.535, 0.655, 0.155, "#7a3aa8", "#2b1c66", "#de3a22"),
        (0.598, 0.657, 0.160, "#1a3a9c", "#0b0d33", "#0b0d33"),
    ):
        up = (foot_y - y) / tall
        coat = tall * (0.20 - 0.13 * ramp(up, 0.0, 0.55) + 0.055 * bump(up, 0.70, 0.09) - 0.06 * ramp(up, 0.76, 0.82))
        things.append(
            ((np.abs(x - foot_x) < coat) & (up > 0.03 * np.cos((x - foot_x) / tall * 9)) & (up < 0.84), dress, shade)
        )
        things.append((np.hypot(x - foot_x, (up - 0.89) * tall) < 0.072 * tall, "#fbc79a", "#b4603a"))
        brim = (np.abs(x - foot_x) < 0.085 * tall) & (np.abs(up - 0.955) < 0.028)
        things.append((brim | ((np.abs(x - foot_x) < 0.055 * tall) & (np.abs(up - 1.0) < 0.05)), hat, shade))
    pole_x, top = 0.503, 0.482
    things.append(((np.abs(x - pole_x - 0.12 * (y - top)) < 0.0028) & (y > top) & (y < 0.600), "#5a1030", "#5a1030"))
    dome = (np.hypot((x - pole_x) / 1.45, y - top) < 0.038) & (y < top + 0.006 * np.cos((x - pole_x) * 190))
    things.append((dome, "#fbb52c", "#c22a24"))
    return things


def _scene(rng: Generator) -> Guide:
    """Return the whole picture as a guide."""
    x, y = grid(*GUIDE_PX)
    picture, region = _backdrop(x, y, rng)
    grass = y > _shore(x)
    picture = np.where(grass[..., None], _meadow(x, y, rng), picture)
    region[grass] = GRASS
    drifting = smooth_noise(rng, *GUIDE_PX, cell=0.16)
    flow_x, flow_y = unit(np.ones_like(x), 0.45 * drifting)
    still = region == WATER
    flow_y = np.where(still, 0.12 * drifting, flow_y)
    slope = np.gradient(_shore(x), axis=1) * GUIDE_PX[0]
    flow_y = np.where(grass, slope + 0.3 * drifting, flow_y)
    leaf, there, (leaf_x, leaf_y) = _leaves(x, y, rng)
    for mask, lit_side, shaded in _things(x, y):
        columns = np.where(mask.any(axis=0))[0]
        across = (np.arange(GUIDE_PX[0]) - columns[0]) / (np.ptp(columns) + 1)
        tones = palette((lit_side, lit_side, shaded), np.broadcast_to(across, x.shape).astype(np.float32))
        picture = np.where(mask[..., None], tones, picture)
        region[mask] = THING
        flow_x, flow_y = np.where(mask, 0.15, flow_x), np.where(mask, 1.0, flow_y)
    foliage = there > 0.5
    picture = np.where(foliage[..., None], leaf, picture)
    region[foliage] = LEAVES
    flow_x, flow_y = unit(np.where(foliage, leaf_x, flow_x), np.where(foliage, leaf_y, flow_y))
    return Guide(
        colour=picture.astype(np.float32),
        flow_x=flow_x.astype(np.float32),
        flow_y=flow_y.astype(np.float32),
        region=region,
    )


def _pigments(guide: Guide, starts: Field, rng: Generator, error: float, complements: float) -> Field:
    """Return one pigment (n, 3) for each start: the nearest to the guide's colour plus a random error.

    A share of them are complements: the opposite hue, a little darker.
    """
    pigments = np.stack([colour(code) for code in PIGMENTS])
    wanted = guide.colour[guide.cell(starts)]
    grey = wanted.mean(axis=1, keepdims=True)
    opposite = grey * 0.9 - 0.9 * (wanted - grey)
    swap = rng.random((len(starts), 1)) < complements
    aim = np.where(swap, opposite, wanted) + error * rng.standard_normal((len(starts), 3))
    distance = ((aim[:, None] - pigments[None]) ** 2).sum(axis=2)
    return np.asarray(pigments[distance.argmin(axis=1)], dtype=np.float32)


def paint(seed: int = 1886, width: int = 1024) -> Image.Image:
    """Given a seed and the width in pixels, return the picture (RGB, three quarters as high)."""
    rng = np.random.default_rng(seed)
    guide = _scene(rng)
    canvas = blank(width, round(width * ASPECT), colour("#d8c49a"))
    for brush, count, error, complements in LAYERS:
        starts = scatter(rng, count, ASPECT)
        lay(canvas, guide, brush, starts, rng, colours=_pigments(guide, starts, rng, error, complements))
    people = (guide.region == THING).astype(np.float32)
    starts = scatter(rng, 60_000, ASPECT, people)
    lay(canvas, guide, DOT, starts, rng, colours=_pigments(guide, starts, rng, 0.13, 0.03))
    return lit(canvas)
