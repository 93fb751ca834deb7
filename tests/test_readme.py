"""The README tells the truth: what it names exists, and what is generated is up to date."""

import re
from pathlib import Path

import tried
from neural_selfie import lifecycle
from neural_selfie.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_path_it_links_to_exists() -> None:
    """A link or picture that leads nowhere fails."""
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_every_command_is_documented_and_exists() -> None:
    """Each command of the program is named in the README, and the README names no other."""
    named = set(re.findall(r"(?:^    |`|; )neural-selfie ([a-z]+)\b", README, re.MULTILINE))
    listed = set(re.findall(r"[a-z]+", next(line for line in README.splitlines() if "presets, config check" in line)))
    for command in COMMANDS:
        assert command in named | listed, command
    assert named <= set(COMMANDS)


def test_make_targets_exist() -> None:
    """`make demo` and `make test` are the two commands, and the Makefile has them."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_diagram_is_the_table() -> None:
    """The diagram of a job's states is the one that `lifecycle` draws from its table."""
    assert lifecycle.diagram().strip() in README


def test_what_was_tried_is_counted() -> None:
    """The table of what was tried has the numbers of the tests that are there; `python tests/tried.py` writes it."""
    assert tried.table() in README


def test_the_map_shows_every_room() -> None:
    """Every module and package of the source, and no other, has its line in the map of the house."""
    source = ROOT / "daemon" / "neural_selfie"
    rooms = {path.name for path in source.iterdir() if path.name[0] not in "_." and path.suffix in {"", ".py", ".json"}}
    section = README.split("## The house")[1].split("## Decisions")[0]
    mapped = {room.rstrip("/") for room in re.findall(r"^    (\w+(?:\.schema\.json|\.py|/)) ", section, re.MULTILINE)}
    assert mapped == rooms


def test_the_words_of_the_glossary_are_explained() -> None:
    """Each word of the trade has its explanation."""
    glossary = README.split("## Glossary")[1].split("## ")[0]
    for word in (
        "photo",
        "style",
        "preset",
        "sweep",
        "variant",
        "job",
        "ledger",
        "engine",
        "recipe",
        "worker",
        "gallery",
    ):
        assert f"**{word}**" in glossary, word
