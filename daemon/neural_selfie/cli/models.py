"""`models list` and `models fetch`: the weights that the engines with a network need."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from neural_selfie import config as configuration
from neural_selfie import models as shelf
from neural_selfie.cli.options import config_option
from neural_selfie.config import Loaded
from neural_selfie.config.catalogue import weights_of
from neural_selfie.config.layout import StateFolder
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.files.names import shown


@click.group()
def models() -> None:
    """List the files with networks that presets need, or fetch the VGG-19 of `engine: gatys`."""


@models.command("list")
@config_option
def list_(config: Path | None) -> int:
    """Say what lies in the models folder, whether it can be used, and what the presets want."""
    loaded = configuration.load(config)
    folder = StateFolder(loaded.settings.state).models
    print(f"folder   {shown(folder)}")
    wanted, named = _wanted(loaded, folder), weights_of(loaded)
    files = sorted({*shelf.candidates(folder), *(path for path in wanted.values() if path.is_file())})
    for path in files:
        entry = shelf.inspected(path)
        sha256 = (entry.sha256 or "")[:8]
        what = entry.fault or f"{entry.network} in {entry.layout}'s layout, SHA-256 {sha256}..., usable"
        print(f"file     {_name(path, folder)}: {entry.size_bytes / 1e6:.0f} MB, {what}")
    for name, path in wanted.items():
        bring = "put it there" if name in named else "run `neural-selfie models fetch`"
        there = "" if path.is_file() else f", which is not there: {bring}"
        print(f"preset   {name} wants {_name(path, folder)}{there}")
    if not files:
        print("There are no weights yet: `neural-selfie models fetch` brings them.")
    return 0


def _wanted(loaded: Loaded, folder: Path) -> dict[str, Path]:
    """Return the file of each preset that needs one."""
    named = weights_of(loaded)
    presets = loaded.settings.presets.items()
    return {name: shelf.choose(named.get(name), folder) for name, preset in presets if preset.engine in NETWORKED}


def _name(path: Path, folder: Path) -> str:
    return shown(path.name if path.parent == folder else path)


@models.command()
@config_option
@click.option("--url", metavar="URL", help="Where to fetch from. Default: torchvision's VGG-19 (IMAGENET1K_V1).")
@click.option("--sha256", metavar="HEX", help="SHA-256 of the file, or its first digits, if its name does not say it.")
def fetch(config: Path | None, url: str | None, sha256: str | None) -> int:
    """Fetch VGG-19's weights (550 MB) into the state folder; goes on where an earlier fetch stopped."""
    folder = StateFolder(configuration.load(config).settings.state).models
    from neural_selfie.models import fetching  # noqa: PLC0415 - `list` needs no network

    wanted = fetching.source(url, sha256) if url else fetching.official(sha256)
    with _progress(wanted.name) as report:
        path = fetching.fetch(wanted, folder, report)
    if path is None:
        print(f"{shown(folder / wanted.name)} is there already and whole.")
    else:
        print(f"{shown(path)}: fetched and checked.")
    return 0


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far it is: a bar on a terminal, else a line for each tenth."""
    if not sys.stderr.isatty():
        yield _lines(name)
        return
    from rich.console import Console  # noqa: PLC0415 - rich is needed on a terminal only
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total)


def _lines(name: str) -> Callable[[int, int | None], None]:
    said = -1

    def report(have: int, total: int | None) -> None:
        nonlocal said
        tenth = 10 * have // total if total else have // 50_000_000
        if tenth != said:
            said = tenth
            share = f"{have / total:.0%}, " if total else ""
            print(f"{name}: {share}{have / 1e6:.0f} MB", file=sys.stderr, flush=True)

    return report
