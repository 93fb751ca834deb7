"""The one entry of the engines: a photo and style images in, a painting and its trace out.

It checks and prepares; each engine paints. It reads and writes no files.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.device import choose_device, device_name, repeatable
from neural_selfie.engine.patch.paint import paint
from neural_selfie.engine.patch.progress import Step
from neural_selfie.engine.patch.pyramid import fit_long_edge, resized, style_factor
from neural_selfie.engine.recipe import PatchRecipe, Recipe
from neural_selfie.errors import EngineUnavailableError

__all__ = ["ENGINE_VERSION", "Step", "Stylized", "stylize"]

ENGINE_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Stylized:
    """A painting (3, H, W) on the CPU, sRGB in 0..1, how it came about, and what the person should know about it."""

    image: Tensor
    trace: tuple[Step, ...]
    device: str
    dtype: str
    warnings: tuple[str, ...]


def stylize(
    photo: Tensor,
    styles: Sequence[tuple[Tensor, float]],
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "auto",
    weights: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Stylized:
    """Given a photo (3, H, W) and styles (3, h, w) with weights above 0, all sRGB in 0..1, return the painting.

    Its long edge is `recipe.size`; a smaller photo is enlarged. The same seed, device and versions give the same
    bits. `on_step` is told often how far it is; what it raises ends the painting. `weights` is for engines with a
    network. Raise EngineUnavailableError for an engine or device that is not here, OutOfDeviceMemoryError when the
    GPU is too small, ValueError for tensors of another shape or weights that are not positive.
    """
    if not isinstance(recipe, PatchRecipe):
        raise EngineUnavailableError(
            f"The engine '{recipe.engine}' is not in this version of neural-selfie. Use 'engine: patch' in the preset."
        )
    del weights
    shares = _shares(styles)
    chosen = choose_device(device)
    with repeatable(chosen):
        clean = _clean(photo, chosen)
        height, width = fit_long_edge(clean.shape[1], clean.shape[2], recipe.size)
        ready = resized(clean, height, width).clamp(0, 1)
        canvas = _widened(ready, 3 * recipe.patch_px)
        painted, trace = paint(
            canvas, [_clean(style, chosen) for style, _ in styles], shares, recipe, seed=seed, on_step=on_step
        )
        image = painted[:, :height, :width].cpu().clone()
    return Stylized(image, trace, device_name(chosen), "float32", _warnings(styles, recipe, (height, width)))


def _shares(styles: Sequence[tuple[Tensor, float]]) -> list[float]:
    weights = [float(weight) for _, weight in styles]
    if not weights or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError("stylize needs at least one style image, each with a weight above 0")
    return [weight / sum(weights) for weight in weights]


def _checked(picture: Tensor) -> Tensor:
    if picture.ndim != 3 or picture.shape[0] != 3 or picture.numel() == 0:  # noqa: PLR2004 - three channels
        raise ValueError(f"a picture is a tensor (3, height, width), not {tuple(picture.shape)}")
    return picture


def _clean(picture: Tensor, device: torch.device) -> Tensor:
    """Given any picture, return a float32 copy on the device with values in 0..1; what is no number becomes black."""
    return torch.nan_to_num(_checked(picture).to(device, torch.float32)).clamp(0, 1)


def _widened(picture: Tensor, at_least: int) -> Tensor:
    """Given a picture, return it with its last row and column repeated until no edge is shorter than `at_least`."""
    height, width = picture.shape[1:]
    below, right = max(0, at_least - height), max(0, at_least - width)
    return functional.pad(picture[None], (0, right, 0, below), mode="replicate")[0] if below or right else picture


def _warnings(styles: Sequence[tuple[Tensor, float]], recipe: PatchRecipe, size: tuple[int, int]) -> tuple[str, ...]:
    grown = [recipe.style_scale * style_factor((style.shape[1], style.shape[2]), size) for style, _ in styles]
    if max(grown) <= 2:  # noqa: PLR2004 - softness begins to show at twice the size
        return ()
    warning = (
        f"A style image has too few pixels for a picture of {max(size)} px and was enlarged {max(grown):.1f} times: "
        "the strokes will look soft. Use a larger style image, a smaller size or a smaller style_scale."
    )
    return (warning,)
