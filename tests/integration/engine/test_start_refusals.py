"""A server that cannot start says why in one line; the exit code is 1, or 2 for a wrong option."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.integration.engine.processes import Process, ServerProcess, free_port
from tests.support.command import Runner
from weft.cli.commands import app
from weft.client import Client, connect
from weft.server.config import ServerConfig

pytestmark = pytest.mark.integration


Refused = Callable[..., str]


async def _refused_process(folder: Path, listen: str, data_dir: Path) -> str:
    """Start a server that must not start; return the one line that it says."""
    process = Process(
        folder / "refused.log", "weft.cli", "server", "--listen", listen, "--data-dir", str(data_dir)
    )
    try:
        assert await process.ended() == 1, process.output
    finally:
        process.close()
    return _one_line(process.output)


def _one_line(output: str) -> str:
    lines = output.splitlines()
    assert len(lines) == 1, output
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.fixture
def refused() -> Iterator[Refused]:
    """Run the command in this process, which is much quicker, and leave its logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(listen: str, data_dir: Path, code: int = 1) -> str:
        result = Runner().invoke(app, ["server", "--listen", listen, "--data-dir", str(data_dir)])
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        return _one_line(result.stderr)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("weft").setLevel(logging.NOTSET)


async def test_a_second_server_on_the_same_data(server: ServerProcess, weft: Client, tmp_path: Path) -> None:
    """The data directory belongs to one process: the second names it, and does not disturb the first."""
    await server.up()
    assert server.process is not None
    said = await _refused_process(tmp_path, f"127.0.0.1:{free_port()}", server.data_dir)
    assert str(server.data_dir) in said
    assert f"in use by process {server.process.child.pid}" in said
    assert await weft.health.check() == "SERVING"


async def test_the_data_of_a_killed_server_is_free(server: ServerProcess, weft: Client) -> None:
    """No lock outlives its process: after kill -9 the next one starts at once."""
    await server.up()
    server.kill()
    await server.up()
    assert await weft.health.check() == "SERVING"


def test_a_taken_port(tmp_path: Path, refused: Refused) -> None:
    """Whoever has it, Weft or not: the address, the reason and what it may be."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(address, tmp_path / "data")
    assert said == f"Error: cannot listen on {address}: the port is taken (is another weft server running?)"
    assert not (tmp_path / "data" / "weft.db").exists()


async def test_two_servers_never_share_a_port(server: ServerProcess, weft: Client, tmp_path: Path) -> None:
    """The kernel would let two servers of one user share it silently; we do not."""
    await server.up()
    said = await _refused_process(tmp_path, server.address, tmp_path / "other")
    assert "the port is taken" in said
    assert await weft.health.check() == "SERVING"


@pytest.mark.parametrize("listen", ["0.0.0.0:7420", "[::]:7420", "192.0.2.1:7420", "example.org:7420"])
def test_an_address_that_others_could_reach(listen: str, tmp_path: Path, refused: Refused) -> None:
    """There is neither TLS nor authentication yet: only loopback is served, and the refusal says so."""
    said = refused(listen, tmp_path / "data", code=2)
    assert "neither TLS nor authentication" in said
    assert "127.0.0.1" in said


@pytest.mark.parametrize("listen", ["", "7420", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:²"])
def test_an_address_that_is_none(listen: str, tmp_path: Path, refused: Refused) -> None:
    """What is not host:port is shown as it was given."""
    said = refused(listen, tmp_path / "data", code=2)
    assert f"{listen!r} is not host:port" in said


@pytest.mark.parametrize("port", ["65536", "99999", "9" * 30])
def test_a_port_that_is_too_high(port: str, tmp_path: Path, refused: Refused) -> None:
    """It is the port that is wrong, not the form."""
    said = refused(f"127.0.0.1:{port}", tmp_path / "data", code=2)
    assert said == f"Error: listen: port {port[:20]} is above 65535"


def test_a_data_directory_that_is_a_file(tmp_path: Path, refused: Refused) -> None:
    """It is named as what it is, and left alone."""
    said = refused(f"127.0.0.1:{free_port()}", _a_file(tmp_path), code=2)
    assert said == f"Error: data directory: {tmp_path / 'file'} is a file, not a folder"


def test_a_current_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """A place below it cannot be named; one with its whole path can."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    said = refused("127.0.0.1:0", Path("data"), code=2)
    assert said == "Error: data directory: the current folder is gone; name one by its whole path"


def test_a_data_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log and the health report say names the same place from every folder."""
    monkeypatch.chdir(tmp_path)
    assert ServerConfig(data_dir=Path("data")).data_dir == tmp_path / "data"


@pytest.mark.parametrize("option", ["--log-level", "--log-format"])
def test_a_choice_that_is_none(option: str) -> None:
    """The choices are listed, and it is a mistake of the command line."""
    result = Runner().invoke(app, ["server", option, "loud"])
    assert result.exit_code == 2
    assert "'loud'" in result.stderr


async def test_a_second_signal_ends_it_at_once(server: ServerProcess) -> None:
    """The log says so, and the status is that of the signal."""
    await server.up()
    assert server.process is not None
    async with connect(server.address) as weft, aclosing(weft.registry.watch_instances("nobody")) as watched:
        await anext(watched)
        server.process.child.send_signal(signal.SIGSTOP)  # both signals are there when it goes on
        server.process.child.send_signal(signal.SIGTERM)
        server.process.child.send_signal(signal.SIGINT)
        server.process.child.send_signal(signal.SIGCONT)
        assert await server.process.ended() in {-signal.SIGTERM, -signal.SIGINT}
    assert "a second signal: ending now" in server.log


def _under_a_file(folder: Path) -> Path:
    (folder / "file").write_text("not a folder")
    return folder / "file" / "data"


def _a_file(folder: Path) -> Path:
    (folder / "file").write_text("not a folder")
    return folder / "file"


def _database_is_a_folder(folder: Path) -> Path:
    (folder / "data" / "weft.db").mkdir(parents=True)
    return folder / "data"


def _garbage(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "weft.db").write_bytes(b"this is not a database, but some text\n" * 200)
    return folder / "data"


def _of_something_else(folder: Path) -> Path:
    (folder / "data").mkdir()
    with sqlite3.connect(folder / "data" / "weft.db") as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    database.close()
    return folder / "data"


def _read_only(_: Path) -> Path:
    return Path("/proc/weft-data")  # a file system that nobody can write to, not even root


def _named_too_long(folder: Path) -> Path:
    return folder / ("a" * 300)  # the system refuses to look, as where a folder above may not be entered


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_named_too_long, "File name too long"),
        (_under_a_file, "Not a directory"),
        (_database_is_a_folder, "is a directory"),
        (_garbage, "not a database"),
        (_of_something_else, "database of something else"),
        (_read_only, "No such file or directory"),
    ],
    ids=lambda value: getattr(value, "__name__", "reason").strip("_"),
)
def test_a_data_directory_that_cannot_be_used(
    prepare: Callable[[Path], Path], reason: str, tmp_path: Path, refused: Refused
) -> None:
    """The path and the reason, not a stack trace; and nothing of it is touched."""
    data_dir = prepare(tmp_path)
    said = refused(f"127.0.0.1:{free_port()}", data_dir)
    assert str(data_dir) in said
    assert reason in said


async def test_a_port_is_free_again_at_once(server: ServerProcess, weft: Client) -> None:
    """Connections that linger from the last life do not block the next one."""
    for _ in range(2):
        await server.up()
        await asyncio.gather(*(weft.health.check() for _ in range(5)))
        assert await server.stop() == 0


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """A line for each, from options and environment alike; the exit code is that of a wrong option."""
    options = ["--policy", "least", "--zone", "a b", "--advertise", "nowhere", "--listen", "7420"]
    options += ["--retention", "RUNNING=1d", "--log-level", "loud", "--drain", "-1"]
    environ = {"CONSUL_HTTP_ADDR": "agent", "WEFT_CONSUL_TTL": "soon", "OTEL_TRACES_EXPORTER": "paper"}
    result = Runner().invoke(
        app,
        ["server", *options, "--data-dir", str(tmp_path / "data")],
        env={**environ, "WEFT_ENVIRONMENT": "?", "WEFT_LEASE_SECONDS": "long", "WEFT_LOG_FORMAT": "xml"},
    )
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert all(line.startswith("Error: ") for line in lines)
    subjects = [line.removeprefix("Error: ").replace("=", ":").partition(":")[0] for line in lines]
    assert sorted(subjects) == sorted(
        [
            *("CONSUL_HTTP_ADDR", "WEFT_CONSUL_TTL", "OTEL_TRACES_EXPORTER"),
            *("policy", "listen", "advertise", "environment", "zone", "retention"),
            *("log level", "log format", "drain", "lease"),
        ]
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:7420", "[::]:7420", "224.0.0.1:7420"])
def test_an_address_that_is_nobodys_is_not_advertised(address: str, tmp_path: Path) -> None:
    """Consul would refuse it again and again, or hand it out."""
    options = ["--advertise", address, "--data-dir", str(tmp_path / "data")]
    result = Runner().invoke(app, ["server", "--listen", "127.0.0.1:0", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert _one_line(result.stderr).startswith(f"Error: advertise: {address!r} is nobody's address")


def test_a_number_of_seconds_that_cannot_be(tmp_path: Path) -> None:
    """However large, and however it is written."""
    for options, names in (
        (["--drain", "inf"], ["drain"]),
        (
            ["--drain", "1e300", "--lease", "nan", "--database-url", "postgresql://a@127.0.0.1:9/b"],
            ["lease", "drain"],
        ),
        (["--lease", "1e99", "--database-url", "postgresql://a@127.0.0.1:9/b"], ["lease"]),
    ):
        result = Runner().invoke(app, ["server", "--listen", "127.0.0.1:0", *options])
        assert (result.exit_code, result.stdout) == (2, "")
        said = result.stderr.splitlines()
        assert [line.split(":")[1].strip() for line in said] == names
        assert all(line.endswith("is no number of seconds that can be counted") for line in said)


async def test_a_variable_that_is_misspelt_is_pointed_out(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody reads would be a setting that somebody relies on; the server starts, and warns."""
    monkeypatch.setenv("WEFT_DATADIR", "elsewhere")
    monkeypatch.setenv("WEFT_SERVICE_HOST", "10.0.0.1")
    await server.up()
    assert "WEFT_DATADIR is no variable of Weft; did you mean WEFT_DATA_DIR?" in server.log
    assert "WEFT_SERVICE_HOST" not in server.log


def test_the_option_for_consul_wins_over_the_environment(tmp_path: Path) -> None:
    """Its value is the one that counts, and that is refused."""
    result = Runner().invoke(
        app,
        ["server", "--consul", "wrong", "--data-dir", str(tmp_path / "data")],
        env={"CONSUL_HTTP_ADDR": "127.0.0.1:8500"},
    )
    assert result.exit_code == 2
    assert "'wrong' is no host:port" in result.stderr
