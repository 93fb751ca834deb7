"""The painting itself: match the style's patches coarse to fine, and sharpen each scale before the next.

Bidirectional matching after GPNN (Granot et al. 2022), sliced transport after GPDM (Elnekave and Weiss 2022); what
differs from the papers says so where it happens. Devices, sizes and shapes are settled before (engine/entry.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_selfie.engine.colour import mixed_palette, move_colours, palette_of
from neural_selfie.engine.patch.atlas import build_atlas, draw_places, patches_at
from neural_selfie.engine.patch.canvas import Grid, distances, rebuild
from neural_selfie.engine.patch.finish import Styles, finished
from neural_selfie.engine.patch.matching import fit_code, key_columns, propagate, search_all
from neural_selfie.engine.patch.progress import Progress
from neural_selfie.engine.patch.refine import octaves_of, transported
from neural_selfie.engine.patch.weight_map import weight_map
from neural_selfie.engine.pyramid import resized, scales, sized, style_factor
from neural_selfie.engine.recipe import PatchRecipe
from neural_selfie.engine.step import Step

_FINE = 0.4  # above this scale only every second patch is matched: neighbours overlap enough


@dataclass(frozen=True, slots=True)
class Sitting:
    """What one painting is made from: the photo in the style's colours, where it must be kept, and the styles."""

    guide: Tensor
    weights: Tensor
    styles: tuple[Tensor, ...]
    shares: tuple[float, ...]
    recipe: PatchRecipe

    def style_images(self, factor: float) -> list[Tensor]:
        """Given a scale factor, return the style images at it: at scale 1 and style_scale 1 as large as the photo."""
        size = self.guide.shape[1], self.guide.shape[2]
        images = []
        for style in self.styles:
            height, width = style.shape[1:]
            own = factor * self.recipe.style_scale * style_factor((height, width), size)
            images.append(resized(style, *sized(height, width, own, at_least=self.recipe.patch_px + 1)).clamp(0, 1))
        return images


def paint(
    photo: Tensor,
    styles: Sequence[Tensor],
    shares: Sequence[float],
    recipe: PatchRecipe,
    *,
    seed: int,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Tensor, tuple[Step, ...]]:
    """Given a photo (3, H, W) at its final size and styles with shares (sum 1), return the painting and its trace.

    Short edges must be at least three times `recipe.patch_px`. All on one device, float32, sRGB in 0..1.
    """
    generator = torch.Generator().manual_seed(seed)
    sitting = _prepared(photo, styles, shares, recipe)
    grids = _grids(photo.shape[1], photo.shape[2], recipe)
    progress = Progress(sum(_matching_work(grid, recipe) for _, grid in grids) + _refining_work(grids, recipe), on_step)
    picture = sitting.guide
    for number, (factor, grid) in enumerate(grids):
        guide = resized(sitting.guide, grid.height, grid.width)
        drawn = min(1.0, recipe.drawn_px / min(grid.height, grid.width))
        weight = resized(sitting.weights, grid.height, grid.width).clamp_min(0) * (recipe.content_weight * drawn)
        picture = guide if number == 0 else _enlarged(picture, guide, recipe.detail * drawn)
        images = sitting.style_images(factor)
        atlas = build_atlas(images, shares)
        keys = draw_places(atlas, recipe.keys, recipe.patch_px, generator)
        patches = patches_at(atlas, keys, recipe.patch_px)
        code = fit_code(patches, recipe.dimensions)
        columns = key_columns(code.of(patches))
        passes = _passes(grid, recipe)
        if passes < recipe.iterations:  # the photo comes in here that the passes left out would have let in
            picture = (picture + weight * guide) / (1 + weight)
        for iteration in range(recipe.iterations - passes, recipe.iterations):
            padded = grid.padded(picture)
            work = _matching_work(grid, recipe) / passes / (grid.rows * grid.columns)
            found, divisor = search_all(
                code.over(grid, padded), columns, recipe.coverage, generator, progress.counter(work)
            )
            field, divisor = keys[found.view(grid.rows, -1)], divisor.view(grid.rows, -1)
            for _ in range(recipe.joins):
                field, divisor = propagate(grid, padded, atlas, field, divisor)
            picture = rebuild(grid, atlas, field)
            # GPNN has no content term; the photo comes in between the passes, less each time, and not after the last.
            share = weight * (1 - iteration / recipe.iterations) * (iteration < recipe.iterations - 1)
            picture = (picture + share * guide) / (1 + share)
            style = float(distances(grid, padded, atlas, field).mean()) / patches.shape[1]
            progress.step(number, iteration, picture, guide, weight, style=style)
        if number == len(grids) - 1:
            break
        for iteration in range(recipe.scale_steps):
            picture, lack = transported(picture, [images], shares, generator, recipe.scale_rate)
            progress.work(_step_work(grid))
            progress.step(number, recipe.iterations + iteration, picture, guide, weight, style=lack * lack)

    def tell(step: int, now: Tensor, lack: float) -> None:
        progress.work(_finishing_work(grid, recipe))
        progress.step(number, recipe.iterations + step, now, guide, weight, style=lack * lack)

    kept = resized(sitting.weights, grid.height, grid.width).clamp_min(0) * recipe.content_weight
    wanted = Styles(octaves_of(images, _octave_count(grid, recipe.refine_px)), shares)
    picture = finished(picture, (guide, kept), wanted, recipe, generator=generator, tell=tell)
    return picture.clamp(0, 1), progress.finished()


def _prepared(photo: Tensor, styles: Sequence[Tensor], shares: Sequence[float], recipe: PatchRecipe) -> Sitting:
    source, target = palette_of(photo), mixed_palette(styles, shares)
    return Sitting(
        guide=move_colours(photo, source, target, recipe.colour).clamp(0, 1),
        weights=weight_map(photo, edges=recipe.edges, faces=recipe.faces),
        styles=tuple(move_colours(style, target, source, 1 - recipe.colour).clamp(0, 1) for style in styles),
        shares=tuple(shares),
        recipe=recipe,
    )


def _passes(grid: Grid, recipe: PatchRecipe) -> int:
    """Return how often patches are matched at a scale: at the fine ones once, for little moves there any more."""
    return recipe.iterations if grid.stride == 1 else 1


def _octave_count(grid: Grid, least_px: int) -> int:
    return 1 + max(0, int(math.log2(min(grid.height, grid.width) / least_px)))


def _enlarged(picture: Tensor, guide: Tensor, detail: float) -> Tensor:
    """Given the coarser picture and the photo at this scale, return it enlarged, with the photo's new lines."""
    height, width = guide.shape[1:]
    known = resized(resized(guide, picture.shape[1], picture.shape[2]), height, width)
    return resized(picture, height, width) + detail * (guide - known)


def _grids(height: int, width: int, recipe: PatchRecipe) -> list[tuple[float, Grid]]:
    found = []
    for factor in scales(height, width, ratio=recipe.scale_ratio, coarsest_px=recipe.coarsest_px):
        h, w = sized(height, width, factor, at_least=2 * recipe.patch_px)
        found.append((factor, Grid(h, w, recipe.patch_px, 2 if factor > _FINE else 1)))
    return found


# Work is counted in seconds of a 2-core machine, measured once; only its proportions matter.
def _matching_work(grid: Grid, recipe: PatchRecipe) -> float:
    search = recipe.keys * (recipe.dimensions + 30) * 1.2e-11
    vote = recipe.patch_px**2 * (2 + 5 * recipe.joins) * 1e-8
    return _passes(grid, recipe) * grid.rows * grid.columns * (search + vote)


def _step_work(grid: Grid) -> float:
    return 0.05 + grid.height * grid.width * 2e-7


def _finishing_work(grid: Grid, recipe: PatchRecipe) -> float:
    return _step_work(grid) * (2 + recipe.coarse_steps / 8)


def _refining_work(grids: Sequence[tuple[float, Grid]], recipe: PatchRecipe) -> float:
    *coarser, (_, finest) = grids
    refining = recipe.scale_steps * sum(_step_work(grid) for _, grid in coarser)
    return refining + recipe.refine_steps * _finishing_work(finest, recipe)
