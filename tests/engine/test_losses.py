"""The losses and their gradients in closed form, against automatic ones in double precision."""

import pytest
import torch
from torch import Tensor

import plain_gatys
from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys.losses import Moments, StyleTerm
from small_vgg import apart, smooth

SHAPES = [
    pytest.param((9, 7, 6), id="more pixels than channels"),
    pytest.param((24, 3, 5), id="fewer pixels than channels"),
]


def rectified(shape: tuple[int, int, int], seed: int, batch: int = 1) -> Tensor:
    """Return features (batch, *shape) as a rectifier leaves them, and like real ones correlated between channels."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(shape[0], shape[0], generator=generator, dtype=torch.float64)
    drawn = torch.randn(batch, *shape, generator=generator, dtype=torch.float64)
    return torch.einsum("dc,bchw->bdhw", mixed, drawn).add(0.3).relu()


def moments(features: Tensor, shares: Tensor | None = None) -> Moments:
    """Return the moments of features (B, C, h, w)."""
    first, second = losses.sums(features, shares)
    count = features.shape[2] * features.shape[3] if shares is None else float(shares.sum())
    return Moments(first / count, second / count)


def by_features(term: StyleTerm, features: Tensor) -> Tensor:
    """Return the gradient by the features (B, C, h, w) that the gradients by their moments amount to."""
    flat = features.flatten(2)
    gradient = 2 * term.by_second.to(flat) @ flat
    if term.by_mean is not None:
        gradient = gradient + term.by_mean.to(flat)[:, :, None]
    return (gradient / flat.shape[2]).reshape(features.shape)


@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
def test_sums(stored: torch.memory_format) -> None:
    """Sums over pixels, weighted or not, are those of a plain loop, however features lie in memory."""
    features = rectified((5, 4, 6), 1, batch=2).contiguous(memory_format=stored)
    shares = smooth(4, 6)[0, 0]
    for mask in (None, shares):
        first, second = losses.sums(features, mask)
        weight = torch.ones_like(shares) if mask is None else mask
        assert torch.allclose(first, torch.einsum("bchw,hw->bc", features, weight))
        assert torch.allclose(second, torch.einsum("bchw,bdhw,hw->bcd", features, features, weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_gram(shape: tuple[int, int, int]) -> None:
    """Value and gradient are those of the mean squared difference of Gram matrices by C·h·w."""
    seen, wanted = rectified(shape, 1).requires_grad_(), rectified((shape[0], 5, 8), 2)
    plain = plain_gatys.gram_loss(seen, wanted)
    term = losses.gram(moments(seen.detach()), moments(wanted))
    assert float(term.value) == pytest.approx(plain.item(), rel=1e-12)
    assert apart(by_features(term, seen.detach()), torch.autograd.grad(plain, seen)[0]) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_wasserstein(shape: tuple[int, int, int]) -> None:
    """Value and gradient are those of the plain distance, also of a covariance that is singular but for its epsilon."""
    seen, wanted = rectified(shape, 1).requires_grad_(), rectified((shape[0], 5, 8), 2)
    plain = plain_gatys.w2_loss(seen, wanted)
    target = moments(wanted)
    term = losses.wasserstein(moments(seen.detach()), target, losses.half_of(target))
    assert float(term.value) == pytest.approx(plain.item(), rel=1e-9)
    assert apart(by_features(term, seen.detach()), torch.autograd.grad(plain, seen)[0]) < 1e-7


def test_wasserstein_of_gaussians_in_one_dimension() -> None:
    """With one channel it is (μ - μ')² + (σ - σ')²."""
    now = Moments(torch.tensor([[1.5]]).double(), torch.tensor([[[1.5**2 + 0.8**2 - 1e-4]]]).double())
    target = Moments(torch.tensor([[1.1]]).double(), torch.tensor([[[1.1**2 + 0.3**2 - 1e-4]]]).double())
    assert float(losses.wasserstein(now, target, losses.half_of(target)).value) == pytest.approx(0.4**2 + 0.5**2)


@pytest.mark.parametrize("kind", ["gram", "w2"])
def test_nothing_is_lost_at_the_target(kind: str) -> None:
    """A picture with the style's statistics has loss 0 and no gradient."""
    features = rectified((9, 7, 6), 1)
    target = moments(features)
    term = losses.gram(target, target) if kind == "gram" else losses.wasserstein(target, target, losses.half_of(target))
    assert abs(float(term.value)) < 1e-12
    assert float(by_features(term, features).abs().max()) < 1e-12


@pytest.mark.parametrize("kind", ["gram", "w2"])
def test_a_batch_is_its_members(kind: str) -> None:
    """Each of several pictures gets the value and the gradients that it gets alone, against one target."""
    features, target = rectified((9, 7, 6), 1, batch=3), moments(rectified((9, 5, 8), 2))

    def term(seen: Tensor) -> StyleTerm:
        if kind == "gram":
            return losses.gram(moments(seen), target)
        return losses.wasserstein(moments(seen), target, losses.half_of(target))

    together = term(features)
    for number in range(3):
        alone = term(features[number : number + 1])
        assert float(together.value[number]) == pytest.approx(float(alone.value), rel=1e-12)
        assert torch.allclose(together.by_second[number], alone.by_second[0], atol=1e-12)
        if together.by_mean is not None and alone.by_mean is not None:
            assert torch.allclose(together.by_mean[number], alone.by_mean[0], atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_a_target(shape: tuple[int, int, int]) -> None:
    """Times itself it is the covariance."""
    target = moments(rectified(shape, 1, batch=2))
    half = losses.half_of(target)
    assert torch.allclose(half @ half, losses.covariance(target), atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loudness", [1e-2, 1.0, 1e3])
def test_the_gpu_s_way_to_the_root(shape: tuple[int, int, int], loudness: float) -> None:
    """Products alone come to the same trace and gradient as eigenvalues, for features of any size.

    The gradient counts where features are: times their covariance.
    """
    seen, target = moments(loudness * rectified(shape, 1, batch=2)), moments(loudness * rectified(shape, 2))
    ours, half = losses.covariance(seen), losses.half_of(target)
    exact, near = losses.root_by_eigenvalues(ours, half), losses.root_by_polar_factor(ours, half)
    assert torch.allclose(near[0], exact[0], rtol=1e-3)
    assert apart(near[1] @ ours, exact[1] @ ours) < 5e-3


def test_the_gpu_s_gradient_is_that_of_its_value() -> None:
    """A small step changes the value by what the gradient says, or a line search would be lost."""
    ours = losses.covariance(moments(rectified((24, 9, 8), 1)))
    half = losses.half_of(moments(rectified((24, 9, 8), 2)))
    value, gradient = losses.root_by_polar_factor(ours, half)
    step = 1e-4 * ours
    higher, lower = (losses.root_by_polar_factor(ours + way * step, half)[0] for way in (1, -1))
    assert float((higher - lower) / 2) == pytest.approx(float((gradient * step).sum()), rel=1e-3)
    assert float(value) > 0


def test_wasserstein_of_single_precision_features() -> None:
    """From moments in float32 the value changes along a small step as its gradient says: rounding does not hide it."""
    seen, target = rectified((96, 12, 12), 1), moments(rectified((96, 12, 12), 2))
    direction = torch.randn(seen.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    single = Moments(target.mean.float(), target.second.float())

    def term(features: Tensor) -> StyleTerm:
        exact = moments(features)
        return losses.wasserstein(Moments(exact.mean.float(), exact.second.float()), single, losses.half_of(single))

    slope = float((by_features(term(seen), seen) * direction).sum())
    ahead, behind = (float(term(seen + way * 1e-3 * direction).value) for way in (1, -1))
    assert (ahead - behind) / 2e-3 == pytest.approx(slope, rel=2e-2)


@pytest.mark.parametrize("nine_point", [False, True])
@pytest.mark.parametrize("size", [(7, 9), (2, 2), (3, 16)])
def test_total_variation(size: tuple[int, int], *, nine_point: bool) -> None:
    """Value and gradient are those of plain slices, for each picture of a batch."""
    image = torch.cat([smooth(*size), smooth(*size, seed=2)])
    value, gradient = losses.total_variation(image, nine_point=nine_point)
    image.requires_grad_()
    plain = plain_gatys.total_variation(image, nine_point=nine_point)
    assert torch.allclose(value, plain, rtol=1e-12)
    assert apart(gradient, torch.autograd.grad(plain.sum(), image)[0]) < 1e-12
