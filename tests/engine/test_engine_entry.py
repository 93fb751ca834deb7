"""The engines' entry: what `stylize` promises for any photo, any style and any caller."""

import pickle

import pytest
import torch
from torch import Tensor

from neural_selfie.engine import GatysRecipe, PatchRecipe, Step, stylize
from neural_selfie.engine.entry import ENGINE_VERSION, stylize_batch
from neural_selfie.errors import EngineUnavailableError, WeightsUnavailableError

QUICK = PatchRecipe(size=64, keys=512, iterations=2, scale_steps=1, refine_steps=2)


def noise(height: int, width: int, seed: int = 1) -> Tensor:
    """Return a picture (3, height, width) of smooth colours with fine grain, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    return (0.7 * smooth + 0.3 * torch.rand(3, height, width, generator=generator)).clamp(0, 1)


def stripes(edge: int, period: int, *, upright: bool) -> Tensor:
    """Return a picture (3, edge, edge) of black and white stripes, `period` pixels from one to the next."""
    line = ((torch.arange(edge) // (period // 2)) % 2).float()
    plane = line[None].expand(edge, -1) if upright else line[:, None].expand(-1, edge)
    return plane[None].repeat(3, 1, 1)


def test_same_seed_same_bits() -> None:
    """The same seed gives the same bits, whatever the caller's random state; another seed gives another picture."""
    photo, styles = noise(48, 64), [(noise(64, 48, 2), 1.0)]
    first = stylize(photo, styles, QUICK, seed=3, device="cpu").image
    torch.rand(7)
    assert torch.equal(first, stylize(photo, styles, QUICK, seed=3, device="cpu").image)
    assert not torch.equal(first, stylize(photo, styles, QUICK, seed=4, device="cpu").image)


def test_callers_torch_is_left_alone() -> None:
    """Random state, threads, default type, gradient mode and the input tensors are as before a painting."""
    photo, style = noise(48, 64), noise(64, 48, 2)
    kept = photo.clone(), style.clone()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    stylize(photo, [(style, 1.0)], QUICK, device="cpu")
    assert torch.equal(state, torch.get_rng_state())
    assert (threads, torch.float32, True) == (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    assert torch.equal(kept[0], photo)
    assert torch.equal(kept[1], style)


def test_callers_default_type_does_not_matter() -> None:
    """A caller whose default type is double gets the same bits in float32."""
    photo, styles = noise(48, 64), [(noise(64, 48, 2), 1.0)]
    expected = stylize(photo, styles, QUICK, device="cpu").image
    torch.set_default_dtype(torch.float64)
    try:
        found = stylize(photo, styles, QUICK, device="cpu")
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.image.dtype == torch.float32
    assert torch.equal(expected, found.image)


@pytest.mark.parametrize(
    ("photo", "style", "size"),
    [
        pytest.param((32, 32), (90, 60), (64, 64), id="small photo is enlarged"),
        pytest.param((300, 400), (50, 70), (48, 64), id="large photo is reduced"),
        pytest.param((40, 2000), (64, 64), (2, 100), id="panorama"),
        pytest.param((900, 3), (64, 64), (64, 1), id="a line"),
        pytest.param((64, 64), (2, 3), (64, 64), id="style of six pixels"),
        pytest.param((64, 50), (1500, 20), (64, 50), id="style like a ribbon"),
    ],
)
def test_any_size(photo: tuple[int, int], style: tuple[int, int], size: tuple[int, int]) -> None:
    """Photos and styles of any shape give a picture whose long edge is `size`, with finite values in 0..1."""
    recipe = QUICK.model_copy(update={"size": max(size)})
    image = stylize(noise(*photo), [(noise(*style, 2), 1.0)], recipe, device="cpu").image
    assert tuple(image.shape) == (3, *size)
    assert bool(torch.isfinite(image).all())
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


@pytest.mark.parametrize("shade", [0.0, 0.4, 1.0])
def test_flat_pictures(shade: float) -> None:
    """A flat photo, a flat style, or both, neither crash nor give anything but numbers."""
    flat = torch.full((3, 64, 64), shade)
    for photo, style in ((flat, noise(64, 64)), (noise(64, 64), flat), (flat, flat)):
        image = stylize(photo, [(style, 1.0)], QUICK, device="cpu").image
        assert bool(torch.isfinite(image).all())


def test_grey_style_gives_a_grey_picture() -> None:
    """A style without colour leaves next to no colour in the painting."""
    grey = noise(64, 64, 2).mean(0, keepdim=True).repeat(3, 1, 1)
    image = stylize(noise(64, 64), [(grey, 1.0)], QUICK, device="cpu").image
    assert float((image.amax(0) - image.amin(0)).mean()) < 0.05


def test_what_is_no_number_becomes_a_colour() -> None:
    """A photo with NaN and infinite values still gives a finite picture."""
    photo = noise(64, 64)
    photo[0, 3, 5], photo[1, 9, 9] = torch.nan, torch.inf
    image = stylize(photo, [(noise(64, 64, 2), 1.0)], QUICK, device="cpu").image
    assert bool(torch.isfinite(image).all())


@pytest.mark.parametrize("recipe", [QUICK, QUICK.model_copy(update={"scale_steps": 0, "refine_steps": 0})])
def test_trace(recipe: PatchRecipe) -> None:
    """Fractions never fall and end at 1, seconds never fall, and the caller saw every step of the trace."""
    seen: list[Step] = []
    trace = stylize(noise(64, 64), [(noise(64, 64, 2), 1.0)], recipe, device="cpu", on_step=seen.append).trace
    for steps in (seen, trace):
        assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)
        assert [step.seconds for step in steps] == sorted(step.seconds for step in steps)
        assert (steps[-1].fraction, steps[-2].fraction < 1) == (1.0, True)
    assert set(trace) <= set(seen)
    assert all(step.total == pytest.approx(step.content + step.style) for step in trace)
    assert [step.scale for step in trace] == sorted(step.scale for step in trace)


def test_an_error_in_on_step_ends_the_painting() -> None:
    """What `on_step` raises reaches the caller: that is how a painting is cancelled."""

    class CancelledError(Exception):
        pass

    def cancel(step: Step) -> None:
        raise CancelledError(step)

    with pytest.raises(CancelledError):
        stylize(noise(64, 64), [(noise(64, 64, 2), 1.0)], QUICK, device="cpu", on_step=cancel)


def test_weights_of_several_styles() -> None:
    """Of two styles, the one with the larger weight gives the picture more of its stripes."""
    photo = noise(96, 96)
    pair = stripes(96, 8, upright=True), stripes(96, 8, upright=False)
    recipe = QUICK.model_copy(update={"size": 96, "content_weight": 0.0, "scale_steps": 4, "refine_steps": 6})

    def uprightness(weights: tuple[float, float]) -> float:
        image = stylize(photo, list(zip(pair, weights, strict=True)), recipe, device="cpu").image
        return float((image[:, :, 1:] - image[:, :, :-1]).abs().mean() / (image[:, 1:] - image[:, :-1]).abs().mean())

    assert uprightness((9.0, 1.0)) > 1.3 * uprightness((1.0, 9.0))


def test_texture_moves_toward_the_style() -> None:
    """The mean difference of neighbouring pixels, small in a smooth photo, comes near the style's."""
    photo, style = noise(96, 96) * 0 + torch.linspace(0.2, 0.8, 96), noise(96, 96, 2)

    def grain(picture: Tensor) -> float:
        return float((picture[:, 1:] - picture[:, :-1]).abs().mean())

    image = stylize(photo, [(style, 1.0)], PatchRecipe(size=96, keys=1000), device="cpu").image
    assert abs(grain(image) - grain(style)) < 0.4 * abs(grain(photo) - grain(style))


def test_colour_zero_keeps_the_photos_colours() -> None:
    """With `colour` 0 the picture's mean colour is the photo's, with 1 it is the style's."""
    photo, style = noise(64, 64) * torch.tensor([0.9, 0.4, 0.2])[:, None, None], noise(64, 64, 2)
    for colour, wanted in ((0.0, photo), (1.0, style)):
        recipe = QUICK.model_copy(update={"colour": colour})
        image = stylize(photo, [(style, 1.0)], recipe, device="cpu").image
        assert image.mean((1, 2)).tolist() == pytest.approx(wanted.mean((1, 2)).tolist(), abs=0.08)


def test_a_small_style_is_told() -> None:
    """A style enlarged more than twice gives a warning for the person; a large one gives none."""
    photo = noise(64, 64)
    assert "enlarged 3.2 times" in stylize(photo, [(noise(20, 20), 1.0)], QUICK, device="cpu").warnings[0]
    assert stylize(photo, [(noise(64, 64, 2), 1.0)], QUICK, device="cpu").warnings == ()


def test_what_the_record_needs() -> None:
    """The result says where it was painted and how, and its steps survive the way back from a worker process."""
    result = stylize(noise(64, 64), [(noise(64, 64, 2), 1.0)], QUICK, device="cpu")
    assert (result.device, result.dtype, ENGINE_VERSION) == ("cpu", "float32", "2")
    assert pickle.loads(pickle.dumps(result.trace)) == result.trace  # noqa: S301 - our own bytes


def test_gatys_without_weights_says_what_brings_them() -> None:
    """Without a file of weights the engine says which command fetches it."""
    with pytest.raises(WeightsUnavailableError, match="neural-selfie models fetch"):
        stylize(noise(64, 64), [(noise(64, 64), 1.0)], GatysRecipe())


@pytest.mark.parametrize("device", ["cuda:99", "toaster", "meta"])
def test_devices_that_are_not_there(device: str) -> None:
    """A device that is not there is refused with its name."""
    with pytest.raises(EngineUnavailableError, match=device):
        stylize(noise(64, 64), [(noise(64, 64), 1.0)], QUICK, device=device)


def test_wrong_arguments() -> None:
    """No style, a weight that is not above 0, or a tensor that is no picture is a ValueError."""
    picture = noise(64, 64)
    for photo, styles in (
        (picture, []),
        (picture, [(picture, 0.0)]),
        (picture, [(picture, float("nan"))]),
        (picture[0], [(picture, 1.0)]),
        (picture, [(picture[:1], 1.0)]),
    ):
        with pytest.raises(ValueError, match=r"style image|is a tensor"):
            stylize(photo, styles, QUICK, device="cpu")


@pytest.mark.gpu
def test_gpu_repeats_itself() -> None:
    """On a GPU the same seed gives the same bits, near to those of the CPU in their mean."""
    photo, styles = noise(96, 128), [(noise(128, 96, 2), 1.0)]
    recipe = PatchRecipe(size=128)
    first, second = (stylize(photo, styles, recipe, device="cuda") for _ in range(2))
    assert torch.equal(first.image, second.image)
    assert first.device.startswith("cuda")
    on_cpu = stylize(photo, styles, recipe, device="cpu").image
    assert first.image.mean((1, 2)).tolist() == pytest.approx(on_cpu.mean((1, 2)).tolist(), abs=0.03)


def test_a_sweep_shares_its_coarse_scales() -> None:
    """Variants of one batch have one beginning and an end of their own; the more weight, the nearer to the photo."""
    photo, styles = noise(60, 80), [(noise(64, 48, 2), 1.0)]
    weights = (4.0, 0.05, 0.3)
    recipes = [QUICK.model_copy(update={"size": 80, "content_weight": weight}) for weight in weights]
    other = QUICK.model_copy(update={"size": 80, "style_scale": 0.5})
    *found, apart = stylize_batch(photo, styles, [*recipes, other], device="cpu")
    last = max(step.scale for step in found[0].trace)
    begun = [[step for step in each.trace if step.scale < last] for each in found]
    assert begun[0] == begun[1] == begun[2]
    assert begun[0]
    assert apart.trace[: len(begun[0])] != tuple(begun[0])
    ready = torch.nn.functional.interpolate(photo[None], (60, 80))[0]
    away = [float((each.image - ready).square().mean()) for each in found]
    assert away[0] < away[2] < away[1]
    again = stylize_batch(photo, styles, recipes, device="cpu")
    assert all(torch.equal(one.image, two.image) for one, two in zip(found, again, strict=True))
