"""One way through the network and back for one tile of a picture, block by block, each block in strips of rows.

A tile is looked at together with the pixels around it that its features see; what lies outside of it is never shown
to a visitor and never seeded, so tiles and strips together give what the whole picture gives.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neural_selfie.engine.gatys.network import Network, Tape

Place = tuple[slice, slice]
"""Rows and columns within the whole picture's features at one layer."""
Visit = Callable[[str, Tensor, Place], None]
"""Given a layer, features (B, C, h, w) that belong to the tile, and their place, look at them."""
Seed = Callable[[str, Tensor, Place, Tensor], None]
"""Given the same and the gradient of these features, add to it in place."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Rows (or columns) of a tile in px of the whole picture, and those around it that are looked at with it."""

    first: int
    start: int
    stop: int
    last: int

    def inner(self, block: int, *, ceil: bool) -> tuple[int, int]:
        """Given a block's number from 0, return the tile's rows there, counted from the first that is looked at."""
        up = (1 << block) - 1 if ceil else 0
        return (self.start - self.first) >> block, (self.stop - self.first + up) >> block


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a picture."""

    rows: Extent
    columns: Extent

    def of(self, image: Tensor) -> Tensor:
        """Given the whole image (B, 3, H, W), return what is looked at of it, a view."""
        return image[:, :, self.rows.first : self.rows.last, self.columns.first : self.columns.last]


def tiles(network: Network, height: int, width: int, tile_px: int | None) -> list[Tile]:
    """Given the size of a picture and the edge of tiles, px (None: all in one), return tiles that cover it once."""
    unit = 1 << (len(network.blocks) - 1)
    seen = sum(len(block) << number for number, block in enumerate(network.blocks))
    around = -(-seen // unit) * unit

    def extents(length: int) -> list[Extent]:
        edge = length if tile_px is None else max(unit, tile_px // unit * unit)
        starts = range(0, max(1, length - unit), edge)
        stops = [*starts[1:], length]
        return [
            Extent(max(0, start - around), start, stop, min(length, stop + around))
            for start, stop in zip(starts, stops, strict=True)
        ]

    return [Tile(rows, columns) for rows in extents(height) for columns in extents(width)]


@dataclass(frozen=True, slots=True)
class _Strip:
    """Rows of one block's input: those it stands for, and those around them that its convolutions see."""

    first: int
    start: int
    stop: int
    last: int

    def pooled(self, whole: int) -> tuple[slice, slice]:
        """Given the height of the whole after pooling, return the rows it stands for there, and in its own result."""
        stop = whole if self.stop == self.last else self.stop // 2
        return slice(self.start // 2, stop), slice((self.start - self.first) // 2, stop - self.first // 2)


@dataclass(slots=True)
class _Passed:
    """What is left of a block on the way forward: the shape of its input, the input or the tapes of its strips."""

    shape: torch.Size
    image: Tensor | None
    tapes: list[Tape]


@dataclass(slots=True)
class Walk:
    """One tile on its way. Go `forward`, and `backward` once after a `forward` that kept its tapes.

    `recomputed_blocks`: so many blocks keep only their input and are walked again on the way back. `strip_numbers`:
    how many features of one layer a strip may have; None is no strips.
    """

    network: Network
    tile: Tile
    recomputed_blocks: int = 0
    strip_numbers: int | None = None
    _passed: list[_Passed] = field(default_factory=list)

    def forward(self, image: Tensor, visit: Visit | None, *, keep: bool) -> None:
        """Given the whole image (B, 3, H, W), let `visit` see the features of the tile, once each."""
        going = self.network.enter(self.tile.of(image))
        self._passed = []
        for block in range(len(self.network.blocks)):
            going = self._through(block, going, visit, keep=keep)

    def backward(self, seed: Seed) -> Tensor:
        """Given what the losses add, return the gradient (B, 3, h, w) of the part of the image that is looked at."""
        gradient: Tensor | None = None
        for block in reversed(range(len(self.network.blocks))):
            gradient = self._back_through(block, gradient, seed)
        if gradient is None:
            raise ValueError("a network has at least one block")
        return self.network.leave(gradient)

    def _through(self, block: int, image: Tensor, visit: Visit | None, *, keep: bool) -> Tensor:
        again = block < self.recomputed_blocks
        passed = _Passed(image.shape, image if again else None, [])
        strips = self._strips(block, image.shape)
        pooled = block + 1 < len(self.network.blocks)
        output = image
        for strip in strips:
            part = image[:, :, strip.first : strip.last]
            result, tape = self.network.forward(block, part, keep=keep and not again)
            if visit is not None:
                for layer, features in tape.features.items():
                    if (found := self._inner(block, strip)) is not None:
                        visit(layer, _cut(features, found[0]), found[1])
            if keep and not again:
                passed.tapes.append(tape)
            if not pooled:
                continue
            if len(strips) == 1:
                output = result
                continue
            if strip.start == 0:
                output = _like(result, (image.shape[2] + self.network.ceil_pooling) // 2)
            whole, own = strip.pooled(output.shape[2])
            output[:, :, whole] = result[:, :, own]
        if keep:
            self._passed.append(passed)
        return output

    def _back_through(self, block: int, gradient: Tensor | None, seed: Seed) -> Tensor:
        passed = self._passed.pop()
        strips = self._strips(block, passed.shape)
        result: Tensor | None = None
        for strip in reversed(strips):
            if passed.image is not None:
                tape = self.network.forward(block, passed.image[:, :, strip.first : strip.last])[1]
            else:
                tape = passed.tapes.pop()
            reaching = gradient
            if gradient is not None and len(strips) > 1:
                height = strip.last - strip.first
                reaching = _like(gradient, (height + self.network.ceil_pooling) // 2).zero_()
                whole, own = strip.pooled(gradient.shape[2])
                reaching[:, :, own] = gradient[:, :, whole]
            back = self.network.backward(block, tape, reaching, self._seeded(block, strip, seed))
            if len(strips) == 1:
                return back
            if result is None:
                result = _like(back, passed.shape[2]).zero_()
            result[:, :, strip.first : strip.last] += back
        if result is None:
            raise ValueError("a block has at least one strip")
        return result

    def _seeded(self, block: int, strip: _Strip, seed: Seed) -> Callable[[str, Tensor, Tensor | None], Tensor]:
        found = self._inner(block, strip)

        def add(layer: str, features: Tensor, gradient: Tensor | None) -> Tensor:
            gradient = torch.zeros_like(features) if gradient is None else gradient
            if found is not None:
                seed(layer, _cut(features, found[0]), found[1], _cut(gradient, found[0]))
            return gradient

        return add

    def _strips(self, block: int, shape: torch.Size) -> list[_Strip]:
        """Cut the input of a block into strips: at even rows, so that pooling never crosses a cut."""
        batch, _, height, width = shape
        convolutions = self.network.blocks[block]
        rows = height
        if self.strip_numbers is not None:
            rows = self.strip_numbers // (batch * width * convolutions[0].bias.shape[0])
            rows = max(4 * len(convolutions), rows) // 2 * 2
        if height < 2 * rows:
            return [_Strip(0, 0, height, height)]
        around = -(-len(convolutions) // 2) * 2
        starts = range(0, height - rows + 1, rows)
        return [
            _Strip(max(0, start - around), start, stop, min(height, stop + around))
            for start, stop in zip(starts, [*starts[1:], height], strict=True)
        ]

    def _inner(self, block: int, strip: _Strip) -> tuple[Place, Place] | None:
        """Return which features of a strip belong to strip and tile, within its own and within the whole picture's."""
        top, bottom = self.tile.rows.inner(block, ceil=self.network.ceil_pooling)
        left, right = self.tile.columns.inner(block, ceil=self.network.ceil_pooling)
        start, stop = max(top, strip.start), min(bottom, strip.stop)
        if start >= stop:
            return None
        above, beside = self.tile.rows.first >> block, self.tile.columns.first >> block
        own = (slice(start - strip.first, stop - strip.first), slice(left, right))
        return own, (slice(start + above, stop + above), slice(left + beside, right + beside))


def _cut(features: Tensor, place: Place) -> Tensor:
    return features[:, :, place[0], place[1]]


def _like(features: Tensor, height: int) -> Tensor:
    """Return new memory for features of another height, stored in the same order."""
    batch, channels, _, width = features.shape
    if features.is_contiguous():
        return features.new_empty(batch, channels, height, width)
    return features.new_empty(batch, height, width, channels).permute(0, 3, 1, 2)
