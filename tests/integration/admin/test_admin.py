"""``weft admin``: what is taken out of a store goes into another one, and nothing wrong goes unseen."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import Result

from tests.contract.store.samples import execution, first_events
from tests.integration.admin.conftest import KINDS, MakePlace, Place, Run, apart, fill
from tests.support.postgres import PASSWORD
from weft.server.store.base import StoreDamagedError
from weft.server.store.vault import table

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("target", KINDS)
def test_a_backup_goes_into_a_store_of_any_kind(
    filled: Place, make_place: MakePlace, run: Run, tmp_path: Path, target: str
) -> None:
    """Every row of every table, byte by byte; it works, and nothing is wrong with it."""
    file = tmp_path / "weft.backup.gz"
    assert "5 executions" in run("backup", str(file), *filled.options).stdout
    assert file.stat().st_mode & 0o777 == 0o600
    other = make_place(target)
    assert "5 executions" in run("restore", str(file), *other.options).stdout
    assert other.content() == filled.content()
    run("verify", *other.options)

    async def use() -> None:
        store = other.store()
        await store.open()
        found = await store.get_execution_by_key("order-1")
        assert found is not None
        assert len(await store.read_events(found.id)) == 4
        assert (await store.get_workflow("document-pipeline")) is not None
        await store.post_command((await store.take_commands())[0])
        await store.close()

    apart(use())


def test_a_backup_is_of_one_moment_while_a_server_works(filled: Place, run: Run, tmp_path: Path) -> None:
    """It holds up nobody, and has nothing half."""

    async def work() -> None:
        store = filled.store()
        await store.open()
        async with filled.vault().snapshot() as snapshot:
            before = await snapshot.count()
            for _ in range(20):
                made = execution()
                await store.insert_execution(made, first_events(made))
            assert len([row async for row in snapshot.rows(table("executions"))]) == before
        await store.close()

    apart(work())
    run("backup", str(tmp_path / "plain.backup"), *filled.options)


def test_restore_refuses_what_it_would_harm(
    filled: Place, make_place: MakePlace, run: Run, tmp_path: Path
) -> None:
    """A store that is not empty, and one that is in use; nothing is changed."""
    file = tmp_path / "weft.backup"
    run("backup", str(file), *filled.options)
    before = filled.content()
    assert "not empty" in run("restore", str(file), *filled.options, code=1).stderr
    assert filled.content() == before
    busy = make_place("postgres" if filled.url else "sqlite")

    async def serve_meanwhile() -> None:
        store = busy.store()
        await store.open()
        try:
            assert "in use" in (await _in_thread(run, "restore", str(file), *busy.options)).stderr
        finally:
            await store.close()

    apart(serve_meanwhile())


async def _in_thread(run: Run, *arguments: str) -> Result:
    return await asyncio.to_thread(run, *arguments, code=1)


@pytest.mark.parametrize("harm", ["cut", "flip", "other"])
def test_a_backup_that_is_not_whole_is_refused(
    filled: Place, make_place: MakePlace, run: Run, tmp_path: Path, harm: str
) -> None:
    """Before anything is written."""
    file = tmp_path / "weft.backup"
    run("backup", str(file), *filled.options)
    text = file.read_bytes()
    if harm == "cut":
        file.write_bytes(text[: len(text) // 2])
    elif harm == "flip":
        file.write_bytes(text.replace(b"order-1", b"order-7", 1))
    else:
        file.write_bytes(gzip.compress(b'{"format": "something"}\n'))
    other = make_place("sqlite")
    said = run("restore", str(file), *other.options, code=1).stderr
    assert "Error: " in said
    assert not (other.folder / "weft.db").exists()


def test_nothing_is_wrong_with_a_sound_store(filled: Place, run: Run) -> None:
    """The exit code is 0, and the count of what was checked is told."""
    assert "5 executions checked, 0 findings" in run("verify", *filled.options).stdout


ENDED = "(SELECT min(id) FROM executions WHERE end_time IS NOT NULL)"
OF_IT = f"WHERE execution_id = {ENDED}"
OPEN = "(SELECT min(id) FROM executions WHERE end_time IS NULL AND last_event = 4)"


def copied(number: int, execution_id: str) -> str:
    """Have an event happen again at the end."""
    return (
        "INSERT INTO events (execution_id, number, time, kind, attributes, payload) "
        "SELECT execution_id, 5, time, kind, unsealed(attributes), payload FROM events "
        f"WHERE execution_id = {execution_id} AND number = {number}"
    )


HARMS = {  # the damage by its code; what follows a blank tells apart those with the same
    "EVENTS_GAP": f"DELETE FROM events {OF_IT} AND number = 2",
    "LAST_EVENT": f"UPDATE executions SET last_event = 9 WHERE id = {ENDED}",
    "STATE": f"UPDATE executions SET state = 'FAILED' WHERE id = {ENDED}",
    "END_TIME": f"UPDATE executions SET end_time = end_time + 1 WHERE id = {ENDED}",
    "FAILURE": (
        "UPDATE executions SET failure = "
        """'{"reason":"X","message":"x","code":5,"metadata":{},"violations":[],"retryable":false}' """
        f"WHERE id = {ENDED}"
    ),
    "TWO_ENDS": copied(4, ENDED),
    "AFTER_END": copied(2, ENDED),
    "TWO_RESULTS": copied(3, OPEN),
    "START": f"UPDATE events SET number = 11, attributes = unsealed(attributes) {OF_IT} AND number = 1",
    "CORRUPT": f"UPDATE events SET payload = CAST('[1]' AS BLOB) {OF_IT} AND number = 3",
    "CORRUPT ": f"UPDATE events SET time = time + 1 {OF_IT} AND number = 2",
    "CORRUPT  ": f"UPDATE executions SET document = 'x' WHERE id = {ENDED}",
    "CORRUPT in a workflow": "UPDATE workflows SET document = 'x'",
    "CORRUPT in a definition": "UPDATE workflow_versions SET definition = '{\"steps\": 1}'",
    "CORRUPT in a service": "UPDATE services SET document = '{}'",
    "CORRUPT in an instance": "UPDATE instances SET document = '[]'",
    "CORRUPT in a schedule": "UPDATE schedules SET plan = ''",
    "ATTRIBUTES": f"UPDATE execution_attributes SET value = 'sx' {OF_IT} AND name = 'vip'",
    "OWNED_AFTER_END": f"UPDATE executions SET owner = 1 WHERE id = {ENDED}",
    "OWNER_GONE": "UPDATE executions SET owner = 999 WHERE end_time IS NULL",
    "FORGOTTEN": "UPDATE executions SET owner = NULL, due_time = NULL, waits = '' WHERE end_time IS NULL",
    "ORPHAN": f"DELETE FROM executions WHERE id = {ENDED}",
    "VERSIONS_GAP": "UPDATE workflows SET version = 3",
    "BATCH_COUNTS": (
        "INSERT INTO batches (id, state, total, succeeded, document) VALUES ('b', 'RUNNING', 2, 1, '{}')"
    ),
    "ORPHAN ": (
        "INSERT INTO schedule_runs (schedule_id, number, state, buffers, document)"
        " VALUES ('s', 1, 'SKIPPED', 0, '')"
    ),
}


@pytest.mark.parametrize("code", sorted(HARMS))
def test_what_is_wrong_is_found(filled: Place, run: Run, code: str) -> None:
    """Each kind of damage, with its code and the id of what it is about; the exit code is 1."""
    filled.execute(HARMS[code])
    result = run("verify", "--json", *filled.options, code=1)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert code.split(maxsplit=1)[0] in {each["code"] for each in found}
    assert all(each["subject"] and each["message"] for each in found)


def _write_over(database: Path, *places: int) -> None:
    """Damage pages of a database, as a disk does that has lost them."""
    content = bytearray(database.read_bytes())
    for place in places:
        content[place : place + 200] = b"\xff" * 200
    database.write_bytes(content)


def test_pages_that_are_damaged_are_findings(make_place: MakePlace, run: Run) -> None:
    """What was found before is listed too, and nothing of what is stored there is shown."""
    place = make_place("sqlite")
    apart(_filled(place))
    database = place.folder / "weft.db"
    _write_over(database, *range(8_192, database.stat().st_size - 200, 4_096))
    result = run("verify", "--json", *place.options, code=1)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found
    assert {each["code"] for each in found} == {"DATABASE_DAMAGED"}
    assert "1 finding" in result.stderr


def test_a_text_that_is_none_is_damage_and_not_shown(make_place: MakePlace, run: Run, tmp_path: Path) -> None:
    """SQLite's own message has all of it."""
    place = make_place("sqlite")
    apart(_filled(place))
    place.execute("UPDATE workflow_versions SET definition = CAST(X'7365637265742dff' AS TEXT)")
    result = run("verify", *place.options, code=1)
    assert result.stdout.startswith("DATABASE_DAMAGED  the database  ")
    told = "a text in column 'definition' is none"
    assert told in result.stdout
    assert "secret" not in result.output
    said = run("backup", str(tmp_path / "b"), *place.options, code=1).stderr
    assert said == f"Error: {place.folder / 'weft.db'} is damaged: {told}\n"


async def _filled(place: Place) -> None:
    store = place.store()
    await store.open()
    await fill(store)
    await store.close()


def test_a_backup_goes_to_a_file(make_place: MakePlace, run: Run) -> None:
    """Where other commands take ``-`` for a stream, this one makes no file of that name."""
    said = run("backup", "-", *make_place("sqlite").options, code=2).stderr
    assert said == "Error: a backup goes to a file, not to stdout\n"


def test_migrate_tells_and_does(make_place: MakePlace, run: Run) -> None:
    """What is missing is named before it is done."""
    place = make_place("postgres")
    assert "up to date" in run("migrate", *place.options).stdout
    fresh = ["--schema", "fresh", *place.options]
    assert "missing  0001_initial" in run("migrate", "--dry-run", *fresh).stdout
    assert "has to be migrated" in run("verify", *fresh, code=1).stderr
    assert "applied  0001_initial" in run("migrate", *fresh).stdout
    run("verify", *fresh)


def test_adopt_frees_what_a_dead_server_has(make_place: MakePlace, run: Run) -> None:
    """One whose lease holds only by force; one that is not there is named."""
    place = make_place("postgres")
    assert "no server" in run("executions", "adopt", *place.options).stdout

    async def serve() -> tuple[str, str]:
        store = place.store()
        await store.open()
        await fill(store)
        epoch = str(store.epoch)  # type: ignore[attr-defined] # of this adapter
        listed = await _adopt(run, *place.options)
        assert f"{epoch}  alive  1 execution  " in listed
        assert "holds" in await _adopt(run, epoch, *place.options, code=5)
        assert "1 execution of" in await _adopt(run, epoch, "--force", *place.options)
        assert "no server" in await _adopt(run, "nobody", *place.options, code=3)
        await store.close()
        return epoch, listed

    apart(serve())


async def _adopt(run: Run, *arguments: str, code: int = 0) -> str:
    result = await asyncio.to_thread(run, "executions", "adopt", *arguments, code=code)
    return result.output


def test_wrong_settings_are_told_without_the_password(run: Run, tmp_path: Path) -> None:
    """Exit code 2 for a wrong option, 1 for what cannot be opened."""
    wrong = run("verify", "--database-url", f"mysql://weft:{PASSWORD}@host/db", code=2)
    gone = run("verify", "--database-url", f"postgresql://weft:{PASSWORD}@127.0.0.1:9/db", code=1)
    missing = run("verify", "--data-dir", str(tmp_path / "nowhere"), code=1)
    for result in (wrong, gone, missing):
        assert PASSWORD not in result.output
        assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def damaged(tmp_path: Path) -> Place:
    """A database whose server was killed, and of whose log a bit has flipped since."""
    live, left = Place(tmp_path / "live", ""), tmp_path / "left"

    async def write() -> None:
        store = live.store()
        await store.open()
        for _ in range(5):
            made = execution()
            await store.insert_execution(made, first_events(made))
        left.mkdir()
        for name in ("weft.db", "weft.db-wal", "weft.db-acked"):
            shutil.copy(live.folder / name, left)
        await store.close()

    apart(write())
    log = left / "weft.db-wal"
    content = bytearray(log.read_bytes())
    content[-5_000] ^= 1
    log.write_bytes(content)
    return Place(left, "")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("weft.db*") if path.suffix != ".db-shm"}


def test_a_damaged_log_is_left_alone(damaged: Place, run: Run, tmp_path: Path) -> None:
    """Neither a server nor a command opens it, as that would make an end of what is damaged."""
    before = files(damaged.folder)

    async def serve() -> None:
        store = damaged.store()
        with pytest.raises(StoreDamagedError) as caught:
            await store.open()
        assert caught.value.file == damaged.folder / "weft.db-wal"
        assert caught.value.offset is not None
        assert 0 < caught.value.offset < len(before["weft.db-wal"])
        assert "weft admin accept-loss" in str(caught.value)

    apart(serve())
    for words in (["verify"], ["backup", str(tmp_path / "b")], ["migrate"]):
        assert "is damaged at byte" in run(*words, *damaged.options, code=1).stderr
    assert files(damaged.folder) == before


def test_a_loss_can_be_accepted(damaged: Place, run: Run) -> None:
    """What is before the damage is there again, the files as they were are kept, and once is enough."""
    before = files(damaged.folder)
    done = run("accept-loss", *damaged.options)
    assert "frames are missing that were acknowledged" in done.stdout
    kept = damaged.folder / "damaged-1"
    assert files(kept) == {name: before[name] for name in ("weft.db", "weft.db-wal")}
    assert "4 executions checked, 0 findings" in run("verify", *damaged.options).stdout
    assert "nothing is known to be missing" in run("accept-loss", *damaged.options).stdout

    async def serve() -> None:
        store = damaged.store()
        await store.open()
        await store.close()

    apart(serve())


def test_what_does_not_fit_together_is_not_taken(damaged: Place, run: Run) -> None:
    """Where the damaged log was written back in part, the rest is no whole: the exit code says so."""
    with (damaged.folder / "weft.db").open("r+b") as file:
        file.truncate(0)
    done = run("accept-loss", *damaged.options, code=1)
    assert "restore a backup" in done.stderr
    assert (damaged.folder / "damaged-1" / "weft.db-wal").exists()


@pytest.mark.parametrize(
    "words", [["verify"], ["backup", "none.gz"], ["migrate"], ["accept-loss"], ["executions", "adopt"]]
)
def test_a_folder_that_cannot_be_looked_into(words: list[str], run: Run, tmp_path: Path) -> None:
    """It is told as that: one line, with the store and the system's word for it."""
    folder = tmp_path / ("a" * 300)  # as where a folder above may not be entered, also for root
    done = run(*words, "--data-dir", str(folder), code=1)
    assert (done.stdout, done.stderr) == ("", f"Error: {folder / 'weft.db'}: File name too long\n")
