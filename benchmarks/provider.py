"""The service that workflows are made of: three trivial actions in one process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

from weft.api.action.v1.action_service_pb2_grpc import ActionServiceServicer
from weft.service import Service
from weft.service._servicer import ActionServicer

__all__ = ["ACTIONS", "SERVICE", "UNARY_SERVICE", "Document"]

SERVICE: Final = "benchmark"
UNARY_SERVICE: Final = "benchmark-unary"
"""The same without the stream, as providers in other languages are."""
ACTIONS: Final = ("first", "second", "third")


@dataclass(frozen=True)
class Document:
    """What every action takes and returns."""

    number: int
    text: str


async def add_one(number: int, text: str) -> Document:
    """Add one."""
    return Document(number + 1, text)


def _service(name: str) -> Service:
    service = Service(name, description="Adds one, three times.")
    for action in ACTIONS:
        service.action(name=action, idempotent=True)(add_one)
    return service


def _serve_no_streams() -> None:
    """Answer RunActions with UNIMPLEMENTED: engines then make unary calls."""
    setattr(ActionServicer, "RunActions", ActionServiceServicer.RunActions)  # noqa: B010 - mypy knows better


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A provider to measure.")
    parser.add_argument("--server", required=True, help="host:port of the Weft server")
    parser.add_argument("--unary", action="store_true", help=f"without streams, as {UNARY_SERVICE}")
    given = parser.parse_args()
    if given.unary:
        _serve_no_streams()
    _service(UNARY_SERVICE if given.unary else SERVICE).run(server=given.server)


if __name__ == "__main__":
    main()
