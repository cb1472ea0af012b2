"""JSON Schemas: refused when they are dangerous, compiled once, then enforced.

A schema comes from a stranger. Before it is compiled it must be small, shallow
and free of remote references, and its references must not multiply work: a
chain of 30 definitions that each name the next one twice is 2 KB of text and
2^30 checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import jsonschema_rs
import orjson

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["ANY_OBJECT", "MAX_SCHEMA_BYTES", "Schema", "compile_schema", "join_path", "resolve_local"]

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_SCHEMA_DEPTH: Final = 32
MAX_SCHEMA_NODES: Final = 2_000
MAX_SCHEMA_WORK: Final = 20_000
"""Upper bound of subschemas that one value may be held against, references unfolded."""
_MAX_VIOLATIONS: Final = 100

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_IN_PLACE_ONE = ("not", "if", "then", "else", "$ref", "$dynamicRef", "$recursiveRef")


class Schema:
    """A compiled JSON Schema of an object.

    Attributes:
        definition: The schema as it was given.
        properties: The names it gives to members of the object, with their subschemas.
        required: The names that a value must have.
        top: The part that names the members: where references at the top lead to.
        closed: Whether other names are refused.
    """

    __slots__ = ("_validator", "closed", "definition", "properties", "required", "top")

    def __init__(self, definition: Mapping[str, Any], validator: jsonschema_rs.Validator) -> None:
        self.definition = definition
        self._validator = validator
        self.top = top = _resolve_top(definition)
        properties = top.get("properties", {})
        self.properties: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        self.required: tuple[str, ...] = tuple(top.get("required", ()))
        self.closed: bool = top.get("additionalProperties") is False

    def violations(self, value: object, field: str = "") -> list[Violation]:
        """Return every fault of a value, by its path below ``field``; none when it fits."""
        if self._validator.is_valid(value):
            return []
        found: list[Violation] = []
        for error in self._validator.iter_errors(value):
            path = join_path(field, error.instance_path)
            found.append(Violation(path, _shorten(error.message), Rule.SCHEMA_MISMATCH))
            if len(found) == _MAX_VIOLATIONS:
                break
        return found


def compile_schema(definition: Mapping[str, Any], field: str = "") -> Schema:
    """Check a schema and compile it.

    Raises:
        ValidationError: It is no JSON Schema, or over a limit, or refers to
            another document.
    """
    _check_size(definition, field)
    _check_nodes(definition, field)
    try:
        validator = jsonschema_rs.validator_for(
            definition,  # type: ignore[arg-type] # any mapping works, the stub names dict
            offline=True,
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise _fault(_error_path(field, error), _first_line(error), Rule.SCHEMA_INVALID) from None
    _check_work(definition, field)
    return Schema(definition, validator)


def _check_size(definition: Mapping[str, Any], field: str) -> None:
    try:
        size = len(orjson.dumps(definition))
    except (TypeError, RecursionError) as error:
        raise _fault(field, f"is not JSON: {error}", Rule.SCHEMA_INVALID) from None
    if size > MAX_SCHEMA_BYTES:
        raise _fault(
            field, f"{size:,} bytes are over the limit of {MAX_SCHEMA_BYTES:,}", Rule.SCHEMA_TOO_LARGE
        )


def _check_nodes(definition: Mapping[str, Any], field: str) -> None:
    """Walk the whole schema once: depth, number of nodes, and where references lead."""
    pending: list[tuple[Any, int, str]] = [(definition, 1, field)]
    count = 0
    while pending:
        node, depth, path = pending.pop()
        count += 1
        if depth > MAX_SCHEMA_DEPTH:
            raise _fault(field, f"is deeper than {MAX_SCHEMA_DEPTH} levels", Rule.SCHEMA_TOO_DEEP)
        if count > MAX_SCHEMA_NODES:
            raise _fault(field, f"has more than {MAX_SCHEMA_NODES:,} nodes", Rule.SCHEMA_TOO_COMPLEX)
        if isinstance(node, Mapping):
            _check_references(node, path)
        members = node.items() if isinstance(node, Mapping) else enumerate(node)
        pending.extend((item, depth + 1, join_path(path, [key])) for key, item in members if _nests(item))


def _nests(item: object) -> bool:
    return isinstance(item, Mapping | list)


def _check_references(node: Mapping[str, Any], path: str) -> None:
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        target = node.get(keyword)
        if isinstance(target, str) and not target.startswith("#"):
            raise _fault(
                join_path(path, [keyword]),
                f"refers to another document, {target[:120]!r}; only references within the schema "
                "(`#/…`) are allowed",
                Rule.SCHEMA_REMOTE_REF,
            )


def _check_work(definition: Mapping[str, Any], field: str) -> None:
    """Bound how many subschemas apply to one and the same value, references unfolded."""
    known: dict[int, int] = {}
    open_nodes: set[int] = set()

    def work(node: object) -> int:
        if not isinstance(node, Mapping):
            return 1
        key = id(node)
        if key in known:
            return known[key]
        if key in open_nodes:
            return 1  # a cycle that consumes nothing: the validator itself cuts it
        open_nodes.add(key)
        total = 1 + sum(work(child) for child in _in_place_children(node, definition))
        open_nodes.discard(key)
        known[key] = min(total, MAX_SCHEMA_WORK + 1)
        return known[key]

    pending: list[Any] = [definition]
    while pending:
        node = pending.pop()
        if work(node) > MAX_SCHEMA_WORK:
            raise _fault(
                field,
                f"references and combinations unfold to over {MAX_SCHEMA_WORK:,} checks of one value",
                Rule.SCHEMA_TOO_COMPLEX,
            )
        children = node.values() if isinstance(node, Mapping) else node
        pending.extend(item for item in children if _nests(item))


def _in_place_children(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterable[object]:
    """Yield the subschemas that apply to the same value as the node itself."""
    for keyword in _IN_PLACE:
        branches = node.get(keyword)
        if isinstance(branches, list):
            yield from branches
    for keyword in _IN_PLACE_ONE:
        if keyword in node:
            child = node[keyword]
            yield resolve_local(root, child) if isinstance(child, str) else child
    dependent = node.get("dependentSchemas")
    if isinstance(dependent, Mapping):
        yield from dependent.values()


def resolve_local(root: Mapping[str, Any], reference: object) -> object:
    """Follow a JSON pointer within a schema; what cannot be followed is the schema that takes anything."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return True
    node: Any = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return True
    return node


def _resolve_top(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow the references at the top, so that generated schemas show their members."""
    node: object = definition
    for _ in range(MAX_SCHEMA_DEPTH):
        if not isinstance(node, Mapping) or not isinstance(node.get("$ref"), str) or "properties" in node:
            break
        node = resolve_local(definition, node["$ref"])
    return node if isinstance(node, Mapping) else {}


def join_path(field: str, parts: Iterable[str | int]) -> str:
    """Extend a dotted path: ``a``, ``[b, 0]`` → ``a.b[0]``."""
    path = field
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _error_path(field: str, error: Exception) -> str:
    if isinstance(error, jsonschema_rs.ValidationError):
        return join_path(field, error.instance_path)
    return field


def _first_line(error: Exception) -> str:
    text = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
    return _shorten(f"is no JSON Schema: {text.splitlines()[0] if text else type(error).__name__}")


def _shorten(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"


def _fault(field: str, description: str, rule: Rule) -> ValidationError:
    return ValidationError([Violation(field, description, rule)])


ANY_OBJECT: Final = compile_schema({"type": "object"})
"""What an action or workflow without a schema takes."""
