"""What holds for every test."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer

# Where Python may not keep what it compiled, each of the many processes here compiles all of it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Nobody goes on with grpc in a forked child; its handlers for that have crashed children at once.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# How long an example takes says how busy the machine is, and not whether a promise is kept.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make captured output sendable: tests log lone surrogates on purpose, workers report in UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _no_dead_handlers() -> Iterator[None]:
    """Forget log handlers that write to a stream which a test before has closed: they complain on stderr."""
    _forget_dead_handlers()
    yield
    _forget_dead_handlers()


def _forget_dead_handlers() -> None:
    for logger in (logging.getLogger(), logging.getLogger("weft")):
        for handler in list(logger.handlers):
            if isinstance(handler, logging.StreamHandler) and getattr(handler.stream, "closed", False):
                logger.removeHandler(handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of a process; those that harm it start one of their own."""
    from tests.support.postgres import started_postgres  # noqa: PLC0415 - few tests need it

    with started_postgres() as server:
        yield server


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Coroutine[Any, Any, str]]]:
    """Makes databases with our tables; the server is started when the first one is made."""
    made: list[str] = []

    async def make() -> str:
        server: PostgresServer = request.getfixturevalue("postgres")
        made.append(await server.prepared())
        return made[-1]

    yield make
    for url in made:
        await request.getfixturevalue("postgres").drop(url)
