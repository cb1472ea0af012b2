"""What the expressions of a step see, and what an action is given that has no template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from weft.core.payload import JsonObject
from weft.core.reasons import DOMAIN
from weft.server.execution.history.model import Failure
from weft.server.execution.history.paths import FINALLY, TOP, UNDO
from weft.server.execution.history.place import Place
from weft.server.execution.history.run import Done, Run
from weft.server.workflow.kinds import Loop, Map

__all__ = ["child_to_undo", "item_at", "merged", "names", "output_to_undo", "seen_from", "undone"]


def names(run: Run, place: Place) -> dict[str, Any]:
    """Return the names that an expression of the step at a place may use."""
    execution = run.execution
    known: dict[str, Any] = {
        "input": run.input(),
        "steps": _outputs(run, place),
        "vars": run.variables,
        "context": {"project_id": "", "request_id": "", **execution.context.flat()},
        "execution": {
            "id": execution.id,
            "workflow_id": execution.workflow_id,
            "workflow_name": execution.workflow_name,
            "workflow_version": execution.workflow_version,
            "create_time": execution.create_time.isoformat(),
        },
    }
    for each in seen_from(run, place):
        known.update(_own(run, each))
    closing = run.standing.closing
    if closing is not None and closing.failure is not None:
        known["error"] = _error(closing.failure, "")
    return known


def merged(run: Run, place: Place) -> JsonObject:
    """Return all that is there for an action without a template, later values winning; not to be changed."""
    if place.scope == TOP and not run.variables:
        return run.parsed(place).merged
    found = {**run.input(), **run.variables}
    for each in seen_from(run, place):
        item = _own(run, each).get("item")
        if isinstance(item, dict):
            found.update(item)
        for output in run.parsed(each).outputs.values():
            found.update(output)
    return found


def seen_from(run: Run, place: Place) -> list[Place]:
    """Return the lists whose outputs a step sees: its own, and those around it; the outermost first."""
    if place.scope == UNDO:
        return seen_from(run, undone(run, place.path))
    chain = [place]
    while (holder := chain[-1].holder) is not None:
        chain.append(holder)
    if chain[-1].scope == FINALLY:
        chain.append(run.standing.top)
    return chain[::-1]


def undone(run: Run, path: str) -> Place:
    """Return where the step ran that is undone at a path."""
    return _done(run, path).place


def _done(run: Run, path: str) -> Done:
    own = path.removeprefix(UNDO + "/")
    return next(done for done in reversed(run.done) if done.path == own)


def output_to_undo(run: Run, path: str) -> bytes:
    """Return what the step gave that is undone at a path."""
    return _done(run, path).output


def child_to_undo(run: Run, path: str) -> str:
    """Return the child that the step was that is undone at a path."""
    return _done(run, path).child


def item_at(holder: Place, number: int) -> Any:
    """Return an item of a map."""
    if holder.item_values is None:
        holder.item_values = orjson.loads(holder.items)
    values = holder.item_values
    return values["list"][number] if "list" in values else values["from"] + number * values["step"]


def _outputs(run: Run, place: Place) -> dict[str, JsonObject]:
    chain = seen_from(run, place)
    if len(chain) == 1:
        return run.parsed(chain[0]).outputs
    found: dict[str, JsonObject] = {}
    for each in chain:
        found.update(run.parsed(each).outputs)
    return found


def _own(run: Run, place: Place) -> dict[str, Any]:
    """Return the names that are there because of where a list is."""
    known = dict(_of_container(run, place))
    if place.caught is not None:
        known["error"] = _error(*place.caught)
    return known


def _of_container(run: Run, place: Place) -> Iterator[tuple[str, Any]]:
    holder = place.holder
    planned = run.plan.at(holder.path) if holder is not None else None
    if holder is None or planned is None:
        return
    if isinstance(planned.step.does, Map) and holder.items:
        yield "index", place.number
        yield "item", item_at(holder, place.number)
    elif isinstance(planned.step.does, Loop):
        yield "iteration", place.number


def _error(failure: Failure, path: str) -> JsonObject:
    return {
        "reason": failure.reason,
        "message": failure.message,
        "code": failure.code.name,
        "step": path,
        "metadata": dict(failure.metadata),
        "business": failure.domain != DOMAIN,
    }
