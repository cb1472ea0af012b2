"""Archives: the same bytes each time, and nothing that does not add up."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.contract.store.samples import CONTEXT, FAILURE, NOW, execution
from weft.core.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
)
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.reasons import Reason, Rule
from weft.core.testing import ManualClock
from weft.server.archive.lines import Archive, read_archive, write_archive
from weft.server.archive.service import ArchiveService
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionState,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from weft.server.store.sqlite import SqliteStore

END = NOW + timedelta(seconds=9)


def completed(**changes: Any) -> Archive:
    made = execution(
        id=new_id(EXECUTION_PREFIX, NOW),
        state=ExecutionState.COMPLETED,
        last_event=4,
        end_time=END,
        due_time=None,
        key="order-1",
        attributes={"customer": "Zoë", "amount": 1.5, "vip": True},
    )
    started = ExecutionStarted(
        input=b'{"n": 9007199254740993}',
        context=CONTEXT,
        workflow_id=made.workflow_id,
        workflow_version=made.workflow_version,
        timeout=timedelta(hours=1),
    )
    events = (
        Event(1, NOW, started),
        Event(2, NOW, StepScheduled(step_id="a")),
        Event(3, NOW, StepCompleted(step_id="a", attempt=1, output='{"t": "é\\n"}'.encode())),
        Event(4, END, ExecutionCompleted(result=b"{}")),
    )
    return Archive(replace(made, **changes), events)


def failed() -> Archive:
    archive = completed(state=ExecutionState.FAILED, failure=FAILURE)
    last = (
        Event(3, NOW, StepFailed(step_id="a", attempt=1, failure=FAILURE)),
        Event(4, END, ExecutionFailed(failure=FAILURE)),
    )
    return Archive(archive.execution, (*archive.events[:2], *last))


def text(archive: Archive) -> bytes:
    return b"".join(write_archive(archive))


def sealed(lines: list[Any]) -> bytes:
    """Write records as an archive whose last line is right."""
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    end = {"events": len(lines) - 1, "sha256": hashlib.sha256(body).hexdigest()}
    return body + orjson.dumps(end) + b"\n"


@pytest.mark.parametrize("made", [completed(), failed()], ids=["completed", "failed"])
def test_an_archive_is_read_as_what_was_written(made: Archive) -> None:
    """And written again it is the same bytes."""
    assert read_archive(text(made)) == made
    assert text(read_archive(text(made))) == text(made)
    assert [set(orjson.loads(line)) for line in text(made).splitlines()[1:-1]] == [
        {"number", "time", "kind", "attributes", "payload"}
    ] * 4


def change(line: int, member: str, value: Any) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        lines[line - 1][member] = value

    return apply


def drop(line: int) -> Callable[[list[Any]], None]:
    return lambda lines: lines.pop(line - 1) and None


def of_head(member: str, value: Any) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        lines[0]["execution"][member] = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop(3), "line 3: has number 3, not 2"),
        (drop(2), "line 2: has number 2, not 1"),
        (drop(5), "ended by its last event"),
        (change(3, "kind", "step_dreamt"), "line 3: is not an event"),
        (change(3, "attributes", {}), "line 3: is not an event"),
        (change(3, "attributes", {"step_id": "b", "attempt": 1, "cause": ""}), "was not scheduled before"),
        (change(3, "time", "soon"), "line 3: is not an event"),
        (change(4, "payload", None), "line 4: has no payload"),
        (change(4, "payload", "[1]"), "line 4: its payload is a JSON array"),
        (change(4, "payload", 7), "line 4: is not an event"),
        (change(1, "format", "weft-execution/9"), "line 1: its format is not"),
        (change(1, "state", "RUNNING"), "not what the events add up to"),
        (change(1, "state", "FAILED"), "not what the events add up to"),
        (change(1, "state", "DONE"), "line 1: is not an execution"),
        (change(1, "end_time", 1), "not what the events add up to"),
        (change(1, "last_event", 5), "not what the events add up to"),
        (change(1, "execution", []), "line 1: is not an execution"),
        (of_head("workflow_version", 9), "not what the first event says"),
        (of_head("id", "exe_1"), "has no id of an execution"),
        (of_head("id", new_id(EXECUTION_PREFIX)), "the id was not made when"),
        (of_head("attributes", {"x" * 99: 1}), "the name does not match"),
        (of_head("color", "red"), "line 1: is not an execution"),
        (lambda lines: lines.append(lines[4]), "line 6: has number 4, not 5"),
        (lambda lines: lines.__setitem__(2, []), "line 3: is not a JSON object"),
    ],
)
def test_what_does_not_add_up_is_refused(spoil: Callable[[list[Any]], None], words: str) -> None:
    """Also under a digest that is right: with the line, and never as a defect of ours."""
    lines = [orjson.loads(line) for line in text(completed()).splitlines()[:-1]]
    spoil(lines)
    with pytest.raises(ValidationError) as caught:
        read_archive(sealed(lines))
    assert {fault.reason for fault in caught.value.violations} <= {Rule.ARCHIVE_INVALID, Rule.INVALID}
    assert words in str(caught.value)


def test_every_flipped_bit_is_noticed() -> None:
    """Wherever it is, and also a cut."""
    whole = text(completed())
    for at in range(0, len(whole), 7):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1
        with pytest.raises(ValidationError):
            read_archive(bytes(spoiled))
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ValidationError):
            read_archive(whole[:length])


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(None, ManualClock())
    await opened.open()
    yield opened
    await opened.close()


async def pieces(data: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def exported(archives: ArchiveService, of: Execution) -> bytes:
    return b"".join([line async for line in archives.export(of.id)])


async def test_an_import_is_exported_as_the_same_bytes(store: SqliteStore) -> None:
    """A repeat changes nothing; another content with the same id is refused."""
    archives = ArchiveService(store)
    made = failed()
    assert await archives.import_(pieces(text(made))) == (made.execution, True)
    assert await exported(archives, made.execution) == text(made)
    assert await archives.import_(pieces(text(made), 7)) == (made.execution, False)
    other = Archive(replace(made.execution, workflow_name="other"), made.events)
    with pytest.raises(AlreadyExistsError) as caught:
        await archives.import_(pieces(text(other)))
    assert caught.value.reason == Reason.EXECUTION_EXISTS
    assert await exported(archives, made.execution) == text(made)


async def test_an_execution_is_exported_by_its_key(store: SqliteStore) -> None:
    """Wherever an id is taken, the key is too; it means the newest that has it."""
    archives = ArchiveService(store)
    made = [completed() for _ in range(2)]
    for each in made:
        await archives.import_(pieces(text(each)))
    newer = max(made, key=lambda it: it.execution.id)
    assert b"".join([line async for line in archives.export("order-1")]) == text(newer)
    with pytest.raises(ResourceNotFoundError):
        b"".join([line async for line in archives.export("order-2")])


async def test_an_open_execution_is_not_exported(store: SqliteStore) -> None:
    """It says where it stands."""
    started = completed().events[:2]
    made = await store.insert_execution(execution(), started)
    with pytest.raises(PreconditionError) as caught:
        await exported(ArchiveService(store), made)
    assert (caught.value.reason, caught.value.metadata["state"]) == (Reason.EXECUTION_OPEN, "RUNNING")


async def test_an_archive_is_taken_up_to_a_size(store: SqliteStore) -> None:
    """Nothing is held beyond it."""
    made = text(completed())
    with pytest.raises(ExhaustedError) as caught:
        await ArchiveService(store, max_bytes=len(made) - 1).import_(pieces(made))
    assert caught.value.reason == Reason.ARCHIVE_TOO_LARGE
    assert (await ArchiveService(store, max_bytes=len(made)).import_(pieces(made)))[1]


async def test_who_stops_sending_holds_nobody_up(store: SqliteStore) -> None:
    """Archives are taken one at a time; one whose next piece does not come is given up."""
    archives = ArchiveService(store, patience=timedelta(seconds=0.2))

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    first = asyncio.create_task(archives.import_(stalled()))
    await asyncio.sleep(0)
    made = completed()
    assert await archives.import_(pieces(text(made))) == (made.execution, True)
    with pytest.raises(DeadlineExceededError, match="no further piece"):
        await first
