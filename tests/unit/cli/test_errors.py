"""What a person is told of an error."""

from __future__ import annotations

import pytest

from weft.cli._base.errors import report
from weft.core.errors import ServiceUnavailableError

STARTS = "`weft server` starts one"


@pytest.mark.parametrize(("service", "hinted"), [("weft", True), ("shop", False)])
def test_only_a_server_of_weft_is_to_be_started_as_one(
    capsys: pytest.CaptureFixture[str],
    service: str,
    hinted: bool,  # noqa: FBT001 - a table
) -> None:
    """What a called service says of itself has nothing to do with the server at the target."""
    error = ServiceUnavailableError(service, f"{service} is unavailable")
    report(error, as_json=False, target="127.0.0.1:7420")
    assert (STARTS in capsys.readouterr().err) is hinted
