"""Faults of a configuration in the words of the person who wrote it: file, line, key, bad value, what would be right.

It knows YAML and pydantic's errors, and nothing of what the settings mean.
"""

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from neural_selfie.errors import ConfigError

_ALIASES_MAX = 1000
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """The data of a YAML text and the line that each key stands on."""

    source: str
    data: dict[str, Any]
    numbers: Mapping[Path, int]

    @classmethod
    def of(cls, text: str, source: str) -> "Lines":
        """Given YAML text, return its data and lines; raise ConfigError if it is no mapping or names a key twice."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_bombs(text, source)
            numbers = dict(_walk(node, (), source)) if node else {}
            data = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f", line {mark.line + 1}" if mark else ""
            raise ConfigError(f"{source}{where}: not valid YAML: {error.problem or error.context}.") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ConfigError(f"{source}: not valid YAML: {error}.") from None
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: expected `key: value` lines, found {type(data).__name__}.")
        return cls(source, data, numbers)

    def where(self, path: Path) -> str:
        """Given a key path, return file and line of it, or of the nearest section around it that has a line."""
        for length in range(len(path), 0, -1):
            if (number := self.numbers.get(path[:length])) is not None:
                return f"{self.source}, line {number}"
        return self.source


def yaml_value(text: str, source: str) -> Any:
    """Given the text of one value, return it as YAML reads it; raise ConfigError if it is not valid."""
    _refuse_bombs(text, source)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {text!r}.") from error


def _refuse_bombs(text: str, source: str) -> None:
    """Raise ConfigError for a text that refers to itself so often that loading it would fill the memory."""
    if text.count("*") > _ALIASES_MAX:
        raise ConfigError(f"{source}: more than {_ALIASES_MAX} YAML aliases: refused.")


def _walk(node: yaml.Node, path: Path, source: str) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{source}, line {line}: {key.value!r} stands here and on line {seen[key.value]}.")
            seen[str(key.value)] = line
            yield (*path, key.value), line
            yield from _walk(value, (*path, key.value), source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _walk(value, (*path, index), source)


def explained(
    error: ValidationError, lines: Lines, variables: Mapping[tuple[str, ...], str], model: type[BaseModel]
) -> str:
    """Given pydantic's error, return one line for each fault, in the order of the file."""
    places = [(detail, _without_tags(detail["loc"], model)) for detail in error.errors(include_url=False)]
    faults = []
    for detail, place in places:
        path = place.path
        if any(len(other.path) > len(path) and other.path[: len(path)] == path for _, other in places if path):
            continue  # the fault further in says it better
        variable = next((name for key, name in variables.items() if path[: len(key)] == key), None)
        where = f"environment variable {variable}" if variable else lines.where(path)
        faults.append(f"{where}: {_fault(detail, place)}")
    return "\n".join(dict.fromkeys(faults))


def _fault(detail: ErrorDetails, place: "_Place") -> str:
    path, known = place.path, place.known
    key = _dotted(path)
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
        return f"{key}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{key}: is missing."
    message = detail["msg"].removeprefix("Value error, ")
    message = (message[:1].lower() + message[1:]).replace("input should be", "expected")
    shown = _shown(detail["input"])
    if detail["type"] == "union_tag_invalid":
        message = f"expected one of {detail['ctx']['expected_tags']}"
        key, shown = f"{key}.engine", repr(detail["ctx"]["tag"])
    if not path:
        return f"{message}."
    if isinstance(detail["input"], Mapping) and detail["type"] == "value_error":
        return f"{key}: {message.splitlines()[0]}."
    meaning = f" ({place.description})" if place.description else ""
    return f"{key}: {shown} is not right: {message}{meaning}."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."  # noqa: PLR2004 - one line on a terminal


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a fault is: its key path, the keys known beside its last part, and what that part means."""

    path: Path
    known: tuple[str, ...]
    description: str | None


def _without_tags(loc: Path, model: type[BaseModel]) -> _Place:
    """Given pydantic's location, return the place it names; tags of unions are no part of the path."""
    path: list[str | int] = []
    at: Any = model
    known: tuple[str, ...] = ()
    description = None
    for part in loc:
        at, tagged = _choose(at, part)
        if tagged:
            continue
        path.append(part)
        if isinstance(at, type) and issubclass(at, BaseModel):
            known = tuple(at.model_fields)
            field = at.model_fields.get(str(part))
            description = field.description if field else None
            at = (
                Annotated[field.annotation, *field.metadata] if field and field.metadata else field and field.annotation
            )
        else:
            arguments = [argument for argument in get_args(at) if argument is not Ellipsis]
            at = arguments[-1] if arguments else None
    return _Place(tuple(path), known, description)


def _choose(at: Any, part: str | int) -> tuple[Any, bool]:
    """Given an annotation, return what `part` speaks of in it, and whether `part` is only the tag of a union."""
    while get_origin(at) is Annotated:
        at = get_args(at)[0]
    if get_origin(at) in {Union, types.UnionType}:
        for option in get_args(at):
            tags = [extra.tag for extra in get_args(option)[1:] if isinstance(extra, Tag)]
            if part in tags:
                return get_args(option)[0], True
        models = [option for option in get_args(at) if option is not type(None)]
        return _choose(models[0], part) if models else (None, False)
    return at, False
