"""The parts of a host that need no network."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import threading
from datetime import timedelta
from typing import Any

import pytest

from weft.core.errors import ServiceUnavailableError, ValidationError
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.discovery.model import Health
from weft.service import ActionContext, HostOptions, Service, current_context
from weft.service._calls import Calls
from weft.service._config import HostConfig, host_config, parse_address
from weft.service._context import activate
from weft.service._health import ask
from weft.service._logging import log_to_stderr
from weft.service._threads import Threads

_variable = contextvars.ContextVar[str]("_variable")


def test_the_context_tells_the_time_left() -> None:
    """``remaining`` shrinks with the clock and never falls below zero."""
    clock = ManualClock()
    context = ActionContext(service="s", action="a", clock=clock, deadline=clock.now() + timedelta(seconds=5))
    assert context.remaining == timedelta(seconds=5)
    clock._elapsed = 9.0
    assert context.remaining == timedelta()
    assert ActionContext(service="s", action="a").remaining is None


def test_a_thread_can_wait_until_the_caller_gives_up() -> None:
    """However it falls in with the moment: before, meanwhile, or not at all."""
    cancellation = ActionContext(service="s", action="a").cancellation
    assert not cancellation.wait(0.001)
    told: list[bool] = []
    waiting = [threading.Thread(target=lambda: told.append(cancellation.wait(10))) for _ in range(4)]
    for thread in waiting:
        thread.start()
    cancellation.set()
    for thread in waiting:
        thread.join(10)
    assert told == [True] * 4
    assert cancellation.wait(0)


def test_the_current_context_holds_inside_only() -> None:
    """Outside of an action there is none."""
    context = ActionContext(service="s", action="a")
    with activate(context):
        assert current_context() is context
    with pytest.raises(LookupError, match="no action is running"):
        current_context()


def test_log_lines_carry_the_ids(caplog: pytest.LogCaptureFixture) -> None:
    """The logger is named after the service, and a line's own extra fields stay."""
    context = ActionContext(service="s", action="a", execution_id="exe_1", attempt=2)
    with caplog.at_level(logging.INFO):
        context.logger.info("hello %s", "you", extra={"mine": 1})
    (record,) = caplog.records
    fields = vars(record)
    assert record.name == "weft.service.s"
    assert (fields["execution_id"], fields["attempt"], fields["mine"]) == ("exe_1", "2", 1)
    assert "step_id" not in fields


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("localhost:65535", ("localhost", 65535))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """An address splits in two and reads the same again."""
    address = parse_address(text, "listen")
    assert address == expected
    assert str(address) == text


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "127.0.0.1"},
        {"listen": "127.0.0.1:65536"},
        {"listen": "::1:80"},
        {"listen": "[localhost]:80"},
        {"listen": "0.0.0.0:80"},
        {"listen": "example.org:80"},
        {"server": "127.0.0.1:0"},
        {"server": "http://x"},
        {"advertise": "host:"},
        {"advertise": "0.0.0.0:7420"},
        {"environment": "a b"},
        {"instance_id": "no spaces"},
        {"ttl": timedelta(seconds=0.5)},
        {"drain": timedelta(seconds=-1)},
        {"threads": 0},
    ],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    """Each option is checked before anything starts, and named."""
    with pytest.raises(ValueError, match=next(iter(options))):
        HostConfig(**options)


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error names every option, and one every variable."""
    options = ("listen", "server", "advertise", "ttl", "linger", "threads")
    with pytest.raises(ValueError, match=".*; ".join(f"{name}: " for name in options)):
        HostConfig(
            listen="0.0.0.0",
            server="weft://a",
            advertise="zz",
            ttl=timedelta(),
            linger=-timedelta(seconds=1),
            threads=0,
        )
    environ = {"CONSUL_HTTP_ADDR": "::", "WEFT_CONSUL_TTL": "soon", "OTEL_TRACES_EXPORTER": "paper"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        Service("demo").run()
    said = [str(it) for it in refused.value.violations]
    assert len(said) == 3
    assert all(any(name in text for text in said) for name in environ)


def test_options_and_config_have_the_same_names() -> None:
    """What can be passed is what is documented."""
    assert set(HostOptions.__annotations__) == set(HostConfig.__dataclass_fields__)


def test_unknown_options_are_named_with_the_function() -> None:
    """A slip of the pen is told where it was made, and what was meant."""
    service = Service("demo")
    with pytest.raises(TypeError, match=r"run\(\) has no option 'servr'; did you mean 'server'\?"):
        service.run(servr="127.0.0.1:7420")  # type: ignore[call-arg]  # that is the point


def test_what_undoes_an_action_is_another_one_that_is_there() -> None:
    """Said where the mistake is, and not first by the registry; the order of definition does not matter."""
    service = Service("shop")

    @service.action(compensation="unbook")
    def book() -> None: ...

    with pytest.raises(ValueError, match="shop has no action 'unbook', which is to undo 'book'"):
        _ = service.definition

    @service.action
    def unbook() -> None: ...

    assert service.definition.actions["book"].compensation == "unbook"
    with pytest.raises(ValueError, match="'pay' cannot undo itself"):
        service.action(name="pay", compensation="pay")(unbook)


def test_durations_may_be_given_in_seconds() -> None:
    """``ttl`` and ``drain`` take numbers; what is neither is refused by name."""
    config = host_config({"ttl": 30, "drain": 0.5}, "run")
    assert (config.ttl, config.drain) == (timedelta(seconds=30), timedelta(seconds=0.5))
    with pytest.raises(TypeError, match="ttl: '10s' is neither a timedelta nor a number of seconds"):
        host_config({"ttl": "10s"}, "run")  # type: ignore[typeddict-item]  # that is the point


def test_options_are_explained() -> None:
    """``help(HostOptions)`` says what each option means."""
    assert all(f"{name}: " in (HostOptions.__doc__ or "") for name in HostOptions.__annotations__)


async def test_a_service_without_actions_is_not_hosted() -> None:
    """It would be registered and could do nothing: the decorator was forgotten."""
    with pytest.raises(ValueError, match=r"demo has no actions: put @service\.action before a function"):
        async with Service("demo").hosted():
            pass


def test_a_program_logs_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line has the time with its zone, and the ids of the call; logging that is set up stays as it is."""
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "getLogger", lambda: root)
    context = ActionContext(service="s", action="a", execution_id="exe_1", step_id="greet")

    log_to_stderr()
    log_to_stderr()
    with activate(context):
        root.info("hello")
    root.debug("not shown")

    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\S{23}[+-]\d\d:\d\d INFO    root: hello \(execution_id=exe_1 step_id=greet\)", line)


async def test_a_program_is_not_started_inside_of_a_loop() -> None:
    """As in a notebook: it is told what to do there, and nothing is left that was never awaited."""
    service = Service("texts")

    @service.action
    async def shout(text: str) -> dict[str, str]:
        return {"text": text.upper()}

    with pytest.raises(RuntimeError, match=r"await serve\(\)"):
        service.run()


async def test_threads_are_bounded_and_carry_context_variables() -> None:
    """No more than the size run at once; all get done; each sees its caller's variables."""
    threads = Threads(2, "test")
    running, most = 0, 0
    lock = threading.Lock()
    together = threading.Barrier(2)

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(5)
        with lock:
            running -= 1
        return _variable.get()

    async def call(text: str) -> str:
        _variable.set(text)
        return await threads.run(work)

    results = await asyncio.gather(*(asyncio.create_task(call(str(i))) for i in range(6)))
    assert results == ["0", "1", "2", "3", "4", "5"]
    assert most == 2
    threads.close()


async def test_threads_pass_on_what_is_raised() -> None:
    """Exceptions come back, also those that a future cannot hold."""
    threads = Threads(1, "test")

    def stop() -> None:
        raise StopIteration(1)

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(stop)
    with pytest.raises(SystemExit):
        await threads.run(leave)
    assert await threads.run(lambda: 7) == 7
    threads.close()


async def test_a_function_in_a_thread_cannot_stop_the_program() -> None:
    """Ctrl-C comes to the main thread alone: what raises KeyboardInterrupt elsewhere has failed."""
    threads = Threads(1, "test")

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
        await threads.run(interrupted)
    threads.close()


async def test_a_cancelled_job_that_waits_does_not_run() -> None:
    """Giving up before a thread is free means that nothing happens."""
    threads = Threads(1, "test")
    gate = threading.Event()
    ran: list[int] = []
    first = asyncio.create_task(threads.run(lambda: gate.wait(5)))
    second = asyncio.create_task(threads.run(lambda: ran.append(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await first
    await threads.run(lambda: None)
    assert not ran
    threads.close()


async def test_calls_are_refused_while_draining_and_cut_at_the_end() -> None:
    """Draining refuses new calls, waits for running ones, and tells those it cuts off."""
    calls = Calls("demo")
    entered = asyncio.Event()

    async def call() -> None:
        with calls.enter():
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(call())
    await entered.wait()
    calls.refuse()
    with pytest.raises(ServiceUnavailableError) as refused, calls.enter():
        pass
    assert refused.value.reason == Reason.SERVER_DRAINING
    assert await calls.halt() == 1
    with pytest.raises(ServiceUnavailableError) as cut:
        await running
    assert cut.value.reason == Reason.ACTION_UNAVAILABLE
    await calls.finished()


async def test_health_checks() -> None:
    """None passes, text is critical, a state is itself; a check that fails or hangs is critical."""
    threads = Threads(1, "test")

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def warns() -> Health:
        return Health.WARNING

    def fails() -> None:
        raise ConnectionError("no database \udcff")

    async def needs_a_task_that_was_cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    def leaves() -> None:
        raise SystemExit("no licence")

    limit = timedelta(seconds=5)
    assert await ask(None, threads, limit) == (Health.PASSING, "")
    assert await ask(lambda: None, threads, limit) == (Health.PASSING, "")
    assert await ask(lambda: "disk full", threads, limit) == (Health.CRITICAL, "disk full")
    assert await ask(warns, threads, limit) == (Health.WARNING, "")
    assert await ask(fails, threads, limit) == (Health.CRITICAL, "ConnectionError: no database ?")
    assert await ask(needs_a_task_that_was_cancelled, threads, limit) == (Health.CRITICAL, "CancelledError")
    assert await ask(leaves, threads, limit) == (Health.CRITICAL, "SystemExit: no licence")
    health, note = await ask(hangs, threads, timedelta(seconds=0.02))
    assert (health, note) == (Health.CRITICAL, "the health check did not answer within 0.02 s")
    asking = asyncio.create_task(ask(hangs, threads, limit))
    await asyncio.sleep(0)
    asking.cancel()  # by whoever stops the host, and not by the check
    with pytest.raises(asyncio.CancelledError):
        await asking
    threads.close()
