"""What steps gave, kept for later executions of the workflow."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import Final

import orjson

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.core.payload import JsonObject, loads
from weft.server.store.step_shares import StepShareStore

__all__ = ["MAX_OUTPUT_BYTES", "KeptOutput", "StepCache", "cache_key"]

_log = logging.getLogger("weft.server.engine")

MAX_OUTPUT_BYTES: Final = 256 * 1024
"""A larger output is not kept."""


def cache_key(workflow_id: str, step_id: str, text: str, value: JsonObject) -> str:
    """Return under which key an output is kept.

    Args:
        workflow_id: Of which workflow, in any version.
        step_id: Of which of its steps, wherever it runs: the id, not the path.
        text: What the step's own key gave; empty: it has none.
        value: The input of the call, which is the key then.
    """
    content = orjson.dumps([text] if text else value, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(b"\0".join((workflow_id.encode(), step_id.encode(), content)))
    return digest.hexdigest()


class StepCache:
    """Keeps outputs. What cannot be read or kept is as if it were not there: a step never fails for it.

    Args:
        store: Where they are.
        clock: Tells when their time is over.
    """

    def __init__(self, store: StepShareStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        """Return the output that is kept under a key, as JSON text."""
        try:
            return await self._store.cached_output(key, self._clock.now())
        except WeftError as error:
            _log.info("an output that may be kept is not looked for: %s", error)
            return None

    async def put(self, key: str, output: bytes, ttl: timedelta) -> None:
        """Keep the output of a call that succeeded, unless it is too large."""
        if len(output) > MAX_OUTPUT_BYTES:
            return
        try:
            await self._store.cache_output(key, output, self._clock.now() + ttl)
        except WeftError as error:
            _log.info("an output is not kept: %s", error)


class KeptOutput:
    """The place of one call's output in the cache.

    Args:
        cache: Where it is kept.
        workflow_id: Of which workflow.
        step_id: Of which of its steps.
        text: What the step's own key gave; empty: it has none, and the input is the key.
        ttl: For how long it is kept.
    """

    def __init__(self, cache: StepCache, workflow_id: str, step_id: str, text: str, ttl: timedelta) -> None:
        self._cache = cache
        self._of = (workflow_id, step_id, text)
        self._ttl = ttl
        self._key = ""

    async def look(self, value: bytes) -> bytes | None:
        """Return the output that is kept for an input, as JSON text; the input as well."""
        self._key = cache_key(*self._of, loads(value))
        return await self._cache.get(self._key)

    async def keep(self, output: bytes) -> None:
        """Keep what the call gave, which was looked for before."""
        await self._cache.put(self._key, output, self._ttl)
