"""What steps that hold no others are given, and what they give."""

from __future__ import annotations

from typing import Final

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.schema import compile_schema
from weft.server.workflow import kinds
from weft.server.workflow.checks.basis.catalog import ANY_PORTS
from weft.server.workflow.checks.basis.shapes import ANY_SHAPE, Shape, Value, made, text_or
from weft.server.workflow.checks.data.here import Here
from weft.server.workflow.checks.data.promise import check_result
from weft.server.workflow.checks.data.state import State
from weft.server.workflow.checks.data.visible import error_value

__all__ = ["check_compensation", "check_keys", "leaf_value"]

_TEXT: Final = frozenset({"string"})
_OBJECT: Final = frozenset({"object"})
_ANY_OBJECT: Final = Value(_OBJECT)


def leaf_value(here: Here) -> Value:
    """Check the expressions of a step; return what it gives."""
    match here.place.step.does:
        case kinds.Signal() | kinds.Approval() | kinds.Wait():
            return _waiting(here)
        case kinds.Child() as child:
            return _child(here, child)
        case kinds.SetVariables(values=values):
            return here.object(values, "set")
        case None:
            return _action(here)
        case _:
            return _other(here)


def _waiting(here: Here) -> Value:
    match here.place.step.does:
        case kinds.Signal() as signal:
            _text(here, signal.correlation, "signal.correlation")
            return Value(_OBJECT, _schema(here, signal.schema, "signal.schema"))
        case kinds.Approval() as approval:
            return _approval(here, approval)
        case kinds.Wait(duration=duration, until=until):
            _text(here, duration, "wait.duration", of=_TEXT)
            _text(here, until, "wait.until", of=_TEXT)
        case _:
            pass
    return made({"until": text_or("string")})


def _other(here: Here) -> Value:
    match here.place.step.does:
        case kinds.Switch(cases=cases):
            visible, spot = here.visible(), here.spot
            for number, case in enumerate(cases):
                here.desk.texts.condition(case.when, f"switch.cases[{number}].when", visible, spot)
            return made({"next": text_or("string")})
        case kinds.Emit(data=data):
            here.object(data or {}, "emit.data")
            return made({})
        case kinds.Fail(message=message):
            _text(here, message, "fail.message")
        case kinds.Succeed(result=result):
            gives = here.object(result or {}, "succeed.result")
            label = f"the result of step {here.place.step.id!r}"
            check_result(here.spot, "succeed.result", label, gives.shape, here.desk.result)
        case _:
            pass
    return _ANY_OBJECT


def _text(here: Here, given: str, member: str, of: frozenset[str] | None = None) -> None:
    here.desk.texts.text(given, member, here.visible(), here.spot, of=of)


def _action(here: Here) -> Value:
    step = here.place.step
    ports = here.desk.catalog.ports(step.service, step.action, step.service_version)
    label = f"the action {step.action!r} of {step.service!r}"
    if ports is not None or step.input is not None:
        here.takes(label, ports or ANY_PORTS, "", step.input, here.visible())
    return Value(_OBJECT, (ports or ANY_PORTS).output)


def _child(here: Here, child: kinds.Child) -> Value:
    ports = here.desk.children.ports(child) or ANY_PORTS
    here.takes(f"the workflow {child.name!r}", ports, "", here.place.step.input, here.visible())
    return Value(_OBJECT, ports.output)


def _approval(here: Here, approval: kinds.Approval) -> Value:
    _text(here, approval.title, "approval.title")
    for number, assignee in enumerate(approval.assignees):
        _text(here, assignee, f"approval.assignees[{number}]")
    _text(here, approval.due, "approval.due", of=_TEXT)
    texts = {name: text_or("string") for name in ("outcome", "comment", "by", "time")}
    shape = _schema(here, approval.schema, "approval.schema")
    return made({**texts, "data": Value(frozenset({"object", "null"}), shape)})


def _schema(here: Here, definition: JsonObject | None, member: str) -> Shape:
    """Compile a schema of a step; of a broken one nothing is known."""
    if definition is None:
        return ANY_SHAPE
    try:
        return Shape.of_schema(compile_schema(definition, here.spot.path_of(member)))
    except ValidationError as error:
        here.spot.extend(error.violations)
        return ANY_SHAPE


def check_keys(here: Here) -> None:
    """Check the texts that calls are kept and counted by."""
    step = here.place.step
    if step.cache is not None:
        _text(here, step.cache.key, "cache.key")
    if step.limit is not None:
        _text(here, step.limit.key, "limit.key")


def check_compensation(here: Here, done: State, output: Value) -> None:
    """Check what undoes a step is given: what was there then, its output, and the failure."""
    step, undo = here.place.step, here.place.step.compensate
    if undo is None:
        return
    service = undo.service or step.service
    versions = step.service_version if service == step.service else ""
    ports = here.desk.catalog.ports(service, undo.action, versions)
    visible = here.visible(done, output=output, error=error_value())
    label = f"the action {undo.action!r} of {service!r}"
    if ports is not None or undo.input is not None:
        here.takes(label, ports or ANY_PORTS, "compensate", undo.input, visible)
