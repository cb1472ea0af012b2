"""A real server is killed and comes back; services are known there long before their next heartbeat."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.integration.engine.processes import ServerProcess
from weft.client import Instance, connect
from weft.service import Service

pytestmark = pytest.mark.integration


async def listed(address: str) -> list[Instance]:
    async with connect(address) as weft:
        return list((await weft.registry.instances()).items)


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_killed_server_knows_its_services_when_it_is_back(tmp_path: Path, *, forgets: bool) -> None:
    """One that kept its data hears how they are now, one that lost it has them registered again."""
    state: list[str | None] = [None]
    texts = Service("texts", health_check=lambda: state[0])

    @texts.action
    async def shout(text: str) -> dict[str, str]:
        return {"text": text.upper()}

    server = ServerProcess(tmp_path)
    try:
        await server.up()
        async with texts.hosted(server=server.address, ttl=600, instance_id="mine"):
            server.kill()
            state[0] = "the disk is full"
            if forgets:
                shutil.rmtree(server.data_dir)
            await server.up()
            async with asyncio.timeout(10):  # the next heartbeat is due after 200 s
                while [it.health_note for it in await listed(server.address)] != ["the disk is full"]:  # noqa: ASYNC110 - asks
                    await asyncio.sleep(0.05)
    finally:
        server.close()
