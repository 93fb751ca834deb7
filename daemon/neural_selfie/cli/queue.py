"""`status`, `retry`, `cancel`: look at the jobs and change their fate. They talk to the ledger, not to the daemon."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from neural_selfie import config as configuration
from neural_selfie import lock, snapshot
from neural_selfie.cli.options import config_option
from neural_selfie.config import Settings
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import UsageError
from neural_selfie.files import storage
from neural_selfie.ledger import Ledger, open_ledger
from neural_selfie.model import Job, JobState

_SHOWN = 10


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config: Path | None, *, as_json: bool) -> int:
    """Show the queue, what is being painted, and what failed."""
    settings = configuration.load(config).settings
    view = _view(settings)
    if as_json:
        print(json.dumps(view, indent=1, ensure_ascii=False))
    else:
        print(_text(view))
    return 0


def _view(settings: Settings) -> dict[str, Any]:
    """Return everything that `status` says, as plain values."""
    state = StateFolder(settings.state)
    pid = lock.holder(state.lock)
    view: dict[str, Any] = {
        "daemon": {"running": pid is not None, "pid": pid},
        "inbox": str(settings.inbox),
        "outbox": str(settings.outbox_folder),
        "counts": {str(name): 0 for name in JobState},
        "running": [],
        "queued": [],
        "waiting": [],
        "failed": [],
        "refused": [asdict(trouble) for trouble in snapshot.troubles(settings.failed_folder)],
        "dropped_again": [],
        "orphans": [],
        "watch": {},
        "troubles": [],
    }
    try:
        ledger = open_ledger(settings.state, read_only=True)
    except FileNotFoundError:
        return view
    with ledger:
        view["counts"] = snapshot.all_counts(ledger)
        running = {entry.job: entry for entry in snapshot.read_running(state.progress)} if pid else {}
        for job in ledger.jobs(state=JobState.RUNNING):
            progress = running.get(job.id)
            fields = asdict(progress) if progress else {"fraction": 0.0, "eta_seconds": None}
            view["running"].append(_entry(ledger, job) | fields)
        for name in (JobState.QUEUED, JobState.WAITING, JobState.FAILED):
            newest = name is JobState.FAILED
            view[str(name)] = [
                _entry(ledger, job) for job in ledger.jobs(state=name, limit=_SHOWN, newest_first=newest)
            ]
        view["dropped_again"] = [asdict(drop) for drop in snapshot.dropped_again(ledger)]
    if pid:
        view["orphans"] = snapshot.read_orphans(state.progress)
        view["watch"] = snapshot.read_watch(state.progress)
        full = storage.too_full(settings.filling_folders, settings.disks.free_mib)  # nor can the daemon write it then
        view["troubles"] = list(dict.fromkeys([*full, *snapshot.read_troubles(state.progress)]))
    return view


def _entry(ledger: Ledger, job: Job) -> dict[str, Any]:
    photo = ledger.photo(job.photo_id)
    entry: dict[str, Any] = {
        "job": job.id,
        "photo": photo.name,
        "preset": job.plan.preset,
        "variant": dict(job.plan.variant),
    }
    return entry | {"attempts": job.attempts, "cause": job.cause, "reason": job.reason}


def _text(view: dict[str, Any]) -> str:
    daemon = f"running (process {view['daemon']['pid']})" if view["daemon"]["running"] else "not running"
    counts = view["counts"]
    lines = [f"daemon   {daemon}", f"inbox    {view['inbox']}", f"outbox   {view['outbox']}"]
    lines.append(
        "jobs     " + ", ".join(f"{number} {name}" for name, number in counts.items() if number)
        if any(counts.values())
        else "jobs     none yet"
    )
    if trouble := view["watch"].get("trouble"):
        lines.append(f"watching {trouble}")
    lines += [f"trouble  {trouble}" for trouble in view["troubles"]]
    lines += [_running_line(entry) for entry in view["running"]]
    for name in ("queued", "waiting", "failed"):
        if entries := view[name]:
            lines += ["", name]
            lines += [_job_line(entry) for entry in entries]
            if (more := counts[name] - len(entries)) > 0:
                lines.append(f"  ... and {more} more")
    if view["refused"]:
        lines += ["", "in failed/"]
        lines += [f"  {entry['photo']}: {entry['reason']}" for entry in view["refused"][:_SHOWN]]
    if view["dropped_again"]:
        lines += ["", "dropped again"]
        lines += [f"  {entry['photo']}: {entry['reason']}" for entry in view["dropped_again"]]
    if view["orphans"]:
        lines += ["", "waiting in the inbox for their photo (drop it, or take them away)"]
        lines += [f"  {name}" for name in view["orphans"]]
    return "\n".join(lines)


def _running_line(entry: dict[str, Any]) -> str:
    eta = entry.get("eta_seconds")
    left = f", about {timedelta(seconds=round(eta))} left" if eta is not None else ""
    return f"painting {_what(entry)}: {entry['fraction']:.0%}{left}"


def _job_line(entry: dict[str, Any]) -> str:
    reason = f": {entry['reason']}" if entry["reason"] else ""
    return f"  job {entry['job']}  {_what(entry)}{reason}"


def _what(entry: dict[str, Any]) -> str:
    variant = ", ".join(f"{key} {value}" for key, value in entry["variant"].items())
    return f"{entry['photo']} -> {entry['preset']}" + (f" ({variant})" if variant else "")


@click.command()
@config_option
@click.argument("jobs", type=int, nargs=-1, metavar="[JOB]...")
@click.option("--failed", is_flag=True, help="Every failed job.")
def retry(config: Path | None, jobs: tuple[int, ...], *, failed: bool) -> int:
    """Try failed, cancelled or waiting jobs again, with a clean slate."""
    if not jobs and not failed:
        raise UsageError("Name the jobs to try again (`neural-selfie status` shows their numbers), or say --failed.")
    with _ledger(config) as ledger:
        chosen = [*jobs, *(job.id for job in ledger.jobs(state=JobState.FAILED) if failed)]
        return _each(chosen, lambda job: ledger.retry(job, now=time.time()), "will be tried again")


@click.command()
@config_option
@click.argument("jobs", type=int, nargs=-1, required=True, metavar="JOB...")
def cancel(config: Path | None, jobs: tuple[int, ...]) -> int:
    """Give up jobs that are not done; a running one is ended."""
    with _ledger(config) as ledger:
        return _each(jobs, lambda job: ledger.request_cancel(job, now=time.time()), "is cancelled")


def _ledger(config: Path | None) -> Ledger:
    settings = configuration.load(config).settings
    try:
        open_ledger(settings.state, read_only=True).close()
    except FileNotFoundError:
        raise UsageError(f"There are no jobs: no daemon has run with the state folder {settings.state} yet.") from None
    return open_ledger(settings.state)


def _each(jobs: Iterable[int], act: Callable[[int], Job], said: str) -> int:
    """Act on each job and say so; return 64 if it was not possible for one."""
    code = 0
    for number in dict.fromkeys(jobs):
        try:
            job = act(number)
            print(f"job {number} {'is being ended' if job.cancel_requested else said}")
        except UsageError as error:
            click.echo(f"neural-selfie: {error}", err=True)
            code = error.exit_code
    return code
