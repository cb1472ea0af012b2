"""JSON Schemas: refused when they are dangerous, compiled once, then enforced.

A schema comes from a stranger. Before it is compiled it must be small, shallow
and free of remote references, and its references must not multiply work: a
chain of 30 definitions that each name the next one twice is 2 KB of text and
2^30 checks. What a schema makes of a value is bounded before it is begun: see
``_schema_work``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from weft.core._schema_faults import faults_of, shorten
from weft.core._schema_gate import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    check_shape,
    fault,
    pattern_size_limit,
)
from weft.core._schema_refs import join_path, resolve_local
from weft.core._schema_work import Bounds, bounds_of
from weft.core._value_sizes import sizes_of, work
from weft.core.errors import Violation
from weft.core.reasons import Rule

__all__ = [
    "ANY_OBJECT",
    "MAX_SCHEMA_BYTES",
    "Schema",
    "compile_schema",
    "join_path",
    "resolve_local",
    "schema_of",
]

MAX_CHECKS: Final = 4_000_000
"""Checks that one value may take: a fraction of a second."""
_FEW_CHECKS: Final = 12
"""A schema that makes no more checks of any part of a value needs no look at its size."""
_MAX_REPORT: Final = 50_000
"""Checks after which only the first fault of a value is told: every fault carries its value along."""
_MAX_VIOLATIONS: Final = 100


class Schema:
    """A compiled JSON Schema of an object.

    Attributes:
        definition: The schema as it was given.
        properties: The names it gives to members of the object, with their subschemas.
        required: The names that a value must have.
        top: The part that names the members: where references at the top lead to.
        closed: Whether other names are refused.
    """

    __slots__ = (
        "_bounds",
        "_light",
        "_validator",
        "closed",
        "definition",
        "properties",
        "required",
        "top",
    )

    def __init__(
        self, definition: Mapping[str, Any], validator: jsonschema_rs.Validator, bounds: Bounds
    ) -> None:
        self.definition = definition
        self._validator = validator
        self._bounds = bounds
        self._light = max(bounds.checks[1:]) <= _FEW_CHECKS
        self.top = top = _resolve_top(definition)
        properties = top.get("properties", {})
        self.properties: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        self.required: tuple[str, ...] = tuple(top.get("required", ()))
        self.closed: bool = top.get("additionalProperties") is False

    def violations(self, value: object, field: str = "") -> list[Violation]:
        """Return every fault of a value, by its path below ``field``; none when it fits.

        Of a large value only the first one. A value that would take too many
        checks is not held against the schema: that is its fault.
        """
        if not self._light and work(sizes_of(value), self._bounds.checks) > MAX_CHECKS:
            return [_too_much(field)]
        if self._validator.is_valid(value):
            return []
        sizes = sizes_of(value)
        below = [sum(sizes[level:]) for level in range(len(sizes))]
        if work(below, self._bounds.errors) <= _MAX_REPORT:
            return self._all(value, field)
        return [self._first(value, field, work(sizes, self._bounds.errors))]

    def _all(self, value: object, field: str) -> list[Violation]:
        found: list[Violation] = []
        for error in self._validator.iter_errors(value):
            found.extend(faults_of(error, field))
            if len(found) >= _MAX_VIOLATIONS:
                break
        return found[:_MAX_VIOLATIONS]

    def _first(self, value: object, field: str, checks: int) -> Violation:
        """Return the first fault; combinations are told as one, for each branch has as many as it likes."""
        if checks <= MAX_CHECKS:
            try:
                _compile(_without_branches(self.definition)).validate(value)
            except jsonschema_rs.ValidationError as error:
                return next(faults_of(error, field))
            except (jsonschema_rs.ReferencingError, ValueError):
                pass  # a reference led into a combination: what is wrong stays untold
        return Violation(
            field, "does not fit its schema; it is too large to tell where", Rule.SCHEMA_MISMATCH
        )


def compile_schema(definition: Mapping[str, Any], field: str = "") -> Schema:
    """Check a schema and compile it.

    Raises:
        ValidationError: It is no JSON Schema, or over a limit, or refers to
            another document.
    """
    check_shape(definition, field)
    bounds = bounds_of(definition, field)
    try:
        validator = _compile(definition)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise fault(_error_path(field, error), _first_line(error), Rule.SCHEMA_INVALID) from None
    return Schema(definition, validator, bounds)


def _compile(definition: Any) -> jsonschema_rs.Validator:
    limit = pattern_size_limit(definition)
    return jsonschema_rs.validator_for(
        definition,
        offline=True,
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=limit, dfa_size_limit=limit),
    )


def _without_branches(node: Any) -> Any:
    """Return a schema that takes the same values, and of a combination only says that it does not fit."""
    if isinstance(node, list):
        return [_without_branches(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    found = {name: _without_branches(item) for name, item in node.items()}
    for keyword in ("anyOf", "oneOf"):
        if isinstance(found.get(keyword), list):
            every = found.get("allOf")
            branches = {"not": {"not": {keyword: found.pop(keyword)}}}
            found["allOf"] = [*every, branches] if isinstance(every, list) else [branches]
    return found


def _too_much(field: str) -> Violation:
    return Violation(
        field,
        f"would take more than {MAX_CHECKS:,} checks against its schema; "
        "a simpler schema or a smaller value is needed",
        Rule.SCHEMA_TOO_COMPLEX,
    )


def _resolve_top(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow the references at the top, so that generated schemas show their members."""
    node: object = definition
    for _ in range(MAX_SCHEMA_DEPTH):
        if not isinstance(node, Mapping) or not isinstance(node.get("$ref"), str) or "properties" in node:
            break
        node = resolve_local(definition, node["$ref"])
    return node if isinstance(node, Mapping) else {}


def _error_path(field: str, error: Exception) -> str:
    if isinstance(error, jsonschema_rs.ValidationError):
        return join_path(field, error.instance_path)
    return field


def _first_line(error: Exception) -> str:
    text = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
    if text.endswith('is not a "regex"'):
        text += ", or too large when it is compiled"
    return shorten(f"is no JSON Schema: {text.splitlines()[0] if text else type(error).__name__}")


ANY_OBJECT: Final = compile_schema({"type": "object"})
"""What an action or workflow without a schema takes."""


def schema_of(definition: Mapping[str, Any] | None) -> Schema:
    """Compile a schema, or return the one that takes any object where there is none.

    Raises:
        ValidationError: As ``compile_schema``.
    """
    return ANY_OBJECT if definition is None else compile_schema(definition)
