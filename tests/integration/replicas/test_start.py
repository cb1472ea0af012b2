"""A server that cannot use its database says why in one line, without the password."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.engine.processes import free_port
from tests.integration.replicas.conftest import OpenStore
from tests.support.command import Runner
from tests.support.postgres import PASSWORD, PostgresServer
from weft.cli.commands import app
from weft.server.store.base import StoreUnavailableError
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres import PostgresStore

pytestmark = pytest.mark.integration

Refused = Callable[..., str]


@pytest.fixture
def refused() -> Iterator[Refused]:
    """Run the command in this process, and leave its logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(url: str, *more: str, code: int = 1) -> str:
        arguments = ["server", "--listen", f"127.0.0.1:{free_port()}", "--database-url", url, *more]
        result = Runner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        assert PASSWORD not in result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        return lines[0]

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


def execute(postgres: PostgresServer, *statements: str, url: str = "") -> list[Any]:
    """Run statements past the code under test; return what the last one gives."""
    rows: list[Any] = []
    for statement in statements:
        rows = asyncio.run(postgres.execute(statement, url=url))
    return rows


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"mysql://weft:{PASSWORD}@host/db", "begins with 'mysql'"),
        (f"weft:{PASSWORD}@host/db", "postgresql://"),
        (f"postgresql://weft:{PASSWORD}@host", "names no database"),
        (f"postgresql://weft:{PASSWORD}@host:port/db", "postgresql://"),
    ],
)
def test_a_url_that_cannot_be_is_a_wrong_option(refused: Refused, url: str, words: str) -> None:
    """Exit code 2, before anything is touched."""
    assert words in refused(url, code=2)


def test_a_wrong_schema_or_lease_is_a_wrong_option(refused: Refused) -> None:
    """Each in one line."""
    url = f"postgresql://weft:{PASSWORD}@host/db"
    assert "schema" in refused(url, "--schema", "We-ft", code=2)
    assert "lease" in refused(url, "--lease", "0.1", code=2)


def test_a_server_that_is_not_there_is_named(refused: Refused) -> None:
    """Host, port and database are told; user and password are not."""
    port = free_port()
    said = refused(f"postgresql://weft:{PASSWORD}@127.0.0.1:{port}/weft")
    assert said.endswith(f"cannot open the store: 127.0.0.1:{port}/weft, schema weft: Connection refused")


def test_what_the_database_refuses_is_told(refused: Refused, postgres: PostgresServer, url: str) -> None:
    """A wrong password, a missing database, a role that may nothing."""
    wrong = url.replace(PASSWORD, "wrong-" + PASSWORD[::-1])
    assert "password authentication failed" in refused(wrong)
    assert 'database "missing" does not exist' in refused(postgres.url("missing"))
    execute(postgres, "DROP ROLE IF EXISTS guest")
    execute(postgres, f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    said = refused(url.replace("weft:", "guest:"), "--schema", "other")
    assert "permission denied" in said
    assert "CREATE SCHEMA other AUTHORIZATION" in said
    assert "permission denied" in refused(url.replace("weft:", "guest:"))


def test_a_schema_of_something_else_is_left_alone(
    refused: Refused, postgres: PostgresServer, url: str
) -> None:
    """Nothing is added to it."""
    execute(postgres, "CREATE SCHEMA shop", "CREATE TABLE shop.orders (id int)", url=url)
    assert "something else" in refused(url, "--schema", "shop")
    tables = execute(postgres, "SELECT tablename FROM pg_tables WHERE schemaname = 'shop'", url=url)
    assert [row[0] for row in tables] == ["orders"]


def test_a_database_of_a_newer_release_is_left_alone(
    refused: Refused, postgres: PostgresServer, url: str
) -> None:
    """As is one whose migrations were others."""
    execute(postgres, "INSERT INTO weft.schema_migrations VALUES (9999, 'later', 'x', 0)", url=url)
    assert "newer release" in refused(url)
    execute(postgres, "DELETE FROM weft.schema_migrations WHERE number = 9999", url=url)
    execute(postgres, "UPDATE weft.schema_migrations SET checksum = 'x'", url=url)
    assert "checksums differ" in refused(url)


async def test_servers_that_start_at_once_migrate_once(
    postgres: PostgresServer, open_store: OpenStore
) -> None:
    """Five on an empty database: all are there in the end."""
    empty = await postgres.database()
    stores = await asyncio.gather(*(open_store(where=empty) for _ in range(5)))
    assert len({store.epoch for store in stores}) == 5
    rows = await postgres.execute("SELECT number FROM weft.schema_migrations", url=empty)
    assert len(rows) == len({row[0] for row in rows}) > 0


async def test_two_schemas_of_one_database_know_nothing_of_each_other(url: str) -> None:
    """Each has its tables, its servers and its locks."""
    stores = [PostgresStore(DatabaseConfig(url=url, schema=name)) for name in ("one", "two")]
    for store in stores:
        await store.open()
    try:
        assert all(store._keeper.alone for store in stores)
        assert [store.epoch for store in stores] == [1, 1]
    finally:
        for store in stores:
            await store.close()


async def test_a_store_is_opened_once(open_store: OpenStore) -> None:
    """A second time is refused."""
    store = await open_store()
    with pytest.raises(StoreUnavailableError, match="opened before"):
        await store.open()
