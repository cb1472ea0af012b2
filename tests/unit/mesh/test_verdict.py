"""What a server may ask of a caller that tries again."""

from __future__ import annotations

from datetime import timedelta

import grpc
import grpc.aio
import pytest

from weft.core.errors import ExhaustedError, ServiceUnavailableError, WeftError
from weft.core.metadata import STATUS_DETAILS
from weft.core.status import to_status
from weft.mesh._calls.outcome import verdict


def _asking(delay: timedelta) -> list[WeftError]:
    return [ServiceUnavailableError("fleet", retry_after=delay), ExhaustedError("full", retry_after=delay)]


@pytest.mark.parametrize(
    ("delay", "kept"),
    [
        (timedelta(seconds=-5), timedelta(0)),
        (timedelta(seconds=5), timedelta(seconds=5)),
        (timedelta(days=3_650_000), timedelta(hours=1)),
    ],
)
def test_a_time_out_of_all_reason_is_not_waited_for(delay: timedelta, kept: timedelta) -> None:
    """RetryInfo is bounded as ``grpc-retry-pushback-ms`` is: or a stream might wait for ever."""
    for error in _asking(delay):
        trailing = grpc.aio.Metadata((STATUS_DETAILS, to_status(error).SerializeToString()))
        code = next(code for code in grpc.StatusCode if code.value[0] == error.code)
        ruling = verdict(code, "no", trailing, service="fleet")
        assert (ruling.retryable, ruling.refused, ruling.pushback) == (True, False, kept)
