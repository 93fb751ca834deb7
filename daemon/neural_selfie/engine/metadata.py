"""Put the record into a picture and take it out again: an iTXt chunk in PNG, XMP in JPEG and WebP.

The picture then says how it was made wherever it goes, in places that other programs read as well (exiftool shows
it). A JPEG segment holds 64 kB: longer records become Extended XMP (Adobe's XMP specification, part 3, 1.1.3.1).
Only the container is edited, never a pixel. It guarantees the same JSON value, not the same text: characters that
XML cannot hold are written as JSON escapes.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from neural_selfie.engine import containers, formats
from neural_selfie.errors import PhotoRefusedError

KEY: Final = "neural-selfie"
NAMESPACE: Final = "http://ns.neural-selfie.example/record/1.0/"
PROPERTY: Final = f"{NAMESPACE} record"  # as expat joins namespace and name
XMP_HEADER: Final = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEADER: Final = b"http://ns.adobe.com/xmp/extension/\0"
NOTE: Final = "http://ns.adobe.com/xmp/note/"
SEGMENT_BYTES: Final = 65_533
PORTION_BYTES: Final = 65_400
WEBP_HAS_XMP: Final = 0x04  # flag in the VP8X chunk
LONGEST_TEXT_BYTES: Final = 64 * 1024 * 1024

NOT_IN_XML: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def embed(picture: bytes, text: str) -> bytes:
    """Given a JPEG, PNG or WebP file as `images.encode` makes it and a JSON text, return the file with the text in it.

    Raise ValueError for any other file: nobody but the encoder calls this.
    """
    text = NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    match formats.kind_of(picture):
        case "jpeg":
            return _embed_in_jpeg(picture, text)
        case "png":
            return _embed_in_png(picture, text)
        case "webp":
            return _embed_in_webp(picture, text)
        case _:
            raise ValueError("a record can be embedded in JPEG, PNG and WebP only")


def extract(source: Path | bytes) -> str:
    """Given a picture (a file, or its bytes), return the record's JSON that is embedded in it.

    Raise PhotoRefusedError if there is none; an OSError of the file system comes through.
    """
    picture = source if isinstance(source, bytes) else source.read_bytes()
    kind = formats.kind_of(picture)
    if kind == "png":
        texts = _png_texts(picture)
    else:
        packets = {"jpeg": _jpeg_packets, "webp": _webp_packets}.get(kind or "", lambda _: iter(()))(picture)
        texts = (text for packet in packets for text in _property(packet))
    found = next(texts, None)
    if found is None:
        name = "This picture" if isinstance(source, bytes) else source.name.encode("utf-8", "replace").decode()
        raise PhotoRefusedError(
            f"{name} carries no record of how it was made: it was not painted by neural-selfie, or another program "
            "saved it again and left the record out. Look for the .json file that lay beside it."
        )
    return found


def _packet(inside: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:ns="{NAMESPACE}"{attributes}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _record_packet(text: str) -> bytes:
    return _packet(f"<ns:record>{escape(text)}</ns:record>")


def _embed_in_jpeg(picture: bytes, text: str) -> bytes:
    packet = _record_packet(text)
    payloads = [XMP_HEADER + packet]
    if len(payloads[0]) > SEGMENT_BYTES:
        guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper()
        payloads = [XMP_HEADER + _packet("", f' xmlns:xmpNote="{NOTE}" xmpNote:HasExtendedXMP="{guid}"')]
        for offset in range(0, len(packet), PORTION_BYTES):
            place = guid.encode() + struct.pack(">II", len(packet), offset)
            payloads.append(EXTENSION_HEADER + place + packet[offset : offset + PORTION_BYTES])
    # After APP0 and EXIF, which readers expect first.
    at = 2
    for part in containers.jpeg_segments(picture):
        if part.name not in {"E0", "E1"}:
            break
        at = part.end
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload for payload in payloads)
    return picture[:at] + segments + picture[at:]


def _embed_in_png(picture: bytes, text: str) -> bytes:
    body = b"iTXt" + KEY.encode() + b"\0\0\0\0\0" + text.encode()  # not compressed, no language, no translated key
    at = next(part.start - 8 for part in containers.png_chunks(picture) if part.name == "IDAT")
    return picture[:at] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + picture[at:]


def _embed_in_webp(picture: bytes, text: str) -> bytes:
    header = next(containers.riff_chunks(picture))
    if header.name != "VP8X":
        raise ValueError("a record can be embedded in an extended WebP only")
    packet = _record_packet(text)
    flags = bytes([picture[header.start] | WEBP_HAS_XMP])
    body = picture[8 : header.start] + flags + picture[header.start + 1 :]
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + bytes(len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _png_texts(picture: bytes) -> Iterator[str]:
    """Given a PNG, yield the texts under our key; also compressed ones, as other programs write them again."""
    for part in containers.png_chunks(picture):
        key, _, rest = picture[part.start : part.end].partition(b"\0")
        if part.name != "iTXt" or key != KEY.encode():
            continue
        text = rest[2:].split(b"\0", 2)[-1]
        if rest[:1] == b"\1":
            try:
                text = zlib.decompressobj().decompress(text, LONGEST_TEXT_BYTES)
            except zlib.error:
                continue
        yield text.decode("utf-8", "replace")


def _webp_packets(picture: bytes) -> Iterator[bytes]:
    return (picture[part.start : part.end] for part in containers.riff_chunks(picture) if part.name == "XMP ")


def _jpeg_packets(picture: bytes) -> Iterator[bytes]:
    """Given a JPEG, yield its XMP packet, then the extended ones, put together by their offsets."""
    extended: dict[bytes, dict[int, bytes]] = {}
    for part in containers.jpeg_segments(picture):
        payload = picture[part.start : part.end] if part.name == "E1" else b""
        if payload.startswith(XMP_HEADER):
            yield payload[len(XMP_HEADER) :]
        elif payload.startswith(EXTENSION_HEADER):
            guid, place = payload[35:67], payload[67:75]
            if len(place) == 8:  # noqa: PLR2004 - two numbers of 32 bits
                extended.setdefault(guid, {})[struct.unpack(">II", place)[1]] = payload[75:]
    for portions in extended.values():
        yield b"".join(portion for _, portion in sorted(portions.items()))


def _property(packet: bytes) -> Iterator[str]:
    """Given an XMP packet, yield our property: as an element (as we write it) or as an attribute (as others may)."""
    found: list[str] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        inside = name == PROPERTY
        found.extend([""] if inside else [])
        found.extend(value for key, value in attributes.items() if key == PROPERTY)

    def end(_name: str) -> None:
        nonlocal inside
        inside = False

    def text(characters: str) -> None:
        if inside:
            found[-1] += characters

    def refuse(*_: object) -> None:
        raise ValueError("XMP declares no entities")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = text, refuse
    try:
        parser.Parse(packet.rstrip(b"\0 \r\n\t"), True)  # noqa: FBT003 - expat takes it by position only
    except (expat.ExpatError, ValueError):
        return
    yield from found
