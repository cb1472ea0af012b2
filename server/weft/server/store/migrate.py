"""Migrations: numbered SQL files, each applied once and never changed again.

``0009_colors.sql`` is for servers that have it. ``0009_colors.fits_0007.sql`` only adds
what older ones do not notice: those that know the first seven can go on, and be
started, beside it (ADR 0022). The name is kept in the database, so they know as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from weft.server.store.base import StoreUnavailableError

__all__ = ["AppliedMigration", "Migration", "load_migrations", "pending_migrations", "read_migrations"]

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+(?:\.fits_\d{4})?)\.sql")
_FITS = re.compile(r".*\.fits_(\d{4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from an empty database to the present schema."""

    number: int
    """1, 2, 3, … without gaps."""
    name: str
    """What it does, in a word or two."""
    script: str
    """SQL statements; the adapter runs them in one transaction."""

    @property
    def checksum(self) -> str:
        """SHA-256 of the script, in hexadecimal."""
        return hashlib.sha256(self.script.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """What a database remembers of a migration that ran."""

    number: int
    """Its number."""
    name: str
    """Its name then."""
    checksum: str
    """The checksum of its script then."""

    @property
    def fits(self) -> int:
        """How many migrations a server has to know to work beside it."""
        match = _FITS.fullmatch(self.name)
        return int(match[1]) if match else self.number


def load_migrations(dialect: str) -> tuple[Migration, ...]:
    """Read the migrations of a dialect, in order.

    Raises:
        ValueError: A file is misnamed, or the numbers have a gap.
    """
    return read_migrations(files("weft.server.store").joinpath("sql", dialect, "migrations"))


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """Read the migrations of a folder, in order.

    Raises:
        ValueError: A file is misnamed, or the numbers have a gap.
    """
    entries = sorted(folder.iterdir(), key=lambda item: item.name)
    found = tuple(_read(entry) for entry in entries if entry.name.endswith(".sql"))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise ValueError(f"migration {migration.number:04} stands where {expected:04} is expected")
    return found


def _read(entry: Traversable) -> Migration:
    match = _FILE.fullmatch(entry.name)
    if match is None:
        raise ValueError(f"{entry.name!r} is no name for a migration, such as '0001_initial.sql'")
    return Migration(number=int(match[1]), name=match[2], script=entry.read_text(encoding="utf-8"))


def pending_migrations(
    known: Sequence[Migration], applied: Sequence[AppliedMigration], where: str
) -> tuple[Migration, ...]:
    """Return what is left to apply to a database.

    Args:
        known: What this release brings.
        applied: What the database remembers, in order.
        where: Names the database in a message.

    Raises:
        StoreUnavailableError: The database is newer than this release can work with, or
            an applied migration is another than the one of this release.
    """
    for position, row in enumerate(applied):
        if position >= len(known):
            if row.fits <= len(known):
                continue
            raise StoreUnavailableError(
                f"{where} was written by a newer release of Weft: it has migration "
                f"{row.number:04}_{row.name}, this release knows {len(known)}"
            )
        migration = known[position]
        if (row.number, row.checksum) != (migration.number, migration.checksum):
            raise StoreUnavailableError(
                f"{where} was made with another migration {row.number:04}_{row.name} than this release "
                "has: the checksums differ"
            )
    return tuple(known[len(applied) :])
