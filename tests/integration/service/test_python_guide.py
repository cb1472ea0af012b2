"""docs/python.md, run as it stands."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import carts_server
from tests.support.world import serving
from weft.client import ServiceIntegrationClient

pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


async def run(block: str, names: dict[str, Any]) -> None:
    """Run one example, as a shell with top-level ``await`` does."""
    code = compile(block, "docs/python.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)
    if inspect.isawaitable(running):
        await running


def promised(block: str) -> list[str]:
    """Return what the comments behind and below each ``print`` say that it prints."""
    return re.findall(r"print\(.*\)(?:  |\n +)# (.*)$", block, re.MULTILINE)


async def test_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each example runs, in its order, and prints what the page says."""
    provider, *others = BLOCKS
    (tmp_path / "payments.py").write_text(provider, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    service = importlib.import_module("payments").service
    names: dict[str, Any] = {}
    async with serving() as wire, service.hosted(server=wire.address), carts_server() as carts:
        for block in others:
            here = block.replace("127.0.0.1:7420", wire.address).replace(
                "127.0.0.1:50051", f"127.0.0.1:{carts}"
            )
            await run(here, names)
            printed = capsys.readouterr().out.splitlines()
            assert [line for line in promised(block) if line not in printed] == []
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        await test()


def test_the_sixteen_methods_are_listed() -> None:
    """The page names every method of the client."""
    methods = [
        name
        for name, value in vars(ServiceIntegrationClient).items()
        if inspect.iscoroutinefunction(value) and not name.startswith("_") and name != "close"
    ]
    assert len(methods) == 16
    assert [name for name in methods if f"`{name}`" not in GUIDE] == []
