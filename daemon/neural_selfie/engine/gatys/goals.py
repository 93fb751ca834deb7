"""What a painting is made from, and the goal that follows at each size: features of the photo, moments of the styles.

Nothing is optimised here. Moments of styles are kept for later jobs by whoever gives a store (see store.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.colour import match_histogram, move_colours, palette_of
from neural_selfie.engine.faces import face_map
from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys.losses import Moments
from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.objective import Goal, Spending, StyleTarget, features_of, moments_of
from neural_selfie.engine.gatys.store import Store
from neural_selfie.engine.pyramid import resized, sized, style_factor
from neural_selfie.engine.recipe import GatysRecipe

_LEAST_AREA = 1e-3  # of the picture: a smaller region has too few features for statistics of its own
_LEAST_STYLE_PX = 32  # one pixel at relu5_1 needs 16


@dataclass(frozen=True, slots=True)
class Sitting:
    """The photo (3, H, W) at its final size; styles (3, h, w) with shares (sum 1); where each is used, or None.

    `masks`: (styles, H, W), 0..1; equal rows are one region. `kept`: how much more of the photo counts where (H, W).
    `start`: an image (3, h, w) to begin with, for `start: file`.
    """

    photo: Tensor
    styles: tuple[Tensor, ...]
    shares: tuple[float, ...]
    masks: Tensor | None
    kept: Tensor | None
    store: Store
    regions: tuple[tuple[Tensor | None, tuple[int, ...]], ...] = field(default=())
    start: Tensor | None = None

    @property
    def covered(self) -> Tensor | None:
        """How much of the picture (H, W) belongs to any region, 0..1; None is all of it."""
        if self.masks is None:
            return None
        shares = [mask for mask, _ in self.regions if mask is not None]
        return torch.stack(shares).sum(0).clamp(0, 1) if shares else torch.zeros_like(self.masks[0])


def sitting(
    photo: Tensor,
    styles: Sequence[Tensor],
    shares: Sequence[float],
    recipe: GatysRecipe,
    *,
    masks: Tensor | None,
    store: Store,
    start: Tensor | None = None,
) -> Sitting:
    """Given the ingredients and a recipe, return them ready: styles in the wanted colours, regions and faces found.

    Raise EngineUnavailableError if faces shall be protected and their detector is not installed.
    """
    kept = None
    if recipe.protect == "faces" and recipe.protect_weight > 0:
        faces = face_map(photo)
        kept = 1 + recipe.protect_weight * faces if bool(faces.any()) else None
    return Sitting(
        photo,
        tuple(_recoloured(style, photo, recipe) for style in styles),
        tuple(shares),
        masks,
        kept,
        store,
        tuple(_regions(masks, len(styles))),
        start,
    )


def goal_at(
    size: tuple[int, int], whole: Sitting, recipes: Sequence[GatysRecipe], network: Network, spending: Spending
) -> Goal:
    """Given a size (height, width) and the recipes of the variants of a batch, return their common goal.

    The recipes differ in weights and in `style_scale` only.
    """
    first = recipes[0]
    photo = resized(whole.photo, *size).clamp(0, 1)[None]
    content = features_of(network, photo, frozenset(first.content_layers), spending)
    like = photo.new_tensor
    return Goal(
        content=content,
        style=_style_targets(size, whole, recipes, network, spending),
        content_weight=like([recipe.content_weight for recipe in recipes]),
        style_weight=like([recipe.style_weight for recipe in recipes]),
        tv_weight=like([recipe.tv_weight for recipe in recipes]),
        content_layers=first.content_layers,
        style_layers=first.style_layers,
        style_loss=first.style_loss,
        half_sum=first.content_loss == "half-sum",
        nine_point=first.tv == "nine-point",
        kept={} if whole.kept is None else {layer: _fitted(whole.kept, found) for layer, found in content.items()},
    )


def _style_targets(
    size: tuple[int, int], whole: Sitting, recipes: Sequence[GatysRecipe], network: Network, spending: Spending
) -> dict[str, tuple[StyleTarget, ...]]:
    first = recipes[0]
    scales = [recipe.style_scale for recipe in recipes]
    if len(set(scales)) == 1:
        scales = scales[:1]  # one target serves all variants
    seen: dict[tuple[int, float], dict[str, Moments]] = {}
    for number in range(len(whole.styles)):
        for scale in set(scales):
            seen[number, scale] = _moments_of_style(
                style_at(number, scale, size, whole), whole.store, network, spending
            )
    targets: dict[str, tuple[StyleTarget, ...]] = {}
    for layer in first.style_layers:
        found = []
        for mask, members in whole.regions:
            total = sum(whole.shares[member] for member in members)
            blended = [
                _blended([(seen[member, scale][layer], whole.shares[member] / total) for member in members])
                for scale in scales
            ]
            moments = Moments(torch.cat([each.mean for each in blended]), torch.cat([each.second for each in blended]))
            half = losses.half_of(moments) if first.style_loss == "w2" else None
            shares = None if mask is None else _fitted(mask, _size_of_layer(size, layer, ceil=network.ceil_pooling))
            found.append(StyleTarget(moments, half, shares))
        targets[layer] = tuple(found)
    return targets


def _moments_of_style(image: Tensor, store: Store, network: Network, spending: Spending) -> dict[str, Moments]:
    return store.moments(image, network, lambda: moments_of(network, image[None], spending))


def style_at(number: int, scale: float, size: tuple[int, int], whole: Sitting) -> Tensor:
    """Given the number of a style, return it (3, h, w) at the size that it has beside a picture of `size`."""
    style = whole.styles[number]
    height, width = style.shape[1:]
    factor = scale * style_factor((height, width), size)
    return resized(style, *sized(height, width, factor, at_least=_LEAST_STYLE_PX)).clamp(0, 1)


def _blended(parts: Sequence[tuple[Moments, float]]) -> Moments:
    """Raw moments of a mixture are the weighted sums of those of its parts."""
    mean = torch.stack([share * moments.mean for moments, share in parts]).sum(0)
    return Moments(mean, torch.stack([share * moments.second for moments, share in parts]).sum(0))


def _recoloured(style: Tensor, photo: Tensor, recipe: GatysRecipe) -> Tensor:
    if recipe.colours == "histogram":
        return match_histogram(style, photo).clamp(0, 1)
    if recipe.colours == "linear":
        return move_colours(style, palette_of(style), palette_of(photo), 1.0).clamp(0, 1)
    return style


def _regions(masks: Tensor | None, styles: int) -> list[tuple[Tensor | None, tuple[int, ...]]]:
    """Group the styles by where they are used; regions next to nothing are left out."""
    if masks is None:
        return [(None, tuple(range(styles)))]
    found: list[tuple[Tensor, list[int]]] = []
    for number, mask in enumerate(masks):
        same = next((members for other, members in found if torch.equal(other, mask)), None)
        if same is not None:
            same.append(number)
        elif float(mask.mean()) > _LEAST_AREA:
            found.append((mask, [number]))
    return [(mask, tuple(members)) for mask, members in found]


def _size_of_layer(size: tuple[int, int], layer: str, *, ceil: bool) -> tuple[int, int]:
    height, width = size
    for _ in range(int(layer[4]) - 1):
        height, width = (height + ceil) // 2, (width + ceil) // 2
    return height, width


def _fitted(plane: Tensor, features: Tensor | tuple[int, int]) -> Tensor:
    """Return a map (H, W) at the size of features: the mean of what each of them sees of it."""
    size = (features.shape[2], features.shape[3]) if isinstance(features, Tensor) else features
    return functional.adaptive_avg_pool2d(plane[None, None], size)[0, 0]
