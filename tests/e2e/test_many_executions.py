"""Many executions at the command line and from Python: found, counted, worked on in batches, moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.commands import Weft
from weft.client import (
    Batch,
    Client,
    Code,
    PreconditionError,
    ResourceNotFoundError,
    ServiceIntegrationClient,
    ValidationError,
    connect,
)
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from weft.service import ActionFailedError, Service

pytestmark = pytest.mark.e2e


def orders() -> Service:
    service = Service("orders", version="1.0.0")

    @service.action
    async def place(amount: float = 1) -> dict[str, float]:
        """Place an order; 13 of anything is refused."""
        if amount == 13:
            raise ActionFailedError("unlucky", reason="UNLUCKY", code=Code.FAILED_PRECONDITION)
        if amount == 99:
            await asyncio.Event().wait()
        return {"amount": amount}

    return service


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    """A server with one completed, one failed and two open executions of ``order``."""
    hosting = orders().hosted(server=address, drain=timedelta(0))
    async with hosting, connect(address) as weft:
        await weft.workflows.create("order", [{"id": "only", "service": "orders", "action": "place"}])
        await weft.executions.execute("order", {"amount": 5}, attributes={"customer": "acme", "amount": 5})
        await weft.executions.execute("order", {"amount": 13}, attributes={"customer": "acme", "vip": True})
        for customer in ("acme", "Zoë & Söhne"):
            await weft.executions.start("order", {"amount": 99}, attributes={"customer": customer})
        yield weft


async def test_the_python_client(client: Client) -> None:
    """Filters, counts and attributes; a fault of a filter has its column."""
    found = await client.executions.list(filter='attributes.customer = "Zoë & Söhne" AND NOT end_time:*')
    assert [each.search_attributes for each in found.items] == [{"customer": "Zoë & Söhne"}]
    assert (found.total_size, found.total_size_is_minimum) == (1, False)
    counts = await client.executions.count(filter="attributes.customer = acme", group_by="state")
    assert counts.total == 3
    assert {(group.value, group.count) for group in counts.groups} == {
        ("COMPLETED", 1),
        ("FAILED", 1),
        ("RUNNING", 1),
    }
    by_workflow = await client.executions.count(group_by="workflow")
    assert [(group.workflow_name, group.count) for group in by_workflow.groups] == [("order", 4)]
    by_vip = await client.executions.count(group_by="attributes.vip")
    assert [(group.value, group.count) for group in by_vip.groups] == [(True, 1)]
    with pytest.raises(ValidationError, match="at column 11: 'x' is not a whole number") as caught:
        await client.executions.list(filter="version = x")
    assert caught.value.violations[0].field == "filter"
    with pytest.raises(ResourceNotFoundError):
        await client.executions.count(filter="workflow = ordr")


async def ended(client: Client, batch_id: str) -> Batch:
    while True:
        found = await client.batches.get(batch_id)
        if found.state != "RUNNING":
            return found
        await asyncio.sleep(0.05)


async def test_batches_from_python(client: Client) -> None:
    """One cancels what is open, another runs anew what failed."""
    batch = await client.batches.start("attributes.customer:* AND state = RUNNING", "cancel", reason="closed")
    assert batch.total == 2
    batch = await ended(client, batch.id)
    assert (batch.state, batch.succeeded) == ("COMPLETED", 2)
    retry = await client.batches.start("state = FAILED", "RETRY")
    retry = await ended(client, retry.id)
    (item,) = (await client.batches.items(retry.id, state="succeeded")).items
    again = await client.executions.get(item.result_execution_id)
    assert again.origin is not None
    assert (again.origin.execution_id, again.search_attributes) == (
        item.execution_id,
        {"customer": "acme", "vip": True},
    )
    listed = await client.batches.list(page_size=1)
    assert (listed.items[0].id, listed.total_size) == (retry.id, 2)
    assert await client.batches.cancel(retry.id) == retry
    with pytest.raises(ValidationError, match="is none of CANCEL, RETRY, PAUSE, RESUME"):
        await client.batches.start("id:*", "delete")


async def test_archives_from_python(client: Client) -> None:
    """Out of one server and into another; changed ones are refused."""
    (done,) = (await client.executions.list(state="COMPLETED")).items
    data = b"".join([piece async for piece in client.archives.export_execution(done.id)])
    async with WeftServer(ServerConfig(listen="127.0.0.1:0")) as server, connect(server.address) as other:
        first = await other.archives.import_execution(data)
        again = await other.archives.import_execution([data[:9], data[9:]])
        assert (first.created, again.created, again.execution.id) == (True, False, done.id)
        with pytest.raises(ValidationError, match="something was lost or changed"):
            await other.archives.import_execution(data.replace(b"acme", b"evil"))
    assert not (await client.archives.import_execution(data)).created
    assert not (await client.archives.import_execution(client.archives.export_execution(done.id))).created
    assert not (await client.archives.import_execution(bytearray(data))).created
    (open_one,) = (await client.executions.list(state="RUNNING", page_size=1)).items
    with pytest.raises(PreconditionError):
        await anext(client.archives.export_execution(open_one.id))


async def test_what_gives_the_pieces_of_an_archive_may_fail(client: Client) -> None:
    """Then its own error comes, and not one about the connection."""

    def torn() -> Iterator[bytes]:
        yield b"{}"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await client.archives.import_execution(torn())
    with pytest.raises(TypeError, match="pieces: str is not bytes"):
        await client.archives.import_execution("{}")  # type: ignore[arg-type] # as one without a checker may do
    with pytest.raises(TypeError, match="pieces: int is not bytes"):
        await client.archives.import_execution([1])  # type: ignore[list-item] # likewise
    assert await client.health.check() == "SERVING"


async def test_pages_by_number_hold_all_that_is_large() -> None:
    """A list ends a page early where its items are large; ``pages`` of the dicts are full all the same."""
    async with (
        WeftServer(ServerConfig(listen="127.0.0.1:0")) as server,
        ServiceIntegrationClient(server.address) as plain,
    ):
        await plain.typed.workflows.create("large", [{"id": "wait", "signal": {"name": "never"}}])
        attributes = {f"a{number}": "v" * 2_000 for number in range(64)}
        for _ in range(33):
            await plain.typed.executions.start("large", attributes=attributes)
        assert len((await plain.typed.executions.list(page_size=30)).items) < 30
        pages = [await plain.get_workflow_executions("large", page=page, per_page=30) for page in (1, 2)]
        assert [len(page["items"]) for page in pages] == [30, 3]
        assert len({item["id"] for page in pages for item in page["items"]}) == 33


async def test_lists_and_counts_at_the_command_line(weft: Weft, here: Weft, client: Client) -> None:
    """``--filter``, ``--group-by`` and ``--attribute``, as tables and as JSON."""
    ran = await weft(
        "run", "order", "--input", '{"amount": 2}', "--attribute", "customer=new", "--attribute", "amount=2",
        "--attribute", "vip=true", "--attribute", 'zip="01"', "--output", "json",
    )  # fmt: skip
    expected = {"customer": "new", "amount": 2, "vip": True, "zip": "01"}
    assert ran.json["search_attributes"] == expected
    text = 'attributes.customer = new AND attributes.zip = "01" AND create_time > now-1h'
    listed = await here("executions", "list", "--filter", text, "--output", "json")
    assert [each["id"] for each in listed.json["items"]] == [ran.json["id"]]
    table = await here("executions", "count", "--filter", "attributes.customer = acme", "--group-by", "state")
    assert sorted(line.split() for line in table.out.splitlines()[1:]) == [
        ["COMPLETED", "1"],
        ["FAILED", "1"],
        ["RUNNING", "1"],
    ]
    assert "3 in all" in table.err
    assert (await here("executions", "count")).out == "5\n"
    wrong = await here("executions", "list", "--filter", "stat = FAILED")
    assert wrong.code == 4
    assert "at column 1: there is no field 'stat'; did you mean 'state'?" in wrong.err


async def test_batches_at_the_command_line(weft: Weft, here: Weft, client: Client) -> None:
    """Started, waited for, listed, and looked into."""
    started = await weft(
        "batches",
        "start",
        "cancel",
        "--filter",
        "workflow = order",
        "--reason",
        "closed",
        "--wait",
        "-o",
        "json",
    )
    assert (started.code, started.json["state"], started.json["total"]) == (0, "COMPLETED", 4)
    assert (started.json["succeeded"], started.json["skipped"]) == (2, 2)
    batch_id = started.json["id"]
    shown = await here("batches", "get", batch_id)
    assert "4: 2 done, 2 skipped" in shown.out
    skipped = await here("batches", "items", batch_id, "--state", "skipped")
    assert skipped.out.count("EXECUTION_ENDED") == 2
    assert batch_id in (await here("batches", "list")).out
    assert (await here("batches", "cancel", batch_id)).out.split() == [batch_id, "COMPLETED"]
    assert (await here("batches", "get", "bat_" + "0" * 26)).code == 3


async def test_archives_at_the_command_line(weft: Weft, here: Weft, client: Client, tmp_path: Path) -> None:
    """A file that is the same each time, taken by another server."""
    (done,) = (await client.executions.list(state="COMPLETED")).items
    exported = await weft("executions", "export", done.id)
    assert exported.code == 0
    assert (await here("executions", "export", done.id)).out == exported.out
    file = tmp_path / "done.jsonl"
    file.write_text(exported.out)
    async with WeftServer(ServerConfig(listen="127.0.0.1:0")) as server:
        target = ("--target", server.address)
        assert (await here(*target, "executions", "import", str(file))).out.split() == [done.id, "CREATED"]
        again = await weft(*target, "executions", "import", "-", stdin=exported.out)
        assert again.out.split() == [done.id, "UNCHANGED"]
        assert done.id in (await here(*target, "executions", "list", "--state", "completed")).out
        broken = await here(*target, "executions", "import", "-", stdin=exported.out[:-20])
        assert broken.code == 4
    assert (await here("executions", "import", str(tmp_path / "none"))).code == 2
