"""The one entry of the engines: a photo and style images in, a painting and its trace out.

It checks and prepares; each engine paints. It reads and writes no files.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine import state_dict
from neural_selfie.engine.device import choose_device, device_name, repeatable
from neural_selfie.engine.feedforward import paint as feedforward
from neural_selfie.engine.feedforward import transformer
from neural_selfie.engine.gatys import paint as gatys
from neural_selfie.engine.gatys import weights as vgg
from neural_selfie.engine.gatys.goals import sitting
from neural_selfie.engine.gatys.network import Network, network
from neural_selfie.engine.gatys.store import Store
from neural_selfie.engine.patch.paint import paint
from neural_selfie.engine.pyramid import fit_long_edge, resized, style_factor
from neural_selfie.engine.recipe import FeedforwardRecipe, GatysRecipe, PatchRecipe, Recipe, alike
from neural_selfie.engine.room import give_back, with_room
from neural_selfie.engine.step import Step
from neural_selfie.errors import WeightsUnavailableError

__all__ = ["ENGINE_VERSION", "Step", "Stylized", "stylize"]

ENGINE_VERSION = "2"
_TOO_FULL = "The GPU had too little free memory even for a small picture: this one was painted on the processor."


@dataclass(frozen=True, slots=True)
class _Order:
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
        clean = _clean(self.photo, self.device)
        return resized(clean, *fit_long_edge(clean.shape[1], clean.shape[2], recipe.size)).clamp(0, 1)

    def clean_styles(self) -> list[Tensor]:
        """Return the styles on the device."""
        return [_clean(style, self.device) for style, _ in self.styles]

    def clean_start(self, recipe: GatysRecipe, canvas: Tensor) -> Tensor | None:
        """Return the image to begin with, stretched to the canvas; raise ValueError if it is wanted and missing."""
        if recipe.start != "file":
            return None
        if self.start is None:
            raise ValueError("the recipe says 'start: file', so stylize needs the image to start with")
        return resized(_clean(self.start, self.device), canvas.shape[1], canvas.shape[2])


@dataclass(frozen=True, slots=True)
class Stylized:
    """A painting (3, H, W) on the CPU, sRGB in 0..1, how it came about, and what the person should know about it."""

    image: Tensor
    trace: tuple[Step, ...]
    device: str
    dtype: str
    warnings: tuple[str, ...]
    weights_sha256: str | None = None


def stylize(
    photo: Tensor,
    styles: Sequence[tuple[Tensor, float]],
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "auto",
    weights: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
    masks: Tensor | None = None,
    cache: Path | None = None,
    start: Tensor | None = None,
) -> Stylized:
    """Given a photo (3, H, W) and styles (3, h, w) with weights above 0, all sRGB in 0..1, return the painting.

    Its long edge is `recipe.size`; a smaller photo is enlarged. The same seed, device, number of threads and versions
    give the same bits; on a GPU `gatys` does so with `arithmetic: direct` only. `on_step` is told often how far it is;
    what it raises ends the painting.

    `weights` is the file with VGG-19's for `gatys`, with the trained network for `feedforward`, which looks at no style
    image and gives no trace. For `gatys`: `masks` (styles, H, W) says where each style is used, 0..1, at any
    size, `cache` is a folder where what is known of a style is kept for the next time, and `start` is the image
    (3, h, w) that the recipe's `start: file` begins with.

    Raise EngineUnavailableError for an engine or device that is not here, WeightsUnavailableError for a missing or
    unfit file, OutOfDeviceMemoryError when not even the smallest way fits, EngineFailedError when the loss is not a
    number, ValueError for tensors of another shape or weights that are not positive.
    """
    return stylize_batch(
        photo,
        styles,
        [recipe],
        seed=seed,
        device=device,
        weights=weights,
        on_step=on_step,
        masks=masks,
        cache=cache,
        start=start,
    )[0]


def stylize_batch(
    photo: Tensor,
    styles: Sequence[tuple[Tensor, float]],
    recipes: Sequence[Recipe],
    *,
    seed: int = 0,
    device: str = "auto",
    weights: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
    masks: Tensor | None = None,
    cache: Path | None = None,
    start: Tensor | None = None,
) -> list[Stylized]:
    """Given a photo, styles and the recipes of a sweep's variants, return their paintings in the same order.

    Those of the `gatys` engine that differ in weights and style scale only are painted together: they share the photo's
    features and the first three fifths of the work, so the same variant alone comes out a little different. Everything
    else is as in `stylize`.
    """
    chosen = choose_device(device)
    order = _Order(photo, styles, _shares(styles), chosen, seed, weights, masks, cache, start)
    groups = _groups(recipes)
    found: dict[int, Stylized] = {}
    for number, group in enumerate(groups):
        members = [recipes[place] for place in group]
        tell = None if on_step is None else _share_of(on_step, number, len(groups))
        fast = isinstance(members[0], GatysRecipe) and members[0].arithmetic == "fast"
        with repeatable(chosen, fast=fast):
            done = _painted(order, members, tell)
        found |= dict(zip(group, done, strict=True))
    return [found[place] for place in range(len(recipes))]


def _painted(order: _Order, recipes: Sequence[Recipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    """Given recipes that are alike, or one, return their paintings."""
    if isinstance(recipes[0], PatchRecipe):
        return [_patch(order, recipes[0], on_step)]
    if isinstance(recipes[0], FeedforwardRecipe):
        return [_feedforward(order, recipes[0], on_step)]
    return _gatys(order, [recipe for recipe in recipes if isinstance(recipe, GatysRecipe)], on_step)


def _groups(recipes: Sequence[Recipe]) -> list[list[int]]:
    """Return the places of the recipes, those together that can be painted together."""
    groups: list[list[int]] = []
    for place, recipe in enumerate(recipes):
        for group in groups:
            if alike(recipes[group[0]], recipe):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def _share_of(on_step: Callable[[Step], None], number: int, count: int) -> Callable[[Step], None]:
    """Return a listener that tells fractions of all the groups, when this one is `number` of `count`."""
    return lambda step: on_step(replace(step, fraction=(number + step.fraction) / count))


def _patch(order: _Order, recipe: PatchRecipe, on_step: Callable[[Step], None] | None) -> Stylized:
    ready = order.ready(recipe)
    size = height, width = ready.shape[1], ready.shape[2]
    canvas = _widened(ready, 3 * recipe.patch_px)
    painted, trace = paint(canvas, order.clean_styles(), order.shares, recipe, seed=order.seed, on_step=on_step)
    image = painted[:, :height, :width].cpu().clone()
    return Stylized(image, trace, device_name(order.device), "float32", _warnings(order.styles, recipe, size))


def _feedforward(order: _Order, recipe: FeedforwardRecipe, on_step: Callable[[Step], None] | None) -> Stylized:
    if order.weights is None:
        raise WeightsUnavailableError("The engine 'feedforward' needs a trained network: name its file, `weights`.")
    ready = order.ready(recipe)
    height, width = ready.shape[1:]
    network = transformer.load(order.weights, order.device)
    image, warnings = feedforward.paint(_widened(ready, transformer.LEAST_PX), network, recipe, on_step=on_step)
    image = image[:, :height, :width].cpu().clone()
    return Stylized(image, (), device_name(order.device), "float32", warnings, network.sha256)


def _gatys(order: _Order, recipes: Sequence[GatysRecipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    """Paint on the order's device, or on the CPU if not even the smallest way fits into a GPU."""
    aside = [torch.device("cpu")] if order.device.type != "cpu" and recipes[0].memory == "auto" else []
    found = with_room([order.device, *aside], lambda device: _gatys_on(replace(order, device=device), recipes, on_step))
    if found[0].device == device_name(order.device):
        return found
    return [replace(each, warnings=(*each.warnings, _TOO_FULL)) for each in found]


def _gatys_on(order: _Order, recipes: Sequence[GatysRecipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    recipe = recipes[0]
    ready = order.ready(recipe)
    size = height, width = ready.shape[1], ready.shape[2]
    canvas = _widened(ready, gatys.LEAST_PX)
    built, sha256 = _network(order, recipe)
    masks = order.masks
    if masks is not None:
        masks = resized(_checked_masks(masks, len(order.styles)).to(order.device), *size).clamp(0, 1)
        masks = _widened(masks, gatys.LEAST_PX)
    whole = sitting(
        canvas,
        order.clean_styles(),
        order.shares,
        recipe,
        masks=masks,
        store=Store(order.cache, sha256),
        start=order.clean_start(recipe, canvas),
    )
    paintings = gatys.paint(whole, recipes, built, seed=order.seed, on_step=on_step)
    return [
        Stylized(
            painted.image[:, :height, :width].cpu().clone(),
            painted.trace,
            device_name(order.device),
            str(built.dtype).removeprefix("torch."),
            (*_warnings(order.styles, each, size), *painted.warnings),
            sha256,
        )
        for each, painted in zip(recipes, paintings, strict=True)
    ]


def _network(order: _Order, recipe: GatysRecipe) -> tuple[Network, str]:
    """Return the network that a recipe looks at and the hash of its file; a GPU keeps it for the next picture."""
    if order.weights is None:
        raise WeightsUnavailableError("The engine 'gatys' needs VGG-19's weights: run `neural-selfie models fetch`.")
    build = _built if order.device.type == "cpu" else _built_once
    return build(
        order.weights,
        state_dict.identity(order.weights),
        tuple(sorted({*recipe.content_layers, *recipe.style_layers})),
        device=order.device,
        pooling=recipe.pooling,
        rescale=recipe.rescale,
        padding=None if recipe.padding == "as-trained" else recipe.padding,
        direct=recipe.arithmetic == "direct",
        lean=recipe.memory == "checkpoint",
        dtype=torch.bfloat16 if recipe.precision == "bf16" else torch.float32,
    )


def _built(weights: Path, _identity: object, looked_at: tuple[str, ...], **ways: Any) -> tuple[Network, str]:
    file = vgg.load(weights)
    built, sha256 = network(file, looked_at, **ways), file.sha256
    del file  # the network has its own copies
    give_back()
    return built, sha256


_built_once = lru_cache(maxsize=1)(_built)


def _checked_masks(masks: Tensor, styles: int) -> Tensor:
    if masks.ndim != 3 or masks.shape[0] != styles or masks.numel() == 0:  # noqa: PLR2004 - three axes
        raise ValueError(f"masks are a tensor (styles, height, width), not {tuple(masks.shape)}")
    return masks.float()


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
    return torch.nan_to_num(_checked(picture).to(device, torch.float32)).clamp(0, 1).contiguous()


def _widened(picture: Tensor, at_least: int) -> Tensor:
    """Given a picture, return it with its last row and column repeated until no edge is shorter than `at_least`."""
    height, width = picture.shape[1:]
    below, right = max(0, at_least - height), max(0, at_least - width)
    return functional.pad(picture[None], (0, right, 0, below), mode="replicate")[0] if below or right else picture


def _warnings(styles: Sequence[tuple[Tensor, float]], recipe: Recipe, size: tuple[int, int]) -> tuple[str, ...]:
    grown = [recipe.style_scale * style_factor((style.shape[1], style.shape[2]), size) for style, _ in styles]
    if max(grown) <= 2:  # noqa: PLR2004 - softness begins to show at twice the size
        return ()
    warning = (
        f"A style image has too few pixels for a picture of {max(size)} px and was enlarged {max(grown):.1f} times: "
        "the strokes will look soft. Use a larger style image, a smaller size or a smaller style_scale."
    )
    return (warning,)
