"""``weft schedules``: workflows that are started by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.complete import schedule_names
from weft.cli._base.errors import Exit
from weft.cli._base.inputs import show_duration
from weft.cli._base.options import (
    FileOption,
    FilesArgument,
    LimitOption,
    PageTokenOption,
    chosen_files,
    not_empty,
)
from weft.cli._base.session import Settings, call
from weft.cli._base.text import local_time

if TYPE_CHECKING:
    from weft.client import CalendarEntry, Client, Schedule, ScheduleRun, ScheduleSpec

__all__ = ["app"]

app = group("Start workflows by the clock: cron, calendars, intervals; pause, trigger, backfill.")

ScheduleArgument = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Name or id of the schedule.", autocompletion=schedule_names)
]
NoteOption = Annotated[str, typer.Option(help="Why; it is shown with the schedule.")]
AfterOption = Annotated[str, typer.Option(metavar="TIME", help="From when on, such as 2026-03-01T00:00Z.")]


@unique
class State(StrEnum):
    """States to filter by."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


@unique
class RunState(StrEnum):
    """States to filter runs by."""

    PENDING = "pending"
    STARTED = "started"
    ENDED = "ended"
    SKIPPED = "skipped"
    MISSED = "missed"
    FAILED = "failed"


@unique
class Overlap(StrEnum):
    """What happens while another execution is open."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"
    ALLOW_ALL = "allow_all"


OverlapOption = Annotated[
    Overlap | None,
    typer.Option(case_sensitive=False, help="What happens while another execution of it is open."),
]


@command(app, "apply", "weft schedules apply -f nightly.yaml", "cat nightly.yaml | weft schedules apply -f -")
def apply(ctx: typer.Context, files: FilesArgument = None, file: FileOption = None) -> None:
    """Create or update the schedules that YAML or JSON files define.

    Keys: name, description, spec, action, policies. A spec has crons (texts, or
    expression and time_zone), calendars (seconds, minutes, hours, days, months,
    weekdays, years: 9, 9-17, 0-59/15 or lists of these), intervals (durations, or
    every and offset), excluded calendars, time_zone, start_time, end_time and
    jitter. An action has workflow, version or alias, input, context,
    search_attributes and timeout. Policies are overlap, catch_up_window, pause_on_failure and max_runs.
    docs/schedules.md has an example of each. A paused schedule stays paused.
    """
    from weft.cli._files.definitions import read_schedules  # noqa: PLC0415 - as above
    from weft.cli._schedules.apply_schedules import apply_schedules  # noqa: PLC0415 - PyYAML, for those who use it

    settings = Settings.of(ctx)
    definitions = read_schedules(chosen_files(ctx, files, file))
    outcomes = call(settings, lambda weft: apply_schedules(weft, definitions))
    if not settings.for_people:
        output.document(settings, {"items": [outcome.to_dict() for outcome in outcomes]})
    for outcome in outcomes if settings.for_people else ():
        text = f"{outcome.what}{_next(outcome.schedule)}"
        output.line(settings, f"{outcome.schedule.name} ", text, style=output.state_style(outcome.what))


def _next(found: Schedule) -> str:
    if found.info.next_time is None:
        return f" ({found.state})"
    return f" (next: {local_time(found.info.next_time)})"


@command(app, "list", "weft schedules list", "weft schedules list --workflow orders --state paused")
def list_schedules(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Option(help="Only of this workflow (name or id).")] = "",
    state: Annotated[
        State | None, typer.Option(case_sensitive=False, help="Only schedules in this state.")
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List schedules, by name."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""
    page = call(
        settings,
        lambda weft: weft.schedules.list(
            workflow=workflow, state=wanted, page_size=limit, page_token=page_token
        ),
    )
    if settings.for_people:
        titles = ("NAME", "WORKFLOW", "STATE", "NEXT", "LAST", "WHEN")
        output.page(settings, page, titles, _row, spare=("WHEN", "LAST"))
    else:
        output.document(settings, page.to_dict())


def _row(found: Schedule) -> tuple[object, ...]:
    info = found.info
    times = (local_time(info.next_time), local_time(info.last_time))
    return found.name, found.action.workflow, found.state, *times, "; ".join(_when(found.spec))


def _when(spec: ScheduleSpec) -> list[str]:
    """Say when a schedule fires, a text for each entry."""

    def placed(text: str, zone: str) -> str:
        return f"{text} ({zone or spec.time_zone or 'UTC'})"

    return [
        *(placed(cron.expression, cron.time_zone) for cron in spec.crons),
        *(placed(_parts(entry), entry.time_zone) for entry in spec.calendars),
        *(
            f"every {_span(each.every)}" + (f" and {_span(each.offset)} later" if each.offset else "")
            for each in spec.intervals
        ),
    ]


def _parts(entry: CalendarEntry) -> str:
    names = ("years", "months", "days", "weekdays", "hours", "minutes", "seconds")
    said = [(name, getattr(entry, name)) for name in names]
    text = " ".join(f"{name} {','.join(values)}" for name, values in said if values)
    return f"{text or 'at 00:00:00'}{f' [{entry.comment}]' if entry.comment else ''}"


@command(app, "get", "weft schedules get nightly", "weft schedules get nightly --output yaml")
def get(ctx: typer.Context, schedule: ScheduleArgument) -> None:
    """Show a schedule, where it stands, and what came of it."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.schedules.get(schedule))
    if settings.for_people:
        output.fields(settings, _fields(found))
    else:
        output.document(settings, found.to_dict())


def _fields(found: Schedule) -> list[tuple[str, object]]:
    spec, action, policies, info = found.spec, found.action, found.policies, found.info
    version = f"@{action.version or action.alias}" if action.version or action.alias else ""
    counts = {
        "started": info.started,
        "skipped": info.skipped,
        "missed": info.missed,
        "failed": info.failed,
        "pending": info.pending,
        "open": info.open,
    }
    return [
        ("Name", found.name),
        ("Id", found.id),
        ("Description", found.description),
        ("State", found.state),
        ("Note", found.note),
        *(("When", text) for text in _when(spec)),
        *(
            ("Not", f"{_parts(entry)} ({entry.time_zone or spec.time_zone or 'UTC'})")
            for entry in spec.excluded
        ),
        ("From", local_time(spec.start_time)),
        ("Until", local_time(spec.end_time)),
        ("Jitter", _span(spec.jitter)),
        ("Workflow", f"{action.workflow}{version}"),
        ("Input", output.compact(action.input)),
        ("Overlap", policies.overlap),
        ("Catches up", _span(policies.catch_up_window)),
        ("On failure", "it is paused" if policies.pause_on_failure else ""),
        ("Starts left", info.remaining_runs),
        ("Next", local_time(info.next_time)),
        ("Last", local_time(info.last_time)),
        ("Runs", ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)),
        ("Created", local_time(found.create_time)),
        ("Updated", local_time(found.update_time)),
    ]


@command(
    app,
    "times",
    "weft schedules times nightly --count 3",
    "weft schedules times --cron '0 9 * * MON-FRI' --zone Europe/Berlin",
    "weft schedules times --file nightly.yaml",
)
def times(
    ctx: typer.Context,
    schedule: Annotated[
        str, typer.Argument(metavar="SCHEDULE", help="Name or id.", autocompletion=schedule_names)
    ] = "",
    cron: Annotated[str, typer.Option(metavar="EXPRESSION", help="Of a cron expression instead.")] = "",
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Where that holds, such as Europe/Berlin.")] = "",
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="Of the schedule in a file.")
    ] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 10,
    after: AfterOption = "",
) -> None:
    """List the next times of a schedule, or of one that is not stored.

    Each is shown as the clock of the schedule shows it, with its distance from UTC.
    """
    settings = Settings.of(ctx)
    if sum(map(bool, (schedule, cron, file))) != 1:
        raise typer.BadParameter("name a schedule, or --cron, or --file", ctx=ctx)
    spec = _spec_of(cron, zone, file)

    async def ask(weft: Client) -> tuple[tuple[datetime, ...], str]:
        if spec is not None:
            return await weft.schedules.preview(spec, count, after=after or None), str(
                spec.get("time_zone", "")
            )
        found = await weft.schedules.get(schedule)
        shown = await weft.schedules.times(found.id, count, after=after or None)
        return shown, found.spec.time_zone or next((it.time_zone for it in found.spec.crons), "")

    found, where = call(settings, ask)
    if not settings.for_people:
        output.document(settings, {"items": [time.isoformat() for time in found]})
        return
    for time in found:
        output.line(settings, _on_the_clock(time, where))
    if not found:
        output.note("It has no such time.")


def _spec_of(cron: str, zone: str, file: str) -> dict[str, Any] | None:
    if cron:
        return {"crons": [cron], "time_zone": zone}
    if not file:
        return None
    from weft.cli._files.definitions import read_schedules  # noqa: PLC0415 - PyYAML, for those who use it

    spec: dict[str, Any] = read_schedules([file])[0].values["spec"]
    return spec


def _on_the_clock(time: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only for those who ask for times

    try:
        there = time.astimezone(ZoneInfo(zone or "UTC"))
    except (LookupError, ValueError, OSError):
        there = time
    return there.strftime("%a %Y-%m-%d %H:%M:%S %z")


@command(app, "runs", "weft schedules runs nightly", "weft schedules runs nightly --state missed")
def runs(
    ctx: typer.Context,
    schedule: ScheduleArgument,
    state: Annotated[
        RunState | None, typer.Option(case_sensitive=False, help="Only runs in this state.")
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List what came of each time, newest first: the execution, or why there is none."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""
    page = call(
        settings,
        lambda weft: weft.schedules.runs(schedule, state=wanted, page_size=limit, page_token=page_token),
    )
    if settings.for_people:
        titles = ("RUN", "PLANNED", "KIND", "STATE", "STARTED", "EXECUTION", "WHY")
        output.page(settings, page, titles, _run_row, spare=("KIND", "STARTED"))
    else:
        output.document(settings, page.to_dict())


def _run_row(run: ScheduleRun) -> tuple[object, ...]:
    why = f"{run.failure.reason}: {run.failure.message}" if run.failure else ""
    times = f" (and {run.count - 1:,} more)" if run.count > 1 else ""
    started = local_time(run.time) if run.execution_id else ""
    planned = f"{local_time(run.planned_time)}{times}"
    return run.number, planned, run.kind, run.state, started, run.execution_id, why


@command(app, "pause", "weft schedules pause nightly --note 'the warehouse is closed'")
def pause(ctx: typer.Context, schedule: ScheduleArgument, note: NoteOption = "") -> None:
    """Stop a schedule from firing; times that go by are not made up for."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.schedules.pause(schedule, note))
    output.record(settings, found, f"{found.name} ", found.state)


@command(app, "resume", "weft schedules resume nightly")
def resume(ctx: typer.Context, schedule: ScheduleArgument, note: NoteOption = "") -> None:
    """Let a paused schedule fire again, from now on."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.schedules.resume(schedule, note))
    output.record(settings, found, f"{found.name} ", f"{found.state}{_next(found)}")


@command(
    app, "trigger", "weft schedules trigger nightly", "weft schedules trigger nightly --overlap allow_all"
)
def trigger(
    ctx: typer.Context,
    schedule: ScheduleArgument,
    overlap: OverlapOption = None,
    request_id: Annotated[
        str, typer.Option(callback=not_empty, help="Idempotency key: the same id starts it once.")
    ] = "",
) -> None:
    """Start what a schedule starts, now; 1 when nothing was started."""
    settings = Settings.of(ctx)
    wanted = overlap.upper() if overlap else ""
    run = call(settings, lambda weft: weft.schedules.trigger(schedule, overlap=wanted, request_id=request_id))
    why = f": {run.failure.message}" if run.failure else ""
    output.record(settings, run, f"{run.execution_id or schedule} ", f"{run.state}{why}")
    if run.failure:
        raise typer.Exit(Exit.FAILED)


@command(app, "backfill", "weft schedules backfill nightly --from 2026-03-01 --to 2026-03-08")
def backfill(
    ctx: typer.Context,
    schedule: ScheduleArgument,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="The first time that may be; in UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The range ends before this.")],
    overlap: OverlapOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also times whose execution is still stored.")
    ] = False,
    request_id: Annotated[
        str, typer.Option(callback=not_empty, help="Idempotency key: the same id adds it once.")
    ] = "",
) -> None:
    """Start what a schedule would have started in the past, one after the other."""
    settings = Settings.of(ctx)
    wanted = overlap.upper() if overlap else ""
    found = call(
        settings,
        lambda weft: weft.schedules.backfill(
            schedule, start, end, overlap=wanted, again=again, request_id=request_id
        ),
    )
    span = f"{local_time(found.first_time)} to {local_time(found.last_time)}"
    output.record(settings, found, f"{schedule} ", f"{found.count:,} runs: {span}")


@command(app, "delete", "weft schedules delete nightly")
def delete(ctx: typer.Context, schedule: ScheduleArgument) -> None:
    """Delete a schedule with the list of its runs; executions go on."""
    settings = Settings.of(ctx)
    call(settings, lambda weft: weft.schedules.delete(schedule))
    output.done(settings, schedule, "deleted")


def _span(value: timedelta | None) -> str:
    """Write a duration as files have it; nothing where there is none."""
    return show_duration(value) if value else ""
