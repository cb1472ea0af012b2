"""Writes ``generated/`` from ``protos/``: messages, stubs and their types.

``--check`` writes into a temporary folder instead and fails when it differs.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"


def generate(target: Path) -> None:
    """Write everything that is generated below ``target``."""
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    services = [file for file in files if file.endswith("_service.proto")]
    target.mkdir(parents=True, exist_ok=True)
    for old in (target / "weft").rglob("*_pb2*.py*"):
        old.unlink()
    _protoc([f"--python_out={target}", f"--mypy_out=quiet:{target}"], files)
    _protoc([f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}"], services)
    (target / "weft" / "api" / "py.typed").touch()


def _protoc(outputs: list[str], files: list[str]) -> None:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *outputs, *files]
    subprocess.run(command, check=True, env={**os.environ, "PATH": tools})


def differences(left: Path, right: Path) -> list[str]:
    """Return the files that differ or stand on one side only."""
    names = {
        path.relative_to(side)
        for side in (left, right)
        for path in side.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(
        str(name)
        for name in names
        if not (left / name).is_file()
        or not (right / name).is_file()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--check", action="store_true", help="fail when it is not up to date")
    options = parser.parse_args()
    if not options.check:
        generate(options.target.resolve())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        found = differences(options.target.resolve(), Path(folder))
    for name in found:
        sys.stderr.write(f"{options.target / name} is not what protos/ gives: run `make proto`\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
