"""YAML and JSON files from strangers: read as plain data, with limits, faults by line.

YAML is read the way version 1.2 reads it, so that ``no`` and ``2026-01-01`` are
text. Aliases, tags and repeated keys are refused: a few aliases unfold to
gigabytes, tags build objects, and of two equal keys one would be lost.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import orjson
import yaml

from weft.cli._base.sources import fault, is_yaml, read_bytes, source_name
from weft.core.errors import ValidationError
from weft.core.reasons import Rule

__all__ = [
    "LOADER",
    "MAX_DEPTH",
    "MAX_VALUES",
    "documents_of",
    "is_json",
    "one_object",
    "read_documents",
    "text_of",
]

MAX_DEPTH: Final = 64
"""A workflow holds schemas and inputs, each of at most 32 levels, within its own few."""

MAX_VALUES: Final = 100_000
"""In the YAML of definitions: objects, lists and scalars, keys and ends included."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc] # which of the two bases it is depends on how PyYAML was built
    """The safe loader with the scalars of JSON, text keys only, and no repeated key."""

    yaml_implicit_resolvers: Final[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build an object, refusing what JSON cannot say."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is not text; put it in quotes", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


LOADER: Final[Any] = _Loader
"""What reads YAML."""


def read_documents(source: str) -> list[tuple[str, dict[str, Any]]]:
    """Read every object of a file (``-``: stdin), each with the name that messages give it.

    Raises:
        ValidationError: The file cannot be read, is too large, or is no JSON or YAML of objects.
    """
    return documents_of(read_bytes(source), source)


def documents_of(data: bytes, source: str) -> list[tuple[str, dict[str, Any]]]:
    """Read the same from the content of the file.

    Raises:
        ValidationError: It is no JSON or YAML of objects.
    """
    name = source_name(source)
    if not data.strip():
        raise fault(name, "is empty", Rule.REQUIRED)
    found = [item for item in _parse(data, source, MAX_VALUES) if item is not None]
    if not found:
        raise fault(name, "holds no document", Rule.REQUIRED)
    named = [
        (name if len(found) == 1 else f"{name} (document {number})", item)
        for number, item in enumerate(found, 1)
    ]
    for label, item in named:
        if not isinstance(item, dict):
            raise fault(label, f"holds {_kind(item)}, not an object", Rule.INVALID)
    return named


def one_object(data: bytes, source: str) -> dict[str, Any]:
    """Read the one object of a file.

    Raises:
        ValidationError: It is no YAML, or holds something else.
    """
    documents = _parse(data, source) or [{}]
    if len(documents) > 1:
        raise fault(source_name(source), f"holds {len(documents)} documents, not one", Rule.INVALID)
    if not isinstance(documents[0], dict):
        raise fault(source_name(source), f"holds {_kind(documents[0])}, not an object", Rule.PAYLOAD_INVALID)
    return documents[0]


def _parse(data: bytes, source: str, most: int | None = None) -> list[Any]:
    """Read JSON where the name or the first character says so, YAML elsewhere."""
    name = source_name(source)
    return [_parse_json(data, name)] if is_json(data, source) else _parse_yaml(data, name, most)


def is_json(data: bytes, source: str) -> bool:
    """Tell whether a file is JSON: its name says so, or says nothing and it begins like an object."""
    return source.lower().endswith(".json") or (not is_yaml(source) and data.lstrip().startswith(b"{"))


def _parse_json(data: bytes, name: str) -> Any:
    try:
        return orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise fault(name, f"is not JSON: {error}", Rule.INVALID) from None


def _parse_yaml(data: bytes, name: str, most: int | None) -> list[Any]:
    text = text_of(data, name)
    try:
        _check_events(text, name, most)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise _yaml_fault(name, _in_words(error, text), error.problem_mark) from None
    except (yaml.YAMLError, ValueError) as error:
        raise fault(name, f"is not YAML: {error}", Rule.INVALID) from None


def text_of(data: bytes, name: str) -> str:
    """Return the text of a YAML file.

    Raises:
        ValidationError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(name, f"is not UTF-8: byte {error.start} is {error.reason}", Rule.INVALID) from None


def _check_events(text: str, name: str, most: int | None) -> None:
    """Refuse aliases, tags, deep nesting and very many values before anything is built."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if most is not None and number > most:
            raise _yaml_fault(name, f"holds more than {most:,} values", event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise _yaml_fault(
                name, f"the alias *{event.anchor} is not allowed; write it out", event.start_mark
            )
        tag = getattr(event, "tag", None)
        if tag:
            raise _yaml_fault(name, f"the tag {tag} is not allowed", event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _yaml_fault(name, f"nests deeper than {MAX_DEPTH} levels", event.start_mark)


def _in_words(error: yaml.MarkedYAMLError, text: str) -> str:
    """Say what the parser means, where people get it wrong most often."""
    problem = error.problem or "cannot be read"
    if "nesting depth" in problem:  # of libyaml since 0.2.6, which reads ahead
        return f"nests deeper than {MAX_DEPTH} levels"
    if error.problem_mark is None:
        return problem
    line = "".join(text.splitlines()[error.problem_mark.line :][:1])
    if problem.startswith("found character") and line[error.problem_mark.column :].startswith("\t"):
        return "a tab; indent YAML with spaces"
    if "flow" in str(error.context) and _BARE_EXPRESSION.search(line):
        return f'{problem}; quote "${{…}}" inside {{…}} and […]'
    return problem


_BARE_EXPRESSION: Final = re.compile(r"[\s:,\[]\$\{")
"""An expression whose brace is read as that of an object."""


def _yaml_fault(name: str, problem: str, mark: Any) -> ValidationError:
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return fault(name, f"{where}{problem}", Rule.INVALID)


def _kind(value: object) -> str:
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
