"""What the style programs think in: smooth noise, ramps, palettes and flows over a picture. It puts no paint anywhere.

Positions are in picture widths: x runs from 0 to 1, y from 0 at the top to height / width. Every random number comes
from the generator that is passed in, and how many are drawn depends on sizes in picture widths only, never on pixels:
the same seed gives the same picture at every resolution.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]

# The mean square of the cubic B-spline's weights is 151/315 along each axis: with white noise of variance one at the
# knots, the standard deviation of the surface is the product's root, the same number again.
_SPREAD_OF_SPLINE = 151 / 315


def grid(width_px: int, height_px: int) -> tuple[Field, Field]:
    """Given a size in pixels, return x and y of every pixel's centre, each (height, width), in picture widths."""
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    return (x + np.float32(0.5)) / np.float32(width_px), (y + np.float32(0.5)) / np.float32(width_px)


def spline_basis(samples: int, knots: int) -> Field:
    """Given how many samples cover how many intervals, return (samples, knots + 3) cubic B-spline weights."""
    position = (np.arange(samples) + 0.5) / samples * knots
    first = np.minimum(position.astype(np.int64), knots - 1)
    t = position - first
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3],
        axis=1,
    )
    basis = np.zeros((samples, knots + 3), dtype=np.float32)
    np.put_along_axis(basis, first[:, None] + np.arange(4), weights.astype(np.float32) / 6, axis=1)
    return basis


def smooth_noise(rng: Generator, width_px: int, height_px: int, *, cell: float, octaves: int = 1) -> Field:
    """Given the size of its blobs in picture widths, return (height, width) noise of mean 0 and deviation about 1.

    Each further octave halves the blobs and their strength.
    """
    surface = np.zeros((height_px, width_px), dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        size, strength = cell / 2**octave, 0.5**octave
        across = max(1, round(1 / size))
        down = max(1, round(height_px / width_px / size))
        knots = rng.standard_normal((down + 3, across + 3)).astype(np.float32)
        layer = spline_basis(height_px, down) @ knots @ spline_basis(width_px, across).T
        surface += layer * np.float32(strength / _SPREAD_OF_SPLINE)
        power += strength**2
    return surface / np.float32(np.sqrt(power))


def ramp(value: Field, low: float, high: float) -> Field:
    """Given values, return 0 below `low`, 1 above `high` and a smooth step between; `low` > `high` turns it round."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def bump(value: Field, centre: float, spread: float) -> Field:
    """Given values, return a bell that is 1 at `centre` and falls to 0.37 at a distance of `spread`."""
    return np.asarray(np.exp(-(((value - centre) / spread) ** 2)), dtype=np.float32)


def colour(code: str) -> Field:
    """Given a colour as `#rrggbb`, return its three sRGB values in 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) / np.float32(255)


def palette(stops: Sequence[str], position: Numbers) -> Field:
    """Given colours as `#rrggbb` and positions (0 = first, 1 = last), return sRGB values of shape (*position, 3)."""
    colours = np.stack([colour(stop) for stop in stops])
    place = np.linspace(0, 1, len(stops))
    channels = [np.interp(position, place, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def blend(under: Field, over: Field, amount: Field) -> Field:
    """Given two colours (..., 3) and an amount in 0..1 without the last axis, return the mixture."""
    share = np.clip(amount, 0, 1)[..., None]
    return np.asarray(under * (1 - share) + over * share, dtype=np.float32)


def whirl(x: Field, y: Field, *, centre: tuple[float, float], radius: float, turn: float) -> tuple[Field, Field]:
    """Given positions, return the velocity of an eddy: strongest near `radius`, clockwise on screen for `turn` > 0."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    nearness = np.float32(turn) * np.exp(-(dx * dx + dy * dy) / np.float32(radius * radius)) / np.float32(radius)
    return -dy * nearness, dx * nearness


def unit(flow_x: Numbers, flow_y: Numbers) -> tuple[Field, Field]:
    """Given a flow, return its direction: the same vectors with length one, to the right where nothing flows."""
    onward = flow_x + np.float32(1e-6)
    length = np.hypot(onward, flow_y) + np.float32(1e-9)
    return (onward / length).astype(np.float32), (flow_y / length).astype(np.float32)


def drift(field: Field, flow_x: Field, flow_y: Field, *, length: float, doublings: int = 5) -> Field:
    """Given a (h, w) field and a flow of length one, return the field's mean along the flow line through each pixel.

    `length` is that of the line, in picture widths (line integral convolution, Cabral & Leedom 1993).
    """
    height, width = field.shape
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    total = np.zeros_like(field)
    # unlike in the paper, a line is not walked step by step: one twice as long is itself, and itself from its end on
    for way in (0.5, -0.5):
        step = np.float32(way * length * width / 2**doublings)
        along, ahead_x, ahead_y = field, step * flow_x, step * flow_y
        for _ in range(doublings):
            end_x = np.clip(column + ahead_x + np.float32(0.5), 0, width - 1).astype(np.int32)
            end_y = np.clip(row + ahead_y + np.float32(0.5), 0, height - 1).astype(np.int32)
            end = end_y * np.int32(width) + end_x
            along = along + along.reshape(-1)[end]
            ahead_x, ahead_y = ahead_x + ahead_x.reshape(-1)[end], ahead_y + ahead_y.reshape(-1)[end]
        total += along
    return total / np.float32(2 * 2**doublings)
