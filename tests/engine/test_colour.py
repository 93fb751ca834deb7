"""Colours that go from one picture to another: all chroma, a whole distribution, or mean and covariance."""

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from neural_selfie.engine.colour import (
    keep_luminance,
    luminance,
    match_histogram,
    move_colours,
    palette_of,
)


def picture(seed: int, height: int = 60, width: int = 80) -> Tensor:
    """Return a picture of soft colours, different for each seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 6, 8, generator=generator) ** (1 + seed % 3)
    large = torch.nn.functional.interpolate(coarse[None], (height, width), mode="bicubic")[0]
    return (large + 0.02 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)


def hue(pixel: Tensor) -> float:
    """Given a pixel, return its hue, 0..1."""
    return colorsys.rgb_to_hsv(*pixel.tolist())[0]


def test_luminance_is_the_paintings_and_chroma_the_photos() -> None:
    """Luma is the painting's everywhere; Cb and Cr are the photo's wherever they fit."""
    painting, photo = picture(1) * 0.4 + 0.3, picture(2) * 0.3 + 0.35
    kept = keep_luminance(painting, photo)
    assert torch.allclose(luminance(kept), luminance(painting), atol=1e-5)
    assert torch.allclose(kept - luminance(kept), photo - luminance(photo), atol=1e-5)


def test_what_does_not_fit_loses_chroma_but_neither_luma_nor_hue() -> None:
    """Saturated photos under white and black paint: all values are colours, luma holds, and hue does too."""
    painting, photo = picture(1), (picture(4) > 0.5).float()
    painting[:, :10], painting[:, 50:] = 0.97, 0.04
    kept = keep_luminance(painting, photo)
    assert 0 <= float(kept.min()) <= float(kept.max()) <= 1
    assert torch.allclose(luminance(kept), luminance(painting), atol=1e-5)
    for row, column in np.ndindex(60, 80):
        before, after = photo[:, row, column], kept[:, row, column]
        if float(after.max() - after.min()) > 0.01:
            apart = abs(hue(before) - hue(after))
            assert min(apart, 1 - apart) < 0.01


def test_a_grey_photo_makes_a_grey_painting() -> None:
    """No chroma in the photo: none in the result. A painting of another size is refused."""
    grey = picture(3).mean(0).expand(3, -1, -1)
    kept = keep_luminance(picture(1), grey)
    assert torch.allclose(kept, luminance(picture(1)).expand(3, -1, -1), atol=1e-5)
    with pytest.raises(ValueError, match="the painting is"):
        keep_luminance(picture(1), picture(1, 30, 40))


@pytest.mark.parametrize("size", [(60, 80), (31, 47), (120, 90)])
def test_histograms_are_the_references(size: tuple[int, int]) -> None:
    """Red, green and blue have the reference's histogram, whatever the sizes; shadows of mixed colours come close."""
    moved, target = match_histogram(picture(1, *size), picture(5)), picture(5)
    assert moved.shape == (3, *size)
    at = torch.linspace(0.01, 0.99, 99)
    quantiles = [torch.quantile(side.flatten(1), at, dim=1) for side in (moved, target)]
    assert float((quantiles[0] - quantiles[1]).abs().max()) < 0.01
    for axis in ([1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.0, 1.0, -1.0], [1.0, 1.0, -2.0]):
        turn = torch.tensor(axis) / torch.tensor(axis).norm()
        along = [torch.quantile((turn @ side.flatten(1)), at) for side in (moved, target)]
        assert float((along[0] - along[1]).abs().max()) < 0.06


def test_histograms_fit_better_than_the_linear_map() -> None:
    """Palettes with several centres: what mean and covariance cannot say, the histogram does."""
    reference = torch.zeros(3, 60, 80)
    reference[:, :20], reference[0, 20:40], reference[2, 40:] = 0.9, 0.8, 0.6
    source = picture(1)
    linear = move_colours(source, palette_of(source), palette_of(reference), 1.0)
    matched = match_histogram(source, reference)

    def off(side: Tensor) -> float:
        return float((side.flatten(1).sort().values - reference.flatten(1).sort().values).abs().mean())

    assert off(matched) < 0.2 * off(linear)
    assert 0 <= float(matched.min()) <= float(matched.max()) <= 0.9


def test_areas_of_one_colour_stay_of_one_colour() -> None:
    """Equal pixels are not torn apart into noise to fill a histogram, and a flat reference ends nothing in NaN."""
    source = torch.zeros(3, 40, 60)
    source[0, :, 30:] = 1
    matched = match_histogram(source, picture(2))
    for half in (matched[:, :, :30], matched[:, :, 30:]):
        assert float(half.flatten(1).std(1).max()) < 1e-6
    assert torch.allclose(match_histogram(picture(1), torch.full((3, 5, 5), 0.25)), torch.tensor(0.25), atol=1e-5)
    assert match_histogram(torch.zeros(3, 1, 1), picture(1)).isfinite().all()


def test_histograms_are_repeatable_above_the_sample() -> None:
    """More pixels than the sample: the same bits each time, and the caller's random numbers are not touched."""
    large, reference = picture(1, 120, 160), picture(2, 150, 130)
    torch.manual_seed(1)
    first = match_histogram(large, reference)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    assert torch.equal(first, match_histogram(large, reference))
    middles = [side.flatten(1).quantile(0.5, dim=1) for side in (first, reference)]
    assert torch.allclose(middles[0], middles[1], atol=0.005)


def test_a_picture_that_has_the_colours_already_is_hardly_moved() -> None:
    """Matching a picture with itself changes nothing that can be seen."""
    assert float((match_histogram(picture(1), picture(1)) - picture(1)).abs().max()) < 0.02
