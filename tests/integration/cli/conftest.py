from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import Result

from tests.integration.cli.scripted import ScriptedServer
from tests.support.command import Runner
from weft.cli.commands import app

Weft = Callable[..., Result]


@pytest.fixture(scope="session")
def _server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def server(_server: ScriptedServer) -> Iterator[ScriptedServer]:
    kept = dict(_server.replies)
    _server.requests.clear()
    yield _server
    _server.replies = kept


@pytest.fixture
def weft(server: ScriptedServer) -> Weft:
    """Run the command against the scripted server."""

    def run(*words: str, stdin: str | bytes | None = None) -> Result:
        env = {"WEFT_TARGET": server.target, "NO_COLOR": None, "COLUMNS": "200"}
        return Runner(env=env).invoke(app, list(words), input=stdin, prog_name="weft")

    return run
