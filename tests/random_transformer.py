"""A transformer network of seeded random numbers in both layouts that files come in, and a plain program that runs it.

Instance normalisation keeps the random numbers tame; a small last layer keeps the painting near the middle grey.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

SHAPES = [(32, 3, 9), (64, 32, 3), (128, 64, 3), *[(128, 128, 3)] * 10, (64, 128, 3), (32, 64, 3), (3, 32, 9)]
EXAMPLES = [
    *(("conv1.conv2d", "in1"), ("conv2.conv2d", "in2"), ("conv3.conv2d", "in3")),
    *((f"res{block}.conv{half}.conv2d", f"res{block}.in{half}") for block in range(1, 6) for half in (1, 2)),
    *(("deconv1.conv2d", "in4"), ("deconv2.conv2d", "in5"), ("deconv3.conv2d", "")),
]
LINDERNOREN = [
    *((f"model.{number}.block.1", f"model.{number}.norm") for number in range(3)),
    *((f"model.{n}.block.{half}.block.1", f"model.{n}.block.{half}.norm") for n in range(3, 8) for half in (0, 1)),
    *(("model.8.block.1", "model.8.norm"), ("model.9.block.1", "model.9.norm"), ("model.10.block.1", "")),
]


def state(names: list[tuple[str, str]], *, amplitude: float, seed: int = 0) -> dict[str, Tensor]:
    """Return a state dict under these names whose last layer gives values of about `amplitude`."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for (convolution, norm), (outputs, inputs, edge) in zip(names, SHAPES, strict=True):
        size = 0.5 / (inputs * edge * edge) ** 0.5 * (1.0 if norm else amplitude)
        found[f"{convolution}.weight"] = torch.randn(outputs, inputs, edge, edge, generator=generator) * size
        found[f"{convolution}.bias"] = torch.full((outputs,), 0.0 if norm else amplitude)
        if norm:
            found[f"{norm}.weight"] = 0.5 + torch.rand(outputs, generator=generator)
            found[f"{norm}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    return found


def examples(seed: int = 0) -> dict[str, Tensor]:
    """Return one in the layout of pytorch/examples, which gives values around 127, with an old file's running means."""
    found = state(EXAMPLES, amplitude=127.0, seed=seed)
    norms = [key.removesuffix(".weight") for key in found if re.search(r"in\d\.weight$", key)]
    return found | {f"{norm}.running_mean": torch.ones(7) for norm in norms}


def lindernoren(seed: int = 0) -> dict[str, Tensor]:
    """Return one in the other layout, which gives values around 0.5."""
    return state(LINDERNOREN, amplitude=0.5, seed=seed)


def plain(image: Tensor, found: Mapping[str, Tensor], names: list[tuple[str, str]]) -> Tensor:
    """Given what the network wants to see (1, 3, H, W), return what it gives, by PyTorch's own modules."""
    kept = image
    for number, ((convolution, norm), (outputs, _, edge)) in enumerate(zip(names, SHAPES, strict=True)):
        if number in range(3, 13, 2):
            kept = image
        if number in (13, 14):
            image = functional.interpolate(image, scale_factor=2, mode="nearest")
        image = nn.ReflectionPad2d(edge // 2)(image)
        weight, bias = found[f"{convolution}.weight"], found[f"{convolution}.bias"]
        image = functional.conv2d(image, weight, bias, stride=2 if number in (1, 2) else 1)
        if norm:
            module = nn.InstanceNorm2d(outputs, affine=True)
            module.load_state_dict({"weight": found[f"{norm}.weight"], "bias": found[f"{norm}.bias"]})
            image = module(image)
            image = image + kept if number in range(4, 13, 2) else image.relu()
    return image.detach()
