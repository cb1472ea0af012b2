"""How well a service says it is."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import timedelta
from typing import cast

from weft.discovery.model import Health
from weft.service._model import HealthCheck, HealthReport
from weft.service._threads import Threads

__all__ = ["ask"]

_log = logging.getLogger("weft.service")

_MAX_NOTE = 1_024


async def ask(check: HealthCheck | None, threads: Threads, limit: timedelta) -> tuple[Health, str]:
    """Return the health and why, as the service's own check sees it.

    A check that raises, or does not answer in time, means CRITICAL.

    Args:
        check: None means that all is always well.
        threads: Where a plain function runs.
        limit: How long to wait for its answer.
    """
    if check is None:
        return Health.PASSING, ""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return _read(await _call(check, threads))
    except TimeoutError:
        return Health.CRITICAL, f"the health check did not answer within {limit.total_seconds():g} s"
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # the check is the user's code, which may raise anything
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise  # nothing that the check awaits was cancelled, but we
        _log.exception("the health check failed")
        return Health.CRITICAL, _note(f"{type(error).__name__}: {error}".removesuffix(": "))


async def _call(check: HealthCheck, threads: Threads) -> HealthReport:
    answer: object = check() if inspect.iscoroutinefunction(check) else await threads.run(check)
    return cast("HealthReport", await answer if inspect.isawaitable(answer) else answer)


def _read(report: HealthReport) -> tuple[Health, str]:
    if report is None:
        return Health.PASSING, ""
    if isinstance(report, Health):
        return report, ""
    return Health.CRITICAL, _note(str(report))


def _note(text: str) -> str:
    """Cut a note to its limit, without the lone surrogates that protobuf cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")[:_MAX_NOTE]
