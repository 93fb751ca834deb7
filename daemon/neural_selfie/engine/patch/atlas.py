"""The style images at one scale as one row of pixels, so that a patch is an address and a reach.

Every style image appears twice: as it is and mirrored. The mirror image is the same memory read from right to left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Places:
    """Where patches lie: number of the view, row and column of the top left pixel; three int64 tensors of one shape."""

    view: Tensor
    row: Tensor
    column: Tensor

    def __getitem__(self, chosen: Tensor) -> "Places":
        """Given an index tensor, return the chosen places."""
        return Places(self.view[chosen], self.row[chosen], self.column[chosen])


@dataclass(frozen=True, slots=True)
class Atlas:
    """Pixels (3, P) of all style images; per view (2 per image) its size, first address, pitch and reading direction.

    Pixel (row, column) of a view has address base + row·pitch + column·direction.
    """

    pixels: Tensor
    shares: tuple[float, ...]
    height: Tensor
    width: Tensor
    base: Tensor
    pitch: Tensor
    direction: Tensor

    def addresses(self, places: Places) -> tuple[Tensor, Tensor, Tensor]:
        """Given places, return the address of each top left pixel, and what a step down and a step right add to it."""
        pitch, direction = self.pitch[places.view], self.direction[places.view]
        return self.base[places.view] + places.row * pitch + places.column * direction, pitch, direction

    def look_up(self, address: Tensor) -> Tensor:
        """Given addresses of any shape, return their pixels (3, *shape)."""
        return self.pixels.index_select(1, address.flatten()).view(3, *address.shape)

    def clamped(self, places: Places, patch_px: int) -> Places:
        """Given places that may lie outside, return the nearest ones whose patch lies inside its image."""
        zero = torch.zeros_like(places.row)
        return Places(
            places.view,
            torch.minimum(torch.maximum(places.row, zero), self.height[places.view] - patch_px),
            torch.minimum(torch.maximum(places.column, zero), self.width[places.view] - patch_px),
        )


def build_atlas(images: Sequence[Tensor], shares: Sequence[float]) -> Atlas:
    """Given style images (3, h, w) and their shares (sum 1), return their atlas on the device of the images."""
    device = images[0].device
    sizes = [(image.shape[1], image.shape[2]) for image in images for _ in range(2)]
    first, views = 0, []
    for image in images:
        height, width = image.shape[1:]
        views += [(first, width, 1), (first + width - 1, width, -1)]
        first += height * width

    def table(values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return Atlas(
        pixels=torch.cat([image.flatten(1) for image in images], 1),
        shares=tuple(shares),
        height=table([height for height, _ in sizes]),
        width=table([width for _, width in sizes]),
        base=table([base for base, _, _ in views]),
        pitch=table([pitch for _, pitch, _ in views]),
        direction=table([direction for _, _, direction in views]),
    )


def draw_places(atlas: Atlas, count: int, patch_px: int, generator: torch.Generator) -> Places:
    """Given how many, return places drawn evenly over each style image, each image by its share; at least one each.

    `generator` lives on the CPU, so that the same seed draws the same places on every device.
    """
    device = atlas.pixels.device
    view: list[Tensor] = []
    row: list[Tensor] = []
    column: list[Tensor] = []
    for image, share in enumerate(atlas.shares):
        number = max(1, round(count * share))
        view.append(2 * image + torch.randint(2, (number,), generator=generator))
        for edges, parts in ((atlas.height, row), (atlas.width, column)):
            parts.append(torch.randint(int(edges[2 * image]) - patch_px + 1, (number,), generator=generator))
    return Places(*(torch.cat(parts).to(device) for parts in (view, row, column)))


def patches_at(atlas: Atlas, places: Places, patch_px: int) -> Tensor:
    """Given N places, return their patches as rows (N, 3·p·p), ordered channel, row, column."""
    start, down, right = atlas.addresses(places)
    reach = torch.arange(patch_px, device=start.device)
    address = start[:, None, None] + reach[:, None] * down[:, None, None] + reach * right[:, None, None]
    return atlas.look_up(address).permute(1, 0, 2, 3).reshape(len(start), -1)
