"""The glazier's bench: panes of streaky glass with light behind them, set in lead. It does not know what they show.

Glass follows Beer and Lambert: what comes through is the colour to the power of the thickness, so thin places are pale
and thick ones deep. Lengths are in points, 1/1024 of the picture's width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import Field, blend, ramp
from neural_selfie.styles.tracery import Mask, Texture, borders, distance, glow, softened

POINTS = 1024
HEIGHT = 768
OVERSIZE = 2
MILK = (1.0, 0.95, 0.85)
BUBBLES = 2600
THIN, THICK, SOLDER = 2.15, 3.7, 4.3  # half widths of the lead between panes, between parts, and of the joints


@dataclass(frozen=True, slots=True)
class Panes:
    """A window before it is made.

    Positions (h, w) in points, the number of the pane and of the part of the picture (h, w); for each pane its colour
    (n, 3) in linear light, the angle of its streaks (n), and random shares (n, 6); light behind it all (h, w).
    """

    x: Field
    y: Field
    pane: NDArray[np.int64]
    part: NDArray[np.uint8]
    colour: Field
    lean: Field
    chance: Field
    light: Field

    @property
    def scale(self) -> float:
        """Return how many pixels a point has."""
        return float(self.x.shape[1] / POINTS)


def leaded(panes: Panes, wood: Texture, rng: Generator) -> Image.Image:
    """Given the plan of a window, return it as it looks from inside by day, RGB, `OVERSIZE` times smaller."""
    scale = panes.scale
    to_pane = softened(distance(borders(panes.pane), int(16 * scale) + 1), 0.5 * scale) / np.float32(scale)
    glass = _glass(panes, wood, to_pane)
    _add_bubbles(glass, panes, rng)
    near, far = glow(glass, 14 * scale), glow(glass, 50 * scale)
    lead, cover = _lead(panes, wood, to_pane)
    light = blend(glass, lead + 0.02 * near, cover) + 0.035 * near + 0.03 * far
    light *= np.float32(1.5)
    light = 1 - np.exp(-light * (1 + 0.8 * light))
    pixels = Image.fromarray((np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8))
    return pixels.reduce(OVERSIZE)


def middles(pane: NDArray[np.int64], count: int, surface: Field) -> Field:
    """Given the panes' numbers (h, w) and a surface, return its mean over each of the `count` panes."""
    sizes = np.bincount(pane.ravel(), minlength=count)
    sums = np.bincount(pane.ravel(), weights=surface.ravel(), minlength=count)
    return (sums / np.maximum(sizes, 1)).astype(np.float32)


def _glass(panes: Panes, wood: Texture, to_pane: Field) -> Field:
    """Return the light that comes through, (h, w, 3), linear: streaks, ripples, milk, a slope in each pane, dirt."""
    x, y, pane, scale = panes.x, panes.y, panes.pane, panes.scale
    cos, sin = np.cos(panes.lean)[pane], np.sin(panes.lean)[pane]
    apart = (900 * panes.chance[:, 0])[pane]
    along, across = x * cos + y * sin + apart, y * cos - x * sin + apart
    bend = wood.at(x, y, 30, layer=9)
    streaks = wood.at(along / 6, across + 5 * bend, 9, octaves=3, layer=10)
    fine = wood.at(along / 5, across + 2 * bend, 2.6, layer=11)
    ripples = wood.at(along / 1.6, across, 5.5, layer=12)
    down, right = np.gradient(ripples)
    facing = np.clip(-1.6 * scale * (down + right), -1, 1)
    count = len(panes.colour)
    size = np.sqrt(np.bincount(pane.ravel(), minlength=count)).astype(np.float32) / np.float32(scale)
    turn = 2 * np.pi * panes.chance[:, 1]
    slope = (x - middles(pane, count, x)[pane]) * np.cos(turn)[pane]
    slope = (slope + (y - middles(pane, count, y)[pane]) * np.sin(turn)[pane]) / size[pane]
    thickness = np.exp(0.52 * streaks + 0.16 * fine + 0.55 * slope)
    through = np.clip(panes.colour, 0.004, 1)[pane] ** thickness[..., None]
    wisps = np.clip(wood.at(along / 3, across + 8 * bend, 15, octaves=3, layer=13) - 0.15, 0, 1)
    wisps *= (0.2 + 0.5 * panes.chance[:, 2])[pane]
    through = blend(through, 0.55 * through + 0.45 * np.array(MILK, dtype=np.float32), wisps)
    dirt = np.exp(-np.clip((to_pane - 2) / 6, 0, 9))
    light = panes.light * (0.8 + 0.4 * panes.chance[:, 3])[pane] * (1 + 0.34 * facing + 0.10 * ripples)
    return np.asarray(through * (light * (1 - 0.62 * dirt))[..., None], dtype=np.float32)


def _add_bubbles(glass: Field, panes: Panes, rng: Generator) -> None:
    """Put seeds of air into the glass, drawn out along its streaks: a dark rim and a bright heart."""
    height_px, width_px = panes.pane.shape
    scale = panes.scale
    places = rng.random((BUBBLES, 2)) * (POINTS, HEIGHT)
    for (x, y), size in zip(places, rng.gamma(3, 0.38, BUBBLES) + 0.45, strict=True):
        row, column = min(int(y * scale), height_px - 1), min(int(x * scale), width_px - 1)
        lean = panes.lean[panes.pane[row, column]]
        reach = int(3 * size * scale) + 1
        part = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
        dx, dy = panes.x[part] - x, panes.y[part] - y
        long, short = dx * np.cos(lean) + dy * np.sin(lean), dy * np.cos(lean) - dx * np.sin(lean)
        away = np.hypot(long / 1.7, short) / size
        rim = np.exp(-(((away - 0.95) / 0.28) ** 2))
        heart = np.exp(-(((dx + 0.3 * size) ** 2 + (dy + 0.3 * size) ** 2) / (0.5 * size) ** 2))
        glass[part] *= (1 - 0.5 * rim + 1.1 * heart)[..., None].astype(np.float32)


def _joints(pane: NDArray[np.int64]) -> Mask:
    """Return where three panes or more meet."""
    corners = np.stack([pane[:-1, :-1], pane[1:, :-1], pane[:-1, 1:], pane[1:, 1:]])
    corners.sort(axis=0)
    found = np.zeros(pane.shape, dtype=bool)
    found[:-1, :-1] = (np.diff(corners, axis=0) != 0).sum(axis=0) > 1
    return found


def _lead(panes: Panes, wood: Texture, to_pane: Field) -> tuple[Field, Field]:
    """Return the lead, (h, w, 3) in linear light, lit from the upper left, and how far it covers each pixel."""
    x, y, scale = panes.x, panes.y, panes.scale
    to_part = softened(distance(borders(panes.part), int(8 * scale) + 1), 0.5 * scale) / np.float32(scale)
    to_joint = distance(_joints(panes.pane), int(8 * scale) + 1) / np.float32(scale)
    uneven = 1 + 0.22 * wood.at(x, y, 34, layer=8)
    height = np.zeros_like(x)
    cover = np.zeros_like(x)
    for away, half in ((to_pane, THIN * uneven), (to_part, THICK * uneven), (to_joint, SOLDER * uneven)):
        rounded = half * np.sqrt(np.clip(1 - (away / half) ** 2, 0, 1))
        np.maximum(height, rounded if away is not to_joint else 0.68 * rounded, out=height)
        np.maximum(cover, np.clip((half - away) * scale + 0.5, 0, 1), out=cover)
    solder = ramp(to_joint / uneven, SOLDER, 0.5 * SOLDER)
    hammered = height + 0.16 * wood.at(x, y, 2.4, layer=15) + 0.25 * solder * wood.at(x, y, 5, layer=16)
    down, right = np.gradient(hammered * np.float32(scale))
    upright = 1 / np.sqrt(1 + right**2 + down**2)
    lit = np.clip((0.5 * right + 0.62 * down + 0.6) * upright, 0, 1)
    shine = np.clip((0.35 * right + 0.43 * down + 0.85) * upright / 1.12, 0, 1) ** 14
    metal = np.array([0.010, 0.011, 0.014], dtype=np.float32)
    gleam = np.array([0.34, 0.38, 0.45], dtype=np.float32)
    lead = metal * (1 + 1.5 * solder[..., None]) * (0.25 + 1.1 * lit[..., None])
    return lead + gleam * (shine * (0.5 + 0.5 * solder))[..., None], cover
