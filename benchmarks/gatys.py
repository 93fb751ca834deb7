"""Measures the `gatys` engine beside a plain program in the same run, with random weights: losses need no training.

python benchmarks/gatys.py                        everything, as in the README (about an hour and a half on two cores)
python benchmarks/gatys.py --quick                at half the size
python benchmarks/gatys.py --only memory,huge     some sections

Needs the `demo` extra. Writes `benchmarks/results/gatys-DEVICE.json` and `.md`. Figures are medians; where programs are
compared they take turns, so that a busy machine is busy for all of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

import measured
import plain_gatys
from measured import Row
from neural_selfie.engine import GatysRecipe, Step
from neural_selfie.engine.entry import stylize, stylize_batch
from neural_selfie.engine.gatys import weights as vgg
from neural_selfie.engine.gatys.paint import scale_sizes

PLAIN_EVALUATIONS = 300
NEAR = 1.05  # of the plain program's loss
CONTENT_WEIGHTS = (0.1, 0.2, 0.4, 0.6, 1.0, 1.6, 2.4, 3.8)
# The plain program's losses, reached by our own means.
OURS: Mapping[str, Any] = {"optimiser": "lbfgs", "arithmetic": "fast", "history": 80, "tolerance": 0.0}


class EnoughError(Exception):
    """What was to be measured is known."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how large everything is done."""

    device: torch.device
    weights: Path
    height: int
    width: int
    repeats: int
    quick: bool
    layers: tuple[str, ...] = ("paper", "tutorial")

    @property
    def long_edge_px(self) -> int:
        """Of the usual picture."""
        return max(self.height, self.width)

    def stylize(self, recipe: GatysRecipe, on_step: Callable[[Step], None] | None = None) -> Sequence[Step]:
        """Paint the usual picture and return its trace."""
        photo, style = measured.photo(self.height, self.width), measured.style(self.long_edge_px)
        done = stylize(photo, [(style, 1.0)], recipe, device=str(self.device), weights=self.weights, on_step=on_step)
        return done.trace

    def plain(self, name: str) -> plain_gatys.Task:
        """Return the plain program's task."""
        numbers = plain_gatys.BY_NAME[name]
        pairs = [(weight.to(self.device), bias.to(self.device)) for weight, bias in vgg.load(self.weights).convolutions]
        network = plain_gatys.vgg(pairs, pooling=numbers.pooling).to(self.device)
        photo, style = measured.photo(self.height, self.width), measured.style(self.long_edge_px)
        return plain_gatys.Task(network, numbers, photo[None].to(self.device), style[None].to(self.device))

    def sized(self, height: int, width: int) -> "Bench":
        """Return the same for another size."""
        return replace(self, height=height, width=width)

    def recipe(self, **numbers: Any) -> GatysRecipe:
        """Return a recipe of one scale at the usual size."""
        return GatysRecipe.model_validate({"size": self.long_edge_px, "coarsest_px": 16384, **numbers})


def plain_seconds(bench: Bench, name: str, evaluations: int) -> list[float]:
    """Return how long each evaluation of the plain loop took, but for the first two."""
    task = bench.plain(name)
    marks: list[float] = []
    plain_gatys.painted(task, task.photo, evaluations + 2, lambda _: marks.append(measured.now(bench.device)))
    return [after - before for before, after in pairwise(marks[1:])]


def our_seconds(bench: Bench, recipe: GatysRecipe) -> list[float]:
    """Return the same of ours, from its trace."""
    marks = [step.seconds for step in bench.stylize(recipe)]
    return [after - before for before, after in pairwise(marks[1:])]


def evaluation(bench: Bench) -> list[Row]:
    """Measure the seconds of one evaluation: loss, gradient and the optimiser's step."""
    count, rows = 5, []
    for name in bench.layers:
        ways = {
            "plain": None,
            "ours, direct": bench.recipe(recipe=name, iterations=count + 2),
            "ours, fast": bench.recipe(recipe=name, iterations=count + 2, arithmetic="fast"),
            "ours, fast, own L-BFGS": bench.recipe(recipe=name, iterations=count + 2, **OURS),
        }
        rows += taking_turns(bench, name, ways, count)
    return rows


def taking_turns(bench: Bench, name: str, ways: Mapping[str, GatysRecipe | None], count: int) -> list[Row]:
    """Measure each way as often as `repeats` says, in turns; None is the plain program."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(bench.repeats):
        for way, recipe in ways.items():
            found[way] += plain_seconds(bench, name, count) if recipe is None else our_seconds(bench, recipe)
    plain = median(found["plain"]) if "plain" in found else None
    return [
        {
            "layers": name,
            "program": way,
            "size": f"{bench.width} x {bench.height}",
            "seconds": median(seconds),
            "of plain": None if plain is None else median(seconds) / plain,
            "Mpx/s": bench.width * bench.height / 1e6 / median(seconds),
        }
        for way, seconds in found.items()
    ]


def equal_loss(bench: Bench) -> list[Row]:
    """Measure when each way comes within 5 % of the loss that the plain loop has after 300 evaluations."""
    rows: list[Row] = []
    for name in bench.layers:
        plain = plain_trace(bench, name)
        # The loop explodes now and then: then what it had come to before counts.
        target = NEAR * min(total for total, _ in plain)
        first = next(number for number, (total, _) in enumerate(plain) if total <= target)
        print(f"{name}: {plain[-1][0]:.4g} after {len(plain)} evaluations, target {target:.4g}", flush=True)
        rows.append(_reached(name, "plain, all of them", (len(plain), plain[-1][1]), plain[-1][1]))
        rows.append(_reached(name, "plain, until there", (first + 1, plain[first][1]), plain[-1][1]))
        edge = bench.long_edge_px
        for way, numbers in {
            "ours, one scale": {},
            "ours, two scales": {"coarsest_px": max(32, edge // 2), "scale_ratio": 0.5, "coarse_iterations": 40},
        }.items():
            recipe = bench.recipe(**{"recipe": name, "iterations": PLAIN_EVALUATIONS, **OURS, **numbers})
            rows.append(_reached(name, way, until(bench, recipe, target), plain[-1][1]))
    return rows


def plain_trace(bench: Bench, name: str) -> list[tuple[float, float]]:
    """Return the total and the seconds since the beginning of each evaluation of the plain loop."""
    began, task = time.perf_counter(), bench.plain(name)
    found: list[tuple[float, float]] = []

    def note(losses: plain_gatys.Losses) -> None:
        found.append((losses.total.item(), time.perf_counter() - began))  # `item` has waited for a GPU

    plain_gatys.painted(task, task.photo, PLAIN_EVALUATIONS, note)
    return found


def until(bench: Bench, recipe: GatysRecipe, target: float) -> tuple[int, float] | None:
    """Return after how many evaluations at the finest scale, and seconds in all, the total is at the target."""
    finest = len(scale_sizes((bench.height, bench.width), recipe)) - 1
    began = time.perf_counter()
    reached: list[tuple[int, float]] = []

    def watch(step: Step) -> None:
        if step.scale == finest and step.total <= target:
            reached.append((step.iteration, time.perf_counter() - began))
            raise EnoughError

    try:
        bench.stylize(recipe, watch)
    except EnoughError:
        return reached[0]
    return None


def _reached(layers: str, way: str, reached: tuple[int, float] | None, plain: float) -> Row:
    count, seconds = reached or (None, None)
    share = None if seconds is None else seconds / plain
    return {"layers": layers, "program": way, "evaluations": count, "seconds": seconds, "of plain's all": share}


def memory(bench: Bench) -> list[Row]:
    """Measure the peak of a process of its own, above its imports, over five evaluations."""
    rows: list[Row] = []
    for name in ("paper", "tutorial", "default"):
        plain: Row | None = None
        for way in ("plain", "full", "checkpoint"):
            if (name, way) == ("default", "plain"):
                continue
            numbers = {"recipe": name, "memory": way, "iterations": 7, **({} if name == "default" else OURS)}
            told = in_child(bench, name if way == "plain" else None, numbers)
            plain = told if way == "plain" else plain
            rows.append(
                {
                    "layers": name,
                    "program": way if way == "plain" else f"ours, {way}",
                    "size": f"{bench.width} x {bench.height}",
                    "peak MiB": told["bytes"] / 2**20,
                    "bytes/px": told["bytes"] / (bench.width * bench.height),
                    "of plain": None if plain is None else told["bytes"] / plain["bytes"],
                    "seconds": told["seconds"],
                    "seconds of plain": None if plain is None else told["seconds"] / plain["seconds"],
                }
            )
    return rows


def huge(bench: Bench) -> list[Row]:
    """Measure evaluations of a picture of 4096 x 4096 px in tiles of 1024, until no more steps can be remembered."""
    edge, tile = (1024, 256) if bench.quick else (4096, 1024)
    edge, tile = (edge, tile) if bench.long_edge_px >= 256 else (256, 128)  # noqa: PLR2004 - a trial run
    square = bench.sized(edge, edge)
    numbers = {"recipe": "default", "iterations": 7, "coarsest_px": 16384, "tolerance": 0.0}  # one scale
    told = in_child(square, None, {**numbers, "memory": "tiles", "tile_px": tile})
    size = f"{edge} x {edge}"
    return [
        {"size": size, "tile px": tile, "peak GiB": told["bytes"] / 2**30, "seconds per evaluation": told["seconds"]}
    ]


def in_child(bench: Bench, plain: str | None, numbers: Mapping[str, Any]) -> dict[str, float]:
    """Run a painting in a process of its own; return its peak in bytes and the seconds of an evaluation."""
    task = {
        "plain": plain,
        "numbers": dict(numbers),
        "size": [bench.height, bench.width],
        "weights": str(bench.weights),
        "device": str(bench.device),
    }
    command = [sys.executable, __file__, "--child", json.dumps(task)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told: dict[str, float] = json.loads(output.splitlines()[-1])
    return told


def child(task: Mapping[str, Any]) -> None:
    """Do what `in_child` asked for."""
    height, width = task["size"]
    bench = Bench(torch.device(task["device"]), Path(task["weights"]), height, width, repeats=1, quick=False)
    measured.photo(16, 16)  # for its imports
    peak = measured.Peak(bench.device)
    count = task["numbers"]["iterations"]
    if task["plain"]:
        seconds = plain_seconds(bench, task["plain"], count - 2)
    else:
        seconds = our_seconds(bench, bench.recipe(**task["numbers"]))
    print(json.dumps({"bytes": peak.bytes(), "seconds": median(seconds)}))


def sweep(bench: Bench) -> list[Row]:
    """Measure eight content weights painted together, and one after the other until each has the same loss."""
    recipes = [GatysRecipe(size=bench.long_edge_px, content_weight=weight) for weight in CONTENT_WEIGHTS]
    photo, style = measured.photo(bench.height, bench.width), measured.style(bench.long_edge_px)
    began = measured.now(bench.device)
    together = stylize_batch(photo, [(style, 1.0)], recipes, device=str(bench.device), weights=bench.weights)
    batch_seconds = measured.now(bench.device) - began
    rows, single_seconds, equal_seconds = list[Row](), 0.0, 0.0
    for recipe, batched in zip(recipes, together, strict=True):
        began = measured.now(bench.device)
        trace = bench.stylize(recipe)
        wall = measured.now(bench.device) - began
        target, finest = batched.trace[-1].total, trace[-1].scale
        there = [step.seconds for step in trace if step.scale == finest and step.total <= target]
        equal = wall - trace[-1].seconds + there[0] if there else wall
        single_seconds, equal_seconds = single_seconds + wall, equal_seconds + equal
        rows.append(
            {
                "content weight": str(recipe.content_weight),
                "loss together": target,
                "loss alone": trace[-1].total,
                "seconds alone": wall,
                "seconds alone to the loss together": equal,
            }
        )
    rows.append(
        {"content weight": "all", "seconds alone": single_seconds, "seconds alone to the loss together": equal_seconds}
    )
    rows.append({"content weight": "together", "seconds alone to the loss together": batch_seconds})
    rows.append({"content weight": "share", "seconds alone to the loss together": batch_seconds / equal_seconds})
    return rows


def sizes(bench: Bench) -> list[Row]:
    """Measure one evaluation at sizes from a quarter of a megapixel's edge to a whole one's."""
    edges = [128, 256] if bench.quick else [256, 384, 512, 768, 1024]
    rows = []
    for edge in edges:
        at = bench.sized(edge * 3 // 4, edge)
        numbers = {"iterations": 5, "tolerance": 0.0}
        ways = {
            "plain": None,
            "ours, fast": at.recipe(recipe="paper", **{**OURS, **numbers}),
            "ours, default recipe": at.recipe(**numbers),
        }
        rows += taking_turns(at, "paper", ways, 3)
    return rows


SECTIONS: Mapping[str, tuple[Callable[[Bench], list[Row]], str, str]] = {
    "evaluation": (
        evaluation,
        "One evaluation",
        "Loss, gradient and the optimiser's step. `direct` computes in the plain program's order, to agree with it.",
    ),
    "equal-loss": (
        equal_loss,
        "To the same loss",
        "Until within 5 % of the lowest loss of the plain program in 300 evaluations; reading the weights included.",
    ),
    "memory": (memory, "Memory", "Peak of a process above its imports; weights and targets included."),
    "sweep": (
        sweep,
        "A sweep of eight",
        "Eight content weights together, and each alone until its loss is what it is together (or to its end).",
    ),
    "sizes": (sizes, "By size", "One evaluation: loss, gradient and the optimiser's step."),
    "huge": (huge, "Larger than memory", "The default recipe in tiles; peak of a process above its imports."),
}


def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help=f"sections, separated by commas: {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="at 256 x 192 px")
    parser.add_argument("--size", type=int, help="long edge of the usual picture, px (512; quick: 256)")
    parser.add_argument("--layers", default="paper,tutorial", help="of which recipes, for the first two sections")
    parser.add_argument("--repeats", type=int, default=3, help="how often each measurement is made")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="threads of PyTorch on the CPU")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.child:
        child(json.loads(given.child))
        return
    device, edge = torch.device(given.device), given.size or (256 if given.quick else 512)
    with tempfile.TemporaryDirectory() as folder, measured.random_weights(Path(folder)) as weights:
        layers = tuple(given.layers.split(","))
        bench = Bench(device, weights, edge * 3 // 4, edge, given.repeats, given.quick, layers)
        for name in given.only.split(",") if given.only else SECTIONS:
            measure, title, note = SECTIONS[name]
            measured.write(
                given.out / f"gatys-{device.type}.json", measured.machine(device), title, measure(bench), note
            )


if __name__ == "__main__":
    main()
