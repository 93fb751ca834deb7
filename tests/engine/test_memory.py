"""What the `gatys` engine does about memory: it predicts, chooses a way that fits, and steps down when it was wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neural_selfie.engine import room
from neural_selfie.engine.gatys import memory
from neural_selfie.engine.gatys import weights as vgg
from neural_selfie.engine.gatys.network import Network, network
from neural_selfie.engine.recipe import GatysRecipe
from neural_selfie.errors import OutOfDeviceMemoryError

SHORT_OF_MEMORY = """
import json, resource, sys
from pathlib import Path
import torch
from neural_selfie.engine import GatysRecipe, stylize

torch.set_num_threads(1)
weights, room_mib = Path(sys.argv[1]), int(sys.argv[2])
small = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(1))
photo = torch.nn.functional.interpolate(small, (480, 640), mode="bilinear")[0]
limited = False

def limit(step):
    global limited
    if step.scale == 1 and not limited:
        limited = True
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (room_mib << 20), used + (room_mib << 20)))

recipe = GatysRecipe(size=640, coarsest_px=160, scale_ratio=0.4, iterations=2, coarse_iterations=2, tolerance=0)
painted = stylize(photo, [(photo.flip(2), 1.0)], recipe, weights=weights, device="cpu", on_step=limit)
steps = [[step.scale, step.iteration] for step in painted.trace]
finite = bool(torch.isfinite(painted.image).all())
print(json.dumps([limited, painted.warnings, steps, list(painted.image.shape), finite]))
"""


@pytest.fixture(scope="module")
def vgg_network(weights: Path) -> Network:
    """Its network up to relu5_1."""
    return network(vgg.load(weights), ["relu4_2", "relu5_1"], device=torch.device("cpu"))


def test_memory_that_runs_out_steps_down_and_still_delivers(weights: Path) -> None:
    """A process whose address space is closed in the middle of a scale goes on with less, says so, and paints."""
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(weights), "16"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    limited, warnings, steps, shape, finite = json.loads(done.stdout)
    assert limited
    assert warnings
    assert warnings[0].startswith("Memory ran out at 640 x 480 px")
    assert shape == [3, 480, 640]
    assert finite
    assert steps[:2] == [[0, 1], [0, 2]]
    assert len(steps) == len({tuple(step) for step in steps})  # the way that failed left nothing in the trace


def test_the_ladder_begins_with_what_fits(vgg_network: Network) -> None:
    """A small picture is painted in full; one of 400 megapixels in tiles, without having tried the rest."""
    small = memory.ladder(GatysRecipe(size=256), vgg_network, (192, 256), 1)
    assert (small[0].recomputed_blocks, small[0].tile_px) == (0, None)
    assert [way.tile_px for way in small] == [None, None]
    huge = memory.ladder(GatysRecipe(size=16384), vgg_network, (16384, 16384), 1)
    assert huge[0].tile_px is not None


def test_a_picture_of_16_megapixels_fits_into_6_gib_in_tiles(vgg_network: Network) -> None:
    """By prediction, with the default recipe: there L-BFGS remembers fewer steps, for each takes 0.2 GB."""
    recipe, size = GatysRecipe.model_validate({"size": 4096, "memory": "tiles"}), (4096, 4096)
    [way, *_] = memory.ladder(recipe, vgg_network, size, 1)
    assert way.tile_px == 1024
    assert memory.predicted_bytes(recipe, vgg_network, size, 1, way) < 6 << 30
    assert memory.predicted_bytes(recipe, vgg_network, size, 1, replace(way, pairs=None)) > 9 << 30


@pytest.mark.parametrize(
    ("choice", "recomputed", "tile_px"), [("full", 0, None), ("checkpoint", 2, None), ("tiles", 0, 512)]
)
def test_a_way_that_is_asked_for_is_the_only_one(
    vgg_network: Network, choice: str, recomputed: int, tile_px: int | None
) -> None:
    """`memory:` other than auto takes that way."""
    recipe = GatysRecipe.model_validate({"size": 1024, "memory": choice, "tile_px": 512})
    ways = memory.ladder(recipe, vgg_network, (768, 1024), 1)
    assert (ways[0].recomputed_blocks, ways[0].tile_px) == (recomputed, tile_px)
    assert all(way.tile_px is not None for way in ways) == (choice == "tiles")


def test_less_is_predicted_for_each_step_down(vgg_network: Network) -> None:
    """The prediction falls from full to checkpoint to ever smaller tiles, and grows with pixels and variants."""
    recipe, size = GatysRecipe(size=4096), (4096, 4096)
    ways = [*memory.ladder(recipe.model_copy(update={"memory": "full"}), vgg_network, size, 1)]
    ways += memory.ladder(recipe.model_copy(update={"memory": "checkpoint"}), vgg_network, size, 1)
    ways += memory.ladder(recipe.model_copy(update={"memory": "tiles"}), vgg_network, size, 1)
    needs = [memory.predicted_bytes(recipe, vgg_network, size, 1, way) for way in ways]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(needs)
    assert memory.predicted_bytes(recipe, vgg_network, size, 3, ways[0]) == pytest.approx(3 * needs[0], rel=0.05)


def test_free_memory_is_known() -> None:
    """It is more than nothing and no more than the machine has."""
    total = next(
        float(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 0 < room.free_bytes(torch.device("cpu")) <= total


@pytest.mark.parametrize(
    ("error", "is_that"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_other_faults_are_not_taken_for_a_lack_of_memory(error: Exception, *, is_that: bool) -> None:
    """Only what says so counts: a fault of ours must not be tried again in tiles."""
    assert room.is_out_of_memory(error) == is_that


@pytest.mark.parametrize("error", [OutOfDeviceMemoryError("full"), RuntimeError("CUDA error: out of memory")])
def test_the_next_device_is_asked_when_one_is_full(error: Exception) -> None:
    """Memory that runs out on the most wanted device sends the work to the next; the last one's error is told."""
    first, last = torch.device("cuda"), torch.device("cpu")

    def work(device: torch.device) -> str:
        if device == first:
            raise error
        return device.type

    assert room.with_room([first, last], work) == "cpu"
    with pytest.raises(type(error)):
        room.with_room([first], work)


def test_another_error_is_no_reason_to_change_the_device() -> None:
    """What is not about memory would go wrong on any device, and is told at once."""

    def work(_device: torch.device) -> str:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        room.with_room([torch.device("cuda"), torch.device("cpu")], work)
