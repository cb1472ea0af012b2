"""The file of a backup: as a whole or not at all, and in the place of nothing unless it is told to."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.contract.store.samples import execution, first_events
from tests.integration.admin.conftest import MakePlace, Place, Run, apart, fill
from weft.server.admin.backup import BackupExistsError, write_backup
from weft.server.admin.whole_file import whole_file
from weft.server.store.vault import Snapshot, table

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 29, tzinfo=UTC)


@pytest.fixture
def source(make_place: MakePlace) -> Place:
    """A store with something in it."""
    place = make_place("sqlite")

    async def make() -> None:
        store = place.store()
        await store.open()
        await fill(store)
        await store.close()

    apart(make())
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where backups go; nothing but them is left there."""
    folder = tmp_path / "backups"
    folder.mkdir()
    yield folder
    assert not [it.name for it in folder.iterdir() if it.name != "weft.backup"]


def test_a_backup_that_is_there_stays(source: Place, run: Run, folder: Path) -> None:
    """Exit code 5, before the store is read."""
    file = folder / "weft.backup"
    file.write_bytes(b"the only backup of last year")
    for options in (source.options, ["--data-dir", str(folder / "nowhere")]):
        said = run("backup", str(file), *options, code=5).stderr
        assert said == f"Error: {file} is there already; --force replaces it\n"
    assert file.read_bytes() == b"the only backup of last year"


def test_force_replaces_it_in_one_step(source: Place, run: Run, folder: Path) -> None:
    """Who has the old one open reads on; who opens it finds the new one."""
    file = folder / "weft.backup"
    file.write_bytes(b"old")
    with file.open("rb") as old:
        run("backup", str(file), "--force", *source.options)
        assert old.read() == b"old"
    assert file.read_bytes().startswith(b'{"format":"weft-backup/1"')
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_came_meanwhile_stays(source: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once do not replace each other, however late the other one is."""
    file, vault = folder / "weft.backup", source.vault()
    read = vault.snapshot

    def late() -> AbstractAsyncContextManager[Snapshot]:
        file.write_bytes(b"of somebody else")
        return read()

    monkeypatch.setattr(vault, "snapshot", late)
    with pytest.raises(BackupExistsError):
        apart(write_backup(vault, file, NOW))
    assert file.read_bytes() == b"of somebody else"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_no_file_is_never_replaced(source: Place, run: Run, folder: Path, force: list[str]) -> None:
    """A folder, a pipe; a device is not tried here, as root could lose it."""
    os.mkfifo(folder / "weft.backup")
    for file in (folder, folder / "weft.backup"):
        said = run("backup", str(file), *source.options, *force, code=1).stderr
        assert said == f"Error: cannot write {file}: it is there, and is no file\n"


def test_files_of_others_beside_it_are_left_alone(source: Place, run: Run, tmp_path: Path) -> None:
    """What it writes to until it is whole has a name that nobody has."""
    other = tmp_path / "weft.backup.partial"
    other.write_bytes(b"of somebody else")
    run("backup", str(tmp_path / "weft.backup"), *source.options)
    assert other.read_bytes() == b"of somebody else"


@pytest.mark.parametrize("name", ["weft.backup", "weft.backup.gz"])
def test_a_full_disk_leaves_the_old_one(source: Place, tmp_path: Path, name: str) -> None:
    """And nothing of the new one; one line says why."""
    apart(_add_much(source))
    folder = tmp_path / "full"
    folder.mkdir()
    file = folder / name
    file.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-m", "weft.cli", "admin", "backup", str(file), "--force", *source.options],
        preexec_fn=_little_space,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: cannot write {file}: File too large\n"
    assert {it.name: it.read_bytes() for it in folder.iterdir()} == {name: b"old"}


async def _add_much(source: Place) -> None:
    store = source.store()
    await store.open()
    made = execution()
    await store.insert_execution(
        made, first_events(made, b'{"text": "%s"}' % os.urandom(80_000).hex().encode())
    )
    await store.close()


def _little_space() -> None:
    """Let files of this process grow to what SQLite needs beside the database, and no further."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("unnamed", [True, False], ids=["unnamed", "named"])
def test_nothing_is_left_of_a_backup_that_is_killed(
    tmp_path: Path, number: signal.Signals, *, unnamed: bool
) -> None:
    """But for what a file system needs that knows no files without a name: that says what it is."""
    target = tmp_path / "weft.backup"
    words = [
        sys.executable,
        "-c",
        _WRITER.format(flag="O_TMPFILE" if unnamed else "O_DIRECTORY"),
        str(target),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        writer.send_signal(number)
    left = [it.name for it in tmp_path.iterdir()]
    assert left == [] if unnamed else all(name.endswith(".partial") for name in left)


_WRITER = """
import os, signal, sys
from pathlib import Path
from weft.server.admin.whole_file import whole_file
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.O_TMPFILE = os.{flag}
with whole_file(Path(sys.argv[1]), replace=False) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("unnamed", [True, False], ids=["unnamed", "named"])
def test_a_file_gets_its_name_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    """On file systems of either kind: beside nothing, in the place of another one, and never unasked."""
    if not unnamed:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # refused as where it is not known: EISDIR
    target = tmp_path / "file"
    for text, replace in ((b"first", False), (b"second", True)):
        with whole_file(target, replace=replace) as file:
            file.write(text)
            assert not target.exists() or target.read_bytes() == b"first"
        assert (target.read_bytes(), target.stat().st_mode & 0o777) == (text, 0o600)
    with pytest.raises(FileExistsError), whole_file(target, replace=False) as file:
        file.write(b"third")
    with pytest.raises(ZeroDivisionError), whole_file(target, replace=True) as file:
        file.write(b"%d" % (1 // 0))
    assert target.read_bytes() == b"second"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def _of_lines(file: Path, *rows: object) -> None:
    """Write a backup with a right checksum, whatever its rows are."""
    lines = [orjson.dumps(line) + b"\n" for line in ({"format": "weft-backup/1", "release": "9.9"}, *rows)]
    counts = Counter(row[0] for row in rows if isinstance(row, list) and row)
    end = {"rows": counts, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    file.write_bytes(b"".join(lines) + orjson.dumps(end, option=orjson.OPT_NON_STR_KEYS))


NAMES = table("instances").columns


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([], "line 2 is no row of a backup"),
        (5, "line 2 is no row of a backup"),
        ([7, 1], "line 2 is no row of a backup"),
        (["instances", *NAMES, "news"], "line 2 has columns of instances that this release does not know"),
        (["moons", 1], "it has moons, which this release does not know"),
    ],
    ids=repr,
)
def test_a_row_that_is_not_known_is_refused(run: Run, tmp_path: Path, row: object, words: str) -> None:
    """Before anything is written, with the release that made it."""
    file = tmp_path / "weft.backup"
    _of_lines(file, row)
    said = run("restore", str(file), "--data-dir", str(tmp_path / "data"), code=1).stderr
    assert words in said
    assert said.endswith("; release 9.9 made it\n") == ("this release does not know" in words)
    assert not (tmp_path / "data").exists()


def test_columns_of_a_newer_release_that_say_nothing_are_passed_over(
    source: Place, run: Run, tmp_path: Path
) -> None:
    """As its own servers read what an older one wrote (ADR 0022)."""
    file, newer = tmp_path / "weft.backup", tmp_path / "newer.backup"
    run("backup", str(file), *source.options)
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()[1:-1]]
    _of_lines(newer, *([*row, None] for row in rows))
    other = Place(tmp_path / "other", "")
    run("restore", str(newer), *other.options)
    assert other.content() == source.content()
