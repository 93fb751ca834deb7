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

from neural_selfie.engine.patch.contrast import contrasted
from neural_selfie.engine.patch.flow import combed_like
from neural_selfie.engine.patch.refine import transported
from neural_selfie.engine.pyramid import halved, resized
from neural_selfie.engine.recipe import PatchRecipe

_FORMS_PX = 85  # short edge at which forms are looked at, and up to a quarter of it: finer lines are the style's
_MOST_HELD = 0.5
_COARSE = 2  # octaves left out while the coarse ones are moved further: they cost a sixteenth, and lag behind


@dataclass(frozen=True, slots=True)
class Styles:
    """The style images at each octave, fine to coarse, and their shares (sum 1)."""

    octaves: Sequence[Sequence[Tensor]]
    shares: Sequence[float]


def finished(
    picture: Tensor,
    photo: tuple[Tensor, Tensor],
    styles: Styles,
    recipe: PatchRecipe,
    *,
    generator: torch.Generator,
    tell: Callable[[int, Tensor, float], None],
) -> Tensor:
    """Given the matched picture (3, H, W) and the recoloured photo with its weights (1, H, W), return it finished.

    `tell` gets the number of each step, the picture, and what its patches lacked: a root mean square.
    """
    (guide, weight), octaves, shares = photo, styles.octaves, styles.shares
    held = (recipe.forms * weight).clamp(max=_MOST_HELD)
    steps = recipe.refine_steps
    for step in range(steps):
        if step in {steps // 2, steps * 3 // 4}:
            picture = combed_like(picture, octaves, shares, recipe.comb_px)
        if recipe.forms > 0:
            picture = picture + held * forms(guide - picture)
        picture = _coarsely_moved(picture, styles, recipe, generator)
        if step % 2:
            picture = contrasted(picture, octaves, shares, recipe.contrast)
        picture, lack = transported(picture, octaves, shares, generator, recipe.refine_rate)
        tell(step, picture, lack)
    return contrasted(picture, octaves, shares, recipe.contrast)


def forms(picture: Tensor) -> Tensor:
    """Given a picture (3, H, W), return its two octaves of coarse forms: neither its fine lines nor its large areas."""
    height, width = picture.shape[1:]
    small = picture
    for _ in range(max(0, round(math.log2(min(height, width) / _FORMS_PX)))):
        small = halved(small)
    large = resized(halved(halved(small)), small.shape[1], small.shape[2])
    return resized(small - large, height, width)


def _coarsely_moved(
    picture: Tensor,
    styles: Styles,
    recipe: PatchRecipe,
    generator: torch.Generator,
) -> Tensor:
    octaves = styles.octaves[_COARSE:]
    if not octaves or recipe.coarse_steps == 0:
        return picture
    small = picture
    for _ in range(_COARSE):
        small = halved(small)
    moved = small
    for _ in range(recipe.coarse_steps):
        moved, _lack = transported(moved, octaves, styles.shares, generator, recipe.refine_rate)
    return picture + resized(moved - small, picture.shape[1], picture.shape[2])
