"""``weft health`` and ``weft doctor`` against a real gRPC server."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import instance
from tests.integration.cli.scripted import ScriptedServer
from tests.support.command import Runner
from tests.support.http_services import http_service
from tests.support.shop import carts_server
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.cli.commands import app
from weft.core.payload import to_struct

pytestmark = pytest.mark.integration

HEALTHY = registry_pb2.HEALTH_STATUS_HEALTHY
DEGRADED = registry_pb2.HEALTH_STATUS_DEGRADED
UNHEALTHY = registry_pb2.HEALTH_STATUS_UNHEALTHY


def _whole(health: registry_pb2.HealthStatus.ValueType, **server: object) -> pb.GetIntegrationHealthResponse:
    return pb.GetIntegrationHealthResponse(
        health=health,
        dependencies=[
            registry_pb2.DependencyHealth(name="store", health=health, latency=Duration(nanos=2_000_000))
        ],
        services=[registry_pb2.ServiceHealth(service="sentiment", health=HEALTHY, instances=[instance()])],
        server=to_struct({"version": "0.1.0", **server}),
    )


def test_health_of_a_healthy_platform(server: ScriptedServer, weft: Weft) -> None:
    """All well is the exit code 0, with every part in the table."""
    server.on("GetIntegrationHealth", _whole(HEALTHY))
    result = weft("health")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Weft HEALTHY"
    assert "answered in 2ms" in result.stdout
    assert "1 of 1 instances pass" in result.stdout


def test_what_the_server_says_of_itself_has_an_order(server: ScriptedServer, weft: Weft) -> None:
    """On the wire the keys have none, so they would be in another one after each start."""
    whole = _whole(
        HEALTHY, open_executions=3, zeta="new", time="now", pid=7, store="/d", alpha=1, address="a"
    )
    server.on("GetIntegrationHealth", whole)
    keys = ["version", "address", "store", "pid", "time", "open_executions", "alpha", "zeta"]
    assert list(json.loads(weft("health", "-o", "json").stdout)["server"]) == keys
    shown = [line.split(":")[0].replace(" ", "_") for line in weft("health").stdout.splitlines()[1:9]]
    assert shown == keys


def test_lists_that_are_stale_are_shown(server: ScriptedServer, weft: Weft) -> None:
    """With what is known and why; lists that are up to date are not worth a line."""
    routes = [
        {"target": "weft://orders", "stale": True, "summary": "3 known: 3 PASSING; stale: no answer"},
        {"target": "weft://carts", "stale": False, "summary": "1 known: 1 PASSING"},
    ]
    server.on("GetIntegrationHealth", _whole(HEALTHY, mesh={"stale_count": 7, "routes": routes}))
    shown = weft("health").stdout
    assert re.search(r"weft://orders +list +STALE +3 known: 3 PASSING; stale: no answer", shown)
    assert "and 6 more" in shown
    assert "carts" not in shown
    assert "mesh:" not in shown
    assert json.loads(weft("health", "-o", "json").stdout)["server"]["mesh"]["routes"] == routes


@pytest.mark.parametrize("mesh", [None, 7, [], {}, {"routes": 3}, {"routes": ["x", None, {"stale": True}]}])
def test_a_mesh_of_another_form_is_no_fault(server: ScriptedServer, weft: Weft, mesh: object) -> None:
    """A newer server may say something else."""
    server.on("GetIntegrationHealth", _whole(HEALTHY, mesh=mesh))
    assert weft("health").exit_code == 0


@pytest.mark.parametrize("health", [DEGRADED, UNHEALTHY])
def test_anything_less_is_not_zero(
    server: ScriptedServer, weft: Weft, health: registry_pb2.HealthStatus.ValueType
) -> None:
    """A script sees from the exit code that not all is well; the document is complete all the same."""
    server.on("GetIntegrationHealth", _whole(health))
    result = weft("health", "--output", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["dependencies"][0]["name"] == "store"


def test_health_of_one_service(server: ScriptedServer, weft: Weft) -> None:
    """One service shows its instances."""
    found = registry_pb2.ServiceHealth(
        service="sentiment", health=DEGRADED, note="slow", instances=[instance()]
    )
    server.on("GetServiceHealth", pb.GetServiceHealthResponse(health=found))
    result = weft("health", "sentiment")
    assert result.exit_code == 1
    assert "sentiment DEGRADED" in result.stdout
    assert "grpc://127.0.0.1:9000" in result.stdout


def test_doctor_finds_all_well(server: ScriptedServer, weft: Weft) -> None:
    """Against a good server every check passes."""
    server.on("GetIntegrationHealth", _whole(HEALTHY, time=datetime.now(UTC).isoformat()))
    result = weft("doctor", "--output", "json")
    checks = {check["name"]: check["status"] for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 0
    assert set(checks.values()) == {"OK"}
    assert {"python", "grpcio", "connection", "health of the server", "reflection", "clocks"} <= set(checks)


def test_doctor_names_what_is_wrong(server: ScriptedServer, weft: Weft) -> None:
    """A sick dependency fails; a clock that is off warns; both have a line with a hint."""
    late = datetime.now(UTC) - timedelta(minutes=5)
    server.on("GetIntegrationHealth", _whole(UNHEALTHY, time=late.isoformat()))
    result = weft("doctor")
    assert result.exit_code == 1
    assert "FAIL dependency store: UNHEALTHY" in result.stdout
    assert "WARN clocks: apart by 5m00s" in result.stdout
    assert "1 of 16 checks failed." in result.stderr


def test_doctor_without_reflection() -> None:
    """A server without reflection gets a warning, not a failure."""
    with ScriptedServer(with_reflection=False) as server:
        server.on("GetIntegrationHealth", _whole(HEALTHY))
        result = Runner().invoke(app, ["doctor", "-t", server.target])
    assert result.exit_code == 0
    assert "WARN reflection: is off" in result.stdout


def test_doctor_without_a_server() -> None:
    """It stops at the first thing that cannot work, and says what to do."""
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        result = Runner().invoke(app, ["doctor", "--target", target])
    assert result.exit_code == 1
    assert f"FAIL connection: no server listens on {target}" in result.stdout
    assert "`weft server`" in result.stdout
    assert "reflection" not in result.stdout.split("connection")[1]


async def test_doctor_at_something_else() -> None:
    """What is no gRPC server is told once, in words; a gRPC server of others, too."""
    async with http_service() as page, carts_server() as port:
        for target, said in (
            (page.endpoint.address, "is no gRPC server"),
            (f"127.0.0.1:{port}", "does not know this call: it is no Weft server, or an older one"),
        ):
            result = await asyncio.to_thread(Runner().invoke, app, ["doctor", "--target", target])
            assert result.exit_code == 1
            failed = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
            assert failed == [f"FAIL health of the server: what listens on {target} {said}"]
            assert result.stdout.endswith("→ is it a Weft server?\n")


def test_doctor_points_out_a_misspelt_variable(server: ScriptedServer) -> None:
    """It is a setting that somebody relies on, and that nobody reads."""
    server.on("GetIntegrationHealth", _whole(HEALTHY))
    result = Runner(env={"WEFT_TARGT": "x"}).invoke(app, ["doctor", "--target", server.target])
    assert "WARN environment: WEFT_TARGT is no variable of Weft; did you mean WEFT_TARGET?" in result.stdout


def test_doctor_with_a_bad_target() -> None:
    """An address that is none is found before anything is tried."""
    result = Runner().invoke(app, ["doctor", "--target", "nowhere"])
    assert result.exit_code == 1
    assert "FAIL target" in result.stdout
