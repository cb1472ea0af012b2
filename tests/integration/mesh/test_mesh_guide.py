"""docs/mesh.md, run as it stands."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import serving

pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[3] / "docs" / "mesh.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


async def test_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    """Each example runs, in its order, and prints what the page says."""
    names: dict[str, Any] = {}
    async with serving() as wire:
        for block in BLOCKS:
            here = block.replace("127.0.0.1:7420", wire.address)
            code = compile(here, "docs/mesh.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if inspect.isawaitable(running):
                await running
            promised = re.findall(r"print\(.*\)  # (.*)$", block, re.MULTILINE)
            assert capsys.readouterr().out.splitlines() == promised
