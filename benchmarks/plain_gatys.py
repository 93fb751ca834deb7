"""Neural style transfer the plain way, to compare with: modules in a row, automatic gradients, torch's own L-BFGS.

Written from the description of PyTorch's tutorial "Neural Transfer Using PyTorch" and from the equations of Gatys,
Ecker and Bethge 2015 (arXiv 1508.06576), without any code of the engine, which it is there to judge. It is as slow as
such programs are, takes any type of float, and has no command of its own: tests and the benchmark call it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's VGG-19
BLOCKS = (2, 2, 4, 4, 4)
PAPER_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

Convolutions = Sequence[tuple[Tensor, Tensor]]
Tell = Callable[["Losses"], None]
Padding = Literal["zeros", "replicate", "reflect"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a picture should come to: layers with their weights, kinds of losses, and the weights of the sums."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    content_weight: float = 1.0
    style_weight: float = 1e6
    tv_weight: float = 0.0
    style_loss: str = "gram"
    content_loss: str = "mean"
    nine_point: bool = False
    pooling: str = "max"


TUTORIAL = Numbers({"conv2_2": 1.0}, dict.fromkeys(("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), 1.0))
PAPER = Numbers({"relu4_2": 1.0}, dict.fromkeys(PAPER_STYLE, 1.0))
GATYS_2015 = Numbers(
    {"relu4_2": 1.0},
    dict.fromkeys(PAPER_STYLE, 0.2),
    style_weight=1e3,
    style_loss="equation 4",
    content_loss="half-sum",
    pooling="average",
)
BY_NAME = {"tutorial": TUTORIAL, "paper": PAPER, "gatys-2015": GATYS_2015}


@dataclass(frozen=True, slots=True)
class Losses:
    """Values with their weights in, as scalars (in a trace: detached)."""

    content: Tensor
    style: Tensor
    tv: Tensor

    @property
    def total(self) -> Tensor:
        """The sum."""
        return self.style + self.content + self.tv


class Normalised(nn.Module):
    """An image (B, 3, H, W) in 0..1, as the network was trained to see it."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).to(like)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION).to(like)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Given an image, return it normalised."""
        return (image - self.get_buffer("mean")) / self.get_buffer("deviation")


class Pooling(nn.Module):
    """2 x 2 pooling; Crowson's factors where `rescaled`: 2 for the mean, 0.78 for the root of the sum of squares."""

    def __init__(self, kind: str, *, ceil: bool = False, rescaled: bool = False) -> None:
        super().__init__()
        self.kind, self.ceil, self.factor = kind, ceil, {"max": 1.0, "average": 2.0, "l2": 0.78}[kind]
        if not rescaled:
            self.factor = 1.0

    def forward(self, image: Tensor) -> Tensor:
        """Given features, return them at half the size."""
        if self.kind == "max":
            return functional.max_pool2d(image, 2, ceil_mode=self.ceil)
        if self.kind == "average":
            return self.factor * functional.avg_pool2d(image, 2, ceil_mode=self.ceil)
        # The tiny number keeps the gradient of a block of zeros from being infinite times zero.
        return self.factor * (4 * functional.avg_pool2d(image.square(), 2, ceil_mode=self.ceil) + 1e-24).sqrt()


def vgg(
    convolutions: Convolutions,
    *,
    pooling: str = "max",
    rescaled: bool = False,
    padding: Padding = "zeros",
    ceil: bool = False,
) -> nn.Sequential:
    """Given weights and biases of VGG-19 (channels are free), return its layers by name, from `normalised` on."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalised=Normalised(convolutions[0][0]))
    left = list(convolutions)
    for block, count in enumerate(BLOCKS, start=1):
        if block > 1:
            layers[f"pool{block - 1}"] = Pooling(pooling, ceil=ceil, rescaled=rescaled)
        for place in range(1, count + 1):
            weight, bias = left.pop(0)
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=padding)
            layer.weight, layer.bias = (
                nn.Parameter(weight, requires_grad=False),
                nn.Parameter(bias, requires_grad=False),
            )
            layers[f"conv{block}_{place}"] = layer
            layers[f"relu{block}_{place}"] = nn.ReLU(inplace=False)
    return nn.Sequential(layers).eval()


def features(network: nn.Sequential, image: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Given an image (B, 3, H, W), return its features at the wanted layers, and compute none behind them."""
    found: dict[str, Tensor] = {}
    for name, layer in network.named_children():
        if len(found) == len(set(wanted)):
            break
        image = layer(image)
        if name in wanted:
            found[name] = image
    return found


def gram(seen: Tensor) -> Tensor:
    """Given features (1, C, h, w), return their Gram matrix (C, C), a sum over pixels."""
    flat = seen.flatten(2)[0]
    return flat @ flat.T


def gram_loss(seen: Tensor, wanted: Tensor) -> Tensor:
    """Given features of picture and style, return the tutorial's style loss: MSE of the Gram matrices by C·h·w."""
    return functional.mse_loss(gram(seen) / seen[0].numel(), gram(wanted) / wanted[0].numel())


def equation_4(seen: Tensor, wanted: Tensor) -> Tensor:
    """Given features of picture and style, return E_l of equation 4 of arXiv 1508.06576, where M is the picture's.

    The paper takes a style of the picture's size; of another size, its Gram matrix is scaled to as many pixels.
    """
    channels, numbers = seen.shape[1], seen[0, 0].numel()
    apart = gram(seen) - gram(wanted) * (numbers / wanted[0, 0].numel())
    return apart.square().sum() / (4 * channels**2 * numbers**2)


def covariance(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Given features (1, C, h, w), return their mean (C,) and covariance (C, C) with 1e-4 on its diagonal."""
    flat = seen.flatten(2)[0]
    mean = flat.mean(1)
    apart = flat - mean[:, None]
    return mean, apart @ apart.T / apart.shape[1] + 1e-4 * torch.eye(len(flat), dtype=flat.dtype, device=flat.device)


def gaussian_distance(mean: Tensor, spread: Tensor, wanted_mean: Tensor, wanted_spread: Tensor) -> Tensor:
    """Given means (C,) and covariances (C, C), return the squared Wasserstein distance of the Gaussians over C.

    Dowson and Landau 1982. The trace of a matrix's root is the sum of its eigenvalues' roots.
    """
    values, vectors = torch.linalg.eigh(wanted_spread.detach())
    half = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(half @ spread @ half).clamp_min(1e-12).sqrt().sum()
    distance: Tensor = (mean - wanted_mean).square().sum() + spread.trace() + wanted_spread.trace() - 2 * cross
    return distance / len(mean)


def w2_loss(seen: Tensor, wanted: Tensor) -> Tensor:
    """Given features of picture and style, return the distance of their Gaussians."""
    return gaussian_distance(*covariance(seen), *covariance(wanted))


STYLE_LOSSES = {"gram": gram_loss, "equation 4": equation_4, "w2": w2_loss}


def content_loss(seen: Tensor, wanted: Tensor, kind: str) -> Tensor:
    """Given features of picture and photo, return the mean squared difference, or half the sum (equation 1)."""
    return functional.mse_loss(seen, wanted) if kind == "mean" else (seen - wanted).square().sum() / 2


def total_variation(image: Tensor, *, nine_point: bool) -> Tensor:
    """Given an image (B, 3, H, W), return (B,): the mean squares of its differences to the right and down, summed.

    With nine points 2/3 of each of them, and 1/6 of both diagonals'.
    """
    right = (image[..., :, 1:] - image[..., :, :-1]).square().mean((1, 2, 3))
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean((1, 2, 3))
    if not nine_point:
        return right + down
    falling = (image[..., 1:, 1:] - image[..., :-1, :-1]).square().mean((1, 2, 3))
    rising = (image[..., 1:, :-1] - image[..., :-1, 1:]).square().mean((1, 2, 3))
    return 2 * (right / 3 + down / 3 + falling / 12 + rising / 12)


@dataclass(frozen=True, slots=True)
class Task:
    """A photo and a style as the network sees them; called with an image (1, 3, H, W), it says how far that is off."""

    network: nn.Sequential
    numbers: Numbers
    photo: Tensor
    style: Tensor
    _photo_seen: dict[str, Tensor] = field(init=False)
    _style_seen: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        with torch.no_grad():
            object.__setattr__(self, "_photo_seen", features(self.network, self.photo, list(self.numbers.content)))
            object.__setattr__(self, "_style_seen", features(self.network, self.style, list(self.numbers.style)))

    def __call__(self, image: Tensor) -> Losses:
        """Given an image (1, 3, H, W), return its losses, ready for `backward`.

        As in the tutorial each loss is computed where its layer is: gradients are then summed in the same order, and
        agree to the last bit.
        """
        numbers, seen = self.numbers, image
        content, style = image.new_zeros(()), image.new_zeros(())
        left = len(numbers.content) + len(numbers.style)
        for name, layer in self.network.named_children():
            if not left:
                break
            seen = layer(seen)
            if name in numbers.content:
                left -= 1
                loss = content_loss(seen, self._photo_seen[name], numbers.content_loss)
                content = content + numbers.content[name] * loss
            if name in numbers.style:
                left -= 1
                loss = STYLE_LOSSES[numbers.style_loss](seen, self._style_seen[name])
                style = style + numbers.style[name] * loss
        tv = total_variation(image, nine_point=numbers.nine_point).sum()
        return Losses(numbers.content_weight * content, numbers.style_weight * style, numbers.tv_weight * tv)

    def gradient(self, image: Tensor) -> Tensor:
        """Given an image (1, 3, H, W), return the gradient of its total loss."""
        image = image.detach().clone().requires_grad_()
        return torch.autograd.grad(self(image).total, image)[0]


class EnoughError(Exception):
    """So many evaluations were asked for, and they are done."""


def painted(task: Task, start: Tensor, evaluations: int, tell: Tell | None = None) -> tuple[Tensor, list[Losses]]:
    """Given a start (1, 3, H, W), return the picture after so many evaluations by the tutorial's loop, and its trace.

    The loop is torch's L-BFGS with its defaults (lr 1, history 100, 20 iterations a step), and the picture is clamped
    in the closure before each evaluation. `tell` hears of each; what it raises ends the loop.
    """
    picture = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    optimiser = torch.optim.LBFGS([picture])
    trace: list[Losses] = []

    def closure() -> float:
        if len(trace) == evaluations:
            raise EnoughError
        with torch.no_grad():
            picture.clamp_(0, 1)
        optimiser.zero_grad()
        losses = task(picture)
        losses.total.backward()  # type: ignore[no-untyped-call]  # torch's
        trace.append(Losses(losses.content.detach(), losses.style.detach(), losses.tv.detach()))
        if tell is not None:
            tell(trace[-1])
        return losses.total.item()

    try:
        while len(trace) < evaluations:
            optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch's
    except EnoughError:
        pass
    return picture.detach().clamp(0, 1), trace
