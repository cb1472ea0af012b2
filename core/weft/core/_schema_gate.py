"""What a stranger's schema must be before it is compiled: small, shallow, and without remote references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from weft.core._schema_refs import is_pointer, join_path
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["MAX_SCHEMA_BYTES", "MAX_SCHEMA_DEPTH", "check_shape", "fault", "pattern_size_limit"]

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_SCHEMA_DEPTH: Final = 32
MAX_SCHEMA_NODES: Final = 2_000
MAX_PATTERNS: Final = 500
MAX_PATTERN_CHARACTERS: Final = 16 * 1024
"""Of all patterns of a schema."""

_PATTERN_BYTES: Final = 2 * 1024 * 1024
"""Memory that one compiled pattern may take."""
_ALL_PATTERN_BYTES: Final = 16 * 1024 * 1024
"""Memory that the patterns of a schema may take together."""
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_NAMES: Final = ("$id", "$anchor", "$dynamicAnchor")


def fault(field: str, description: str, rule: Rule) -> ValidationError:
    """Return the error of one fault of a schema."""
    return ValidationError([Violation(field, description, rule)])


def check_shape(definition: Mapping[str, Any], field: str) -> None:
    """Check size, depth, number of nodes, references and patterns.

    Raises:
        ValidationError: One of them is over its limit or not allowed.
    """
    _check_size(definition, field)
    _check_nodes(definition, field)
    _check_patterns(definition, field)


def _check_size(definition: Mapping[str, Any], field: str) -> None:
    try:
        size = len(orjson.dumps(definition))
    except (TypeError, RecursionError) as error:
        raise fault(field, f"is not JSON: {error}", Rule.SCHEMA_INVALID) from None
    if size > MAX_SCHEMA_BYTES:
        raise fault(
            field, f"{size:,} bytes are over the limit of {MAX_SCHEMA_BYTES:,}", Rule.SCHEMA_TOO_LARGE
        )


def _check_nodes(definition: Mapping[str, Any], field: str) -> None:
    """Walk the whole schema once: depth, number of nodes, and where references lead."""
    pending: list[tuple[Any, int, str]] = [(definition, 1, field)]
    count = 0
    old = "draft-04" in str(definition.get("$schema", ""))
    names = (*_NAMES, "id") if old else _NAMES
    while pending:
        node, depth, path = pending.pop()
        count += 1
        if depth > MAX_SCHEMA_DEPTH:
            raise fault(field, f"is deeper than {MAX_SCHEMA_DEPTH} levels", Rule.SCHEMA_TOO_DEEP)
        if count > MAX_SCHEMA_NODES:
            raise fault(field, f"has more than {MAX_SCHEMA_NODES:,} nodes", Rule.SCHEMA_TOO_COMPLEX)
        if isinstance(node, Mapping):
            _check_references(node, path)
            if depth > 1:
                _check_names(node, path, names)
        members = node.items() if isinstance(node, Mapping) else enumerate(node)
        pending.extend((item, depth + 1, join_path(path, [key])) for key, item in members if _nests(item))


def _nests(item: object) -> bool:
    return isinstance(item, Mapping | list)


def _check_references(node: Mapping[str, Any], path: str) -> None:
    for keyword in _REFERENCES:
        target = node.get(keyword)
        if not isinstance(target, str):
            continue
        if not target.startswith("#"):
            raise fault(
                join_path(path, [keyword]),
                f"refers to another document, {target[:120]!r}; only references within the schema "
                "(`#/…`) are allowed",
                Rule.SCHEMA_REMOTE_REF,
            )
        if not is_pointer(target):
            raise fault(
                join_path(path, [keyword]),
                f"{target[:120]!r} is no JSON pointer; write references as `#/$defs/name`",
                Rule.SCHEMA_INVALID,
            )


def _check_names(node: Mapping[str, Any], path: str, names: tuple[str, ...]) -> None:
    """Refuse what would change where references within a schema lead to."""
    for keyword in names:
        if isinstance(node.get(keyword), str):
            raise fault(
                join_path(path, [keyword]),
                f"{keyword} is not allowed within a schema; refer to parts of it as `#/$defs/name`",
                Rule.SCHEMA_INVALID,
            )


def _check_patterns(definition: Mapping[str, Any], field: str) -> None:
    count = characters = 0
    for pattern in _patterns(definition):
        count += 1
        characters += len(pattern)
    if count > MAX_PATTERNS:
        raise fault(field, f"has more than {MAX_PATTERNS} patterns", Rule.SCHEMA_TOO_COMPLEX)
    if characters > MAX_PATTERN_CHARACTERS:
        raise fault(
            field,
            f"its patterns have more than {MAX_PATTERN_CHARACTERS:,} characters in all",
            Rule.SCHEMA_TOO_COMPLEX,
        )


def _patterns(definition: Mapping[str, Any]) -> Iterator[str]:
    pending: list[Any] = [definition]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            if isinstance(node.get("patternProperties"), Mapping):
                yield from node["patternProperties"]
        children = node.values() if isinstance(node, Mapping) else node
        pending.extend(item for item in children if _nests(item))


def pattern_size_limit(definition: Mapping[str, Any]) -> int:
    """Return how much memory each pattern may take, so that all of them stay within bounds."""
    count = sum(1 for _ in _patterns(definition))
    return min(_PATTERN_BYTES, _ALL_PATTERN_BYTES // max(1, count))
