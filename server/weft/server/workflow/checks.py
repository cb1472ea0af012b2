"""Finds everything that is wrong with a definition, at once and before anything is stored.

Errors are certain: what is reported as one fails in every execution that gets
there. Declared members count as all there are, unless a schema is open to more
by saying nothing about members, by combinations (``allOf``, ``anyOf`` …) or by
patterns. Work grows with the size of the definition, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.core.schema import compile_schema
from weft.server.registry.model import Service
from weft.server.workflow._catalog import ANY_PORTS, Catalog
from weft.server.workflow._compat import ANY_SHAPE, Shape, allows_objects, disjoint, show_types
from weft.server.workflow._concurrency import check_concurrency
from weft.server.workflow._flow import Pool, check_implicit
from weft.server.workflow._mapping import Visible, check_mapping
from weft.server.workflow._report import AFTER_STEPS, MAX_PROBLEMS, Known, Report
from weft.server.workflow._structure import MAX_STEPS, check_structure
from weft.server.workflow.dataflow import walk
from weft.server.workflow.model import Definition, Problem, Severity, Step
from weft.server.workflow.template import Template, compile_template

__all__ = ["MAX_EXPRESSION_TEXT", "MAX_PROBLEMS", "MAX_STEPS", "find_problems"]

MAX_EXPRESSION_TEXT: Final = 256 * 1024
"""Characters of all expressions of a definition; compiling that much takes about half a second."""


def find_problems(
    definition: Definition, services: Mapping[str, Service], others: Iterable[str] = ()
) -> list[Problem]:
    """Return every problem: errors first, then warnings, each in the order of the definition.

    Args:
        definition: What to look at; it may be broken in any way.
        services: The registered services that it names, by name; more do no harm.
        others: Names of further services, to suggest one for a name that is not there.

    Returns:
        At most ``MAX_PROBLEMS``, and one more that counts the rest.
    """
    report = Report()
    order = walk(definition)
    check_structure(definition, services, Known((*services, *others)), order, report)
    input_shape = _check_schema(definition.input_schema, "input_schema", report)
    output_shape = _check_schema(definition.output_schema, "output_schema", report)
    check_concurrency(definition.concurrency, report)
    data = _DataCheck(definition, Catalog(services), input_shape, report)
    data.check(order)
    if order and not order[-1].next:
        _check_result(order[-1], data.output_of(order[-1]), output_shape, report)
    return report.problems()


def _check_schema(definition: JsonObject | None, path: str, report: Report) -> Shape:
    """Compile a schema of the workflow; of a broken one nothing is known."""
    if definition is None:
        return ANY_SHAPE
    try:
        schema = compile_schema(definition, path)
    except ValidationError as error:
        for fault in error.violations:
            report.add(AFTER_STEPS, fault.field, fault.reason, fault.description)
        return ANY_SHAPE
    if not allows_objects(schema):
        report.add(AFTER_STEPS, path, Rule.SCHEMA_INVALID, "must allow objects: that is what it is about")
        return ANY_SHAPE
    return Shape(schema)


class _DataCheck:
    """Follows the data through the steps."""

    def __init__(self, definition: Definition, catalog: Catalog, input_shape: Shape, report: Report) -> None:
        self._steps = definition.steps
        self._catalog = catalog
        self._input = input_shape
        self._report = report
        self._known = Known(step.id for step in definition.steps)
        self._text_left = MAX_EXPRESSION_TEXT

    def check(self, order: list[Step]) -> None:
        """Check the steps in the order they run, then those that nothing leads to."""
        index_of = {id(step): index for index, step in reversed(list(enumerate(self._steps)))}
        outputs: dict[str, Shape] = {}
        pool = Pool()
        pool.add(self._input, "the workflow input")
        visible = Visible(input=self._input, steps=self._known, outputs=outputs)
        for step in order:
            self._check_step(index_of[id(step)], step, visible, pool)
            outputs[step.id] = self.output_of(step)
            pool.add(outputs[step.id], f"the output of step {step.id!r}")
        ran = {id(step) for step in order}
        lost = Visible(input=self._input, steps=self._known, outputs={}, ordered=False)
        for index, step in enumerate(self._steps):
            if id(step) not in ran:
                self._check_step(index, step, lost, None)

    def output_of(self, step: Step) -> Shape:
        """Return what is known of a step's output."""
        return (self._catalog.ports(step) or ANY_PORTS).output

    def _check_step(self, index: int, step: Step, visible: Visible, pool: Pool | None) -> None:
        ports = self._catalog.ports(step)
        if step.input is not None:
            template = self._compile(index, step.input)
            if template is not None:
                check_mapping(index, step, template, ports, visible, self._report)
        elif ports is not None and pool is not None:
            check_implicit(index, step, ports, pool, self._report)

    def _compile(self, index: int, value: JsonObject) -> Template | None:
        """Compile a template, unless those before have used up the limit of all."""
        if self._text_left < 0:
            return None
        path = f"steps[{index}].input"
        template = compile_template(value, path)
        self._report.extend(index, template.problems)
        self._text_left -= template.length
        if self._text_left < 0:
            message = (
                f"with this one, expressions are over the limit of {MAX_EXPRESSION_TEXT:,} characters in all"
            )
            self._report.add(index, path, Rule.TOO_LONG, message)
        return template


def _check_result(last: Step, gives: Shape, wanted: Shape, report: Report) -> None:
    """Hold what the last step gives against what the workflow promises."""
    label = f"the output of the last step {last.id!r}"
    for name in dict.fromkeys((*wanted.schema.required, *wanted.schema.properties)):
        given, promised = gives.types(name), wanted.types(name)
        if wanted.requires(name) and gives.lacks(name):
            _result_missing(name, label, gives, report)
        elif disjoint(given, promised) and (gives.requires(name) or wanted.requires(name)):
            message = f"{name!r} is {show_types(given)} in {label} but {show_types(promised)} in the result"
            report.add(AFTER_STEPS, "output_schema", Rule.TYPE_MISMATCH, message)
    for name in gives.schema.required if wanted.strict else ():
        if wanted.lacks(name):
            message = f"{label} always has {name!r}, which the result must not have"
            report.add(AFTER_STEPS, "output_schema", Rule.INPUT_UNKNOWN, message)


def _result_missing(name: str, label: str, gives: Shape, report: Report) -> None:
    verb = "has" if gives.strict else "declares"
    severity = Severity.ERROR if gives.strict else Severity.WARNING
    hint = Known(gives.names).hint(name)
    message = f"the result requires {name!r}, but {label} {verb} no such member"
    report.add(AFTER_STEPS, "output_schema", Rule.INPUT_MISSING, message, hint=hint, severity=severity)
