"""The last strokes at full size: the style's statistics at every octave, and the photo's forms held while they come.

Transport alone would go on until the forms are gone; each step therefore begins with a little of the photo, in a band
of coarse octaves only and where the photo must be kept. Transport then gives these lines the style's colours and
contrasts, so they stay strokes. Nothing here matches patches.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_selfie.engine.patch.contrast import contrasted, contrasts
from neural_selfie.engine.patch.flow import combed_like
from neural_selfie.engine.patch.refine import Goal, drawn_goals, transported
from neural_selfie.engine.pyramid import halved, resized
from neural_selfie.engine.recipe import PatchRecipe

_FORMS_PX = 85  # short edge at which forms are looked at, and up to a quarter of it: finer lines are the style's
_MOST_HELD = 0.5
_COARSE = 2  # octaves left out while the coarse ones are moved further: they cost a sixteenth, and lag behind


@dataclass(frozen=True, slots=True)
class Wanted:
    """The style images at each octave, fine to coarse, their shares (sum 1), and each octave's contrasts."""

    octaves: Sequence[Sequence[Tensor]]
    shares: Sequence[float]
    contrasts: Sequence[Tensor]

    @classmethod
    def of(cls, octaves: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> "Wanted":
        """Given the images at each octave and their shares, return all that is wanted of them."""
        return cls(octaves, shares, contrasts(octaves, shares))

    def goals(self, generator: torch.Generator, leave_out: int = 0) -> list[Goal]:
        """Return new directions for a step of all octaves but the finest `leave_out`."""
        return drawn_goals(self.octaves[leave_out:], self.shares, generator)


def finished(
    pictures: Sequence[Tensor],
    photo: tuple[Tensor, Tensor],
    wanted: Wanted,
    recipes: Sequence[PatchRecipe],
    *,
    generator: torch.Generator,
    tell: Callable[[int, int, Tensor, float], None],
) -> list[Tensor]:
    """Given the variants' matched pictures and the recoloured photo (3, H, W) with its map (1, H, W), finish them.

    `tell` gets a variant's number, the step's, the picture, and what its patches lacked: a root mean square.
    """
    guide, weights = photo
    steps, now = recipes[0].refine_steps, list(pictures)
    for step in range(steps):
        coarse = [wanted.goals(generator, _COARSE) for _ in range(recipes[0].coarse_steps)]
        goals, state = wanted.goals(generator), generator.get_state()
        for variant, recipe in enumerate(recipes):
            generator.set_state(state)  # each as if it were alone
            picture = now[variant]
            if step in {steps // 2, steps * 3 // 4}:
                picture = combed_like(picture, wanted.octaves, wanted.shares, recipe.comb_px)
            if recipe.forms > 0:
                held = (recipe.forms * recipe.content_weight * weights).clamp(max=_MOST_HELD)
                picture = picture + held * forms(guide - picture)
            picture = _coarsely_moved(picture, coarse, recipe.refine_rate, generator)
            if step % 2:
                picture = contrasted(picture, wanted.contrasts, recipe.contrast)
            now[variant], lack = transported(picture, goals, generator, recipe.refine_rate)
            tell(variant, step, now[variant], lack)
    return [
        contrasted(picture, wanted.contrasts, recipe.contrast) for picture, recipe in zip(now, recipes, strict=True)
    ]


def forms(picture: Tensor) -> Tensor:
    """Given a picture (3, H, W), return its two octaves of coarse forms: neither its fine lines nor its large areas."""
    height, width = picture.shape[1:]
    small = picture
    for _ in range(max(0, round(math.log2(min(height, width) / _FORMS_PX)))):
        small = halved(small)
    large = resized(halved(halved(small)), small.shape[1], small.shape[2])
    return resized(small - large, height, width)


def _coarsely_moved(
    picture: Tensor, steps: Sequence[Sequence[Goal]], rate: float, generator: torch.Generator
) -> Tensor:
    small = picture
    for _ in range(_COARSE):
        small = halved(small)
    moved = small
    for goals in steps:
        moved, _lack = transported(moved, goals, generator, rate)
    return picture + resized(moved - small, picture.shape[1], picture.shape[2])
