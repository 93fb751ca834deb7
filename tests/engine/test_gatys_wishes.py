"""What a person can wish of the `gatys` engine: start, colours, faces, several styles, regions, sweeps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor
from torch.nn import functional

import plain_gatys
from neural_selfie.engine import GatysRecipe, stylize
from neural_selfie.engine.colour import luminance
from neural_selfie.engine.entry import stylize_batch
from neural_selfie.engine.faces import face_map
from neural_selfie.engine.gatys import weights as vgg
from small_vgg import smooth

pytestmark = pytest.mark.usefixtures("one_thread")

PHOTO, STYLE = smooth(48, 64, 1, torch.float32)[0], smooth(64, 56, 2, torch.float32)[0]
RED = STYLE * torch.tensor([1.0, 0.3, 0.3])[:, None, None]
BLUE = STYLE * torch.tensor([0.3, 0.3, 1.0])[:, None, None]
GRAM: dict[str, Any] = {
    "style_loss": "gram",
    "style_weight": 1e5,
    "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0},
    "content_layers": {"relu3_1": 1.0},
}
ONE_SCALE: dict[str, Any] = GRAM | {"size": 64, "coarsest_px": 64, "iterations": 20, "tolerance": 0.0}


def numbers(**given: Any) -> GatysRecipe:
    """Return a recipe of one scale with these numbers."""
    return GatysRecipe.model_validate(ONE_SCALE | given)


def painted(
    recipe: GatysRecipe,
    weights: Path,
    *styles: tuple[Tensor, float],
    photo: Tensor = PHOTO,
    masks: Tensor | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Return the painting of the photo in the styles."""
    return stylize(
        photo, styles or [(STYLE, 1.0)], recipe, device="cpu", weights=weights, masks=masks, start=start
    ).image


def apart(one: Tensor, other: Tensor) -> float:
    """Return the mean difference of two pictures."""
    return float((one - other).abs().mean())


def test_starts(weights: Path) -> None:
    """A painting begins with the photo, the style, nearly grey, or noise: a single evaluation shows it."""
    begun = {
        start: painted(numbers(recipe="tutorial", start=start, iterations=1, **GRAM), weights, (BLUE, 1.0))
        for start in ("photo", "style", "grey", "noise")
    }
    assert torch.equal(begun["photo"], PHOTO)
    fitted = functional.interpolate(BLUE[None], (48, 64), mode="bicubic", antialias=True).clamp(0, 1)[0]
    assert apart(begun["style"], fitted) < 1e-6
    assert 0.49 < float(begun["grey"].min()) < float(begun["grey"].max()) < 0.51
    assert float(begun["noise"].mean()) == pytest.approx(0.5, abs=0.02)
    assert float(begun["noise"].std()) > 0.2


def test_a_start_from_a_file(weights: Path) -> None:
    """With `start: file` the image given is what it begins with, stretched; other recipes do not look at it."""
    once = numbers(recipe="tutorial", start="file", iterations=1, **GRAM)
    for image in (RED, BLUE):
        fitted = functional.interpolate(image[None], (48, 64), mode="bicubic", antialias=True).clamp(0, 1)[0]
        assert apart(painted(once, weights, start=image), fitted) < 1e-6
    quick = {"iterations": 3, "start": "file"}
    begun = [painted(numbers(**quick), weights, start=image) for image in (PHOTO, BLUE)]
    assert torch.equal(begun[0], painted(numbers(iterations=3), weights, start=BLUE))
    assert apart(begun[0], begun[1]) > 0.05
    with pytest.raises(ValueError, match="needs the image to start with"):
        painted(once, weights)


def test_content_weight(weights: Path) -> None:
    """The larger the content weight, the nearer the painting stays to the photo."""
    distances = [apart(painted(numbers(content_weight=weight), weights), PHOTO) for weight in (0.0, 10.0, 1e4)]
    assert distances[0] > 1.05 * distances[1]
    assert distances[1] > 1.05 * distances[2]


def test_the_photos_luminance_colours(weights: Path) -> None:
    """With `colours: luminance` the channels differ from luma as in the photo, less where there is no room."""
    photo = PHOTO * torch.tensor([0.4, 0.6, 1.0])[:, None, None]
    image = painted(numbers(colours="luminance"), weights, (RED, 1.0), photo=photo)
    found, wanted = image - luminance(image), photo - luminance(photo)
    assert apart(luminance(image), luminance(photo)) > 0.02
    same = (found - wanted).abs().amax(0) < 1e-3
    assert float(same.float().mean()) > 0.5
    turned = (found * wanted).sum(0) / (found.norm(dim=0) * wanted.norm(dim=0)).clamp_min(1e-6)
    assert float(turned[wanted.norm(dim=0) > 0.05].min()) > 0.99


@pytest.mark.parametrize("colours", ["histogram", "linear"])
def test_the_style_in_the_photos_colours(colours: str, weights: Path) -> None:
    """With `histogram` and `linear` the painting's mean colour is nearer to the photo's than with the style's own."""
    photo = PHOTO * torch.tensor([0.4, 0.6, 1.0])[:, None, None]

    def off(recipe: GatysRecipe) -> float:
        image = painted(recipe, weights, (RED, 1.0), photo=photo)
        return float((image.mean((1, 2)) - photo.mean((1, 2))).abs().mean())

    assert off(numbers(colours=colours)) < 0.5 * off(numbers(colours="style"))


def test_faces_are_kept(weights: Path) -> None:
    """With `protect: faces` a face stays nearer to the photo; a photo without faces is painted as ever."""
    astronaut = torch.from_numpy(np.asarray(data.astronaut()).copy())  # type: ignore[no-untyped-call]  # no types there
    portrait = functional.interpolate(astronaut.permute(2, 0, 1)[None].float() / 255, (128, 128), mode="area")[0]
    face = face_map(portrait) > 0.9
    assert 0.01 < float(face.float().mean()) < 0.2
    recipe = {"size": 128, "coarsest_px": 128, "content_weight": 100.0, "iterations": 15}
    bare, kept = (
        painted(numbers(**recipe, protect=protect, protect_weight=50), weights, photo=portrait)
        for protect in ("none", "faces")
    )
    assert apart(kept[:, face], portrait[:, face]) < 0.8 * apart(bare[:, face], portrait[:, face])
    assert torch.equal(painted(numbers(protect="faces"), weights), painted(numbers(), weights))


def test_several_styles_are_a_mixture(weights: Path) -> None:
    """The first evaluation's style loss is that of the mean of Gram matrices by weight; equal styles are one."""
    styles = ((RED, 3.0), (BLUE, 1.0))
    recipe = numbers(recipe="tutorial", **GRAM, iterations=1)
    found = stylize(PHOTO, styles, recipe, device="cpu", weights=weights).trace[0].style
    net = plain_gatys.vgg(vgg.load(weights).convolutions)
    layers = list(GRAM["style_layers"])
    seen, red, blue = (plain_gatys.features(net, image[None], layers) for image in (PHOTO, RED, BLUE))
    wanted = 0.0
    for layer in layers:
        mixed, ours = (
            0.75 * plain_gatys.gram(red[layer]) / red[layer].numel()
            + 0.25 * plain_gatys.gram(blue[layer]) / blue[layer].numel(),
            plain_gatys.gram(seen[layer]) / seen[layer].numel(),
        )
        wanted += 1e5 * functional.mse_loss(ours, mixed).item()
    assert found == pytest.approx(wanted, rel=1e-4)
    twice = painted(numbers(), weights, (RED, 1.0), (RED, 1.0))
    assert apart(twice, painted(numbers(), weights, (RED, 1.0))) < 1e-3


def test_more_weight_more_of_it(weights: Path) -> None:
    """Of a red and a blue style, the painting has more of the one with the larger weight."""

    def redness(red: float, blue: float) -> float:
        image = painted(numbers(content_weight=0.0), weights, (RED, red), (BLUE, blue))
        return float((image[0] - image[2]).mean())

    assert redness(9.0, 1.0) > redness(1.0, 1.0) + 0.02 > redness(1.0, 9.0) + 0.04


@pytest.mark.parametrize("style_loss", ["gram", "w2"])
def test_regions(style_loss: str, weights: Path) -> None:
    """Each style is used where its mask is; where there is none the photo stays to the last bit."""
    masks = torch.zeros(2, 48, 64)
    masks[0, :36, :32], masks[1, :36, 32:] = 1, 1
    strength = {"gram": 1e5, "w2": 40.0}[style_loss]
    recipe = numbers(content_weight=0.0, style_loss=style_loss, style_weight=strength, iterations=12)
    image = painted(recipe, weights, (RED, 1.0), (BLUE, 1.0), masks=masks)
    assert torch.equal(image[:, 36:], PHOTO[:, 36:])
    left, right = image[:, :36, :32], image[:, :36, 32:]
    assert float((left[0] - left[2]).mean()) > float((right[0] - right[2]).mean()) + 0.1


def test_one_region_of_everything(weights: Path) -> None:
    """A mask of 1 everywhere, of any size, paints what no mask paints; one of 0 everywhere leaves the photo."""
    recipe = numbers(iterations=3)
    everywhere = painted(recipe, weights, masks=torch.ones(1, 10, 10))
    assert apart(everywhere, painted(recipe, weights)) < 1e-3
    assert torch.equal(painted(recipe, weights, masks=torch.zeros(1, 48, 64)), PHOTO)


def test_masks_of_another_number(weights: Path) -> None:
    """Masks that are not one for each style are a ValueError."""
    for masks in (torch.ones(2, 48, 64), torch.ones(48, 64)):
        with pytest.raises(ValueError, match="masks are a tensor"):
            painted(numbers(), weights, masks=masks)


def test_a_sweep_is_painted_together(weights: Path) -> None:
    """Variants come back in order, each at about the loss that it has alone, the heavier nearer to the photo."""
    recipes = [numbers(content_weight=weight, iterations=40) for weight in (5.0, 80.0, 20.0)]
    together = stylize_batch(PHOTO, [(STYLE, 1.0)], recipes, device="cpu", weights=weights)
    distances = [apart(done.image, PHOTO) for done in together]
    assert distances[0] > distances[2] > distances[1]
    for recipe, done in zip(recipes, together, strict=True):
        alone = stylize(PHOTO, [(STYLE, 1.0)], recipe, device="cpu", weights=weights)
        assert done.trace[-1].total < 1.15 * alone.trace[-1].total
        assert [step.fraction for step in done.trace] == sorted(step.fraction for step in done.trace)
        assert done.trace[-1].fraction == 1


def test_recipes_that_do_not_go_together(weights: Path) -> None:
    """Recipes that differ in more than weights come back in order, each as it is alone."""
    recipes = [numbers(iterations=3), numbers(iterations=3, pooling="average"), numbers(iterations=3, size=72)]
    mixed = stylize_batch(PHOTO, [(STYLE, 1.0)], recipes, device="cpu", weights=weights)
    assert [tuple(done.image.shape[1:]) for done in mixed] == [(48, 64), (48, 64), (54, 72)]
    for recipe, done in zip(recipes, mixed, strict=True):
        assert torch.equal(done.image, painted(recipe, weights))


def test_style_scale_differs_within_a_sweep(weights: Path) -> None:
    """Variants of one sweep may have different stroke sizes; each has the style loss of its own scale."""
    recipes = [numbers(style_scale=scale, iterations=16) for scale in (0.5, 1.0)]
    together = stylize_batch(PHOTO, [(STYLE, 1.0)], recipes, device="cpu", weights=weights)
    assert not torch.equal(together[0].image, together[1].image)
    for recipe, done in zip(recipes, together, strict=True):
        alone = stylize(PHOTO, [(STYLE, 1.0)], recipe, device="cpu", weights=weights)
        assert done.trace[-1].total < 1.5 * alone.trace[-1].total


def test_a_small_style_is_told(weights: Path) -> None:
    """A style enlarged more than twice gives a warning for the person."""
    small = smooth(20, 20, 2, torch.float32)[0]
    done = stylize(PHOTO, [(small, 1.0)], numbers(iterations=1), device="cpu", weights=weights)
    assert "enlarged 3.2 times" in done.warnings[0]
