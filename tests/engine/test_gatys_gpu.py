"""What the `gatys` engine does differently on a GPU, against what it does on the CPU. Run with `pytest -m gpu`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from neural_selfie.engine import GatysRecipe, stylize
from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys import weights as vgg
from neural_selfie.engine.gatys.goals import goal_at, sitting
from neural_selfie.engine.gatys.graphs import replayed
from neural_selfie.engine.gatys.network import network
from neural_selfie.engine.gatys.objective import Objective, Spending
from neural_selfie.engine.gatys.store import Store
from small_vgg import apart, smooth

pytestmark = pytest.mark.gpu

PHOTO, STYLE = smooth(96, 128, 1, torch.float32)[0], smooth(112, 96, 2, torch.float32)[0]
DIRECT: dict[str, Any] = {"size": 128, "arithmetic": "direct", "iterations": 5, "coarsest_px": 128, "tolerance": 0.0}


def objective(recipe: GatysRecipe, weights: Path) -> Objective:
    """Return the objective of one scale on the GPU."""
    built = network(
        vgg.load(weights), sorted({*recipe.content_layers, *recipe.style_layers}), device=torch.device("cuda")
    )
    whole = sitting(PHOTO.cuda(), [STYLE.cuda()], [1.0], recipe, masks=None, store=Store(None, ""))
    return Objective(
        built, goal_at((96, 128), whole, [recipe], built, Spending(0, None, None)), Spending(0, None, None)
    )


@pytest.mark.parametrize("style_loss", ["gram", "w2"])
@torch.inference_mode()
def test_a_replay_is_the_evaluation(style_loss: str, weights: Path) -> None:
    """A recorded evaluation gives the losses and the gradient of the image that it is given, time and again."""
    plain = objective(GatysRecipe.model_validate({"size": 128, "style_loss": style_loss}), weights)
    recorded = replayed(plain)
    for seed in range(3):
        image = smooth(96, 128, seed + 3, torch.float32).cuda()
        wanted, found = plain(image), recorded(image)
        assert float(found[0].total) == pytest.approx(float(wanted[0].total), rel=1e-5)
        assert apart(found[1], wanted[1]) < 1e-5


@pytest.mark.parametrize("recipe", ["default", "tutorial"])
def test_the_losses_of_the_cpu(recipe: str, weights: Path) -> None:
    """In plain float32 the first evaluations are those of the CPU to a thousandth."""
    numbers = GatysRecipe.model_validate(DIRECT | {"recipe": recipe})
    here = stylize(PHOTO, [(STYLE, 1.0)], numbers, device="cpu", weights=weights)
    there = stylize(PHOTO, [(STYLE, 1.0)], numbers, device="cuda", weights=weights)
    for one, other in zip(here.trace[:3], there.trace[:3], strict=True):
        assert other.total == pytest.approx(one.total, rel=1e-3)


def test_the_same_bits_again(weights: Path) -> None:
    """`arithmetic: direct` is deterministic on one GPU."""
    numbers = GatysRecipe.model_validate(DIRECT)
    first, second = (stylize(PHOTO, [(STYLE, 1.0)], numbers, device="cuda", weights=weights) for _ in range(2))
    assert torch.equal(first.image, second.image)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_fast_arithmetic_comes_to_the_same_loss(precision: str, weights: Path) -> None:
    """TF32, and the coarser bfloat16, end near the loss that plain float32 ends at."""
    ways = {"direct": {"arithmetic": "direct"}, "fast": {"arithmetic": "fast", "precision": precision}}
    totals = {
        way: stylize(
            PHOTO,
            [(STYLE, 1.0)],
            GatysRecipe.model_validate(DIRECT | {"iterations": 40} | numbers),
            device="cuda",
            weights=weights,
        )
        .trace[-1]
        .total
        for way, numbers in ways.items()
    }
    assert totals["fast"] == pytest.approx(totals["direct"], rel=0.15)


@torch.inference_mode()
def test_the_root_on_a_gpu() -> None:
    """Products on the GPU come to the trace that eigenvalues on the CPU come to."""
    features = smooth(96, 128, 3, torch.float64).flatten(2).repeat(1, 3, 1)[:, :9]
    second = features @ features.mT / features.shape[2]
    moments = losses.Moments(features.mean(2), second)
    ours, half = losses.covariance(moments), losses.half_of(moments)
    here = losses.root_by_eigenvalues(ours, half)[0]
    there = losses.root_by_polar_factor(ours.cuda(), half.cuda())[0]
    assert torch.allclose(there.cpu(), here, rtol=1e-3)
