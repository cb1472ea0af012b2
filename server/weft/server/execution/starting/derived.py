"""What a workflow says of its executions, worked out when one is started: its search attributes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from weft.core.context import CallContext
from weft.core.errors import PreconditionError, ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.server.execution.starting.attributes import Attributes, attribute_faults
from weft.server.workflow.expressions.template import Template, compile_template
from weft.server.workflow.model import Workflow

__all__ = ["DerivedAttributes"]

_FIELD: Final = "workflow.search_attributes"


class _Known(NamedTuple):
    """The search attributes of a workflow's version, each compiled by itself."""

    templates: Mapping[str, Template]


class DerivedAttributes:
    """Works out search attributes from the input and the context of an execution.

    Args:
        size: Of how many versions the expressions are kept compiled.
    """

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    def of(
        self, workflow: Workflow, value: JsonObject, context: CallContext, given: Attributes
    ) -> Attributes:
        """Return what an execution can be found by: what its starter gave, and what its workflow adds.

        An expression that gives null adds nothing.

        Raises:
            ValidationError: Expressions that fail, or give what is no attribute; all of them.
        """
        if not workflow.definition.search_attributes:
            return given
        scope = {"input": value, "context": {"project_id": "", "request_id": "", **context.flat()}}
        found: dict[str, Any] = {}
        faults: list[Violation] = []
        for name, template in self._compiled(workflow).templates.items():
            if name not in given:
                try:
                    found[name] = template.render(scope)["value"]
                except PreconditionError as error:
                    faults.append(Violation(f"{_FIELD}.{name}", _why(error), Rule.INVALID))
        faults += _faults(found)
        added = {name: item for name, item in found.items() if item is not None}
        faults += attribute_faults({**added, **given}, _FIELD) if not faults else ()
        if faults:
            raise ValidationError(faults, metadata={"workflow": workflow.name})
        return {**added, **given}

    def _compiled(self, workflow: Workflow) -> _Known:
        key = (workflow.id, workflow.version)
        known = self._known.get(key)
        if known is None:
            wanted = workflow.definition.search_attributes
            known = self._known[key] = _Known(
                {name: compile_template({"value": text}, f"{_FIELD}.{name}") for name, text in wanted.items()}
            )
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known


def _why(error: PreconditionError) -> str:
    """Say what is wrong with an expression; where that is, is said beside it."""
    known = error.metadata
    return f"{known['expression']!r}: {known['error']}" if "expression" in known else error.message


def _faults(found: Mapping[str, Any]) -> Iterator[Violation]:
    for name, value in found.items():
        if value is not None and not isinstance(value, str | int | float):
            kind = "a list" if isinstance(value, list) else "an object"
            text = f"is {kind}, and neither text nor a number nor true or false"
            yield Violation(f"{_FIELD}.{name}", text, Rule.TYPE_MISMATCH)
