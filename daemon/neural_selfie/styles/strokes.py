"""The brush: lays textured strokes of thick paint along a flow and lights their relief. What to paint, others choose.

A stroke follows the guide's flow from where it starts, ends where it meets another region, carries a colour that its
hairs vary and that picks up wet paint on the way, and leaves ridges. All strokes of a layer are sampled at about the
density of the canvas and written in one go: later strokes cover earlier ones. Lengths are in picture widths.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import Field

KNOTS = 16  # points of a stroke's path
HAIRS = 13  # independent hairs across a brush
SAMPLES_AT_ONCE = 2_500_000  # keeps the arrays of one go near 150 MiB
SPACING = 0.85  # canvas pixels between samples: under one, so that straight strokes have no holes
MARGIN = 0.03  # how far outside the picture strokes start, in picture widths
OVERSIZE = 2  # the canvas is painted at twice the width of the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What to paint: sRGB colour (h, w, 3) in 0..1, direction (h, w) twice, and region numbers (h, w) or none."""

    colour: Field
    flow_x: Field
    flow_y: Field
    region: NDArray[np.int8]

    def cell(self, points: Field) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Given points (..., 2) in picture widths, return their row and column in the guide, held inside it."""
        height, width = self.region.shape
        column = np.clip((points[..., 0] * width).astype(np.intp), 0, width - 1)
        row = np.clip((points[..., 1] * width).astype(np.intp), 0, height - 1)
        return row, column


@dataclass(frozen=True, slots=True, kw_only=True)
class Brush:
    """How strokes look. Lengths in picture widths; the rest are shares, 0..1, or deviations of sRGB values."""

    length: float
    width: float
    body: float = 1.0  # thickness of the paint, in stroke widths
    dryness: float = 0.25  # share of the hairs that run out of paint on the way
    pickup: float = 0.25  # share of wet paint that a stroke takes along
    value_spread: float = 0.07  # light and dark between strokes
    hue_spread: float = 0.035  # per channel between strokes
    hair_spread: float = 0.06  # light and dark between the hairs of one stroke
    turn_spread: float = 0.08  # radians that a stroke deviates from the flow
    taper: float = 0.5  # how pointed the end is
    tip: float = 0.1  # share of the length over which the beginning is round
    tail: float = 0.0  # the same for the end; 0.5 and a tip of 0.5 make an oval dab


@dataclass(slots=True)
class Canvas:
    """Paint so far: sRGB colour (h, w, 3) and its thickness (h, w) in canvas pixels."""

    colour: Field
    thickness: Field

    @property
    def width_px(self) -> int:
        """Return the width of the canvas in its own pixels."""
        return int(self.thickness.shape[1])


def blank(width: int, height: int, ground: Field) -> Canvas:
    """Given the size of the picture in pixels and the colour of its ground, return an unpainted canvas."""
    shape = (height * OVERSIZE, width * OVERSIZE)
    return Canvas(np.broadcast_to(ground, (*shape, 3)).astype(np.float32), np.zeros(shape, dtype=np.float32))


def underpaint(canvas: Canvas, guide: Guide, share: float) -> None:
    """Given a guide and a share in 0..1, wash its colours thinly over the canvas; they show between strokes."""
    rows, columns = canvas.thickness.shape
    height, width = guide.region.shape
    row, column = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    canvas.colour += np.float32(share) * (guide.colour[row[:, None], column] - canvas.colour)


def scatter(rng: Generator, count: int, aspect: float, density: Field | None = None) -> Field:
    """Given how many and the height of the picture in widths, return (count, 2) starts, fewer where `density` < 1.

    `density` is (h, w) in 0..1: the chance that a start at that place is kept. Some starts lie just outside.
    """
    extent = np.array([1 + 2 * MARGIN, aspect + 2 * MARGIN])
    points: Field = (rng.random((count, 2)) * extent - MARGIN).astype(np.float32)
    chance = rng.random(count)
    if density is None:
        return points
    height, width = density.shape
    row = np.clip((points[:, 1] / aspect * height).astype(np.intp), 0, height - 1)
    column = np.clip((points[:, 0] * width).astype(np.intp), 0, width - 1)
    kept: Field = points[chance < density[row, column]]
    return kept


def trace(guide: Guide, starts: Field, lengths: Field, turns: Field) -> tuple[Field, Field]:
    """Given starts (n, 2), lengths (n) and turns (n), return paths (n, KNOTS, 2) and how much of each is usable (n).

    A path ends, in 0..1 of its length, where its region does.
    """
    step = (lengths / (KNOTS - 1))[:, None]
    cos, sin = np.cos(turns), np.sin(turns)
    points = np.empty((len(starts), KNOTS, 2), dtype=np.float32)
    points[:, 0] = starts
    row, column = guide.cell(starts)
    home = guide.region[row, column]
    inside = np.ones(len(starts), dtype=bool)
    usable = np.ones(len(starts), dtype=np.float32)
    for knot in range(1, KNOTS):
        flow_x, flow_y = guide.flow_x[row, column], guide.flow_y[row, column]
        direction = np.stack([cos * flow_x - sin * flow_y, sin * flow_x + cos * flow_y], axis=1)
        points[:, knot] = points[:, knot - 1] + step * direction
        row, column = guide.cell(points[:, knot])
        leaves = inside & (guide.region[row, column] != home)
        usable[leaves] = (knot - 0.5) / (KNOTS - 1)
        inside &= ~leaves
    return points, usable


def lay(
    canvas: Canvas, guide: Guide, brush: Brush, starts: Field, rng: Generator, *, colours: Field | None = None
) -> None:
    """Given a canvas, paint one stroke from each start (n, 2), the last one uppermost.

    `colours` (n, 3) are those of the strokes; without them each has the guide's colour near its beginning.
    """
    count = len(starts)
    lengths = (brush.length * rng.uniform(0.55, 1.25, count)).astype(np.float32)
    # half of the strokes run against the flow: edges upstream are then covered as well as those downstream
    turns = (brush.turn_spread * rng.standard_normal(count) + np.pi * (rng.random(count) < 0.5)).astype(np.float32)
    widths = (brush.width * rng.uniform(0.65, 1.3, count)).astype(np.float32)
    tone = brush.value_spread * rng.standard_normal((count, 1)) + brush.hue_spread * rng.standard_normal((count, 3))
    hairs = rng.standard_normal((count, HAIRS)).astype(np.float32)
    ends = rng.random((count, HAIRS, 2)).astype(np.float32)
    paths, usable = trace(guide, starts, lengths, turns)
    if colours is None:
        loaded = np.minimum(usable * (KNOTS - 1) / 2, KNOTS // 4).astype(np.intp)
        colours = guide.colour[guide.cell(paths[np.arange(count), loaded])]
    own = (colours + tone).astype(np.float32)
    along = int(np.ceil(brush.length * 1.25 * canvas.width_px / SPACING)) + 1
    across = int(np.ceil(brush.width * 1.3 * canvas.width_px / SPACING)) + 1
    size = max(1, SAMPLES_AT_ONCE // (along * across))
    for first in range(0, count, size):
        part = slice(first, first + size)
        strokes = _Strokes(
            paths=paths[part],
            usable=usable[part],
            widths=widths[part],
            colours=_loaded_colour(canvas, brush, paths[part], own[part]),
            hairs=hairs[part],
            ends=ends[part],
        )
        _press(canvas, brush, strokes, along, across)


def _loaded_colour(canvas: Canvas, brush: Brush, paths: Field, own: Field) -> Field:
    """Return the colour (n, KNOTS, 3) that each stroke has along its path: its own (n, 3), and what it picks up."""
    height, width = canvas.thickness.shape
    x = np.clip((paths[..., 0] * width).astype(np.intp), 0, width - 1)
    y = np.clip((paths[..., 1] * width).astype(np.intp), 0, height - 1)
    wet = canvas.colour[y, x]
    share = np.float32(brush.pickup) * np.linspace(0.3, 1.4, KNOTS, dtype=np.float32)[None, :, None]
    return np.asarray(own[:, None] * (1 - share) + wet * share, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strokes:
    """Some strokes of one layer, ready to be pressed on the canvas; n of them."""

    paths: Field  # (n, KNOTS, 2) in picture widths
    usable: Field  # (n)
    widths: Field  # (n)
    colours: Field  # (n, KNOTS, 3)
    hairs: Field  # (n, HAIRS): dark or light
    ends: Field  # (n, HAIRS, 2): where each hair stops and starts, 0..1


def _press(canvas: Canvas, brush: Brush, strokes: _Strokes, along: int, across: int) -> None:
    """Sample strokes along x across and write colour and thickness; nothing where a hair is dry or off the canvas."""
    c = np.linspace(-1, 1, across, dtype=np.float32)
    path_weights, hair_weights = _linear(along, KNOTS), _linear(across, HAIRS)
    local = np.linspace(0, 1, along, dtype=np.float32)[None] / strokes.usable[:, None]
    place = _footprint(canvas, brush, strokes, local, c)
    starting, stopping = strokes.ends[..., 1], strokes.ends[..., 0]
    finish = (1 - stopping * (0.18 + 0.5 * (starting < brush.dryness))) @ hair_weights.T
    begin = (starting * 0.05) @ hair_weights.T
    wet = (local[:, :, None] < finish[:, None]) & (local[:, :, None] >= begin[:, None]) & (place >= 0)
    # of the samples that fall on one pixel only the last stays: the others are dropped before their paint is mixed
    order = np.flatnonzero(wet)
    place = place.reshape(-1)[order]
    uppermost = np.empty(canvas.thickness.size, dtype=np.int32)
    uppermost[place] = np.arange(len(place), dtype=np.int32)
    seen = uppermost[place] == np.arange(len(place), dtype=np.int32)
    place, order = place[seen], order[seen]
    stroke_and_step, lane = np.divmod(order, across)
    stroke = stroke_and_step // along
    hair = (strokes.hairs @ hair_weights.T).reshape(-1)[stroke * across + lane]
    paint = np.matmul(path_weights, strokes.colours).reshape(-1, 3)[stroke_and_step]
    canvas.colour.reshape(-1, 3)[place] = paint + np.float32(brush.hair_spread) * hair[:, None]
    # paint is pushed aside into two ridges and heaped up where the brush stops
    rim = 0.55 + 0.45 * np.abs(c) ** 3 - 0.9 * np.clip(np.abs(c) - 0.85, 0, 1) / 0.15
    heap = (0.8 + 0.35 * np.clip(local, 0, 1) ** 6).reshape(-1)
    thickness = np.float32(brush.body) * canvas.width_px * strokes.widths[stroke] * heap[stroke_and_step]
    canvas.thickness.reshape(-1)[place] = np.clip(rim[lane] + 0.22 * hair, 0.05, 2) * thickness


def _footprint(canvas: Canvas, brush: Brush, strokes: _Strokes, local: Field, lanes: Field) -> NDArray[np.int32]:
    """Return which pixel each sample (n, along, across) falls on, counted through the rows; -1 off the canvas.

    `local` (n, along) runs from 0 to 1 over the part of each path that is used, so a stroke that is cut short at the
    edge of its region still ends in its own taper.
    """
    height_px, width_px = canvas.thickness.shape
    spine = np.matmul(_linear(local.shape[1], KNOTS), strokes.paths) * np.float32(width_px)
    ahead = np.gradient(spine, axis=1)
    ahead /= np.linalg.norm(ahead, axis=2, keepdims=True) + np.float32(1e-6)
    pressure = _round(local, brush.tip) * (1 - np.float32(brush.taper) * np.clip(local, 0, 1) ** 4)
    if brush.tail > 0:
        pressure *= _round(1 - local, brush.tail)
    reach = pressure * strokes.widths[:, None] * np.float32(width_px / 2)
    sideways = (-ahead[..., 1] * reach)[..., None] * lanes, (ahead[..., 0] * reach)[..., None] * lanes
    x = np.floor(sideways[0] + spine[..., 0, None]).astype(np.int32)
    y = np.floor(sideways[1] + spine[..., 1, None]).astype(np.int32)
    on_canvas = (x >= 0) & (x < width_px) & (y >= 0) & (y < height_px)
    return np.where(on_canvas, y * np.int32(width_px) + x, np.int32(-1))


def _round(position: Field, reach: float) -> Field:
    """Return the half width, 0..1, of an oval end that is `reach` long, at positions from its tip."""
    return np.asarray(np.sqrt(1 - (1 - np.clip(position / np.float32(reach), 0, 1)) ** 2), dtype=np.float32)


def _linear(samples: int, knots: int) -> Field:
    """Return (samples, knots) weights of linear interpolation from the first knot to the last."""
    position = np.linspace(0, knots - 1, samples)
    weights: Field = np.clip(1 - np.abs(position[:, None] - np.arange(knots)), 0, 1).astype(np.float32)
    return weights


def lit(canvas: Canvas, *, relief: float = 1.0, gloss: float = 0.25, weave: float = 0.4) -> Image.Image:
    """Given a painted canvas, return the picture: its relief under light from the upper left, at the picture's size.

    `relief` scales the slopes, `gloss` the wet highlights, `weave` the threads of the cloth (in canvas pixels of height
    at a picture of 1,024 pixels).
    """
    height, width = canvas.thickness.shape
    thread = 2 * np.pi * 330  # 330 threads across the picture
    across = np.sin(np.arange(width) / width * thread)[None]
    down = np.sin(np.arange(height) / width * thread)[:, None]
    surface = canvas.thickness + np.float32(weave * width / 2048) * (across * down).astype(np.float32)
    slope_y, slope_x = np.gradient(surface)
    facing = np.clip(np.float32(relief) * (0.6 * slope_x + 0.8 * slope_y), -1.2, 1.2)
    shade = 1 + np.float32(0.28) * facing
    shine = np.float32(gloss) * np.clip(facing - 0.35, 0, 1) ** 2
    colour = np.clip(canvas.colour, 0, 1) * shade[..., None]
    colour += shine[..., None] * (1 - colour)
    pixels = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    return pixels.reduce(OVERSIZE)
