"""Three ways to make the loss small, for several variants of a picture at once. They know nothing of networks.

Every variant has its own curvature, step and loss; only the evaluations are shared. Nothing here waits for a GPU but
the look at the losses every ten evaluations. Values that are no numbers, or explode, shorten the step.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.gatys.curvature import Curvature
from neural_selfie.engine.gatys.objective import Losses
from neural_selfie.errors import EngineFailedError

Evaluate = Callable[[Tensor], tuple[Losses, Tensor]]
"""Given images (B, 3, H, W), return their losses (B,) and the gradient of the sum of the totals, free to be changed."""
Watch = Callable[[Losses], None]
"""Is told the losses of every evaluation."""

LOOK_EVERY = 10  # evaluations between two looks at the losses: each look lets a GPU wait
_SUFFICIENT = 1e-4  # Armijo's constant, the usual one (Nocedal and Wright 2006, section 3.1)
_SHRINK = 0.4  # of a step that did not help
_FIRST_STEP = 0.02  # mean change of a pixel in the first step: about five of 255 levels
# By measurement on two pairs of pictures: these two and 80 pairs take 0.6 times the evaluations of 0.5, 1 and 40.
_COARSE_FIRST = 0.4  # power of the frequency by which a gradient is divided
_BOLD = 3.0  # times what the last step says about the curvature, as long as steps succeed
_EXPLODED = 100.0  # times the best total so far
_RETRIES = 6
_FILTERED_NUMBERS = 16 << 20  # filtered at once: 128 MB as complex numbers


@dataclass(slots=True)
class Stop:
    """Ends a scale after so many evaluations, or when ten of them improved no variant's total by `tolerance` each."""

    evaluations: int
    tolerance: float
    done: int = 0
    _before: Tensor | None = None

    def __call__(self, totals: Tensor) -> bool:
        """Given the best totals (B,) so far, after one more evaluation, say whether to end."""
        self.done += 1
        if self.done >= self.evaluations:
            return True
        if self.tolerance == 0 or self.done % LOOK_EVERY:
            return False
        before, self._before = self._before, totals.clone()
        return before is not None and bool((totals > before * (1 - LOOK_EVERY * self.tolerance)).all())


def lbfgs(evaluate: Evaluate, image: Tensor, *, stop: Stop, history: int, watch: Watch) -> Tensor:
    """Given images (B, 3, H, W) in 0..1, return better ones in 0..1: L-BFGS with bounds and a preconditioner.

    Nocedal and Wright 2006, section 7.2, begun with the `smoothed` gradient. Pixels that the gradient holds at a
    bound stay, each step is cut off at 0 and 1 (gradient projection, section 16.7) and must make the loss smaller;
    otherwise it is shortened. Raise EngineFailedError when the loss is not a number from the start.
    """
    image = image.clone()  # changed in place from here on: a large picture leaves no room for many of them
    losses, gradient = evaluate(image)
    total = _begun(losses)
    watch(losses)
    curvature = Curvature(image, min(history, stop.evaluations))
    reach, bold = torch.ones_like(total), torch.full_like(total, _BOLD)
    scale = _FIRST_STEP / _BOLD / smoothed(gradient).abs().mean((1, 2, 3)).clamp_min(1e-30)
    while not stop(total):
        held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        trial = curvature.direction(gradient.masked_fill(held, 0), partial(_scaled, scale * bold))
        trial.masked_fill_(held, 0).mul_(-_wide(reach)).add_(image).clamp_(0, 1)
        losses, change = evaluate(trial)
        watch(losses)
        step = trial.sub_(image)
        change.sub_(gradient)
        good = losses.total <= total + _SUFFICIENT * _dot(gradient, step)  # false where it is not a number
        for of_a_bad_step in (step, change):
            of_a_bad_step.masked_fill_(~_wide(good), 0)
        product = _dot(step, change)
        useful = product > 1e-10 * _dot(change, change)
        curvature.add(step, change, useful)
        scale = torch.where(useful, product / _dot(change, smoothed(change)), scale)
        image.add_(step)
        gradient.add_(change)
        total = torch.where(good, losses.total, total)
        reach = torch.where(good, torch.ones_like(reach), reach * _SHRINK)
        bold = torch.where(good, bold * 1.1, bold / 2).clamp(1, _BOLD)
        lost = reach < 1e-4  # noqa: PLR2004 - ten shortened steps: forget the curvature of this variant
        curvature.forget(lost)
        reach = torch.where(lost, 1e-2 * torch.ones_like(reach), reach)
    return image


def _scaled(scale: Tensor, gradient: Tensor) -> Tensor:
    return smoothed(gradient).mul_(_wide(scale))


def smoothed(gradient: Tensor) -> Tensor:
    """Given a gradient (B, 3, H, W), return it with each frequency f divided by f^0.4: coarse changes first.

    The picture is mirrored at its borders, so that nothing wraps around. A symmetric positive map, as a
    preconditioner has to be.
    """
    height, width = gradient.shape[2:]
    down = torch.fft.fftfreq(2 * height, device=gradient.device)[:, None]
    right = torch.fft.rfftfreq(2 * width, device=gradient.device)[None]
    gain = down.square() + right.square() + 1e-4  # 1e-4: periods above 100 px are all the same
    gain.pow_(-_COARSE_FIRST / 2)
    filtered = gradient.new_empty(gradient.shape)
    several = max(1, _FILTERED_NUMBERS // gain.numel())
    planes, results = gradient.flatten(0, 1), filtered.flatten(0, 1)
    for start in range(0, len(planes), several):
        some = planes[start : start + several]
        mirrored = functional.pad(some, (0, width, 0, height))
        mirrored[:, :height, width:] = some.flip(2)
        mirrored[:, height:] = mirrored[:, :height].flip(1)
        waves = torch.fft.rfft2(mirrored)
        del mirrored  # four times the planes, as are the waves
        back = torch.fft.irfft2(waves.mul_(gain), s=(2 * height, 2 * width))
        results[start : start + several] = back[:, :height, :width]
    return filtered


@dataclass(slots=True)
class Moments:
    """What Adam remembers (B, 3, H, W); it goes on to the next scale."""

    first: Tensor
    second: Tensor
    steps: int = 0

    def fitted(self, images: Tensor) -> "Moments":
        """Return it for images (B, 3, H, W) of another size, or for all variants when one was painted for them.

        As in Crowson's style-transfer-pytorch: bicubic, and bilinear above 0.
        """
        size = images.shape[2:]
        first = functional.interpolate(self.first, size, mode="bicubic").expand_as(images).clone()
        second = functional.interpolate(self.second, size, mode="bilinear").clamp_min(0).expand_as(images).clone()
        return Moments(first, second, self.steps)


@dataclass(slots=True)
class Adam:
    """Kingma and Ba 2015 (arXiv 1412.6980) with β₂ = 0.99 and averaged iterates, as in Crowson's program.

    After every step the image is cut off at 0 and 1; the result is the average of the iterates. `moments` stay for the
    next scale.
    """

    rate: float
    average: float
    moments: Moments | None = None
    betas: tuple[float, float] = (0.9, 0.99)

    def __call__(self, evaluate: Evaluate, image: Tensor, *, stop: Stop, watch: Watch) -> Tensor:
        """Given images (B, 3, H, W) in 0..1, return better ones; raise EngineFailedError when the loss is no number."""
        moments = self.moments or Moments(torch.zeros_like(image), torch.zeros_like(image))
        if moments.first.shape != image.shape:
            moments = moments.fitted(image)
        image, kept, best = image.clone(), image, None
        mean, weight, rate, done = torch.zeros_like(image), 0.0, self.rate, False
        failures = 0
        while not done:
            losses, gradient = evaluate(image)
            if best is None:
                best = _begun(losses)
            watch(losses)
            done = stop(best)
            if (stop.done % LOOK_EVERY == 0 or done) and not bool((losses.total < _EXPLODED * best).all()):
                failures += 1
                if failures > _RETRIES:
                    raise EngineFailedError(_EXPLODES)
                rate /= 4
                image, moments = kept.clone(), Moments(torch.zeros_like(image), torch.zeros_like(image))
                mean, weight = torch.zeros_like(image), 0.0
                continue
            if stop.done % LOOK_EVERY == 0:
                kept = image.clone()
            best = torch.fmin(best, losses.total)  # a NaN between two looks is nobody's best
            image = self._step(image, gradient, moments, rate)
            mean = self.average * mean + (1 - self.average) * image
            weight = self.average * weight + (1 - self.average)
        self.moments = moments
        return mean / weight if weight else kept

    def _step(self, image: Tensor, gradient: Tensor, moments: Moments, rate: float) -> Tensor:
        moments.steps += 1
        moments.first.lerp_(gradient, 1 - self.betas[0])
        moments.second.lerp_(gradient.square(), 1 - self.betas[1])
        unbiased = moments.second / (1 - self.betas[1] ** moments.steps)
        step = moments.first / (1 - self.betas[0] ** moments.steps) / (unbiased.sqrt_() + 1e-8)
        return (image - rate * step).clamp_(0, 1)


def torch_lbfgs(evaluate: Evaluate, image: Tensor, *, stop: Stop, history: int, watch: Watch) -> Tensor:
    """Given one image (1, 3, H, W), do what PyTorch's tutorial does: its L-BFGS, cutting off inside the closure.

    That changes the image behind the optimiser's back, which makes it explode now and then (pytorch/tutorials issue
    143); it then begins again from the best image with a quarter of the step. Raise EngineFailedError when the loss is
    no number from the start, or it explodes again and again.
    """
    rate, best, found = 1.0, math.inf, image
    for _ in range(_RETRIES):
        going = torch.nn.Parameter(found.clone(), requires_grad=False)
        optimiser = torch.optim.LBFGS([going], lr=rate, history_size=history)

        def closure(going: Tensor = going) -> float:
            nonlocal best, found
            going.clamp_(0, 1)
            losses, gradient = evaluate(going)
            total = float(_begun(losses) if math.isinf(best) else losses.total)
            watch(losses)
            going.grad = gradient
            if not total < _EXPLODED * best:
                raise _ExplodedError
            if total < best:
                best, found = total, going.clone()
            if stop(losses.total):
                raise _EnoughError
            return total

        try:
            while True:
                optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except _EnoughError:
            return going.detach().clamp(0, 1)
        except _ExplodedError:
            rate /= 4
    raise EngineFailedError(_EXPLODES)


_EXPLODES = "The loss explodes again and again, with ever smaller steps: lower style_weight or content_weight."


class _EnoughError(Exception):
    """The scale has had its evaluations."""


class _ExplodedError(Exception):
    """The loss is not a number any more, or a hundred times what it was."""


def _begun(losses: Losses) -> Tensor:
    total = losses.total
    if not bool(torch.isfinite(total).all()):
        raise EngineFailedError(
            "The loss is not a number from the start: the weights are damaged, or a weight of the recipe is too large."
        )
    return total


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((1, 2, 3))


def _wide(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]
