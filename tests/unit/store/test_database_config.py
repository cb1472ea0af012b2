"""Settings of the shared database: what is wrong is told, the password never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from weft.server.store.database import DatabaseConfig, DatabaseUrlError

URL = "postgresql://weft:s%40cret@db.example:5433/shop"


def test_a_place_is_named_without_its_password() -> None:
    """Host, port, database and schema."""
    config = DatabaseConfig(url=URL, schema="jobs")
    assert config.where == "db.example:5433/shop, schema jobs"
    assert DatabaseConfig(url="postgresql:///shop").where == "localhost/shop, schema weft"
    assert DatabaseConfig(url="postgres://a,b:5433/shop").where == "a,b:5433/shop, schema weft"


@pytest.mark.parametrize("secret", [URL, "s%40cret", "s@cret"])
def test_a_message_is_told_without_the_password(secret: str) -> None:
    """As it stands in the URL, and as it is."""
    assert secret not in DatabaseConfig(url=URL).hide(f"cannot use {secret}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://weft:hidden@db/shop", "'mysql'"),
        ("db/shop", "no scheme"),
        ("postgresql://weft:hidden@db", "no database"),
        ("postgresql://weft:hidden@db:high/shop", "database URL"),
    ],
)
def test_a_wrong_url_is_told(url: str, words: str) -> None:
    """With the form that it should have."""
    with pytest.raises(DatabaseUrlError) as caught:
        DatabaseConfig(url=url)
    assert words in str(caught.value)
    assert "postgresql://user:password@host:5432/database" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_every_fault_is_told() -> None:
    """In one go."""
    with pytest.raises(DatabaseUrlError) as caught:
        DatabaseConfig(url="x://y/z", schema="No", lease=timedelta(0))
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("schema", ["", "a b", 'a"; DROP', "1a", "pg_mine", "x" * 41])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    """It stands in a statement as it is."""
    with pytest.raises(DatabaseUrlError, match="schema"):
        DatabaseConfig(url=URL, schema=schema)
