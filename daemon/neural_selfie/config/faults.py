"""Faults of a configuration in the words of the person who wrote it: file, line, key, bad value, what would be right.

It knows YAML and pydantic's errors, and nothing of what the settings mean.
"""

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from neural_selfie.errors import ConfigError
from neural_selfie.files.names import shown

_ENTRIES_MAX = 20_000  # aliases written out: a text of ten lines can stand for more than any memory holds
_DEPTH_MAX = 32
_FAULTS_MAX = 20  # told at once
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: an escape can make one, and no file can hold it
_TEXT_TAG, _MERGE_TAG = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_CONSTRUCTORS_RAISE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)  # `!!int ""`, `!!bool x`
Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Reads a date as text: nothing here is a date, but a folder may be called like one.

    Brackets in brackets end at a depth: PyYAML looks ahead in all of them at once, which takes a second for a kilobyte.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared by PyYAML, as an attribute of instances
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - as PyYAML calls it
        if self.flow_level > _DEPTH_MAX:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)


@dataclass(frozen=True, slots=True)
class Lines:
    """The data of a YAML text and the line that each key stands on."""

    source: str
    data: dict[str, Any]
    numbers: Mapping[Path, int]

    @classmethod
    def of(cls, text: str, source: str) -> "Lines":
        """Given YAML text, return its data and lines; raise ConfigError if it is no mapping or names a key twice."""
        data, numbers = _read(text, source)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: expected `key: value` lines, found {_KINDS.get(type(data), 'one value')}.")
        return cls(source, data, numbers)

    def line(self, path: Path) -> int | None:
        """Given a key path, return the line of it, or of the nearest section around it that has one."""
        found = (self.numbers.get(path[:length]) for length in range(len(path), 0, -1))
        return next((number for number in found if number is not None), None)

    def where(self, path: Path) -> str:
        """Given a key path, return file and line of it, as far as there is one."""
        number = self.line(path)
        return self.source if number is None else f"{self.source}, line {number}"


def yaml_value(text: str, source: str) -> Any:
    """Given the text of one value, return it as YAML reads it; raise ConfigError if it is not valid."""
    try:
        return _read(text, source)[0]
    except ConfigError as error:
        raise ConfigError(f"{source}: {_shown(text)} is not valid YAML; put it in quotes if it is text.") from error


_KINDS: dict[type, str] = {list: "a list", str: "a text"}


def _read(text: str, source: str) -> tuple[Any, dict[Path, int]]:
    """Given YAML text, return its data and the line of each key; raise ConfigError for what no configuration needs.

    Lines, size and depth are taken from the nodes before anything is built from them: a bomb never goes off.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            numbers = _lines_of(node, source) if node else {}
            return (loader.construct_document(node) if node else None), numbers
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        problem = shown(error.problem or error.context or "")
        raise ConfigError(f"{source}{where}: not valid YAML: {_cut(problem, 200)}.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = ascii(text[error.position])
        raise ConfigError(f"{source}, line {line}: not valid YAML: the character {character} is not allowed.") from None
    except RecursionError:
        raise _too_deep(source) from None
    except _CONSTRUCTORS_RAISE:
        raise ConfigError(
            f"{source}: a value looks like a number, or has a tag, and cannot be read as that: put text in quotes."
        ) from None


def _lines_of(root: yaml.Node, source: str) -> dict[Path, int]:
    numbers: dict[Path, int] = {}
    for path, line in _walk(root, (), source):
        numbers[path] = line
        if len(numbers) > _ENTRIES_MAX:
            raise ConfigError(f"{source}: more than {_ENTRIES_MAX} keys and values, aliases written out: refused.")
    return numbers


def _walk(node: yaml.Node, path: Path, source: str) -> Iterator[tuple[Path, int]]:
    if len(path) > _DEPTH_MAX:
        raise _too_deep(source)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = _key(key, f"{source}, line {line}")
            if name in seen:
                raise ConfigError(
                    f"{source}, line {line}: {_shown(name)} stands here and on line {seen[name]}: keep one."
                )
            seen[name] = line
            yield (*path, name), line
            yield from _walk(value, (*path, name), source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _walk(value, (*path, index), source)
    elif _SURROGATE.search(node.value):
        raise ConfigError(f"{source}, line {node.start_mark.line + 1}: {_shown(node.value)} is no whole text.")


def _key(node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{where}: a list or section cannot be a key.")
    name = str(node.value)
    if node.tag not in {_TEXT_TAG, _MERGE_TAG} or _SURROGATE.search(name):
        raise ConfigError(f"{where}: the key {_shown(name)} is no text to YAML: put it in quotes.")
    return name


def _too_deep(source: str) -> ConfigError:
    return ConfigError(f"{source}: not valid YAML: nested too deeply, or part of itself.")


UNKNOWN_KEY = "unknown_key"  # as pydantic's extra_forbidden, with the known keys in its context
LACKING = "lacking"  # as pydantic's missing, with what the value is for as its message
_SECTION, _LIST = "expected `key: value` lines below it", "expected a list, such as [one, two]"
_EXPECTED = {
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _SECTION),
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    **dict.fromkeys(("too_short", "string_too_short"), "expected at least one"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "expected a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    "string_type": "expected text; put it in quotes",
    "string_pattern_mismatch": "it has another form",
    "path_type": "expected a path",
}


def explained(
    error: ValidationError, lines: Lines, variables: Mapping[tuple[str, ...], str], model: type[BaseModel]
) -> str:
    """Given pydantic's error, return one line for each fault, in the order of the file."""
    places = [(detail, _without_tags(detail["loc"], model)) for detail in error.errors(include_url=False)]
    outer = {place.path[:length] for _, place in places for length in range(1, len(place.path))}
    inner = [
        (detail, place) for detail, place in places if place.path not in outer
    ]  # the fault further in says it better
    told: dict[str, None] = {}
    more = 0
    for detail, place in sorted(inner, key=lambda pair: lines.line(pair[1].path) or 0):
        variable = next((name for key, name in variables.items() if place.path[: len(key)] == key), None)
        where = f"environment variable {variable}" if variable else lines.where(place.path)
        if len(told) < _FAULTS_MAX:
            told.setdefault(f"{where}: {_fault(detail, place)}")
        else:
            more += 1
    return "\n".join([*told, *([f"... and {more} more."] if more else [])])


def _fault(detail: ErrorDetails, place: "_Place") -> str:
    path = place.path
    key = _dotted(path)
    if detail["type"] in {"extra_forbidden", UNKNOWN_KEY}:
        known = detail.get("ctx", {}).get("known", place.known)
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
        return f"{key}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{key}: is missing."
    if detail["type"] == LACKING:
        return f"{key}: is missing: {detail['msg']}."
    message = _EXPECTED.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    message = (message[:1].lower() + message[1:]).replace("input should be", "expected")
    shown = _shown(detail["input"])
    if detail["type"] == "union_tag_invalid":
        message = f"expected one of {detail['ctx']['expected_tags']}"
        key, shown = f"{key}.engine", repr(detail["ctx"]["tag"])
    if not path:
        return f"{message}."
    if isinstance(detail["input"], Mapping) and detail["type"] == "value_error":
        return f"{key}: {message.splitlines()[0]}."
    meaning = f" ({place.description})" if place.description and place.description not in message else ""
    return f"{key}: {shown} is not right: {message}{meaning}."


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "this number"
    return _cut(text)


def _cut(text: str, length: int = 80) -> str:  # by default one line on a terminal
    return text if len(text) < length else f"{text[: length - 3]}..."


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_cut(shown(part))}" if text else _cut(shown(part))
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
        if tagged or part == "[key]":  # so pydantic marks a fault of the key itself
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
