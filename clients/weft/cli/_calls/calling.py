"""``weft call``: an action through the server, or a method or path of any service directly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import duration
from weft.cli._base.complete import action_names, policies, service_names
from weft.cli._base.inputs import read_object
from weft.cli._base.mesh import over_mesh, with_version
from weft.cli._base.options import chosen_pairs
from weft.cli._base.session import Settings, call
from weft.cli._calls.grpc_calls import GrpcCall
from weft.cli._calls.http_calls import HttpCall
from weft.cli._executions.run import ContextOption, ProjectOption, travelling
from weft.core.errors import WeftError
from weft.core.reasons import Reason

__all__ = ["call_service"]

_UNKNOWN_THERE: Final = frozenset({Reason.SERVICE_NOT_FOUND, Reason.ACTION_NOT_FOUND, Reason.UNAVAILABLE})
_VERBS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was written."""

    service: str
    method: str
    path: str
    input: str | None
    project_id: str
    context: list[str] | None
    data: list[str]
    http: bool
    describe: bool
    headers: list[str] | None
    version: str
    timeout: timedelta | None
    descriptor_set: Path | None
    policy: str

    @property
    def names_action(self) -> bool:
        """Whether it can be an action of a registered service: a bare name, and a bare name of an action."""
        return ":" not in self.service and "/" not in self.method

    @property
    def through_server(self) -> bool:
        """Whether the server makes the call, as it makes those of a workflow."""
        only_there = self.input is not None or self.project_id or self.context
        direct = self.data or self.http or self.describe or self.headers or self.descriptor_set or self.policy
        return bool(self.method) and bool(only_there or (self.names_action and not direct))


_Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A name, host:port, or such as consul://orders.",
        autocompletion=service_names,
    ),
]
_Method = Annotated[
    str,
    typer.Argument(
        metavar="METHOD",
        help="An action, a gRPC method or an HTTP verb; none lists the methods.",
        autocompletion=action_names,
    ),
]
_Path = Annotated[str, typer.Argument(metavar="PATH", help="With --http: where to.")]
_Input = Annotated[
    str | None,
    typer.Option(
        "--input", "-i", metavar="JSON|@FILE|-", help="Of an action: a JSON object, a file, or stdin."
    ),
]
_Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        "-d",
        metavar="JSON|@FILE|-",
        help="Of a method or path; several, a file of lines, or lines on stdin for a stream of requests.",
    ),
]
_Http = Annotated[bool, typer.Option("--http", help="Send an HTTP request: VERB and PATH.")]
_Describe = Annotated[
    bool, typer.Option("--describe", help="Show what the method takes and answers, as JSON Schema.")
]
_Header = Annotated[
    list[str] | None,
    typer.Option("--header", "--metadata", "-H", metavar="KEY=VALUE", help="Sent along; may be repeated."),
]
_Version = Annotated[
    str,
    typer.Option(
        "--version",
        "--service-version",
        metavar="RANGE",
        help="Which versions of the service will do, such as ^1.4.",
    ),
]
_Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="How long it may take, such as 2s; else 30s or the action's limit."
    ),
]
_Descriptors = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A FileDescriptorSet, for a server without reflection."),
]
_Policy = Annotated[
    str,
    typer.Option(metavar="NAME", help="How an instance is chosen.", autocompletion=policies),
]


def call_service(
    ctx: typer.Context,
    service: _Target,
    method: _Method = "",
    path: _Path = "",
    input_: _Input = None,
    data: _Data = None,
    http: _Http = False,
    describe: _Describe = False,
    header: _Header = None,
    version: _Version = "",
    timeout: _Timeout = None,
    descriptor_set: _Descriptors = None,
    policy: _Policy = "",
    project_id: ProjectOption = "",
    context: ContextOption = None,
) -> None:
    """Call an action of a registered service, or any service by name.

    A bare name with the name of an action goes through the server, which
    checks both schemas: as in a workflow, without a record of it.

    Everything else goes to an instance directly: any TARGET with --data or
    with a method such as Carts/GetCart, over gRPC, without generated code; or
    with --http. Where a bare name is looked up says the environment
    (SERVICE_<NAME>_URL, CONSUL_HTTP_ADDR), else the registry. A stream of
    responses is printed as lines of JSON.
    """
    asked = _Asked(
        service=service,
        method=method,
        path=path,
        input=input_,
        project_id=project_id,
        context=context,
        data=data or [],
        http=http,
        describe=describe,
        headers=header,
        version=version,
        timeout=duration(timeout, "--timeout"),
        descriptor_set=descriptor_set,
        policy=policy,
    )
    if asked.through_server:
        _call_action(ctx, asked)
    else:
        _call_directly(ctx, asked)


def _call_action(ctx: typer.Context, asked: _Asked) -> None:
    settings = Settings.of(ctx)
    if asked.path or not asked.names_action or asked.data or asked.http or asked.describe:
        text = (
            "--input, --project-id and --context are of actions: weft call SERVICE ACTION; others take --data"
        )
        raise typer.BadParameter(text, ctx=ctx)
    values = read_object("{}" if asked.input is None else asked.input)
    travels = travelling(ctx, asked.project_id, "", asked.context)
    try:
        result = call(
            settings,
            lambda weft: weft.executions.call(
                asked.service,
                asked.method,
                values,
                context=travels,
                timeout=asked.timeout,
                service_version=asked.version,
            ),
        )
    except WeftError as error:
        if error.reason in _UNKNOWN_THERE and asked.input is None:
            error.add_note("this asked the server for an action; with --data an RPC is called directly.")
        raise
    output.pretty(settings, result)


def _call_directly(ctx: typer.Context, asked: _Asked) -> None:
    settings = Settings.of(ctx)
    made: dict[str, Any] = {
        "target": with_version(asked.service, asked.version),
        "data": asked.data,
        "timeout": asked.timeout or settings.request_timeout,
    }
    if asked.timeout == timedelta():
        raise typer.BadParameter("it is longer than 0", ctx=ctx, param_hint="--timeout")
    pairs = chosen_pairs(ctx, asked.headers, "--header")
    if asked.http:
        verb, path = _verb_and_path(ctx, asked)
        request = HttpCall(verb=verb, path=path, headers=pairs, **made)
        over_mesh(settings, lambda mesh: request.make(mesh, settings), policy=asked.policy)
        return
    if asked.path:
        raise typer.BadParameter(f"{asked.path!r} is one word too many; a path needs --http", ctx=ctx)
    rpc = GrpcCall(
        method=asked.method, metadata=pairs, descriptor_set=_content(ctx, asked.descriptor_set), **made
    )
    if not asked.method and (asked.data or asked.describe):
        raise typer.BadParameter("which METHOD? `weft call TARGET` alone lists them", ctx=ctx)
    work = rpc.list if not asked.method else rpc.describe if asked.describe else rpc.make
    over_mesh(settings, lambda mesh: work(mesh, settings), policy=asked.policy)


def _verb_and_path(ctx: typer.Context, asked: _Asked) -> tuple[str, str]:
    """Read ``GET /path``, or ``/path`` alone: a POST with data, else a GET."""
    if asked.method.upper() in _VERBS and asked.path:
        return asked.method, asked.path
    if asked.method.startswith("/") and not asked.path:
        return ("POST" if asked.data else "GET"), asked.method
    raise typer.BadParameter("with --http write a verb and a path, as in GET /orders/7", ctx=ctx)


def _content(ctx: typer.Context, path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        text = f"{path}: {error.strerror or error}"
        raise typer.BadParameter(text, ctx=ctx, param_hint="--descriptor-set") from None
