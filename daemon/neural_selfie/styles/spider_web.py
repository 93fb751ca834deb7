"""The style image `spider-web`: an orb web hung with dew, lit from behind, before leaves and blurred lights.

Every mesh holds a film of its own green, like glass, so that the web is more than lines; `orb` knows where the threads
run. No photograph is behind it.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from neural_selfie.styles.fields import Field, blend, bump, colour, grid, palette, ramp, smooth_noise, unit
from neural_selfie.styles.orb import GROWTH, HUB, PITCH, TORN, Web, beads, spin
from neural_selfie.styles.strokes import OVERSIZE, Brush, Guide, blank, lay, lit, scatter

ASPECT = 0.75
SUN = (0.80, 0.10)
GLADE = (0.20, 0.55)  # where light comes through at the left
GREENS = ("#020b08", "#04180f", "#07301c", "#0d5427", "#237f2c", "#5aa82e", "#a8d23a", "#e9f37d", "#fdffe0")
TEALS = ("#02100f", "#04262a", "#0a5a56", "#2f9a78", "#b8f0a0")
AMBERS = ("#1c1a04", "#6a5a10", "#d2a52c", "#f8e388", "#fffbe0")
PANES = ("#06463c", "#0a7a58", "#1c9a3a", "#6cc02c", "#c6e23a", "#f2cf3e")
SILK = ("#8fbf42", "#cfec6e", "#f6ffba", "#ffffff")
DEW = ("#03140a", "#0c4a22", "#69b42c", "#e8f86a", "#ffffe6")

THREAD = 0.0013  # half the width of a thread

LEAVES = (  # base, tip, half width, bend
    ((-0.05, 0.80), (0.30, 0.50), 0.085, 0.03),
    ((0.02, 0.80), (0.13, 0.42), 0.07, -0.02),
    ((0.10, 0.82), (0.46, 0.68), 0.075, 0.02),
    ((1.05, 0.80), (0.73, 0.60), 0.085, -0.03),
    ((0.98, 0.84), (0.91, 0.45), 0.075, 0.02),
    ((-0.06, 0.10), (0.24, 0.06), 0.07, 0.02),
    ((-0.03, -0.05), (0.10, 0.27), 0.075, -0.02),
    ((0.18, -0.06), (0.36, 0.10), 0.05, 0.02),
    ((1.04, 0.20), (0.86, 0.36), 0.06, 0.02),
    ((0.55, 0.82), (0.70, 0.66), 0.055, 0.02),
    ((1.04, -0.04), (0.90, 0.14), 0.05, -0.02),
)


def paint(seed: int = 11, width: int = 1024) -> Image.Image:
    """Given a seed and a width in pixels, return the picture (4:3, RGB)."""
    rng = np.random.default_rng(seed)
    ground = _painted_ground(rng, width)
    height_px, width_px = ground.shape[:2]
    web = spin(rng)
    x, y = grid(width_px, height_px)
    wave = [0.0035 * smooth_noise(rng, width_px, height_px, cell=0.16, octaves=2) for _ in range(2)]
    glimmer = smooth_noise(rng, width_px, height_px, cell=0.02, octaves=3)
    light = ground * _daylight(x, y)[..., None]
    light = _glaze(light, web, x + wave[0], y + wave[1], glimmer)
    _hang_dew(light, web, wave, rng)
    pixels = Image.fromarray((np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8))
    return pixels.reduce(OVERSIZE)


def _near(x: Field, y: Field, place: tuple[float, float], reach: float) -> Field:
    return bump(np.hypot(x - np.float32(place[0]), y - np.float32(place[1])), 0, reach)


def _chance_of_light(x: float, y: float) -> float:
    sun, glade = np.hypot(x - SUN[0], y - SUN[1]) / 0.36, np.hypot(x - GLADE[0], y - GLADE[1]) / 0.25
    return float(0.25 + 0.9 * np.exp(-(sun**2)) + 0.6 * np.exp(-(glade**2)))


def _daylight(x: Field, y: Field) -> Field:
    """Return how bright the ground is lit: full at the sun, little in the corners."""
    light = 0.26 + 1.4 * _near(x, y, SUN, 0.31) + 1.9 * _near(x, y, GLADE, 0.19)
    return np.asarray(light + 1.3 * _near(x, y, (0.60, 0.60), 0.15) + 0.5 * _near(x, y, HUB, 0.12), dtype=np.float32)


def _painted_ground(rng: Generator, width: int) -> Field:
    """Return leaves and blurred lights in brush strokes, (height, width, 3) in linear light at `OVERSIZE`."""
    guide = _guide(rng)
    canvas = blank(width, round(width * ASPECT), colour("#04160e"))
    on_leaves = (0.3 + 0.7 * (guide.region > 0)).astype(np.float32)
    layers = ((0.075, 0.017, 3500, None), (0.05, 0.010, 9000, None), (0.032, 0.0062, 16000, None))
    for length, breadth, count, where in (*layers, (0.020, 0.0036, 22000, on_leaves)):
        brush = Brush(length=length, width=breadth, value_spread=0.075, hue_spread=0.03, hair_spread=0.075)
        lay(canvas, guide, brush, scatter(rng, count, ASPECT, where), rng)
    picture = lit(canvas, relief=1.0, gloss=0.12, weave=0.2)
    large = picture.resize((picture.width * OVERSIZE, picture.height * OVERSIZE), Image.Resampling.BICUBIC)
    return np.asarray((np.asarray(large, dtype=np.float32) / 255) ** 2.2, dtype=np.float32)


def _guide(rng: Generator) -> Guide:
    """Return what the brush follows: strokes run round the hub, round the lights and along veins."""
    width_px, height_px = 768, round(768 * ASPECT)
    x, y = grid(width_px, height_px)
    broad, middle, cross = (smooth_noise(rng, width_px, height_px, cell=cell, octaves=3) for cell in (0.3, 0.12, 0.12))
    dx, dy = x - np.float32(HUB[0]), y - np.float32(HUB[1])
    sun, glade = _near(x, y, SUN, 0.36), _near(x, y, GLADE, 0.26)
    tone = 0.22 + 0.08 * broad + 0.06 * middle + 0.34 * sun + 0.26 * glade + 0.16 * _near(x, y, (0.60, 0.60), 0.18)
    tone -= 0.20 * ramp(np.hypot(dx, dy), 0.40, 0.75)
    flow_x, flow_y = unit(-dy + 0.25 * dx, dx + 0.25 * dy)
    flow = [flow_x + 0.3 * middle, flow_y + 0.3 * cross]
    warm = _blurred_lights(rng, x, y, tone, flow)
    tone = np.where(tone > 0.55, 0.55 + 0.35 * np.tanh((tone - 0.55) / 0.35), tone).clip(0.02, 0.9)
    paints = blend(palette(GREENS, tone), palette(TEALS, tone), (0.25 + 0.28 * broad - 0.4 * sun).clip(0, 0.8))
    paints = blend(paints, palette(AMBERS, tone), (0.7 * warm).clip(0, 0.75))
    flow_x, flow_y = unit(*flow)
    region = np.zeros((height_px, width_px), dtype=np.int8)
    guide = Guide(colour=paints, flow_x=flow_x, flow_y=flow_y, region=region)
    for number in range(len(LEAVES)):
        _leaf(number, x, y, middle + sun, guide)
    return guide


def _blurred_lights(rng: Generator, x: Field, y: Field, tone: Field, flow: list[Field]) -> Field:
    """Add discs of light to `tone`, turn the flow round them, and return where they are warm."""
    warm = np.zeros_like(x)
    for _ in range(120):
        left, top, size, gain, chance, heat = rng.random(6)
        centre = (left, top * ASPECT)
        if chance > _chance_of_light(*centre):
            continue
        away = np.hypot(x - centre[0], y - centre[1]) / (0.012 + 0.048 * size)
        disc = ramp(away, 1.06, 0.92) * (0.55 + 0.55 * bump(away, 0.9, 0.18))
        tone += (0.06 + 0.22 * gain) * disc
        warm += 0.6 * (heat > 0.62) * disc
        flow[0] = np.where(away < 1.05, centre[1] - y, flow[0])
        flow[1] = np.where(away < 1.05, x - centre[0], flow[1])
    return warm


def _leaf(number: int, x: Field, y: Field, tone: Field, guide: Guide) -> None:
    """Paint one leaf into the guide: midrib, side veins, a lit and a shaded half, a cast shadow."""
    base, tip, half, bend = LEAVES[number]
    ahead = np.array(tip) - np.array(base)
    length = float(np.hypot(*ahead))
    fx, fy = ahead / length
    along = ((x - base[0]) * fx + (y - base[1]) * fy) / length
    inner = along.clip(0, 1)
    aside = (y - base[1]) * fx - (x - base[0]) * fy - bend * np.sin(np.pi * inner)
    across = aside / np.maximum(1.75 * half * inner**0.55 * (1 - inner) ** 0.8, 1e-4)
    inside = (along > 0) & (along < 1) & (np.abs(across) < 1)
    phase = along * 13 - np.abs(across) * 2.4
    sunny = across * (1 if number % 2 else -1)
    value = 0.42 + 0.2 * sunny + 0.3 * ramp(sunny, 0.1, 0.95) + 0.12 * tone + 0.1 * np.cos(2 * np.pi * phase)
    value += (
        0.34 * bump(across, 0, 0.1)
        + 0.26 * bump(phase - np.round(phase), 0, 0.15)
        + 0.22 * bump(np.abs(across), 0.9, 0.1)
    )
    skin = palette(GREENS, (value * (0.66 + 0.07 * (number % 3))).clip(0.05, 0.74))
    if number % 3 == 1:
        skin = blend(skin, palette(TEALS, (0.9 * value).clip(0, 1)), np.full_like(x, 0.45))
    guide.colour[:] *= (1 - 0.6 * bump(np.abs(across), 1.12, 0.16) * (along > 0) * (along < 1))[..., None]
    guide.colour[inside] = skin[inside]
    guide.region[inside] = number + 1
    side = np.sign(across)
    flow_x, flow_y = unit(fx - 0.75 * side * fy, fy + 0.75 * side * fx)
    guide.flow_x[inside], guide.flow_y[inside] = flow_x[inside], flow_y[inside]


def _blurred(mask: Field, radius_px: float) -> Field:
    picture = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius_px)), dtype=np.float32) / np.float32(255)


def _glaze(light: Field, web: Web, x: Field, y: Field, glimmer: Field) -> Field:
    """Given the ground in linear light, return it behind the web: every mesh a film of its own, threads that glow."""
    width_px = light.shape[1]
    turns, sector, share = web.place(x, y)
    mesh = np.floor(turns).astype(np.intp)
    rise = turns - mesh
    chance = web.chance[mesh % 64, sector]
    dx, dy = x - np.float32(HUB[0]), y - np.float32(HUB[1])
    radius = np.hypot(dx, dy)
    cos, sin = dx / radius, dy / radius
    lens = (rise - 0.5) * (0.6 * cos - 0.8 * sin) + (share - 0.5) * (-0.6 * sin - 0.8 * cos)
    strength = 0.4 + 0.6 * chance[..., 1] + 1.6 * chance[..., 1] ** 4 + 0.9 * lens * chance[..., 2]
    brightness = light.mean(axis=2, keepdims=True)
    tint = 0.5 * chance[..., 0] + 0.95 * np.sqrt(brightness[..., 0])  # dim meshes are blue-green, bright ones gold
    film = palette(PANES, tint) ** 2.2
    light = blend(light, film * (0.03 + 3.0 * brightness), np.full_like(x, 0.6)) * strength[..., None]
    light = 1.25 * light / (1 + 0.75 * light)  # the brightest meshes keep their strokes
    # distances to the threads in picture widths
    gap = PITCH * (1 + 2 * GROWTH * np.maximum(turns, 0)) * np.where(turns > 0, 1, 0.5)
    whole = np.abs(turns - np.round(turns)) * gap
    torn = web.chance[np.round(turns).astype(np.intp) % 64, sector, 2] < TORN
    spoke = np.minimum(share, 1 - share) * radius * np.diff(web.angles)[sector]
    thick = THREAD * (1 + 0.18 * glimmer) * ramp(radius, 0, 0.05)
    half_px = np.maximum(thick - np.where(torn, 1, whole), 1.3 * thick - spoke) * width_px
    silk = np.clip(half_px + 0.5, 0, 1)
    sun = _near(x, y, SUN, 0.55)
    shade = np.clip(2.4 * _blurred(silk, 0.0032 * width_px), 0, 1)
    light = light * (1 - 0.72 * shade[..., None])
    glow = _blurred(silk, 0.008 * width_px) * (0.35 + 1.1 * sun)
    light = light + glow[..., None] * np.array([0.17, 0.36, 0.05], dtype=np.float32)
    silken = palette(SILK, np.clip(0.42 + 0.18 * glimmer + 0.5 * sun, 0, 1)) ** 2.2
    return blend(light, silken, silk * (0.84 + 0.12 * glimmer))


def _hang_dew(light: Field, web: Web, wave: list[Field], rng: Generator) -> None:
    """Draw the drops into `light`: little lenses, bright below because they turn the sky round, each with a spark."""
    height_px, width_px = light.shape[:2]
    for left, top, size in beads(web, rng):
        row, column = min(int(top * width_px), height_px - 1), min(int(left * width_px), width_px - 1)
        x, y = left - wave[0][max(row, 0), max(column, 0)], top - wave[1][max(row, 0), max(column, 0)]
        reach = 2.2 * size
        rows = slice(max(0, int((y - reach) * width_px)), max(0, int((y + reach) * width_px) + 2))
        columns = slice(max(0, int((x - reach) * width_px)), max(0, int((x + reach) * width_px) + 2))
        behind = light[rows, columns]
        if not behind.size:
            continue
        dy = ((np.arange(rows.start, rows.start + behind.shape[0]) + 0.5) / width_px - y)[:, None] / size
        dx = ((np.arange(columns.start, columns.start + behind.shape[1]) + 0.5) / width_px - x)[None] / size
        away = np.hypot(dx, dy)
        lens = np.clip(0.5 + 0.22 * dx + 0.4 * dy, 0, 1) ** 1.4 * (1.3 - 1.35 * np.clip(away - 0.72, 0, 1))
        water = palette(DEW, np.clip(lens, 0, 1)) ** 2.2
        water += 1.3 * np.exp(-((dx + 0.38) ** 2 + (dy + 0.42) ** 2) / 0.06)[..., None]
        halo = np.clip(1 - away / 2.2, 0, 1)[..., None] ** 2 * min(1.0, size / 0.003)
        behind += halo * np.array([0.16, 0.30, 0.05], dtype=np.float32)
        cover = np.clip((1 - away) * size * width_px + 0.5, 0, 1)[..., None]
        behind[:] = behind * (1 - cover) + water * cover
