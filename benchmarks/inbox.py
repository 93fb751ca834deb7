"""Measures the daemon around its engines: a flood of photos, an idle day, a start with a long history.

python benchmarks/inbox.py                          everything, as in the README (half an hour on two cores)
python benchmarks/inbox.py --photos 2000            a smaller flood
python benchmarks/inbox.py --only idle,start        some sections
python benchmarks/inbox.py --folder /dev/shm        on another disk; on a RAM disk syncing costs nothing

The real daemon in a process of its own, with the `instant` painter of the tests, which paints in grey what it is given.
Writes `benchmarks/results/inbox.json` and `.md`. Figures of `start` are medians of nine.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from house import House, photo  # noqa: E402 - of the tests, which are no package
from neural_selfie.files import file_system_type  # noqa: E402 - after it, as formatted
from neural_selfie.ledger import open_ledger  # noqa: E402 - the same

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "inbox.json"
MIB = 1 << 20
IDLE_SECONDS = 60.0
STARTS = 9
_TICKS = os.sysconf("SC_CLK_TCK")


def flood(root: Path, photos: int) -> Iterator[Row]:
    """Drop so many small photos at once beside a daemon that runs, and wait until all are painted and filed."""
    house = a_house(root)
    dropped = root / "dropped"
    make_photos(dropped, photos)
    with running(house) as daemon:
        began = time.monotonic()
        dropped.rename(house.inbox / "card")
        wait(lambda: count(house, "SELECT count(*) FROM photo WHERE place != 'inbox'") >= photos)
        admitted = time.monotonic() - began
        row: Row = {
            "photos": photos,
            "admitted per second, painting meanwhile": photos / (admitted - house.settings["watch"]["quiet_seconds"]),
            "peak of the daemon's own process until then, MiB": of_status(daemon.pid, "VmHWM") / MIB,
        }
        yield row
        wait(lambda: count(house, "SELECT count(*) FROM photo WHERE place = 'originals'") >= photos)
        row["painted and filed per second"] = photos / (time.monotonic() - began)
        row["peak until all are filed, MiB"] = of_status(daemon.pid, "VmHWM") / MIB
    row["lost"] = photos - count(house, "SELECT count(*) FROM job WHERE state = 'done'")
    yield row


def idle(root: Path, photos: int) -> Iterator[Row]:
    """Let a daemon be for a minute with so many photos in the ledger, in originals and, painted, in the outbox."""
    house = a_house(root)
    make_photos(house.inbox, 1)
    house.once()
    fill(house.state / "ledger.sqlite3", photos)
    original, painted = next(house.originals.iterdir()), next(house.outbox.glob("*/*.json")).parent
    for number in range(photos):
        shutil.copyfile(original, house.originals / f"{number:06}.png")
        shutil.copytree(painted, house.outbox / f"{number:06}-x")
    house.settings["watch"], house.settings["log"] = {}, {}  # as they are by default
    house.write_config()
    with running(house) as daemon:
        time.sleep(IDLE_SECONDS)  # the start is over, the page is written
        processes = [daemon.pid, *children_of(daemon.pid)]
        before, began = sum(map(cpu_seconds, processes)), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (sum(map(cpu_seconds, processes)) - before) / (time.monotonic() - began)
        own = of_status(daemon.pid, "VmRSS")
    yield {"photos in originals and outbox": photos, "CPU of all processes, %": 100 * share, "MiB": own / MIB}


def start(root: Path, jobs: int) -> Iterator[Row]:
    """Start a daemon with a ledger of so many jobs that are done, until its first look at the inbox is written down."""
    house = a_house(root)
    house.once()
    with open_ledger(house.state):
        pass
    fill(house.state / "ledger.sqlite3", jobs)
    seconds = []
    for _ in range(STARTS):
        began = time.monotonic()
        with running(house):
            seconds.append(time.monotonic() - began)
    yield {"jobs in the ledger": jobs, "seconds until the inbox is watched and scanned": median(seconds)}


def a_house(root: Path) -> House:
    """Return a daemon's folders, all in `root`, with the waiting times that are the default."""
    house = House(root)
    house.settings["watch"] = {"quiet_seconds": 2.0}
    house.settings["log"] = {"level": "info", "format": "json"}
    house.write_config()
    return house


@contextmanager
def running(house: House) -> Iterator["subprocess.Popen[str]"]:
    """Run the daemon while the block runs; it has looked at its inbox once when the block begins."""
    progress = house.state / "progress.json"
    daemon = house.start()
    wait(lambda: scanned(progress), every=0.01)
    try:
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(timeout=300)


def scanned(progress: Path) -> bool:
    """Whether the daemon says that it has scanned its inbox."""
    try:
        return json.loads(progress.read_bytes())["watch"]["last_scan_at"] is not None
    except (OSError, ValueError):
        return False


def make_photos(folder: Path, number: int) -> None:
    """Make small photos, no two alike: each has its number in a text chunk."""
    folder.mkdir(exist_ok=True)
    data = photo(folder / "0.png", size=(64, 48)).read_bytes()
    (folder / "0.png").unlink()
    for index in range(number):
        chunk = b"tEXtnumber\0" + str(index).encode()
        whole = (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
        (folder / f"{index:05}.png").write_bytes(data[:-12] + whole + data[-12:])


def fill(ledger: Path, jobs: int) -> None:
    """Write photos and done jobs into a ledger, as the daemon would have within months."""
    plan = json.dumps({"preset": "plain", "engine": "patch", "variant": {}, "recipe": {}, "styles": [], "seed": 0})
    connection = sqlite3.connect(ledger)
    with connection:
        for number in range(2, jobs + 2):  # there may be a first one
            name = f"{number:06}.jpg"
            connection.execute(
                "INSERT INTO photo (id, sha256, name, dropped, path, place, folder, format, width, height, size_bytes,"
                " dropped_at) VALUES (?, ?, ?, ?, ?, 'originals', ?, 'JPEG', 80, 60, 9, 1.0)",
                (number, f"{number:064x}", name, name.encode(), f"/srv/originals/{name}".encode(), f"{number:06}-x"),
            )
            connection.execute(
                "INSERT INTO job (id, photo_id, plan, plan_key, state, attempts, queued_at, started_at, finished_at,"
                " output) VALUES (?, ?, ?, 'x', 'done', 1, 1.0, 1.0, 2.0, ?)",
                (number, number, plan, f"{number:06}-x/plain.jpg"),
            )
            for kind in ("job.queued", "job.started", "job.rendered", "job.published"):
                connection.execute(
                    "INSERT INTO event (photo_id, job_id, at, kind, detail) VALUES (?, ?, 1.0, ?, ?)",
                    (number, number, kind, '{"to":"done"}'),
                )
    connection.close()


def count(house: House, statement: str) -> int:
    """Return what a statement counts in the ledger; 0 while it is being made."""
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{house.state}/ledger.sqlite3?mode=ro", uri=True, timeout=5)
        try:
            return int(connection.execute(statement).fetchone()[0])
        finally:
            connection.close()
    return 0


def wait(condition: Callable[[], bool], *, every: float = 0.5, seconds: float = 4 * 3600) -> None:
    """Return once the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(condition)
        time.sleep(every)


def of_status(pid: int, key: str) -> int:
    """Return a size that /proc knows of a process, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine() -> Row:
    """Return what the figures depend on."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def write(title: str, facts: Row, row: Row) -> None:
    """Put a section into the results, beside those that are there, and write the same as Markdown."""
    whole = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    whole[title] = {"machine": facts, "figures": row}
    RESULTS.write_text(json.dumps(whole, indent=1) + "\n")
    lines = ["# The daemon around its engines\n"]
    for name, section in whole.items():
        lines += [f"## {name}\n", "| | |", "| --- | ---: |"]
        lines += [f"| {key} | {shown(value)} |" for key, value in section["figures"].items()]
        facts = section["machine"]
        lines.append(
            f"\n*{facts['processor']}, {facts['cores']} cores, load {facts['load before']} before; Python "
            f"{facts['python']}; {facts['date']}*\n"
        )
    RESULTS.with_suffix(".md").write_text("\n".join(lines))
    print(f"\n{title}\n" + "\n".join(f"  {key}: {shown(value)}" for key, value in row.items()), flush=True)


def shown(value: Any) -> str:
    """Return a figure with three digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Measure what was asked for."""
    sections = {"flood": (flood, 50_000), "idle": (idle, 10_000), "start": (start, 100_000)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(sections), help="sections, separated by commas")
    parser.add_argument("--photos", type=int, help="instead of 50,000 (flood), 10,000 (idle) and 100,000 jobs (start)")
    parser.add_argument("--folder", type=Path, help="where the daemon's folders are made")
    chosen = parser.parse_args()
    for name in chosen.only.split(","):
        measure, number = sections[name]
        root = Path(tempfile.mkdtemp(prefix="inbox-", dir=chosen.folder))
        facts = machine()
        try:
            for row in measure(root, chosen.photos or number):
                write(f"{name}, on {file_system_type(root)}", facts, row)
        finally:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
