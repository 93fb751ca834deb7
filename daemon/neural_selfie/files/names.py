"""How files are called: forms fit to be shown, names fit for every file system, and names that are no photos.

Pure: nothing here looks at a file. A name from the file system may carry surrogates (PEP 383): `shown` is for people
and logs, `outbox_folder` and `picture_name` make names for Linux, Windows shares and links in a page; `error_name`
and `numbered` keep the bytes that were dropped. Nothing here makes a name unique by itself: that needs the folder.
"""

import fnmatch
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any, NamedTuple

NAME_BYTES = 255  # NAME_MAX of Linux file systems
PART_BYTES = 100  # of a photo, preset or variant inside a longer name
_JOINERS = "\u200c\u200d"  # invisible, but they hold emoji and Persian or Indic letters together
_UNSAFE = set('<>:"/\\|?*') | set("#%")  # Windows refuses the first nine; the last two change the meaning of a link
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?=\.|$)", re.IGNORECASE)
_EXTENSION = re.compile(r"(.+)(\.(?=[0-9]*[a-z])[a-z0-9]{1,10})", re.IGNORECASE | re.DOTALL | re.ASCII)
_MASK = re.compile(r".+\.mask\.png", re.IGNORECASE | re.DOTALL)
_SIDECAR = re.compile(r".+\.[a-z0-9]{1,5}\.ya?ml", re.IGNORECASE | re.DOTALL)

OWN_IGNORES = (".neural-selfie-*", ".*.part")  # our cookies and unfinished files: no configuration brings them back
BUILT_IN_IGNORES = (
    # Still being copied
    *("*.part", "*.filepart", "*.crdownload", "*.partial"),  # Nextcloud and Firefox, WinSCP, Chrome, rclone
    *("*.tacitpart", "*.writing", "*.tmp"),  # PhotoSync, Spring Integration, everybody (~syncthing~*.tmp, ~*.tmp)
    *(".syncthing.*", "~syncthing~*", ".goutputstream-*"),  # Syncthing (lib/fs/tempname.go), GNOME
    *(".pending-*", ".~tmp~", "*.download", "*.opdownload", "*.aria2"),  # Android, rsync, Safari, Opera, aria2
    # Deleted, or kept only because somebody has it open
    *(".nfs*", ".fuse_hidden*", ".smbdelete*"),  # the NFS client, libfuse, Samba
    *("#recycle", "@Recycle", "$RECYCLE.BIN", "RECYCLER"),  # Synology, QNAP, Windows
    *(".Trash-*", ".Trashes", ".trashed-*", "Network Trash Folder"),  # freedesktop.org, macOS, Android, AFP
    # Locks, backups and conflicts
    *("~$*", ".~lock.*", ".*.sw?", "*~", "*_conflict-*"),  # Office, LibreOffice, vim; Nextcloud's sync-exclude.lst
    *("*.lock", "*.camelLock", ".watchman-cookie-*"),  # docker-handbrake, Apache Camel, watchman
    # What systems put beside photos
    *("Thumbs.db", "Thumbs.db:*", "ehthumbs*.db", "desktop.ini", "System Volume Information"),  # Windows
    *(".DS_Store", "._*", "__MACOSX", "Icon\r", "Temporary Items"),  # macOS (github/gitignore, Nextcloud)
    *("@eaDir", "#snapshot", "@Recently-Snapshot", "lost+found"),  # Synology, QNAP, ext4
    *(".stfolder", ".stversions"),  # Syncthing
    ".*",  # every other hidden name: .AppleDouble, .Spotlight-V100, .fseventsd, .camel, rsync's .name.XXXXXX
)


def shown(name: str | bytes | PurePath) -> str:
    r"""Given any file name or path, return it as one printable line of valid UTF-8.

    Bytes that are no UTF-8 appear as \xe9, control and direction characters as \n, \u202e. Not reversible.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
    return text if text.isprintable() else "".join(map(_visible, text))


def outbox_folder(name: str, sha256: str, digits: int = 6) -> str:
    """Given the name a photo was dropped under and its hash, return the name of its folder: `me-1a2b3c`."""
    stem, _ = _split(name)
    return f"{safe_name(stem)}-{sha256[:digits]}"


def picture_name(preset: str, variant: Mapping[str, Any], suffix: str) -> str:
    """Given a preset, a variant ({} without a sweep) and a suffix such as ".jpg", return the name of the picture.

    `mosaic.jpg`, or `mosaic.content_weight=0.2,style_scale=0.5.jpg` with keys in alphabetical order, so that the
    order of the configuration does not matter. A part that had to be changed or cut ends in a hash of what it was.
    """
    parts = [preset]
    if variant:
        parts.append(",".join(f"{key}={_value(value)}" for key, value in sorted(variant.items())))
    return ".".join(map(_distinct, parts)) + suffix


def error_name(name: str) -> str:
    """Given the name of a file in failed/, return that of its explanation: `me.jpg.error.json`.

    Where that is longer than 255 bytes the stem is cut and marked with a hash; the extension stays.
    """
    if len(os.fsencode(name)) + len(".error.json") <= NAME_BYTES:
        return f"{name}.error.json"
    stem, extension = _split(name)
    return fitted(stem, f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:6]}{extension}.error.json")


def numbered(name: str, n: int) -> str:
    """Given a name that is taken and a number, return `me (2).jpg`; the stem is cut where 255 bytes are too few."""
    stem, extension = _split(name)
    return fitted(stem, f" ({n}){extension}")


def safe_name(text: str, limit_bytes: int = PART_BYTES) -> str:
    """Given any text, return it as a part of a file name that Linux, Windows, SMB and links take; never empty.

    Characters that somebody refuses become `_`, unusual spaces plain ones; NFC; at most `limit_bytes` of UTF-8.
    """
    characters = map(_safe_character, unicodedata.normalize("NFC", text))
    cut = _cut("".join(characters).lstrip(" .-"), limit_bytes - 1).rstrip(" .")
    return _RESERVED.sub(lambda match: f"{match[1]}_", cut, count=1) if _RESERVED.match(cut) else cut or "photo"


def is_sidecar(path: PurePath) -> bool:
    """Given a path, return whether it is called like a sidecar: `me.jpg.yaml` or `me.jpg.yml`."""
    return _SIDECAR.fullmatch(path.name) is not None


def is_mask(path: PurePath) -> bool:
    """Given a path, return whether it is called like the mask of a photo: `me.mask.png`."""
    return _MASK.fullmatch(path.name) is not None


def is_ignored(relative: PurePath, extra_globs: Sequence[str] = ()) -> str | None:
    """Given a path relative to the inbox, return the glob that says it is no photo, or None.

    A glob without a slash is compared with every component, one with a slash with the path from its beginning
    (`drafts/**`), both without regard to case. `!*.tmp` among `extra_globs` takes that one off the built-in list.
    """
    extra = tuple(extra_globs)
    for component in relative.parts:
        if (pattern := _component_glob(component, extra)) is not None:
            return pattern
    for pattern, regex in _rules(extra).paths:
        if any(regex.fullmatch(path.as_posix()) for path in (relative, *relative.parents[:-1])):
            return pattern
    return None


class _Rules(NamedTuple):
    components: re.Pattern[str]  # one group for each of `globs`
    globs: list[str]
    paths: list[tuple[str, re.Pattern[str]]]


@lru_cache(maxsize=8)
def _rules(extra_globs: tuple[str, ...]) -> _Rules:
    from wcmatch import glob  # noqa: PLC0415 - only who ignores needs it; `status` answers sooner without

    extra = [pattern for pattern in extra_globs if not pattern.startswith("!")]
    kept = [pattern for pattern in BUILT_IN_IGNORES if f"!{pattern}" not in extra_globs]
    globs = [*OWN_IGNORES, *kept, *(pattern for pattern in extra if "/" not in pattern.rstrip("/"))]
    components = "|".join(f"({fnmatch.translate(pattern.rstrip('/'))})" for pattern in globs)
    paths = [
        (pattern, re.compile(regex))
        for pattern in extra
        if "/" in pattern.rstrip("/")
        for regex in glob.translate(pattern.strip("/"), flags=glob.GLOBSTAR | glob.DOTGLOB | glob.IGNORECASE)[0]
    ]
    return _Rules(re.compile(components, re.IGNORECASE), globs, paths)


@lru_cache(maxsize=4096)  # the same folders come again with every file in them
def _component_glob(component: str, extra_globs: tuple[str, ...]) -> str | None:
    rules = _rules(extra_globs)
    match = rules.components.fullmatch(component)
    return rules.globs[(match.lastindex or 1) - 1] if match else None


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _safe_character(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return "_" if character in _UNSAFE or _visible(character) != character else character


def _distinct(text: str) -> str:
    """Return a safe form of `text` in which two different texts stay different."""
    safe = safe_name(text)
    if safe == unicodedata.normalize("NFC", text):
        return safe
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{safe_name(text, PART_BYTES - len(mark) - 1)}-{mark}"


def _value(value: Any) -> str:
    plain = isinstance(value, str) and not set(value) & set('=,"')
    return value if plain else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _split(name: str) -> tuple[str, str]:
    """Return stem and extension; `.2 final` and `.2024` are no extensions, `.` at the beginning begins none."""
    match = _EXTENSION.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


def fitted(stem: str, ending: str) -> str:
    """Given a stem and what is to follow it, return both as one name of at most 255 bytes: the stem is cut."""
    return _cut(stem, NAME_BYTES - len(os.fsencode(ending))) + ending


def _cut(text: str, limit_bytes: int) -> str:
    """Return the longest beginning of `text` that takes at most `limit_bytes` and cuts no character."""
    cut = text.encode("utf-8", "surrogateescape")[:limit_bytes].decode("utf-8", "surrogateescape")
    while not text.startswith(cut):  # half a character came back as surrogates
        cut = cut[:-1]
    return cut
