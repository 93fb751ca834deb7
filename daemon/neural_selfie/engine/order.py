"""What all the paintings of one call have in common, checked and cleaned: photo, styles, masks, start, device, seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.pyramid import fit_long_edge, resized, style_factor
from neural_selfie.engine.recipe import GatysRecipe, Recipe


@dataclass(frozen=True, slots=True)
class Order:
    """What all the paintings of one call have in common."""

    photo: Tensor
    styles: Sequence[tuple[Tensor, float]]
    shares: Sequence[float]
    device: torch.device
    seed: int
    weights: Path | None
    masks: Tensor | None
    cache: Path | None
    start: Tensor | None

    def ready(self, recipe: Recipe) -> Tensor:
        """Return the photo on the device at the size of the picture."""
        photo = clean(self.photo, self.device)
        return resized(photo, *fit_long_edge(photo.shape[1], photo.shape[2], recipe.size)).clamp(0, 1)

    def clean_styles(self) -> list[Tensor]:
        """Return the styles on the device."""
        return [clean(style, self.device) for style, _ in self.styles]

    def clean_masks(self, height: int, width: int) -> Tensor | None:
        """Return where each style is used, (styles, height, width) in 0..1 on the device, or None for everywhere."""
        if self.masks is None:
            return None
        return resized(_checked_masks(self.masks, len(self.styles)).to(self.device), height, width).clamp(0, 1)

    def clean_start(self, recipe: GatysRecipe, canvas: Tensor) -> Tensor | None:
        """Return the image to begin with, stretched to the canvas; raise ValueError if it is wanted and missing."""
        if recipe.start != "file":
            return None
        if self.start is None:
            raise ValueError("the recipe says 'start: file', so stylize needs the image to start with")
        return resized(clean(self.start, self.device), canvas.shape[1], canvas.shape[2])


def shares_of(styles: Sequence[tuple[Tensor, float]]) -> list[float]:
    """Given styles with weights, return the share of each, together 1; raise ValueError for weights not above 0."""
    weights = [float(weight) for _, weight in styles]
    if not weights or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError("stylize needs at least one style image, each with a weight above 0")
    return [weight / sum(weights) for weight in weights]


def widened(picture: Tensor, at_least: int) -> Tensor:
    """Given a picture, return it with its last row and column repeated until no edge is shorter than `at_least`."""
    height, width = picture.shape[1:]
    below, right = max(0, at_least - height), max(0, at_least - width)
    return functional.pad(picture[None], (0, right, 0, below), mode="replicate")[0] if below or right else picture


def warnings_of(styles: Sequence[tuple[Tensor, float]], recipe: Recipe, size: tuple[int, int]) -> tuple[str, ...]:
    """Given styles, a recipe and the size of the picture (height, width in px), return what the person should know."""
    grown = [recipe.style_scale * style_factor((style.shape[1], style.shape[2]), size) for style, _ in styles]
    if max(grown) <= 2:  # noqa: PLR2004 - softness begins to show at twice the size
        return ()
    warning = (
        f"A style image has too few pixels for a picture of {max(size)} px and was enlarged {max(grown):.1f} times: "
        "the strokes will look soft. Use a larger style image, a smaller size or a smaller style_scale."
    )
    return (warning,)


def clean(picture: Tensor, device: torch.device) -> Tensor:
    """Given any picture, return a float32 copy on the device with values in 0..1; what is no number becomes black."""
    return torch.nan_to_num(_checked(picture).to(device, torch.float32)).clamp(0, 1).contiguous()


def _checked_masks(masks: Tensor, styles: int) -> Tensor:
    if masks.ndim != 3 or masks.shape[0] != styles or masks.numel() == 0:  # noqa: PLR2004 - three axes
        raise ValueError(f"masks are a tensor (styles, height, width), not {tuple(masks.shape)}")
    return masks.float()


def _checked(picture: Tensor) -> Tensor:
    if picture.ndim != 3 or picture.shape[0] != 3 or picture.numel() == 0:  # noqa: PLR2004 - three channels
        raise ValueError(f"a picture is a tensor (3, height, width), not {tuple(picture.shape)}")
    return picture
