"""One call of an action, from the input object to the output text."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from weft.core.errors import DeadlineExceededError, ExhaustedError, PreconditionError, WeftError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.service._context import ActionContext, activate
from weft.service._failure import failure_of, failure_of_exception
from weft.service._model import ActionDefinition
from weft.service._pending import Pending
from weft.service._threads import Threads

__all__ = ["invoke"]


async def invoke(
    action: ActionDefinition,
    value: JsonObject,
    context: ActionContext,
    threads: Threads,
    limit: timedelta | None = None,
) -> bytes:
    """Run an action and return its output as JSON text.

    Args:
        action: What to run.
        value: Its input object.
        context: Which call this is.
        threads: Where it runs when it is a plain function.
        limit: How long it may take, beside what the caller's own deadline does.

    Raises:
        Pending: The action answers later.
        ValidationError: The input does not fit.
        ActionFailedError: The action raised.
        DeadlineExceededError: The limit passed.
        ExhaustedError: The output is too large.
        PreconditionError: The output is not what the action promises.
    """
    with activate(context):
        arguments = action.input.arguments(value, context)
        result = await _guarded(action, arguments, context, threads, limit)
        try:
            return action.output.dump(result)
        except (ExhaustedError, PreconditionError) as error:
            context.logger.error("action %s: %s", action.name, error)  # noqa: TRY400 - the text says it all
            raise


async def _guarded(
    action: ActionDefinition,
    arguments: Mapping[str, Any],
    context: ActionContext,
    threads: Threads,
    limit: timedelta | None,
) -> object:
    """Run the user's code; whatever it raises becomes a failure of the action."""
    scope = asyncio.timeout(None if limit is None else limit.total_seconds())
    try:
        async with scope:
            return await _call(action, arguments, context, threads)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        context.logger.exception("action %s cancelled itself", action.name)
        raise failure_of_exception(error) from error
    except Pending:
        raise
    except WeftError as error:
        context.logger.warning("action %s failed: %s (%s)", action.name, error, error.reason)
        raise failure_of(error) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # such as SystemExit, and the panics of libraries in Rust
        if scope.expired():
            raise _timeout(action, limit) from error
        context.logger.exception("action %s failed", action.name)
        raise failure_of_exception(error) from error


async def _call(
    action: ActionDefinition, arguments: Mapping[str, Any], context: ActionContext, threads: Threads
) -> object:
    try:
        if action.asynchronous:
            return await action.function(**arguments)
        result = await threads.run(partial(action.function, **arguments))
        return await result if inspect.isawaitable(result) else result
    except asyncio.CancelledError:
        context.cancellation.set()
        raise


def _timeout(action: ActionDefinition, limit: timedelta | None) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"action {action.name!r} took longer than {limit}",
        reason=Reason.ACTION_TIMEOUT,
        metadata={"action": action.name},
    )
