"""What a process has loaded once it is up: a restart is as slow as what it imports."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

_SLOW: Final = (
    "aiohttp",
    "asyncpg",
    "consul",
    "dns",
    "prompt_toolkit",
    "requests",
    "opentelemetry.sdk.metrics",
)
"""What takes long to import, and is of use to some processes only."""

_SERVER: Final = """
import asyncio, weft.server.command
from weft.server.app import WeftServer
from weft.server.config import ServerConfig

async def main():
    async with WeftServer(ServerConfig(listen="127.0.0.1:0")):
        pass

asyncio.run(main())
"""

_PROVIDER: Final = """
import asyncio
from weft.service import Service

texts = Service("texts")

@texts.action
async def shout(text: str) -> dict[str, str]:
    return {"text": text.upper()}

async def main():
    async with texts.hosted(server="127.0.0.1:9"):
        pass

asyncio.run(main())
"""

_CLIENT: Final = """
import asyncio
from weft.client import connect

async def main():
    async with connect("127.0.0.1:9"):
        pass

asyncio.run(main())
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


@pytest.mark.parametrize("code", [_SERVER, _PROVIDER, _CLIENT], ids=["server", "provider", "client"])
def test_a_plain_process_loads_nothing_that_it_does_not_use(code: str) -> None:
    """Without Consul, DNS, HTTP, PostgreSQL and metrics, their libraries are not imported."""
    shown = f"import sys\nprint(*(it for it in {_SLOW!r} if it in sys.modules))"
    assert run(f"{code}\n{shown}") == ""


def test_the_program_of_the_cel_library_can_still_be_had() -> None:
    """What is left out of an import for its time is not lost to others in the process."""
    first, second = "import weft.server.workflow.expressions.template", "import cel.cli"
    for imports in (f"{first}\n{second}", f"{second}\n{first}"):
        assert run(f"{imports}\nprint(callable(cel.cli.app), callable(cel.compile))") == "True True"
