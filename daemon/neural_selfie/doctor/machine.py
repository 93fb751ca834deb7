"""This machine and the user who runs the doctor: clock, memory, names. Looks at no folder of the daemon."""

import locale
import os
import pwd
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from neural_selfie import __version__
from neural_selfie.doctor.apart import User
from neural_selfie.doctor.finding import Finding, ok, warning, wrong

_NOT_BEFORE = 1735689600.0  # 2025-01-01: this program is younger
_NOT_AFTER = 4102444800.0  # 2100-01-01
_SCARCE_MIB = 2048  # torch takes 0.5 GiB, a picture of 1024 px with `gatys` another one, sharing the machine
_MIB_OF_KIB = 1024


def look() -> list[Finding]:
    """Return how this machine stands: version, clock, memory, encoding of names."""
    memory = Path("/proc/meminfo").read_text()
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.exists() else "max"
    return [
        ok("version", f"neural-selfie {__version__}, Python {sys.version.split()[0]}."),
        clock(time.time()),
        memory_for_pictures(memory, int(allowed) if allowed.isdecimal() else None),
        encoding(sys.getfilesystemencoding(), locale.setlocale(locale.LC_CTYPE, None)),
    ]


def clock(now: float) -> Finding:
    """Given the time (seconds since the epoch), return whether it can be true."""
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if _NOT_BEFORE < now < _NOT_AFTER:
        return ok("clock", f"This machine's clock says {date}.")
    mend = "Set it by the network: `sudo timedatectl set-ntp true`."
    return wrong("clock", f"This machine's clock says {date}, which cannot be.", mend)


def memory_for_pictures(meminfo: str, limit_bytes: int | None) -> Finding:
    """Given the text of /proc/meminfo and the limit of the control group, return whether a picture fits."""
    facts = {line.split(":")[0]: line.split()[1] for line in meminfo.splitlines() if ":" in line}
    free_mib = int(facts.get("MemAvailable", "0")) // _MIB_OF_KIB
    if limit_bytes is not None:
        free_mib = min(free_mib, limit_bytes >> 20)
    if free_mib >= _SCARCE_MIB:
        return ok("memory", f"{free_mib} MiB of memory are available.")
    mend = (
        "Close other programs, or choose smaller sizes in the presets; `memory: tiles` makes gatys content with less."
    )
    return warning("memory", f"Only {free_mib} MiB of memory are available; large pictures may not fit.", mend)


def encoding(of_names: str, of_locale: str) -> Finding:
    """Given how this process encodes names of files, and its locale, return whether every name can be written."""
    if of_names.lower().replace("-", "") == "utf8":
        return ok("encoding", "Names of files are UTF-8.")
    mend = "Set LANG=C.UTF-8 (in the unit: Environment=LANG=C.UTF-8), and unset PYTHONUTF8."
    return wrong("encoding", f"Names of files are {of_names} here (locale {of_locale}): not every name fits.", mend)


def service_user(owner: int | None) -> User | None:
    """Given whose the state folder is or will be, return whom to look as: root as the daemon's user; else None."""
    if os.geteuid() != 0 or not owner:
        return None
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        return User(owner, owner)
    return User(owner, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def user(owner: int | None) -> Iterator[Finding]:
    """Given whose the state folder is or will be, if anybody knows, yield as whom the doctor looks."""
    me = os.geteuid()
    if owner is None or owner == me:
        yield ok("user", f"Looked at as {name_of(me)}.")
    elif me == 0:
        yield ok("user", f"Looked at as {name_of(owner)}, the daemon's user.")
    else:
        says = (
            f"You are {name_of(me)}, and the state folder belongs to {name_of(owner)}: what is said here is about you."
        )
        yield warning("user", says, f"`sudo -u {name_of(owner)} neural-selfie doctor`.")


def name_of(uid: int) -> str:
    """Given a user's number, return the name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
