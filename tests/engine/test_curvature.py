"""The direction of L-BFGS from all pairs at once, against the two loops of the textbook."""

import pytest
import torch
from torch import Tensor

from neural_selfie.engine.gatys.curvature import Curvature
from small_vgg import apart


def drawn(seed: int, batch: int = 2) -> Tensor:
    """Return images (batch, 3, 5, 7) of noise that bfloat16 can hold exactly."""
    noise = torch.randn(batch, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return noise.to(torch.bfloat16).float()


def halved(gradient: Tensor) -> Tensor:
    """A first estimate of the inverse Hessian: half of it, and a quarter in one channel."""
    return gradient * torch.tensor([0.5, 0.25, 0.5])[:, None, None]


def two_loops(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Nocedal and Wright 2006, algorithm 7.4, for one image (3, H, W); `pairs` from old to new."""
    going, shares = gradient.double(), []
    for step, change in reversed(pairs):
        share = (step.double() * going).sum() / (step.double() * change).sum()
        going = going - share * change
        shares.append(share)
    going = halved(going)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        back = (change.double() * going).sum() / (step.double() * change).sum()
        going = going + (share - back) * step
    return going


def pairs_of(count: int) -> list[tuple[Tensor, Tensor]]:
    """Return steps and changes of the gradient of a bowl that is steeper in some pixels than in others."""
    steepness = torch.where(drawn(99) > 0, 2.0, 0.5)
    return [(drawn(seed), drawn(seed) * steepness) for seed in range(count)]


@pytest.mark.parametrize(("count", "capacity"), [(0, 4), (1, 4), (4, 4), (7, 4), (11, 4)])
def test_direction(count: int, capacity: int) -> None:
    """With room, when full, and after the oldest made room twice over: it is that of the newest pairs."""
    remembered, pairs, gradient = Curvature(drawn(0), capacity), pairs_of(count), drawn(50)
    for step, change in pairs:
        remembered.add(step, change, torch.tensor([True, True]))
    found = remembered.direction(gradient, halved)
    for image in range(2):
        kept = [(step[image], change[image]) for step, change in pairs[-capacity:]]
        assert apart(found[image], two_loops(gradient[image], kept)) < 1e-5


def test_pairs_that_say_nothing_do_not_count() -> None:
    """Each variant goes by the pairs that are useful to it, and forgets by itself."""
    remembered, pairs, gradient = Curvature(drawn(0), 5), pairs_of(4), drawn(50)
    useful = [(True, False), (True, True), (False, True), (True, True)]
    for (step, change), counts in zip(pairs, useful, strict=True):
        remembered.add(step, change, torch.tensor(counts))
    found = remembered.direction(gradient, halved)
    for image in range(2):
        own = [(s[image], c[image]) for (s, c), counts in zip(pairs, useful, strict=True) if counts[image]]
        assert apart(found[image], two_loops(gradient[image], own)) < 1e-5
    remembered.forget(torch.tensor([True, False]))
    after = remembered.direction(gradient, halved)
    assert torch.equal(after[0], halved(gradient[0]))
    assert torch.equal(after[1], found[1])
