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
from neural_selfie.engine.patch.atlas import Atlas, Places, build_atlas, draw_places, patches_at
from neural_selfie.engine.patch.canvas import Grid, distances, rebuild
from neural_selfie.engine.patch.finish import Wanted, finished
from neural_selfie.engine.patch.matching import Code, fit_code, key_columns, propagate, search_all
from neural_selfie.engine.patch.progress import Progress
from neural_selfie.engine.patch.refine import drawn_goals, octaves_of, transported
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

    def drawn(self, grid: Grid) -> float:
        """Return how much of the photo is drawn at a scale: all up to `drawn_px`, less above."""
        return min(1.0, self.recipe.drawn_px / min(grid.height, grid.width))

    def weight(self, scale: "_Scale", recipe: PatchRecipe) -> Tensor:
        """Return the photo's weight (1, H, W) beside the style's 1 at a scale."""
        weights = resized(self.weights, scale.grid.height, scale.grid.width).clamp_min(0)
        return weights * (recipe.content_weight * self.drawn(scale.grid))


def paint(
    photo: Tensor,
    styles: Sequence[Tensor],
    shares: Sequence[float],
    recipes: Sequence[PatchRecipe],
    *,
    seed: int,
    on_step: Callable[[Step], None] | None = None,
) -> list[tuple[Tensor, tuple[Step, ...]]]:
    """Given a photo (3, H, W) at its final size and styles with shares (sum 1), return painting and trace per recipe.

    Recipes differ in PATCH_BATCHED only; all but the last scale is painted once for all of them. Short edges must be at
    least three times `patch_px`. All on one device, float32, sRGB in 0..1.
    """
    generator = torch.Generator().manual_seed(seed)
    lead = _lead(recipes)
    sitting = _prepared(photo, styles, shares, lead)
    *coarser, (factor, grid) = _grids(photo.shape[1], photo.shape[2], lead)
    progress = Progress(_predicted([grid for _, grid in coarser], grid, lead, len(recipes)), on_step)
    picture = sitting.guide
    for number, (coarse_factor, coarse_grid) in enumerate(coarser):
        scale = _laid_out(sitting, number, coarse_factor, coarse_grid, generator)
        picture = _matched(
            scale, sitting, _begun(scale, sitting, picture), lead, generator=generator, progress=progress
        )
        for iteration in range(lead.scale_steps):
            goals = drawn_goals([scale.images], shares, generator)
            picture, lack = transported(picture, goals, generator, lead.scale_rate)
            progress.work(_step_work(coarse_grid))
            seen = picture, scale.guide, sitting.weight(scale, lead)
            progress.step(number, lead.iterations + iteration, seen, style=lack * lack)
    scale = _laid_out(sitting, len(coarser), factor, grid, generator)
    begun = _begun(scale, sitting, picture)
    state = generator.get_state()
    pictures = []
    for variant, recipe in enumerate(recipes):
        generator.set_state(state)
        pictures.append(
            _matched(scale, sitting, begun, recipe, generator=generator, progress=progress, variant=variant)
        )

    def tell(variant: int, step: int, now: Tensor, lack: float) -> None:
        progress.work(_finishing_work(grid, lead))
        seen = now, scale.guide, sitting.weight(scale, recipes[variant])
        progress.step(scale.number, lead.iterations + step, seen, style=lack * lack, variant=variant)

    wanted = Wanted.of(octaves_of(scale.images, _octave_count(grid, lead.refine_px)), shares)
    kept = resized(sitting.weights, grid.height, grid.width).clamp_min(0)
    done = finished(pictures, (scale.guide, kept), wanted, recipes, generator=generator, tell=tell)
    traces = progress.finished(len(recipes))
    return [(painting.clamp(0, 1), trace) for painting, trace in zip(done, traces, strict=True)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """One scale as it is laid out: the photo, the styles and their keys at it."""

    number: int
    grid: Grid
    guide: Tensor
    images: list[Tensor]
    atlas: Atlas
    keys: Places
    code: Code
    columns: Tensor


def _laid_out(sitting: Sitting, number: int, factor: float, grid: Grid, generator: torch.Generator) -> _Scale:
    images = sitting.style_images(factor)
    atlas = build_atlas(images, sitting.shares)
    keys = draw_places(atlas, sitting.recipe.keys, grid.patch_px, generator)
    patches = patches_at(atlas, keys, grid.patch_px)
    code = fit_code(patches, sitting.recipe.dimensions)
    guide = resized(sitting.guide, grid.height, grid.width)
    return _Scale(number, grid, guide, images, atlas, keys, code, key_columns(code.of(patches)))


def _begun(scale: _Scale, sitting: Sitting, picture: Tensor) -> Tensor:
    """Given the coarser picture, return what this scale begins with."""
    if scale.number == 0:
        return scale.guide
    return _enlarged(picture, scale.guide, sitting.recipe.detail * sitting.drawn(scale.grid))


def _matched(
    scale: _Scale,
    sitting: Sitting,
    picture: Tensor,
    recipe: PatchRecipe,
    *,
    generator: torch.Generator,
    progress: Progress,
    variant: int | None = None,
) -> Tensor:
    """Given a picture (3, H, W), return it put together of the style's patches."""
    grid, guide, weight = scale.grid, scale.guide, sitting.weight(scale, recipe)
    passes = _passes(grid, recipe)
    if passes < recipe.iterations:  # the photo comes in here that the passes left out would have let in
        picture = (picture + weight * guide) / (1 + weight)
    for iteration in range(recipe.iterations - passes, recipe.iterations):
        padded = grid.padded(picture)
        work = _matching_work(grid, recipe) / passes / (grid.rows * grid.columns)
        coded = scale.code.over(grid, padded)
        found, divisor = search_all(coded, scale.columns, recipe.coverage, generator, progress.counter(work))
        field, divisor = scale.keys[found.view(grid.rows, -1)], divisor.view(grid.rows, -1)
        for _ in range(recipe.joins):
            field, divisor = propagate(grid, padded, scale.atlas, field, divisor)
        picture = rebuild(grid, scale.atlas, field)
        # GPNN has no content term; the photo comes in between the passes, less each time, and not after the last.
        share = weight * (1 - iteration / recipe.iterations) * (iteration < recipe.iterations - 1)
        picture = (picture + share * guide) / (1 + share)
        style = float(distances(grid, padded, scale.atlas, field).mean()) / (3 * grid.patch_px**2)
        progress.step(scale.number, iteration, (picture, guide, weight), style=style, variant=variant)
    return picture


def _lead(recipes: Sequence[PatchRecipe]) -> PatchRecipe:
    """Return the recipe that is painted for all: one of little photo, which is sooner added than taken away."""
    return sorted(recipes, key=lambda recipe: recipe.content_weight)[(len(recipes) - 1) // 3]


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


def _predicted(coarser: Sequence[Grid], finest: Grid, recipe: PatchRecipe, variants: int) -> float:
    once = sum(_matching_work(grid, recipe) + recipe.scale_steps * _step_work(grid) for grid in coarser)
    each = _matching_work(finest, recipe) + recipe.refine_steps * _finishing_work(finest, recipe)
    return once + variants * each
