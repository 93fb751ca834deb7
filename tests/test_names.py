"""Names: shown to people, made for every file system, ignored. Pure functions, so most claims are hypothesis'."""

import os
import unicodedata
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_selfie.files import names

SHA = "ab12cdef" * 8
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=300)  # also surrogates and controls
FILE_NAMES = st.binary(min_size=1, max_size=255).filter(lambda raw: not set(raw) & {0, 0x2F}).map(os.fsdecode)
WINDOWS_REFUSES = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
WINDOWS_RESERVES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{p}{n}" for p in ("com", "lpt") for n in range(10)
}


@given(ANY_TEXT | FILE_NAMES)
def test_shown_is_one_harmless_line(name: str) -> None:
    """Whatever a file is called, what people see is valid UTF-8 without line breaks, controls or direction marks."""
    line = names.shown(name)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [c for c in line if unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI"}]


@given(st.binary(max_size=60))
def test_shown_takes_bytes(raw: bytes) -> None:
    """Bytes are shown as the name that they are in the file system."""
    assert names.shown(raw) == names.shown(raw.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("me.jpg", "me.jpg"),
        ("Café 2.jpg", "Café 2.jpg"),
        ("👨‍👩‍👧.heic", "👨‍👩‍👧.heic"),
        ("קיץ.jpg", "קיץ.jpg"),
        ("Screenshot at 10.00\u202fAM.png", "Screenshot at 10.00\u202fAM.png"),
        (b"caf\xe9.jpg", "caf\\xe9.jpg"),
        ("gpj.\u202eevil\n", "gpj.\\u202eevil\\n"),
        (Path("/srv/in/\x1b[2J.jpg"), "/srv/in/\\x1b[2J.jpg"),
    ],
)
def test_shown_examples(name: str | bytes | Path, line: str) -> None:
    """Ordinary names in any script stay; what is invisible or dangerous becomes visible."""
    assert names.shown(name) == line


def assert_fits_everywhere(name: str) -> None:
    """A file name that Linux, Windows and SMB take and that needs no thought in a link."""
    assert 0 < len(name.encode("utf-8")) <= names.NAME_BYTES
    assert not set(name) & (WINDOWS_REFUSES | set("#%"))
    assert name == unicodedata.normalize("NFC", name)
    assert name[0] not in ". -"
    assert name[-1] not in ". "
    assert name.partition(".")[0].rstrip(" ").lower() not in WINDOWS_RESERVES
    assert names.shown(name) == name


@given(ANY_TEXT | FILE_NAMES)
def test_outbox_folder_fits_everywhere(name: str) -> None:
    """Whatever was dropped, its folder can be made on any file system, and ends in the hash."""
    folder = names.outbox_folder(name, SHA)
    assert_fits_everywhere(folder)
    assert folder.endswith("-ab12cd")
    assert len(folder.encode()) <= 107


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("me.jpg", "me-ab12cd"),
        ("me", "me-ab12cd"),
        ("Café 2.jpg", "Café 2-ab12cd"),
        ("Cafe\u0301.jpg", "Café-ab12cd"),
        ("trip.2024.jpg", "trip.2024-ab12cd"),
        ("v1.2 final", "v1.2 final-ab12cd"),
        (".jpg", "jpg-ab12cd"),
        (" .. ", "photo-ab12cd"),
        ("con.jpg", "con_-ab12cd"),
        ("a:b?.jpg", "a_b_-ab12cd"),
        ("con" + " " * 120 + "x.jpg", "con_-ab12cd"),
        ("é" * 80 + ".jpg", "é" * 49 + "-ab12cd"),
    ],
)
def test_outbox_folder_examples(name: str, folder: str) -> None:
    """An ordinary stem stays as it is; only what somebody refuses is changed."""
    assert names.outbox_folder(name, SHA) == folder


def test_outbox_folder_takes_more_digits() -> None:
    """Where six digits are taken, more make another folder."""
    assert names.outbox_folder("me.jpg", SHA, 10) == "me-ab12cdefab"


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.lists(st.integers())
)


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, VALUES, max_size=6))
def test_picture_name_fits_everywhere(preset: str, variant: dict[str, Any]) -> None:
    """Any preset and any variant give a name that fits, also with the temp prefix and suffix around it."""
    name = names.picture_name(preset, variant, ".sheet.jpg")
    assert_fits_everywhere(name)
    assert len(f".{name}.part".encode()) <= names.NAME_BYTES


@pytest.mark.parametrize(
    ("preset", "variant", "name"),
    [
        ("mosaic", {}, "mosaic.jpg"),
        (
            "selfie-sweep",
            {"style_scale": 0.5, "content_weight": 0.2},
            "selfie-sweep.content_weight=0.2,style_scale=0.5.jpg",
        ),
        ("p", {"tiles": 3, "keep": True, "start": "photo"}, "p.keep=true,start=photo,tiles=3.jpg"),
    ],
)
def test_picture_name_examples(preset: str, variant: dict[str, Any], name: str) -> None:
    """Names are what product.md shows, whatever the order of the sweep."""
    assert names.picture_name(preset, variant, ".jpg") == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "x" * 200 + "1"}, {"a": "x" * 200 + "2"}),
        ({"a": "x/y"}, {"a": "x:y"}),
        ({"a": "1,b=2"}, {"a": "1", "b": "2"}),
        ({"a": [1, 2]}, {"a": [1, 3]}),
        ({"a": 0.1}, {"a": 0.1 + 2**-54}),
    ],
)
def test_two_variants_never_share_a_picture(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Cutting and replacing characters does not make two variants overwrite each other."""
    assert names.picture_name("p", one, ".jpg") != names.picture_name("p", other, ".jpg")


@given(FILE_NAMES)
def test_error_name_fits_and_keeps_the_extension(name: str) -> None:
    """Every name that can be dropped has an explanation beside it, called after it."""
    error = names.error_name(name)
    assert len(os.fsencode(error)) <= names.NAME_BYTES
    assert error.endswith(".error.json")
    if len(os.fsencode(name)) <= 240:
        assert error == f"{name}.error.json"


def test_long_error_names_stay_apart() -> None:
    """Two long names that are cut alike get two explanations, and both keep their extension."""
    one, other = names.error_name("ü" * 124 + "a.jpg"), names.error_name("ü" * 124 + "b.jpg")
    assert one != other
    assert one.endswith(".jpg.error.json")


@given(FILE_NAMES, st.integers(2, 9999))
def test_numbered_names_can_be_made(name: str, n: int) -> None:
    """A number fits into every name; no character is cut in half."""
    other = names.numbered(name, n)
    assert len(os.fsencode(other)) <= names.NAME_BYTES
    assert f" ({n})" in other
    if name == names.shown(name):
        other.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("me.jpg", "me (2).jpg"),
        ("me", "me (2)"),
        (".jpg", ".jpg (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        ("v1.2", "v1.2 (2)"),
    ],
)
def test_numbered_examples(name: str, other: str) -> None:
    """The number stands where people expect it."""
    assert names.numbered(name, 2) == other


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("Thumbs.db", "Thumbs.db"),
        ("THUMBS.DB", "Thumbs.db"),
        ("alice/@eaDir/me.jpg/SYNOFILE_THUMB_M.jpg", "@eaDir"),
        (".nfs000000001", ".nfs*"),
        ("me.jpg.FilePart", "*.filepart"),
        (".syncthing.me.jpg.tmp", "*.tmp"),
        ("~$holiday.docx", "~$*"),
        ("Icon\r", "Icon\r"),
        (".hidden/me.jpg", ".*"),
        (".neural-selfie-cookie-1", ".neural-selfie-*"),
        ("me.jpg", None),
        ("tmp/part/me.jpg", None),
        (os.fsdecode(b"caf\xe9\n.jpg"), None),
    ],
)
def test_built_in_names_are_ignored(path: str, pattern: str | None) -> None:
    """Files and folders that systems make are ignored in any case and at any depth, and the reason can be named."""
    assert names.is_ignored(PurePath(path)) == pattern


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("drafts/a/b.jpg", "Drafts/**"),
        ("x/drafts/b.jpg", None),
        ("a/raw/b.jpg", "*/raw"),
        ("x/private/me.jpg", "private/"),
        ("me_small.JPG", "*_small.*"),
        ("me.jpg", None),
    ],
)
def test_configured_globs_are_added(path: str, pattern: str | None) -> None:
    """A configured glob holds for any component, one with a slash from the beginning of the path."""
    assert names.is_ignored(PurePath(path), ("Drafts/**", "*/raw", "private/", "*_small.*")) == pattern


def test_a_built_in_glob_can_be_taken_off_but_not_ours() -> None:
    """`!glob` brings names back; our own cookies and unfinished files stay ignored."""
    assert names.is_ignored(PurePath("a.tmp"), ("!*.tmp",)) is None
    assert names.is_ignored(PurePath(".me.jpg"), ("!.*",)) is None
    assert names.is_ignored(PurePath(".me.jpg.part"), ("!.*", "!*.part", "!.*.part")) == ".*.part"


@given(FILE_NAMES)
def test_every_glob_takes_every_name(name: str) -> None:
    """No file name makes matching fail, and hidden ones are always ignored."""
    found = names.is_ignored(PurePath(name), ("a/**",))
    assert found is not None or not name.startswith(".") or name in {".", ".."}


@pytest.mark.parametrize("name", ["me.jpg.yaml", "me.JPG.YML", "a/me.heic.yaml", "x.2.webp.yml"])
def test_sidecars_are_known_by_name(name: str) -> None:
    """A photo's name with .yaml or .yml behind it is its sidecar."""
    assert names.is_sidecar(PurePath(name))


@pytest.mark.parametrize("name", ["me.jpg", "notes.yaml", ".yaml", "me.yaml.jpg", "yaml"])
def test_other_names_are_no_sidecars(name: str) -> None:
    """YAML that belongs to no photo is told apart, so that its dropper hears about it."""
    assert not names.is_sidecar(PurePath(name))
