"""The painting itself: the photo at the size that gives the wished strokes, once through the network, and back.

Where the whole picture does not fit into memory it is painted in tiles, with the statistics of the picture made small:
Chen et al. 2022 (arXiv 2103.11784), "thumbnail instance normalization".
"""

import math
import time
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from neural_selfie.engine import room
from neural_selfie.engine.colour import keep_luminance
from neural_selfie.engine.feedforward.transformer import LEAST_PX, Transformer
from neural_selfie.engine.pyramid import resized, sized
from neural_selfie.engine.recipe import FeedforwardRecipe
from neural_selfie.engine.step import Step
from neural_selfie.errors import OutOfDeviceMemoryError

_BYTES_PER_PX: Final = 1100.0  # the last but one convolution sees 64 channels, their borders and its own result
_SMALLEST_TILE_PX: Final = 256
_THUMBNAIL_PX: Final = 1024  # as in Chen et al.


def paint(
    photo: Tensor, network: Transformer, recipe: FeedforwardRecipe, *, on_step: Callable[[Step], None] | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """Given a photo (3, H, W) at its final size, sRGB in 0..1, return the painting and what was done to make it fit.

    Raise OutOfDeviceMemoryError if not even the smallest tiles fit.
    """
    began = time.perf_counter()

    def tell(fraction: float) -> None:
        if on_step is not None:
            seconds = time.perf_counter() - began
            on_step(Step(0, 1, math.nan, math.nan, math.nan, math.nan, seconds, fraction))  # nothing is measured here

    height, width = photo.shape[1:]
    seen = resized(photo, *sized(height, width, 1 / recipe.style_scale, at_least=LEAST_PX)).clamp(0, 1)[None]
    painted, warnings = _fitted(seen, network, recipe, tell)
    image = resized(painted[0].clamp(0, 1), height, width).clamp(0, 1)
    if recipe.colours == "luminance":
        image = keep_luminance(image, photo)
    if recipe.content_weight > 0:
        image = image.lerp(photo, recipe.content_weight)
    return image, warnings


def _fitted(
    seen: Tensor, network: Transformer, recipe: FeedforwardRecipe, tell: Callable[[float], None]
) -> tuple[Tensor, tuple[str, ...]]:
    """Paint in one piece if that fits, else in tiles, in smaller ones where memory runs out all the same."""
    ways = _ways(seen, recipe)
    warnings: list[str] = []
    for number, tile_px in enumerate(ways):
        try:
            return _painted(seen, network, tile_px, tell), tuple(warnings)
        except (RuntimeError, MemoryError) as error:
            if not room.is_out_of_memory(error):
                raise
            if number + 1 == len(ways):
                raise OutOfDeviceMemoryError(
                    "There is too little free memory to paint even in small tiles. Close other programs, or choose a "
                    "smaller size."
                ) from error
        warnings.append(f"Memory ran out; it went on with less (in tiles of {ways[number + 1]} px).")
    raise AssertionError("there is always a way to try")


def _ways(seen: Tensor, recipe: FeedforwardRecipe) -> list[int | None]:
    """Return the edges of tiles to try, px; None is the whole picture."""
    edges = [recipe.tile_px]
    while edges[-1] // 2 >= _SMALLEST_TILE_PX:
        edges.append(edges[-1] // 2)
    if recipe.memory == "full":
        return [None]
    needed = seen.shape[2] * seen.shape[3] * _BYTES_PER_PX
    whole = recipe.memory == "auto" and needed <= room.SAFETY * room.free_bytes(seen.device)
    return [None, *edges] if whole else list(edges)


def _painted(seen: Tensor, network: Transformer, tile_px: int | None, tell: Callable[[float], None]) -> Tensor:
    tell(0.0)
    if tile_px is None:
        result = network.painted(seen)
        tell(1.0)
        return result
    height, width = seen.shape[2:]
    factor = min(1.0, min(_THUMBNAIL_PX, tile_px) / max(height, width))  # no larger than what is known to fit
    thumbnail = resized(seen[0], *sized(height, width, factor, at_least=LEAST_PX)).clamp(0, 1)[None]
    result = torch.empty(0)
    for painted, share in network.painted_in_tiles(seen, network.statistics(thumbnail), tile_px):
        result = painted
        tell(share)
    return result
