"""How much memory a painting takes, and the ladder of ways to take less.

Predictions are bytes for each pixel, measured with `benchmarks/gatys.py`; that they can be wrong is why the ladder is
also climbed down when memory does run out.
"""

import torch

from neural_selfie.engine import room
from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.objective import Spending
from neural_selfie.engine.gatys.walk import tiles
from neural_selfie.engine.recipe import GatysRecipe

_FEATURES_BYTES = 900.0  # for each pixel that the network looks at, keeping everything, by measurement
_RECOMPUTED_BYTES = 620.0
_WEIGHTS_BYTES = 450e6  # the network and what stands beside it, whatever the size of the picture, by measurement
_IMAGES_BYTES = 12.0  # one image (3 float32)
_IMAGES = {"lbfgs": 14, "adam": 8, "torch-lbfgs": 10}  # that an optimiser and the losses hold beside its history
_HISTORY = {"lbfgs": 1, "adam": 0, "torch-lbfgs": 2}  # for each step that is remembered: two of two or four bytes
_SMALLEST_TILE_PX = 256
_PAIRS_IN_TILES = 5  # where tiles are needed, the pairs of 40 steps would take more than everything else
WORTH_GIVING_BACK_PX = 100_000


def ladder(recipe: GatysRecipe, network: Network, size: tuple[int, int], variants: int) -> list[Spending]:
    """Given a recipe, a picture's size (height, width) and how many variants go together, return ways to spend memory.

    The first needs most. `memory: auto` begins with the first that is predicted to fit; those that the recipe forces
    come alone.
    """
    strips = Spending().strip_numbers if network.matrix.device.type == "cpu" else None
    recomputed = min(2, len(network.blocks))
    full, again = Spending(0, None, strips), Spending(recomputed, None, strips)
    edges = [edge for edge in _edges(recipe.tile_px) if edge < max(size)]
    tiled = [Spending(0, edge, strips, _PAIRS_IN_TILES) for edge in edges]
    if recipe.memory == "full":
        return [full]
    if recipe.memory == "checkpoint":
        return [again]
    if recipe.memory == "tiles":
        return tiled or [full]
    free = room.free_bytes(network.matrix.device)
    ways = [full, again, *tiled]
    fitting = [way for way in ways if predicted_bytes(recipe, network, size, variants, way) <= room.SAFETY * free]
    return ways[ways.index(fitting[0]) :] if fitting else ways[-1:]


def predicted_bytes(
    recipe: GatysRecipe, network: Network, size: tuple[int, int], variants: int, spending: Spending
) -> float:
    """Given a picture's size and a way to spend memory, return how many bytes the painting needs at its peak."""
    height, width = size
    seen = max(
        (tile.rows.last - tile.rows.first) * (tile.columns.last - tile.columns.first)
        for tile in tiles(network, height, width, spending.tile_px)
    )
    features = _RECOMPUTED_BYTES if spending.recomputed_blocks else _FEATURES_BYTES
    remembered = min(recipe.history, recipe.iterations, recipe.history if spending.pairs is None else spending.pairs)
    images = _IMAGES[recipe.optimiser] + _HISTORY[recipe.optimiser] * remembered
    scale = variants * (0.5 if network.dtype == torch.bfloat16 else 1.0)
    return _WEIGHTS_BYTES + seen * features * scale + height * width * variants * images * _IMAGES_BYTES


def _edges(tile_px: int) -> list[int]:
    edges = [tile_px]
    while edges[-1] // 2 >= _SMALLEST_TILE_PX:
        edges.append(edges[-1] // 2)
    return edges
