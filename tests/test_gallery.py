"""The gallery's data: what the page is told, in which order, and that nothing in an outbox can break it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from gallery_samples import SHA, data_of, entry, hung, picture, publish, refusal
from neural_selfie.errors import StorageUnavailableError
from neural_selfie.gallery import GalleryIndex, Order, build, describing, preview_of, read_entries, shards
from neural_selfie.gallery.hanging import Wall

HOSTILE = """"><script>alert(1)</script><img src=x onerror='alert(2)'> & {{ 7*7 }} 👩‍🎨 \u202egpj.exe"""


def work(wall: Wall, outbox: Path, *touched: str, **order: Any) -> None:
    """Let a wall be brought up to date until there is nothing more to do."""
    first = Order(outbox=outbox, touched=touched, **order)
    while wall.work(first, lambda _path: None).more:
        first = Order(outbox=outbox, sweep=False)


def file_of(outbox: Path, address: str) -> bytes:
    """Return the path that a relative address in the page leads to."""
    return os.path.join(os.fsencode(outbox), unquote_to_bytes(address))  # noqa: PTH118 - pathlib knows no bytes


def line(**changes: Any) -> dict[str, Any]:
    """Return what the wall is told about an entry."""
    told: dict[str, Any] = json.loads(describing.line(entry(**changes), ()))
    return told


@example(text=os.fsdecode(b"caf\xe9\x00\n"), name=b"caf\xe9")
@given(
    text=st.one_of(st.just(HOSTILE), st.text(st.characters(exclude_categories=()))),
    name=st.one_of(
        st.sampled_from([os.fsencode(HOSTILE.replace("/", "")), b"\xff#?%2F .jpg", b"javascript:alert(1)"]),
        st.binary(min_size=1).filter(lambda name: b"/" not in name),
    ),
)
def test_no_name_leads_anywhere_else(text: str, name: bytes) -> None:
    """Whatever photo, preset, variant, style, folder or file are called, addresses lead to exactly these files, and
    the data is one line of ASCII.
    """
    odd = os.fsdecode(name)
    strange = entry(
        photo=text, folder=odd, picture=odd, record=odd, preset=text, variant={text: text}, styles=(text,),
        finished_at=text, preview=preview_of(odd),
    )  # fmt: skip
    data = describing.line(strange, (320,))
    assert data.isascii()
    assert data.isprintable()
    told = json.loads(data)
    assert unquote_to_bytes(told["picture"]) == name + b"/" + name
    assert unquote_to_bytes(told["preview"]) == b"gallery/" + name + b".jpg"
    assert set(told["picture"]) | set(told["id"]) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_.-~%"
    )


def test_the_wall_is_told_what_a_tile_shows() -> None:
    """Names, values, size and time; no size is beyond what a browser can count."""
    told = line(variant={"content_weight": 0.6, "mode": "paper"}, width=10**400, warnings=("a", "b"))
    assert told == {
        "id": "me-abc123/starry-night", "folder": "me-abc123", "picture": "me-abc123/starry-night.jpg",
        "photo": "me.jpg", "preset": "starry-night", "variant": {"content_weight": 0.6, "mode": "paper"},
        "width": 1_000_000, "height": 64, "at": 1772366400, "styles": ["starry.jpg"],
        "preview": "gallery/me-abc123.jpg", "warned": 2,
    }  # fmt: skip
    assert line(finished_at="yesterday")["at"] == 0


@given(st.lists(st.tuples(st.integers(0, 50).map(float), st.text("abc", min_size=1, max_size=3), st.just("r.json"))))
def test_shards_hold_every_entry_once_and_in_order(keys: list[shards.Key]) -> None:
    """Whatever the entries, the shards laid side by side are the entries."""
    keys = sorted(set(keys))
    found = list(shards.Cut().shards(keys))
    assert [key for shard in found for key in keys[shard.start : shard.end]] == keys
    assert len({shard.name for shard in found}) == len(found)


def test_one_entry_more_or_less_touches_two_shards_at_most() -> None:
    """Of thousands of shards' entries, all shards but two are as before; each holds a bounded number."""
    keys = sorted((float(n % 977), f"f{n}", "r.json") for n in range(9_000))
    before = {tuple(keys[shard.start : shard.end]) for shard in shards.Cut().shards(keys)}
    assert 15 < len(before) < 80
    assert max(map(len, before)) <= 1024
    for gone in (0, 4_000, 8_999):
        fewer = keys[:gone] + keys[gone + 1 :]
        after = {tuple(fewer[shard.start : shard.end]) for shard in shards.Cut().shards(fewer)}
        assert len(before - after) <= 2


def test_a_shard_of_equal_size_is_the_same_whoever_writes_it(tmp_path: Path) -> None:
    """A page that grew picture by picture has the same data as one that is built at once."""
    wall = Wall(tmp_path)
    work(wall, tmp_path)
    for n in range(7):
        publish(tmp_path, f"p{n}-abc123", finished_at=f"2026-03-0{1 + n % 3}T12:00:00Z")
        work(wall, tmp_path, f"p{n}-abc123", sweep=False)
    shutil.rmtree(tmp_path / "p3-abc123")
    work(wall, tmp_path)
    grown = {path.name: path.read_bytes() for path in (tmp_path / "gallery/data").iterdir() if path.name != "index.js"}
    shutil.rmtree(tmp_path / "gallery" / "data")
    build(tmp_path)
    built = {path.name: path.read_bytes() for path in (tmp_path / "gallery/data").iterdir() if path.name != "index.js"}
    assert grown == built
    assert len(hung(tmp_path)) == 6


def test_what_is_touched_hangs_without_a_sweep_and_what_is_gone_goes_with_one(tmp_path: Path) -> None:
    """A new picture needs no look at the other folders; a folder that was deleted or moved away is missed by a sweep,
    with all that was made for it.
    """
    publish(tmp_path, "one-abc123", size=(900, 600))
    wall = Wall(tmp_path)
    work(wall, tmp_path)
    publish(tmp_path, "two-abc123", size=(900, 600), finished_at="2026-03-02T12:00:00Z")
    work(wall, tmp_path, "two-abc123", sweep=False)
    assert [each["folder"] for each in hung(tmp_path)] == ["two-abc123", "one-abc123"]
    (tmp_path / "two-abc123").rename(tmp_path.parent / f"{tmp_path.name}-away")
    work(wall, tmp_path)
    assert [each["folder"] for each in hung(tmp_path)] == ["one-abc123"]
    assert [path for path in (tmp_path / "gallery").rglob("*two*") if path.suffix != ".jpg"] == []


def test_one_new_picture_is_not_all(tmp_path: Path) -> None:
    """A process that is new, and is told of one picture only, knows nothing yet and looks at everything first."""
    for name in ("one", "two", "three"):
        publish(tmp_path, f"{name}-abc123")
    work(Wall(tmp_path), tmp_path, "two-abc123", sweep=False)
    assert len(hung(tmp_path)) == 3


def test_pictures_have_small_copies_that_follow_them(tmp_path: Path) -> None:
    """A picture has copies of both sizes, none enlarged; painted again, it has new ones; a small one needs none."""
    publish(tmp_path, "large-abc123", size=(900, 600))
    publish(tmp_path, "middle-abc123", size=(300, 400))
    publish(tmp_path, "tiny-abc123", size=(96, 64))
    wall = Wall(tmp_path)
    work(wall, tmp_path)
    assert {each["folder"]: each.get("small") for each in hung(tmp_path)} == {
        "large-abc123": [320, 640], "middle-abc123": [320], "tiny-abc123": None,
    }  # fmt: skip
    copy = tmp_path / "gallery/small/large-abc123/starry-night.640.webp"
    with Image.open(copy) as image:
        assert image.size == (640, 427)
        before = image.convert("RGB").getpixel((5, 5))
    picture(tmp_path / "large-abc123/starry-night.jpg", size=(900, 600), colour="red")
    work(wall, tmp_path, "large-abc123")
    with Image.open(copy) as image:
        after = image.convert("RGB").getpixel((5, 5))
    assert before != after
    assert isinstance(after, tuple)
    assert after[0] > 200


def test_a_second_build_makes_nothing_anew(tmp_path: Path) -> None:
    """Copies and details that are as new as what they were made of are kept as they are."""
    publish(tmp_path, size=(900, 600))
    build(tmp_path)
    made = [*(tmp_path / "gallery/small").rglob("*.webp"), *(tmp_path / "gallery/details").rglob("*.js")]
    assert len(made) == 3
    before = [path.stat().st_ino for path in made]
    build(tmp_path)
    assert [path.stat().st_ino for path in made] == before
    made[0].write_bytes(b"")  # as a power cut leaves it
    build(tmp_path)
    assert made[0].stat().st_size > 0


def test_pictures_that_are_none_hang_as_they_are(tmp_path: Path) -> None:
    """A damaged picture has no copies and hurts no other; one of which a process died is not opened."""
    publish(tmp_path, "bad-abc123", size=(900, 600))
    (tmp_path / "bad-abc123/starry-night.jpg").write_bytes(b"\xff\xd8\xff no picture")
    publish(tmp_path, "poison-abc123", size=(900, 600))
    publish(tmp_path, "good-abc123", size=(900, 600))
    opened: list[str] = []
    wall = Wall(tmp_path)
    poison = str(tmp_path / "poison-abc123/starry-night.jpg")
    while wall.work(Order(outbox=tmp_path, avoid=frozenset({poison})), opened.append).more:
        pass
    assert [each["folder"] for each in hung(tmp_path) if "small" in each] == ["good-abc123"]
    assert len(hung(tmp_path)) == 3
    assert poison not in opened


def test_the_details_hold_the_record_and_a_preset_of_it(tmp_path: Path) -> None:
    """Numbers, styles, warnings; the trace thinned; and YAML that says the same recipe."""
    publish(
        tmp_path, recipe={"size": 512, "content_weight": 0.6, "format": "jpg"}, trace=2000, warnings=("Careful.",),
        variant={"content_weight": 0.6},
    )  # fmt: skip
    build(tmp_path)
    told = data_of(tmp_path, "details/me-abc123/starry-night.js")
    assert told["id"] == "me-abc123/starry-night"
    assert told["record"]["warnings"] == ["Careful."]
    assert len(told["record"]["trace"]) == 240
    assert (told["record"]["trace"][0][1], told["record"]["trace"][-1][:2]) == (0, [39, 49])
    assert yaml.safe_load(told["yaml"]) == {
        "starry-night": {
            "engine": "patch", "style": "styles/starry-night.jpg", "size": 512, "content_weight": 0.6, "format": "jpg",
        }
    }  # fmt: skip


def test_style_images_are_copied_from_the_state_folder(tmp_path: Path) -> None:
    """A style that lies there under its hash has a copy beside the page; others do without."""
    outbox, styles = tmp_path / "outbox", tmp_path / "styles"
    publish(outbox)
    assert build(outbox, styles=styles) == 1
    assert data_of(outbox, "data/index.js")["styles"] == []
    picture(styles / f"{SHA}.jpg", size=(900, 900))
    build(outbox, styles=styles)
    assert data_of(outbox, "data/index.js")["styles"] == [SHA[:16]]
    assert (outbox / f"gallery/styles/{SHA[:16]}.webp").is_file()


def test_what_goes_on_is_told_and_kept(tmp_path: Path) -> None:
    """What the daemon says is there until it says something else; a rebuild from records leaves it."""
    build(tmp_path, now={"failed": [refusal("a.mov", "This is a film.\nUse a photo.")]})
    build(tmp_path)
    [failed] = data_of(tmp_path, "data/now.js")["failed"]
    assert failed["reason"] == "This is a film.\nUse a photo."


def test_half_made_and_foreign_data_is_removed(tmp_path: Path) -> None:
    """What a killed process left, and what belongs to no painting, is gone after a build."""
    publish(tmp_path)
    build(tmp_path)
    left = [
        tmp_path / "gallery/.hanging-0badcafe-1.part", tmp_path / "gallery/data/0123456789ab.js",
        tmp_path / "gallery/details/gone-abc123/x.js", tmp_path / "gallery/small/gone-abc123/x.320.webp",
    ]  # fmt: skip
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("left")
    build(tmp_path)
    assert [path for path in left if path.exists()] == []
    assert len(hung(tmp_path)) == 1


def test_every_address_leads_to_a_file(tmp_path: Path) -> None:
    """Every picture, copy, photo and detail that the page asks for lies in the outbox, whatever it is called."""
    odd = os.fsdecode(b"caf\xe9 #1?%41&<b>'\"-abc123")
    for folder in ("me-abc123", odd, "großmutter & opa 👵-abc123", "javascript:alert(1)-abc123"):
        publish(tmp_path, folder, "50% [a]#?.content_weight=0.2", photo=HOSTILE, size=(700, 500))
    assert build(tmp_path) == 4
    told = hung(tmp_path)
    assert len(told) == 4
    for each in told:
        copies = [f"gallery/small/{each['id']}.{level}.webp" for level in each["small"]]
        for address in (each["picture"], each["preview"], f"gallery/details/{each['id']}.js", *copies):
            assert os.path.isfile(file_of(tmp_path, address)), address  # noqa: PTH113 - pathlib knows no bytes


def test_links_are_not_followed_where_data_is_written(tmp_path: Path) -> None:
    """Whoever may write into the outbox cannot make the page overwrite a file elsewhere."""
    outbox, secret = tmp_path / "outbox", tmp_path / "secret"
    secret.write_text("secret")
    publish(outbox)
    (outbox / "gallery/data").mkdir()
    for name in ("index.html", "gallery/data/index.js", "gallery/data/now.js"):
        (outbox / name).symlink_to(secret)
    build(outbox)
    assert secret.read_text() == "secret"
    assert not (outbox / "index.html").is_symlink()


def test_the_page_is_the_same_for_every_outbox(tmp_path: Path) -> None:
    """Nothing of an outbox is in it, its policy forbids all but what it embeds, and it is written once."""
    publish(tmp_path, photo=HOSTILE)
    build(tmp_path)
    html = (tmp_path / "index.html").read_text("utf-8")
    assert "default-src 'none'; script-src 'sha256-" in html
    assert "unsafe" not in html.partition("<title>")[0]
    assert "me-abc123" not in html
    before = (tmp_path / "index.html").stat().st_ino
    publish(tmp_path, "you-abc123")
    build(tmp_path)
    assert (tmp_path / "index.html").stat().st_ino == before


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
    with pytest.raises(StorageUnavailableError):
        build(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


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
