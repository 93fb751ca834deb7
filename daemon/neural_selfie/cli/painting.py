"""`stylize` and `reproduce`: paint in this process, with a progress bar."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from neural_selfie import config as configuration
from neural_selfie import files, reproducing, stylizing
from neural_selfie.cli.bars import Bars, Lines
from neural_selfie.cli.options import config_option
from neural_selfie.config import faults
from neural_selfie.errors import UsageError
from neural_selfie.model import Progress
from neural_selfie.snapshot import Running, Snapshot


@click.command()
@config_option
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--preset", required=True, metavar="NAME", help="One of `neural-selfie presets`.")
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="File or folder."
)
@click.option("--set", "numbers", multiple=True, metavar="KEY=VALUE", help="Replace a number of the preset.")
@click.option(
    "--mask",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The photo in plain colours, for a preset whose styles have regions.",
)
def stylize(
    *, config: Path | None, photo: Path, preset: str, out: Path, numbers: tuple[str, ...], mask: Path | None
) -> int:
    """Paint one photo, without the daemon. The record of how it was made lies in the picture."""
    loaded = configuration.load(config)
    wanted = stylizing.plans(loaded, preset, _numbers(numbers))
    if mask is not None:
        wanted = stylizing.with_mask(loaded, photo, wanted, mask)
    pairs = stylizing.targets(wanted, out)
    with _progress() as show:
        started_at = time.monotonic()
        running: dict[int, Running] = {}

        def report(plan: Any, progress: Progress) -> None:
            seconds = time.monotonic() - started_at
            running[progress.job_id] = _running(photo.name, plan.preset, plan.variant, progress, seconds)
            show(_snapshot(running.values()))

        for result in stylizing.paint(loaded, photo, tuple(plan for plan, _ in pairs), report):
            running.pop(result.job_id, None)
            target = pairs[result.job_id][1]
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(target, result.picture)
            click.echo(str(target))
            started_at = time.monotonic()
    return 0


@click.command()
@config_option
@click.argument("record", type=click.Path(path_type=Path), metavar="RECORD.json|PICTURE")
@click.option(
    "--photo",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The photo, if it has left its folder.",
)
@click.option(
    "--mask",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The photo's mask, if the state folder does not have it.",
)
@click.option(
    "-o", "--output", "out", type=click.Path(path_type=Path), metavar="OUT", help="Where to put the new picture."
)
def reproduce(config: Path | None, record: Path, photo: Path | None, mask: Path | None, out: Path | None) -> int:
    """Paint a record again, and say whether the result is bit-identical or how far it is off."""
    loaded = configuration.load(config)
    old = reproducing.read(record)
    with _progress() as show:
        started_at = time.monotonic()

        def report(progress: Progress) -> None:
            seconds = time.monotonic() - started_at
            show(_snapshot([_running(old.photo.name, old.preset, old.variant, progress, seconds)]))

        result = reproducing.repeat(old, loaded, photo, report, mask=mask)
    if out is not None:
        files.write_atomic(out, result.picture)
    picture = reproducing.picture_of(record, old)
    if picture is None:
        click.echo(
            f"painted; the picture {old.output.file} is not beside the record, so there is nothing to compare with"
        )
        return 0
    comparison = reproducing.compare(picture, old, result)
    if comparison.identical:
        click.echo("bit-identical")
        return 0
    here, then = result.record.engine, old.engine
    why = "" if comparison.same_engine else f"; then {then.device}, torch {then.torch}, engine {then.version}"
    now = "" if comparison.same_engine else f"; now {here.device}, torch {here.torch}, engine {here.version}"
    if here.weights_sha256 != then.weights_sha256:
        now += f"; made with other weights (SHA-256 {_short(then.weights_sha256)}, now {_short(here.weights_sha256)})"
    click.echo(
        f"not identical: mean difference {comparison.mean:.3f}, largest {comparison.largest:.0f} "
        f"of 255 levels{why}{now}"
    )
    return 1


def _short(sha256: str | None) -> str:
    return "unknown" if sha256 is None else f"{sha256[:8]}..."


def _numbers(pairs: tuple[str, ...]) -> dict[str, Any]:
    numbers = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: expected KEY=VALUE, such as content_weight=0.6.")
        numbers[key.strip()] = faults.yaml_value(value, f"--set {key}")
    return numbers


def _progress() -> AbstractContextManager[Callable[[Snapshot], None]]:
    return _OnTerminal() if sys.stderr.isatty() else nullcontext(Lines().show)


class _OnTerminal:
    """A context whose value shows snapshots as bars."""

    def __init__(self) -> None:
        self._bars = Bars()

    def __enter__(self) -> Callable[[Snapshot], None]:
        return self._bars.__enter__().show

    def __exit__(self, *details: object) -> None:
        self._bars.__exit__()


def _running(photo: str, preset: str, variant: Any, progress: Progress, seconds: float) -> Running:
    left = seconds / progress.fraction - seconds if progress.fraction > 0 else None
    return Running(
        job=progress.job_id,
        photo=photo,
        preset=preset,
        variant=variant,
        stage=progress.stage,
        scale=progress.scale,
        iteration=progress.iteration,
        fraction=progress.fraction,
        seconds=seconds,
        eta_seconds=left,
    )


def _snapshot(running: Iterable[Running]) -> Snapshot:
    return Snapshot(at=time.time(), counts={}, running=tuple(running))
