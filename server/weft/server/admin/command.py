"""``weft admin``: joins the command line by an entry point."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from weft.server.adapters import make_vault
from weft.server.admin.backup import BackupExistsError, write_backup
from weft.server.admin.backup import restore as restore_backup
from weft.server.admin.findings import Finding
from weft.server.admin.verify import verify as find_faults
from weft.server.config import ConfigError
from weft.server.options import DatabaseSchema, DatabaseUrl, DataDir
from weft.server.store.database import DatabaseConfig, DatabaseUrlError
from weft.server.store.vault import Member, Vault, VaultDamagedError, VaultError
from weft.server.which_store import chosen_url

__all__ = ["admin"]

_FAILED: Final = 1
_WRONG_OPTION: Final = 2
_NOT_FOUND: Final = 3
_CONFLICT: Final = 5
_DEFAULT_DIR: Final = Path(".weft/data")
_SHOWN: Final = 100

T = TypeVar("T")

admin = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look after a store: backup, restore, verify, migrate, adopt, accept-loss.",
)
_executions = typer.Typer(no_args_is_help=True, help="Look after the executions of dead servers.")
admin.add_typer(_executions, name="executions")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@admin.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to; with .gz at its end it is packed.")],
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write everything in a store to a file, as of one moment; servers go on meanwhile.

    The file is there as a whole or not at all, and carries a checksum. One that is there
    already is replaced with --force only; else the exit code is 5.

    Example: weft admin backup weft-2026-03-29.backup.gz
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    if str(file) == "-":
        raise _refusal("a backup goes to a file, not to stdout", _WRONG_OPTION)
    try:
        counts = _run(write_backup(vault, file, datetime.now(UTC), replace=force))
    except BackupExistsError as error:
        raise _refusal(f"{error}; --force replaces it", _CONFLICT) from None
    typer.echo(f"{file}: {_counted(counts)} of {vault.name}")


@admin.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `weft admin backup` wrote.")],
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
) -> None:
    """Put a backup into an empty store of any kind, all or nothing; no server runs on it.

    This is also how to move from SQLite to PostgreSQL, and back.

    Example: weft admin restore weft.backup.gz --database-url postgresql://weft@db/weft
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    counts = _run(restore_backup(vault, file))
    typer.echo(f"{vault.name}: {_counted(counts)} of {file}")


@admin.command()
def verify(
    context: typer.Context,
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="How many findings are listed at most.")] = _SHOWN,
) -> None:
    """Check every invariant that can be checked in a store; servers go on meanwhile.

    Histories without gaps, one end, one result a step, summaries that are what their
    histories add up to, attributes, references, owners; for SQLite also its files. The
    exit code is 0 when nothing was found, and 1 otherwise.

    Example: weft admin verify --data-dir ./data
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    found, checked = _run(_verify(vault))
    for finding in found[:limit]:
        line = f"{finding.code}  {finding.subject}  {finding.message}"
        typer.echo(json.dumps(asdict(finding)) if as_json else line)
    whole = "it cannot be read to its end" if checked is None else f"{_plural(checked, 'execution')} checked"
    summary = f"{whole}, {_plural(len(found), 'finding')}"
    typer.echo(f"{vault.name}: {summary}", err=as_json)
    if found:
        raise typer.Exit(_FAILED)


async def _verify(vault: Vault) -> tuple[list[Finding], int | None]:
    """Return what is wrong, and how many executions there are; None where that cannot be read."""
    found: list[Finding] = []
    try:
        async with vault.snapshot() as snapshot:
            async for finding in find_faults(snapshot):
                found.append(finding)  # noqa: PERF401 - what was found before it breaks stays
            return found, await snapshot.count()
    except VaultDamagedError as error:
        found.append(Finding("DATABASE_DAMAGED", "the database", str(error)))
    return found, None


@admin.command()
def migrate(
    context: typer.Context,
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what is missing.")] = False,
) -> None:
    """Bring the tables of a store up to date without starting a server, which would do it too.

    Example: weft admin migrate --dry-run
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    missing = _run(vault.migrate(apply=not dry_run))
    for name in missing:
        typer.echo(f"{'missing' if dry_run else 'applied'}  {name}")
    if not missing:
        typer.echo(f"{vault.name} is up to date")


@admin.command("accept-loss")
def accept_loss(
    context: typer.Context,
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
) -> None:
    """Go on with what is left of a SQLite database that a server refuses to open, as its log is damaged.

    What the log had behind the damage is given up, although it was acknowledged. A
    folder beside the database keeps the files as they were. Without damage nothing is
    changed. Run `weft admin verify` afterwards. The exit code is 1 when what is left
    does not fit together; then only a backup helps.

    Example: weft admin accept-loss --data-dir ./data
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    done = _run(vault.accept_loss())
    if done is None:
        typer.echo(f"{vault.name}: nothing is known to be missing")
        return
    typer.echo(f"{vault.name}: given up is {done.lost}; the files as they were are in {done.kept}")
    if done.faults:
        raise _refusal(f"what is left is of no use, restore a backup: {'; '.join(done.faults[:3])}", _FAILED)


@_executions.command()
def adopt(
    context: typer.Context,
    server: Annotated[
        str, typer.Argument(help="Name or number of a dead server; without, all are listed.")
    ] = "",
    data_dir: DataDir = _DEFAULT_DIR,
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
    force: Annotated[
        bool,
        typer.Option("--force", help="Also one whose lease holds: it writes nothing more, and joins anew."),
    ] = False,
) -> None:
    """Free the executions of a dead server at once, so that others take them over.

    They do so by themselves when its lease has run out; this is for those who cannot wait.

    Example: weft admin executions adopt 17 --database-url postgresql://weft@db/weft
    """
    vault = _vault(context, data_dir, database_url, database_schema)
    members = _run(vault.members())
    if not server:
        _list(members)
        return
    chosen = [it for it in members if server in {it.name, str(it.epoch)}]
    if not chosen:
        raise _refusal(f"no server {server!r} has joined {vault.name}", _NOT_FOUND)
    if not force and any(it.alive for it in chosen):
        raise _refusal(f"the lease of server {server!r} holds; --force takes it for dead", _CONFLICT)
    freed = sum(_run(vault.remove(it.epoch)) for it in chosen)
    typer.echo(f"{_plural(freed, 'execution')} of {server} {'is' if freed == 1 else 'are'} free")


def _list(members: tuple[Member, ...]) -> None:
    for member in members:
        state = "alive" if member.alive else "dead"
        typer.echo(f"{member.epoch}  {state}  {_plural(member.executions, 'execution')}  {member.name}")
    if not members:
        typer.echo("no server has joined")


def _vault(context: typer.Context, data_dir: Path, url: str, schema: str) -> Vault:
    try:
        url = chosen_url(context, url)
        database = DatabaseConfig(url=url, schema=schema, lease=timedelta(seconds=6)) if url else None
    except (ConfigError, DatabaseUrlError) as error:
        raise _refusal("; ".join(error.faults), _WRONG_OPTION) from None
    return make_vault(data_dir, database)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except VaultError as error:
        raise _refusal(str(error), _FAILED) from None


def _refusal(text: str, code: int) -> typer.Exit:
    typer.echo(f"Error: {text}", err=True)
    return typer.Exit(code)


def _counted(counts: Mapping[str, int]) -> str:
    executions, events = counts.get("executions", 0), counts.get("events", 0)
    of_them = f"{_plural(executions, 'execution')} and {_plural(events, 'event')}"
    return f"{_plural(sum(counts.values()), 'row')}, among them {of_them},"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + "s" * (count != 1)
