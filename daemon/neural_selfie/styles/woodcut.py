"""The style image `woodcut`: a breaking wave, a red sun and a snow-capped mountain, carved and printed in three inks.

Every surface is hatched along its own form, from bare paper over mid-tones to black, so that whatever is painted
with it finds lines to be made of. The scene is in the manner of relief prints; it is no copy of one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image

from neural_selfie.styles.carving import HEIGHT, POINTS, Block, Finger, Points, curve, finger, plank, printed
from neural_selfie.styles.fields import ramp

SUN = (585, 232, 98)
CLOUDS = (  # rows of discs: x, y, radius
    ((930, 120, 46), (985, 105, 60), (880, 135, 34), (1020, 140, 40), (840, 146, 24)),
    ((560, 70, 30), (600, 58, 38), (645, 72, 28), (690, 80, 20), (520, 82, 20)),
    ((520, 400, 34), (565, 410, 26), (600, 416, 20), (480, 412, 30)),
)
MIST = ((960, 440, 36), (1000, 430, 46), (920, 452, 24), (880, 458, 17))
BACK = curve((-60, 470), (10, 330), (90, 205), (200, 130), (318, 128), (408, 190), (446, 268), (440, 330))
FACE = curve((640, 800), (520, 735), (410, 650), (335, 545), (302, 440), (312, 350), (356, 296), (402, 300), (440, 330))


def paint(seed: int = 5, width: int = 1024) -> Image.Image:
    """Given a seed and a width in pixels, return the picture (4:3, RGB)."""
    rng = np.random.default_rng(seed)
    block = plank(rng, width)
    _sky(block)
    for discs in CLOUDS:
        _cloud(block, discs)
    _mountain(block, 800, 222, 545, 270)
    _cloud(block, MIST)
    _pines(block, rng, base=540, size=62, step=15, left=470)
    _pines(block, rng, base=548, size=46, step=12, left=640)
    _swell(block, base=560, height=9, length=190, phase=0.4, depth=22, spacing=4.8)
    _swell(block, base=585, height=14, length=250, phase=2.0, depth=32, spacing=5.4)
    crest = _swell(block, base=622, height=20, length=310, phase=4, depth=44, spacing=6)
    _whitecaps(block, rng, crest, number=40, size=15, left=480)
    _great_wave(block, rng)
    crest = _swell(block, base=690, height=30, length=420, phase=0.2, depth=60, spacing=6.8)
    _whitecaps(block, rng, crest, number=70, size=22)
    crest = _swell(block, base=752, height=34, length=520, phase=3.1, depth=70, spacing=7.4)
    _whitecaps(block, rng, crest, number=70, size=26)
    return printed(block)


def _sky(block: Block) -> None:
    """Carve wind that flows round the sun as round a pillar, rays in its tone, and the sun."""
    x, y = block.x, block.y
    dx, dy = x - SUN[0], y - SUN[1]
    away, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    radius = float(SUN[2])
    wind = 9 * np.sin(x / 130 + y / 75) + 10 * block.noise(210, 110, layer=3)
    # the stream function of a flow past a cylinder, a little weaker, so that no place is left without lines
    stream = dy * (1 - 0.86 * (radius / np.maximum(away, radius)) ** 2) + wind * ramp(away, radius - 10, radius + 90)
    tone = 0.30 + 0.30 * ramp(y, 330, 0) + 0.10 * block.noise(120, 60, layer=5)
    tone += 0.13 * np.clip(1.8 * np.sin(17 * angle), -1, 1) * ramp(away, radius, radius + 60)
    halo = np.maximum(away - radius, 0)
    block.cut(away >= 0, stream, x, spacing=8.6, tone=tone - 0.16 * np.exp(-halo / 60), taper=60)
    block.ink(away >= 0, 0.95 * ramp(y, 190, -20), 0.55 * ramp(y, 250, 520) + 0.25 * np.exp(-halo / 120))
    disc = away < radius
    block.cut(
        disc,
        away + 2 * np.sin(9 * angle),
        angle * away,
        spacing=7.4,
        tone=0.16 + 0.28 * ramp(dy, -20, radius),
        taper=50,
    )
    block.ink(disc, 0, 1)
    block.outline(away - radius, 2.6)


def _cloud(block: Block, discs: Sequence[tuple[float, float, float]]) -> None:
    """Carve scrolls: each disc is one spiral line, darker below."""
    for x, y, radius in sorted(discs, key=lambda disc: disc[1]):
        part = block.part(x - 1.3 * radius, y - 1.2 * radius, x + 1.3 * radius, y + 1.2 * radius)
        dx, dy = part.x - np.float32(x), (part.y - np.float32(y)) * np.float32(1.25)
        away = np.hypot(dx, dy) + 2.5 * part.noise(40, octaves=1, layer=round(x))
        disc = away < radius
        hand = 1 if x % 3 < 1.5 else -1
        scroll = away - radius + 7.5 * np.arctan2(dy, hand * dx) / (2 * np.pi)
        tone = 0.13 + 0.42 * ramp(dy, -0.1 * radius, radius) + 0.14 * ramp(away, 0.3 * radius, radius)
        part.cut(disc, scroll, np.arctan2(dy, dx) * radius, spacing=7.5, tone=tone, taper=34)
        part.ink(disc, 0.30 * ramp(dy, 0, radius), 0.10)
        part.outline(away - radius, 2.6, disc)


def _mountain(block: Block, peak_x: float, peak_y: float, base: float, spread: float) -> None:
    """Carve a cone with a broken ridge between its lit and its shaded side, and snow that ends in tongues."""
    part = block.part(peak_x - 1.1 * spread, peak_y - 8, POINTS, base)
    x, y = part.x, part.y
    fall = np.clip((y - peak_y) / (base - peak_y), 0, 1)
    broken = 5 * part.noise(30, layer=11)
    dx = x - peak_x + 0.7 * broken
    left = spread * (0.25 * fall + 0.75 * fall**1.7)
    right = 1.15 * spread * (0.25 * fall + 0.75 * fall**1.6)
    body = (y > peak_y + 0.12 * np.abs(dx)) & (dx > -left) & (dx < right)
    lit = dx < 10 * np.sin(17 * fall) + 16 * np.sin(7 * fall + 1) + broken
    rise = 0.80 * np.where(lit, dx + left, right - dx) + 6 * part.noise(40, 70, layer=12)
    tongues = y + 26 * np.sin(dx / 9) * (0.4 + fall) + 16 * part.noise(22, 40, layer=14)
    snow = ramp(tongues, peak_y + 118, peak_y + 104)
    foot = ramp(fall, 0.8, 1.0)
    rock = np.where(lit, 0.42, 0.74) + 0.10 * np.sin(dx / 21 + 9 * fall)
    tone = rock * (1 - snow) + snow * np.where(lit, 0.08, 0.42) - 0.35 * foot
    part.cut(body, rise, y, spacing=6.8, tone=tone, taper=40)
    cold = np.where(lit, 0.16, 0.9) * (1 - snow) + snow * np.where(lit, 0, 0.35)
    warm = np.where(lit, 0.56 * (1 - snow) + 0.06, 0.12) + 0.1 * ramp(fall, 0.6, 1.0)
    part.ink(body, cold * (1 - 0.5 * foot), warm)
    part.outline(np.where(dx < 0, dx + left, right - dx), 2.4, y > peak_y - 2)


def _pines(block: Block, rng: Generator, *, base: float, size: float, step: float, left: float) -> None:
    """Carve a row of trees, black with white boughs, lighter where the sun is."""
    places = np.arange(left, 1040, step)
    for place in places + rng.uniform(-0.3, 0.3, len(places)) * step:
        tall = size * rng.uniform(0.65, 1.25)
        top = base - tall + 6 * np.sin(place / 50)
        part = block.part(place - 0.3 * tall - 3, top, place + 0.3 * tall + 3, base + 26)
        if not part.x.size:
            continue
        down, aside = part.y - top, part.x - place
        boughs = 0.72 + 0.28 * ((5.5 * down / tall) % 1)
        tree = (down > 0) & (np.abs(aside) < 0.3 * tall * np.clip(down / tall, 0, 1) * boughs + 1.5)
        tone = 0.74 + 0.22 * np.sign(aside)
        part.cut(tree, down - 0.75 * np.abs(aside), part.x, spacing=tall / 8.5, tone=tone, taper=12)
        part.ink(tree, 0.7, 0.25)


def _swell(
    block: Block, *, base: float, height: float, length: float, phase: float, depth: float, spacing: float
) -> Points:
    """Carve one long wave and the sea before it; return its crest (n, 2)."""
    run = np.arange(-60, 1090, 6.0)
    turn = 2 * np.pi * run / length + phase
    crest = base - height * (1 - 1.6 * np.abs(np.sin(turn / 2)) ** 0.75)
    crest -= 0.35 * height * np.sin(0.37 * turn + 2 * phase)
    line = np.stack([run + 0.25 * height * np.cos(turn), crest], axis=1)
    part = block.part(0, crest.min() - 8, POINTS, HEIGHT)
    sea, away = part.inside([*line, (1100, 800), (-70, 800)]), part.away_from(line)
    layer = round(base)
    rise = away + 7 * part.noise(90, 40, layer=layer)
    rise += 5 * np.sin(part.x / (0.075 * length) + phase) * ramp(away, 5, 30)
    lick = np.sin(part.x / (0.11 * length) + away / 9 + phase)
    tone = 0.72 - 0.50 * ramp(away, 4, depth) + 0.24 * lick + 0.20 * ramp(away, depth, 2.2 * depth)
    tone = np.where(away < 5.5, -1, tone + 0.10 * part.noise(60, 30, layer=layer + 1))
    part.cut(sea, rise, part.x, spacing=spacing, tone=tone, taper=44)
    gouged = ramp(lick + 0.5 * part.noise(40, 16, layer=layer + 2), -0.1, 0.3) * ramp(away, 0.2 * depth, depth)
    part.ink(sea, np.where(away < 5.5, 0, 0.95 - 0.5 * gouged), 0.08)
    part.outline(away - 6.2, 1.4, sea)
    part.outline(away, 1.9)
    return line


def _whitecaps(block: Block, rng: Generator, crest: Points, *, number: int, size: float, left: float = 0) -> None:
    """Carve small curls of foam where the crest is high."""
    there = np.flatnonzero((crest[:, 0] > left) & (crest[:, 0] < 1030))
    level = np.median(crest[there, 1]) + 3
    curls: list[Finger] = []
    for place in np.sort(rng.choice(there, number)):
        root, ahead = crest[place] + rng.normal(0, 2, 2), np.array([0.5, -0.9]) + rng.normal(0, 0.25, 2)
        long, thick, curl = rng.uniform(1, 2.1) * size, rng.uniform(0.2, 0.36) * size, rng.uniform(1.6, 3.2)
        if crest[place, 1] <= level:
            curls.append(finger(root, ahead, np.array([1.0, 0.6]), length=long, radius=thick, curl=curl))
    block.part(0, crest[:, 1].min() - 4 * size, POINTS, HEIGHT).foam(curls)


def _great_wave(block: Block, rng: Generator) -> None:
    """Carve the breaking wave: bands that follow its hollow face, foam along its back, claws and spray at its lip."""
    body = block.inside([*BACK, *FACE[::-1], (-60, 800)])
    inner, outer = block.away_from(FACE), block.away_from(BACK)
    band = np.sin(inner / 10.5 + 0.8 * block.noise(160, octaves=1, layer=21))
    tone = 0.47 + 0.33 * np.clip(1.4 * band, -1, 1) * ramp(inner, 0, 40) + 0.15 * ramp(inner, 30, 0)
    tone += 0.14 * block.noise(70, layer=23) - 0.25 * ramp(outer, 40, 0)
    block.cut(body, inner + 3 * block.noise(80, layer=22), block.y + 0.5 * block.x, spacing=7, tone=tone, taper=52)
    block.ink(body, np.clip(0.70 + 0.4 * band, 0.15, 1), 0.05)
    block.outline(inner, 2.6, body)
    block.outline(outer, 2.4)
    block.foam([*_claws(rng), *_spray(rng)])


def _along_back(share: float) -> tuple[Points, Points]:
    """Given a share of the way along the wave's back, return the place and the direction there."""
    run = np.append(0, np.cumsum(np.hypot(*np.diff(BACK, axis=0).T)))
    at = np.array([share * run[-1] - 2, share * run[-1] + 2]).clip(0, run[-1])
    ends = np.stack([np.interp(at, run, BACK[:, axis]) for axis in (0, 1)], axis=1)
    ahead = ends[1] - ends[0]
    return ends.mean(axis=0), ahead / np.hypot(*ahead)


def _claws(rng: Generator) -> list[Finger]:
    claws = []
    for share in np.sort(rng.uniform(0.16, 1.0, 125)):
        place, ahead = _along_back(share)
        out = np.array([ahead[1], -ahead[0]])
        grow = 0.45 + 0.75 * share
        place = place - out * rng.uniform(-2, 34) * grow * (1 if rng.random() < 0.55 else 0.1)
        way = out * rng.uniform(0.2, 1.0) + ahead * rng.uniform(0.3, 1.1)
        long, thick, curl = rng.uniform(28, 74) * grow, rng.uniform(6, 13) * grow, rng.uniform(1.4, 3.4)
        claws.append((share, finger(place, way, ahead + np.array([0, 0.9]), length=long, radius=thick, curl=curl)))
    lip = FACE[np.argmax(FACE[:, 1] < 420) :]
    for _ in range(36):
        place = lip[rng.integers(0, len(lip))] + rng.normal(0, 3, 2)
        way = np.array([0.55, 0.9]) + rng.normal(0, 0.3, 2)
        long, thick, curl = rng.uniform(26, 62), rng.uniform(4.6, 8.6), rng.uniform(0.8, 2.6)
        claws.append((0.95, finger(place, way, np.array([-0.5, 1.0]), length=long, radius=thick, curl=curl)))
    return [claw for _, claw in sorted(claws, key=lambda claw: claw[0])]


def _spray(rng: Generator) -> list[Finger]:
    drops = []
    for share in rng.random(190) ** 0.6:
        place, _ = _along_back(0.25 + 0.75 * share)
        angle = -0.9 + 1.4 * share + rng.uniform(-0.48, 0.54)
        flown = abs(rng.normal(0, 52)) + 8
        centre = place + flown * np.array([np.cos(angle), np.sin(angle)])
        drops.append((centre[None], np.array([rng.gamma(2.2, 0.9) + 0.8])))
    return drops
