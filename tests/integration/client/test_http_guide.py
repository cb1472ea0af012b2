"""What docs/http-calls.md shows works as it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.http_services import http_service

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[3] / "docs" / "http-calls.md"


async def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Against a service that the environment names: JSON, a whole answer, and one in pieces."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(f"{request.method} {request.path_qs} {await request.text()}".strip())

    example = GUIDE.read_text().split("```python\n")[1].split("```")[0]
    module: dict[str, Any] = {"__name__": "example"}
    exec(compile(example.replace("asyncio.run(main())", ""), "http-calls.md", "exec"), module)
    async with http_service(handler=answer) as shop:
        monkeypatch.setenv("SERVICE_ORDERS_URL", f"http://{shop.endpoint.address}/api")
        await module["main"]()
    created, changed = 'POST /api/orders {"item":"tea"}', 'PUT /api/orders/7 {"state":"sent"}'
    listed = "GET /api/orders?item=tea&item=cups&open=true"
    assert capsys.readouterr().out.splitlines() == [
        f"{created} {listed} 200 {changed}",
        str(len('"GET /api/dump"')),
    ]
