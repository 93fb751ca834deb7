"""Writes config.example.yaml from the models: `python -m neural_selfie.config.example > config.example.yaml`.

Every option stands in it with its default and its description, and each of them is written down once, in the model.
What a model cannot show (a rule, a sweep, several styles, a sidecar) stands here as an example: lines that are valid
YAML without their #. Nothing is checked here; the tests prove all of it.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from neural_selfie.config import DEFAULT_PATH, PATH_VARIABLE, PREFIX, DaskCluster, GpuWorkers, Settings, shipped_presets
from neural_selfie.config.presets import (
    FOR_THE_CONFIGURATION,
    AnyPreset,
    FeedforwardPreset,
    GatysPreset,
    PatchPreset,
    Rule,
    Sidecar,
    StyleShare,
)

_WIDTH = 110
_VALUE_WIDTH = 70
_TRAINED = "candy.pth"  # feedforward has no default for its network
_OF_A_PRESET = ("engine", "style", "size")  # what a preset of its own begins with

HEADER = f"""
Every option of neural-selfie with its default: a line that you take out changes nothing.
The daemon reads {DEFAULT_PATH}, or the file in ${PATH_VARIABLE}, or `--config FILE`.
The environment overrides the file: {PREFIX}WATCH__QUIET_SECONDS=5, {PREFIX}DEFAULT_PRESETS='[scream]'.
Relative folders and style images are looked for beside this file; style images then among those that ship.
A # with no blank behind it begins an example: take the # from each of its lines, and drop the line that has its key.
`neural-selfie config check` names what is wrong, by line and key.
"""

PRESETS = "a style that ships needs none where rules or default_presets name it"
EXAMPLES = {
    "workers": """
One worker process for each of these GPUs. KEYS_OF_GPUS
#workers: {gpus: [0, 1]}
Workers on other machines (not in this version: `config check` says so). KEYS_OF_A_CLUSTER
#workers: {dask: {scheduler: "tls://10.0.0.5:8786", tls: {ca_file: ca.pem, client_cert: me.pem, client_key: me.key}}}
""",
    "default_presets": """
#default_presets: [starry-night, scream]
""",
    "rules": """
A folder named like a preset needs no rule. KEYS_OF_A_RULE
#rules:
#  - {match: "portraits/**", presets: [starry-night, scream]}
#  - {match: "**/*.png", presets: [woodcut]}
""",
    "watch.ignore": """
#ignore: ["drafts/**", "*-original.jpg"]
""",
    "presets": """
A sweep: every combination of the values becomes a picture of its own.
#selfie-sweep:
#  engine: patch
#  style: styles/scream.jpg
#  size: 512
#  sweep: {content_weight: [0.2, 0.6, 3.8], style_scale: [0.5, 1.0]}

Several styles in one picture. KEYS_OF_A_STYLE
#two-styles:
#  engine: patch
#  style:
#    - {image: styles/starry-night.jpg, weight: 0.7}
#    - {image: styles/scream.jpg, weight: 0.3}

A style for each region of a photo's mask: where it is white, where it is '#ff8000', and everywhere else.
A colour that no style has leaves the photo as it is. Without a mask all styles are used everywhere.
#by-region:
#  engine: gatys
#  style:
#    - {image: styles/scream.jpg, region: white}
#    - {image: styles/woodcut.jpg, region: '#ff8000'}
#    - {image: styles/starry-night.jpg}

Everything that a preset can say, with its default; each number of the engine can be swept.
""",
    "gatys": """
With `engine: gatys` these are there instead of patch's own numbers, or have other defaults.
""",
    "feedforward": """
With `engine: feedforward` a trained network paints in one pass; its file is the style, and it has these numbers.
The style image is only shown. Files of pytorch/examples' fast_neural_style (candy, mosaic, ...) can be used.
""",
    "sidecar": """
A sidecar lets one photo ask for something else: put me.jpg.yaml beside me.jpg, and put it there first.
KEYS_OF_A_SIDECAR
OVERRIDES_EXCEPT
    presets: [scream, woodcut]
    overrides: {size: 2048, content_weight: 0.8}
With `mask: me.mask.png` it names that picture beside the photo, which is dropped first and filed with it.
""",
}


def text() -> str:
    """Return the whole example."""
    parts = [_comment(HEADER), *(_top(key, field) for key, field in Settings.model_fields.items())]
    parts.append(_comment(_filled(EXAMPLES["sidecar"])))
    return "\n\n".join(parts) + "\n"


def _top(key: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if key == "presets":
        return "\n".join([f"# {field.description}; {PRESETS}", "presets:", _indented("\n".join(_presets()))])
    if isinstance(default, BaseModel):
        kind = type(default)
        lines = [f"# {_plain(kind.__doc__ or '')}", f"{key}:"]
        return "\n".join(
            [*lines, *(_indented(_option(name, kind.model_fields[name], key)) for name in kind.model_fields)]
        )
    return _option(key, field)


def _option(key: str, field: FieldInfo, section: str = "") -> str:
    """Return comment, `key: default`, and the example of a key, if there is one."""
    default = field.get_default(call_default_factory=True)
    lines = [_comment(_meaning(field)), f"{key}: {_value(default)}"]
    example = EXAMPLES.get(f"{section}.{key}" if section else key)
    return "\n".join([*lines, _comment(_filled(example))] if example else lines)


def _presets() -> Iterator[str]:
    for name, preset in shipped_presets().items():
        yield f"{name}:"
        yield from (f"  {key}: {_value(_as_written(preset, key))}" for key in _OF_A_PRESET)
    yield ""
    yield _comment(_filled(EXAMPLES["presets"]))
    sample = next(iter(shipped_presets().values()))
    yield "#all-options:"
    yield from _options(PatchPreset, [*_OF_A_PRESET, *_others(PatchPreset)], sample)
    yield ""
    yield _comment(EXAMPLES["gatys"])
    yield "#all-gatys-options:"
    yield from _options(GatysPreset, ["engine", "style", *_differing(GatysPreset)], sample)
    yield ""
    yield _comment(EXAMPLES["feedforward"])
    yield "#all-feedforward-options:"
    own = [key for key in _differing(FeedforwardPreset) if key != "weights"]
    yield from _options(FeedforwardPreset, ["engine", "style", "weights", *own], sample)


def _options(model: type[BaseModel], keys: Iterable[str], sample: AnyPreset) -> Iterator[str]:
    """Yield options of a preset as an example, each with its meaning and default, and the style of a sample."""
    for key in keys:
        field = model.model_fields[key]
        value = sample.style[0].image if key == "style" else field.get_default(call_default_factory=True)
        if (model, key) == (FeedforwardPreset, "weights"):
            value = _TRAINED
        option = f"{_comment(_meaning(field))}\n{key}: {_value(value)}"
        yield textwrap.indent(option.strip(), "#  ")


def _others(model: type[BaseModel]) -> list[str]:
    return [key for key in model.model_fields if key not in _OF_A_PRESET]


def _differing(model: type[BaseModel]) -> list[str]:
    """Return the numbers of an engine that are not the same as those of patch."""
    patch = PatchPreset.model_fields

    def written(field: FieldInfo) -> str:
        return _value(field.get_default(call_default_factory=True))

    return [
        key for key in _others(model) if key not in patch or written(patch[key]) != written(model.model_fields[key])
    ]


def _as_written(preset: AnyPreset, key: str) -> Any:
    return preset.style[0].image if key == "style" else getattr(preset, key)


def _value(value: object) -> str:
    """Return a value as YAML, on one line if it fits."""
    plain = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
    if isinstance(plain, Mapping):
        plain = dict(plain)
    return (
        str(yaml.safe_dump(plain, default_flow_style=True, width=_VALUE_WIDTH, sort_keys=False))
        .removesuffix("\n...\n")
        .strip()
    )


def _meaning(field: FieldInfo) -> str:
    return " ".join(part for part in (field.description, f"({_range(field)})" if _range(field) else "") if part)


def _range(field: FieldInfo) -> str:
    """Return what a value may be, where the model says it in numbers or words."""
    if get_origin(field.annotation) is Literal:
        words = [str(word) for word in get_args(field.annotation)]
        return " | ".join(words) if len(words) > 1 else ""
    if field.annotation is bool:
        return "true | false"
    least = next((f"{bound.ge}" for bound in field.metadata if isinstance(bound, annotated_types.Ge)), None)
    above = next((f"above {bound.gt}" for bound in field.metadata if isinstance(bound, annotated_types.Gt)), None)
    most = next((f"to {bound.le}" for bound in field.metadata if isinstance(bound, annotated_types.Le)), None)
    return " ".join(part for part in (least or above, most) if part) if most else ""


def _filled(example: str) -> str:
    keys = {
        "KEYS_OF_A_CLUSTER": _keys(DaskCluster),
        "KEYS_OF_GPUS": _keys(GpuWorkers),
        "KEYS_OF_A_RULE": _keys(Rule),
        "KEYS_OF_A_STYLE": _keys(StyleShare),
        "KEYS_OF_A_SIDECAR": _keys(Sidecar),
        "OVERRIDES_EXCEPT": f"It cannot override {', '.join(FOR_THE_CONFIGURATION)}.",
    }
    for word, meaning in keys.items():
        example = example.replace(word, meaning)
    return example


def _keys(model: type[BaseModel]) -> str:
    return ". ".join(f"{key}: {field.description}" for key, field in model.model_fields.items()) + ". "


def _comment(prose: str) -> str:
    """Return lines as comments: prose wrapped, examples (#...) and what is indented as they are, empty ones empty."""
    lines: list[str] = []
    for line in prose.strip("\n").splitlines():
        if line.startswith("#") or not line:
            lines.append(line)
        elif line.startswith(" "):
            lines.append(f"# {line}".rstrip())
        else:
            lines += [f"# {part}" for part in textwrap.wrap(line.strip(), _WIDTH)]
    return "\n".join(lines)


def _indented(block: str) -> str:
    return textwrap.indent(block, "  ")


def _plain(docstring: str) -> str:
    return re.sub(r"\s+", " ", docstring).strip()


if __name__ == "__main__":
    sys.stdout.write(text())
