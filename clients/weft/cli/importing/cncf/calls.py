"""Tasks that call something: HTTP, gRPC, OpenAPI, AsyncAPI, functions; and other workflows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from weft.cli.importing.cncf.view import TaskView
from weft.cli.importing.naming import action_name, service_name
from weft.cli.importing.nodes import Expr, Missing, Node, Record
from weft.cli.importing.objects import as_object
from weft.cli.importing.pieces import Piece, StepDict

__all__ = ["call_task", "run_task"]

_PARAMETER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")
_MAX_HOPS: Final = 10


def call_task(view: TaskView) -> Piece:
    """Call an action."""
    called, given = _resolved(view, str(view.task["call"]), view.task.get("with", {}))
    makers = {"http": _http, "grpc": _grpc, "openapi": _openapi, "asyncapi": _asyncapi}
    service, action, resource, node = makers.get(called, _function)(view, called, given)
    found = _mapped(view, resource)
    service, action = found.get("service") or service, found.get("action") or action
    view.calls("call", service, action)
    step: StepDict = {"id": view.id, "service": service, "action": action}
    step["input"] = {found["member"]: node.template()} if found.get("member") else as_object(node)[0]
    view.timeout(step)
    result: Node = Expr(f"steps.{view.id}", object=True)
    return view.leave(step, result.member(found["result"]) if found.get("result") else result)


def _mapped(view: TaskView, resource: str) -> Mapping[str, Any]:
    mapping = view.document.mapping
    if resource in mapping:
        return mapping[resource]
    return next((value for key, value in mapping.items() if fnmatchcase(resource, key)), {})


def _resolved(view: TaskView, called: str, given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Follow functions that are defined once."""
    functions = view.document.use("functions")
    for _ in range(_MAX_HOPS):
        function = functions.get(called)
        if not isinstance(function, dict) or not isinstance(function.get("call"), str):
            break
        own = function.get("with")
        given = {**(own if isinstance(own, dict) else {}), **given}
        called = function["call"]
    return called, given


def _http(view: TaskView, _: str, given: Mapping[str, Any]) -> tuple[str, str, str, Node]:
    method = str(given.get("method", "get")).lower()
    endpoint = given.get("endpoint")
    if isinstance(endpoint, dict):
        if "authentication" in endpoint:
            view.lost("with.endpoint.authentication", "whoever registers the service says how it is reached")
        endpoint = endpoint.get("uri")
    uri = endpoint if isinstance(endpoint, str) else ""
    members: dict[str, Node] = {}
    if "${" in uri:
        members["endpoint"] = view.value(uri, "with.endpoint")
    else:
        members = {name: view.input.member(name) for name in _PARAMETER.findall(uri)}
    for name in ("query", "headers", "body"):
        if name in given:
            members[name] = view.value(given[name], f"with.{name}")
    for name in given:
        if name not in {"method", "endpoint", "query", "headers", "body"}:
            view.lost(f"with.{name}", "the action's output is the content of the response")
    fixed = uri.partition("${")[0]
    return (*_place(method, fixed), f"{method.upper()} {uri}", Record(members))


def _place(method: str, uri: str) -> tuple[str, str]:
    """Return the service that a host becomes, and the action that a method and a path become."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return "http", method
    words = re.findall(r"[A-Za-z0-9]+", parts.path)
    return service_name(host, "http"), action_name("-".join([method, *words]), "call")


def _grpc(view: TaskView, _: str, given: Mapping[str, Any]) -> tuple[str, str, str, Node]:
    service = given.get("service")
    values = service if isinstance(service, dict) else {}
    name, method = str(values.get("name", "grpc")), str(given.get("method", "call"))
    if "authentication" in values:
        view.lost("with.service.authentication", "whoever registers the service says how it is reached")
    host, port = values.get("host"), values.get("port")
    if isinstance(host, str):
        target = f"grpc://{host}{f':{port}' if port else ''}"
        view.check(
            "with.service",
            f"its actions are read from the server: weft services register … --endpoint {target}",
        )
    node = view.value(given.get("arguments", {}), "with.arguments")
    return service_name(name.rpartition(".")[2]), action_name(method), f"{name}/{method}", node


def _openapi(view: TaskView, _: str, given: Mapping[str, Any]) -> tuple[str, str, str, Node]:
    operation = str(given.get("operationId", "call"))
    uri = _resource(given.get("document"))
    service, _action = _place("", uri)
    for name in given:
        if name not in {"operationId", "document", "parameters"}:
            view.lost(f"with.{name}", "whoever registers the service says how it is reached")
    return (
        service,
        action_name(operation),
        f"{uri}#{operation}",
        view.value(given.get("parameters", {}), "with.parameters"),
    )


def _resource(document: Any) -> str:
    """Return the address of an external resource, in any of its forms."""
    for _ in range(3):
        if isinstance(document, str):
            return document
        if not isinstance(document, dict):
            return ""
        document = document.get("endpoint", document.get("uri"))
    return ""


def _asyncapi(view: TaskView, _: str, given: Mapping[str, Any]) -> tuple[str, str, str, Node]:
    uri = _resource(given.get("document"))
    operation = str(given.get("operation", given.get("operationRef", given.get("channel", "publish"))))
    if "subscription" in given:
        view.lost("with.subscription", "use a signal that whoever consumes the messages sends")
    message = given.get("message")
    payload = message.get("payload", {}) if isinstance(message, dict) else {}
    service, _action = _place("", uri)
    return service, action_name(operation), f"{uri}#{operation}", view.value(payload, "with.message.payload")


def _function(view: TaskView, called: str, given: Mapping[str, Any]) -> tuple[str, str, str, Node]:
    """A function of a catalogue, or of the runtime: ``name:version@catalogue``."""
    name = called.partition("@")[0].partition(":")[0]
    return service_name(name), "call", called, view.value(dict(given), "with")


def run_task(view: TaskView) -> Piece:
    """Run another workflow; a script, shell or container is an action."""
    run = view.task["run"]
    for name in run:
        if name not in {"workflow", "script", "shell", "container"}:
            view.lost(f"run.{name}", "a step waits for what it runs, and its output is all that this gave")
    workflow = run.get("workflow")
    if isinstance(workflow, dict):
        return _child(view, workflow)
    kind = next((name for name in ("script", "shell", "container") if name in run), "")
    if not kind:
        view.lost("run", "runs nothing that is known here; the step fails")
        message = Missing("not carried over: run").template()
        return Piece(steps=[{"id": view.id, "fail": {"reason": "NOT_CARRIED_OVER", "message": message}}])
    node = view.value(run[kind], f"run.{kind}")
    view.calls("run", kind, "run")
    step: StepDict = {"id": view.id, "service": kind, "action": "run", "input": as_object(node)[0]}
    view.timeout(step)
    return view.leave(step, Expr(f"steps.{view.id}", object=True))


def _child(view: TaskView, workflow: Mapping[str, Any]) -> Piece:
    name = service_name(str(workflow.get("name", "child")))
    view.check("run.workflow", f"runs the workflow {name!r}")
    version = workflow.get("version", "latest")
    if version != "latest":
        view.lost(
            "run.workflow.version", f"versions of Weft are numbered; the newest is run, and not {version!r}"
        )
    node = view.value(workflow["input"], "run.workflow.input") if "input" in workflow else view.input
    step: StepDict = {"id": view.id, "workflow": {"name": name}, "input": as_object(node)[0]}
    view.timeout(step)
    return view.leave(step, Expr(f"steps.{view.id}", object=True))
