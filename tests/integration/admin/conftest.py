"""Stores of both kinds, with something in them, and the command line."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.contract.store import samples
from tests.contract.store.schedules import run as a_run
from tests.contract.store.schedules import schedule as a_schedule
from tests.support.command import Runner
from tests.support.postgres import PostgresServer
from weft.cli.commands import app
from weft.core.clock import SystemClock
from weft.server.adapters import make_store, make_vault
from weft.server.execution.history.model import Event, ExecutionCompleted, StepCompleted, StepScheduled, Waits
from weft.server.store.base import Command, Store
from weft.server.store.database import DatabaseConfig
from weft.server.store.vault import TABLES, Vault

_SEAL = ',?"~":"[0-9a-f]{16}"'

KINDS = ("postgres", "sqlite")


@dataclass(frozen=True)
class Place:
    """Where a store is."""

    folder: Path
    url: str

    @property
    def options(self) -> list[str]:
        return ["--database-url", self.url] if self.url else ["--data-dir", str(self.folder)]

    @property
    def database(self) -> DatabaseConfig | None:
        return DatabaseConfig(url=self.url) if self.url else None

    def store(self) -> Store:
        return make_store(self.folder, self.database, SystemClock())

    def vault(self) -> Vault:
        return make_vault(self.folder, self.database)

    def execute(self, statement: str) -> None:
        """Change something past all that guards it."""
        if self.url:
            plain = statement.replace("unsealed(attributes)", f"regexp_replace(attributes, '{_SEAL}', '')")
            plain = plain.replace("BLOB", "bytea")
            apart(PostgresServer.execute_at(self.url, f"SET search_path TO weft; {plain}"))
            return
        connection = sqlite3.connect(self.folder / "weft.db")
        connection.create_function("unsealed", 1, lambda text: re.sub(_SEAL, "", text))
        with connection:
            connection.execute(statement)
        connection.close()

    def content(self) -> dict[str, list[Any]]:
        """Return every row of every table."""
        found: dict[str, list[Any]] = apart(self._content())
        return found

    async def _content(self) -> dict[str, list[Any]]:
        async with self.vault().snapshot() as snapshot:
            return {each.name: [row async for row in snapshot.rows(each)] for each in TABLES}


def apart(work: Any) -> Any:
    """Run something with an event loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


MakePlace = Callable[[str], Place]
Run = Callable[..., Result]


@pytest.fixture
def make_place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakePlace]:
    """Makes places for stores, empty ones."""
    made: list[str] = []

    def make(kind: str) -> Place:
        if kind == "sqlite":
            return Place(tmp_path / f"data-{len(list(tmp_path.iterdir()))}", "")
        server: PostgresServer = request.getfixturevalue("postgres")
        made.append(apart(server.prepared()))
        return Place(tmp_path, made[-1])

    yield make
    for url in made:
        apart(request.getfixturevalue("postgres").drop(url))


@pytest.fixture
def run() -> Iterator[Run]:
    """Run ``weft admin`` in this process, and leave its logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, code: int = 0) -> Result:
        result = Runner().invoke(app, ["admin", *arguments])
        assert result.exit_code == code, result.output
        return result

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


async def fill(store: Store) -> None:
    """Put something of everything into a store."""
    service = await store.insert_service(samples.two_versions(), samples.key("s"))
    await store.put_instance(samples.instance(service.id))
    workflow = await store.insert_workflow(samples.workflow(), samples.key("w"))
    for number in range(5):
        made = samples.execution(
            workflow_id=workflow.id,
            key=f"order-{number}",
            attributes={"customer": f"c-{number}", "amount": number / 2, "vip": True},
        )
        events = samples.first_events(made, b'{"n": %d, "text": "\xc3\xa9"}' % number)
        await store.insert_execution(made, events, samples.key(f"e-{number}"))
        done = [
            samples.output(3, b'{ "spaces" : 1}'),
            Event(4, samples.NOW, ExecutionCompleted(result=b'{"n":1}')),
        ]
        if number % 2:
            over = samples.ended(samples.advanced(made))
            await store.append_events(_without_due(over), _at_its_end(done, over.end_time), 2)
        elif number:
            next_step = Event(4, samples.NOW, StepScheduled(step_id="score"))
            waiting = samples.advanced(made, 2, waits=Waits.WORKFLOW, due_time=None)
            await store.append_events(waiting, [done[0], next_step], 2, release=True)
    await store.post_command(Command(execution_id="exe_1", kind="cancel"))
    schedule = await store.insert_schedule(a_schedule(), samples.NOW, samples.key("c"))
    await store.add_schedule_runs(schedule.id, [a_run()], samples.NOW, "")


def _without_due(execution: Any) -> Any:
    return replace(execution, due_time=None)


def _at_its_end(events: list[Event], end: Any) -> list[Event]:
    assert isinstance(events[0].body, StepCompleted)
    return [events[0], Event(events[1].number, end, events[1].body)]


@pytest.fixture(params=KINDS)
def filled(request: pytest.FixtureRequest, make_place: MakePlace) -> Place:
    """A store with something in it, and no server."""
    place = make_place(request.param)

    async def make() -> None:
        store = place.store()
        await store.open()
        await fill(store)
        await store.close()

    apart(make())
    return place
