"""A service that does a little work and writes down each time it does; also a program of its own."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

from weft.client import Client
from weft.service import ActionContext, Service


class Journal:
    """Who ran what, one line each; a file, since a killed process tells nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def write(self, *words: object) -> None:
        with self.path.open("a", buffering=1) as file:
            file.write(" ".join(map(str, words)) + "\n")

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]

    def bodies(self) -> Counter[tuple[str, str]]:
        """How often each step of each execution was run."""
        return Counter((line[1], line[2]) for line in self.lines() if line[0] == "run")


def work_service(journal: Journal, name: str = "work") -> Service:
    service = Service(name, version="1.0.0")

    @service.action(idempotent=True)
    async def work(n: int, context: ActionContext, seconds: float = 0.0) -> dict[str, int]:
        """Take a moment, and count up."""
        journal.write("run", context.execution_id, context.step_id, context.attempt, context.idempotency_key)
        await asyncio.sleep(seconds)
        journal.write("done", context.execution_id, context.step_id, context.attempt)
        return {"n": n + 1}

    return service


async def make_chain(
    weft: Client, name: str, count: int, *, service: str = "work", seconds: float = 0
) -> None:
    """Create a workflow that calls ``work`` that often, one after the other."""
    steps = [
        {
            "id": f"s{number}",
            "service": service,
            "action": "work",
            "next": f"s{number + 1}" if number + 1 < count else None,
            "input": {
                "n": "${input.n}" if number == 0 else f"${{steps.s{number - 1}.n}}",
                "seconds": seconds or "${input.seconds}",
            },
        }
        for number in range(count)
    ]
    await weft.workflows.create(name, steps)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--server", required=True)
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--listen", default="127.0.0.1:0")
    options.add_argument("--name", default="work")
    given = options.parse_args()
    service = work_service(Journal(given.journal), given.name)
    service.run(server=given.server, listen=given.listen, ttl=timedelta(seconds=2))


if __name__ == "__main__":
    main()
