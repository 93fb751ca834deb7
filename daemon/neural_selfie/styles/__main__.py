"""Repaints the shipped style images: `python -m neural_selfie.styles [NAME...] [--into FOLDER]`. No preset changes."""

import argparse
import sys
from pathlib import Path

from neural_selfie.styles import PROGRAMS, folder, program

SMALLEST_PX = 64
QUALITY = 92  # JPEG; 4:4:4, because strokes differ in colour from one pixel to the next


def main(arguments: list[str] | None = None) -> int:
    """Given names of styles (none: all), write each as NAME.jpg; return 0, or 64 for an impossible name or width."""
    parser = argparse.ArgumentParser(prog="python -m neural_selfie.styles", description="Repaint the style images.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PROGRAMS)}; without any: all")
    parser.add_argument("--into", type=Path, default=folder(), metavar="FOLDER", help="where to write the pictures")
    parser.add_argument("--width", type=int, metavar="PX", help="width of the pictures; without it: as shipped")
    wanted = parser.parse_args(arguments)
    for name in wanted.names:
        if name not in PROGRAMS:
            print(f"There is no style '{name}'. There are: {', '.join(PROGRAMS)}.", file=sys.stderr)  # noqa: T201 - a command
            return 64
    if wanted.width is not None and wanted.width < SMALLEST_PX:
        print(f"A picture must be at least {SMALLEST_PX} pixels wide.", file=sys.stderr)  # noqa: T201 - a command
        return 64
    wanted.into.mkdir(parents=True, exist_ok=True)
    for name in wanted.names or PROGRAMS:
        path = wanted.into / f"{name}.jpg"
        picture = program(name)(width=wanted.width) if wanted.width else program(name)()
        picture.save(path, quality=QUALITY, subsampling=0)
        print(path)  # noqa: T201 - a command says what it made
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
