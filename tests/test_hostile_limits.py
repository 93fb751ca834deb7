"""What a photo may cost: bounds on time and memory of the process that decodes it, and files that would be slow."""

import queue
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import hostile_decoders
from hostile_bombs import tiff
from hostile_notes import exif_block, jpeg_with, png_chunk, png_with
from house import House, photo
from made_pictures import Decode, display_p3, encoded, noisy, profile
from neural_selfie import inspection
from neural_selfie.engine import containers, profiles
from neural_selfie.errors import DamagedPhotoError, NotAPictureError, PhotoTooLargeError
from neural_selfie.model import Limits, PhotoFacts
from neural_selfie.workers.seat import CallEnded, Seat

LIMITS = Limits(megapixels=9, file_mib=16)

Call = Callable[[Callable[[Path], object], Path], CallEnded]


@dataclass(frozen=True, slots=True)
class Told:
    """What the inspector's process says of itself."""

    address_space: int
    killed_first: int
    core: tuple[int, int]
    complaints_to: str


def with_the_zoo(path: Path) -> PhotoFacts:
    """In the process: inspect with the zoo's decoders."""
    hostile_decoders.install()
    return inspection.inspect(path, LIMITS)


def with_any_profile(path: Path) -> PhotoFacts:
    """In the process: inspect without looking at a profile beforehand, and with little patience."""
    profiles.MOST_STEPS = 1 << 32  # type: ignore[misc]  # what the look would not find is still ended by the deadline
    inspection.SECONDS = 0.5
    return inspection.inspect(path, LIMITS)


def itself(_: Path) -> Told:
    """In the process: say how it is bounded."""
    return Told(
        resource.getrlimit(resource.RLIMIT_AS)[0],
        int(Path("/proc/self/oom_score_adj").read_text()),
        resource.getrlimit(resource.RLIMIT_CORE),
        str(Path("/proc/self/fd/2").readlink()),
    )


@pytest.fixture
def seat() -> Iterator[Call]:
    """Call a function in a process as the inspector's is, and return how it ended."""
    posted: queue.SimpleQueue[object] = queue.SimpleQueue()
    one = Seat("test", prepare=inspection.limit_memory, arguments=(LIMITS,), post=posted.put)

    def called(function: Callable[[Path], object], path: Path) -> CallEnded:
        one.submit(path, function)
        ended = posted.get(timeout=100)
        assert isinstance(ended, CallEnded)
        one.release(ended)
        return ended

    yield called
    one.close()


@pytest.mark.parametrize("way", ["loops", "computes", "crashes"])
def test_a_decoder_that_hangs_or_crashes_ends_with_its_process(seat: Call, tmp_path: Path, way: str) -> None:
    """Whatever a decoder is stuck in, its process ends within the deadline, and the next one decodes the next photo."""
    bad, good = tmp_path / "bad.gif", photo(tmp_path / "good.gif")
    bad.write_bytes(hostile_decoders.gif(way))
    assert seat(with_the_zoo, bad).died
    assert seat(with_the_zoo, good).value.format == "gif"


def test_a_decoder_that_eats_memory_is_stopped(seat: Call, tmp_path: Path) -> None:
    """A small picture has little memory to fill, and the process that tried goes on as before."""
    bad, good = tmp_path / "bad.gif", photo(tmp_path / "good.gif")
    bad.write_bytes(hostile_decoders.gif("eats"))
    bound = seat(itself, bad).value.address_space
    ended = seat(with_the_zoo, bad)
    assert isinstance(ended.error, PhotoTooLargeError)
    assert "needs more memory" in str(ended.error)
    assert seat(itself, bad).value.address_space == bound
    assert seat(with_the_zoo, good).value.format == "gif"


def test_memory_is_given_by_the_size_of_the_photo(seat: Call, tmp_path: Path) -> None:
    """Before anything is known of a photo there is room for a small one, far less than for the largest."""
    path = tmp_path / "tells.gif"
    path.write_bytes(hostile_decoders.gif("tells"))
    whole = seat(itself, path).value.address_space >> 20
    left = int(str(seat(with_the_zoo, path).error))
    threads = inspection._for_threads() >> 20
    assert left <= (inspection.ROOM_BYTES >> 20) + threads + 4
    assert left < whole - 1000


def test_the_inspector_is_the_first_to_go_and_says_nothing(seat: Call, tmp_path: Path) -> None:
    """The kernel ends it before daemon and workers, it leaves no core, and no library writes into the daemon's log."""
    told = seat(itself, tmp_path).value
    assert (told.killed_first, told.core, told.complaints_to) == (1000, (0, 0), "/dev/null")


def steps(count: int) -> bytes:
    """Return a Display P3 whose conversion goes through so many steps that change nothing."""
    whole = display_p3()
    matrix = b"matf\0\0\0\0" + (3).to_bytes(2) * 2 + bytes.fromhex("3f800000" + "00000000" * 3) * 2 + bytes(16)
    positions = ((16 + 8 * count).to_bytes(4) + len(matrix).to_bytes(4)) * count
    chain = b"mpet\0\0\0\0" + (3).to_bytes(2) * 2 + count.to_bytes(4) + positions + matrix
    tags = {}
    for number in range(int.from_bytes(whole[128:132])):
        name, at, size = (whole[132 + 12 * number :][4 * part : 4 * part + 4] for part in range(3))
        tags[name] = whole[int.from_bytes(at) :][: int.from_bytes(size)]
    return profile(b"RGB ", tags | {b"D2B0": chain, b"D2B1": chain})


def test_a_profile_of_many_steps_is_ignored(decode: Decode) -> None:
    """A profile can keep lcms busy for minutes before the first pixel: it is ignored with a remark, at once."""
    data = encoded(noisy(40, 40), "PNG", icc_profile=steps(10_000))
    began = time.process_time()
    [remark] = decode(data).warnings
    assert "profile cannot be used" in remark
    assert time.process_time() - began < 1
    assert decode(encoded(noisy(40, 40), "PNG", icc_profile=steps(3))).warnings == ()


def test_a_profile_is_proven_where_it_can_do_no_harm(seat: Call, tmp_path: Path) -> None:
    """A profile that is too slow costs the inspector its process and never comes to a worker."""
    path = tmp_path / "slow.png"
    path.write_bytes(encoded(noisy(40, 40), "PNG", icc_profile=steps(20_000)))
    assert seat(with_any_profile, path).died


@pytest.mark.parametrize(
    "data",
    [
        jpeg_with(*[(0xEC, b"")] * 100_001),
        b"\xff\xd8" + b"\xff" * 100_000 + jpeg_with()[2:],
        b"\xff\xd8" + b"\xff\0" * 50_000 + jpeg_with()[2:],
        png_with(*[(b"aaAa", b"")] * 100_001),
        tiff({256: 64, 257: 64, 259: 1, 278: 64}, bytes(4096), [(282, 5, 400_000, 8)]) + bytes(3_300_000),
    ],
    ids=["segments", "fill bytes", "stuffed bytes", "chunks", "values"],
)
def test_a_file_of_nothing_but_headers_is_refused_at_once(decode: Decode, data: bytes) -> None:
    """Hundreds of thousands of empty parts would keep every walk busy: nothing walks them to the end."""
    began = time.process_time()
    with pytest.raises(DamagedPhotoError, match="begins as a picture but cannot be decoded"):
        decode(data)
    assert time.process_time() - began < 2


def test_as_many_parts_as_pictures_have_are_none_too_many(decode: Decode) -> None:
    """Large profiles and notes come in hundreds of segments, PNG in thousands of chunks, some fill bytes are usual."""
    for data in (
        jpeg_with(*[(0xE2, b"more notes" * 100)] * 2_000),
        b"\xff\xd8" + b"\xff" * 4_096 + jpeg_with()[2:],
        png_with(*[(b"tEXt", b"a\0b")] * 5_000),
    ):
        assert decode(data).warnings == ()


def test_scans_that_add_nothing_are_counted_with_the_pixels(decode: Decode) -> None:
    """What 300 scans cost depends on the picture: none too many for a small one, minutes for a large one."""
    for side, fits in ((300, True), (4_000, False)):
        whole = encoded(Image.new("L", (side, side)), "JPEG", progressive=True)
        last = whole.rindex(b"\xff\xda")
        slow = whole[:last] + whole[last:-2] * 300 + b"\xff\xd9"
        if fits:
            assert decode(slow).pixels.shape == (side, side, 3)
        else:
            with pytest.raises(DamagedPhotoError, match="cannot be decoded"):
                decode(slow)


def test_texts_and_profiles_of_a_png_cost_no_picture(decode: Decode) -> None:
    """A text of 64 MiB in 64 kB, a profile that is none, a wrong check sum: ignored with a remark; the turn stays."""
    turn = png_chunk(b"eXIf", exif_block((0x0112, 3, 1, b"\x06\0\0\0"))[6:])
    bomb = zlib.compress(bytes(64 << 20))
    for bad in (
        png_chunk(b"zTXt", b"a\0\0" + bomb),
        png_chunk(b"iCCP", b"p\0\0" + bomb),
        png_chunk(b"tIME", b"7")[:-1] + b"?",
    ):
        whole = png_with()
        picture = decode(whole[:33] + bad + turn + whole[33:])
        assert picture.pixels.shape == (96, 72, 3)
        assert "far too long, and are ignored" in " ".join(picture.warnings)
    assert containers.bare_png(png_with((b"tEXt", b"a\0b"))) == png_with()


def test_more_exif_than_any_camera_writes_is_ignored(decode: Decode) -> None:
    """Two megabytes of notes would be read number by number: they are ignored, and said so."""
    picture = decode(png_with((b"eXIf", exif_block(behind=bytes(2 << 20))[6:])))
    assert "(EXIF) cannot be read and are ignored" in " ".join(picture.warnings)
    assert picture.exif is None


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Return a folder which, on a path of Python's, gives every process the zoo's decoders: it runs this file first."""
    folder = tmp_path / "first of all"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import hostile_decoders\nhostile_decoders.install()\n")
    return folder


def test_styles_are_inspected_apart(tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A style that ends the process or hangs is told as such, and the next process looks at the others."""
    monkeypatch.syspath_prepend(zoo)
    paths = [photo(tmp_path / f"{seed}.png", seed=seed) for seed in range(3)]
    for number, way in enumerate(("crashes", "loops")):
        bad = tmp_path / f"{way}.gif"
        bad.write_bytes(hostile_decoders.gif(way))
        paths.insert(2 * number + 1, bad)
    (tmp_path / "notes.jpg").write_text("Dear diary")
    found = inspection.inspect_apart([*paths, tmp_path / "notes.jpg", tmp_path / "gone.png"], LIMITS)
    assert [type(each) for each in found] == [
        PhotoFacts,
        DamagedPhotoError,
        PhotoFacts,
        DamagedPhotoError,
        PhotoFacts,
        NotAPictureError,
        FileNotFoundError,
    ]
    assert str(found[1]) == inspection.UNDECODABLE


def test_a_dry_run_survives_what_it_looks_at(house: House, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run --dry-run` goes on where a file ends the decoder, and says so of that file."""
    photo(house.inbox / "a.png")
    (house.inbox / "b.gif").write_bytes(hostile_decoders.gif("crashes"))
    photo(house.inbox / "c.png", seed=3)
    monkeypatch.setenv("PYTHONPATH", f"{zoo}:{Path(__file__).parent}")
    done = house.command("run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"b.gif\n    cannot be painted: {inspection.UNDECODABLE}\n" in done.stdout
    assert "3 files: 2 pictures to paint, 1 files refused" in done.stdout


def test_a_dry_run_loads_no_decoder(house: House) -> None:
    """What looks at photos is a process of its own: the command itself has neither Pillow nor torch."""
    photo(house.inbox / "a.png")
    code = (
        "import sys; from pathlib import Path; from neural_selfie import config, survey\n"
        "if __name__ == '__main__':\n"
        "    found = survey.of(config.load(Path(sys.argv[1])))\n"
        "    print([finding.refusal for finding in found], *{'PIL', 'numpy', 'torch'} & {*sys.modules})\n"
    )
    command = [sys.executable, "-c", code, str(house.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[None]"]
