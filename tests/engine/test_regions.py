"""Regions: which style is used where, from masks as people paint and save them."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from neural_selfie.engine.region_names import NAMES, normal_region
from neural_selfie.engine.regions import region_shares

PLAIN = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "grey": (128, 128, 128),
}


def tensor(image: Image.Image) -> Tensor:
    """Given an image, return it as engines have it."""
    return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def scene(size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return a mask as a program without soft brushes paints it: red, a blue disc, a white wedge, a black corner."""
    image = Image.new("RGB", (960, 720), "red")
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 120, 550, 550), fill="blue")
    draw.polygon([(500, 80), (920, 160), (650, 680)], fill="white")
    draw.rectangle((0, 0, 160, 100), fill="black")
    return image.resize(size, Image.Resampling.NEAREST)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Given a mask, return what is left of it after JPEG with the usual halved colours."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


SPOILT: dict[str, Callable[[Image.Image], Image.Image]] = {
    "painted": lambda image: image,
    "antialiased": lambda image: image.resize((960, 720), Image.Resampling.NEAREST).resize(
        image.size, Image.Resampling.LANCZOS
    ),
    "soft brush": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "jpeg 90": lambda image: as_jpeg(image, 90),
    "jpeg 30": lambda image: as_jpeg(image, 30),
    "rgba": lambda image: image.convert("RGBA"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_borders_and_noise_make_no_regions(how: str) -> None:
    """Of nine colours only the four that were painted are found, and all but a seam of the pixels are right."""
    painted = scene()
    shares = region_shares(tensor(SPOILT[how](painted)), list(PLAIN), 240, 320)
    assert {name for name, plane in zip(PLAIN, shares, strict=True) if plane.any()} == {"red", "blue", "white", "black"}
    assert torch.equal(shares.sum(0), torch.ones(240, 320))
    truth = torch.stack(
        [(tensor(painted) == torch.tensor(PLAIN[name])[:, None, None] / 255).all(0) for name in PLAIN]
    ).float()
    assert float((shares - truth).abs().sum() / 2 / truth[0].numel()) < 0.006


@pytest.mark.parametrize("name", PLAIN)
def test_every_name_is_a_colour(name: str) -> None:
    """A mask of one colour is that region everywhere and no other anywhere."""
    mask = torch.tensor(PLAIN[name])[:, None, None].expand(3, 20, 30) / 255
    shares = region_shares(mask, list(PLAIN), 10, 15)
    assert [float(plane.mean()) for plane in shares] == [float(other == name) for other in PLAIN]


@pytest.mark.parametrize(
    ("pixel", "name"),
    [
        ((0, 128, 0), "green"),
        ((34, 177, 76), "green"),
        ((237, 28, 36), "red"),
        ((63, 72, 204), "blue"),
        ((255, 242, 0), "yellow"),
        ((0, 162, 232), "cyan"),
        ((163, 73, 164), "magenta"),
        ((195, 195, 195), "white"),
        ((127, 127, 127), "grey"),
        ((20, 18, 25), "black"),
    ],
)
def test_colours_of_paint_programs_are_understood(pixel: tuple[int, int, int], name: str) -> None:
    """The palette of a usual program has other greens and blues: each is what people call it."""
    mask = torch.tensor(pixel)[:, None, None].expand(3, 12, 12) / 255
    assert region_shares(mask, [name], 4, 4).min() == 1


def test_a_colour_of_its_own_comes_before_a_name() -> None:
    """'#ff8000' claims its orange and what JPEG makes of it; red and yellow beside it stay what they are."""
    image = Image.new("RGB", (240, 80), "red")
    ImageDraw.Draw(image).rectangle((80, 0, 159, 79), fill="#ff8000")
    ImageDraw.Draw(image).rectangle((160, 0, 239, 79), fill="yellow")
    shares = region_shares(tensor(as_jpeg(image, 85)), ["red", "#FF8000", "yellow"], 80, 240)
    assert shares[:, 40, [40, 120, 200]].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert region_shares(tensor(image), ["red", "yellow"], 80, 240)[:, 40, 120].sum() == 1  # without it, one of them


def test_what_nobody_claims_keeps_the_photo() -> None:
    """All shares are 0 on a colour without a style, unless a style has no region: it gets the rest."""
    mask = tensor(scene())
    alone = region_shares(mask, ["white", "blue"], 90, 120)
    assert alone[:, 80, 10].tolist() == [0, 0]
    shared = region_shares(mask, ["white", None, "blue"], 90, 120)
    assert shared[:, 80, 10].tolist() == [0, 1, 0]
    assert torch.allclose(shared.sum(0), torch.ones(90, 120))
    assert torch.equal(shared[[0, 2]], alone)
    assert torch.equal(region_shares(mask, [None, None], 9, 12), torch.ones(2, 9, 12))


def test_styles_of_one_region_all_get_it() -> None:
    """Weights are for the engine: two styles of one region have equal rows."""
    shares = region_shares(tensor(scene()), ["red", "blue", "red", None], 90, 120)
    assert torch.equal(shares[0], shares[2])
    assert float((shares[0] + shares[1] + shares[3]).max()) <= 1 + 1e-6


@pytest.mark.parametrize("size", [(45, 60), (240, 320), (500, 667), (7, 9), (1, 1)])
def test_shares_fit_any_size_and_are_soft_at_borders_only(size: tuple[int, int]) -> None:
    """float32 in 0..1 at the picture's size; pixels of more than one region lie at borders."""
    shares = region_shares(tensor(scene()), ["red", "blue", "white", "black"], *size)
    assert (shares.dtype, shares.shape) == (torch.float32, (4, *size))
    assert float(shares.min()) >= 0
    assert float(shares.sum(0).max()) <= 1 + 1e-6
    if size[0] >= 240:
        assert float(((shares > 0) & (shares < 1)).any(0).float().mean()) < 0.06


def test_a_thin_line_belongs_to_what_is_around_it() -> None:
    """A pencil line is no region; a broad stroke is, up to its edges."""
    image = Image.new("RGB", (400, 300), "black")
    draw = ImageDraw.Draw(image)
    draw.line((0, 100, 399, 100), fill="white", width=2)
    draw.line((0, 200, 399, 200), fill="white", width=16)
    [white] = region_shares(tensor(image), ["white"], 300, 400)
    assert not white[90:110].any()
    assert float(white.sum()) == pytest.approx(16 * 400, rel=0.1)


@pytest.mark.parametrize("edge", [1, 2, 3, 4, 8])
def test_tiny_masks_are_masks(edge: int) -> None:
    """A mask of a few pixels is taken as it is painted."""
    mask = torch.zeros(3, edge, 2 * edge)
    mask[:, :, edge:] = 1
    white, black = region_shares(mask, ["white", "black"], edge, 2 * edge)
    assert torch.equal(white, mask[0])
    assert torch.equal(black, 1 - mask[0])


def test_what_was_not_painted_has_no_colour() -> None:
    """Transparent parts of a mask are nobody's, whatever colour the file has under them."""
    mask, alpha = torch.zeros(3, 40, 60), torch.ones(40, 60)
    alpha[:, :30] = 0
    mask[:, :, :30] = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(3))
    black, rest = region_shares(mask, ["black", None], 40, 60, alpha=alpha)
    assert torch.equal(black, alpha)
    assert torch.equal(rest, 1 - alpha)


def test_a_photograph_is_a_mask_like_any_other() -> None:
    """Noise and gradients end in shares of the promised kind, the same each time."""
    noise = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1))
    ramp = torch.linspace(0, 1, 120).expand(3, 90, 120)
    for mask in (noise, ramp, noise * torch.nan, noise * 7 - 3):
        shares = region_shares(mask, list(PLAIN), 30, 40)
        assert float(shares.min()) >= 0
        assert float(shares.sum(0).max()) <= 1 + 1e-6
        assert torch.equal(shares, region_shares(mask, list(PLAIN), 30, 40))


def test_names_are_taken_as_people_write_them() -> None:
    """Capitals and the other spelling of grey are no faults; what is no colour is refused with what would be right."""
    assert [normal_region(text) for text in ("White", " gray ", "#FF8000")] == ["white", "grey", "#ff8000"]
    assert set(NAMES) == set(PLAIN)
    for text in ("", "keep", "#fff", "#ff80000", "ff8000", "#gg0000"):
        with pytest.raises(ValueError, match="expected black, grey, white, red"):
            region_shares(torch.zeros(3, 4, 4), [text], 4, 4)
