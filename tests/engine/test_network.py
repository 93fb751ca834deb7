"""VGG-19 forward and backward by hand, against modules with automatic gradients; and Winograd against a convolution."""

from collections.abc import Mapping, Sequence
from itertools import starmap

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import plain_gatys
import random_vgg
from neural_selfie.engine.gatys import winograd
from neural_selfie.engine.gatys.network import LAYERS, Network, Padding, Tape, network
from neural_selfie.engine.gatys.pooling import Pooling
from small_vgg import SmallVgg, apart, small_vgg, smooth

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
LOOKED_AT = [
    pytest.param(LAYERS, id="all"),
    pytest.param(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"), id="paper"),
    pytest.param(("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), id="tutorial"),
    pytest.param(("relu1_2", "conv2_2", "relu3_4"), id="last of a block"),
    pytest.param(("conv4_3",), id="one"),
]


def forward(net: Network, image: Tensor, *, keep: bool = True) -> tuple[list[Tape], dict[str, Tensor]]:
    """Return the tapes of all blocks and the features that are looked at."""
    going, tapes = net.enter(image), []
    for block in range(len(net.blocks)):
        going, tape = net.forward(block, going, keep=keep)
        tapes.append(tape)
    return tapes, {layer: found for tape in tapes for layer, found in tape.features.items()}


def backward(net: Network, tapes: Sequence[Tape], given: Mapping[str, Tensor]) -> Tensor:
    """Return the gradient of the image, where losses add the given gradients at their layers."""

    def seed(layer: str, features: Tensor, gradient: Tensor | None) -> Tensor:
        assert features.shape == given[layer].shape
        return given[layer].clone() if gradient is None else gradient.add_(given[layer])

    gradient: Tensor | None = None
    for block in reversed(range(len(net.blocks))):
        gradient = net.backward(block, tapes[block], gradient, seed)
    assert gradient is not None
    return net.leave(gradient)


def drawn_like(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a random gradient for the features of each layer."""
    generator = torch.Generator().manual_seed(5)
    return {
        layer: torch.randn(features.shape, generator=generator, dtype=features.dtype)
        for layer, features in found.items()
    }


def compare(net: Network, plain: nn.Sequential, image: Tensor) -> tuple[float, float]:
    """Return by how much the features (the worst layer) and the gradient of the image differ, as shares of a norm."""
    tapes, found = forward(net, image)
    given = drawn_like(found)
    gradient = backward(net, tapes, given)
    image = image.clone().requires_grad_()
    wanted = plain_gatys.features(plain, image, list(net.looked_at))
    assert found.keys() == wanted.keys()
    loss = torch.stack([(wanted[layer] * given[layer]).sum() for layer in wanted]).sum()
    expected = torch.autograd.grad(loss, image)[0]
    # The features of a block whose input is rectified in place must still be those that were looked at.
    worst = max(apart(found[layer], wanted[layer].detach()) for layer in wanted)
    return worst, apart(gradient, expected)


def both(
    vgg: SmallVgg, layers: Sequence[str], pooling: Pooling, padding: Padding, *, rescale: bool = True
) -> tuple[Network, nn.Sequential]:
    """Return the engine's network and the plain one."""
    net = network(
        vgg, layers, device=CPU, pooling=pooling, rescale=rescale, padding=padding, direct=True, dtype=torch.float64
    )
    plain = plain_gatys.vgg(vgg.convolutions, pooling=pooling, rescaled=rescale, padding=padding, ceil=vgg.ceil_pooling)
    return net, plain


@pytest.mark.parametrize("layers", LOOKED_AT)
def test_layers(layers: Sequence[str]) -> None:
    """Whatever layers are looked at, their features and the gradient of the image are the plain ones."""
    net, plain = both(small_vgg(), layers, "max", "zeros")
    features, gradient = compare(net, plain, torch.cat([smooth(48, 64), smooth(48, 64, 2)]))
    assert features < 1e-12
    assert gradient < 1e-10


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("size", [(32, 48), (35, 47)])
@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_pooling_and_padding(pooling: Pooling, padding: Padding, size: tuple[int, int], *, ceil: bool) -> None:
    """With every pooling, padding and size, rounded down or up, features and gradient are the plain ones."""
    net, plain = both(small_vgg(ceil_pooling=ceil), ("conv2_2", "relu3_2", "relu5_1"), pooling, padding)
    features, gradient = compare(net, plain, smooth(*size))
    assert features < 1e-10
    assert gradient < 1e-9


def test_without_rescaling() -> None:
    """Without the factor, average pooling is nothing but that, as in Gatys' paper."""
    net, plain = both(small_vgg(), ("relu3_2", "relu5_1"), "average", "zeros", rescale=False)
    features, gradient = compare(net, plain, smooth(48, 64))
    assert features < 1e-12
    assert gradient < 1e-10


def test_without_keeping_features_are_the_same() -> None:
    """A way forward that nobody goes back has the same features and leaves no tape behind."""
    net, _ = both(small_vgg(), LAYERS[:20], "max", "zeros")
    kept, bare = forward(net, smooth(40, 40)), forward(net, smooth(40, 40), keep=False)
    assert all(torch.equal(kept[1][layer], bare[1][layer]) for layer in kept[1])
    assert not any(tape.signs for tape in bare[0])


def test_chance_decides_no_maximum_of_a_flat_picture() -> None:
    """Of equal values one is the maximum: the gradient of a flat picture is as large as the plain one's."""
    net, plain = both(small_vgg(), ("relu3_1",), "max", "replicate")
    image = torch.full((1, 3, 32, 32), 0.4, dtype=torch.float64)
    tapes, found = forward(net, image)
    ones = {layer: torch.ones_like(features) for layer, features in found.items()}
    gradient = backward(net, tapes, ones)
    image.requires_grad_()
    wanted = plain_gatys.features(plain, image, ["relu3_1"])["relu3_1"].sum()
    assert float(gradient.sum()) == pytest.approx(float(torch.autograd.grad(wanted, image)[0].sum()), rel=1e-9)


@pytest.fixture(scope="module")
def full() -> SmallVgg:
    """A network of full width in float32."""
    state = random_vgg.torchvision()
    pairs = tuple((state[f"features.{n}.weight"], state[f"features.{n}.bias"]) for n in random_vgg.FEATURES)
    return SmallVgg(pairs, torch.diag(1 / random_vgg.DEVIATION), -random_vgg.MEAN / random_vgg.DEVIATION)


@pytest.mark.parametrize(("direct", "allowed"), [(True, 1e-4), (False, 1e-2)])
def test_torchvisions_network(full: SmallVgg, *, direct: bool, allowed: float) -> None:
    """At full width, features are those of torchvision's own modules, and so is the gradient but for a few ties."""
    from torchvision.models.vgg import cfgs, make_layers  # noqa: PLC0415 - slow to load, and for this test only

    theirs = make_layers(cfgs["E"])
    theirs.load_state_dict(
        {
            f"{n}.{kind}": pair[k]
            for n, pair in zip(random_vgg.FEATURES, full.convolutions, strict=True)
            for k, kind in enumerate(("weight", "bias"))
        }
    )
    theirs.requires_grad_(requires_grad=False)
    image = smooth(35, 48, dtype=torch.float32)
    net = network(full, ("relu5_1",), device=CPU, direct=direct)
    tapes, found = forward(net, image)
    image.requires_grad_()
    seen = (image - random_vgg.MEAN[:, None, None]) / random_vgg.DEVIATION[:, None, None]
    for layer in theirs[:30]:
        seen = functional.relu(seen) if isinstance(layer, nn.ReLU) else layer(seen)
    assert apart(found["relu5_1"], seen.detach()) < 1e-4
    given = drawn_like(found)
    gradient = backward(net, tapes, given)
    assert apart(gradient, torch.autograd.grad((seen * given["relu5_1"]).sum(), image)[0]) < allowed


@pytest.mark.parametrize(
    ("channels", "outputs", "size"),
    [
        pytest.param(16, 24, (8, 12), id="whole blocks"),
        pytest.param(24, 16, (7, 9), id="odd"),
        pytest.param(5, 3, (1, 2), id="tiny"),
        pytest.param(8, 8, (450, 300), id="several chunks"),
    ],
)
def test_winograd(channels: int, outputs: int, size: tuple[int, int]) -> None:
    """It is the convolution with a border of zeros, to 1e-5 of the largest value, for each picture of a batch."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, channels, *size, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, channels, 3, 3, generator=generator)
    wanted = functional.conv2d(image.double(), weight.double(), padding=1)
    prepared = winograd.prepared(weight)
    found = winograd.convolved(image, prepared)
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) < 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_wide_layers_take_the_fast_way(full: SmallVgg, padding: Padding) -> None:
    """Winograd is used where it pays, with every padding, and never with `direct`; features and gradient stay."""
    fast = network(full, ("relu2_2", "relu3_2"), device=CPU, padding=padding)
    used = [convolution.fast is not None for block in fast.blocks for convolution in block]
    assert used == list(starmap(winograd.pays, (pair[0].shape[:2] for pair in full.convolutions[: len(used)])))
    assert used == [False] * 4 + [True] * 2
    direct = network(full, ("relu2_2", "relu3_2"), device=CPU, padding=padding, direct=True)
    assert not any(convolution.fast for block in direct.blocks for convolution in block)
    plain = plain_gatys.vgg(full.convolutions, padding=padding)
    for net, allowed in ((fast, 1e-2), (direct, 1e-4)):
        features, gradient = compare(net, plain, smooth(35, 48, dtype=torch.float32))
        assert features < 1e-4
        assert gradient < allowed


@pytest.mark.parametrize("layer", ["relu6_1", "relu1_3", "pool1", ""])
def test_layers_that_are_not_there(layer: str) -> None:
    """A layer that VGG-19 does not have is refused with its name."""
    with pytest.raises(ValueError, match=f"no layer '{layer}'"):
        network(small_vgg(), ("relu1_1", layer), device=CPU)


def test_a_gradient_from_nowhere() -> None:
    """Going back without any loss is an error, not a picture of zeros."""
    net, _ = both(small_vgg(), ("relu2_1",), "max", "zeros")
    tapes, _ = forward(net, smooth(16, 16))
    tapes[1].features.clear()
    with pytest.raises(ValueError, match="no loss looks at"):
        net.backward(1, tapes[1], None, lambda *_: torch.zeros(()))
