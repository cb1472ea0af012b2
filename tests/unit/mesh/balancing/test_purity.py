"""Balancing is pure: nothing in it waits, calls out or looks at a clock of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from weft.mesh import balancing

ALLOWED = {
    "__future__",
    "array",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "random",
    "statistics",
    "struct",
    "typing",
}
OURS = ("weft.core.clock", "weft.core.errors", "weft.core.names", "weft.core.reasons")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_only_arithmetic_is_imported() -> None:
    """No asyncio, no grpc, no time; randomness as a type that is given."""
    files = list(Path(balancing.__file__).parent.glob("*.py"))
    assert len(files) > 10
    for path in files:
        for name in imported(path):
            pure = name.split(".")[0] in ALLOWED or name in OURS
            assert pure or name.startswith(("weft.mesh.balancing", "weft.discovery.model")), (path.name, name)


def test_nothing_is_waited_for_and_no_randomness_is_made() -> None:
    """Every function returns at once, and every draw comes from the source that was given."""
    for path in Path(balancing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), path.name
            assert not (isinstance(node, ast.Call) and ast.unparse(node.func) in {"Random", "hash"}), (
                path.name
            )
