"""Names that telemetry uses: attributes of spans, ours and those of the semantic conventions."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTION",
    "ATTEMPT",
    "BALANCER",
    "ERROR_TYPE",
    "EXECUTION_ID",
    "EXECUTION_STATE",
    "HEALTH",
    "HTTP_METHOD",
    "HTTP_STATUS",
    "INSTANCE_ID",
    "PEER_ADDRESS",
    "PEER_PORT",
    "PROJECT_ID",
    "REASON",
    "REQUEST_ID",
    "RETRY",
    "RPC_METHOD",
    "RPC_SERVICE",
    "RPC_STATUS",
    "RPC_SYSTEM",
    "SCOPE",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "SERVICE",
    "SOURCE",
    "STEP_ID",
    "URL",
    "WORKFLOW_ID",
    "WORKFLOW_NAME",
    "WORKFLOW_VERSION",
]

SCOPE: Final = "weft"
"""Instrumentation scope of every span of ours."""

RPC_SYSTEM: Final = "rpc.system"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.grpc.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
PEER_ADDRESS: Final = "network.peer.address"
PEER_PORT: Final = "network.peer.port"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
URL: Final = "url.full"
ERROR_TYPE: Final = "error.type"
"""Of the semantic conventions of OpenTelemetry."""

SERVICE: Final = "weft.service"
"""The mesh's name of the service that is called."""

SOURCE: Final = "weft.source"
"""Scheme of the source that knows the service, such as ``consul``."""

HEALTH: Final = "weft.health"
"""Health of an endpoint, as its source tells."""

ACTION: Final = "weft.action"
INSTANCE_ID: Final = "weft.instance.id"
"""The instance that was chosen."""

ATTEMPT: Final = "weft.attempt"
"""1, 2, … of a call, or of a step."""

RETRY: Final = "weft.retry"
"""Whether it is not the first attempt."""

BALANCER: Final = "weft.balancer"
"""The policy that chose the instance."""

EXECUTION_ID: Final = "weft.execution.id"
EXECUTION_STATE: Final = "weft.execution.state"
WORKFLOW_ID: Final = "weft.workflow.id"
WORKFLOW_NAME: Final = "weft.workflow.name"
WORKFLOW_VERSION: Final = "weft.workflow.version"
STEP_ID: Final = "weft.step.id"
REQUEST_ID: Final = "weft.request.id"
PROJECT_ID: Final = "weft.project.id"
REASON: Final = "weft.reason"
"""Reason of the error that ended it."""
