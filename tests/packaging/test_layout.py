"""The house stands as designed: one namespace, typed packages, documented modules, a fixed public surface."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path

import pytest

from tests.packaging.exports import SNAPSHOT, exports

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("generated", "core", "discovery", "mesh", "clients", "server")
PACKAGES = sorted(
    package
    for floor in FLOORS
    for package in (ROOT / floor / "weft").iterdir()
    if package.name != "__pycache__"
)
MODULES = sorted(
    file
    for floor in FLOORS[1:]
    for file in (ROOT / floor / "weft").rglob("*.py")
    if "__pycache__" not in file.parts
)


def test_the_namespace_has_no_init() -> None:
    """``weft`` is shared by all floors: one __init__.py at its level would hide the others."""
    assert [str(file) for floor in FLOORS for file in (ROOT / floor).glob("weft/__init__.py")] == []
    assert len(PACKAGES) == 8


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_is_typed(package: Path) -> None:
    """Type checkers of users look for py.typed."""
    assert (package / "py.typed").is_file()


def test_every_folder_of_modules_is_a_package() -> None:
    """Beneath the namespace a missing __init__.py is a mistake."""
    folders = {file.parent for file in MODULES}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("file", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(file: Path) -> None:
    """A docstring, and no more than 500 lines below it."""
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 500


def test_the_public_surface_is_as_written_down() -> None:
    """A name that users may import comes and goes by decision: `python -m tests.packaging.exports`."""
    assert exports() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", exports())
def test_exports_exist_once(name: str) -> None:
    """Nothing is exported that is not there, nor twice, nor by a private name."""
    module = importlib.import_module(name)
    names = list(module.__all__)
    assert sorted(set(names)) == sorted(names)
    assert [each for each in names if not hasattr(module, each) or each.startswith("_")] == []
