"""How long the page takes: rebuilt from 20,000 records alone, and with one picture more. Prints a table.

    python benchmarks/gallery.py [--records 20000] [--folder FOLDER]

Pictures are tiny but say that they are large, so that the figures are those of records and data; the small copies of
one more picture of 1024 x 768 are in its figure. Times are wall clock, with those of the processor beside them.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from neural_selfie.gallery import Order
from neural_selfie.gallery.hanging import Wall
from neural_selfie.record import EnginePart, Output, PhotoPart, Record, StylePart, Timings, TracePart

PRESETS = ("starry-night", "scream", "woodcut", "stained-glass", "pointillist")
STEPS = 100  # of each trace
MORE = 10


def main() -> None:
    """Make an outbox, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the outbox is made; by default one that is removed again")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        outbox = wanted.folder or Path(temporary)
        outbox.mkdir(parents=True, exist_ok=True)
        tiny = picture((32, 24))
        for number in range(wanted.records):
            publish(outbox, number, tiny, (300, 225))  # needs no small copy
        wall = Wall(outbox)
        print(f"{wanted.records} records, each with a trace of {STEPS} steps\n")
        print("| | wall, s | processor, s |\n|---|---:|---:|")
        measured("the page from the records alone", lambda: rebuild(wall, outbox))
        large = picture((1024, 768))
        for number in range(wanted.records, wanted.records + MORE):
            publish(outbox, number, large, (1024, 768))
            order = Order(outbox=outbox, touched=(folder_of(number),), sweep=False)
            measured("one picture more, its small copies included", lambda order=order: wall.work(order, ignore))
        measured("a look for what others changed", lambda: wall.work(Order(outbox=outbox), ignore))


def rebuild(wall: Wall, outbox: Path) -> None:
    """Let a wall that knows nothing hang everything."""
    while wall.work(Order(outbox=outbox, seconds=10), ignore).more:
        pass


def measured(name: str, action: Callable[[], object]) -> None:
    """Do something and print a line of the table."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    print(f"| {name} | {time.perf_counter() - wall:.3f} | {time.process_time() - processor:.3f} |")


def ignore(_path: str) -> None:
    """Take note of nothing."""


def folder_of(number: int) -> str:
    """Return the folder of the photo that a picture is of: two pictures of each."""
    return f"photo {number // 2}-{number // 2:06x}"


def picture(size: tuple[int, int]) -> bytes:
    """Return a colourful JPEG."""
    stream = io.BytesIO()
    coarse = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def publish(outbox: Path, number: int, data: bytes, size: tuple[int, int]) -> None:
    """Write a picture and its record."""
    preset = PRESETS[number % len(PRESETS)]
    when = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat()
    record = Record(
        photo=PhotoPart(name=f"photo {number // 2}.jpg", sha256=f"{number // 2:064x}", width=4000, height=3000),
        preset=preset,
        variant={},
        recipe={"size": 1024, "content_weight": 0.6},
        styles=(StylePart(name=f"{preset}.jpg", sha256="0" * 64, weight=1.0),),
        engine=EnginePart(name="gatys", version="1", torch="2", device="cpu", dtype="float32"),
        seed=0,
        attempts=1,
        timings=Timings(queued_at=when, started_at=when, finished_at=when, seconds={"paint": 30.0}),
        trace=tuple(
            TracePart(scale=0, iteration=n, content=1.0, style=2.0, tv=0.1, total=9.0 / (n + 1), seconds=n / 10)
            for n in range(STEPS)
        ),
        output=Output(file=f"{preset}.jpg", sha256="0" * 64, width=size[0], height=size[1]),
    )
    folder = outbox / folder_of(number)
    folder.mkdir(exist_ok=True)
    (folder / f"{preset}.jpg").write_bytes(data)
    (folder / f"{preset}.json").write_text(record.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
