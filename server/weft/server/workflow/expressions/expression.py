"""One CEL expression: compiled once, evaluated often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from weft.core.payload import MAX_PAYLOAD_BYTES
from weft.server.workflow.expressions import cost as _cost
from weft.server.workflow.expressions.cel import cel
from weft.server.workflow.expressions.faults import CompileError, evaluation_fault, syntax_fault
from weft.server.workflow.expressions.syntax import Group, Mention, parse
from weft.server.workflow.expressions.values import EvaluationError, kind_of, to_json

__all__ = [
    "FUNCTIONS",
    "TYPE_NAMES",
    "CompileError",
    "Expression",
    "RunningScope",
    "compile_expression",
]

TYPE_NAMES: Final = frozenset(
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint"]
)
"""What ``type(x)`` is compared with; they need no declaration."""
FUNCTIONS: Final = frozenset(
    [
        "bytes",
        "contains",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "has",
        "hasValue",
        "int",
        "matches",
        "none",
        "of",
        "ofNonZeroValue",
        "or",
        "orValue",
        "size",
        "startsWith",
        "string",
        "timestamp",
        "type",
        "uint",
        "value",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
    ]
)
"""What the library can call, beside comprehensions and operators."""

_MAYBE_THERE: Final = frozenset({"error"})
"""Names that are not there on some ways: `has()` may ask for their members all the same."""
_JSON_ROOTS: Final = frozenset({"input", "steps", "vars", "item", "output"})
"""Values that came as JSON and need no second look."""


class RunningScope:
    """The values of one rendering, handed to the library at most once.

    Only what the expressions mention is handed over: converting a value costs
    as much as reading it.
    """

    __slots__ = ("_context", "_mentions", "_room", "_sizes", "_texts", "_work", "values")

    def __init__(self, values: Mapping[str, Any], mentioned: tuple[Mention, ...]) -> None:
        self.values = values
        self._mentions = mentioned
        self._context: cel.Context | None = None
        self._work = 0
        self._room = MAX_PAYLOAD_BYTES
        self._sizes: dict[int, int] = {}
        self._texts: dict[int, int] = {}

    def resolve(self, mention: Mention) -> Any:
        """Return the value that a variable and literal members lead to."""
        if mention.root not in self.values:
            raise EvaluationError(f"no value {mention.root!r}")
        value = self.values[mention.root]
        for member in mention.members:
            value = _member(value, member)
        return value

    def context(self) -> cel.Context:
        """Return the values in the form of the library."""
        if self._context is None:
            self._context = cel.Context(variables=_project(self.values, self._mentions))
        return self._context

    def charge(self, group: Group) -> None:
        """Refuse to go on when everything so far, and this, may be too much work."""
        self._work += _cost.bound(group, self._size)
        if self._work > _cost.MAX_WORK:
            raise EvaluationError(
                f"over these values it could take more than {_cost.MAX_WORK:,} steps; "
                "use a smaller list, or an action"
            )

    def _size(self, mention: Mention) -> tuple[int, int]:
        value: Any = self.values.get(mention.root)
        for member in mention.members:
            try:
                value = _member(value, member)
            except EvaluationError:
                break
        size = self._sizes.get(id(value))
        if size is None:
            size = self._sizes[id(value)] = _cost.size_of(value)
        return size, len(value) if isinstance(value, dict | list) else 1

    def take(self, value: Any, *, shared: bool) -> None:
        """Refuse to go on when what was rendered so far is larger than a payload may be.

        A ``shared`` value is one of the scope, and measured once.
        """
        if isinstance(value, str):
            self._room -= len(value)
        elif isinstance(value, dict | list):
            length = self._texts.get(id(value)) if shared else None
            if length is None:
                length = _text_length(value)
                if shared:
                    self._texts[id(value)] = length
            self._room -= length
        if self._room < 0:
            raise EvaluationError(f"with it the rendered object is over {MAX_PAYLOAD_BYTES:,} bytes")


class Expression:
    """A compiled expression.

    Attributes:
        source: What stands between ``${`` and ``}``.
        mentions: The variables it uses, with their literal members.
        functions: The functions it calls.
        group: Its chains.
    """

    __slots__ = ("_evaluate", "functions", "group", "mentions", "path_only", "source")

    def __init__(self, source: str, program: cel.Program, group: Group) -> None:
        self.source = source
        self.mentions = tuple(dict.fromkeys(_cost.mentions(group)))
        self.functions = frozenset(_cost.calls(group))
        self.group = group
        self.path_only = _only_mention(group)
        self._evaluate = self._choose(program)

    def evaluate(self, scope: RunningScope) -> Any:
        """Return the value as JSON has it.

        Raises:
            EvaluationError: It has none, or JSON cannot say it.
        """
        return self._evaluate(scope)

    def _choose(self, program: cel.Program) -> Callable[[RunningScope], Any]:
        """Take the shortest way there is: a plain path needs no library, and copies nothing."""
        path = self.path_only
        if path is not None:
            if path.root in _JSON_ROOTS:
                return lambda scope: _taken(scope, scope.resolve(path), shared=True)
            return lambda scope: _taken(scope, to_json(scope.resolve(path), 1))
        if _cost.is_risky(self.group):
            return lambda scope: self._charged(program, scope)
        return lambda scope: self._execute(program, scope)

    def _charged(self, program: cel.Program, scope: RunningScope) -> Any:
        scope.charge(self.group)
        return self._execute(program, scope)

    def _execute(self, program: cel.Program, scope: RunningScope) -> Any:
        try:
            value = program.execute(scope.context())
        except Exception as error:  # whatever the library raises, the author of the expression is told
            raise EvaluationError(evaluation_fault(error, self.group, scope.values)) from None
        return _taken(scope, to_json(value, 1))


def compile_expression(source: str) -> Expression:
    """Compile what stands between ``${`` and ``}``.

    Raises:
        CompileError: It is no CEL, or its comprehensions nest too deep.
    """
    if not source.strip():
        raise CompileError("it is empty")
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise syntax_fault(source, str(error)) from None
    group = parse(source)
    if _cost.nesting(group) > _cost.MAX_NESTING:
        raise CompileError(f"comprehensions nest deeper than {_cost.MAX_NESTING} levels")
    return Expression(source, program, group)


def _taken(scope: RunningScope, value: Any, *, shared: bool = False) -> Any:
    scope.take(value, shared=shared)
    return value


def _text_length(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return 0  # JSON cannot say it: that is told when the whole is written


def _only_mention(group: Group) -> Mention | None:
    """Return the path that an expression is, when it is nothing else."""
    if len(group.chains) != 1 or len(group.chains[0]) != 1:
        return None
    only = group.chains[0][0]
    return only if isinstance(only, Mention) and only.root not in TYPE_NAMES else None


def _member(value: Any, member: str | int) -> Any:
    """Take one member, with the outcomes that the library has."""
    if isinstance(value, dict):
        if member in value:
            return value[member]
        raise EvaluationError(f"no such key {member!r}")
    if isinstance(value, list) and isinstance(member, int):
        if member < len(value):
            return value[member]
        raise EvaluationError(f"index out of bounds: {member}")
    raise EvaluationError(f"a {kind_of(value)} has no member {member!r}")


def _project(values: Mapping[str, Any], mentioned: tuple[Mention, ...]) -> dict[str, Any]:
    """Copy of the values only what is mentioned; what does not exist is left out."""
    shortest: list[tuple[str, ...]] = []
    for path in sorted(_names(mention) for mention in mentioned):
        if not shortest or path[: len(shortest[-1])] != shortest[-1]:
            shortest.append(path)
    found: dict[str, Any] = {path[0]: {} for path in shortest if path[0] in _MAYBE_THERE}
    for path in shortest:
        _copy_path(values, found, path)
    return found


def _names(mention: Mention) -> tuple[str, ...]:
    names = [mention.root]
    for member in mention.members:
        if isinstance(member, int):
            break
        names.append(member)
    return tuple(names)


def _copy_path(source: Mapping[str, Any], target: dict[str, Any], path: tuple[str, ...]) -> None:
    for name in path[:-1]:
        if name not in source:
            return
        inner = source[name]
        if not isinstance(inner, dict):
            target[name] = inner
            return
        source, target = inner, target.setdefault(name, {})
    if path[-1] in source:
        target[path[-1]] = source[path[-1]]
