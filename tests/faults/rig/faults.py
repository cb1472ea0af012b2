"""What is done to a cluster: each fault begins, heals, and tells whether it really happened."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.faults.rig.child import Child, until
from tests.faults.rig.cluster import Cluster, ServerNode
from tests.faults.rig.eio import FailingDiskStoreAdapter
from tests.faults.rig.full_disk import FullDiskStoreAdapter, SmallDisk
from tests.faults.rig.plan import PlannedFault
from tests.faults.rig.power import PowerCutStoreAdapter
from tests.faults.rig.proxy import Proxy
from weft.client import Client, WeftError, connect

FAILPOINTS: Final = ("commit.before", "commit.after", "dispatch.before", "dispatch.after", "reply.before")

_WITHIN: Final = 30.0
"""For how many seconds an armed failpoint waits for somebody to pass."""

Fault = Callable[[Cluster, PlannedFault], Awaitable[float | None]]
"""Returns when it is healed: the time at which it happened, or None when it never did."""


def _server(cluster: Cluster, fault: PlannedFault) -> ServerNode:
    return cluster.servers[fault.choice % len(cluster.servers)]


async def _restarted(child: Child, before: int) -> None:
    await until(lambda: child.starts > before, _WITHIN)


async def kill_server(cluster: Cluster, fault: PlannedFault) -> float | None:
    server = _server(cluster, fault)
    await server.up()
    before = server.starts
    began = time.monotonic()
    server.kill()
    await _restarted(server, before)
    await server.up()
    return began


async def upgrade_server(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Start a server of this release as one of the next: after a polite stop, or a death."""
    server = next((it for it in cluster.servers if not _is_upgraded(it, cluster)), None)
    if server is None:
        return None
    await server.up()
    before = server.starts
    server.environ.update(cluster.next_release)
    began = time.monotonic()
    server.signal(signal.SIGTERM if fault.choice % 2 else signal.SIGKILL)
    await _restarted(server, before)
    await server.up()
    return began


async def pause_upgraded_server(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Stop one of the next release past its lease, while there is one of this release that may take over."""
    upgraded = [server for server in cluster.servers if _is_upgraded(server, cluster)]
    if not 0 < len(upgraded) < len(cluster.servers):
        return None
    return await _pause(upgraded[fault.choice % len(upgraded)], cluster, fault)


def _is_upgraded(server: ServerNode, cluster: Cluster) -> bool:
    return cluster.next_release.items() <= server.environ.items()


async def cut_power(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Kill a server, and make its disk forget what was not synced."""
    store, server = cluster.store, _server(cluster, fault)
    assert isinstance(store, PowerCutStoreAdapter)
    server.before_start = store.cut
    began = await kill_server(cluster, fault)
    server.before_start = _nothing
    return began


def _nothing() -> None:
    """Do nothing."""


async def fail_fsync(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Have the disk fail every fsync for a while, then wait until the server is healthy again."""
    store, server = cluster.store, _server(cluster, fault)
    assert isinstance(store, FailingDiskStoreAdapter)
    began = time.monotonic()
    store.begin()
    await until(store.fired.exists, _WITHIN)
    await asyncio.sleep(fault.lasts)
    noticed = store.end()
    async with connect(server.address) as weft:
        await until(partial(_serves, weft), _WITHIN)
    return began if noticed else None


async def fail_fsync_then_kill(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Kill the server while the disk fails; it starts again on a disk that works."""
    store, server = cluster.store, _server(cluster, fault)
    assert isinstance(store, FailingDiskStoreAdapter)
    store.begin()
    noticed = await until(store.fired.exists, _WITHIN)
    server.before_start = store.heal
    began = await kill_server(cluster, fault)
    server.before_start = _nothing
    return began if noticed else None


async def fill_tables(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Let the disk with the tables be full for a while."""
    store = cluster.store
    assert isinstance(store, FullDiskStoreAdapter)
    return await _fill(store.tables, store, cluster, fault)


async def fill_log(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Let the disk with the database's log be full for a while: that ends the database."""
    store = cluster.store
    assert isinstance(store, FullDiskStoreAdapter)
    return await _fill(store.log, store, cluster, fault)


async def _fill(
    disk: SmallDisk, store: FullDiskStoreAdapter, cluster: Cluster, fault: PlannedFault
) -> float | None:
    """Fill a disk until somebody notices, then make room, and wait until all is well."""
    began = time.monotonic()
    disk.fill()

    async def noticed() -> bool:
        if disk is store.log:
            await store.press()
        return not all([await _serves_at(server) for server in cluster.servers])

    happened = await until(noticed, _WITHIN)
    await asyncio.sleep(fault.lasts)
    await store.has_room()
    for server in cluster.servers:
        await until(partial(_serves_at, server), _WITHIN)
    return began if happened else None


async def _serves_at(server: ServerNode) -> bool:
    async with connect(server.address) as weft:
        return await _serves(weft)


async def _serves(weft: Client) -> bool:
    try:
        return await weft.health.check() == "SERVING"
    except WeftError:
        return False


async def kill_worker(cluster: Cluster, fault: PlannedFault) -> float | None:
    worker = cluster.workers[fault.choice % len(cluster.workers)]
    before, size = worker.starts, _size(worker.log)
    began = time.monotonic()
    worker.kill()
    await _restarted(worker, before)
    await until(lambda: _size(worker.log) > size, _WITHIN)
    return began


async def kill_database(cluster: Cluster, fault: PlannedFault) -> float | None:
    began = time.monotonic()
    await cluster.store.kill(fault.lasts)
    for server in cluster.servers:
        async with connect(server.address) as weft:
            await until(partial(_serves, weft), _WITHIN)
    return began


async def kill_at(failpoint: str, cluster: Cluster, fault: PlannedFault) -> float | None:
    """Have a server die at a named place."""
    server = _server(cluster, fault)
    await server.up()
    before = server.starts
    server.arm(failpoint, "kill")
    await until(lambda: server.fired(failpoint) is not None or server.starts > before, _WITHIN)
    began = server.fired(failpoint) or time.monotonic()
    await _restarted(server, before)
    fired = server.disarm(failpoint)
    await server.up()
    return began if fired else None


async def pause_server(cluster: Cluster, fault: PlannedFault) -> float | None:
    """Stop a server for longer than its lease, as a machine that swaps does."""
    return await _pause(_server(cluster, fault), cluster, fault)


async def _pause(server: ServerNode, cluster: Cluster, fault: PlannedFault) -> float:
    await server.up()
    began = time.monotonic()
    server.signal(signal.SIGSTOP)
    await asyncio.sleep(cluster.store.lease + fault.lasts)
    server.signal(signal.SIGCONT)
    return began


async def stop_at(failpoint: str, cluster: Cluster, fault: PlannedFault) -> float | None:
    """Stop a server at a named place until its lease is long gone; what it was about to do comes too late."""
    server = _server(cluster, fault)
    await server.up()
    server.arm(failpoint, "stop")
    stopped = await until((server.failpoints / f"{failpoint}.fired").exists, _WITHIN)
    began = time.monotonic()
    await asyncio.sleep(cluster.store.lease + 2 + fault.lasts)
    server.disarm(failpoint)
    server.signal(signal.SIGCONT)
    return began if stopped else None


async def cut(cluster: Cluster, fault: PlannedFault) -> float | None:
    fired = await until(lambda: cluster.proxy.cut() > 0, _WITHIN)
    return time.monotonic() if fired else None


async def delay(cluster: Cluster, fault: PlannedFault) -> float | None:
    cluster.proxy.delay = fault.lasts / 10
    return await _spoil(cluster.proxy, fault, lambda: cluster.proxy.delayed)


async def drop_replies(cluster: Cluster, fault: PlannedFault) -> float | None:
    cluster.proxy.deaf = True
    return await _spoil(cluster.proxy, fault, lambda: cluster.proxy.dropped)


async def blackhole(cluster: Cluster, fault: PlannedFault) -> float | None:
    cluster.proxy.hole = True
    return await _spoil(cluster.proxy, fault, lambda: cluster.proxy.dropped)


async def _spoil(proxy: Proxy, fault: PlannedFault, count: Callable[[], int]) -> float | None:
    """Leave a proxy as it is for a while; it counts when somebody noticed."""
    began, before = time.monotonic(), count()
    noticed = await until(lambda: count() > before, _WITHIN)
    await asyncio.sleep(fault.lasts)
    proxy.heal()
    return began if noticed else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


FAULTS: Final[dict[str, Fault]] = {
    "kill-server": kill_server,
    "upgrade-server": upgrade_server,
    "pause-upgraded-server": pause_upgraded_server,
    "kill-worker": kill_worker,
    "kill-database": kill_database,
    "fill-tables": fill_tables,
    "fill-log": fill_log,
    "pause-server": pause_server,
    "cut-power": cut_power,
    "fsync-fails": fail_fsync,
    "fsync-fails-then-kill": fail_fsync_then_kill,
    "cut": cut,
    "delay": delay,
    "drop-replies": drop_replies,
    "blackhole": blackhole,
    **{f"stop-at-{name}": partial(stop_at, name) for name in FAILPOINTS},
    **{f"kill-at-{name}": partial(kill_at, name) for name in FAILPOINTS},
}
"""Every fault of a running cluster, by the name that plans use."""
