"""The same objective as PyTorch's tutorial computes it: one graph, differentiated by PyTorch, in the tutorial's order.

L-BFGS enlarges differences: where two programs round differently in the last digit, their losses differ in the third
after twenty evaluations. So `arithmetic: direct`, which is to agree with other programs, goes this way. It needs three
times the memory, paints one variant at a time, and knows neither regions nor tiles; `objective.py` does all that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.objective import Goal, Losses


@dataclass(frozen=True, slots=True)
class DirectObjective:
    """A goal for one image (1, 3, H, W). Only for Gram matrices, maxima or means, and zeros at the borders."""

    weights: tuple[tuple[tuple[Tensor, Tensor], ...], ...]
    network: Network
    goal: Goal
    content: Mapping[str, Tensor]
    grams: Mapping[str, Tensor]

    def __call__(self, image: Tensor) -> tuple[Losses, Tensor]:
        """Given an image, return its losses and the gradient of their total."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            leaf = image.clone().requires_grad_()
            content, style = self._scores(leaf)
            total = style + content
            total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        roughness, gradient = losses.total_variation(image, nine_point=self.goal.nine_point)
        if leaf.grad is None:
            raise ValueError("no loss depends on the image")
        by_tv = float(self.goal.tv_weight[0])
        gradient = leaf.grad + by_tv * gradient if by_tv else leaf.grad
        return Losses(content.detach()[None], style.detach()[None], roughness * by_tv), gradient

    def _scores(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return content and style with their weights in: summed over layers and then weighted, as in the tutorial."""
        content, style = image.new_zeros(()), image.new_zeros(())
        half_sum = self.goal.half_sum
        for layer, features in _layers(image, self.weights, self.network):
            if layer in self.content:
                apart = functional.mse_loss(features, self.content[layer], reduction="sum" if half_sum else "mean")
                content = content + apart * (self.goal.content_layers[layer] * (0.5 if half_sum else 1.0))
            if layer in self.grams:
                distance = functional.mse_loss(_gram(features), self.grams[layer])
                share = self.goal.style_layers[layer]
                style = style + (distance if share == 1 else distance * share)
        return content * float(self.goal.content_weight[0]), style * float(self.goal.style_weight[0])


def serves(network: Network, goal: Goal) -> bool:
    """Given a network and a goal, say whether `DirectObjective` can be used for them."""
    targets = [target for regions in goal.style.values() for target in regions]
    return (
        network.layout == torch.contiguous_format
        and network.padding == "zeros"
        and network.pooling != "l2"
        and not network.ceil_pooling
        and goal.style_loss == "gram"
        and not goal.kept
        and goal.content_weight.numel() == 1
        and all(target.shares is None for target in targets)
    )


def direct_objective(
    network: Network, goal: Goal, photo: Tensor, styles: Sequence[tuple[Tensor, float]]
) -> DirectObjective:
    """Given what `serves` approved, the photo (1, 3, H, W) and styles (1, 3, h, w) with shares, return it.

    Photo and styles have the sizes that belong to the goal's.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        weights = tuple(
            tuple((one.weight.clone(), one.bias.clone()) for one in block if one.weight is not None)
            for block in network.blocks
        )
        grams: dict[str, Tensor] = {}
        for style, share in styles:
            for layer, features in _layers(style.clone(), weights, network):
                if layer in goal.style:
                    gram = _gram(features) if len(styles) == 1 else _gram(features) * share
                    grams[layer] = grams[layer] + gram if layer in grams else gram
        content = {
            layer: features for layer, features in _layers(photo.clone(), weights, network) if layer in goal.content
        }
        return DirectObjective(weights, network, goal, content, grams)


def _layers(
    image: Tensor, weights: tuple[tuple[tuple[Tensor, Tensor], ...], ...], network: Network
) -> Iterator[tuple[str, Tensor]]:
    """Given an image (1, 3, H, W), go through the network and yield every layer's name and features."""
    features = _entered(image, network)
    for block, convolutions in enumerate(weights, start=1):
        if block > 1:
            pool = functional.max_pool2d if network.pooling == "max" else functional.avg_pool2d
            features = pool(features, 2) if network.factor == 1 else pool(features, 2) * network.factor
        for place, (weight, bias) in enumerate(convolutions, start=1):
            features = functional.conv2d(features, weight, bias, padding=1)
            yield f"conv{block}_{place}", features
            features = functional.relu(features)
            yield f"relu{block}_{place}", features


def _entered(image: Tensor, network: Network) -> Tensor:
    """Return (image - mean) / deviation where the weights want that: another order of these would round otherwise."""
    matrix, offset = network.matrix.clone(), network.offset.clone()
    if not torch.equal(matrix, matrix.diag().diag()):
        return functional.conv2d(image, matrix[:, :, None, None], offset)
    # Six decimals are those of torchvision's constants: dividing twice may miss them by the last bit.
    deviation = torch.round(1 / matrix.diag().double(), decimals=6)
    mean = torch.round(-offset.double() * deviation, decimals=6)
    return (image - mean.float()[:, None, None]) / deviation.float()[:, None, None]


def _gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    flat = features.view(batch * channels, height * width)
    return torch.mm(flat, flat.t()).div(batch * channels * height * width)
