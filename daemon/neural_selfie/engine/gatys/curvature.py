"""What L-BFGS remembers of a loss, and the direction that follows from it, for several variants of a picture at once.

Byrd, Nocedal and Schnabel 1994 ("Representations of quasi-Newton matrices", equation 3.1): instead of walking over the
pairs one by one, a few products with all of them and two small triangular systems. Pairs are kept as bfloat16: that
halves the memory that they take and changes the number of evaluations by a few in a hundred (by measurement).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_CHUNK_NUMBERS = 2 << 20  # 8 MB as float32: by measurement, the caches of a desktop CPU like no more


class Curvature:
    """Up to `capacity` pairs of a step and the change of the gradient along it; the oldest make room for new ones."""

    def __init__(self, images: Tensor, capacity: int) -> None:
        """Given images (B, 3, H, W), to know shape and device from, and the capacity, begin with nothing."""
        self._steps = images.new_empty(len(images), capacity, images[0].numel(), dtype=torch.bfloat16)
        self._changes = torch.empty_like(self._steps)
        self._products = images.new_zeros(len(images), capacity, capacity, dtype=torch.float64)  # step i · change j
        self._alive = self._products.new_zeros(len(images), capacity)  # 1 for a pair that counts, else 0
        self._order: list[int] = []  # slots, the oldest first

    def add(self, step: Tensor, change: Tensor, useful: Tensor) -> None:
        """Given a step and the gradient's change along it (B, 3, H, W), remember them where `useful` (B,) says so."""
        full = len(self._order) == self._steps.shape[1]
        slot = self._order.pop(0) if full else len(self._order)
        self._order.append(slot)
        self._steps[:, slot] = step.flatten(1)
        self._changes[:, slot] = change.flatten(1)
        used = len(self._order)
        self._products[:, slot, :used] = self._with_all(self._changes, self._steps[:, slot])
        self._products[:, :used, slot] = self._with_all(self._steps, self._changes[:, slot])
        self._alive[:, slot] = useful.to(self._alive)

    def forget(self, lost: Tensor) -> None:
        """Forget everything of the variants that are `lost` (B,)."""
        self._alive.masked_fill_(lost[:, None], 0)

    def direction(self, gradient: Tensor, precondition: Callable[[Tensor], Tensor]) -> Tensor:
        """Given a gradient (B, 3, H, W), return the direction to subtract from the images.

        `precondition` is the first estimate of the inverse Hessian: linear, symmetric, positive.
        """
        if not self._order:
            return precondition(gradient)
        order = torch.tensor(self._order, device=gradient.device)
        alive = self._alive[:, order]
        products = self._products[:, order][:, :, order] * alive[:, :, None] * alive[:, None, :]
        upper = products.triu() + torch.diag_embed(1 - alive)  # a pair that does not count must not divide by zero
        along = self._with_all(self._steps, gradient.flatten(1))[:, order] * alive
        first = torch.linalg.solve_triangular(upper, along[..., None], upper=True)[..., 0]
        rest = self._mixed(self._changes, order, first).neg_().add_(gradient.flatten(1))
        going = precondition(rest.view(gradient.shape)).flatten(1)
        del rest
        back = products.diagonal(dim1=1, dim2=2) * first - self._with_all(self._changes, going)[:, order] * alive
        second = torch.linalg.solve_triangular(upper.mT, back[..., None], upper=False)[..., 0]
        return self._mixed(self._steps, order, second).add_(going).view(gradient.shape)

    def _with_all(self, pairs: Tensor, vector: Tensor) -> Tensor:
        """Return the products (B, used) of a vector (B, numbers) with each of the pairs, in the order of slots."""
        found = self._products.new_zeros(len(vector), len(self._order))
        for part in self._parts():
            found += (pairs[:, : len(self._order), part].float() @ vector[:, part, None].float())[..., 0]
        return found

    def _mixed(self, pairs: Tensor, order: Tensor, shares: Tensor) -> Tensor:
        """Return the sum (B, numbers) of the pairs with shares (B, used) that are given from old to new."""
        by_slot = torch.empty_like(shares).index_copy_(1, order, shares).float()[:, None, :]
        result = torch.empty(len(shares), pairs.shape[2], device=pairs.device)
        for part in self._parts():
            result[:, part] = (by_slot @ pairs[:, : len(self._order), part].float())[:, 0]
        return result

    def _parts(self) -> Iterator[slice]:
        numbers = self._steps.shape[2]
        length = max(1, _CHUNK_NUMBERS // (self._steps.shape[0] * max(1, len(self._order))))
        for start in range(0, numbers, length):
            yield slice(start, min(numbers, start + length))
