"""Give a matched picture the style's contrast and grain back, which the averaging of overlapping patches took.

Sliced optimal transport of patches (the distance of GPDM, Elnekave and Weiss 2022, arXiv 2203.11862): along random
directions the picture's patches take the style's distribution. GPDM descends that distance with Adam, whose equal
steps for every pixel end in static; here each patch moves by what it lacks (Pitié et al. 2007), which keeps strokes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.pyramid import halved, resized

_PATCH_PX = 5
_DIRECTIONS = 16  # of the 75 that a patch has, new ones at each step
_LARGE = 2_000_000  # pixels
_LEAST_SHARE = 0.4  # of the patches that overlap in the middle of a picture
_SAMPLES = 40_000  # patches per octave and step, drawn on a lattice with a random offset


@dataclass(frozen=True, slots=True)
class Goal:
    """Random directions (16, 3, 5, 5) and the ascending answers (16, M) that the style images give to them."""

    filters: Tensor
    wanted: Tensor


def drawn_goals(octaves: Sequence[Sequence[Tensor]], shares: Sequence[float], generator: torch.Generator) -> list[Goal]:
    """Given the style images at each octave, fine to coarse, and shares (sum 1), return new directions for a step.

    The variants of a sweep take the same ones: what the style answers is computed once.
    """
    goals = []
    for images in octaves:
        filters = random_directions(_DIRECTIONS, _PATCH_PX, generator).to(images[0].device)
        wanted = []
        for image, share in zip(images, shares, strict=True):
            answers = projected(image, filters, lattice(image.shape[1], image.shape[2], generator)).flatten(1)
            wanted.append(quantiles(answers, max(1, round(share * _SAMPLES))) if len(images) > 1 else answers)
        goals.append(Goal(filters, _ascending(torch.cat(wanted, 1))))
    return goals


def transported(
    picture: Tensor, goals: Sequence[Goal], generator: torch.Generator, rate: float
) -> tuple[Tensor, float]:
    """Given a picture (3, H, W) and the goals at each octave, fine to coarse, return it one step nearer.

    `rate` 1 gives each patch all that it lacks along this step's directions. Also return what the patches lacked at
    the finest octave: a root mean square.
    """
    lack = 0.0
    for number in reversed(range(len(goals))):
        small = picture
        for _ in range(number):
            small = halved(small)
        change, lack = lacking(small, goals[number], generator)
        picture = picture + rate * resized(change, picture.shape[1], picture.shape[2])
    return picture, lack


def lacking(picture: Tensor, goal: Goal, generator: torch.Generator) -> tuple[Tensor, float]:
    """Given a picture and a goal, return what to add (3, H, W), and its root mean square.

    Where few patches overlap, along the border, a step goes less far: one patch alone takes any colour.
    """
    place = stride, down, right = lattice(picture.shape[1], picture.shape[2], generator)
    answers = projected(picture, goal.filters, place)
    flat = answers.flatten(1)
    aim = resampled(goal.wanted, flat.shape[1])
    lack = torch.empty_like(flat).scatter_(1, _order(flat), aim) - flat
    moved = functional.conv_transpose2d(lack.view_as(answers)[None], goal.filters, stride=stride)[0]
    ones = torch.ones_like(goal.filters[:1, :1])
    overlaps = functional.conv_transpose2d(torch.ones_like(answers[None, :1]), ones, stride=stride)[0]
    change = torch.zeros_like(picture)
    inside = slice(down, down + moved.shape[1]), slice(right, right + moved.shape[2])
    change[:, *inside] = moved / overlaps.clamp_min(_LEAST_SHARE * (_PATCH_PX / stride) ** 2)
    return change, float(lack.square().mean().sqrt())


def octaves_of(images: Sequence[Tensor], count: int) -> list[list[Tensor]]:
    """Given style images, return `count` octaves of them, fine to coarse."""
    found = [list(images)]
    while len(found) < count:
        found.append([halved(image) for image in found[-1]])
    return found


def random_directions(count: int, patch_px: int, generator: torch.Generator) -> Tensor:
    """Given how many, return random orthonormal filters (count, 3, p, p), drawn on the CPU."""
    drawn = torch.randn(3 * patch_px * patch_px, count, generator=generator, dtype=torch.float64)
    directions: Tensor = torch.linalg.qr(drawn)[0].T
    return directions.float().reshape(count, 3, patch_px, patch_px).contiguous()


def lattice(height: int, width: int, generator: torch.Generator) -> tuple[int, int, int]:
    """Given a picture's size, return a stride and a random offset (down, right) that give 40,000 patches or more.

    Patches overlap at least by half of their edge up to 2 million pixels: with gaps, a mesh shows.
    """
    most = 2 if height * width <= _LARGE else 3
    stride = max(1, min(most, round((height * width / _SAMPLES) ** 0.5)))
    down = int(torch.randint(min(stride, height - _PATCH_PX + 1), (1,), generator=generator))
    right = int(torch.randint(min(stride, width - _PATCH_PX + 1), (1,), generator=generator))
    return stride, down, right


def projected(picture: Tensor, filters: Tensor, place: tuple[int, int, int]) -> Tensor:
    """Given a picture (3, H, W) and filters, return the answers (filters, rows, columns) on the lattice."""
    stride, down, right = place
    return functional.conv2d(picture[None, :, down:, right:], filters, stride=stride)[0]


def quantiles(answers: Tensor, count: int) -> Tensor:
    """Given answers (filters, M), return `count` ascending values per filter that have the same distribution."""
    return resampled(_ascending(answers), count)


def resampled(ordered: Tensor, count: int) -> Tensor:
    """Given ascending values (filters, M), return `count` of them per filter, evenly chosen or repeated."""
    if count == ordered.shape[1]:
        return ordered
    position = (torch.arange(count, device=ordered.device, dtype=torch.float64) + 0.5) * (ordered.shape[1] / count)
    return ordered.index_select(1, position.long().clamp_max(ordered.shape[1] - 1))


# NumPy sorts rows on a CPU up to three times as fast as torch 2.15: 16 x 43,000 on one core in 16 ms instead of 55, and
# their places in 33 ms instead of 55.
def _ascending(rows: Tensor) -> Tensor:
    return rows.sort(1).values if rows.is_cuda else torch.from_numpy(np.sort(rows.numpy(), axis=1))


def _order(rows: Tensor) -> Tensor:
    return rows.argsort(1) if rows.is_cuda else torch.from_numpy(np.argsort(rows.numpy(), axis=1))
