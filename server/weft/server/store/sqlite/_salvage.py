"""Going on with what is left of a database whose log is damaged; only people decide that."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

from weft.server.store.sqlite._database import SQL, Database
from weft.server.store.vault import Salvage

__all__ = ["cut", "file_faults"]


def cut(database: Database) -> Salvage | None:
    """Cut a damaged log off where SQLite ends it, and write the rest back; None when nothing is missing.

    Part of what is cut off may have been written back before. Then the rest does not
    fit together, which the faults tell.

    Args:
        database: Owned by us, and closed.
    """
    found, path = database.damage(), database.path
    if found is None or path is None:
        return None
    kept = _keep(path, database.log)
    os.truncate(database.log, found.offset)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute(SQL["applied_migrations"]).fetchone()
            faults = file_faults(connection)
        except sqlite3.Error as error:
            faults = (str(error),)
    lost = f"what {database.log} had from byte {found.offset:,} on: {found.why}"
    return Salvage(lost=lost, kept=kept, faults=faults)


def file_faults(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what is wrong with a database file, as far as SQLite can tell."""
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    broken = [
        f"a row of {row[0]} refers to a missing {row[2]}"
        for row in connection.execute("PRAGMA foreign_key_check")
    ]
    return (*(" ".join(text.split()) for text in found if text != "ok"), *broken)


def _keep(path: Path, log: Path) -> Path:
    """Copy the files to a folder of their own, and wait until they are on the disk."""
    free = (path.with_name(f"damaged-{number}") for number in count(1))
    folder = next(it for it in free if not it.exists())
    folder.mkdir(mode=0o700)
    for file in (path, log):
        with (folder / file.name).open("wb") as copy, file.open("rb") as source:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
    return folder
