"""In which order steps run, and what a step without a template is given."""

from __future__ import annotations

from weft.core.payload import JsonObject
from weft.core.schema import Schema
from weft.server.workflow.model import Definition, Step

__all__ = ["implicit_input", "walk"]


def implicit_input(schema: Schema, merged: JsonObject) -> JsonObject:
    """Return what an action's input schema names, from all that is there so far.

    A schema that names no members and does not refuse others takes everything.

    Args:
        schema: Of the action's input.
        merged: The workflow input merged with the outputs of earlier steps, in the
            order they ran, later values winning.
    """
    if not schema.properties and not schema.closed:
        return dict(merged)
    named = dict.fromkeys((*schema.properties, *schema.required))
    return {name: merged[name] for name in named if name in merged}


def walk(definition: Definition) -> list[Step]:
    """Return the steps in the order they run, from the first on.

    In a definition with faults it ends before an unknown step and before a step
    that ran already; of steps with the same id only the first is seen.
    """
    by_id: dict[str, Step] = {}
    for each in definition.steps:
        by_id.setdefault(each.id, each)
    order: dict[str, Step] = {}
    step: Step | None = definition.steps[0] if definition.steps else None
    while step is not None and step.id not in order:
        order[step.id] = step
        step = by_id.get(step.next) if step.next else None
    return list(order.values())
