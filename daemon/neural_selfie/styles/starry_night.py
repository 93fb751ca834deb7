"""Paints `starry-night`: a sky in motion over a sleeping valley, in thick strokes. Its own composition, nobody's copy.

The moon hangs at the left, a river of light curls through the sky towards a dark cypress, and the flow that carries the
strokes is made of the same eddies as the light.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import (
    Field,
    blend,
    bump,
    colour,
    drift,
    grid,
    palette,
    ramp,
    smooth_noise,
    unit,
    whirl,
)
from neural_selfie.styles.strokes import Brush, Guide, blank, lay, lit, scatter, underpaint

ASPECT = 0.75
GUIDE_PX = (800, 600)
SKY, FAR, NEAR, TREE, VILLAGE = range(5)

# x, y, radius of the disc; all in picture widths. The first is the moon.
LIGHTS = (
    (0.155, 0.170, 0.048),
    (0.375, 0.085, 0.021),
    (0.545, 0.150, 0.015),
    (0.690, 0.070, 0.024),
    (0.945, 0.120, 0.017),
    (0.050, 0.365, 0.016),
    (0.330, 0.260, 0.012),
    (0.600, 0.400, 0.013),
    (0.945, 0.335, 0.022),
    (0.475, 0.045, 0.010),
)
# x, y, radius, turn
EDDIES = (
    (0.505, 0.290, 0.125, 1.9),
    (0.690, 0.235, 0.085, -1.5),
    (0.255, 0.400, 0.080, -1.1),
    (0.930, 0.230, 0.090, 1.0),
)
SKY_COLOURS = ("#060b2c", "#0c1c58", "#153a8c", "#2360b0", "#4a8fc6", "#93c4d4", "#e2edd6")
WARM_HALO = ("#1f5f9c", "#3f8aa0", "#86b486", "#c9cf72", "#f1d55a", "#f8c531", "#fdeb9c")
COOL_HALO = ("#1f5f9c", "#3f86b4", "#6fb2bd", "#a9d3b4", "#e3e7a6", "#f6d86a", "#fff6cf")
COOL = (2, 4, 5, 9)
FAR_COLOURS = ("#0a1d4a", "#15386e", "#275c86", "#4b8a98", "#8fb79d")
NEAR_COLOURS = ("#03070f", "#0a1a26", "#123634", "#27563d", "#5f7f3c", "#b9a548")
TREE_COLOURS = ("#020405", "#070e10", "#10201a", "#23371d", "#4c4a1c", "#86601f")

LAYERS = (
    (Brush(length=0.030, width=0.0300, value_spread=0.05), 5000),
    (Brush(length=0.110, width=0.0260, value_spread=0.05, taper=0.2), 2600),
    (Brush(length=0.082, width=0.0155, value_spread=0.07), 7000),
    (Brush(length=0.062, width=0.0110, value_spread=0.08), 10000),
    (Brush(length=0.042, width=0.0072, value_spread=0.10, hue_spread=0.05, pickup=0.12), 8500),
)
SMALL = Brush(length=0.016, width=0.0050, value_spread=0.06, pickup=0.05, taper=0.2)


def _sky_flow(x: Field, y: Field, rng: Generator) -> tuple[Field, Field]:
    """Return the flow of the air: a slow wave, eddies, and rings around every light."""
    width, height = GUIDE_PX
    flow_x = 0.75 + 0.15 * smooth_noise(rng, width, height, cell=0.3)
    flow_y = 0.42 * np.sin(7.5 * x + 0.8) * ramp(y, 0.65, 0.35) + 0.2 * smooth_noise(rng, width, height, cell=0.25)
    for centre_x, centre_y, radius, turn in EDDIES:
        eddy_x, eddy_y = whirl(x, y, centre=(centre_x, centre_y), radius=radius, turn=turn * 2.4)
        flow_x, flow_y = flow_x + eddy_x, flow_y + eddy_y
    for index, (centre_x, centre_y, radius) in enumerate(LIGHTS):
        distance = np.hypot(x - centre_x, y - centre_y)
        hold = ramp(distance, radius * 4.6, radius * 2.4) * ramp(distance, 0, radius * 0.45)
        turn = 1 if index % 2 else -1
        flow_x = flow_x * (1 - hold) - hold * turn * (y - centre_y) / (distance + 1e-4)
        flow_y = flow_y * (1 - hold) + hold * turn * (x - centre_x) / (distance + 1e-4)
    return unit(flow_x, flow_y)


def _sky(x: Field, y: Field, flow: tuple[Field, Field], rng: Generator) -> Field:
    """Return the colour of the sky."""
    width, height = GUIDE_PX
    streaks = drift(smooth_noise(rng, width, height, cell=0.022, octaves=2), *flow, length=0.30)
    streaks /= streaks.std()
    masses = smooth_noise(rng, width, height, cell=0.16)
    course = 0.40 + 0.085 * np.sin(6.3 * x + 2.6) - 0.05 * x
    river = bump(y - course, 0, 0.050) + 0.55 * bump(y - course - 0.10, 0, 0.025)
    for centre_x, centre_y, radius, _ in EDDIES:
        distance = np.hypot(x - centre_x, y - centre_y)
        angle = np.arctan2(y - centre_y, x - centre_x)
        arms = 0.5 + 0.5 * np.cos(angle * 2 - distance / radius * 7.5)
        river = river + 0.75 * arms * ramp(distance, radius * 1.15, radius * 0.3)
    value = 0.30 + 0.13 * streaks + 0.07 * masses + 0.36 * river - 0.10 * bump(y, 0.0, 0.12)
    sky = palette(SKY_COLOURS, value)
    teal = palette(("#0b2f4a", "#1b6a80", "#56a89a", "#cfe3b4"), value)
    sky = blend(sky, teal, ramp(smooth_noise(rng, width, height, cell=0.10), 0.5, 1.6) * 0.7)
    for index, light in enumerate(LIGHTS):
        sky = _lamp(sky, x, y, light, streaks, cool=index in COOL)
    return sky


def _lamp(sky: Field, x: Field, y: Field, light: tuple[float, float, float], streaks: Field, *, cool: bool) -> Field:
    """Return the sky with one light in it: a core, a dark gold rim, and rings that pale into the night."""
    centre_x, centre_y, radius = light
    distance = np.hypot(x - centre_x, y - centre_y) / np.float32(radius)
    wobble = distance + 0.10 * streaks
    rings = 0.5 + 0.5 * np.cos(wobble * 4.6)
    halo = palette(COOL_HALO if cool else WARM_HALO, 1.04 - wobble / 4.4 + 0.16 * rings * ramp(distance, 0.5, 1.2))
    core = palette(("#fffdf0", "#fff3b8", "#fbdc5a", "#f0b030"), (wobble - 0.1) / 0.95)
    sky = blend(sky, halo, ramp(wobble, 4.3, 1.6) * (0.62 + 0.38 * ramp(rings, 0.2, 0.7)))
    return blend(sky, core, ramp(wobble, 1.08, 0.95))


def _crescent(x: Field, y: Field) -> NDArray[np.bool_]:
    """Return where the moon's crescent lies."""
    centre_x, centre_y, radius = LIGHTS[0]
    distance = np.hypot(x - centre_x, y - centre_y)
    hollow = np.hypot(x - centre_x - radius * 0.45, y - centre_y + radius * 0.15) < radius * 0.85
    crescent: NDArray[np.bool_] = (distance < radius * 1.08) & ~hollow
    return crescent


def _land(x: Field, y: Field, rng: Generator) -> tuple[NDArray[np.int8], Field, tuple[Field, Field]]:
    """Return the regions below the sky, their colours, and their flow."""
    width, height = GUIDE_PX
    far_line = 0.565 - 0.055 * np.sin(5.2 * x + 0.4) - 0.025 * np.sin(12.0 * x + 1.0)
    near_line = 0.665 + 0.035 * np.sin(4.1 * x + 2.4) + 0.012 * np.sin(14 * x)
    region = np.where(y > near_line, NEAR, np.where(y > far_line, FAR, SKY)).astype(np.int8)
    bands = np.where(region == NEAR, near_line, far_line)
    depth = y - bands
    ripple = smooth_noise(rng, width, height, cell=0.05, octaves=2)
    rows = np.sin(95 * depth + 9 * x + 1.2 * ripple)
    far = palette(FAR_COLOURS, 0.42 + 0.16 * rows + 0.14 * ripple + 0.9 * bump(depth, 0, 0.012))
    near = palette(NEAR_COLOURS, 0.36 + 0.17 * rows + 0.14 * ripple + 0.35 * bump(depth, 0, 0.010))
    land = np.where((region == NEAR)[..., None], near, far)
    slope = np.gradient(bands, axis=1) * width + 0.25 * np.cos(9 * x + 60 * depth)
    return region, land.astype(np.float32), unit(np.ones_like(x), slope.astype(np.float32))


def _cypress(x: Field, y: Field) -> Field:
    """Return how deep inside the cypress each place is: positive inside, 0 at its flickering edge."""
    deepest = np.full_like(x, -1)
    for foot, top, girth, lean in (
        (0.835, 0.055, 0.062, 0.010),
        (0.905, 0.300, 0.040, -0.012),
        (0.775, 0.395, 0.030, 0.008),
    ):
        rise = np.clip((0.80 - y) / (0.80 - top), 0, 1)
        spine = foot + lean * np.sin(rise * 7.0) + 0.010 * np.sin(rise * 17)
        half = girth * np.clip(np.sin(np.pi * np.clip(rise * 0.86 + 0.14, 0, 1)), 0, 1) ** 0.85 * (1 - 0.35 * rise)
        half = half + 0.007 * np.sin(58 * y + 25 * np.abs(x - spine)) * (half > 0)
        deepest = np.maximum(deepest, np.where(y > top, half - np.abs(x - spine), -1))
    return deepest.astype(np.float32)


def _village(x: Field, y: Field, rng: Generator) -> tuple[NDArray[np.int8], Field]:
    """Return the village as part numbers (0 none, 1 wall, 2 roof, 3 window, 4 spire) and a tone for each wall."""
    part = np.zeros(x.shape, dtype=np.int8)
    tone = np.zeros_like(x)
    houses = [
        (0.225 + 0.043 * k + 0.012 * rng.standard_normal(), 0.668 + 0.020 * (k % 3), 0.9 + 0.4 * rng.random())
        for k in range(9)
    ]
    for left, floor, size in sorted(houses, key=lambda house: house[1]):
        half, wall, roof = 0.017 * size, 0.024 * size, 0.020 * size
        across, up = np.abs(x - left), floor - y
        walls = (across < half) & (up > 0) & (up < wall)
        roofs = (up >= wall) & (up < wall + roof) & (across < half * 1.25 * (1 - (up - wall) / roof))
        windows = walls & (np.abs(x - left - half * 0.3) < 0.0060) & (np.abs(up - wall * 0.5) < 0.0065)
        part[walls], part[roofs], part[windows] = 1, 2, 3
        tone[walls | roofs] = rng.random()
    spire_x, floor = 0.437, 0.665
    up, across = floor - y, np.abs(x - spire_x)
    part[(across < 0.009) & (up > 0) & (up < 0.055)] = 1
    part[(up >= 0.055) & (up < 0.165) & (across < 0.0135 * (1.15 - (up - 0.055) / 0.110))] = 4
    tone[part == 4] = np.clip(0.5 + (spire_x - x[part == 4]) / 0.016, 0, 1)
    return part, tone


def _scene(rng: Generator) -> Guide:
    """Return the whole picture as a guide."""
    x, y = grid(*GUIDE_PX)
    flow_x, flow_y = _sky_flow(x, y, rng)
    sky = _sky(x, y, (flow_x, flow_y), rng)
    sky[_crescent(x, y)] = colour("#e8761a")
    region, land, (land_x, land_y) = _land(x, y, rng)
    ground = region != SKY
    picture = np.where(ground[..., None], land, sky)
    flow_x, flow_y = np.where(ground, land_x, flow_x), np.where(ground, land_y, flow_y)

    part, tone = _village(x, y, rng)
    walls = palette(("#12204e", "#24497e", "#3f6f8e"), tone)
    roofs = palette(("#0a1030", "#1c1f48", "#3b2c48"), tone)
    spire = palette(("#0c1238", "#2f4d94", "#a8cfd8"), tone)
    windows = np.broadcast_to(colour("#ffcf3a"), walls.shape)
    for number, paint in ((1, walls), (2, roofs), (3, windows), (4, spire)):
        picture = np.where((part == number)[..., None], paint, picture)
    region[part > 0] = VILLAGE + part[part > 0]
    upright = (part == 1) | (part == 4)
    flow_x, flow_y = np.where(upright, 0.1, flow_x), np.where(upright, 0.99, flow_y)

    depth = _cypress(x, y)
    tree = depth > 0
    lick = smooth_noise(rng, *GUIDE_PX, cell=0.018, octaves=2)
    flame_x = (0.45 * np.sin(26 * y + 40 * x)).astype(np.float32)
    lick = drift(lick, *unit(flame_x, np.full_like(x, -1)), length=0.10)
    leaves = palette(TREE_COLOURS, 0.34 + 0.30 * lick / lick.std() * 0.5 + 0.22 * bump(depth, 0.0, 0.006))
    picture = np.where(tree[..., None], leaves, picture)
    region[tree] = TREE
    flame_x, flame_y = unit(flame_x, np.full_like(x, -1))
    flow_x, flow_y = np.where(tree, flame_x, flow_x), np.where(tree, flame_y, flow_y)
    return Guide(
        colour=picture.astype(np.float32),
        flow_x=flow_x.astype(np.float32),
        flow_y=flow_y.astype(np.float32),
        region=region,
    )


def paint(seed: int = 1889, width: int = 1024) -> Image.Image:
    """Given a seed and the width in pixels, return the picture (RGB, three quarters as high)."""
    rng = np.random.default_rng(seed)
    guide = _scene(rng)
    canvas = blank(width, round(width * ASPECT), colour("#23160f"))
    underpaint(canvas, guide, 0.8)
    houses = (guide.region > VILLAGE).astype(np.float32)
    for brush, count in LAYERS:
        lay(canvas, guide, brush, scatter(rng, count, ASPECT, 1 - houses), rng)
    lay(canvas, guide, SMALL, scatter(rng, 60_000, ASPECT, houses), rng)
    return lit(canvas)
