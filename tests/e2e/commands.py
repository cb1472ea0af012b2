"""Commands as a user types them, run beside the test's own loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import Runner
from weft.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """What it says on stderr, as JSON."""
        return json.loads(self.err)["error"]


Weft = Callable[..., Awaitable[Done]]
"""Runs the command ``weft`` against a server."""


async def run(*words: str, stdin: str = "", within: float = 50, **env: str) -> Done:
    """Run a program of the repository from its root."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **env},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), within)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def weft(*words: str, stdin: str = "", **env: str) -> Done:
    """Run the command as a process, as a user does."""
    return await run(sys.executable, "-m", "weft.cli", *words, stdin=stdin, within=50, **env)


async def weft_here(*words: str, stdin: str = "", **env: str) -> Done:
    """Run the command within this process, in a thread; one at a time, as it takes the streams.

    For more commands of a kind of which one runs as a process.
    """
    runner = Runner(env={"NO_COLOR": "1", "COLUMNS": "160", **env})
    done = await asyncio.to_thread(runner.invoke, app, list(words), input=stdin, prog_name="weft")
    return Done(done.exit_code, done.stdout, done.stderr)


async def shell(line: str) -> Done:
    """Run a line as it was printed, in the folder it was printed for."""
    return await run("sh", "-c", line, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def processes_that_mention(text: str) -> list[int]:
    """Return the ids of running processes whose command line has the text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in words:
                found.append(int(folder.name))
    return found
