"""The optimisers on functions whose minimum is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neural_selfie.engine.gatys import optimise
from neural_selfie.engine.gatys.objective import Losses
from neural_selfie.errors import EngineFailedError

SHAPE = (2, 3, 12, 16)
GENERATOR_SEED = 4


def unwatched(_losses: Losses) -> None:
    """Watch nothing."""


def bowl(scales: Tensor, centre: Tensor) -> optimise.Evaluate:
    """Return a quadratic with its minimum at `centre`, for each image of a batch."""

    def evaluate(image: Tensor) -> tuple[Losses, Tensor]:
        apart = image - centre
        value = (scales * apart.square()).sum((1, 2, 3))
        return Losses(value, torch.zeros_like(value), torch.zeros_like(value)), 2 * scales * apart

    return evaluate


@pytest.fixture
def hills() -> tuple[Tensor, Tensor]:
    """Curvatures from 0.01 to 100, and centres of which many lie outside of what an image may be."""
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    scales = 10 ** (4 * torch.rand(SHAPE, generator=generator) - 2)
    return scales, 2 * torch.rand(SHAPE, generator=generator) - 0.5


Way = Callable[..., Tensor]
WAYS: dict[str, Way] = {
    "lbfgs": lambda evaluate, image, stop: optimise.lbfgs(evaluate, image, stop=stop, history=30, watch=unwatched),
    "adam": lambda evaluate, image, stop: optimise.Adam(0.02, 0.9)(evaluate, image, stop=stop, watch=unwatched),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_minimum_within_the_bounds_is_found(way: str, hills: tuple[Tensor, Tensor]) -> None:
    """Every variant of a batch comes to its own best image, and no pixel leaves 0..1."""
    scales, centre = hills
    evaluate = bowl(scales, centre)
    found = WAYS[way](evaluate, torch.full(SHAPE, 0.5), optimise.Stop(400, 0.0))
    best = evaluate(centre.clamp(0, 1))[0].total
    begun = evaluate(torch.full(SHAPE, 0.5))[0].total
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert bool((evaluate(found)[0].total - best < 1e-3 * (begun - best)).all())


def test_torch_lbfgs_is_that_of_pytorch(hills: tuple[Tensor, Tensor]) -> None:
    """With the cut-off in the closure it walks through the same losses as torch.optim.LBFGS does by hand."""
    scales, centre = hills[0][:1], hills[1][:1]
    evaluate = bowl(scales, centre)
    seen: list[float] = []
    image = torch.full((1, *SHAPE[1:]), 0.5)
    optimise.torch_lbfgs(
        evaluate,
        image,
        stop=optimise.Stop(30, 0.0),
        history=100,
        watch=lambda losses: seen.append(float(losses.total)),
    )
    plain: list[float] = []
    going = image.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([going])

    def closure() -> Tensor:
        with torch.no_grad():
            going.clamp_(0, 1)
        losses, gradient = evaluate(going.detach())
        going.grad = gradient
        plain.append(float(losses.total))
        return losses.total[0]

    while len(plain) < 30:
        optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert seen == plain[:30]


@pytest.mark.parametrize("way", [*WAYS, "torch-lbfgs"])
def test_a_loss_that_is_no_number_is_said_at_once(way: str) -> None:
    """Weights that give NaN end the job with a reason instead of a black picture."""

    def evaluate(image: Tensor) -> tuple[Losses, Tensor]:
        value = torch.full(image.shape[:1], torch.nan)
        return Losses(value, value, value), torch.full_like(image, torch.nan)

    go = WAYS.get(way) or (
        lambda evaluate, image, stop: optimise.torch_lbfgs(evaluate, image, stop=stop, history=9, watch=unwatched)
    )
    with pytest.raises(EngineFailedError, match="not a number from the start"):
        go(evaluate, torch.full((1, 3, 4, 4), 0.5), optimise.Stop(20, 0.0))


def test_a_step_into_nowhere_is_shortened(hills: tuple[Tensor, Tensor]) -> None:
    """Where a trial's loss is no number the step is cut until it is one, and the best image is still found."""
    scales, centre = hills
    bowl_loss = bowl(scales, centre.clamp(0.3, 0.7))

    def evaluate(image: Tensor) -> tuple[Losses, Tensor]:
        losses, gradient = bowl_loss(image)
        bad = (image - 0.5).abs().amax((1, 2, 3)) > 0.25
        return Losses(torch.where(bad, torch.nan, losses.content), losses.style, losses.tv), gradient

    found = optimise.lbfgs(evaluate, torch.full(SHAPE, 0.5), stop=optimise.Stop(300, 0.0), history=20, watch=unwatched)
    begun = evaluate(torch.full(SHAPE, 0.5))[0].total
    assert bool((evaluate(found)[0].total < 0.05 * begun).all())


def test_adam_takes_smaller_steps_after_an_explosion(hills: tuple[Tensor, Tensor]) -> None:
    """A loss that explodes throws Adam back to a good image with a smaller rate, and it goes on."""
    scales, centre = hills
    bowl_loss, calls = bowl(scales, centre.clamp(0, 1)), 0

    def evaluate(image: Tensor) -> tuple[Losses, Tensor]:
        nonlocal calls
        calls += 1
        losses, gradient = bowl_loss(image)
        if 18 <= calls <= 22:
            return Losses(losses.content * torch.inf, losses.style, losses.tv), gradient * torch.nan
        return losses, gradient

    begun = bowl_loss(torch.full(SHAPE, 0.5))[0].total
    found = optimise.Adam(0.02, 0.9)(evaluate, torch.full(SHAPE, 0.5), stop=optimise.Stop(200, 0.0), watch=unwatched)
    assert bool((bowl_loss(found)[0].total < 0.5 * begun).all())


def test_adam_goes_on_at_another_size_and_for_all_variants(hills: tuple[Tensor, Tensor]) -> None:
    """What Adam remembers of one image serves a larger batch of larger images: a sweep's variants part from one."""
    scales, centre = hills
    adam = optimise.Adam(0.02, 0.9)
    small = torch.full((1, 3, 6, 8), 0.5)
    adam(bowl(scales[:1, :, :6, :8], centre[:1, :, :6, :8]), small, stop=optimise.Stop(20, 0.0), watch=unwatched)
    evaluate = bowl(scales, centre)
    begun = evaluate(torch.full(SHAPE, 0.5))[0].total
    found = adam(evaluate, torch.full(SHAPE, 0.5), stop=optimise.Stop(200, 0.0), watch=unwatched)
    assert bool((evaluate(found)[0].total < begun).all())


def test_a_flat_loss_ends_a_scale() -> None:
    """Ten evaluations without gain end it, as does the count; gains keep it going."""
    flat, falling = optimise.Stop(100, 1e-3), optimise.Stop(100, 1e-3)
    totals = torch.tensor([3.0, 2.0])
    assert [flat(totals) for _ in range(20)].index(True) == 19
    assert not any(falling(totals * 0.99**step) for step in range(99))
    assert falling(totals)


def test_the_preconditioner_is_symmetric_and_positive() -> None:
    """Else L-BFGS would not go downhill: x·Py = y·Px and x·Px > 0, at odd sizes too."""
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    one, other = torch.randn(2, 1, 3, 11, 14, generator=generator, dtype=torch.float64)
    assert float((one * optimise.smoothed(other)).sum()) == pytest.approx(
        float((other * optimise.smoothed(one)).sum()), rel=1e-4
    )
    assert float((one * optimise.smoothed(one)).sum()) > 0


def test_a_large_picture_is_filtered_plane_by_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which saves memory and changes nothing."""
    images = torch.randn(2, 3, 9, 14, generator=torch.Generator().manual_seed(GENERATOR_SEED))
    at_once = optimise.smoothed(images)
    monkeypatch.setattr(optimise, "_FILTERED_NUMBERS", 1)
    assert torch.equal(optimise.smoothed(images), at_once)


def test_the_image_to_begin_with_stays_as_it_is(hills: tuple[Tensor, Tensor]) -> None:
    """L-BFGS changes images in place, but a copy of the one that it is given."""
    image = torch.full_like(hills[1], 0.5)
    ended = optimise.lbfgs(bowl(*hills), image, stop=optimise.Stop(5, 0.0), history=5, watch=unwatched)
    assert bool((image == 0.5).all())
    assert not torch.equal(ended, image)
