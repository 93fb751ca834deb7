"""The gallery page: what it shows, in which order, and that nothing in an outbox can break it or break out of it."""

import json
import os
from dataclasses import replace
from datetime import timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gallery_samples import Refusal, entry, picture, publish
from neural_selfie.errors import StorageUnavailableError
from neural_selfie.gallery import GalleryIndex, build, preview_of, read_entries, render

MADE_AT = "2026-03-02T08:00:00+00:00"
HOSTILE = """"><script>alert(1)</script><img src=x onerror='alert(2)'> & {{ 7*7 }} 👩‍🎨 \u202egpj.exe"""


class Page(HTMLParser):
    """What a browser would find in the page: its tags, their attributes and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.attribute_names: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.append(tag)
        self.attribute_names |= {name for name, _ in attrs}
        if tag == "img":
            self.images.append(dict(attrs))
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_data(self, data: str) -> None:
        """Remember text."""
        self.text += data


def file_of(outbox: Path, address: str) -> bytes:
    """Return the path that a relative address in the page leads to."""
    return os.path.join(os.fsencode(outbox), unquote_to_bytes(address))  # noqa: PTH118 - pathlib knows no bytes


def test_shows_everything_about_a_painting() -> None:
    """A figure names preset, variant, style, size, time taken, date and warnings, beside its photo."""
    page = Page(render([entry(variant={"content_weight": 0.6, "mode": "paper"}, seconds=200.4)], made_at=MADE_AT))
    text = " ".join(page.text.split())
    for part in ("me.jpg", "starry-night", "after starry.jpg", "96 × 64 px", "3 min 20 s", "1 Mar 2026, 12:00"):
        assert part in text
    assert "content_weight 0.6 mode paper" in text
    assert "The photo was enlarged." in text
    assert [image["src"] for image in page.images] == ["gallery/me-abc123.jpg", "me-abc123/starry-night.jpg"]
    assert {"gallery/me-abc123.jpg", "me-abc123/starry-night.jpg", "me-abc123/starry-night.json"} == set(page.links)


def test_reserves_the_room_of_every_picture() -> None:
    """Every image has width, height and a text in its place, so that nothing shifts; the preview is at most 640 px."""
    page = Page(render([entry(), entry(folder="odd-1", photo_width=10**400, photo_height=1)], made_at=MADE_AT))
    assert all(image["width"] and image["height"] and image["alt"] for image in page.images)
    assert (page.images[0]["width"], page.images[0]["height"]) == ("640", "426")


def test_a_photo_smaller_than_its_preview_is_not_enlarged() -> None:
    """The preview of a small photo is laid out in the photo's own size."""
    page = Page(render([entry(photo_width=90, photo_height=120)], made_at=MADE_AT))
    assert (page.images[0]["width"], page.images[0]["height"]) == ("90", "120")


def test_newest_first_in_whatever_order_they_come() -> None:
    """Photos are ordered by their newest painting, paintings by their time, also across time zones."""
    entries = [
        entry(folder="old-1", photo="old.jpg", picture="a.jpg", finished_at="2026-03-01T09:00:00Z"),
        entry(folder="new-2", photo="new.jpg", picture="b.jpg", finished_at="2026-03-01T08:00:00Z"),
        entry(folder="old-1", photo="old.jpg", picture="c.jpg", finished_at="2026-03-01T12:30:00+02:00"),
        entry(folder="new-2", photo="new.jpg", picture="d.jpg", finished_at="2026-03-01T11:00:00Z"),
        entry(folder="mad-3", photo="mad.jpg", picture="e.jpg", finished_at="yesterday"),
    ]
    sources = [image["src"] for image in Page(render(entries, made_at=MADE_AT)).images]
    assert [src for src in sources if src and not src.startswith("gallery/")] == [
        *("new-2/d.jpg", "new-2/b.jpg", "old-1/c.jpg", "old-1/a.jpg", "mad-3/e.jpg")
    ]


def test_times_are_shown_in_the_zone_that_is_asked_for() -> None:
    """A record's UTC becomes the time on the wall, past midnight too."""
    late = entry(finished_at="2026-03-01T23:30:00Z")
    html = render([late], made_at=MADE_AT, zone=timezone(timedelta(hours=2)))
    assert "2 Mar 2026, 01:30" in html


def test_troubles_and_waiting_are_told_quietly() -> None:
    """Photos that failed or wait stand in sections of their own with their reason, newest first, and are linked."""
    troubles = [
        Refusal(photo="a.mov", reason="This is a film.", when="2026-03-01T10:00:00Z"),
        Refusal(photo="b.jpg", reason="It ends too early.", when="2026-03-01T11:00:00Z"),
    ]
    waiting = [Refusal(photo="c.jpg", reason="The weights are missing.")]
    page = Page(render([entry()], troubles=troubles, waiting=waiting, made_at=MADE_AT))
    assert {"#troubles", "#waiting"} <= set(page.links)
    assert page.text.index("c.jpg") < page.text.index("b.jpg") < page.text.index("a.mov")
    assert "The weights are missing." in page.text
    assert "1 photo waits" in page.text
    assert "2 photos could not be painted" in page.text


def test_an_empty_outbox_has_a_friendly_page() -> None:
    """Without pictures the page says what to do, and has no picture and no list."""
    page = Page(render([], made_at=MADE_AT))
    assert "Drop a photo into the inbox" in page.text
    assert "img" not in page.tags
    assert "article" not in page.tags


def test_a_photo_without_preview_still_hangs() -> None:
    """Where no preview was kept, the page says so instead of showing a broken image."""
    page = Page(render([entry(preview=None)], made_at=MADE_AT))
    assert [image["src"] for image in page.images] == ["me-abc123/starry-night.jpg"]
    assert "No preview" in page.text


def test_the_page_allows_no_script_and_no_other_host() -> None:
    """The policy forbids everything but images beside the page and the one embedded style sheet."""
    html = render([entry()], made_at=MADE_AT)
    page = Page(html)
    assert "default-src 'none'; img-src 'self' file: data:; style-src 'sha256-" in html
    assert "script" not in page.tags
    assert "style" not in page.attribute_names
    assert not any(link.startswith(("http", "//", "/")) for link in page.links)


@example(text=os.fsdecode(b"caf\xe9\x00\n"), name=b"caf\xe9")
@given(
    text=st.one_of(st.just(HOSTILE), st.text(st.characters(exclude_categories=()))),
    name=st.one_of(
        st.sampled_from([os.fsencode(HOSTILE.replace("/", "")), b"\xff#?%2F .jpg", b"javascript:alert(1)"]),
        st.binary(min_size=1).filter(lambda name: b"/" not in name),
    ),
)
def test_no_name_becomes_markup(text: str, name: bytes) -> None:
    """Whatever photo, preset, variant, style, warning, folder or file are called, the page has the same tags, and its
    addresses lead to exactly these files.
    """
    odd = os.fsdecode(name)
    strange = entry(
        photo=text,
        folder=odd,
        picture=odd,
        record=odd,
        preset=text,
        variant={text: text},
        styles=(text,),
        warnings=(text,),
        finished_at=text,
        preview=preview_of(odd),
    )
    trouble = [Refusal(photo=text, reason=text, when=text)]
    page = Page(render([strange], troubles=trouble, title=text, made_at=text).encode().decode())
    plain = Page(render([entry()], troubles=[Refusal(photo="p", reason="r")], made_at=MADE_AT))
    assert page.tags == plain.tags
    assert page.attribute_names == plain.attribute_names
    assert {unquote_to_bytes(link) for link in page.links} == {
        *(name + b"/" + name, b"gallery/" + name + b".jpg", b"#troubles")
    }
    assert all(not link.partition("/")[0].count(":") for link in page.links)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_odd_durations_do_not_stop_the_page(seconds: float) -> None:
    """A record with a senseless duration is shown like any other."""
    assert "starry-night" in render([entry(seconds=seconds)], made_at=MADE_AT)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """Seconds are rounded before they are split, so that no "60 s" appears."""
    assert f"<span>{said}</span>" in render([entry(seconds=seconds)], made_at=MADE_AT)


def test_reads_what_was_published(tmp_path: Path) -> None:
    """An entry carries what its record says, and the preview of its photo when that is there."""
    publish(tmp_path, variant={"content_weight": 0.2}, warnings=("Careful.",))
    (found,) = read_entries(tmp_path)
    assert found == entry(
        variant={"content_weight": 0.2},
        photo_width=1152,
        photo_height=768,
        finished_at="2026-03-01T12:00:00.000Z",
        seconds=75.0,
        styles=("starry-night.jpg",),
        warnings=("Careful.",),
    )
    (tmp_path / preview_of("me-abc123")).unlink()
    assert read_entries(tmp_path) == (replace(found, preview=None),)


def test_what_is_no_record_is_left_out_and_said(tmp_path: Path) -> None:
    """Damaged, foreign and misleading files are skipped with a reason each, and the others are shown."""
    publish(tmp_path)
    good = json.loads((tmp_path / "me-abc123" / "starry-night.json").read_bytes())
    bad = {
        "empty": b"",
        "torn": json.dumps(good).encode()[:200],
        "foreign": b'{"name": "package", "version": "1.0"}',
        "nested": b"[" * 100_000,
        "binary": bytes(range(256)),
        "future": json.dumps(good | {"schema_version": 2}).encode(),
        "elsewhere": json.dumps(good | {"output": good["output"] | {"file": "../../secret/elsewhere.jpg"}}).encode(),
        "other": json.dumps(good).encode(),
        "page": json.dumps(good | {"output": good["output"] | {"file": "page.html"}}).encode(),
        "lost": json.dumps(good | {"output": good["output"] | {"file": "lost.jpg"}}).encode(),
    }
    for name, content in bad.items():
        (tmp_path / "me-abc123" / f"{name}.json").write_bytes(content)
    (tmp_path / "me-abc123" / "page.html").write_text("<script>alert(1)</script>")
    index = GalleryIndex(tmp_path)
    assert [found.picture for found in index.read()] == ["starry-night.jpg"]
    assert {skip.path for skip in index.skipped} == {f"me-abc123/{name}.json" for name in bad}
    assert all(skip.reason for skip in index.skipped)


def test_only_folders_directly_below_the_outbox_count(tmp_path: Path) -> None:
    """Records beside the page, deeper down, hidden, behind links or in pipes are none of the gallery's business."""
    outbox = tmp_path / "outbox"
    record = publish(outbox)
    (outbox / record.name).write_bytes(record.read_bytes())
    picture(outbox / "starry-night.jpg")
    publish(tmp_path / "elsewhere", "away-abc123")
    publish(outbox, "deep/er-abc123")
    publish(outbox, ".hidden-abc123")
    publish(outbox, "gallery")
    (outbox / "link-abc123").symlink_to(tmp_path / "elsewhere" / "away-abc123")
    (outbox / "me-abc123" / "link.json").symlink_to(tmp_path / "elsewhere" / "away-abc123" / "starry-night.json")
    os.mkfifo(outbox / "me-abc123" / "pipe.json")
    (outbox / "me-abc123" / "folder.json").mkdir()
    assert [found.folder for found in read_entries(outbox)] == ["me-abc123"]


def test_an_outbox_that_is_gone_is_said(tmp_path: Path) -> None:
    """A share that went away raises instead of writing an empty page."""
    with pytest.raises(StorageUnavailableError):
        read_entries(tmp_path / "gone")


def test_notices_new_changed_and_deleted_pictures(tmp_path: Path) -> None:
    """A second look finds what is new, what was painted again, and misses what somebody deleted."""
    first = publish(tmp_path, finished_at="2026-03-01T12:00:00Z")
    index = GalleryIndex(tmp_path)
    assert [found.record for found in index.read()] == ["starry-night.json"]
    publish(tmp_path, stem="scream", preset="scream", finished_at="2026-03-01T13:00:00Z")
    assert [found.record for found in index.read()] == ["scream.json", "starry-night.json"]
    publish(tmp_path, finished_at="2026-03-01T14:00:00Z", warnings=("Painted again.",))
    assert [(found.record, found.warnings) for found in index.read()] == [
        *(("starry-night.json", ("Painted again.",)), ("scream.json", ()))
    ]
    (tmp_path / "me-abc123" / "scream.jpg").unlink()
    assert [found.record for found in index.read()] == ["starry-night.json"]
    picture(tmp_path / "me-abc123" / "scream.jpg")
    first.unlink()
    assert [found.record for found in index.read()] == ["scream.json"]
    assert index.skipped == ()


def test_reads_only_records_that_changed(tmp_path: Path) -> None:
    """A record whose time and size are as before is not opened again: one that became unreadable meanwhile stays."""
    record = publish(tmp_path)
    index = GalleryIndex(tmp_path)
    before, facts = index.read(), record.stat()
    record.write_bytes(b"x" * facts.st_size)
    os.utime(record, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert index.read() == before
    os.utime(record, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert index.read() == ()


def test_writes_a_page_whose_files_all_exist(tmp_path: Path) -> None:
    """Every picture, record and preview that the page names lies in the outbox, whatever it is called."""
    odd = os.fsdecode(b"caf\xe9 #1?%41&<b>'\"-abc123")
    for folder in ("me-abc123", odd, "großmutter & opa 👵-abc123", "javascript:alert(1)-abc123"):
        publish(tmp_path, folder, "50% [a]#?.content_weight=0.2", photo=HOSTILE)
    assert build(tmp_path) == 4
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert len(page.images) == 8
    for address in [*page.links, *(image["src"] or "" for image in page.images)]:
        assert os.path.isfile(file_of(tmp_path, address)), address  # noqa: PTH113 - pathlib knows no bytes


def test_update_replaces_the_page_and_counts(tmp_path: Path) -> None:
    """`update` writes the page with troubles, returns the number of pictures and leaves nothing else behind."""
    index = GalleryIndex(tmp_path)
    assert index.update(troubles=[Refusal(photo="a.mov", reason="This is a film.")]) == 0
    assert "This is a film." in (tmp_path / "index.html").read_text(encoding="utf-8")
    publish(tmp_path)
    assert index.update() == 1
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "1 painting of 1 photo" in html
    assert "This is a film." not in html
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "gallery", "me-abc123"}
