"""A picture as a grid of overlapping patches: where they lie, how they are cut out and put together again.

The grid of stride s covers every pixel: the picture is padded by mirroring until it does.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.patch.atlas import Atlas, Places


@dataclass(frozen=True, slots=True)
class Grid:
    """Patches of edge `patch_px` every `stride` pixels over a picture of (height, width)."""

    height: int
    width: int
    patch_px: int
    stride: int

    @property
    def margin(self) -> int:
        """Pixels added above and to the left."""
        return self.patch_px // 2

    @property
    def rows(self) -> int:
        """Patches from top to bottom."""
        return _count(self.height, self.patch_px, self.stride)

    @property
    def columns(self) -> int:
        """Patches from left to right."""
        return _count(self.width, self.patch_px, self.stride)

    def padded(self, picture: Tensor) -> Tensor:
        """Given a picture (C, height, width), return it with mirrored margins, so that the grid fits exactly."""
        below = (self.rows - 1) * self.stride + self.patch_px - self.margin - self.height
        right = (self.columns - 1) * self.stride + self.patch_px - self.margin - self.width
        return functional.pad(picture[None], (self.margin, right, self.margin, below), mode="reflect")[0]

    def under(self, padded: Tensor, down: int, right: int) -> Tensor:
        """Given a padded picture (C, ., .), return the view (C, rows, columns) of each patch's pixel (down, right)."""
        return padded[:, down :: self.stride, right :: self.stride][:, : self.rows, : self.columns]


def _count(edge: int, patch_px: int, stride: int) -> int:
    return -(-(edge + 2 * (patch_px // 2) - patch_px) // stride) + 1


def rebuild(grid: Grid, atlas: Atlas, field: Places) -> Tensor:
    """Given a field of places (rows, columns), return the picture (3, height, width) that their patches make.

    Where patches overlap, it is their mean under a tent window: highest in the patch's middle, and with an even share
    for every pixel at stride 1 and 2. With equal weights the grid of stride 2 shows as a fine mesh.
    """
    p = grid.patch_px
    tent = [min(place + 1, p - place) for place in range(p)]
    shape = ((grid.rows - 1) * grid.stride + p, (grid.columns - 1) * grid.stride + p)
    total, count = atlas.pixels.new_zeros(3, *shape), atlas.pixels.new_zeros(1, *shape)
    start, step_down, step_right = atlas.addresses(field)
    for down in range(p):
        for right in range(p):
            pixels = atlas.look_up(start + down * step_down + right * step_right)
            grid.under(total, down, right).add_(pixels, alpha=tent[down] * tent[right])
            grid.under(count, down, right).add_(tent[down] * tent[right])
    m = grid.margin
    return (total / count)[:, m : m + grid.height, m : m + grid.width].contiguous()


def distances(grid: Grid, padded: Tensor, atlas: Atlas, field: Places) -> Tensor:
    """Given a padded picture and a field, return the squared distance (rows, columns) of each patch to its place's."""
    total = padded.new_zeros(grid.rows, grid.columns)
    start, step_down, step_right = atlas.addresses(field)
    for down in range(grid.patch_px):
        for right in range(grid.patch_px):
            pixels = atlas.look_up(start + down * step_down + right * step_right)
            total += (pixels - grid.under(padded, down, right)).square_().sum(0)
    return total
