"""The loss of a picture and its gradient: against a plain program, and the same however memory is spent."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import plain_gatys
from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys.losses import Moments, StyleLoss
from neural_selfie.engine.gatys.network import Network, Padding, network
from neural_selfie.engine.gatys.objective import Goal, Losses, Objective, Spending, StyleTarget, features_of, moments_of
from small_vgg import SmallVgg, apart, small_vgg, smooth

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
CONTENT = {"relu2_2": 0.7, "conv3_2": 2.0}
SHALLOW = {"relu1_1": 1.0, "conv2_1": 0.5, "relu3_1": 3.0}  # sees 13 px around, so that tiles of 32 px are cut
DEEP = {"relu1_1": 1.0, "relu2_1": 0.5, "relu3_1": 2.0, "relu4_1": 1.0, "relu5_1": 3.0}  # sees 118
WHOLE = Spending(0, None, None)
WAYS = [
    pytest.param(Spending(0, None, 1), id="strips"),
    pytest.param(Spending(2, None, None), id="two blocks again"),
    pytest.param(Spending(5, None, 1), id="all blocks again, in strips"),
    pytest.param(Spending(0, 32, None), id="tiles"),
    pytest.param(Spending(0, 48, 1), id="tiles in strips"),
    pytest.param(Spending(3, 32, 1), id="tiles in strips, three blocks again"),
]


def net_of(vgg: SmallVgg, layers: Mapping[str, float], padding: Padding = "zeros") -> Network:
    """Return the network up to the deepest of the layers and of those that see the photo."""
    return network(vgg, [*layers, *CONTENT], device=CPU, padding=padding, direct=True, dtype=torch.float64)


def goal_of(
    net: Network,
    photo: Tensor,
    style: Tensor,
    layers: Mapping[str, float],
    *,
    loss: StyleLoss = "gram",
    weights: tuple[float, ...] = (1.0,),
) -> Goal:
    """Return a goal with as many variants as weights: the content of photo (1, 3, H, W), the style of another image."""

    def target(moments: Moments) -> StyleTarget:
        return StyleTarget(moments, losses.half_of(moments) if loss == "w2" else None)

    found = moments_of(net, style, WHOLE)
    spread = photo.new_tensor(weights)
    return Goal(
        features_of(net, photo, frozenset(CONTENT), WHOLE),
        {layer: (target(found[layer]),) for layer in layers},
        content_weight=spread,
        style_weight=50 / spread,
        tv_weight=3 * spread,
        content_layers=CONTENT,
        style_layers=layers,
        style_loss=loss,
        nine_point=True,
    )


def numbers(layers: Mapping[str, float], loss: StyleLoss, weight: float) -> plain_gatys.Numbers:
    """Return the same goal for the plain program."""
    return plain_gatys.Numbers(CONTENT, layers, weight, 50 / weight, 3 * weight, loss, nine_point=True)


def same(found: Losses, wanted: Losses, allowed: float = 1e-9) -> bool:
    """Say whether all losses agree."""
    pairs = ((found.content, wanted.content), (found.style, wanted.style), (found.tv, wanted.tv))
    return all(torch.allclose(one, other, rtol=allowed, atol=0) for one, other in pairs)


@pytest.mark.parametrize("loss", ["gram", "w2"])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_losses_and_gradient_are_the_plain_ones(loss: StyleLoss, padding: Padding) -> None:
    """Content, style, TV and the gradient are a plain program's, for each of three pictures with weights of its own."""
    vgg, photo, style = small_vgg(), smooth(45, 64), smooth(64, 50, 2)
    net, weights = net_of(vgg, DEEP, padding), (0.5, 1.0, 4.0)
    image = torch.cat([smooth(45, 64, seed) for seed in (3, 4, 5)])
    found, gradient = Objective(net, goal_of(net, photo, style, DEEP, loss=loss, weights=weights), WHOLE)(image)
    for number, weight in enumerate(weights):
        plain = plain_gatys.Task(
            plain_gatys.vgg(vgg.convolutions, padding=padding), numbers(DEEP, loss, weight), photo, style
        )
        wanted, one = plain(image[number : number + 1]), slice(number, number + 1)
        assert found.content[number].item() == pytest.approx(wanted.content.item(), rel=1e-9)
        assert found.style[number].item() == pytest.approx(wanted.style.item(), rel=1e-9)
        assert found.tv[number].item() == pytest.approx(wanted.tv.item(), rel=1e-9)
        assert found.total[number].item() == pytest.approx(wanted.total.item(), rel=1e-9)
        assert apart(gradient[one], plain.gradient(image[one])) < 1e-7


def test_half_the_sum_as_content() -> None:
    """With `half_sum` the content loss is equation 1 of the paper."""
    vgg, photo, style, image = small_vgg(), smooth(40, 48), smooth(48, 48, 2), smooth(40, 48, 3)
    net = net_of(vgg, SHALLOW)
    goal = replace(goal_of(net, photo, style, SHALLOW), half_sum=True)
    found, gradient = Objective(net, goal, WHOLE)(image)
    plain = plain_gatys.Task(
        plain_gatys.vgg(vgg.convolutions),
        replace(numbers(SHALLOW, "gram", 1.0), content_loss="half-sum"),
        photo,
        style,
    )
    assert found.content.item() == pytest.approx(plain(image).content.item(), rel=1e-9)
    assert apart(gradient, plain.gradient(image)) < 1e-9


@pytest.mark.parametrize("spending", WAYS)
@pytest.mark.parametrize("loss", ["gram", "w2"])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("size", [(96, 128), (83, 105)])
def test_memory_is_spent_and_nothing_else(
    size: tuple[int, int], spending: Spending, loss: StyleLoss, *, ceil: bool
) -> None:
    """Strips, tiles and blocks that are walked again give the losses and the gradient of the whole."""
    net = net_of(small_vgg(ceil_pooling=ceil), SHALLOW)
    goal = goal_of(net, smooth(*size), smooth(64, 80, 2), SHALLOW, loss=loss, weights=(1.0, 2.0))
    image = torch.cat([smooth(*size, 3), smooth(*size, 4)])
    wanted, gradient = Objective(net, goal, WHOLE)(image)
    found, other = Objective(net, goal, spending)(image)
    assert same(found, wanted)
    assert apart(other, gradient) < 1e-9


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("size", [(340, 32), (33, 345)])
def test_tiles_of_the_whole_network(size: tuple[int, int], padding: Padding) -> None:
    """Up to relu5_1, which sees 118 px around, tiles of a picture so long that they are cut give the gradient of it."""
    net = net_of(small_vgg(), DEEP, padding)
    goal = goal_of(net, smooth(*size), smooth(48, 48, 2), DEEP)
    image = smooth(*size, 3)
    wanted, gradient = Objective(net, goal, WHOLE)(image)
    walks = Spending(0, 64, None).walks(net, *size)
    assert len(walks) == 6
    assert any(walk.tile.of(image).shape != image.shape for walk in walks)
    for spending in (Spending(0, 64, None), Spending(2, 128, 1)):
        found, other = Objective(net, goal, spending)(image)
        assert same(found, wanted)
        assert apart(other, gradient) < 1e-9


def test_targets_are_the_same_in_tiles() -> None:
    """Features of a photo and moments of a style do not depend on how they were walked through."""
    net, image = net_of(small_vgg(), SHALLOW), smooth(90, 101)
    layers = frozenset(SHALLOW)
    for spending in (Spending(0, 32, None), Spending(0, 48, 1), Spending(0, None, 1)):
        features = features_of(net, image, layers, spending)
        moments = moments_of(net, image, spending)
        for layer, wanted in features_of(net, image, layers, WHOLE).items():
            assert torch.allclose(features[layer], wanted, atol=1e-12)
            assert torch.allclose(moments[layer].second, moments_of(net, image, WHOLE)[layer].second, atol=1e-12)


def seam(difference: Tensor, edge: int) -> float:
    """Return how much larger a difference (1, 3, H, W) is within 2 px of the borders of tiles than elsewhere."""
    rows, columns = (torch.arange(length) for length in difference.shape[2:])
    near = [((at + 2) % edge < 4) & (at >= 2) & (at < len(at) - 2) for at in (rows, columns)]
    border = near[0][:, None] | near[1][None]
    squares = difference.square().mean((0, 1))
    return float((squares[border].mean() / squares[~border].mean()).sqrt())


@pytest.mark.parametrize("loss", ["gram", "w2"])
def test_no_seams(loss: StyleLoss) -> None:
    """In float32, what differs between tiled and whole is rounding, at borders of tiles no more than elsewhere."""
    vgg = small_vgg(torch.float32)
    net = network(vgg, [*SHALLOW, *CONTENT], device=CPU, direct=True)
    photo, style, image = (smooth(128, 192, seed, torch.float32) for seed in (1, 2, 3))
    goal = goal_of(net, photo, style, SHALLOW, loss=loss)
    whole = Objective(net, goal, WHOLE)(image)[1]
    tiled = Objective(net, goal, Spending(0, 64, None))(image)[1]
    assert apart(tiled, whole) < 1e-4
    assert seam(tiled - whole, 64) < 1.5


def test_seams_would_be_seen() -> None:
    """Tiles that are worked on as if nothing were around them differ from the whole along their borders."""
    net = net_of(small_vgg(), SHALLOW)
    photo, image = smooth(128, 192), smooth(128, 192, 3)
    goal = goal_of(net, photo, photo, SHALLOW)
    whole = Objective(net, replace(goal, style_weight=image.new_zeros(1)), WHOLE)(image)[1]
    naive = torch.empty_like(image)
    for top in range(0, 128, 64):
        for left in range(0, 192, 64):
            part = (..., slice(top, top + 64), slice(left, left + 64))
            own = goal_of(net, photo[part], photo, SHALLOW)
            own = replace(own, style_weight=image.new_zeros(1))
            naive[part] = Objective(net, own, WHOLE)(image[part].contiguous())[1] / 6  # of 6 tiles with own means
    assert apart(naive, whole) > 0.1
    assert seam(naive - whole, 64) > 3


def regions(size: tuple[int, int], layer: str) -> tuple[Tensor, Tensor]:
    """Return the shares of two regions at a layer: left and right, softly parted, and a corner that is neither's."""
    height, width = size
    left = torch.linspace(3, -2, width, dtype=torch.float64).clamp(0, 1).expand(height, -1).clone()
    right = 1 - left
    left[: height // 3, : width // 3] = 0
    down = 1 << (int(layer[4]) - 1)
    fitted = [
        functional.adaptive_avg_pool2d(plane[None, None], (height // down, width // down)) for plane in (left, right)
    ]
    return fitted[0][0, 0], fitted[1][0, 0]


def plain_region_loss(seen: Tensor, wanted: Tensor, shares: Tensor) -> Tensor:
    """Return the mean squared difference of Gram matrices over C, of features weighted by shares, times the area."""
    flat, weight = seen.flatten(2)[0], shares.flatten()
    ours = (flat * weight) @ flat.T / weight.sum()
    theirs = plain_gatys.gram(wanted) / wanted[0, 0].numel()
    return functional.mse_loss(ours / len(flat), theirs / len(flat)) * shares.mean()


def two_regions(net: Network, size: tuple[int, int], styles: tuple[Tensor, Tensor]) -> Goal:
    """Return a goal with a style for each of two regions."""
    goal = goal_of(net, smooth(*size), styles[0], SHALLOW)
    second = moments_of(net, styles[1], WHOLE)
    targets = {}
    for layer in SHALLOW:
        shares = regions(size, layer)
        targets[layer] = (
            StyleTarget(goal.style[layer][0].moments, shares=shares[0]),
            StyleTarget(second[layer], shares=shares[1]),
        )
    return replace(goal, style=targets)


def test_regions() -> None:
    """With a style for each of two regions, loss and gradient are those of Gram matrices weighted by shares."""
    vgg, size = small_vgg(), (80, 96)
    net, styles, image = net_of(vgg, SHALLOW), (smooth(64, 64, 2), smooth(48, 80, 6)), smooth(*size, 3)
    goal = replace(two_regions(net, size, styles), content_weight=image.new_zeros(1), tv_weight=image.new_zeros(1))
    found, gradient = Objective(net, goal, WHOLE)(image)
    plain, image = plain_gatys.vgg(vgg.convolutions), image.clone().requires_grad_()
    seen = plain_gatys.features(plain, image, list(SHALLOW))
    wanted = [plain_gatys.features(plain, style, list(SHALLOW)) for style in styles]
    total = image.new_zeros(())
    for layer, weight in SHALLOW.items():
        for style, shares in zip(wanted, regions(size, layer), strict=True):
            total = total + 50 * weight * plain_region_loss(seen[layer], style[layer], shares)
    assert found.style.item() == pytest.approx(total.item(), rel=1e-9)
    assert apart(gradient, torch.autograd.grad(total, image)[0]) < 1e-9


@pytest.mark.parametrize("spending", WAYS)
def test_regions_and_kept_places_in_tiles(spending: Spending) -> None:
    """Regions and places that count more are the same however memory is spent."""
    size = (80, 101)
    net = net_of(small_vgg(), SHALLOW)
    goal = two_regions(net, size, (smooth(64, 64, 2), smooth(48, 80, 6)))
    kept = {layer: 1 + 5 * smooth(found.shape[2], found.shape[3], 7)[0, 0] for layer, found in goal.content.items()}
    goal, image = replace(goal, kept=kept), smooth(*size, 3)
    wanted, gradient = Objective(net, goal, WHOLE)(image)
    found, other = Objective(net, goal, spending)(image)
    assert same(found, wanted)
    assert apart(other, gradient) < 1e-9


def test_a_region_of_everything_is_no_region() -> None:
    """Shares of 1 everywhere change nothing."""
    net, image = net_of(small_vgg(), SHALLOW), smooth(64, 80, 3)
    goal = goal_of(net, smooth(64, 80), smooth(64, 64, 2), SHALLOW)
    everywhere = {
        layer: (replace(goal.style[layer][0], shares=torch.ones_like(regions((64, 80), layer)[0])),)
        for layer in SHALLOW
    }
    wanted, gradient = Objective(net, goal, WHOLE)(image)
    found, other = Objective(net, replace(goal, style=everywhere), WHOLE)(image)
    assert same(found, wanted)
    assert apart(other, gradient) < 1e-12


def test_kept_places() -> None:
    """The content loss counts each place as often as its map says, and its gradient follows."""
    vgg, photo, image = small_vgg(), smooth(64, 80), smooth(64, 80, 3)
    net = net_of(vgg, SHALLOW)
    goal = goal_of(net, photo, smooth(64, 64, 2), SHALLOW)
    kept = {layer: 1 + 5 * smooth(found.shape[2], found.shape[3], 7)[0, 0] for layer, found in goal.content.items()}
    zero = image.new_zeros(1)
    found, gradient = Objective(net, replace(goal, kept=kept, style_weight=zero, tv_weight=zero), WHOLE)(image)
    plain, image = plain_gatys.vgg(vgg.convolutions), image.clone().requires_grad_()
    seen, wanted = (plain_gatys.features(plain, picture, list(CONTENT)) for picture in (image, photo))
    total = image.new_zeros(())
    for layer, weight in CONTENT.items():
        total = total + weight * (kept[layer] * (seen[layer] - wanted[layer]).square()).mean()
    assert found.content.item() == pytest.approx(total.item(), rel=1e-9)
    assert apart(gradient, torch.autograd.grad(total, image)[0]) < 1e-9


def test_a_batch_is_its_members() -> None:
    """Variants evaluated together get the losses and gradients that each of them gets alone."""
    net, size, weights = net_of(small_vgg(), SHALLOW), (50, 64), (0.2, 0.6, 3.8)
    photo, style = smooth(*size), smooth(64, 64, 2)
    image = torch.cat([smooth(*size, seed) for seed in (3, 4, 5)])
    together, gradient = Objective(net, goal_of(net, photo, style, SHALLOW, weights=weights), WHOLE)(image)
    for number, weight in enumerate(weights):
        one = slice(number, number + 1)
        alone, own = Objective(net, goal_of(net, photo, style, SHALLOW, weights=(weight,)), WHOLE)(image[one])
        assert same(Losses(together.content[one], together.style[one], together.tv[one]), alone, 1e-12)
        assert apart(gradient[one], own) < 1e-12


def test_the_image_is_left_alone() -> None:
    """Evaluating twice gives the same bits, and the image is as it was: nothing is worked on in place but our own."""
    net, image = net_of(small_vgg(), SHALLOW), smooth(64, 80, 3)
    objective = Objective(net, goal_of(net, smooth(64, 80), smooth(64, 64, 2), SHALLOW), Spending(2, 32, 1))
    before = image.clone()
    first, second = objective(image), objective(image)
    assert torch.equal(image, before)
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[0].total, second[0].total)
