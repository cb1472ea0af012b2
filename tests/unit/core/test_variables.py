"""Variables of the environment that look like Weft's, and are not."""

from __future__ import annotations

import pytest

from weft.core.variables import VARIABLES, misspelt


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("WEFT_DATADIR", "WEFT_DATA_DIR"),
        ("WEFT_LISTENN", "WEFT_LISTEN"),
        ("WEFT_LOGLEVEL", "WEFT_LOG_LEVEL"),
        ("WEFT_LEASE", "WEFT_LEASE_SECONDS"),
        ("WEFT_DRAIN", "WEFT_DRAIN_SECONDS"),
        ("WEFT_ENV", "WEFT_ENVIRONMENT"),
        ("WEFT_POLICY", "WEFT_MESH_POLICY"),
        ("WEFT_SCHEMA", "WEFT_DATABASE_SCHEMA"),
    ],
)
def test_what_was_meant_is_said(written: str, meant: str) -> None:
    """Letters that are missing, and parts of a name that are."""
    assert misspelt([written]) == [f"{written} is no variable of Weft; did you mean {meant}?"]


def test_the_variables_of_others_are_left_alone() -> None:
    """Right ones, those of other programs, and those that a platform makes for a service called weft."""
    others = ("HOME", "CONSUL_HTTP_ADDR", "WEFT_", "WEFT_PORT", "WEFT_SERVICE_HOST", "WEFT_SERVICE_PORT_GRPC")
    platform = ("WEFT_PORT_7420_TCP", "WEFT_PORT_7420_TCP_ADDR", "WEFT_IMAGE", "WEFT_LOG", "WEFT_CONSUL")
    assert misspelt([*VARIABLES, *others, *platform]) == []


def test_all_of_them_are_said() -> None:
    """In the order of their names."""
    assert [it.partition(" ")[0] for it in misspelt(["WEFT_ZONES", "WEFT_LISTENS"])] == [
        "WEFT_LISTENS",
        "WEFT_ZONES",
    ]
