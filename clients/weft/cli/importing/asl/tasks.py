"""Task states: calls of actions, and of other workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weft.cli.importing.asl.errors import retry_policy
from weft.cli.importing.asl.resources import Resource, last_part, resource_of
from weft.cli.importing.naming import service_name
from weft.cli.importing.nodes import Expr, Node, Record, Value
from weft.cli.importing.objects import as_object
from weft.cli.importing.pieces import Piece, StepDict

if TYPE_CHECKING:
    from weft.cli.importing.asl.view import StateView

__all__ = ["task_state"]

_LONGEST: Final = 86_400
_CHILDREN: Final = frozenset(["states:startExecution", "states:startSyncExecution"])


def task_state(view: StateView) -> Piece:
    """Call an action, or run another workflow."""
    given = view.entered()
    resource = resource_of(view.state["Resource"], view.machine.document.mapping)
    result: Node = Expr(f"steps.{view.id}", object=True)
    if resource.kind in _CHILDREN:
        step, result = _child(view, resource, given, result)
    else:
        step, result = _call(view, resource, given, result)
    _policies(view, step)
    return view.leave(step, given, result)


def _call(view: StateView, resource: Resource, given: Node, result: Node) -> tuple[StepDict, Node]:
    service = resource.service
    function = resource.kind == "lambda:invoke"
    if function:
        service, given = _function(view, service, given)
    if resource.pattern == "waitForTaskToken":
        view.check(
            "Resource",
            "the action has to raise Pending, and its outcome is reported later by its attempt token",
        )
    view.calls("Resource", service, resource.action)
    step = view.described({"service": service, "action": resource.action})
    result = result.member(resource.result) if resource.result else result
    if resource.member or not (view.begins and given.template() == "${input}"):
        step["input"] = _input(view, resource, given)
    return step, Record({"Payload": result, "StatusCode": Value(200)}) if function else result


def _input(view: StateView, resource: Resource, given: Node) -> dict[str, Any]:
    if resource.member:
        return {resource.member: given.template()}
    made, wrapped = as_object(given)
    if wrapped:
        view.check("", "an action takes an object: the state's input stands in its member `result`")
    elif given.is_object is None and isinstance(given, Expr) and given.parent is not None:
        view.check("InputPath", f"{given.text} has to be an object, as all that an action takes")
    return made


def _function(view: StateView, service: str, given: Node) -> tuple[str, Node]:
    """Take the function's name and input out of the parameters of the integration."""
    name = given.member("FunctionName") if isinstance(given, Record) else None
    if isinstance(name, Value) and isinstance(name.value, str):
        mapped = resource_of(name.value, view.machine.document.mapping)
        service = mapped.service
    else:
        view.lost("Parameters.FunctionName", "is no literal name; the service is called lambda")
    has_payload = isinstance(given, Record) and "Payload" in given.members
    return service, given.member("Payload") if has_payload else Record()


def _child(view: StateView, resource: Resource, given: Node, result: Node) -> tuple[StepDict, Node]:
    arn = given.member("StateMachineArn") if isinstance(given, Record) else None
    name = "child"
    if isinstance(arn, Value) and isinstance(arn.value, str):
        name = service_name(last_part(arn.value))
    else:
        view.lost("Parameters.StateMachineArn", "is no literal name; the workflow is called child")
    if not resource.pattern and resource.kind == "states:startExecution":
        view.lost("Resource", "starts an execution and goes on at once; a child is waited for")
    view.check("Resource", f"runs the workflow {name!r}")
    node = given.member("Input") if isinstance(given, Record) and "Input" in given.members else Record()
    step = view.described({"workflow": {"name": name}, "input": as_object(node)[0]})
    return step, Record({"Output": result, "Status": Value("SUCCEEDED")})


def _policies(view: StateView, step: StepDict) -> None:
    state = view.state
    for member, name in (("TimeoutSeconds", "timeout"), ("HeartbeatSeconds", "heartbeat_timeout")):
        if f"{member}Path" in state:
            view.lost(f"{member}Path", "a timeout is no expression")
        seconds = state.get(member)
        if seconds is None or ("workflow" in step and name != "timeout"):
            continue
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            view.lost(member, "a timeout is no expression")
            continue
        if seconds > _LONGEST:
            view.check(member, "is cut to 24 hours, the longest that one attempt may take")
        step[name] = f"{min(seconds, _LONGEST)}s"
    if "Credentials" in state:
        view.lost("Credentials", "whoever registers the service says how it is reached")
    if state.get("Retry"):
        policy = retry_policy(state["Retry"], f"{view.path}.Retry", view.notes.lost, view.notes.check)
        if policy and "workflow" in step:
            view.lost("Retry", "a child workflow is not tried again as a whole; its own steps are")
        elif policy:
            step["retry"] = policy
