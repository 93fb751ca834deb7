"""The systemd unit: installed, whole, enabled, and allowed to write where the configuration says. Asks systemd only.

Where no systemd runs there is nothing to say. The judgement is pure: it sees what `systemctl show` prints.
"""

import grp
import os
import pwd
import shlex
import stat
import subprocess
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from neural_selfie.doctor.finding import Finding, ok, warning, wrong
from neural_selfie.doctor.folders import Looked
from neural_selfie.files.names import shown

UNIT = "neural-selfie.service"
_PATIENCE_SECONDS = 10.0
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named, not used
_OVERRIDE = f"`sudo systemctl edit {UNIT}`"


def properties() -> dict[str, str]:
    """Return what systemd says of the unit; {} where no systemd runs or it does not answer."""
    if not Path("/run/systemd/system").is_dir():
        return {}
    try:
        said = subprocess.run(
            ["systemctl", "show", "--no-pager", UNIT],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def is_installed(unit: Mapping[str, str]) -> bool:
    """Given what systemd says, return whether there is a unit at all."""
    return unit.get("LoadState", "not-found") != "not-found"


def uid(unit: Mapping[str, str]) -> int | None:
    """Given what systemd says, return the number of the unit's user; None where there is no unit, or no such user."""
    name = unit.get("User", "") if is_installed(unit) else ""
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def judged(
    unit: Mapping[str, str], folders: Mapping[str, Path], config: Path | None, state_uid: int | None
) -> list[Finding]:
    """Given what systemd says, the folders by name, the configuration and whose the state folder is, judge the unit.

    The last two are None where nobody knows.
    """
    if not unit:
        return [ok("unit", "No systemd runs here.")]
    if not is_installed(unit):
        return [ok("unit", f"{UNIT} is not installed: the daemon is started by hand, or not at all.")]
    found = [*_state(unit), *_user(unit, state_uid), *_configuration(unit, config)]
    found += _may_write(unit, folders)
    return found or [ok("unit", f"{UNIT} is installed and {unit.get('ActiveState', 'loaded')}.")]


def _state(unit: Mapping[str, str]) -> Iterator[Finding]:
    if unit["LoadState"] == "masked":
        yield wrong("unit", f"{UNIT} is masked: it cannot be started.", f"`sudo systemctl unmask {UNIT}`.")
    elif unit["LoadState"] != "loaded":
        says = f"systemd cannot load {UNIT} ({unit['LoadState']})."
        yield wrong(
            "unit", says, f"`systemd-analyze verify {unit.get('FragmentPath') or UNIT}` says what is wrong in it."
        )
    elif unit.get("ActiveState") == "failed":
        says = f"{UNIT} has failed ({unit.get('Result', 'unknown')}, exit code {unit.get('ExecMainStatus', '?')})."
        yield wrong("unit", says, f"`journalctl -u {UNIT} -n 50` says why; then `sudo systemctl restart {UNIT}`.")
    elif unit.get("UnitFileState") == "disabled":
        yield warning("unit", f"{UNIT} does not start with the machine.", f"`sudo systemctl enable --now {UNIT}`.")
    if int(unit.get("UMask") or "0", 8) & stat.S_IWGRP:
        says = f"{UNIT} makes files that its group may not delete or change (UMask={unit['UMask']})."
        yield warning("unit.umask", says, f"Say `UMask=0002` in [Service] with {_OVERRIDE}.")
    if unit.get("NeedDaemonReload") == "yes":
        yield warning("unit", f"{UNIT} was changed since systemd read it.", "`sudo systemctl daemon-reload`.")


def _user(unit: Mapping[str, str], state_uid: int | None) -> Iterator[Finding]:
    user, group = unit.get("User", ""), unit.get("Group", "")
    if user and unit.get("DynamicUser") != "yes":
        if (number := uid(unit)) is None:
            make = f"`sudo useradd --system --user-group --home-dir /var/lib/neural-selfie {user}`."
            yield wrong("unit.user", f"The user {user} of {UNIT} does not exist.", make)
            return
        if state_uid not in {None, number}:
            says = f"The state folder does not belong to {user}, as whom {UNIT} runs."
            yield wrong("unit.user", says, f"`sudo chown --recursive {user}: STATE`, with the state folder for STATE.")
    if group and not group.isdecimal() and group not in {entry.gr_name for entry in grp.getgrall()}:
        yield wrong("unit.user", f"The group {group} of {UNIT} does not exist.", f"`sudo groupadd --system {group}`.")


def _configuration(unit: Mapping[str, str], config: Path | None) -> Iterator[Finding]:
    command = unit.get("ExecStart", "").partition("argv[]=")[2].partition(" ;")[0]
    words = shlex.split(command) if command.count('"') % 2 == 0 and "'" not in command else command.split()
    named = next((after for word, after in pairwise(words) if word == "--config"), None)
    if named and config and Path(named) != config:
        says = f"{UNIT} uses {shown(named)}, and not {shown(config)}, which is looked at here."
        yield warning("unit.config", says, f"`neural-selfie doctor --config {shown(named)}`.")


def _may_write(unit: Mapping[str, str], folders: Mapping[str, Path]) -> Iterator[Finding]:
    places = {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}
    hidden = unit.get("ProtectHome") in {"yes", "read-only", "tmpfs"}
    at_home = {name: place for name, place in places.items() if hidden and _within(place, _HOMES)}
    private = unit.get("PrivateTmp") == "yes"
    temporary = {name: place for name, place in places.items() if private and _within(place, _TEMPORARY)}
    writable = [Path(word.lstrip("-+")) for word in unit.get("ReadWritePaths", "").split()] + _made(unit)
    strict = unit.get("ProtectSystem") == "strict"
    others = {name: place for name, place in places.items() if name not in {*at_home, *temporary}}
    closed = {name: place for name, place in others.items() if strict and not _within(place, writable)}
    if at_home:
        mend = f"Move them to /srv, or say `ProtectHome=no` with {_OVERRIDE}."
        yield wrong("unit.home", f"{UNIT} may not see {_listed(at_home)}: ProtectHome.", mend)
    if temporary:
        mend = "Move them to /srv."
        yield wrong("unit.tmp", f"{UNIT} has a /tmp of its own, without {_listed(temporary)}.", mend)
    if closed:
        paths = " ".join(shown(place) for place in closed.values())
        mend = f"Say `ReadWritePaths={paths}` in [Service] with {_OVERRIDE}."
        yield wrong("unit.paths", f"{UNIT} may not write to {_listed(closed)}.", mend)


def _listed(places: Mapping[str, Path]) -> str:
    return ", ".join(f"{shown(place)} ({name})" for name, place in places.items())


def makes(unit: Mapping[str, str], folder: Path) -> bool:
    """Given what systemd says, return whether it makes a folder that is not there: StateDirectory."""
    return is_installed(unit) and Path(os.path.normpath(folder)) in _made(unit)


def _made(unit: Mapping[str, str]) -> list[Path]:
    return [Path("/var/lib") / part for part in unit.get("StateDirectory", "").split()]


def _within(folder: Path, others: Collection[Path]) -> bool:
    return any(folder.is_relative_to(other) for other in others)


def sharing(name: str, looked: Looked, folder: Path) -> Iterator[Finding]:
    """Given inbox or outbox of a service, yield a warning if the people of its group can do too little there."""
    wanted = stat.S_ISGID | stat.S_IRWXG
    if looked.device is not None and looked.mode & wanted != wanted:
        what = "drop photos into it" if name == "inbox" else "delete in it"
        says = f"The group of {shown(folder)} may not {what}, or what is made there belongs to another group."
        yield warning(f"{name}.group", says, f"`sudo chmod 2775 {shown(folder)}`.")
