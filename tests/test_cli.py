"""The command line as people use it: exit codes, a plain sentence for a mistake, and `status` that answers at once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from house import House, photo
from neural_selfie.cli import COMMANDS
from neural_selfie.engine import metadata


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "neural_selfie", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def painting(house: House) -> Path:
    """A photo painted by the real engine, 64 px, as PNG, with the house's configuration."""
    out = house.root / "painted.png"
    done = run("stylize", photo(house.root / "me.png"), "--preset", "plain", "-o", out, "--config", house.config)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS], ["config", "check"], ["config", "show"]])
def test_every_command_has_help(command: list[str]) -> None:
    """`--help` of every command says what it is for, without loading an engine."""
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Usage: neural-selfie" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 64),
        (["run", "--nonsense"], 64),
        (["retry"], 64),
        (["run", "--config", "/nowhere/config.yaml"], 78),
        (["reproduce", "/nowhere/record.json"], 64),
    ],
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(arguments: list[str], code: int) -> None:
    """No mistake of a person ends in a traceback; the exit code tells its kind."""
    done = run(*arguments)
    assert done.returncode == code
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_status_is_quick_and_light(house: House) -> None:
    """`status` answers in under 0.4 s of its own work and loads neither torch nor numpy."""
    photo(house.inbox / "me.png")
    assert house.once() == 0
    code = (
        "import sys, time; began = time.process_time()\n"
        "from neural_selfie.cli import _run\n"
        f"_run(['status', '--config', {str(house.config)!r}])\n"
        "print(time.process_time() - began, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    outcomes = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, torch, numpy = done.stdout.splitlines()[-1].split()
        assert (torch, numpy) == ("False", "False")
        outcomes.append(float(seconds))
    assert "1 done" in done.stdout
    assert min(outcomes) < 0.4


def test_status_json_is_complete(house: House) -> None:
    """`status --json` has every part also when nothing has happened yet."""
    view = house.status()
    assert set(view) >= {"daemon", "counts", "running", "queued", "waiting", "failed", "refused", "watch"}
    assert view["daemon"] == {"running": False, "pid": None}


def test_dry_run_changes_nothing(house: House) -> None:
    """`run --dry-run` says what would be painted and refused, and leaves every folder as it was."""
    photo(house.inbox / "me.png")
    (house.inbox / "notes.txt").write_text("no photo")
    before = sorted(house.root.rglob("*"))
    done = house.command("run", "--dry-run")
    assert done.returncode == 0
    assert "me.png" in done.stdout
    assert "plain (patch, 64 px)" in done.stdout
    assert "notes.txt" in done.stdout
    assert sorted(house.root.rglob("*")) == before


def test_stylize_paints_with_the_same_engine(painting: Path) -> None:
    """`stylize` writes a picture of the wanted size with its record inside."""
    with Image.open(painting) as picture:
        assert picture.size == (64, 48)
    record = json.loads(metadata.extract(painting))
    assert record["engine"]["name"] == "patch"
    assert record["output"]["sha256"] is None
    assert record["trace"]


def test_a_record_is_reproduced_bit_for_bit(painting: Path, house: House) -> None:
    """`reproduce` finds photo and style again and paints the same pixels; for another photo it refuses."""
    done = run("reproduce", painting, "--photo", house.root / "me.png", "--config", house.config)
    assert (done.returncode, done.stdout.strip()) == (0, "bit-identical"), done.stderr
    other = run("reproduce", painting, "--photo", photo(house.root / "other.png", seed=5), "--config", house.config)
    assert other.returncode == 64
    assert "not the photo of this record" in other.stderr


def test_a_difference_is_measured(painting: Path, house: House) -> None:
    """When the picture was changed by hand, `reproduce` says by how much the repeat differs."""
    with Image.open(painting) as picture:
        pixels = np.array(picture)
        pixels[:8, :8] = 255 - pixels[:8, :8]
        changed = house.root / "changed.png"
        Image.fromarray(pixels).save(changed)
    changed.write_bytes(metadata.embed(changed.read_bytes(), metadata.extract(painting)))
    done = run("reproduce", changed, "--photo", house.root / "me.png", "--config", house.config)
    assert done.returncode == 1
    assert "mean difference" in done.stdout


def test_stylize_refuses_what_it_cannot_do(house: House) -> None:
    """An unknown preset, number, format or a text instead of a photo: each gets its sentence."""
    me = photo(house.root / "me.png")
    text = house.root / "notes.jpg"
    text.write_text("no photo at all, only words\n" * 10)
    cases: list[tuple[list[str | Path], str]] = [
        ([me, "--preset", "nope", "-o", "x.png"], "there are plain"),
        ([me, "--preset", "plain", "-o", "x.bmp"], ".jpg, .png or .webp"),
        ([me, "--preset", "plain", "-o", "x.png", "--set", "content_wait=1"], "content_weight"),
        ([text, "--preset", "plain", "-o", "x.png"], "not a picture"),
    ]
    for arguments, sentence in cases:
        done = run("stylize", *arguments, "--config", house.config)
        assert done.returncode in {1, 64}, arguments
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_gallery_is_rebuilt_from_the_records(house: House) -> None:
    """`gallery` writes the page anew when it was lost, and names it."""
    photo(house.inbox / "me.png")
    assert house.once() == 0
    (house.outbox / "index.html").unlink()
    done = house.command("gallery")
    assert done.returncode == 0
    assert "1 pictures: file://" in done.stdout
    assert (house.outbox / "index.html").exists()


def test_presets_are_listed(house: House) -> None:
    """`presets` names each preset with engine and size."""
    assert "plain (default): patch, 64 px, style.png" in house.command("presets").stdout


def test_a_broken_pipe_is_no_error() -> None:
    """`neural-selfie --help | head -1` ends quietly."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m neural_selfie config schema | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
