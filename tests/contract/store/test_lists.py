"""Lists of executions: filtered, counted, and read in windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.store.samples import NOW, ended, execution, first_events
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.server.execution.filters import EXECUTION_FIELDS
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCompleted,
    ExecutionState,
    Origin,
    Parent,
)
from weft.server.query.check import read_filter
from weft.server.query.evaluate import matches
from weft.server.query.predicate import Predicate, Ref, Value
from weft.server.store import base
from weft.server.store.base import ExecutionFilter, Group, Page, Slice, Store
from weft.server.store.postgres import _lists as postgres_lists
from weft.server.store.sqlite import _lists as sqlite_lists


def where(text: str) -> Predicate:
    found = read_filter(text, EXECUTION_FIELDS, NOW)
    assert found is not None
    return found


def wanted(text: str) -> ExecutionFilter:
    return ExecutionFilter(where=where(text))


async def start(store: Store, *, finish: ExecutionState | None = None, **changes: Any) -> Execution:
    at = changes.get("create_time", NOW)
    made = execution(id=new_id(EXECUTION_PREFIX, at), **changes)
    stored = await store.insert_execution(made, first_events(made))
    if finish is None:
        return stored
    last = replace(ended(stored, finish), end_time=at + timedelta(minutes=5))
    body = ExecutionCompleted(result=b"{}")
    await store.append_events(last, [Event(3, NOW, body)], 2)
    return last


def newest_first(made: list[Execution]) -> list[str]:
    return sorted((each.id for each in made), reverse=True)


def ids(found: Slice[Execution]) -> list[str]:
    return [each.id for each in found.items]


def record(of: Execution) -> Mapping[Ref, Value]:
    return {
        Ref("id"): of.id,
        Ref("workflow"): of.workflow_id,
        Ref("version"): of.workflow_version,
        Ref("state"): of.state.value,
        Ref("create_time"): of.create_time,
        Ref("end_time"): of.end_time,
        Ref("key"): of.key or None,
        Ref("waits"): of.waits.value or None,
        Ref("trace_id"): of.trace_id or None,
        Ref("origin"): of.origin.execution_id or None,
        Ref("alias"): of.alias or None,
        Ref("parent"): of.parent.execution_id or None,
        **{Ref("attributes", name): value for name, value in of.attributes.items()},
    }


FILTERS = (
    "state = COMPLETED",
    "state != COMPLETED AND workflow = wf_a",
    "workflow = wf_a AND state = COMPLETED",
    "workflow = wf_b OR key:*",
    "version >= 3 AND NOT version = 4",
    "key = key-1",
    "key = key-*",
    "create_time >= 2026-03-29T01:32:00Z",
    "create_time < 2026-03-29T01:32:00Z AND attributes.customer = acme",
    "create_time = 2026-03-29T01:30:00.123457Z",
    "end_time <= 2026-03-29T01:36:10Z",
    "end_time > 2026-03-29T01:36:10Z AND state = COMPLETED",
    "NOT end_time:*",
    "trace_id = 0af7651916cd43dd8448eb211c80319c",
    "origin:* AND origin = exe_first",
    "alias = stable OR NOT alias:*",
    "parent = exe_first",
    "(NOT parent:* AND state = COMPLETED) OR parent = exe_f*",
    "attributes.customer = acme",
    "attributes.customer = acme AND attributes.amount > 3",
    "attributes.customer = acme AND attributes.vip = true AND state = RUNNING",
    "attributes.amount = 4 OR attributes.amount = 2",
    "attributes.customer != acme",
    "attributes:vip AND -attributes.vip = true",
    "attributes.customer = ac*",
    "id:* AND state:*",
)


async def some(store: Store) -> list[Execution]:
    made = []
    for number in range(12):
        attributes: dict[str, str | float | bool] = {"amount": float(number)}
        if number % 2:
            attributes["customer"] = "acme" if number % 3 else "acute"
        if number % 4 < 2:
            attributes["vip"] = number % 8 < 2
        made.append(
            await start(
                store,
                finish=ExecutionState.COMPLETED if number % 3 == 0 else None,
                workflow_id=f"wf_{'ab'[number % 2]}",
                workflow_version=number % 5,
                create_time=NOW + timedelta(seconds=30 * number),
                key=f"key-{number}" if number < 3 else "",
                trace_id="0af7651916cd43dd8448eb211c80319c" if number == 5 else "",
                origin=Origin(execution_id="exe_first") if number % 5 == 1 else Origin(),
                parent=Parent(execution_id="exe_first", step_id="c") if number % 5 == 2 else Parent(),
                alias="stable" if number % 4 == 1 else "canary" if number % 4 == 2 else "",
                attributes=attributes,
            )
        )
    return made


async def test_a_filter_selects_what_it_says(store: Store) -> None:
    """The page, the total, the count and the ids are those of the plain evaluator."""
    made = await some(store)
    for text in FILTERS:
        expected = newest_first([each for each in made if matches(where(text), record(each))])
        assert expected, text
        found = await store.list_executions(wanted(text), Page(size=20))
        assert (ids(found), found.more, found.next_after) == (expected, False, ""), text
        assert (found.total, found.total_is_minimum) == (len(expected), False), text
        assert await store.count_executions(wanted(text)) == len(expected), text
        assert list(await store.select_executions(wanted(text), 100)) == expected, text
        assert await store.select_executions(wanted(text), 1) == (expected[0],), text


async def test_the_calendar_may_end_where_a_filter_does(store: Store) -> None:
    """Its first and its last moment: some say "all" so."""
    made = await some(store)
    for text, count in (
        ("create_time > 0001-01-01", len(made)),
        ("create_time = 0001-01-01", 0),
        ("create_time <= 9999-12-31T23:59:59.999999Z", len(made)),
        ("create_time > 9999-12-31T23:59:59.999999Z", 0),
    ):
        assert len(ids(await store.list_executions(wanted(text), Page(size=50)))) == count, text


async def test_a_filter_is_paged_through(store: Store) -> None:
    """By the key of the last item, or by number; the parts make the whole."""
    made = await some(store)
    for text in FILTERS:
        expected = newest_first([each for each in made if matches(where(text), record(each))])
        found: list[str] = []
        page = await store.list_executions(wanted(text), Page(size=2))
        found += ids(page)
        while page.more:
            page = await store.list_executions(wanted(text), Page(size=2, after=found[-1]))
            assert page.total == len(expected)
            found += ids(page)
        assert found == expected
        skipped = await store.list_executions(wanted(text), Page(size=2, skip=1))
        assert ids(skipped) == expected[1:3]


async def test_all_restrictions_hold_together(store: Store) -> None:
    """The workflow, the state and the filter."""
    made = await some(store)
    both = ExecutionFilter(
        workflow_id="wf_b", state=ExecutionState.COMPLETED, where=where("attributes.amount > 3")
    )
    found = await store.list_executions(both, Page(size=20))
    assert ids(found) == newest_first([made[9]])


async def test_attributes_come_back(store: Store) -> None:
    """Texts, numbers and booleans as they were given, in the summary and in lists."""
    given = {"customer": "Å \u2028", "amount": -0.5, "vip": False, "empty": "", "big": 2.0**60}
    made = await start(store, attributes=given)
    stored = await store.get_execution(made.id)
    assert stored is not None
    assert stored.attributes == given
    listed = await store.list_executions(wanted("attributes.vip = false"), Page(size=1))
    assert listed.items == (stored,)


async def test_groups_are_counted(store: Store) -> None:
    """By a field or an attribute, of all or of what a filter selects, the largest first."""
    await some(store)
    anything = ExecutionFilter()
    assert await store.group_executions(anything, Ref("state"), 10) == (
        Group("RUNNING", 8),
        Group("COMPLETED", 4),
    )
    assert await store.group_executions(anything, Ref("workflow"), 10) == (Group("wf_a", 6), Group("wf_b", 6))
    assert await store.group_executions(anything, Ref("workflow"), 1) == (Group("wf_a", 6),)
    by_customer = Ref("attributes", "customer")
    assert await store.group_executions(anything, by_customer, 10) == (Group("acme", 4), Group("acute", 2))
    completed = wanted("state = COMPLETED")
    assert await store.group_executions(completed, by_customer, 10) == (Group("acute", 2),)
    acme = wanted("attributes.customer = acme AND attributes.amount > 3")
    assert await store.group_executions(acme, by_customer, 10) == (Group("acme", 3),)
    assert await store.group_executions(acme, Ref("state"), 10) == (Group("RUNNING", 3),)
    vip = Ref("attributes", "vip")
    assert await store.group_executions(anything, vip, 10) == (
        Group(value=True, count=4),
        Group(value=False, count=2),
    )


async def test_a_total_is_counted_up_to_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the total is the limit, and says so."""
    made = [await start(store, attributes={"n": 1.0}) for _ in range(4)]
    for limit, total, minimum in ((5, 4, False), (4, 4, False), (3, 3, True)):
        for lists in (postgres_lists, sqlite_lists):
            monkeypatch.setattr(lists, "COUNT_LIMIT", limit)
        for each in (ExecutionFilter(), wanted("state = RUNNING"), wanted("attributes.n = 1")):
            found = await store.list_executions(each, Page(size=9))
            assert (found.total, found.total_is_minimum, len(found.items)) == (total, minimum, len(made))


async def test_what_no_index_finds_is_looked_for_in_windows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window without a match is an empty page that says where to go on; all windows have everything."""
    made = await some(store)
    for lists in (postgres_lists, sqlite_lists):
        monkeypatch.setattr(lists, "WINDOW", 3)
    for text in FILTERS:
        expected = newest_first([each for each in made if matches(where(text), record(each))])
        found: list[str] = []
        after, rounds = "", 0
        while rounds < 20:
            rounds += 1
            page = await store.list_executions(wanted(text), Page(size=2, after=after))
            found += ids(page)
            assert page.total <= len(expected)
            assert page.total_is_minimum or page.total == len(expected)
            if not page.more:
                break
            after = page.next_after or page.items[-1].id
        assert found == expected, text
    lonely = await store.list_executions(wanted("version = 4 AND attributes.amount < 5"), Page(size=2))
    assert (lonely.items, lonely.more, lonely.total_is_minimum) == ((), True, True)
    assert lonely.next_after == newest_first(made)[2]
    assert (base.WINDOW, base.COUNT_LIMIT) == (10_000, 5_000)
