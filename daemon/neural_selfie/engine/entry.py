"""The one entry of the engines: a photo and style images in, a painting and its trace out.

It checks and prepares; each engine paints. It reads and writes no files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neural_selfie.engine import state_dict
from neural_selfie.engine.device import choose_device, device_name, repeatable
from neural_selfie.engine.feedforward import paint as feedforward
from neural_selfie.engine.feedforward import transformer
from neural_selfie.engine.gatys import paint as gatys
from neural_selfie.engine.gatys import weights as vgg
from neural_selfie.engine.gatys.goals import sitting
from neural_selfie.engine.gatys.network import Network, network
from neural_selfie.engine.gatys.store import Store
from neural_selfie.engine.order import Order, shares_of, warnings_of, widened
from neural_selfie.engine.patch.paint import paint
from neural_selfie.engine.recipe import FeedforwardRecipe, GatysRecipe, PatchRecipe, Recipe, alike
from neural_selfie.engine.room import give_back, with_room
from neural_selfie.engine.step import Step
from neural_selfie.errors import WeightsUnavailableError

__all__ = ["ENGINE_VERSION", "Step", "Stylized", "stylize"]

ENGINE_VERSION = "2"
_TOO_FULL = "The GPU had too little free memory even for a small picture: this one was painted on the processor."


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
    features and the first three fifths of the work; those of `patch` that differ in content weight, forms and contrast
    share all scales but the last. So the same variant alone comes out a little different. Everything else is as in
    `stylize`.
    """
    chosen = choose_device(device)
    order = Order(photo, styles, shares_of(styles), chosen, seed, weights, masks, cache, start)
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


def _painted(order: Order, recipes: Sequence[Recipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    """Given recipes that are alike, or one, return their paintings."""
    if isinstance(recipes[0], PatchRecipe):
        return _patch(order, [recipe for recipe in recipes if isinstance(recipe, PatchRecipe)], on_step)
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


def _patch(order: Order, recipes: Sequence[PatchRecipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    ready = order.ready(recipes[0])
    size = height, width = ready.shape[1], ready.shape[2]
    canvas = widened(ready, 3 * recipes[0].patch_px)
    painted = paint(canvas, order.clean_styles(), order.shares, recipes, seed=order.seed, on_step=on_step)
    named = device_name(order.device), "float32", warnings_of(order.styles, recipes[0], size)
    return [Stylized(picture[:, :height, :width].cpu().clone(), trace, *named) for picture, trace in painted]


def _feedforward(order: Order, recipe: FeedforwardRecipe, on_step: Callable[[Step], None] | None) -> Stylized:
    if order.weights is None:
        raise WeightsUnavailableError("The engine 'feedforward' needs a trained network: name its file, `weights`.")
    ready = order.ready(recipe)
    height, width = ready.shape[1:]
    network = transformer.load(order.weights, order.device)
    image, warnings = feedforward.paint(widened(ready, transformer.LEAST_PX), network, recipe, on_step=on_step)
    image = image[:, :height, :width].cpu().clone()
    return Stylized(image, (), device_name(order.device), "float32", warnings, network.sha256)


def _gatys(order: Order, recipes: Sequence[GatysRecipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    """Paint on the order's device, or on the CPU if not even the smallest way fits into a GPU."""
    aside = [torch.device("cpu")] if order.device.type != "cpu" and recipes[0].memory == "auto" else []
    found = with_room([order.device, *aside], lambda device: _gatys_on(replace(order, device=device), recipes, on_step))
    if found[0].device == device_name(order.device):
        return found
    return [replace(each, warnings=(*each.warnings, _TOO_FULL)) for each in found]


def _gatys_on(order: Order, recipes: Sequence[GatysRecipe], on_step: Callable[[Step], None] | None) -> list[Stylized]:
    recipe = recipes[0]
    ready = order.ready(recipe)
    size = height, width = ready.shape[1], ready.shape[2]
    canvas = widened(ready, gatys.LEAST_PX)
    built, sha256 = _network(order, recipe)
    masks = order.clean_masks(height, width)
    if masks is not None:
        masks = widened(masks, gatys.LEAST_PX)
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
            (*warnings_of(order.styles, each, size), *painted.warnings),
            sha256,
        )
        for each, painted in zip(recipes, paintings, strict=True)
    ]


def _network(order: Order, recipe: GatysRecipe) -> tuple[Network, str]:
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
