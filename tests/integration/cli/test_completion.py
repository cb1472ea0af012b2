"""What the shell offers as one types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from tests.support.command import Runner
from tests.support.world import hosted, serving, text_service
from weft.cli.commands import app

pytestmark = pytest.mark.integration


@pytest.fixture
async def target() -> AsyncIterator[str]:
    async with serving() as wire, hosted(wire, text_service()):
        yield wire.address


async def _offered(line: str, **env: str) -> list[str]:
    """Return what bash is given for a line; nothing else may be said."""
    words = {"_WEFT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    result = await asyncio.to_thread(Runner(env={**words, **env}).invoke, app, [], prog_name="weft")
    assert result.stderr == ""
    return result.stdout.split()


async def test_names_of_the_server_are_offered(target: str) -> None:
    """Those that begin as typed; the server is that of the variable, or of the option."""
    assert await _offered("weft call te", WEFT_TARGET=target) == ["texts"]
    assert await _offered(f"weft call --target {target} te", WEFT_TARGET="127.0.0.1:1") == ["texts"]
    assert await _offered("weft call x", WEFT_TARGET=target) == []
    assert "shout" in await _offered("weft call texts ", WEFT_TARGET=target)


async def test_choices_are_offered() -> None:
    """Of options that take one of some words, without asking anybody."""
    assert await _offered("weft server --policy pi") == ["pick_first"]
    assert await _offered("weft server --log-level w") == ["warning"]
    assert await _offered("weft services list --output y") == ["yaml"]


@pytest.mark.parametrize(
    "env",
    [
        {"WEFT_TARGET": "127.0.0.1:1"},
        {"WEFT_TARGET": "kubernetes://x"},
        {"WEFT_TARGET": "consul://weft-registry"},
        {"WEFT_TARGET": "consul://weft-registry", "CONSUL_HTTP_ADDR": "127.0.0.1:1"},
        {"WEFT_TARGET": "127.0.0.1:1", "OTEL_TRACES_EXPORTER": "paper"},
    ],
    ids=lambda env: " ".join(env.values()),
)
async def test_without_a_server_there_is_silence(env: dict[str, str]) -> None:
    """Whoever presses Tab sees no error, and waits no longer than a moment."""
    began = monotonic()
    assert await _offered("weft run he", **env) == []
    assert monotonic() - began < 3
