"""The service that the workflow benchmark calls: three trivial actions in one process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from weft.service import Service

__all__ = ["ACTIONS", "SERVICE"]

SERVICE = "benchmark"
ACTIONS = ("first", "second", "third")


@dataclass(frozen=True)
class Document:
    """What every action takes and returns."""

    number: int
    text: str


service = Service(SERVICE, description="Adds one, three times.")


@service.action(idempotent=True)
async def first(number: int, text: str) -> Document:
    """Add one."""
    return Document(number + 1, text)


@service.action(idempotent=True)
async def second(number: int, text: str) -> Document:
    """Add one."""
    return Document(number + 1, text)


@service.action(idempotent=True)
async def third(number: int, text: str) -> Document:
    """Add one."""
    return Document(number + 1, text)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A provider to measure.")
    parser.add_argument("--server", required=True, help="host:port of the Weft server")
    service.run(server=parser.parse_args().server)


if __name__ == "__main__":
    main()
