"""Where the binary of Consul comes from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_TOOL = Path(__file__).resolve().parents[3] / "tools" / "consul"


def run(tool: Path, path: str, binary: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "CONSUL_BIN": binary}
    return subprocess.run(
        ["/bin/sh", str(tool)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made = tmp_path / "consul"
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_a_binary_that_was_named_wins(program: Path) -> None:
    """CONSUL_BIN is taken before anything on PATH."""
    found = run(_TOOL, os.environ["PATH"], str(program))
    assert (found.returncode, found.stdout.strip()) == (0, str(program))


def test_a_binary_on_the_path_is_next(program: Path) -> None:
    """Nothing is fetched where Consul is installed."""
    found = run(_TOOL, f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert (found.returncode, found.stdout.strip()) == (0, str(program))


@pytest.mark.parametrize("binary", ["", "/nonexistent/consul"])
def test_a_missing_consul_fails_with_the_line_that_installs_it(tmp_path: Path, binary: str) -> None:
    """Never a silent skip: the message says how to get it."""
    tools, bins = tmp_path / "tools", tmp_path / "bin"
    tools.mkdir()
    bins.mkdir()
    shutil.copy(_TOOL, tools)
    for name in ("dirname", "tail"):
        (bins / name).symlink_to(shutil.which(name) or "")
    found = run(tools / "consul", str(bins), binary)
    assert found.returncode == 1
    assert "Consul is missing" in found.stderr
    assert "CONSUL_BIN=/path/to/consul make test" in found.stderr
    assert "apt-get install consul" in found.stderr
    assert not (tmp_path / ".tools").exists()
