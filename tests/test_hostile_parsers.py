"""The parsers' edges under whatever bytes hypothesis finds: they return or refuse in our words, and they come back."""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from config_samples import style_image
from hostile_images import seeds
from hostile_notes import exif_block, jpeg_with, png_with
from made_pictures import display_p3, encoded, noisy, odd_inks
from neural_selfie import config
from neural_selfie.config import sidecars
from neural_selfie.config.catalogue import Catalogue, open_catalogue
from neural_selfie.engine import containers, exif, formats, metadata, profiles, reading
from neural_selfie.errors import ConfigError, PhotoRefusedError, SidecarError
from neural_selfie.files import names
from neural_selfie.model import Limits
from neural_selfie.snapshot import troubles

LIMITS = Limits(file_mib=1, megapixels=1, shortest_edge_px=8)
MANY = settings(max_examples=200, derandomize=True, database=None)
WITH_FOLDER = settings(MANY, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

YAML_PIECES = (
    *("presets", "overrides", "mask", "plain", "size", "sweep", "me.mask.png", "../x", ": ", ":", "\n", "\n  ", "- "),
    *(
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!python/name:os.system ",
        "!!binary ",
        "? ",
        "|\n",
        ">\n",
    ),
    *("'", '"', "\\u0000", "#", "---\n", "...\n", "%YAML 1.1\n", "0x", "1e400", ".nan", "-.inf", "0b1", "59:59", "~"),
    *("true", "2001-01-01", "\t", "\x85", "\u2028", "\ufeff", "\ud83d", "9" * 5000),
)
yaml_text = st.one_of(st.lists(st.sampled_from(YAML_PIECES), max_size=40).map("".join), st.text(max_size=200))
kinds = st.sampled_from(formats.READABLE)


def changed(whole: bytes) -> "st.SearchStrategy[bytes]":
    """Give a file with a few pieces of it replaced, removed or doubled."""

    def edit(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(whole)
        for place, length, piece in changes:
            at = place % (len(data) + 1)
            data[at : at + length] = piece
        return bytes(data)

    pieces = st.one_of(
        st.binary(max_size=8), st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
    )
    return st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), pieces), min_size=1, max_size=8).map(edit)


def outcome_of(call: Callable[[], object], refusal: type[Exception]) -> object:
    """Call, and return the value or the refusal; everything else that is raised is a fault."""
    try:
        return call()
    except refusal as error:
        return error


files = st.one_of(st.binary(max_size=400), st.sampled_from([seed.data for seed in seeds()]).flatmap(changed))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """One preset, as a daemon has it."""
    folder = tmp_path_factory.mktemp("home")
    style_image(folder / "style.png")
    (folder / "config.yaml").write_text(
        "presets: {plain: {style: style.png, size: 80, sweep: {content_weight: [1, 2]}}}\n"
    )
    return open_catalogue(config.load(folder / "config.yaml", {}))


@given(text=yaml_text)
@MANY
def test_any_sidecar_makes_plans_or_is_refused(catalogue: Catalogue, text: str) -> None:
    """Whatever a sidecar says, there are pictures to paint, or a sentence of bearable length."""
    outcome = outcome_of(lambda: catalogue.plans_for(PurePath("me.png"), text), SidecarError)
    assert 0 < len(str(outcome)) < 4000 if isinstance(outcome, SidecarError) else outcome


@given(data=st.one_of(st.binary(max_size=300), yaml_text.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@WITH_FOLDER
def test_any_bytes_as_a_sidecar_or_a_configuration(tmp_path: Path, data: bytes) -> None:
    """Files are read as text or refused: never with an error of the decoder of text."""
    photo, sidecar = tmp_path / "me.png", tmp_path / "me.png.yaml"
    photo.touch()
    sidecar.write_bytes(data)
    with suppress(SidecarError):
        assert sidecars.text_of(photo) == data.decode()
    with suppress(ConfigError):
        config.load(sidecar, {})


@given(kind=kinds, data=files)
@MANY
def test_any_file_can_be_walked(kind: str, data: bytes) -> None:
    """What walks a container comes to an end in any bytes, whatever kind they are taken for, and raises nothing."""
    overfull = containers.overfull(kind, data)
    assert not overfull or len(data) > containers.MOST_FILL_BYTES or kind == "tiff"
    assert containers.ends_early(kind, data) in {True, False}
    assert containers.broken_png_chunk(data) in {True, False}
    containers.bare_png(data)
    containers.single_scan(data)
    for walk in containers.WALKS.values():
        parts = list(walk(data))
        assert all(part.start <= part.end for part in parts)
        assert sorted(parts, key=lambda part: part.start) == parts
        assert len(parts) <= len(data)


@given(name=st.text(max_size=20), data=files)
@MANY
def test_any_file_is_called_something(name: str, data: bytes) -> None:
    """Formats are told, or said to be unknown, from any bytes."""
    assert formats.kind_of(data) in {None, *formats.READABLE}
    assert formats.looks_like(data)
    formats.begins_like_a_picture(data)
    formats.is_raw(name, data)


@given(data=files)
@MANY
def test_any_file_is_read_or_refused(data: bytes) -> None:
    """Pieces changed in whole files of every format: a picture, or a refusal in one line that names the file."""
    outcome = outcome_of(lambda: reading.read(data, "me.jpg", LIMITS), PhotoRefusedError)
    if isinstance(outcome, reading.Decoded):
        assert 1 <= outcome.orientation <= 8
        assert min(outcome.size) >= LIMITS.shortest_edge_px
    else:
        assert re.fullmatch(r"me\.jpg [^\n]+", str(outcome))


CAMERA = exif_block(
    (0x0112, 3, 1, b"\x06\0\0\0"),
    (0x8769, 4, 1, b"\x32\0\0\0"),
    (0x010F, 2, 4, b"Me\0\0"),
    behind=exif_block((0x9003, 2, 20, b"\x50\0\0\0"), (0x829A, 5, 1, b"\x50\0\0\0"))[14:] + b"2024:05:06 07:08:09\0",
)[len(b"Exif\0\0") :]


def test_the_exif_that_is_changed_is_exif() -> None:
    """What the next test starts from is read as it is meant."""
    decoded = reading.read(png_with((b"eXIf", CAMERA)), "me.png", LIMITS)
    assert (decoded.orientation, decoded.taken_at) == (6, "2024-05-06T07:08:09")


@given(block=st.one_of(st.binary(max_size=300), changed(CAMERA)))
@MANY
def test_any_exif_costs_no_picture(block: bytes) -> None:
    """Whatever stands where a camera writes, the picture is read, and what is carried over can be written again."""
    for data in (jpeg_with((0xE1, b"Exif\0\0" + block), size=(16, 16)), png_with((b"eXIf", block))):
        decoded = reading.read(data, "me.jpg", LIMITS)
        assert 1 <= decoded.orientation <= 8
        written = exif.painted(decoded.exif, keep_gps=True, software="s", description="ü", size=(8, 8))
        assert exif.orientation(loaded(written)) == 1


def loaded(block: bytes) -> Image.Exif:
    """Return EXIF as Pillow reads it."""
    found = Image.Exif()
    found.load(block)
    return found


PROFILES = [display_p3(), odd_inks(), profiles.srgb_profile()]


@given(icc=st.one_of(st.binary(max_size=300), st.sampled_from(PROFILES).flatmap(changed)))
@example(icc=b"")
@MANY
def test_any_profile_costs_no_picture(icc: bytes) -> None:
    """A profile of whatever bytes is used or ignored with a remark, for every kind of picture."""
    for mode in ("L", "RGB", "CMYK", "LAB"):
        image = Image.new(mode, (4, 4))
        converted, remarks = profiles.to_srgb(image, icc)
        assert (converted.mode, converted.size) == ("RGB", (4, 4))
        assert len(remarks) <= 1
        profiles.prove(image, icc)


RECORDED = [
    metadata.embed(encoded(noisy(16, 16), kind, **more), '{"a": 1}')
    for kind, more in (("JPEG", {}), ("PNG", {}), ("WEBP", {"exif": exif_block()}))
]


@given(data=st.one_of(files, st.sampled_from(RECORDED).flatmap(changed)))
@MANY
def test_any_picture_has_a_record_or_has_none(data: bytes) -> None:
    """`reproduce` reads a record out of a picture, whatever was done to it, or says that there is none."""
    outcome = outcome_of(lambda: metadata.extract(data), PhotoRefusedError)
    assert isinstance(outcome, str) or "carries no record" in str(outcome)


raw_names = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@given(raw=raw_names.filter(lambda raw: not {0, 47} & set(raw) and len(raw) <= 255 and raw not in {b".", b".."}))
@MANY
def test_any_name_of_a_file_becomes_names_that_files_can_have(
    raw: bytes,
) -> None:
    """Shown in one line; as folder, explanation and numbered copy at most 255 bytes, in no other folder."""
    name = os.fsdecode(raw)
    shown = names.shown(name)
    shown.encode()
    assert "\n" not in shown
    assert "\x1b" not in shown
    folder = names.outbox_folder(name, "0" * 64)
    folder.encode()
    assert not set(folder) & set('<>:"/\\|?*#%\0\n')
    for made in (
        folder,
        names.error_name(name),
        names.numbered(name, 2),
        names.picture_name(name, {name: name}, ".jpg"),
    ):
        assert 0 < len(os.fsencode(made)) <= 255
        assert "/" not in made
        assert made not in {".", ".."}
    names.is_ignored(PurePath(name))
    names.is_sidecar(PurePath(name))
    names.is_mask(PurePath(name))


json_like: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["photo", "cause", "reason", "when", "x"]), inner)
    ),
    max_leaves=12,
)


@given(data=st.one_of(st.binary(max_size=200), json_like.map(lambda value: json.dumps(value).encode())))
@example(data=b"[" * 100_000)
@example(data=b'{"photo": "\\ud800", "cause": "\\u0000", "reason": "\\u001b[31m", "when": "never"}')
@WITH_FOLDER
def test_any_file_called_like_an_explanation_is_no_trouble(tmp_path: Path, data: bytes) -> None:
    """Anybody may lay a file called like an explanation into failed/: it is shown as text, or left out."""
    (tmp_path / "x.error.json").write_bytes(data)
    for trouble in troubles(tmp_path):
        assert trouble.photo.isprintable()
        trouble.reason.encode()
