"""Finds everything that is wrong with a definition, at once and before anything is stored.

Errors are certain: what is reported as one fails in every execution that gets
there. Declared members count as all there are, unless a schema is open to more
by saying nothing about members, by combinations (``allOf``, ``anyOf`` …) or by
patterns. What runs only on some of the ways to a step may be missing there,
which is a warning. Work grows with the size of the definition, not with its
square.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.core.schema import compile_schema
from weft.server.registry.model import Service
from weft.server.workflow.checks.basis.catalog import Catalog
from weft.server.workflow.checks.basis.compat import allows_objects
from weft.server.workflow.checks.basis.places import outline
from weft.server.workflow.checks.basis.report import AFTER_STEPS, MAX_PROBLEMS, Known, Report
from weft.server.workflow.checks.basis.shapes import ANY_SHAPE, Shape
from weft.server.workflow.checks.data.data import DataCheck
from weft.server.workflow.checks.data.here import Desk
from weft.server.workflow.checks.data.keys import check_keys
from weft.server.workflow.checks.data.state import Ledger
from weft.server.workflow.checks.data.texts import MAX_EXPRESSION_TEXT, Texts
from weft.server.workflow.checks.form.children import Children, KnownWorkflow
from weft.server.workflow.checks.form.lists import check_lists
from weft.server.workflow.checks.form.policies import FAR_TOO_MANY, MAX_STEPS, check_whole
from weft.server.workflow.checks.form.structure import check_structure
from weft.server.workflow.model import Definition, Problem

__all__ = ["MAX_EXPRESSION_TEXT", "MAX_PROBLEMS", "MAX_STEPS", "KnownWorkflow", "find_problems"]


def find_problems(
    definition: Definition,
    services: Mapping[str, Service],
    others: Iterable[str] = (),
    *,
    workflows: Mapping[str, KnownWorkflow] | None = None,
    other_workflows: Iterable[str] | None = None,
    name: str = "",
) -> list[Problem]:
    """Return every problem: errors first, then warnings, each in the order of the definition.

    Args:
        definition: What to look at; it may be broken in any way.
        services: The registered services that it names, by name; more do no harm.
        others: Names of further services, to suggest one for a name that is not there.
        workflows: The workflows that it runs, and those that they run, by name.
        other_workflows: Names of further workflows, for suggestions; None: a workflow that
            is not among ``workflows`` may be there all the same.
        name: The workflow that the definition is one of.

    Returns:
        At most ``MAX_PROBLEMS``, and one more that counts the rest.
    """
    report = Report()
    count = sum(1 for _ in islice(definition.every_step(), FAR_TOO_MANY + 1))
    check_whole(definition, count, report)
    if count > FAR_TOO_MANY:
        return report.problems()
    whole = outline(definition, report)
    check_structure(whole, services, Known((*services, *others)), report)
    check_lists(whole, report)
    input_shape = _check_schema(definition.input_schema, "input_schema", report)
    output_shape = _check_schema(definition.output_schema, "output_schema", report)
    children = Children(workflows or {}, other_workflows, name, definition)
    children.check_endless(whole, report)
    desk = Desk(
        whole=whole,
        known=Known(whole.by_id),
        ledger=Ledger(input_shape),
        texts=Texts(),
        catalog=Catalog(services),
        children=children,
        result=output_shape,
        report=report,
    )
    DataCheck(desk).check()
    check_keys(definition, desk)
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
    return Shape.of_schema(schema)
