"""Makes outboxes for the tests of the gallery: real records, small real pictures, previews of photos."""

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from neural_selfie.gallery import Entry, Order, Outcome, hang, preview_of
from neural_selfie.record import EnginePart, Output, PhotoPart, Record, StylePart, Timings, TracePart
from neural_selfie.workers.seat import report

SHA = "0" * 64


def refusal(photo: str, reason: str, when: str = "2026-03-01T10:00:00Z") -> dict[str, str]:
    """Return a photo that could not be painted, as the daemon hands it to the page."""
    return {"photo": photo, "cause": "not_a_picture", "reason": reason, "when": when}


def data_of(outbox: Path, name: str) -> dict[str, Any]:
    """Return what a script of the page's data says."""
    text = (outbox / "gallery" / name).read_text("ascii")
    content: dict[str, Any] = json.loads(text.partition(",")[2].rpartition(")")[0])
    return content


def hung(outbox: Path) -> list[dict[str, Any]]:
    """Return the paintings that the page shows, newest first."""
    shards = [data_of(outbox, f"data/{shard['name']}.js") for shard in data_of(outbox, "data/index.js")["shards"]]
    return [entry for shard in shards for entry in shard["entries"]]


def entry(**changes: Any) -> Entry:
    """Return an entry with plain values, some of them changed."""
    values: dict[str, Any] = {
        "photo": "me.jpg",
        "photo_width": 1200,
        "photo_height": 800,
        "folder": "me-abc123",
        "picture": "starry-night.jpg",
        "record": "starry-night.json",
        "preset": "starry-night",
        "variant": {"content_weight": 0.6},
        "width": 96,
        "height": 64,
        "finished_at": "2026-03-01T12:00:00Z",
        "seconds": 42.0,
        "styles": ("starry.jpg",),
        "style_sha256": (SHA,),
        "warnings": ("The photo was enlarged.",),
        "preview": "gallery/me-abc123.jpg",
    }
    return Entry(**(values | changes))


def picture(path: Path, *, size: tuple[int, int] = (96, 64), colour: str = "teal") -> None:
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def publish(
    outbox: Path,
    folder: str = "me-abc123",
    stem: str = "starry-night",
    *,
    photo: str = "me.jpg",
    preset: str = "starry-night",
    variant: Mapping[str, Any] | None = None,
    finished_at: str = "2026-03-01T12:00:00.000Z",
    warnings: tuple[str, ...] = (),
    size: tuple[int, int] = (96, 64),
    file: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    trace: int = 0,
    engine: str = "patch",
) -> Path:
    """Write a picture, its record and the preview of its photo; return the path of the record."""
    record = Record(
        photo=PhotoPart(name=photo, sha256=SHA, width=12 * size[0], height=12 * size[1]),
        preset=preset,
        variant=variant or {},
        recipe=recipe or {},
        styles=(StylePart(name=f"{preset}.jpg", sha256=SHA, weight=1.0),),
        engine=EnginePart(name=engine, version="1", torch="2", device="cpu", dtype="float32"),
        seed=0,
        attempts=1,
        timings=Timings(
            queued_at=finished_at,
            started_at=finished_at,
            finished_at=finished_at,
            seconds={"decode": 0.5, "paint": 74.5},
        ),
        trace=tuple(
            TracePart(scale=n // 50, iteration=n % 50, content=1.0, style=2.0, tv=0.1, total=9.0 / (n + 1), seconds=n)
            for n in range(trace)
        ),
        output=Output(file=file or f"{stem}.jpg", sha256=SHA, width=size[0], height=size[1]),
        warnings=warnings,
    )
    picture(outbox / folder / f"{stem}.jpg", size=size)
    picture(outbox / preview_of(folder), size=size, colour="olive")
    path = outbox / folder / f"{stem}.json"
    path.write_text(record.model_dump_json(), encoding="utf-8")
    return path


def dies_of_poison(order: Order) -> Outcome:
    """Run in place of the curator's work, in its process: say what is about to be decoded, and die of poison."""

    def about_to(path: str) -> None:
        report(path)
        if "poison" in path:
            time.sleep(0.2)  # the message has to leave the process
            os.kill(os.getpid(), signal.SIGKILL)

    return hang(order, about_to)
