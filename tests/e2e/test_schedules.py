"""Schedules from Python and at the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from tests.support.command import Runner
from weft.cli.commands import app
from weft.client import (
    CalendarEntry,
    Client,
    ConflictError,
    CronEntry,
    IntervalEntry,
    ScheduleAction,
    SchedulePolicies,
    ScheduleSpec,
    ValidationError,
    connect,
)
from weft.service import Service

pytestmark = pytest.mark.e2e

Weft = Callable[..., Awaitable[Result]]

NIGHTLY = """
name: nightly
description: Counts what is there
spec:
  crons:
    - 30 2 * * *
    - {expression: 0 12 L * ?, time_zone: Asia/Kathmandu}
  calendars:
    - {weekdays: 1-5, hours: [9, 17], comment: office}
  intervals:
    - {every: 90d, offset: 1h}
  excluded:
    - {months: 12, days: 24-26}
  time_zone: Europe/Berlin
  jitter: 5m
action:
  workflow: count
  input: {what: all}
  context: {project_id: p1}
  search_attributes: {team: data}
policies:
  overlap: buffer_one
  catch_up_window: 1h
  pause_on_failure: true
"""


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    service = Service("counts", version="1.0.0")

    @service.action
    async def count(what: str = "") -> dict[str, int]:
        """Count letters."""
        return {"count": len(what)}

    async with service.hosted(server=address), connect(address) as weft:
        await weft.workflows.create("count", [{"id": "only", "service": "counts", "action": "count"}])
        yield weft


@pytest.fixture
def weft(address: str, client: Client) -> Weft:
    runner = Runner(env={"WEFT_TARGET": address, "NO_COLOR": "1", "COLUMNS": "200"})

    async def call(*words: str, stdin: str = "") -> Result:
        return await asyncio.to_thread(runner.invoke, app, list(words), input=stdin, prog_name="weft")

    return call


async def test_the_python_client(client: Client) -> None:
    """What is written is what is read; faults have the server's paths, also those that are found here."""
    spec = ScheduleSpec(
        crons=(CronEntry(expression="0 9 * * *", time_zone="Europe/Berlin"),),
        calendars=(CalendarEntry(hours=("9-17/2", "20"), comment="by day"),),
        intervals=(IntervalEntry(every=timedelta(days=9), offset=timedelta(hours=1)),),
        excluded=(CalendarEntry(months=("12",)),),
        start_time=datetime(2026, 1, 1, tzinfo=UTC),
        jitter=timedelta(seconds=5),
    )
    action = ScheduleAction(workflow="count", input={"what": "x"}, search_attributes={"a": 1})
    policies = SchedulePolicies(overlap="ALLOW_ALL", catch_up_window=timedelta(hours=1), max_runs=9)
    made = await client.schedules.create("one", spec, action, policies=policies, paused=True, note="later")
    assert (made.spec, made.action, made.policies) == (spec, action, policies)
    assert (made.state, made.note, made.info.remaining_runs) == ("PAUSED", "later", 9)
    short = await client.schedules.create("two", "@daily", "count")
    assert short.spec.crons == (CronEntry(expression="@daily"),)
    changed = await client.schedules.update("two", spec={"intervals": [60]}, etag=short.etag)
    assert (changed.spec.intervals[0].every, changed.action) == (timedelta(minutes=1), short.action)
    with pytest.raises(ConflictError):
        await client.schedules.pause("two", etag=short.etag)
    assert [it.name for it in (await client.schedules.list(workflow="count", state="active")).items] == [
        "two"
    ]
    run = await client.schedules.trigger("one")
    assert run.state in {"STARTED", "ENDED"}
    assert (await client.schedules.runs("one", page_size=1)).items[0].execution_id == run.execution_id
    done = await client.schedules.backfill(
        "two", "2026-03-01T00:00Z", "2026-03-01T00:03:00Z", overlap="allow_all"
    )
    assert (done.count, done.first_time) == (3, datetime(2026, 3, 1, tzinfo=UTC))
    times = await client.schedules.times("two", 2, after="2026-03-01T00:00:30+00:00")
    assert times == (datetime(2026, 3, 1, 0, 1, tzinfo=UTC), datetime(2026, 3, 1, 0, 2, tzinfo=UTC))
    await client.schedules.delete("two")
    with pytest.raises(ValidationError) as caught:
        await client.schedules.create("bad", {"crons": [3], "calendars": [{"hours": "nine"}]}, {"work": ""})
    assert [it.field for it in caught.value.violations] == [
        "schedule.spec.crons[0]",
        "schedule.spec.calendars[0].hours",
        "schedule.action.work",
    ]


SPANS = ("Jitter:      6m\n", "Catches up:  1h\n", "every 90d and 1h later\n")
"""As files have them."""


async def test_the_command_line(weft: Weft, client: Client, tmp_path: Path) -> None:
    """From a file to what came of it."""
    file = tmp_path / "nightly.yaml"
    file.write_text(NIGHTLY)
    assert (await weft("schedules", "apply", "-f", str(file))).stdout.startswith("nightly created (next: 2")
    assert (await weft("schedules", "apply", "-f", str(file))).stdout.startswith("nightly unchanged")
    file.write_text(NIGHTLY.replace("5m", "6m"))
    assert (await weft("schedules", "apply", str(file))).stdout.startswith("nightly updated")
    shown = (await weft("schedules", "get", "nightly")).stdout
    for text in ("30 2 * * * (Europe/Berlin)", "hours 9,17 [office]", "months 12 days 24-26", *SPANS):
        assert text in shown
    times = await weft(
        "schedules",
        "times",
        "--cron",
        "30 2 * * *",
        "--zone",
        "Europe/Berlin",
        "--count",
        "2",
        "--after",
        "2026-03-28T12:00Z",
    )
    assert times.stdout == "Sun 2026-03-29 03:00:00 +0200\nMon 2026-03-30 02:30:00 +0200\n"
    assert len((await weft("schedules", "times", "nightly")).stdout.splitlines()) == 10
    never = await weft("schedules", "times", "--cron", "0 0 31 FEB *")
    assert (never.exit_code, never.stdout, never.stderr) == (0, "", "It has no such time.\n")
    assert (await weft("schedules", "pause", "nightly", "--note", "closed")).stdout == "nightly PAUSED\n"
    assert "closed" in (await weft("schedules", "list", "--state", "paused", "--output", "json")).stdout
    triggered = await weft("schedules", "trigger", "nightly", "--output", "json")
    assert json.loads(triggered.stdout)["execution_id"].startswith("exe_")
    assert json.loads(triggered.stdout)["execution_id"] in (await weft("schedules", "runs", "nightly")).stdout
    resumed = await weft("schedules", "resume", "nightly")
    assert resumed.stdout.startswith("nightly ACTIVE (next: ")
    filled = await weft("schedules", "backfill", "nightly", "--from", "2026-03-02", "--to", "2026-03-03")
    assert "nightly 3 runs: " in filled.stdout
    found = await client.executions.list(filter="attributes.schedule = nightly AND attributes.team = data")
    assert found.total_size >= 1
    assert (await weft("schedules", "delete", "nightly")).stdout == "nightly deleted\n"
    assert (await weft("schedules", "get", "nightly")).exit_code == 3


async def test_a_file_with_faults_is_refused_as_a_whole(weft: Weft, client: Client) -> None:
    """Every fault with its document and path; nothing is made."""
    good = "name: good\nspec: {crons: ['@daily']}\naction: {workflow: count}\n"
    form = "name: form\nspec: {cron: ['@daily'], jitter: soon}\naction: {}\npolicies: {overlap: buffer}\n"
    refused = await weft("schedules", "apply", "-f", "-", stdin=f"{good}---\n{form}")
    assert refused.exit_code == 4
    for text in (
        "(document 2): spec.cron: is no known key",
        "(document 2): action.workflow: is required",
        "(document 2): policies.overlap: 'buffer' is none of them; did you mean 'buffer_",
    ):
        assert text in refused.stderr
    never = "name: never\nspec: {crons: ['0 0 31 2 *'], time_zone: Europe/Berln}\naction: {workflow: count}\n"
    refused = await weft("schedules", "apply", "-f", "-", stdin=f"{good}---\n{never}")
    assert "did you mean 'Europe/Berlin'?" in refused.stderr
    nowhere = never.replace("workflow: count", "workflow: conut")
    refused = await weft("schedules", "apply", "-f", "-", stdin=nowhere)
    assert refused.exit_code == 4
    assert "action.workflow: workflow 'conut' does not exist; did you mean 'count'?" in refused.stderr
    assert "Europe/Berln" in refused.stderr
    refused = await weft("schedules", "apply", "-f", "-", stdin=never.replace("Berln", "Berlin"))
    assert "spec.crons[0].expression: never fires" in refused.stderr
    assert (await client.schedules.list()).total_size == 0
