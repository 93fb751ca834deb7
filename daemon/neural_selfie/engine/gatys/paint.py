"""The painting itself: coarse to fine, one optimisation at each scale, for all variants of a sweep together.

Variants share the photo's features and the styles' moments, and the first three fifths of the work: until then one of
them, in the middle of their weights, is painted for all. Devices and inputs are settled before (engine/entry.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neural_selfie.engine import room
from neural_selfie.engine.colour import keep_luminance
from neural_selfie.engine.gatys import direct, graphs, memory, optimise
from neural_selfie.engine.gatys.goals import Sitting, goal_at, style_at
from neural_selfie.engine.gatys.journal import Journal
from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.objective import Losses, Objective, Spending
from neural_selfie.engine.pyramid import fit_long_edge, resized
from neural_selfie.engine.recipe import GatysRecipe
from neural_selfie.engine.step import Step
from neural_selfie.errors import OutOfDeviceMemoryError

LEAST_PX = 16  # short edge of which the deepest layers still see one pixel
_SHARED = 0.6  # of the predicted work: with more, the outer variants do not quite come to their own loss


@dataclass(frozen=True, slots=True)
class Painted:
    """One variant's painting (3, H, W), 0..1, its trace, and what was done to make it fit into memory."""

    image: Tensor
    trace: tuple[Step, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Leg:
    """A part of the way: so many evaluations at one size, by one variant for all or by every one for itself."""

    scale: int
    size: tuple[int, int]
    evaluations: int
    together: bool

    def work(self, variants: int) -> float:
        return self.size[0] * self.size[1] * self.evaluations * (1 if self.together else variants)


def paint(
    whole: Sitting,
    recipes: Sequence[GatysRecipe],
    network: Network,
    *,
    seed: int,
    on_step: Callable[[Step], None] | None = None,
) -> list[Painted]:
    """Given a sitting, the variants' recipes (that differ in weights and style scale only) and the network, paint them.

    Raise OutOfDeviceMemoryError if not even the smallest scale fits, EngineFailedError if the loss is no number.
    """
    size = (whole.photo.shape[1], whole.photo.shape[2])
    legs = _legs(size, recipes)
    journal = Journal(sum(leg.work(len(recipes)) for leg in legs), len(recipes), on_step)
    easel = _Easel(whole, tuple(recipes), network, journal)
    image = easel.begun(seed, legs[0].size)
    for leg in legs:
        image, fitted = easel.climb(leg, image)
        if not fitted:
            break
    image = _resized_all(image, size).clamp(0, 1)
    journal.finished()
    return [
        Painted(easel.finished(image[number]), journal.trace(number), tuple(journal.warnings))
        for number in range(len(recipes))
    ]


def scale_sizes(size: tuple[int, int], recipe: GatysRecipe) -> list[tuple[int, int]]:
    """Given the final size, return those of all scales from coarse to fine, as in Crowson's style-transfer-pytorch."""
    long_edge = max(size)
    edges = [float(long_edge)]
    shape = min(size) / long_edge
    while edges[-1] * recipe.scale_ratio >= max(recipe.coarsest_px, LEAST_PX / shape):
        edges.append(edges[-1] * recipe.scale_ratio)
    return [fit_long_edge(*size, round(edge)) for edge in reversed(edges[1:])] + [size]


def _legs(size: tuple[int, int], recipes: Sequence[GatysRecipe]) -> list[_Leg]:
    recipe = recipes[0]
    sizes = scale_sizes(size, recipe)
    legs = []
    for scale, at in enumerate(sizes):
        along = scale / (len(sizes) - 1) if len(sizes) > 1 else 1.0
        count = round(recipe.coarse_iterations ** (1 - along) * recipe.iterations**along)
        legs.append(_Leg(scale, at, max(1, count), together=False))
    return legs if len(recipes) == 1 else _divided(legs)


def _divided(legs: list[_Leg]) -> list[_Leg]:
    """Mark the first part of the work as shared; a leg in which that part ends becomes two."""
    left = _SHARED * sum(leg.work(1) for leg in legs)
    divided: list[_Leg] = []
    for leg in legs:
        shared = min(leg.evaluations, math.floor(left / (leg.size[0] * leg.size[1])))
        left -= leg.work(1)
        if shared > 0:
            divided.append(_Leg(leg.scale, leg.size, shared, together=True))
        if shared < leg.evaluations:
            divided.append(_Leg(leg.scale, leg.size, leg.evaluations - max(0, shared), together=False))
            left = 0.0
    return divided


@dataclass(slots=True)
class _Easel:
    """One painting in progress."""

    whole: Sitting
    recipes: tuple[GatysRecipe, ...]
    network: Network
    journal: Journal
    adam: optimise.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.adam = optimise.Adam(self.recipes[0].rate, self.recipes[0].average)

    def begun(self, seed: int, size: tuple[int, int]) -> Tensor:
        """Return the image (1, 3, h, w) to begin with."""
        photo = resized(self.whole.photo, *size).clamp(0, 1)[None]
        start = self.recipes[0].start
        if start == "photo":
            return photo
        if start == "file" and self.whole.start is not None:
            return resized(self.whole.start, *size).clamp(0, 1)[None]
        if start == "style":
            return resized(self.whole.styles[0], *size).clamp(0, 1)[None]
        generator = torch.Generator().manual_seed(seed)
        if start == "grey":  # as in Crowson's program: with a trace of noise, for a flat image has no gradient
            return (0.5 + torch.rand(photo.shape, generator=generator).to(photo) / 255).clamp_(0, 1)
        return (0.5 + 0.25 * torch.randn(photo.shape, generator=generator)).clamp_(0, 1).to(photo)

    def climb(self, leg: _Leg, image: Tensor) -> tuple[Tensor, bool]:
        """Given the image of the leg before, return that of this one, and whether memory sufficed for it."""
        image = _resized_all(image, leg.size).clamp(0, 1)
        everyone = range(len(self.recipes))
        if leg.together:
            return self._fitted(leg, image, (len(self.recipes) // 2,), everyone)
        if len(image) != len(self.recipes):
            image = image.expand(len(self.recipes), -1, -1, -1).contiguous()
        if self.recipes[0].optimiser != "torch-lbfgs":  # that one knows one image only
            return self._fitted(leg, image, everyone, everyone)
        alone = [self._fitted(leg, image[number : number + 1], (number,), (number,)) for number in everyone]
        return torch.cat([each for each, _ in alone]), all(fitted for _, fitted in alone)

    def _fitted(self, leg: _Leg, image: Tensor, members: Sequence[int], told: Sequence[int]) -> tuple[Tensor, bool]:
        """Optimise the images of `members`, with less memory if need be; the traces of `told` tell of it."""
        first = self.recipes[0]
        ways = memory.ladder(first, self.network, leg.size, len(members))
        for number, spending in enumerate(ways):
            mark, done = self.journal.mark(), self.journal.done
            try:
                return self._optimised(leg, image, members, told, spending), True
            except (RuntimeError, MemoryError) as error:
                if not room.is_out_of_memory(error):
                    raise
                if first.memory != "auto" or (number + 1 == len(ways) and leg.scale == 0):
                    raise OutOfDeviceMemoryError(_too_little(leg.size)) from error
            self.journal.back_to(mark)
            self.journal.done = done
            self._tell_of(leg, ways, number)
        return image, False

    def finished(self, image: Tensor) -> Tensor:
        """Return the painting as it leaves: in the photo's colours if so wished, and the photo outside of masks."""
        if self.recipes[0].colours == "luminance":
            image = keep_luminance(image, self.whole.photo)
        covered = self.whole.covered
        return image if covered is None else self.whole.photo + covered * (image - self.whole.photo)

    def _tell_of(self, leg: _Leg, ways: Sequence[Spending], number: int) -> None:
        height, width = leg.size
        if number + 1 == len(ways):
            self.journal.warnings.append(
                f"Memory ran out at {width} x {height} px, in tiles too: the picture was painted at the size before "
                "and enlarged."
            )
            return
        way = ways[number + 1]
        how = f"in tiles of {way.tile_px} px" if way.tile_px else "features computed twice"
        self.journal.warnings.append(f"Memory ran out at {width} x {height} px; it went on with less ({how}).")

    def _optimised(
        self, leg: _Leg, image: Tensor, members: Sequence[int], told: Sequence[int], spending: Spending
    ) -> Tensor:
        recipes = [self.recipes[member] for member in members]
        objective = self._objective(leg.size, recipes, spending)
        first, pixels = recipes[0], leg.size[0] * leg.size[1]
        end = self.journal.done + pixels * leg.evaluations * len(members)
        stop = optimise.Stop(leg.evaluations, first.tolerance)
        watch = self.journal.watch(told, leg.scale, pixels * len(members))
        if first.optimiser == "adam":
            painted = self.adam(objective, image, stop=stop, watch=watch)
        elif first.optimiser == "lbfgs":
            history = first.history if spending.pairs is None else min(first.history, spending.pairs)
            painted = optimise.lbfgs(objective, image, stop=stop, history=history, watch=watch)
        else:
            painted = optimise.torch_lbfgs(objective, image, stop=stop, history=first.history, watch=watch)
        self.journal.fetch()
        self.journal.done = end  # a scale that ended early has done its part
        return painted

    def _objective(
        self, size: tuple[int, int], recipes: Sequence[GatysRecipe], spending: Spending
    ) -> optimise.Evaluate:
        goal = goal_at(size, self.whole, recipes, self.network, spending)
        plain = spending.tile_px is None and spending.recomputed_blocks == 0
        if not plain or not direct.serves(self.network, goal):
            return self._practical(Objective(self.network, goal, spending), size)
        styles = [
            (style_at(number, recipes[0].style_scale, size, self.whole)[None], share)
            for number, share in enumerate(self.whole.shares)
        ]
        photo = resized(self.whole.photo, *size).clamp(0, 1)[None]
        return direct.direct_objective(self.network, goal, photo, styles)

    def _practical(self, objective: Objective, size: tuple[int, int]) -> optimise.Evaluate:
        """Return an objective as its device likes it best: recorded on a GPU, without leftovers on a CPU."""
        if self.network.matrix.device.type != "cpu":
            return objective if objective.spending.tile_px else graphs.replayed(objective)
        if size[0] * size[1] < memory.WORTH_GIVING_BACK_PX:
            return objective

        def tidy(image: Tensor) -> tuple[Losses, Tensor]:
            found = objective(image)
            room.give_back()
            return found

        return tidy


def _resized_all(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Given images (B, 3, H, W), return them at another size."""
    if images.shape[2:] == size:
        return images
    return torch.stack([resized(image, *size) for image in images])


def _too_little(size: tuple[int, int]) -> str:
    return (
        f"There is too little free memory to paint even at {size[1]} x {size[0]} px. Close other programs, choose a "
        "smaller size, or smaller tiles (tile_px)."
    )
