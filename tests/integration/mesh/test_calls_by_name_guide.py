"""What docs/calls-by-name.md shows works as it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dynamic import Teller, serving_handlers
from tests.support.world import serving
from weft.discovery.resolvers import Resolvers
from weft.mesh.dynamic.call import MethodCaller
from weft.mesh.mesh import Mesh

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[3] / "docs" / "calls-by-name.md"


async def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Against a server of ours, with the output that the page shows."""
    text = GUIDE.read_text()
    code = text.split("```python\n")[1].split("```")[0]
    shown = text.split("$ python by_name.py\n")[1].split("```")[0]
    module: dict[str, Any] = {"__name__": "by_name"}
    exec(compile(code, "by_name.py", "exec"), module)
    async with serving() as wire:
        await module["main"](f"static:///{wire.address}")
    assert capsys.readouterr().out == shown


async def test_calls_by_name_go_over_the_mesh() -> None:
    """All four shapes, spread over two instances."""

    async def some() -> AsyncIterator[dict[str, str]]:
        yield {"name": "a"}
        yield {"name": "b"}

    first, second = Teller(), Teller()
    async with (
        serving_handlers(first.handler(), reflect=["kinds.v1.Teller"]) as one,
        serving_handlers(second.handler(), reflect=["kinds.v1.Teller"]) as other,
    ):
        mesh = Mesh(Resolvers())
        caller = MethodCaller(mesh.channel)
        target = f"static:///127.0.0.1:{one},127.0.0.1:{other}"
        for _ in range(2):
            assert (await caller.call_service(target, "Echo", {"text": "hey"}))["text"] == "hey"
            assert len((await caller.call_service(target, "Gather", some()))["leaves"]) == 2
            counted = caller.stream_service(target, "Count", {"size_in_cm": 2})
            assert [item["size_in_cm"] async for item in counted] == [0, 1]
            chat = caller.stream_service(target, "Chat", some())
            assert [item["name"] async for item in chat] == ["A", "B"]
        await caller.close()
        await mesh.close()
    assert first.metadata or second.metadata
