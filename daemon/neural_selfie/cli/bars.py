"""Progress on a terminal: one bar for each picture being painted, above them the log. Plain lines elsewhere."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn

from neural_selfie.snapshot import Running, Snapshot


class Bars:
    """Use as a context manager; `show` takes snapshots."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._progress.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Given how things stand, redraw the bars."""
        running = {entry.job: entry for entry in snapshot.running}
        for job in set(self._tasks) - set(running):
            self._progress.remove_task(self._tasks.pop(job))
        for job, entry in running.items():
            if job not in self._tasks:
                self._tasks[job] = self._progress.add_task(title(entry), total=1.0, detail="")
            self._progress.update(self._tasks[job], completed=entry.fraction, detail=detail(entry))


class Lines:
    """The same for a pipe or a log file: one plain line whenever a picture is a tenth further."""

    def __init__(self) -> None:
        self._said: dict[int, int] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Given how things stand, print what is new."""
        for entry in snapshot.running:
            tenth = int(entry.fraction * 10)
            if self._said.get(entry.job) != tenth:
                self._said[entry.job] = tenth
                print(f"{title(entry)}: {entry.fraction:.0%} {detail(entry)}".rstrip(), file=sys.stderr, flush=True)


def title(entry: Running) -> str:
    """Return the name of a picture in the making."""
    variant = ", ".join(f"{key} {value}" for key, value in entry.variant.items())
    return f"{entry.photo} → {entry.preset}" + (f" ({variant})" if variant else "")


def detail(entry: Running) -> str:
    """Return stage, scale, iteration and time left, as far as they are known."""
    if entry.stage != "paint":
        return {"start": "starting", "decode": "reading", "encode": "writing"}.get(entry.stage, entry.stage)
    left = f", {entry.eta_seconds:.0f} s left" if entry.eta_seconds is not None else ""
    return f"scale {entry.scale}, iteration {entry.iteration}{left}"
