"""What the `feedforward` engine promises: a trained network's own picture, at any size, without seams."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import random_transformer
from neural_selfie.engine import FeedforwardRecipe, room, stylize
from neural_selfie.engine.feedforward import layouts, paint, transformer
from neural_selfie.engine.feedforward.transformer import Transformer
from neural_selfie.errors import OutOfDeviceMemoryError, WeightsUnavailableError

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def photo(height: int, width: int, seed: int = 1) -> Tensor:
    """Return a soft picture (3, height, width)."""
    small = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as pytorch/examples writes it."""
    path = tmp_path_factory.mktemp("trained") / "candy.pth"
    torch.save(random_transformer.examples(), path)
    return path


@pytest.fixture(scope="module")
def network(file: Path) -> Transformer:
    """What is in it."""
    return transformer.load(file)


def painted(file: Path, picture: Tensor, **numbers: Any) -> Tensor:
    """Return the painting of a picture at its own size."""
    recipe = FeedforwardRecipe.model_validate({"size": max(picture.shape), **numbers})
    return stylize(picture, [(picture, 1.0)], recipe, device="cpu", weights=file).image


@pytest.mark.parametrize(("height", "width"), [(64, 96), (67, 101)])
def test_it_is_the_network_of_pytorch_examples(file: Path, height: int, width: int) -> None:
    """The painting is what PyTorch's own modules make of the photo in 0..255, at any size."""
    picture = photo(height, width)
    wanted = random_transformer.plain(picture[None] * 255, random_transformer.examples(), random_transformer.EXAMPLES)
    found = painted(file, picture)
    assert found.shape == picture.shape
    assert float(found.std()) > 0.02
    assert torch.allclose(found, (wanted[0, :, :height, :width] / 255).clamp(0, 1), atol=1e-4)


def test_the_other_layout_sees_pictures_as_vgg_does(tmp_path: Path) -> None:
    """Files of the second kind are told by their keys, and see and give colours minus mean, by deviation."""
    state = random_transformer.lindernoren()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "cuphead.pth")
    picture = photo(64, 80)
    seen = (picture - MEAN[:, None, None]) / DEVIATION[:, None, None]
    wanted = random_transformer.plain(seen[None], state, random_transformer.LINDERNOREN)[0]
    wanted = (wanted * DEVIATION[:, None, None] + MEAN[:, None, None]).clamp(0, 1)
    assert torch.allclose(painted(tmp_path / "cuphead.pth", picture), wanted, atol=1e-4)
    assert transformer.load(tmp_path / "cuphead.pth").layout == "eriklindernoren"


@pytest.mark.parametrize(("height", "width", "tile_px"), [(200, 270, 128), (257, 130, 128), (130, 133, 64)])
def test_tiles_leave_no_seams(network: Transformer, height: int, width: int, tile_px: int) -> None:
    """With the same statistics, tiles give what the whole picture gives, to rounding."""
    picture = photo(height, width)[None]
    statistics = network.statistics(picture)
    whole = network.painted(picture, statistics)
    steps = list(network.painted_in_tiles(picture, statistics, tile_px))
    tiled, shares = steps[-1][0], [share for _, share in steps]
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert torch.allclose(tiled, whole, atol=1e-4)


def test_a_tiled_painting_looks_like_a_whole_one(file: Path, network: Transformer) -> None:
    """With the statistics of a smaller picture it is nearly the same; with each tile's own it is not."""
    picture = photo(330, 360)
    whole, tiled = (painted(file, picture, memory=memory, tile_px=256) for memory in ("full", "tiles"))
    *_, (patchwork, _) = network.painted_in_tiles(picture[None], (), 256)
    assert not torch.equal(whole, tiled)
    off = [float((whole - other).abs().mean()) for other in (tiled, patchwork[0].clamp(0, 1))]
    assert off[0] < 0.5 * off[1]


def test_the_wishes(file: Path) -> None:
    """The photo shines through, its colours stay, and strokes grow."""
    picture = photo(96, 128)
    plain = painted(file, picture)
    assert torch.allclose(painted(file, picture, content_weight=1.0), picture, atol=1e-6)
    half = painted(file, picture, content_weight=0.5)
    assert torch.allclose(half, (plain + picture) / 2, atol=1e-5)
    coloured = painted(file, picture, colours="luminance")
    assert not torch.allclose(coloured, plain, atol=1e-2)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose((coloured * weights).sum(0), (plain * weights).sum(0), atol=1e-3)
    soft = painted(file, picture, style_scale=2.0)
    changes = [float((image[:, :, 1:] - image[:, :, :-1]).abs().mean()) for image in (plain, soft)]
    assert changes[1] < 0.8 * changes[0]


@pytest.mark.parametrize("size", [(64, 64), (1, 64), (64, 2)])
def test_thin_photos(file: Path, size: tuple[int, int]) -> None:
    """A photo of one pixel's width is painted, too."""
    assert painted(file, photo(*size), size=64).shape == (3, *size)


def test_what_the_record_needs(file: Path) -> None:
    """The file's hash, no losses, and progress that ends with everything; the same photo gives the same bits."""
    fractions: list[float] = []
    picture, recipe = photo(140, 200), FeedforwardRecipe(size=200, memory="tiles", tile_px=128)
    done = stylize(
        picture,
        [(picture, 1.0)],
        recipe,
        device="cpu",
        weights=file,
        on_step=lambda step: fractions.append(step.fraction),
    )
    assert done.trace == ()
    assert done.weights_sha256 == transformer.load(file).sha256
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    again = stylize(picture, [(picture, 1.0)], recipe, device="cpu", weights=file)
    assert torch.equal(done.image, again.image)


def test_memory_that_runs_out_leads_to_smaller_tiles(network: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on with less, says so, and gives up only where the smallest tiles do not fit."""
    most_px = 350 * 350

    def limited(image: Tensor, *others: Any, **more: Any) -> Tensor:
        if image.shape[2] * image.shape[3] > most_px:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return convolved(image, *others, **more)

    convolved = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", limited)
    picture, recipe = photo(330, 360), FeedforwardRecipe(size=360, tile_px=256)
    image, warnings = paint.paint(picture, network, recipe)
    assert warnings == ("Memory ran out; it went on with less (in tiles of 256 px).",)
    assert image.shape == picture.shape
    most_px = 100 * 100
    with pytest.raises(OutOfDeviceMemoryError, match="smaller size"):
        paint.paint(picture, network, recipe)


def test_what_does_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is known to be short it begins with tiles; where there is enough, with the whole picture."""
    seen = torch.zeros(1, 3, 400, 500)
    found = []
    for free in (1e6, 1e12):
        monkeypatch.setattr(room, "free_bytes", lambda _, free=free: free)
        found.append(paint._ways(seen, FeedforwardRecipe()))
    assert found == [[1024, 512, 256], [None, 1024, 512, 256]]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"res3.conv1.conv2d.weight": None}, "res3.conv1.conv2d.weight is missing"),
        ({"in4.bias": torch.zeros(63)}, "has the shape"),
        ({"conv2.conv2d.bias": torch.full((64,), torch.nan)}, "no number"),
        ({"conv1.conv2d.weight": None}, "no network for fast style transfer"),
    ],
)
def test_files_that_are_no_such_network(tmp_path: Path, change: dict[str, Tensor | None], wrong: str) -> None:
    """What is missing, misshapen or damaged is named."""
    state = {key: value for key, value in (random_transformer.examples() | change).items() if value is not None}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsUnavailableError, match=wrong):
        transformer.load(tmp_path / "x.pth")


def test_a_file_is_told_from_vgg(file: Path, tmp_path: Path) -> None:
    """Only these networks are taken for such."""
    (tmp_path / "broken.pth").write_bytes(b"no file")
    assert transformer.is_one(file)
    assert not transformer.is_one(tmp_path / "broken.pth")
    assert not layouts.is_one(["features.0.weight"])


def test_without_a_network_it_says_so() -> None:
    """There is no default: the network is the style."""
    with pytest.raises(WeightsUnavailableError, match="name its file"):
        stylize(photo(64, 64), [(photo(64, 64), 1.0)], FeedforwardRecipe(size=64), device="cpu")
