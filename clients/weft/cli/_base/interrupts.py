"""Ctrl-C: whenever it comes, the command ends soon, with exit code 130 and a line that says so.

What Python does by itself is not enough. It raises ``KeyboardInterrupt`` wherever the main
thread is: while a module is half imported, or where a library written in C drops it. And an
event loop that is just about to wait does not notice a signal until something else wakes it.

So a thread listens, and the signal wakes it through a pipe. Before and after the event loop of
a command it ends the process; while that runs, it cancels what runs there, and ends the process
when cancelling takes too long. What this imports is what Ctrl-C cannot be caught in: little.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["INTERRUPTED", "Farewell", "Interrupts", "asks_for_json", "interrupts"]

T = TypeVar("T")

INTERRUPTED: Final = 130
_GRACE: Final = 2.0
"""Seconds for what was cancelled to close its connections."""
_STDERR: Final = 2
_SHOW_CURSOR: Final = "\x1b[?25h"
"""What shows progress on a terminal has hidden it."""


class Farewell(NamedTuple):
    """What a command says when it is interrupted."""

    text: str
    """One or more lines."""
    metadata: dict[str, str]
    """What programs need of it."""


def _interrupted() -> Farewell:
    return Farewell("Interrupted.", {})


class Interrupts:
    """SIGINT, as the ``weft`` command takes it."""

    def __init__(self) -> None:
        self._farewell: Callable[[], Farewell] = _interrupted
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._happened = False
        self._said = False
        self._reader = self._writer = -1

    def install(self) -> None:
        """Take the signal from now on, unless whoever started us wants it to be ignored."""
        if os.name != "posix" or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._on_signal)
        threading.Thread(target=self._listen, name="weft-interrupts", daemon=True).start()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run it in an event loop of its own, as ``asyncio.run`` does.

        Raises:
            KeyboardInterrupt: It was interrupted, and people have been told.
        """
        import asyncio  # noqa: PLC0415 - see above

        self._said = False
        try:
            result = asyncio.run(self._cancellable(main))
        except BaseException as error:
            if self._happened or isinstance(error, KeyboardInterrupt):
                self._stop()
            raise
        if self._happened:
            self._stop()
        return result

    @contextmanager
    def saying(self, farewell: Callable[[], Farewell]) -> Iterator[None]:
        """Say something else than usual, if it comes while the block runs."""
        self._farewell = farewell
        try:
            yield
        finally:
            self._farewell = _interrupted

    def say(self) -> None:
        """Tell people, once."""
        if not self._said:
            self._said = True
            sys.stderr.write(self._words(terminal=sys.stderr.isatty()))
            sys.stderr.flush()

    def _stop(self) -> NoReturn:
        self.say()
        raise KeyboardInterrupt from None

    async def _cancellable(self, main: Coroutine[Any, Any, T]) -> T:
        import asyncio  # noqa: PLC0415 - see above

        self._task = asyncio.current_task()
        try:
            return await main
        finally:
            with self._lock:
                self._task = None

    def _on_signal(self, number: int, _frame: object) -> None:
        """Pass it on where an event loop listens to signals itself, but did not ask for this one."""
        listener = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        if listener != self._writer:
            signal.set_wakeup_fd(listener, warn_on_full_buffer=False)
            os.write(self._writer, bytes((number,)))

    def _listen(self) -> None:
        """Be the thread: the first signal cancels, the second does not wait for it."""
        self._wait_for_signal(None)
        if self._cancel():
            self._wait_for_signal(_GRACE)
        self._leave()

    def _wait_for_signal(self, seconds: float | None) -> None:
        while select.select([self._reader], [], [], seconds)[0]:
            if signal.SIGINT in os.read(self._reader, 64):
                return

    def _cancel(self) -> bool:
        """Cancel what the event loop runs; tell whether there is something."""
        with self._lock:
            self._happened = True
            if self._task is None:
                return False
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            return True

    def _leave(self) -> NoReturn:
        """End the process; the main thread may hang anywhere, also while it writes."""
        if not self._said and sys.stderr is not None:
            terminal = os.isatty(_STDERR)
            text = (_SHOW_CURSOR if terminal else "") + self._words(terminal=terminal)
            with suppress(OSError):
                if select.select([], [_STDERR], [], 0.2)[1]:
                    os.write(_STDERR, text.encode(errors="backslashreplace"))
        os._exit(INTERRUPTED)

    def _words(self, *, terminal: bool) -> str:
        text, metadata = self._farewell()
        if asks_for_json(sys.argv[1:]):
            return _as_json(text, metadata)
        return ("\n" if terminal else "") + f"{text}\n"  # the terminal has written ^C


interrupts: Final = Interrupts()
"""Of this process."""


def asks_for_json(words: list[str]) -> bool:
    """Tell whether a command line asks for JSON, even one that is otherwise wrong."""
    joined = "\0".join(word.lower() for word in words)
    return any(form in joined for form in ("--output\0json", "--output=json", "-o\0json", "-ojson"))


def _as_json(message: str, metadata: dict[str, str]) -> str:
    import json  # noqa: PLC0415 - see above

    error = {"code": "CANCELLED", "reason": "INTERRUPTED", "message": message, "violations": []}
    return json.dumps({"error": {**error, "metadata": metadata}}, ensure_ascii=False) + "\n"
