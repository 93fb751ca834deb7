"""config.example.yaml: complete, equal to the defaults, and true in its examples and comments too."""

import itertools
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from config_samples import settings
from neural_selfie import styles
from neural_selfie.config import Settings, example, parse, sidecars
from neural_selfie.config.presets import FOR_THE_CONFIGURATION, FeedforwardPreset, GatysPreset, PatchPreset, Sidecar
from neural_selfie.errors import ConfigError

FILE = Path(__file__).parents[1] / "config.example.yaml"
TEXT = FILE.read_text(encoding="utf-8")
FIRST, NEXT = re.compile(r" *#[^ ]"), re.compile(r" *#(?! \S)")  # `#key: value`, then also `#  nested: value`


def test_the_file_is_what_the_models_say() -> None:
    """Whoever changes an option or a recipe writes the example anew: python -m neural_selfie.config.example."""
    assert example.text() == TEXT, "python -m neural_selfie.config.example > config.example.yaml"


def test_every_value_in_it_is_the_default() -> None:
    """Read as it stands, the example is the default configuration."""
    assert settings(TEXT) == Settings()


def test_every_style_that_ships_has_its_preset() -> None:
    """Each shipped style is there under its name, as lines that can be changed."""
    assert list(yaml.safe_load(TEXT)["presets"]) == list(styles.PROGRAMS)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Given an annotation, yield every model that values of it consist of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    elif get_origin(annotation) in {Union, types.UnionType} or get_args(annotation):
        for part in get_args(annotation):
            yield from models_in(part)


MODELS: list[type[BaseModel]] = sorted({*models_in(Settings), Sidecar}, key=str)


@pytest.mark.parametrize("model", MODELS)
def test_every_key_of_every_section_appears(model: type[BaseModel]) -> None:
    """Nothing that can be configured is missing, neither what is nested nor what has no default."""
    named = set(re.findall(r"(?m)(?:^|[#{,\s])([\w-]+):(?=\s|$)", TEXT))
    assert not set(model.model_fields) - named


def test_the_walk_finds_the_sections() -> None:
    """The test above looks at more than the top level."""
    names = {model.__name__ for model in MODELS}
    assert {"Settings", "Watch", "Retry", "Rule", "StyleShare", "PatchPreset", "GpuWorkers", "DaskCluster"} <= names


def test_every_key_is_explained() -> None:
    """Above each `key: value` line of the file's own sections there is a comment."""
    lines = TEXT.splitlines()
    preset = re.compile(rf"  ({'|'.join(styles.PROGRAMS)}):|    (engine|style|size): ")
    for before, line in itertools.pairwise(lines):
        if re.match(r" *\w[\w-]*:", line) and not preset.match(line):
            assert before.strip().startswith("#"), line


def examples() -> list[list[int]]:
    """Return the numbers of the lines of each example in the file."""
    blocks: list[list[int]] = []
    for number, line in enumerate(TEXT.splitlines()):
        if blocks and blocks[-1][-1] == number - 1 and NEXT.match(line):
            blocks[-1].append(number)
        elif FIRST.match(line):
            blocks.append([number])
    return blocks


def with_example(block: list[int]) -> str:
    """Given the line numbers of an example, return the file with it instead of the line that has the same key."""
    lines = TEXT.splitlines()
    for number in block:
        lines[number] = lines[number].replace("#", "", 1)
    key = re.match(r" *[\w-]+:", lines[block[0]])
    assert key
    return "\n".join(line for number, line in enumerate(lines) if number in block or not line.startswith(key[0]))


@pytest.mark.parametrize("block", examples(), ids=lambda block: TEXT.splitlines()[block[0]].strip(" #:")[:20])
def test_every_example_is_accepted_and_changes_something(block: list[int]) -> None:
    """Without its # each example is valid, and does not say what is the default anyway."""
    assert settings(with_example(block)) != Settings()


def test_there_is_an_example_of_everything_that_a_default_cannot_show() -> None:
    """A sweep, several styles with weights, rules, GPUs, a cluster and all numbers have their example."""
    read = [settings(with_example(block)) for block in examples()]
    presets = {name: preset for one in read for name, preset in one.presets.items() if name not in styles.PROGRAMS}
    assert any(len(preset.sweep) > 1 for preset in presets.values())
    assert any(len({share.weight for share in preset.style}) > 1 for preset in presets.values())
    assert any(one.rules for one in read)
    assert {type(one.workers).__name__ for one in read} == {"str", "GpuWorkers", "DaskWorkers"}


def test_all_options_of_a_preset_stand_there_with_their_defaults() -> None:
    """The block of every number says what the recipe says, and leaves none out."""
    block = next(block for block in examples() if "#all-options:" in TEXT.splitlines()[block[0]])
    written = yaml.safe_load(with_example(block))["presets"]["all-options"]
    assert set(written) == set(PatchPreset.model_fields)
    assert PatchPreset.model_validate(written) == PatchPreset.model_validate({"style": written["style"]})
    block = next(block for block in examples() if "#all-gatys-options:" in TEXT.splitlines()[block[0]])
    gatys = yaml.safe_load(with_example(block))["presets"]["all-gatys-options"]
    assert set(gatys) <= set(GatysPreset.model_fields) <= set(gatys) | set(written)
    assert GatysPreset.model_validate(gatys) == GatysPreset.model_validate({"engine": "gatys", "style": gatys["style"]})
    block = next(block for block in examples() if "#all-feedforward-options:" in TEXT.splitlines()[block[0]])
    trained = yaml.safe_load(with_example(block))["presets"]["all-feedforward-options"]
    assert set(trained) <= set(FeedforwardPreset.model_fields) <= set(trained) | set(written)
    needed = {key: trained[key] for key in ("engine", "style", "weights")}
    assert FeedforwardPreset.model_validate(trained) == FeedforwardPreset.model_validate(needed)


def test_the_sidecar_in_it_is_one() -> None:
    """The lines shown for a sidecar can be dropped as they are, and what is said to be refused is."""
    shown = TEXT[TEXT.index("# A sidecar lets") :]
    text = "".join(line.removeprefix("# ") for line in shown.splitlines(keepends=True) if line.startswith("#     "))
    sidecar = sidecars.read(text)
    assert sidecar.presets == ("scream", "woodcut")
    assert sidecar.overrides == {"size": 2048, "content_weight": 0.8}
    assert f"cannot override {', '.join(FOR_THE_CONFIGURATION)}." in shown


@pytest.mark.parametrize(
    ("key", "bad", "said"),
    [
        ("inbox", "[]", "inbox: [] is not right: expected a path (drop photos here)"),
        ("originals.action", "burn", "originals.action: 'burn' is not right: expected 'move', 'keep' or 'delete'"),
        ("workers", "many", "workers: 'many' is not right: expected 'auto' or 'cpu'"),
        ("default_presets", "[x]", "default_presets[0]: 'x' is not right: expected one of starry-night, scream"),
        ("rules", "[{match: a, presets: []}]", "rules[0].presets: [] is not right: expected at least one"),
        ("presets.woodcut.size", "huge", "presets.woodcut.size: 'huge' is not right: expected a whole number (long"),
        ("watch.polling", "often", "watch.polling: 'often' is not right: expected 'auto', 'always' or 'never'"),
        ("limits.megapixels", "0", "limits.megapixels: 0 is not right: expected greater than or equal to 1 (width"),
        ("retry.attempts", "-1", "retry.attempts: -1 is not right: expected greater than or equal to 1 (failures"),
        ("keep_gps", "sometimes", "keep_gps: 'sometimes' is not right: expected true or false (carry the place"),
        ("log.format", "xml", "log.format: 'xml' is not right: expected 'auto', 'console' or 'json' (auto: readable"),
    ],
)
def test_a_slip_in_any_section_is_told_with_its_place(key: str, bad: str, said: str) -> None:
    """One corrupted value is refused with file, line, key, value and what would be right, and nothing else is."""
    lines = TEXT.splitlines()
    number = 0
    for part in key.split("."):
        number = next(n for n in range(number, len(lines)) if re.match(rf" *{part}:", lines[n]))
    lines[number] = re.sub(r": .*", f": {bad}", lines[number])
    with pytest.raises(ConfigError) as caught:
        parse("\n".join(lines), source=str(FILE))
    assert str(caught.value).startswith(f"{FILE}, line {number + 1}: {said}")
    assert "\n" not in str(caught.value)


def test_it_can_be_read_on_a_terminal() -> None:
    """No line is longer than 120 characters, and the variable that the header shows does what it says."""
    assert max(map(len, TEXT.splitlines())) <= 120
    assert "NEURAL_SELFIE__WATCH__QUIET_SECONDS=5" in TEXT
    assert settings(TEXT, NEURAL_SELFIE__WATCH__QUIET_SECONDS="5").watch.quiet_seconds == 5
