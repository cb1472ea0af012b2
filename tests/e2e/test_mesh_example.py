"""examples/mesh as its README shows it: an ordinary gRPC server, found, balanced, and made an action."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import ROOT, Done, run
from tests.support.consul import ConsulAgent, running_agent

pytestmark = pytest.mark.e2e

ADA = '{"name": "Ada"}'
EVENLY = re.compile(r"Hello, Ada! 100 calls, answered by 2 processes: (4[6-9]|5[0-4]) and (4[6-9]|5[0-4])")
"""The first calls go to whoever is connected first."""


@asynccontextmanager
async def greeter() -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run examples/mesh/server.py as a process; yields it, and its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.mesh.server", "0"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        yield process, int(line.decode().rpartition(":")[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def client(*words: str, **env: Any) -> Done:
    return await run(sys.executable, "-m", "examples.mesh.client", *words, **env)


async def weft(*words: str, **env: Any) -> Done:
    return await run(sys.executable, "-m", "weft.cli", *words, **env)


async def test_without_a_registry() -> None:
    """An unmodified stub spreads its calls over both servers, and goes on when one is killed."""
    async with greeter() as (first, one), greeter() as (_, other):
        target = f"static:///127.0.0.1:{one},127.0.0.1:{other}"
        both = await client(target)
        spread, *rest = both.out.splitlines()
        assert EVENLY.fullmatch(spread), both
        assert rest == [
            "Hello, Grace!",
            "Bonjour, Grace!",
            "Kalimera, Grace!",
        ]
        first.kill()
        await first.wait()
        left = await client(target, "10")
        assert left.out.startswith("Hello, Ada! 10 calls, answered by 1 process: 10"), left.err


async def test_as_an_action_by_its_address_alone(address: str) -> None:
    """Registered with one command, it runs in a workflow; it is still called directly, by the same name."""
    server = {"WEFT_TARGET": address}
    async with greeter() as (process, port):
        made = await weft(
            "services", "register", "grpc-greeter", "--endpoint", f"grpc://127.0.0.1:{port}", **server
        )
        assert made.out == "grpc-greeter registered (2 actions, revision 1)\n", made.err
        applied = await weft("workflows", "apply", "-f", "examples/mesh/workflow.yaml", **server)
        assert applied.out == "welcome created (version 1)\n", applied.err
        ran, called = await asyncio.gather(
            weft("run", "welcome", "--input", ADA, **server),
            weft("call", "grpc-greeter", "SayHellos", "--data", ADA, **server),
        )
    assert ran.json == {"greeting": "Hello, Ada!", "pid": process.pid}
    assert [json.loads(line)["greeting"].split()[1] for line in called.out.splitlines()] == ["Ada!"] * 3


async def test_over_consul(tmp_path: Path) -> None:
    """Found by name and version though only Consul knows it; so is the server that runs its workflow."""
    async with running_agent(tmp_path / "consul") as agent, greeter() as (_, one), greeter() as (_, other):
        env = {"CONSUL_HTTP_ADDR": agent.address}
        for port in (one, other):
            fields = {"Address": "127.0.0.1", "Port": port, "Meta": {"version": "1.4.2"}}
            agent.register("grpc-greeter", f"greeter-{port}", **fields)
        shown, called, spread, newer = await asyncio.gather(
            weft("resolve", "grpc-greeter", **env),
            weft("call", "grpc-greeter", "SayHello", "--data", ADA, **env),
            client("consul://grpc-greeter?version=^1", **env),
            weft("call", "consul://grpc-greeter", "SayHello", "--version", "^2", "--data", ADA, **env),
        )
        assert all(f"grpc://127.0.0.1:{port}  PASSING  1.4.2" in shown.out for port in (one, other))
        assert called.json["greeting"] == "Hello, Ada!"
        assert EVENLY.match(spread.out), spread
        assert newer.code == 5
        assert newer.err == "Error: no instance of grpc-greeter has a version in ^2; there is 1.4.2\n"
        await _check_server(agent, tmp_path, env)


async def _check_server(agent: ConsulAgent, folder: Path, env: dict[str, str]) -> None:
    """Start ``weft server``, which stands in Consul as well, and use it by its name alone."""
    words = ("-m", "weft.cli", "server", "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words), cwd=ROOT, stderr=asyncio.subprocess.DEVNULL, env={**os.environ, **env}
    )
    try:
        async with asyncio.timeout(20):
            while not agent.entries("weft-execution"):  # noqa: ASYNC110 - another process registers it
                await asyncio.sleep(0.1)
        env["WEFT_TARGET"] = "consul://weft-execution"
        made = await weft(
            "services", "register", "grpc-greeter", "--endpoint", "consul://grpc-greeter", **env
        )
        assert made.code == 0, made.err
        assert (await weft("workflows", "apply", "examples/mesh/workflow.yaml", **env)).code == 0
        ran = await weft("run", "welcome", "--input", ADA, **env)
        assert re.fullmatch(r"Hello, Ada!", ran.json["greeting"]), ran.err
    finally:
        process.terminate()
        await process.wait()
