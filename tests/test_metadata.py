"""What travels inside a picture: the record, embedded and taken out again, and the camera's EXIF."""

import io
import json
import math
import re
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from made_pictures import display_p3, encoded, quadrants
from neural_selfie.engine import containers, images, metadata
from neural_selfie.errors import PhotoRefusedError
from neural_selfie.model import Limits

KINDS: tuple[Literal["jpg"], Literal["png"], Literal["webp"]] = ("jpg", "png", "webp")
PIXELS = (quadrants() / 255).astype(np.float32)
MARKUP = {
    "name": "Anna & <b>Übung</b> ]]> \"'é\u2028🎨👩‍🎨.jpg",
    "notes": "&amp; &#13;\r\n\ttab",
    "null": "\0\x1b\ufffe\ud83d",
}
EXIFS = {kind: encoded(Image.fromarray(quadrants()), "JPEG") for kind in KINDS}


def record(size: int) -> str:
    """Return a JSON text of about `size` bytes that compresses badly."""
    trace = [{"scale": 0, "iteration": step, "total": math.sin(step)} for step in range(size // 56)]
    return json.dumps({"photo": MARKUP, "trace": trace}, ensure_ascii=False)


@pytest.mark.parametrize("size", [0, 60_000, 66_000, 131_000, 300_000])
@pytest.mark.parametrize("kind", KINDS)
def test_record_comes_back(tmp_path: Path, kind: Literal["jpg", "png", "webp"], size: int) -> None:
    """A record with emoji, markup and control characters comes back from every format, up to 300 kB."""
    text = record(size)
    data = images.encode(PIXELS, format=kind, embedded=text)
    assert json.loads(metadata.extract(data)) == json.loads(text)
    path = tmp_path / f"me.{kind}"
    path.write_bytes(data)
    assert json.loads(metadata.extract(path)) == json.loads(text)
    picture = images.decode(path, Limits())
    without = images.decode(_written(tmp_path, images.encode(PIXELS, format=kind)), Limits())
    np.testing.assert_array_equal(picture.pixels, without.pixels)


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
@settings(max_examples=30, derandomize=True)
def test_any_json_comes_back(value: Any) -> None:
    """Whatever JSON can say survives embedding, whichever characters it uses."""
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        for picture in EMPTY.values():
            assert json.loads(metadata.extract(metadata.embed(picture, text))) == json.loads(text)


EMPTY = {kind: images.encode(PIXELS, format=kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_find_the_record(kind: Literal["jpg", "png", "webp"]) -> None:
    """Pillow, which knows nothing of us, finds the text where the formats keep theirs."""
    with Image.open(io.BytesIO(images.encode(PIXELS, format=kind, embedded='{"preset": "starry-night"}'))) as image:
        image.load()
        found = image.info["neural-selfie"] if kind == "png" else image.info["xmp"].decode()
    assert '{"preset": "starry-night"}' in found


def test_record_written_as_an_attribute_is_found() -> None:
    """XMP that another program wrote again, with the record as an attribute, is still read."""
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<r:Description xmlns:q="{metadata.NAMESPACE}" q:record="{{&quot;a&quot;: 1}}"/></r:RDF></x:xmpmeta>'
    )
    data = encoded(Image.fromarray(quadrants()), "JPEG", xmp=packet.encode())
    assert metadata.extract(data) == '{"a": 1}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        *EXIFS.values(),
        encoded(Image.fromarray(quadrants()), "PNG"),
        encoded(Image.fromarray(quadrants()), "WEBP", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>broken"),
        encoded(Image.fromarray(quadrants()), "GIF"),
        images.encode(PIXELS, embedded="{}")[:300],
    ],
)
def test_no_record_is_said_plainly(tmp_path: Path, data: bytes) -> None:
    """A picture without a record is refused with a sentence, whatever the file is."""
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoRefusedError, match=r"^holiday\.jpg carries no record of how it was made"):
        metadata.extract(path)
    with pytest.raises(PhotoRefusedError, match=r"^This picture carries no record"):
        metadata.extract(data)


def test_parts_of_a_long_record_may_stand_in_any_order() -> None:
    """The parts of a record that fills several JPEG segments are put together by what they say, not as they come."""
    text = record(200_000)
    data = images.encode(PIXELS, embedded=text)
    parts = [
        part for part in containers.jpeg_segments(data) if data[part.start :].startswith(metadata.EXTENSION_HEADER)
    ]
    assert len(parts) > 2
    segments = [data[part.start - 4 : part.end] for part in parts]
    shuffled = data[: parts[0].start - 4] + b"".join(reversed(segments)) + data[parts[-1].end :]
    assert json.loads(metadata.extract(shuffled)) == json.loads(text)


def test_entities_in_xmp_are_not_expanded() -> None:
    """A packet that declares entities, as XML bombs do, is not read."""
    bomb = f'<!DOCTYPE x [<!ENTITY a "boom">]><x xmlns:n="{metadata.NAMESPACE}"><n:record>&a;</n:record></x>'
    with pytest.raises(PhotoRefusedError):
        metadata.extract(encoded(Image.fromarray(quadrants()), "JPEG", xmp=bomb.encode()))


def test_a_lost_file_is_no_picture_without_record(tmp_path: Path) -> None:
    """A file that is not there raises what the file system says."""
    with pytest.raises(FileNotFoundError):
        metadata.extract(tmp_path / "gone.jpg")


# EXIF


def camera_photo() -> bytes:
    """Return a photo as a phone writes it: turned, with position, thumbnail and maker notes."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Orientation] = "Fone", "Fone 12", 6
    exif[Base.Software] = "17.1"
    exif[Base.Copyright] = "Anna"
    exif[Base.ImageWidth], exif[Base.StripOffsets] = 4032, 77777
    details = exif.get_ifd(IFD.Exif)
    details[Base.DateTimeOriginal], details[Base.OffsetTimeOriginal] = "2024:05:06 07:08:09", "+02:00"
    details[Base.ExposureTime], details[Base.ExposureBiasValue] = IFDRational(1, 100), IFDRational(-1, 3)
    details[Base.ISOSpeedRatings] = 50
    details[Base.MakerNote] = b"Fone secret" * 40
    details[Base.ExifImageWidth], details[Base.ExifImageHeight] = 4032, 3024
    details[Base.UserComment] = b"ASCII\0\0\0old"
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (48.0, 12.0, 30.5)})
    exif.get_ifd(IFD.IFD1).update({0x0201: 300, 0x0202: 5000})
    return encoded(Image.fromarray(quadrants()), "JPEG", exif=exif, icc_profile=display_p3())


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "photo"
    path.write_bytes(data)
    return path


def _carried(folder: Path, data: bytes, *, keep_gps: bool = False, **more: Any) -> tuple[bytes, Image.Exif]:
    picture = images.decode(_written(folder, data), Limits())
    words = {"software": "neural-selfie 9.9", "description": "me.jpg painted with starry-night"} | more
    carried = images.carried_exif(picture, keep_gps=keep_gps, size=(640, 480), **words)
    exif = Image.Exif()
    exif.load(carried)
    return carried, exif


def test_camera_exif_is_carried_over(tmp_path: Path) -> None:
    """The camera's tags stay, the turn is reset, sizes are the painting's, and software and preset are noted."""
    _, exif = _carried(tmp_path, camera_photo())
    details = exif.get_ifd(IFD.Exif)
    assert (exif[Base.Make], exif[Base.Model], exif[Base.Copyright]) == ("Fone", "Fone 12", "Anna")
    assert (exif[Base.Orientation], exif[Base.Software]) == (1, "neural-selfie 9.9")
    assert exif[Base.ImageDescription] == "me.jpg painted with starry-night"
    assert details[Base.UserComment] == b"ASCII\0\0\0me.jpg painted with starry-night"
    assert (details[Base.ExifImageWidth], details[Base.ExifImageHeight]) == (640, 480)
    assert (details[Base.ExposureTime], details[Base.ExposureBiasValue]) == (IFDRational(1, 100), IFDRational(-1, 3))
    assert details[Base.ISOSpeedRatings] == 50
    assert details[Base.DateTimeOriginal] == "2024:05:06 07:08:09"


def test_comments_have_the_type_of_comments(tmp_path: Path) -> None:
    """The user comment is of type UNDEFINED, as readers expect that look at types."""
    carried, _ = _carried(tmp_path, camera_photo())
    assert struct.pack(">HHI", Base.UserComment, 7, 8 + len("me.jpg painted with starry-night")) in carried


def test_nothing_private_or_outdated_is_carried_over(tmp_path: Path) -> None:
    """Position, maker notes, thumbnail and the layout of the old file do not reach the painting."""
    carried, exif = _carried(tmp_path, camera_photo())
    assert b"secret" not in carried
    assert exif.get_ifd(IFD.GPSInfo) == {}
    assert exif.get_ifd(IFD.IFD1) == {}
    assert not {Base.StripOffsets, Base.ImageWidth, IFD.GPSInfo} & set(exif)
    assert Base.MakerNote not in exif.get_ifd(IFD.Exif)


def test_position_is_kept_only_if_asked(tmp_path: Path) -> None:
    """With keep_gps the position stays as the camera wrote it."""
    _, exif = _carried(tmp_path, camera_photo(), keep_gps=True)
    position = exif.get_ifd(IFD.GPSInfo)
    assert position[GPS.GPSLatitudeRef] == "N"
    assert [float(part) for part in position[GPS.GPSLatitude]] == [48.0, 12.0, 30.5]


def test_the_photographers_own_caption_stays(tmp_path: Path) -> None:
    """A description that somebody wrote into the photo is not overwritten; the preset is in the comment."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = "Añña in Graz".encode()
    data = encoded(Image.fromarray(quadrants()), "JPEG", exif=exif)
    written, carried = _carried(tmp_path, data, description="gemalt für Jürgen 🎨")
    assert "Añña in Graz\0".encode() in written
    comment = carried.get_ifd(IFD.Exif)[Base.UserComment]
    assert comment == b"UNICODE\0" + "gemalt für Jürgen 🎨".encode("utf-16-be")


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_pictures_carry_exif_and_record(tmp_path: Path, kind: Literal["jpg", "png", "webp"]) -> None:
    """EXIF, profile and record stand in one file side by side."""
    exif, _ = _carried(tmp_path, camera_photo())
    data = images.encode(PIXELS, format=kind, exif=exif, embedded=record(100_000))
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[Base.Software] == "neural-selfie 9.9"
        assert image.info["icc_profile"]
    assert json.loads(metadata.extract(data)) == json.loads(record(100_000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_format_tells_when_it_was_taken(tmp_path: Path, kind: str) -> None:
    """The time of the photo is found in every format that has EXIF, with its offset."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: "2024:05:06 07:08:09", Base.OffsetTimeOriginal: "+02:00"})
    exif[Base.Make] = "Fone"
    data = encoded(Image.fromarray(quadrants()), kind, exif=exif.tobytes())
    assert images.decode(_written(tmp_path, data), Limits()).taken_at == "2024-05-06T07:08:09+02:00"
    assert _carried(tmp_path, data)[1][Base.Make] == "Fone"


@pytest.mark.parametrize(
    ("time", "offset", "expected"),
    [
        ("2024:05:06 07:08:09", None, "2024-05-06T07:08:09"),
        ("2024:05:06 07:08:09\0", "+05:30\0", "2024-05-06T07:08:09+05:30"),
        ("2024:05:06 07:08:09", "   :  ", "2024-05-06T07:08:09"),
        ("0000:00:00 00:00:00", "+00:00", None),
        ("    :  :     :  :  ", None, None),
        ("yesterday", None, None),
        (None, "+01:00", None),
    ],
)
def test_times_of_cameras_without_a_clock(
    tmp_path: Path, time: str | None, offset: str | None, expected: str | None
) -> None:
    """Times that are no times are None, offsets that are no offsets are left out."""
    exif = Image.Exif()
    exif[Base.Make] = "Fone"
    if time is not None:
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = time
    if offset is not None:
        exif.get_ifd(IFD.Exif)[Base.OffsetTimeOriginal] = offset
    data = encoded(Image.fromarray(quadrants()), "JPEG", exif=exif)
    assert images.decode(_written(tmp_path, data), Limits()).taken_at == expected


def test_a_caption_that_is_no_text_is_replaced(tmp_path: Path) -> None:
    """Tags of the wrong type, as odd programs write them, do not stop the painting."""
    exif = re.search(rb"Exif\0\0.*?\xff\xe2", camera_photo(), re.DOTALL)
    assert exif is not None
    make = struct.pack(">HHI", Base.Make, 2, 5)
    odd = exif[0][:-2].replace(make, struct.pack(">HHI", Base.ImageDescription, 3, 1))
    assert odd != exif[0][:-2]
    _, carried = _carried(tmp_path, encoded(Image.fromarray(quadrants()), "JPEG", exif=odd))
    assert carried[Base.ImageDescription] == "me.jpg painted with starry-night"


def test_photo_without_exif_gets_ours_only(tmp_path: Path) -> None:
    """A photo that says nothing still yields a painting that says what painted it."""
    _, exif = _carried(tmp_path, encoded(Image.fromarray(quadrants()), "PNG"))
    assert set(exif) == {Base.Orientation, Base.Software, Base.ImageDescription, IFD.Exif}


def test_exif_that_is_none_is_said(tmp_path: Path) -> None:
    """EXIF that cannot be read at all costs a warning, not the photo."""
    data = encoded(Image.fromarray(quadrants()), "PNG", exif=b"Exif\0\0this is no TIFF header")
    picture = images.decode(_written(tmp_path, data), Limits())
    assert (picture.exif, picture.taken_at) == (None, None)
    assert "EXIF" in picture.warnings[0]


@given(noise=st.binary(min_size=1, max_size=120), at=st.integers(0, 250))
@settings(max_examples=50, derandomize=True)
def test_broken_exif_costs_no_photo(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    """Whatever stands in EXIF, the photo decodes, and what is carried over can be written into any format."""
    exif = re.search(rb"Exif\0\0.*?\xff\xe2", camera_photo(), re.DOTALL)
    assert exif is not None
    spoiled = bytearray(exif[0][:-2])
    spoiled[6 + at : 6 + at + len(noise)] = noise
    data = encoded(Image.fromarray(quadrants()), "JPEG", exif=bytes(spoiled))
    carried, _ = _carried(tmp_path_factory.mktemp("exif"), data, keep_gps=True)
    assert len(carried) < 65_533
    for kind in KINDS:
        assert images.encode(PIXELS, format=kind, exif=carried)
