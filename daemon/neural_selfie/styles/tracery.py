"""What carved and leaded pictures are made of: texture readable anywhere, tiles, borders, distances, glow.

It knows nothing of wood or glass. Unlike the noise of `fields`, a texture here has no canvas: it is read at whatever
positions a program makes up (along a gouge, turned with a pane), in whatever unit those have.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from neural_selfie.styles.fields import Field

Floats = NDArray[np.floating[Any]]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
KNOTS = 256  # a texture repeats after so many blobs


@dataclass(frozen=True, slots=True)
class Texture:
    """Smooth noise of about -1..1 over an endless plane, from a table (KNOTS, KNOTS) of random knots."""

    knots: Field

    def blobs(self, x: Floats, y: Floats) -> Field:
        """Given positions in blobs, return the noise there, one octave of it."""
        left, top = np.floor(x), np.floor(y)
        right, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
        right, down = right * right * (3 - 2 * right), down * down * (3 - 2 * down)
        i, j = left.astype(np.int32) % KNOTS, top.astype(np.int32) % KNOTS
        i_next, j_next = (i + 1) % KNOTS, (j + 1) % KNOTS
        above = self.knots[j, i] * (1 - right) + self.knots[j, i_next] * right
        below = self.knots[j_next, i] * (1 - right) + self.knots[j_next, i_next] * right
        return np.asarray(above * (1 - down) + below * down, dtype=np.float32)

    def at(
        self, x: Floats, y: Floats, wide: float, high: float | None = None, *, octaves: int = 2, layer: int = 0
    ) -> Field:
        """Given positions, return noise with blobs of that size; each layer is another place of the same plane."""
        total, strength = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32), 0.0
        for octave in range(octaves):
            fine = 2**octave
            across = x * (fine / wide) + np.float32(17.3 * octave + 7.7 * layer)
            along = y * (fine / (high or wide)) + np.float32(31.7 * octave + 3.1 * layer)
            total += self.blobs(across, along) / np.float32(fine)
            strength += 1 / fine
        return total * np.float32(1.6 / strength)


def texture(rng: Generator) -> Texture:
    """Given a generator, return a texture of its own."""
    return Texture(rng.uniform(-1, 1, (KNOTS, KNOTS)).astype(np.float32))


def number(i: Numbers, j: Numbers, salt: int) -> Numbers:
    """Given whole numbers, return one of 0..2^31-1 for each pair that looks random and is always the same."""
    mixed = (i * 73856093) ^ (j * 19349663) ^ (salt * 83492791)
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0x7FFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0x7FFFFFFF
    return np.asarray(mixed ^ (mixed >> 11), dtype=np.int64)


def tiles(u: Floats, v: Floats, salt: int, *, jitter: float = 0.8, around: int | None = None) -> Numbers:
    """Given positions in tiles, return the number of the nearest of the jittered sites: Worley's cells.

    `around` makes the tiles close round a circle of so many in u.
    """
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    nearest = np.full(u.shape, np.inf, dtype=np.float32)
    names = np.zeros(u.shape, dtype=np.int64)
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            i, j = column + di, row + dj
            name = number(i % around if around else i, j, salt)
            du = i + 0.5 + jitter * ((name & 1023) / 1023 - 0.5) - u
            dv = j + 0.5 + jitter * (((name >> 10) & 1023) / 1023 - 0.5) - v
            distance = du * du + dv * dv
            closer = distance < nearest
            nearest[closer], names[closer] = distance[closer], name[closer]
    return names


def borders(labels: NDArray[np.integer]) -> Mask:
    """Given labels (h, w), return where a pixel's neighbour above, below, left or right has another."""
    found = np.zeros(labels.shape, dtype=bool)
    upright, level = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= upright
    found[:-1] |= upright
    found[:, 1:] |= level
    found[:, :-1] |= level
    return found


def distance(marked: Mask, reach_px: int) -> Field:
    """Given marks (h, w), return each pixel's distance in pixels to the nearest, at most `reach_px`; it is exact.

    Squared distances are lower envelopes of parabolas, one axis after the other (Felzenszwalb and Huttenlocher 2012).
    """
    squared = np.where(marked, np.float32(0), np.float32(reach_px**2))
    for axis in (0, 1):
        lines = np.moveaxis(squared, axis, 0)
        lower = lines.copy()
        for step in range(1, min(reach_px, len(lines) - 1) + 1):
            np.minimum(lower[step:], lines[:-step] + step**2, out=lower[step:])
            np.minimum(lower[:-step], lines[step:] + step**2, out=lower[:-step])
        squared = np.moveaxis(lower, 0, axis)
    return np.sqrt(squared)


def softened(surface: Field, spread_px: float) -> Field:
    """Given (h, w) or (h, w, c), return it blurred by a Gaussian; edges repeat."""
    reach = int(3 * spread_px + 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread_px) ** 2).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if axis == one else (0, 0) for one in range(surface.ndim)]
        lines = np.moveaxis(np.pad(surface, padding, mode="edge"), axis, 0)
        count = surface.shape[axis]
        blurred = np.zeros_like(lines[:count])
        for step, weight in enumerate(weights):
            blurred += weight * lines[step : step + count]
        surface = np.moveaxis(blurred, 0, axis)
    return surface


def enlarged(surface: Field, width_px: int, height_px: int) -> Field:
    """Given (h, w), return it at another size, bicubic."""
    size = (width_px, height_px)
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(surface)).resize(size, Image.Resampling.BICUBIC), dtype=np.float32
    )


def glow(light: Field, spread_px: float) -> Field:
    """Given light (h, w, 3), return it blurred widely: worked out at a size that suits the blur."""
    height_px, width_px = light.shape[:2]
    step = max(1, int(spread_px / 3))
    rows, columns = -(-height_px // step), -(-width_px // step)
    padding = ((0, rows * step - height_px), (0, columns * step - width_px), (0, 0))
    blocks = np.pad(light, padding, mode="edge").reshape(rows, step, columns, step, 3).mean(axis=(1, 3))
    small = softened(blocks, spread_px / step)
    return np.stack([enlarged(small[..., c], columns * step, rows * step) for c in range(3)], axis=-1)[
        :height_px, :width_px
    ]
