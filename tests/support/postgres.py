"""A real PostgreSQL server on a free port: started, killed, paused and restarted by tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg

from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres import PostgresStore

_ROOT = Path(__file__).resolve().parents[2]
_READY = 30.0
PASSWORD = "sesame-42"


@lru_cache
def postgres_folder() -> Path:
    """Return where the programs are; fails with the line that installs them."""
    found = subprocess.run(
        ["sh", str(_ROOT / "tools" / "postgres")], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise RuntimeError(found.stderr.strip())
    return Path(found.stdout.strip())


class PostgresServer:
    """A cluster of its own, and whichever process serves it now.

    Args:
        durable: Whether it waits for the disk; without, it is faster, and survives all but a
            crash of the machine.
        where: The folder for its own one; without, the system's temporary. Another user must be able
            to enter it, so a test's own folder will not do.
        log_in: The folder for its write-ahead log, in segments of 1 MiB; without, it is with the rest.
        settings: Of its own, beside those that every one has.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        where: Path | None = None,
        log_in: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._durable = durable
        self._log_in = log_in
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._logged = 0
        self._template = ""
        self.port = _free_port()
        self._known = False
        self._folder = Path(tempfile.mkdtemp(prefix="weft-postgres-", dir=where))
        self._user = _user()
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)

    def url(self, database: str = "postgres", user: str = "weft") -> str:
        """Return what reaches a database."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        """Make the cluster."""
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._call(
            "initdb", "-D", str(self._data), "-U", "weft", "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", f"--pwfile={password}",
            *(() if self._log_in is None else ("--wal-segsize=1", f"--waldir={self._log_in}")),
        )  # fmt: skip

    def start(self) -> None:
        """Start it with the data that it has; wait until it takes connections.

        Once it was there it keeps its port: those who lost it look for it where it was.
        """
        for _ in range(10):
            self._launch()
            if self._is_ready():
                self._known = True
                return
            self.kill()
            if self._known:
                time.sleep(0.5)  # what is left of the one before may still be going
            else:
                self.port = _free_port()
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """End it in good order, cutting off who is connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End all its processes at once, as kill -9 does."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._forget_memory()

    def pause(self) -> None:
        """Hold all its processes: they neither answer nor refuse."""
        assert self._process is not None
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove everything."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.resume()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """Return everything it has logged."""
        return (self._folder / "log").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Return the ids of all its processes, the first one first."""
        assert self._process is not None
        return [self._process.pid, *_children(self._process.pid)]

    @property
    def running(self) -> bool:
        """Whether its first process is there."""
        return self._process is not None and self._process.poll() is None

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    async def make_tablespace(self, name: str, folder: Path) -> None:
        """Have it keep tables there as well."""
        await asyncio.to_thread(self._make_folder, folder)
        await self.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")

    async def database(self, template: str = "template0", *, tablespace: str = "pg_default") -> str:
        """Make a database; return its URL."""
        name = f"test_{next(self._numbers)}"
        connection = await asyncpg.connect(self.url())
        try:
            # Without a disk to wait for, a copy of the files takes half the time of a copy by the log.
            by_files = not self._durable and connection.get_server_version().major >= 15
            strategy = " STRATEGY FILE_COPY" if by_files else ""
            await connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {template} TABLESPACE {tablespace}{strategy}"
            )
        finally:
            await connection.close()
        return self.url(name)

    async def prepared(self) -> str:
        """Make a database with our tables, as a copy, which is faster; return its URL."""
        if not self._template:
            url = await self.database()
            store = PostgresStore(DatabaseConfig(url=url))
            await store.open()
            await store.close()
            await self.execute("TRUNCATE weft.servers", url=url)
            self._template = url.rpartition("/")[2]
        return await self.database(self._template)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever uses it."""
        await self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    async def execute(self, statement: str, *arguments: Any, url: str = "") -> list[Any]:
        """Run a statement past the code under test."""
        connection = await asyncpg.connect(url or self.url())
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    @staticmethod
    async def execute_at(url: str, script: str) -> None:
        """Run statements in a database past the code under test."""
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [postgres_folder() / program, *arguments],
            **self._identity(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def _launch(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_path = self._folder / "log"
        self._logged = len(self.log()) if log_path.exists() else 0
        with log_path.open("ab") as log:
            process: Any = subprocess.Popen(
                [postgres_folder() / "postgres", "-D", str(self._data), *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._identity(),
            )
        self._process = process

    def _is_ready(self) -> bool:
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if "ready to accept connections" in self.log()[self._logged :]:
                return True
            time.sleep(0.02)
        return False

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)
        # Those that serve connections have process groups of their own.
        for child in _children(self._process.pid):
            os.kill(child, number)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def _forget_memory(self) -> None:
        """Wait until the children have noticed that the postmaster is gone, as the next start demands."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not _has_users(self._data):
                return
            time.sleep(0.02)


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def _has_users(data: Path) -> bool:
    """Tell whether a process has its working directory there, as all of PostgreSQL have."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if Path(f"/proc/{entry.name}/cwd").readlink() == data:
                    return True
            except OSError:
                continue
    return False


def _user() -> pwd.struct_passwd | None:
    """Return who runs it when we are root, as whom it refuses to run."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    """Return a port that nobody has, outside of those that the system gives to clients."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def started_postgres(*, durable: bool = False, where: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server, for a fixture."""
    server = PostgresServer(durable=durable, where=where)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.close()
