"""An orb web: where its threads run and where dew hangs on them. It paints nothing.

The web is a pair of smooth coordinates, turns from the hub and share of a sector, in which threads are the whole
numbers. It has what spiders' webs have: uneven radii, sagging chords, wider meshes outside, torn threads, beads of one
size in a row. Lengths are in picture widths.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from neural_selfie.styles.tracery import Floats

HUB = (0.545, 0.365)
RADII = 30
START = 0.034  # radius at which the catching spiral begins, in picture widths like the two below
PITCH = 0.0180
GROWTH = 0.022  # how much wider the spiral gets with each turn
TURNS = 30
TORN = 0.025  # share of the threads that are missing
ASPECT = 0.75

Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Web:
    """Angles of the radii and how far the spiral bulges there (RADII + 1, the last is the first), a chance per mesh."""

    angles: Floats
    bulge: Floats
    chance: Floats

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Numbers, Floats]:
        """Given positions, return turns from the hub, number of the sector, and the share of the way through it."""
        dx, dy = x - np.float32(HUB[0]), y - np.float32(HUB[1])
        angle = (np.arctan2(dy, dx) - self.angles[0]) % (2 * np.pi) + self.angles[0]
        sector = np.clip(np.searchsorted(self.angles, angle, side="right") - 1, 0, RADII - 1)
        share = (angle - self.angles[sector]) / (self.angles[sector + 1] - self.angles[sector])
        steps = (np.hypot(dx, dy) / self.shape(sector, share) - START) / PITCH
        turns = np.where(steps > 0, (np.sqrt(1 + 4 * GROWTH * np.maximum(steps, 0)) - 1) / (2 * GROWTH), 2 * steps)
        return (turns - (sector + share) / RADII).astype(np.float32), sector, share.astype(np.float32)

    def shape(self, sector: Numbers, share: Floats) -> Floats:
        """Return the spiral's radius there as a share of a circle's: threads sag towards the hub between radii."""
        straight = self.bulge[sector] * (1 - share) + self.bulge[sector + 1] * share
        return straight * (1 - 0.13 * share * (1 - share))

    def spot(self, turn: float, sector: int, share: Floats) -> tuple[Floats, Floats]:
        """Given a thread of the spiral and shares of the way along it, return the positions: `place` turned round."""
        turns = turn + (sector + share) / RADII
        radius = (START + PITCH * (turns + GROWTH * turns**2)) * self.shape(np.full(len(share), sector), share)
        angle = self.angles[sector] * (1 - share) + self.angles[sector + 1] * share
        return HUB[0] + radius * np.cos(angle), HUB[1] + radius * np.sin(angle)


def spin(rng: Generator) -> Web:
    """Given a generator, return a web."""
    angles = (np.arange(RADII) + rng.uniform(-0.27, 0.27, RADII)) * 2 * np.pi / RADII
    bulge = 1 + rng.normal(0, 0.022, RADII) + 0.07 * np.sin(2 * angles + 1) + 0.05 * np.sin(3 * angles + 4)
    closed = np.append(angles, angles[0] + 2 * np.pi), np.append(bulge, bulge[0])
    return Web(
        closed[0].astype(np.float32), closed[1].astype(np.float32), rng.random((64, RADII, 3)).astype(np.float32)
    )


def beads(web: Web, rng: Generator) -> Floats:
    """Return the drops as (n, 3): position and radius in picture widths, small ones first."""
    drops = []
    for turn in range(1, TURNS):
        for sector in range(RADII):
            step, rich = rng.uniform(0.0055, 0.0125), rng.random() > 0.72
            share = np.arange(0.05, 0.97, 0.004) + rng.normal(0, 0.02)
            x, y = web.spot(turn, sector, share.astype(np.float32))
            run = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
            at = np.arange(step / 2, run[-1], step)
            size = 0.0012 * np.exp(rng.normal(0, 0.42, len(at))) * (1.8 if rich else 1)
            size = np.where(rng.random(len(at)) < 0.05, rng.uniform(0.003, 0.0068, len(at)), size)
            if web.chance[turn % 64, sector, 2] >= TORN:
                drops.append(np.stack([np.interp(at, run, x), np.interp(at, run, y) + 0.5 * size, size], axis=1))
    every = np.concatenate(drops)
    seen = (np.abs(every[:, 0] - 0.5) < 0.51) & (np.abs(every[:, 1] - ASPECT / 2) < ASPECT / 2 + 0.01)
    return every[seen][np.argsort(every[seen, 2])]
