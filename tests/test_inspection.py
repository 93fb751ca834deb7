"""The first look at a dropped file: only regular files, whole, decoded from the bytes that were hashed."""

import hashlib
import math
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from made_pictures import encoded, laid_on_its_side, noisy, plain_png, quadrants
from neural_selfie import inspection
from neural_selfie.errors import (
    DamagedPhotoError,
    NotAFileError,
    NotAPictureError,
    PhotoTooLargeError,
    TruncatedPhotoError,
)
from neural_selfie.model import Limits, PhotoFacts

LIMITS = Limits()


def photo(folder: Path, name: str = "me.jpg") -> Path:
    """Write a small photo and return its path."""
    path = folder / name
    path.write_bytes(encoded(Image.fromarray(quadrants()), "JPEG"))
    return path


def test_facts_of_a_photo(tmp_path: Path) -> None:
    """The facts are those of the bytes on the disk and of the picture once it is upright."""
    exif = Image.Exif()
    exif[0x0112] = 8
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    path = tmp_path / "me.jpg"
    path.write_bytes(encoded(Image.fromarray(laid_on_its_side(quadrants(), 8)), "JPEG", exif=exif))
    assert inspection.inspect(path, LIMITS) == PhotoFacts(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        format="jpeg",
        width=96,
        height=64,
        size_bytes=path.stat().st_size,
        taken_at="2024-05-06T07:08:09",
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "BMP", "HEIF", "AVIF"])
def test_every_format_is_recognised_by_its_content(tmp_path: Path, kind: str) -> None:
    """The name says JPEG, the content decides."""
    path = tmp_path / "me.jpg"
    path.write_bytes(encoded(Image.fromarray(quadrants()), kind))
    facts = inspection.inspect(path, LIMITS)
    assert (facts.format, facts.width, facts.height) == (kind.lower(), 96, 64)


def test_what_is_not_a_file_is_never_opened(tmp_path: Path) -> None:
    """Link, pipe, socket, device and folder are refused at once, each by its name."""
    target = photo(tmp_path, "target.jpg")
    (tmp_path / "link.jpg").symlink_to(target)
    (tmp_path / "dangling.jpg").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        began = time.monotonic()
        for name, words in {
            "link.jpg": "a link to another file",
            "dangling.jpg": "a link to another file",
            "pipe.jpg": "a pipe",
            "socket.jpg": "a socket",
            "folder.jpg": "a folder",
        }.items():
            with pytest.raises(NotAFileError, match=f"{name} is {words}, not a photo"):
                inspection.inspect(tmp_path / name, LIMITS)
    with pytest.raises(NotAFileError, match="zero is a device"):
        inspection.inspect(Path("/dev/zero"), LIMITS)
    assert time.monotonic() - began < 2


def test_a_file_that_becomes_a_link_or_a_pipe_is_not_followed(tmp_path: Path) -> None:
    """What takes the file's place after the first look is not followed if a link, and not waited for if a pipe."""
    link, pipe = tmp_path / "link.jpg", tmp_path / "pipe.jpg"
    link.symlink_to(photo(tmp_path))
    os.mkfifo(pipe)
    with pytest.raises(NotAFileError, match=r"link\.jpg is a link to another file"):
        inspection._open(link, link.name)
    os.close(inspection._open(pipe, pipe.name))


@pytest.mark.parametrize("how", ["touched", "replaced"])
def test_a_file_that_is_written_meanwhile_is_still_being_written(tmp_path: Path, how: str) -> None:
    """A file that is written to or replaced under the inspection is looked at again, although it would decode."""
    path, other = tmp_path / "me.png", tmp_path / "other.png"
    content = encoded(noisy(900, 700), "PNG")
    path.write_bytes(content)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            if how == "touched":
                os.utime(path)
            else:
                other.write_bytes(content)
                other.replace(path)
            time.sleep(0.001)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with pytest.raises(
            TruncatedPhotoError, match=r"me\.png changed while it was looked at: it is still being writ"
        ):
            inspection.inspect(path, LIMITS)
    finally:
        stop.set()
        changer.join()
    assert inspection.inspect(path, LIMITS).width == 900


def test_photos_above_pillows_own_limit_are_decided_by_ours(tmp_path: Path) -> None:
    """A panorama of 100 megapixels, of which Pillow would warn, passes without a warning under a higher limit."""
    path = tmp_path / "panorama.png"
    Image.new("1", (20_000, 5_000)).save(path)
    assert inspection.inspect(path, LIMITS).width == 20_000
    with pytest.raises(PhotoTooLargeError, match=r"100\.0 megapixels, and 99 are permitted"):
        inspection.inspect(path, Limits(megapixels=99))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file above the limit is refused by its length: a sparse terabyte costs nothing."""
    path = photo(tmp_path)
    os.truncate(path, 1 << 40)
    began = time.monotonic()
    with pytest.raises(PhotoTooLargeError, match=r"me\.jpg has 1048576 MiB, and 256 MiB are permitted"):
        inspection.inspect(path, LIMITS)
    assert time.monotonic() - began < 1


def test_refusals(tmp_path: Path) -> None:
    """Empty, cut, damaged and foreign files are refused as what they are; a lost one is the file system's matter."""
    path = photo(tmp_path)
    whole = path.read_bytes()
    broken = bytearray(encoded(noisy(), "PNG"))
    broken[len(broken) // 2] ^= 1
    for content, error in (
        (b"", TruncatedPhotoError),
        (whole[:500], TruncatedPhotoError),
        (bytes(broken), DamagedPhotoError),
        (b"Dear diary", NotAPictureError),
    ):
        path.write_bytes(content)
        with pytest.raises(error, match=r"^me\.jpg ") as caught:
            inspection.inspect(path, LIMITS)
        assert caught.type is error
    path.unlink()
    with pytest.raises(FileNotFoundError):
        inspection.inspect(path, LIMITS)


def test_names_that_are_no_text_are_shown(tmp_path: Path) -> None:
    """A name with foreign bytes and control characters comes out as one printable line."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n\x1b[31m.jpg"))
    path.write_bytes(b"Dear diary")
    with pytest.raises(NotAPictureError) as caught:
        inspection.inspect(path, LIMITS)
    assert str(caught.value).isprintable()
    str(caught.value).encode()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither success nor refusal leaves the file open."""
    path = photo(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    inspection.inspect(path, LIMITS)
    path.write_bytes(b"no picture")
    for _ in range(3):
        with pytest.raises(NotAPictureError):
            inspection.inspect(path, LIMITS)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_inspection_loads_neither_torch_nor_numpy(tmp_path: Path) -> None:
    """The inspector's process stays small, and one that only knows of it has no decoder at all."""
    program = (
        "import sys; from pathlib import Path; from neural_selfie import inspection, model\n"
        "heavy = lambda: sorted({'torch', 'numpy', 'PIL'} & {*sys.modules})\n"
        "print(heavy()); inspection.inspect(Path(sys.argv[1]), model.Limits()); print(heavy())"
    )
    command = [sys.executable, "-c", program, str(photo(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "['PIL']"]


def test_limited_process_inspects_large_photos_and_survives_hostile_ones(tmp_path: Path) -> None:
    """Under limit_memory the largest permitted photo still decodes, and an allocation beyond it fails in words."""
    limits = Limits(megapixels=12, file_mib=64)
    black = Image.new("RGB", (4000, 3000))
    large = [tmp_path / "large.png", tmp_path / "large.webp"]
    for path in large:
        black.save(path, compress_level=1, lossless=True, method=0)
    threaded = tmp_path / "threaded.heic"
    threaded.write_bytes(encoded(black.resize((400, 300)), "HEIF"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=inspection.limit_memory, initargs=(limits,)) as pool:
        for path in large:
            assert pool.submit(inspection.inspect, path, limits).result().width == 4000
        assert pool.submit(inspection.inspect, threaded, limits).result().format == "heif"
        bound = pool.submit(resource.getrlimit, resource.RLIMIT_AS).result()[0]
        assert pool.submit(resource.getrlimit, resource.RLIMIT_CORE).result() == (0, 0)
        assert 2 << 30 < bound < 16 << 30
        greedy, side = tmp_path / "greedy.png", math.isqrt(bound // 4) + 1
        greedy.write_bytes(plain_png((side, side), 8, 2, b"", rows=0))
        with pytest.raises(PhotoTooLargeError, match="needs more memory"):
            pool.submit(inspection.inspect, greedy, Limits(megapixels=100_000)).result()
        assert pool.submit(inspection.inspect, large[0], limits).result().width == 4000
