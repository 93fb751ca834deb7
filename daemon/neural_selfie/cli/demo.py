"""`demo`: a complete run that needs nothing but this package."""

import os
import sys
import webbrowser
from pathlib import Path

import click

from neural_selfie import config, logs
from neural_selfie import demo as demonstration

FOLDER = Path("neural-selfie-demo")


@click.command()
@click.argument("target", type=click.Path(path_type=Path), required=False, metavar="[PHOTO|FOLDER]")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    metavar="FOLDER",
    help="Where a demo with your own photo happens.",
)
def demo(target: Path | None, into: Path) -> int:
    """Paint sample photos, or your own PHOTO, by dropping them into the inbox of a demo FOLDER."""
    photo = target if target is not None and target.is_file() else None
    folder = into if photo is not None or target is None else target
    place = demonstration.set_up(folder, photo)
    loaded = config.load(place.config)
    logs.configure(loaded.settings.log)
    from neural_selfie import service  # noqa: PLC0415 - after the arguments proved right
    from neural_selfie.cli.bars import Bars, Lines  # noqa: PLC0415

    if sys.stderr.isatty():
        with Bars() as bars:
            code = service.run(loaded, once=True, watcher=bars.show)
    else:
        code = service.run(loaded, once=True, watcher=Lines().show)
    for picture in place.pictures():
        print(picture)
    print(f"The page: {place.page.as_uri()}")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(place.page.as_uri())
    return code
