"""One run: expand the seed, start everything, let callers and faults loose, drain, and judge."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.faults.checks.every import judge
from tests.faults.rig.child import until
from tests.faults.rig.cluster import Cluster, running
from tests.faults.rig.driver import Driver, GaveUpError, driving
from tests.faults.rig.evidence import Evidence, HistoryEvent, Stored
from tests.faults.rig.faults import FAULTS
from tests.faults.rig.plan import Plan, PlannedFault
from tests.faults.rig.record import Operation, Recorder, Window, read_bodies, read_operations
from tests.faults.rig.report import Report
from tests.faults.rig.sessions import attend, create_workflows
from tests.faults.rig.steps import BACKOFF, MAX_ATTEMPTS
from tests.faults.rig.stores import StoreAdapter
from weft.client import Client, Execution, InternalError, WeftError, connect

_SETTLE: Final = 1.5
"""How many seconds after its end a fault still excuses failures: connections come back first."""
_DRAIN: Final = 600.0
"""For how many seconds a drain may take in all."""
_ENDLESS: Final = float("inf")
_AT_ONCE: Final = 16
_SPREAD: Final = 2.5
"""Over how many seconds those sessions begin that are let in beside a fault; most take about that long."""


@dataclass(kw_only=True)
class Progress:
    """How far a run is."""

    all: int
    ahead: float
    """Which part of the sessions may run ahead of a fault."""
    clock: Callable[[], float] = time.monotonic
    begun: int = 0
    done: int = 0
    gave_up: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    _held: float = 0.0
    """Number of the first session that may not begin yet …"""
    _base: float = 0.0
    """… of those behind this one, which begin one after the other …"""
    _since: float = 0.0
    """… from this time on."""

    def reached(self, part: float) -> bool:
        return self.done / self.all >= part

    def wait_for(self, fault: PlannedFault) -> None:
        """Hold sessions back while a fault is late, so that it still has something to disturb."""
        self._held = self._base = self.all * (fault.at + self.ahead)

    def disturbed(self, faults_left: int) -> None:
        """Let further sessions begin beside a fault, all the while: it needs somebody to disturb.

        Those that it was planned for may have begun at other servers while it was late. What
        is left of the sessions is shared out evenly, so that the last fault has its part too.

        Args:
            faults_left: How many do not have theirs yet, this one among them.
        """
        self._base, self._since = self.begun, self.clock()
        self._held = self.begun + max(1, (self.all - self.begun) / faults_left)

    def faults_are_over(self) -> None:
        """Let all begin that are left."""
        self._held = self._base = _ENDLESS

    def may_begin(self, number: int) -> bool:
        if number < self._base:
            return True
        part = min(1.0, (self.clock() - self._since) / _SPREAD)
        return number < self._base + (self._held - self._base) * part


async def run(plan: Plan, store: StoreAdapter, folder: Path, bug: str = "") -> Report:
    """Do what the plan says; the report has the verdict."""
    began = time.monotonic()
    _announce(plan, folder)
    recorder = Recorder(folder / "operations.jsonl")
    async with running(Cluster(store, folder, plan.workers, bug)) as cluster:
        await _prepare(cluster)
        progress = Progress(all=len(plan.sessions), ahead=plan.ahead)
        async with driving(cluster.addresses, recorder, random.Random(plan.seed), plan.patience) as driver:
            await asyncio.gather(_attend_all(plan, driver, progress), _do_faults(plan, cluster, progress))
        stored = await _drain(plan, cluster)
        await cluster.stop()
        evidence = _gather(cluster, progress, stored, await store.verify())
    recorder.close()
    return Report(
        seed=plan.seed,
        store=store.name,
        took=time.monotonic() - began,
        evidence=evidence,
        violations=judge(evidence),
        planned=dict(Counter(fault.kind for fault in plan.faults)),
        fired=dict(progress.fired),
        exits={child.name: child.exits for child in cluster.children},
    )


def _announce(plan: Plan, folder: Path) -> None:
    """Say how to repeat it, before anything can go wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan.to_dict(), indent=1))
    print(f"seed {plan.seed}: {len(plan.sessions)} sessions, {len(plan.faults)} faults, {folder}")  # noqa: T201 - see above


async def _prepare(cluster: Cluster) -> None:
    """Create the workflows, and wait until each server knows the workers that register with it."""
    for number, server in enumerate(cluster.servers):
        own = len(cluster.workers[number :: len(cluster.servers)])
        async with connect(server.address) as weft:
            assert await until(partial(_registered, weft, own), 60), "no worker registered"
            if not number:
                await create_workflows(weft)


async def _registered(weft: Client, count: int) -> bool:
    with suppress(WeftError):
        return len((await weft.registry.instances("work")).items) >= count
    return False


async def _attend_all(plan: Plan, driver: Driver, progress: Progress) -> None:
    waiting = iter(plan.sessions)

    async def attend_some() -> None:
        for session in waiting:
            await until(partial(progress.may_begin, session.number), _ENDLESS)
            progress.begun += 1
            try:
                await attend(driver, session, f"r{plan.seed}")
            except GaveUpError as error:
                progress.gave_up.append(str(error))
            progress.done += 1

    await asyncio.gather(*(attend_some() for _ in range(plan.concurrency)))


async def _do_faults(plan: Plan, cluster: Cluster, progress: Progress) -> None:
    for number, fault in enumerate(plan.faults):
        progress.wait_for(fault)
        await until(partial(progress.reached, fault.at), _ENDLESS)
        await asyncio.sleep(fault.delay)
        progress.disturbed(len(plan.faults) - number)
        await _do(fault, cluster, progress)
        await asyncio.sleep(plan.calm)
    progress.faults_are_over()


async def _do(fault: PlannedFault, cluster: Cluster, progress: Progress) -> None:
    happened = await FAULTS[fault.kind](cluster, fault)
    if happened is not None:
        progress.fired[fault.kind] += 1
        progress.windows.append(Window(fault=fault.kind, began=happened, ended=time.monotonic() + _SETTLE))


async def _drain(plan: Plan, cluster: Cluster) -> dict[str, Stored]:
    """Wait until nothing is open any more, then read everything."""
    async with connect(cluster.servers[-1].address) as weft:
        fewest, since = float("inf"), time.monotonic()

        async def empty() -> bool:
            nonlocal fewest, since
            left = (await weft.executions.list(state="RUNNING", page_size=1)).total_size
            if left < fewest:
                fewest, since = left, time.monotonic()
            return not left or time.monotonic() - since > plan.stall

        await until(empty, _DRAIN)
        return await _read_all(weft)


async def _read_all(weft: Client) -> dict[str, Stored]:
    listed: list[Execution] = []
    token = ""
    while True:
        page = await weft.executions.list(page_size=500, page_token=token)
        listed += page.items
        token = page.next_page_token
        if not token:
            break
    places = asyncio.Semaphore(_AT_ONCE)

    async def read(execution: Execution) -> Stored:
        async with places:
            return await _read(weft, execution)

    return {stored.id: stored for stored in await asyncio.gather(*map(read, listed))}


async def _read(weft: Client, execution: Execution) -> Stored:
    """Read one; of what cannot be read there are no events, which no checker takes for a history."""
    events: tuple[HistoryEvent, ...] = ()
    with suppress(InternalError):
        execution = await weft.executions.get(execution.id)
        events = tuple([event.to_dict() async for event in weft.executions.history(execution.id)])
    return Stored(
        id=execution.id,
        state=execution.state,
        token=(execution.input or {}).get("token", ""),
        last_event=execution.last_event_number,
        events=events,
        result=execution.to_dict()["result"],
        created=execution.create_time.timestamp() if execution.create_time else 0.0,
        parent=execution.parent.execution_id if execution.parent else "",
        parent_step=execution.parent.step_id if execution.parent else "",
        workflow=execution.workflow_name,
        origin=execution.origin.execution_id if execution.origin else "",
    )


def _gather(
    cluster: Cluster, progress: Progress, stored: Mapping[str, Stored], wrong: Sequence[str]
) -> Evidence:
    operations = read_operations(cluster.folder / "operations.jsonl")
    return Evidence(
        operations=operations,
        bodies=read_bodies(cluster.folder),
        stored=_with_timeouts(stored, operations),
        windows=tuple(progress.windows),
        wall=time.time() - time.monotonic(),
        max_attempts=MAX_ATTEMPTS,
        backoff=BACKOFF,
        store_faults=(*wrong, *(f"nobody answered: {it}" for it in progress.gave_up)),
        log_faults=tuple(cluster.log_faults()),
    )


def _with_timeouts(stored: Mapping[str, Stored], operations: Sequence[Operation]) -> dict[str, Stored]:
    """Add what was asked for, as the callers know it."""
    asked = {
        op.request.get("request_id"): op.request.get("timeout")
        for op in operations
        if not op.request.get("other_input")
    }
    return {
        key: one if one.parent else replace(one, timeout=asked.get(one.token)) for key, one in stored.items()
    }
