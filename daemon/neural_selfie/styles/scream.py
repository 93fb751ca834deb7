"""Paints `scream`: a burning dusk over a dark fjord, in long undulating bands. Its own composition, nobody's copy.

Sky, water and shore sway in the same rhythm; a jetty with a railing cuts across them, and far out on it someone stands.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import Field, blend, bump, colour, drift, grid, palette, ramp, smooth_noise, unit
from neural_selfie.styles.strokes import Brush, Guide, blank, lay, lit, scatter, underpaint

ASPECT = 0.75
GUIDE_PX = (800, 600)
SKY, FJORD, SHORE, JETTY, RAIL, FIGURE = range(6)
HORIZON = 0.335

SKY_COLOURS = ("#5a0d16", "#a3161c", "#d8321c", "#ee6a1d", "#f6a02b", "#f9cf63", "#fdf0bd")
COLD_SKY = ("#1f3a52", "#4f7f7c", "#a8b47a", "#e6d489")
FJORD_COLOURS = ("#03060f", "#0a1730", "#12305a", "#24577f", "#4d8a99", "#a9c6a4", "#f0d79a")
SHORE_COLOURS = ("#04070a", "#10201f", "#1f4034", "#46602f", "#8a7a35", "#c78a3a")
JETTY_COLOURS = ("#160a0a", "#3d1c14", "#74351c", "#a85c2c", "#d09a58", "#efdba8")

LAYERS = (
    (Brush(length=0.050, width=0.0320, value_spread=0.04), 3500),
    (Brush(length=0.170, width=0.0170, value_spread=0.06, taper=0.6, turn_spread=0.03), 3600),
    (Brush(length=0.130, width=0.0105, value_spread=0.08, taper=0.7, turn_spread=0.03), 6500),
    (Brush(length=0.085, width=0.0066, value_spread=0.10, hue_spread=0.05, pickup=0.12, turn_spread=0.04), 6000),
)
BROAD = 3  # layers whose strokes are too wide for figure and rails
SMALL = Brush(length=0.030, width=0.0060, value_spread=0.05, pickup=0.05, taper=0.2, turn_spread=0.04)


def _sway(x: Field, y: Field, rng: Generator) -> Field:
    """Return a height that rises and falls like the bands: its level lines are what the brush follows."""
    wander = smooth_noise(rng, *GUIDE_PX, cell=0.34)
    lift = 0.042 * np.sin(7.3 * x + 5.5 * y + 0.6) + 0.024 * np.sin(13.1 * x - 9 * y + 2.0) + 0.020 * wander
    knot = 0.10 * bump(np.hypot((x - 0.70) / 1.5, y - 0.13), 0, 0.10) - 0.09 * bump(
        np.hypot(x - 0.24, y - 0.17), 0, 0.10
    )
    bay = 0.085 * bump(np.hypot((x - 0.80) / 1.3, y - 0.47), 0, 0.10) - 0.05 * bump(
        np.hypot(x - 0.45, y - 0.52), 0, 0.09
    )
    return np.asarray(y + lift + knot + bay, dtype=np.float32)


def _along(level: Field) -> tuple[Field, Field]:
    """Return the direction along the level lines of a height, always to the right where the height falls upwards."""
    down, across = np.gradient(level)
    return unit(np.asarray(down), -np.asarray(across))


def _sky(level: Field, flow: tuple[Field, Field], rng: Generator) -> Field:
    """Return the burning sky: bands of red, orange and yellow, with cold ones between."""
    streaks = drift(smooth_noise(rng, *GUIDE_PX, cell=0.016, octaves=2), *flow, length=0.45)
    streaks /= streaks.std()
    bands = np.sin(46 * level + 0.9 * streaks) + 0.6 * np.sin(97 * level + 1.4)
    value = (
        0.47
        + 0.20 * bands
        + 0.10 * streaks
        + 0.30 * bump(level, HORIZON - 0.02, 0.05)
        - 0.22 * bump(level, -0.02, 0.12)
    )
    cold = ramp(np.sin(31 * level + 2.2) + 0.45 * streaks, 0.75, 1.5)
    return blend(palette(SKY_COLOURS, value), palette(COLD_SKY, value * 0.9), cold * 0.9)


def _fjord(x: Field, level: Field, flow: tuple[Field, Field], rng: Generator) -> Field:
    """Return the water: dark blue, with the sky's fire on the swell near the horizon."""
    streaks = drift(smooth_noise(rng, *GUIDE_PX, cell=0.014, octaves=2), *flow, length=0.40)
    streaks /= streaks.std()
    bands = np.sin(70 * level + streaks) + 0.6 * np.sin(131 * level)
    path = bump(x + 0.25 * (level - HORIZON), 0.46, 0.09)
    value = 0.34 + 0.11 * bands + 0.10 * streaks + 0.46 * path * ramp(bands, -0.4, 1.1)
    water = palette(FJORD_COLOURS, value)
    ember = palette(SKY_COLOURS, 0.42 + 0.18 * bands)
    return blend(water, ember, 0.85 * ramp(streaks + bands, 1.1, 2.1) * ramp(level, HORIZON + 0.20, HORIZON))


def _shore(level: Field, flow: tuple[Field, Field], rng: Generator) -> Field:
    """Return the dark shore that swings down to the jetty."""
    streaks = drift(smooth_noise(rng, *GUIDE_PX, cell=0.016, octaves=2), *flow, length=0.30)
    streaks /= streaks.std()
    return palette(SHORE_COLOURS, 0.38 + 0.16 * np.sin(62 * level + streaks) + 0.13 * streaks)


def _jetty(x: Field, y: Field, rng: Generator) -> tuple[NDArray[np.int8], Field, Field]:
    """Return jetty and rails as region numbers (SKY where there is neither), their colours, and the jetty's far end.

    All lines of the jetty run to one vanishing point at the left, on the horizon.
    """
    eye_x, eye_y = -0.06, 0.395
    run = np.clip(x - eye_x, 0.01, None)
    fan = (y - eye_y) / run  # constant along each plank
    grain = smooth_noise(rng, *GUIDE_PX, cell=0.05, octaves=3)
    planks = np.sin(fan * 60 + 0.5 * grain)
    value = 0.50 + 0.20 * planks + 0.12 * grain - 0.25 * bump(fan, 0.335, 0.04)
    boards = blend(
        palette(JETTY_COLOURS, value), palette(FJORD_COLOURS, value), ramp(np.sin(fan * 23 + 1), 0.6, 1) * 0.75
    )
    region = np.where(fan > 0.335, JETTY, SKY).astype(np.int8)
    thick = 0.010 + 0.004 * np.sin(9 * x)
    rails = np.zeros(x.shape, dtype=bool)
    for height in (0.205, 0.275):
        rails |= np.abs(fan - height) < thick
    post = np.log(run) * 4.4
    rails |= (np.abs(post - np.round(post)) < 0.060) & (fan > 0.19) & (fan < 0.35)
    region[rails] = RAIL
    wood = palette(
        ("#1a0806", "#5c2012", "#a34a1f", "#e9a24c"), 0.38 + 0.25 * grain + 0.5 * ramp(np.mod(fan, 0.07), 0.062, 0.07)
    )
    return region, np.where(rails[..., None], wood, boards).astype(np.float32), np.asarray(fan, dtype=np.float32)


def _figure(x: Field, y: Field) -> tuple[Field, tuple[Field, Field]]:
    """Return how deep inside the lone, faceless figure each place is (positive inside), and its flow."""
    foot_x, foot_y, tall = 0.250, 0.690, 0.425
    rise = (foot_y - y) / tall
    lean = foot_x + 0.020 * np.sin(rise * 5.0 - 0.4) - 0.016 * ramp(rise, 0.7, 1.0)
    coat = 0.052 - 0.026 * ramp(rise, 0.0, 0.5) + 0.014 * bump(rise, 0.70, 0.11) - 0.022 * ramp(rise, 0.77, 0.84)
    body = np.where((rise > 0) & (rise < 0.95), coat - np.abs(x - lean), -1)
    head_y = foot_y - tall * 0.93
    head = 0.0215 - np.hypot(x - lean + 0.25 * (y - head_y), (y - head_y) / 1.45)
    flow = (0.50 * np.sin(26 * y + 1), np.full_like(x, 0.9))
    return np.maximum(body, head).astype(np.float32), unit(flow[0].astype(np.float32), flow[1].astype(np.float32))


def _scene(rng: Generator) -> Guide:
    """Return the whole picture as a guide."""
    x, y = grid(*GUIDE_PX)
    level = _sway(x, y, rng)
    flow = _along(level)
    coast = HORIZON + 0.012 * np.sin(9 * x) + 0.010 * np.sin(23 * x + 1)
    region = np.where(y < coast, SKY, FJORD).astype(np.int8)
    picture = np.where((region == SKY)[..., None], _sky(level, flow, rng), _fjord(x, level, flow, rng))

    bank = (x > 0.60 + 0.9 * (0.62 - level)) & (level > HORIZON + 0.03)
    region[bank] = SHORE
    picture = np.where(bank[..., None], _shore(level, flow, rng), picture)
    isle = (y < coast) & (
        y > coast - 0.030 * np.clip(np.sin(5.5 * x - 1.4), 0, 1) - 0.012 * np.clip(np.sin(15 * x), 0, 1)
    )
    region[isle] = SHORE
    picture = np.where(isle[..., None], palette(("#0b1430", "#1d3a66", "#44688a"), 0.5 + 8 * (coast - y)), picture)

    jetty, boards, fan = _jetty(x, y, rng)
    built = jetty != SKY
    region = np.where(built, jetty, region)
    picture = np.where(built[..., None], boards, picture)
    plank_x, plank_y = unit(np.ones_like(x), fan + 0.05 * np.sin(30 * x).astype(np.float32))
    upright = (jetty == RAIL) & (np.minimum(np.abs(fan - 0.205), np.abs(fan - 0.275)) > 0.014)
    flow_x, flow_y = np.where(built, plank_x, flow[0]), np.where(built, plank_y, flow[1])
    flow_x, flow_y = np.where(upright, 0.08, flow_x), np.where(upright, 1, flow_y)

    depth, coat_flow = _figure(x, y)
    folds = np.sin(130 * (x - 0.250) + 9 * y) + 0.5 * np.sin(40 * y)
    coat = palette(("#020308", "#0a1026", "#1a2c56", "#50688c"), 0.36 + 0.20 * folds + 0.5 * bump(depth, 0.0, 0.004))
    picture = np.where((depth > 0)[..., None], coat, picture)
    region = np.where(depth > 0, FIGURE, region).astype(np.int8)
    flow_x, flow_y = np.where(depth > 0, coat_flow[0], flow_x), np.where(depth > 0, coat_flow[1], flow_y)
    flow_x, flow_y = unit(flow_x.astype(np.float32), flow_y.astype(np.float32))
    return Guide(colour=picture.astype(np.float32), flow_x=flow_x, flow_y=flow_y, region=region)


def paint(seed: int = 1893, width: int = 1024) -> Image.Image:
    """Given a seed and the width in pixels, return the picture (RGB, three quarters as high)."""
    rng = np.random.default_rng(seed)
    guide = _scene(rng)
    canvas = blank(width, round(width * ASPECT), colour("#2a0f10"))
    underpaint(canvas, guide, 0.5)
    narrow = (guide.region >= RAIL).astype(np.float32)
    for index, (brush, count) in enumerate(LAYERS):
        lay(canvas, guide, brush, scatter(rng, count, ASPECT, 1 - narrow if index < BROAD else None), rng)
    lay(canvas, guide, SMALL, scatter(rng, 26_000, ASPECT, narrow), rng)
    return lit(canvas)
