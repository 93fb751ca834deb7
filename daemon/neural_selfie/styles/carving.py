"""The woodcutter's bench: three blocks (black, blue, red), cuts whose black lines swell and taper, and the printing.

It does not know what is carved. Lengths are in points, 1/1024 of the picture's width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from neural_selfie.styles.fields import Field, grid, ramp
from neural_selfie.styles.tracery import Floats, Mask, Texture, enlarged, texture

POINTS = 1024
HEIGHT = 768
OVERSIZE = 2
COARSE = 3.2  # points between the places where distances to a line are worked out

PAPER = (0.955, 0.905, 0.795)
# what is left of the paper's light under one full layer of ink
BLACK, BLUE, OCHRE, VERMILION = (0.055, 0.055, 0.075), (0.10, 0.30, 0.50), (0.83, 0.42, 0.20), (0.80, 0.20, 0.11)

Points = NDArray[np.float64]
Finger = tuple[Points, Points]


@dataclass(frozen=True, slots=True)
class Block:
    """The part of the blocks being carved: positions and ink, 0..1, each (h, w); `scale` is pixels per point."""

    x: Field
    y: Field
    black: Field
    blue: Field
    red: Field
    scale: float
    wood: Texture
    layers: Iterator[int]

    def part(self, left: float, top: float, right: float, bottom: float) -> "Block":
        """Given a rectangle, return that part of the blocks: what is carved there is carved here."""
        rows = slice(max(0, int(top * self.scale)), max(0, int(bottom * self.scale) + 1))
        columns = slice(max(0, int(left * self.scale)), max(0, int(right * self.scale) + 1))
        fields = {name: getattr(self, name)[rows, columns] for name in ("x", "y", "black", "blue", "red")}
        return replace(self, **fields)

    def noise(self, wide: float, high: float | None = None, *, octaves: int = 2, layer: int = 0) -> Field:
        """Return noise over this part with blobs of that size; a layer names a field that can be had again."""
        return self.wood.at(self.x, self.y, wide, high, octaves=octaves, layer=layer)

    def _pixels(self, points: ArrayLike) -> list[tuple[float, float]]:
        left, top = float(self.x[0, 0]) * self.scale - 0.5, float(self.y[0, 0]) * self.scale - 0.5
        return [(x * self.scale - left, y * self.scale - top) for x, y in np.asarray(points, dtype=np.float64)]

    def inside(self, outline: ArrayLike) -> Mask:
        """Given the corners of a polygon (n, 2), return what lies in it."""
        picture = Image.new("L", self.x.shape[::-1])
        ImageDraw.Draw(picture).polygon(self._pixels(outline), fill=255)
        return np.asarray(picture) > 0

    def away_from(self, line: Points) -> Field:
        """Given a polyline (n, 2), return the distance to it in points, smooth: worked out coarsely and enlarged."""
        height_px, width_px = self.x.shape
        columns, rows = (max(2, round(length / self.scale / COARSE)) for length in (width_px, height_px))
        x = self.x[0, 0] + (np.arange(columns) + 0.5) * (width_px / self.scale / columns)
        y = (self.y[0, 0] + (np.arange(rows) + 0.5) * (height_px / self.scale / rows))[:, None]
        nearest = np.full((rows, columns), np.inf)
        for (x0, y0), (dx, dy) in zip(line[:-1], np.diff(line, axis=0), strict=True):
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
            np.minimum(nearest, np.hypot(x - x0 - along * dx, y - y0 - along * dy), out=nearest)
        return enlarged(nearest.astype(np.float32), width_px, height_px)

    def cut(self, where: Mask, rise: Floats, along: Floats, *, spacing: float, tone: Floats, taper: float) -> None:
        """Carve `where`: black lines stand at equal `rise`, as wide as `tone` (share of black) asks for.

        They breathe, end and begin over about `taper` points of `along`; where tone is low they are cut away, where
        it is high they run together into black with white slivers.
        """
        layer = next(self.layers)
        x, y, along, tone = self.x[where], self.y[where], along[where], tone[where]
        rise = rise[where] + 0.9 * self.wood.at(x, y, 26, layer=layer)  # the hand is not a ruler
        line = np.floor(rise / spacing)
        life = self.wood.blobs(along / taper + 91.7 * np.sin(12.9 * line), line + 13 * layer)
        chatter = self.wood.blobs(along / 5, rise / 2.2)
        share = np.clip((tone + 0.30 * life + 0.035 * chatter - 0.10) / 0.80, 0, 1)
        share = np.where(share < 0.10, 0, np.where(share > 0.93, 1.2, share))
        edge = (share / 2 - np.abs(rise / spacing - line - 0.5)) * spacing
        self.black[where] = np.clip(edge * self.scale + 0.5, 0, 1)

    def outline(self, away: Floats, half: float, where: Mask | None = None) -> None:
        """Leave a black line of varying width where `away`, in points, is near 0."""
        width = half * (1 + 0.45 * self.noise(40, layer=next(self.layers)))
        ink = np.clip((width - np.abs(away)) * self.scale + 0.5, 0, 1)
        np.maximum(self.black, ink if where is None else ink * where, out=self.black)

    def ink(self, where: Mask, blue: Floats | float, red: Floats | float) -> None:
        """Set how much of the two colours is printed there."""
        for block, amount in ((self.blue, blue), (self.red, red)):
            block[where] = np.broadcast_to(np.asarray(amount, dtype=np.float32), where.shape)[where]

    def foam(self, fingers: Sequence[Finger]) -> None:
        """Carve white fingers, each a row of discs (centres, radii), outlined, later ones over earlier ones."""
        picture = Image.new("L", self.x.shape[::-1], 128)
        draw = ImageDraw.Draw(picture)
        for centres, radii in fingers:
            discs = list(zip(self._pixels(centres), radii, strict=True))
            for rim, shade in ((1.7, 0), (0.0, 255)):
                for (x, y), radius in discs:
                    reach = (radius + rim) * self.scale
                    draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=shade)
        drawn = np.asarray(picture)
        white, rims = drawn == 255, drawn == 0
        slant = 0.6 * self.x + 0.8 * self.y + 3 * np.sin(self.x / 9)
        tone = 0.02 + 0.26 * self.noise(30, layer=next(self.layers))
        self.cut(white, slant, self.x - self.y, spacing=6, tone=tone, taper=16)
        self.black[rims] = 1
        self.ink(white | rims, 0, 0.06)


def plank(rng: Generator, width: int) -> Block:
    """Given a width of the picture in pixels, return uncarved, uninked blocks `OVERSIZE` times as large."""
    width_px = width * OVERSIZE
    x, y = grid(width_px, round(width * HEIGHT / POINTS) * OVERSIZE)
    black, blue, red = (np.zeros_like(x) for _ in range(3))
    return Block(x * POINTS, y * POINTS, black, blue, red, width_px / POINTS, texture(rng), count(40))


def curve(*points: tuple[float, float]) -> Points:
    """Given points, return a smooth polyline through them: a Catmull-Rom spline, 24 steps from one to the next."""
    given = np.array(points, dtype=np.float64)
    p = np.vstack([2 * given[0] - given[1], given, 2 * given[-1] - given[-2]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    spline = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([spline.reshape(-1, 2), given[-1:]])


def finger(root: Points, ahead: Points, towards: Points, *, length: float, radius: float, curl: float) -> Finger:
    """Given a root and two directions, return a tapering finger that leaves along one and curls to the other."""
    steps = 26
    side = np.sign(ahead[0] * towards[1] - ahead[1] * towards[0]) or 1.0
    share = np.arange(steps) / steps
    turned = np.append(0, np.cumsum(side * curl / steps * (0.4 + 1.6 * share)))[:-1]
    angle = np.arctan2(ahead[1], ahead[0]) + turned
    path = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0) * (length / steps)
    radii = radius * np.clip(1 - np.linspace(0, 1, steps + 1), 0.10, 1) ** 0.75
    return np.vstack([root, root + path]), radii


def printed(block: Block) -> Image.Image:
    """Given carved blocks, return the print: grain in thin ink, blocks a little out of register, gaps in the black."""
    x, y = block.x, block.y
    warp = 26 * block.noise(420, 120, layer=31)
    for knot_x, knot_y, size in ((250, 560, 60), (820, 120, 50), (610, 690, 42)):
        warp += 46 * np.exp(-(((x - knot_x) / (2.2 * size)) ** 2 + ((y - knot_y) / size) ** 2))
    rings = np.sin(2 * np.pi * (y + warp) / 10.5 + 2.2 * block.noise(160, 20, layer=32))
    pores = block.wood.at(x, y + warp, 34, 1.5, layer=33)
    grain = 0.55 * rings + 0.6 * pores
    patches, specks = block.noise(60, octaves=3, layer=34), block.noise(2.6, layer=35)
    uneven = 0.13 * patches + 0.10 * specks
    red = _shifted(block, block.red, 1.9, -1.6) * np.clip(0.84 + 0.22 * grain + uneven, 0, 1.3)
    blue = _shifted(block, block.blue, -2.2, 1.5) * np.clip(0.80 + 0.26 * grain + uneven, 0, 1.35)
    missed = np.clip(2.2 * (specks + 0.5 * pores + 0.35 * patches - 1.05), 0, 0.75)
    black = block.black * np.clip(0.93 + 0.06 * grain + 0.06 * patches, 0.6, 1.1) * (1 - missed)
    hot = ramp(red, 0.62, 0.9)
    fibres = block.wood.at(x + 0.5 * y, y - 0.4 * x, 26, 1.3, layer=36)
    fibres += block.wood.at(x - 0.7 * y, y + 0.6 * x, 30, 1.4, layer=37)
    sheet = 1 + 0.03 * fibres + 0.02 * patches + 0.026 * specks
    down, across = np.gradient(block.black)
    sheet *= 1 + 0.05 * np.clip(2 * (down + across), -1, 1)  # the press leaves the lines a little below the paper
    channels = []
    for channel in range(3):
        layers = ((red * (1 - hot), OCHRE), (red * hot, VERMILION), (blue, BLUE), (black, BLACK))
        density = sum(-amount * np.float32(np.log(ink[channel])) for amount, ink in layers)
        channels.append(PAPER[channel] * sheet * np.exp(-density))
    pixels = np.clip(np.stack(channels, axis=-1), 0, 1) * 255 + 0.5
    return Image.fromarray(pixels.astype(np.uint8)).reduce(OVERSIZE)


def _shifted(block: Block, ink: Field, right: float, down: float) -> Field:
    rows, columns = (np.arange(length) for length in ink.shape)
    rows = np.clip(rows - round(down * block.scale), 0, len(rows) - 1)
    return np.asarray(ink[rows][:, np.clip(columns - round(right * block.scale), 0, len(columns) - 1)])
