"""The wheel: everything that runs, nothing that tests, and it works where the repository is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("generated", "core", "discovery", "mesh", "clients", "server")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def test_it_has_everything_and_nothing_else(wheel: Path) -> None:
    """Each source file of each floor, SQL, schema and py.typed with them; no tests, no protos, no caches."""
    sources = {
        file.relative_to(ROOT / floor).as_posix()
        for floor in FLOORS
        for file in (ROOT / floor / "weft").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == sources
    assert {Path(name).suffix for name in packed} == {".json", ".py", ".pyi", ".sql", ".typed"}
    assert any(name.endswith("migrations/0001_initial.sql") for name in packed)


def test_it_names_its_commands_and_its_licence(wheel: Path) -> None:
    """``weft`` is installed, ``weft server`` joins it, and the licence travels along."""
    archive = ZipFile(wheel)
    (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(points).decode()
    assert "weft = weft.cli.main:main" in text
    assert "server = weft.server.command:server" in text
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


ALONE = """
import asyncio, sys
site, root, data = sys.argv[1:]
sys.path[:] = [site, *(e for e in sys.path if not e.startswith(root + "/") or "site-packages" in e)]
from weft.client import connect
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from pathlib import Path
import weft.client, weft.server.app, weft.core.errors, weft.api.execution.v1.execution_pb2 as generated

async def main():
    async with WeftServer(ServerConfig(listen="127.0.0.1:0", data_dir=Path(data))) as server:
        async with connect(server.address) as client:
            print(await client.health.check())

for module in (weft.client, weft.server.app, weft.core.errors, generated):
    assert module.__file__.startswith(site), module.__file__
asyncio.run(main())
"""


def test_it_runs_by_itself(wheel: Path, tmp_path: Path) -> None:
    """Unpacked somewhere else, with only its dependencies beside it, a server starts and answers."""
    ZipFile(wheel).extractall(tmp_path / "site")
    arguments = (str(tmp_path / "site"), str(ROOT), str(tmp_path / "data"))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("SERVING\n", "")
