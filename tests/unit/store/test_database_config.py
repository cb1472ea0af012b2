"""Settings of the shared database: what is wrong is told, the password never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from weft.server.store.database import DatabaseConfig, DatabaseUrlError

URL = "postgresql://weft:s%40cret@db.example:5433/shop"
SECRET = "s3cr3t"


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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://weft:{SECRET}/x@db:5432/weft", "/ is written %2F"),
        (f"postgresql://weft:{SECRET}#x@db:5432/weft", "# is written %23"),
        (f"postgresql://weft:{SECRET}?x@db:5432/weft", "? is written %3F"),
        (f"postgresql://weft:{SECRET}@x@db:5432/weft", "@ is written %40"),
        (f"postgresql://weft:[{SECRET}@db/weft", "it cannot be read"),
        (f"postgresql://weft:{SECRET}@db:port/weft", "its host is no host:port"),
        (f"postgresql://weft:{SECRET}@db:99999/weft", "its host is no host:port"),
        (f"postgresql://weft:{SECRET}@one:5432,two:x/weft", "its host is no host:port"),
        (f"postgresql://weft:{SECRET}@::1/weft", "its host is no host:port"),
        (f"mysql://weft:{SECRET}@db/weft", "begins with 'mysql'"),
        (f"postgresql://weft:{SECRET}@db", "names no database"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, said: str) -> None:
    """In one sentence; also where the password itself is what is wrong."""
    with pytest.raises(DatabaseUrlError) as refused:
        DatabaseConfig(url=url)
    (fault,) = refused.value.faults
    assert said in fault
    assert SECRET not in fault


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://weft:{SECRET}%2F%23%3F%40@db/weft",
        "postgresql://weft@[::1]:5432/weft",
        "postgresql://weft@one:5432,two,[::1]:5433/weft?target_session_attrs=primary",
        "postgresql:///weft?host=/run/postgresql",
        "postgres://db/weft",
    ],
)
def test_what_is_right_passes(url: str) -> None:
    """With every character of a password, several hosts, and a socket."""
    assert DatabaseConfig(url=url).url == url
