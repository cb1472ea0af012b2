"""``weft call`` without the server in between, and ``weft resolve``, against real services."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from typer.testing import Result

from tests.support.command import Runner
from tests.support.http_services import http_service, raw_service
from tests.support.impostor import impostor
from tests.support.shop import carts_server, compiled
from tests.support.world import hosted, serving, text_service
from weft.cli._calls import requests as _requests
from weft.cli.commands import app
from weft.client import connect

pytestmark = pytest.mark.integration

Weft = Callable[..., Awaitable[Result]]
ADA = '{"customer": "ada"}'


@pytest.fixture
def weft() -> Weft:
    """Run the command in a thread, beside the servers of the test."""

    async def run(*words: str, stdin: str | None = None, **env: str) -> Result:
        runner = Runner(env={"WEFT_TARGET": "127.0.0.1:1", "NO_COLOR": None, "COLUMNS": "200", **env})
        return await asyncio.to_thread(runner.invoke, app, list(words), input=stdin, prog_name="weft")

    return run


@pytest.fixture
async def carts() -> AsyncIterator[str]:
    async with carts_server() as port:
        yield f"127.0.0.1:{port}"


async def test_methods_are_listed(weft: Weft, carts: str) -> None:
    """With shapes and members for people, with everything for programs."""
    shown = await weft("call", carts)
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == [
        "e2eshop.v1.Carts/GetCart",
        "e2eshop.v1.Carts/ListItems",
        "e2eshop.v1.Carts/AddUp",
    ]
    assert "client stream  sku: string, price_cents: int64, count: int32" in shown.stdout
    listed = json.loads((await weft("call", f"static:///{carts}", "-o", "json")).stdout)
    assert listed["items"][1] == {
        "method": "e2eshop.v1.Carts/ListItems",
        "shape": "server stream",
        "input": "e2eshop.v1.GetCartRequest",
        "output": "e2eshop.v1.Item",
        "idempotent": False,
        "description": "",
    }


async def test_a_method_is_described(weft: Weft, carts: str) -> None:
    """By the JSON Schemas of what it takes and answers."""
    found = json.loads((await weft("call", carts, "AddUp", "--describe")).stdout)
    assert found["method"] == "e2eshop.v1.Carts/AddUp"
    assert set(found["input_schema"]["properties"]) >= {"sku", "price_cents", "count"}
    assert set(found["output_schema"]["properties"]) == {"cents", "items"}


async def test_calls_of_every_shape(weft: Weft, carts: str) -> None:
    """One answer is a document, a stream of them is a line each."""
    one = await weft("call", carts, "Carts/GetCart", "-d", ADA, "--timeout", "5s", "-H", "x-a=1")
    assert json.loads(one.stdout)["customer"] == "ada"
    assert yaml.safe_load((await weft("call", carts, "GetCart", "-d", ADA, "-o", "yaml")).stdout)["items"]
    many = await weft("call", carts, "ListItems", "-d", ADA)
    assert [json.loads(line)["sku"] for line in many.stdout.splitlines()] == ["ada/pen", "ada/ink"]
    summed = await weft("call", carts, "AddUp", "-d", '{"price_cents": 3, "count": 2}', "-d", '{"count": 1}')
    assert json.loads(summed.stdout) == {"cents": 6, "items": 3}
    nothing = await weft("call", carts, "Carts/GetCart")
    assert json.loads(nothing.stdout)["customer"] == ""


async def test_requests_from_files(weft: Weft, carts: str, tmp_path: Path) -> None:
    """An object, YAML, or lines of JSON for a stream."""
    lines = tmp_path / "items.ndjson"
    lines.write_text('{"price_cents": 3, "count": 2}\n\n{"price_cents": 4, "count": 1}\n')
    single, other = tmp_path / "item.json", tmp_path / "item.yaml"
    single.write_text('{\n"count": 5\n}')
    other.write_text("count: 6\n")
    words = [word for file in (lines, single, other) for word in ("-d", f"@{file}")]
    assert json.loads((await weft("call", carts, "AddUp", *words)).stdout) == {"cents": 10, "items": 14}
    lines.write_text('{"count": 1}\n{"count": }\n')
    broken = await weft("call", carts, "AddUp", "-d", f"@{lines}")
    assert broken.exit_code == 4
    assert f"{lines}:2: is not JSON" in broken.stderr


class Buffer(io.BytesIO):
    """Bytes whose methods a test may replace."""


class Stdin:
    """What a process reads."""

    def __init__(self, content: bytes) -> None:
        self.buffer = Buffer(content)


async def test_requests_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are requests as they come; a line that is none is told by its number."""
    monkeypatch.setattr(sys, "stdin", Stdin(b'{"n": 1}\n\n{"n": 2}'))
    assert [it async for it in _requests.requests(["-"])] == [{"n": 1}, {"n": 2}]
    monkeypatch.setattr(sys, "stdin", Stdin(b'{"n": 1}\n[2]\n'))
    with pytest.raises(Exception, match=r"stdin:2: is a JSON array, not an object"):
        [it async for it in _requests.requests(["-"])]


async def test_requests_stay_with_the_stdin_they_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that calls `weft` and gives it another stdin for the next call loses no line of this one."""
    stdin = Stdin(b'{"n": 1}\n{"n": 2}\n')
    monkeypatch.setattr(sys, "stdin", stdin)
    read = stdin.buffer.readline

    def replacing(limit: int) -> bytes:
        monkeypatch.setattr(sys, "stdin", Stdin(b'{"n": 3}\n'))
        return read(limit)

    monkeypatch.setattr(stdin.buffer, "readline", replacing)
    assert [it async for it in _requests.requests(["-"])] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["GetCrt", "-d", "{}"], 3, ["no method 'GetCrt': did you mean 'GetCart'?"]),
        (
            ["GetCart", "-d", '{"customr": "ada", "x": 1}'],
            4,
            ["2 faults in the input", "  customr: ", "did you mean 'customer'?", "  x: "],
        ),
        (["GetCart", "-d", "{customer: 1}"], 4, ['write --data \'{"name": "Ada"}\'']),
        (["GetCart", "-d", ADA, "-d", ADA], 4, ["data: is given more than once"]),
        (["AddUp", "-d", "-", "-d", "{}"], 4, ["'-' is stdin, and stands alone"]),
        (["GetCart", "-d", '{"customer": "nobody"}'], 3, ["no such customer"]),
        (["GetCart", "-d", "{}", "-H", "x"], 2, ["'x' is not of the form KEY=VALUE"]),
        (["GetCart", "-d", "{}", "-H", "x-bin=?"], 4, ["x-bin has bytes: write them in base64"]),
        (
            ["GetCart", "-d", "{}", "-H", "a b=c", "-H", "x-bin=?", "-H", "x-name=Zoë"],
            4,
            ["3 faults", "'a b' is no key of metadata", "x-bin has bytes", "'x-name' must be text"],
        ),
        (["GetCart", "-d", "{}", "--timeout", "0s"], 2, ["--timeout: it is longer than 0"]),
        (["GetCart", "-d", "{}", "--policy", "robin"], 4, ["there is no policy 'robin'"]),
        (["GetCart", "-d", "{}", "--version", "^1"], 4, ["static:// takes no options"]),
        (["GetCart", "--input", "{}"], 2, ["others take --data"]),
        (["GetCart", "-d", "{}", "--descriptor-set", "/nowhere"], 2, ["No such file"]),
        (["GetCart", "more", "-d", "{}"], 2, ["one word too many"]),
        (["-d", "{}"], 2, ["which METHOD?"]),
        (["--http", "GET"], 2, ["write a verb and a path"]),
        (["--http", "GET", "/", "-d", "[1]"], 4, ["it becomes the query"]),
        (["--http", "POST", "/", "-d", "{x"], 4, ["data: is no JSON"]),
    ],
)
async def test_faults_are_one_clear_line(
    weft: Weft, carts: str, words: list[str], code: int, said: list[str]
) -> None:
    """With a hint, and all faults of a message at once."""
    result = await weft("call", carts, *words)
    assert (result.exit_code, result.stdout) == (code, "")
    for text in said:
        assert text in result.stderr


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(1_024):
        pass


async def test_nobody_there(weft: Weft) -> None:
    """Exit code 6, and the address; 7 when it is there and says nothing."""
    result = await weft("call", "127.0.0.1:1", "GetCart", "-d", "{}")
    assert result.exit_code == 6
    assert "no connection to 127.0.0.1:1" in result.stderr
    async with raw_service(silent) as nobody:
        late = await weft("call", nobody.address, "GetCart", "-d", "{}", "--timeout", "200ms")
    assert late.exit_code == 7
    assert "were not read in time" in late.stderr
    found = await weft("call", "consul://carts", "GetCart", "-d", "{}")
    assert (found.exit_code, "set CONSUL_HTTP_ADDR" in found.stderr) == (4, True)
    wrong = await weft(
        "call", "carts", "GetCart", "-d", "{}", SERVICE_CARTS_URL="carts", CONSUL_HTTP_ADDR="?"
    )
    assert wrong.exit_code == 4
    assert "CONSUL_HTTP_ADDR" in wrong.stderr
    assert "SERVICE_CARTS_URL" in wrong.stderr


async def test_a_bare_name_is_looked_up(weft: Weft, carts: str) -> None:
    """In the environment, else in the registry, whose descriptors are taken; an action is the server's."""
    found = await weft("call", "carts", "GetCart", "-d", ADA, SERVICE_CARTS_URL=carts)
    assert json.loads(found.stdout)["customer"] == "ada"
    async with serving() as wire, carts_server(reflect=False) as port, hosted(wire, text_service()):
        server = {"WEFT_TARGET": wire.address}
        async with connect(wire.address) as client:
            await client.registry.register(
                "carts",
                endpoint=f"grpc://127.0.0.1:{port}",
                descriptor_set=compiled()[2],
                grpc_services=["e2eshop.v1.Carts"],
            )
        for words in (("-d", ADA), ("-i", ADA), ()):
            called = await weft("call", "carts", "GetCart", *words, **server)
            assert json.loads(called.stdout)["customer"] == ("ada" if words else ""), called.stderr
        listed = await weft("call", "texts", **server)
        assert "InvokeAction" in listed.stdout
        assert "`weft services get texts`" in listed.stderr
        missing = await weft("call", "cart", "GetCart", **server)
        assert missing.exit_code == 3
        assert missing.stderr.splitlines()[-1].endswith("with --data an RPC is called directly.")
        refused = await weft("call", "texts", "shout", "-i", '{"text": "a"}', "--version", "^2", **server)
        assert (refused.exit_code, "1.0.0" in refused.stderr) == (5, True)


async def test_descriptors_by_hand(weft: Weft, tmp_path: Path) -> None:
    """For a server without reflection."""
    file = tmp_path / "carts.binpb"
    file.write_bytes(compiled()[2])
    async with carts_server(reflect=False) as port:
        words = ("call", f"127.0.0.1:{port}", "GetCart", "-d", ADA)
        refused = await weft(*words)
        assert (refused.exit_code, "give a descriptor set" in refused.stderr) == (6, True)
        assert json.loads((await weft(*words, "--descriptor-set", str(file))).stdout)["customer"] == "ada"


async def test_http_requests(weft: Weft) -> None:
    """JSON is printed as such, text as it is; a status that is no 2xx is a failure."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/text":
            return web.Response(text="plain\nold\n")
        if request.path == "/gone":
            body = {"error": {"reason": "SOLD_OUT", "message": "none left"}}
            return web.json_response(body, status=409)
        if request.path == "/empty":
            return web.Response(status=204)
        said: dict[str, Any] = {"was": f"{request.method} {request.path_qs}", "a": request.headers.get("x-a")}
        return web.json_response({**said, "body": await request.text()})

    async with http_service(handler=answer) as shop:
        target = shop.endpoint.address

        async def sent(*words: str) -> Any:
            result = await weft("call", target, "--http", *words)
            assert result.exit_code == 0, result.stderr
            return json.loads(result.stdout)

        assert (await sent("GET", "/a", "-d", '{"q": [1, 2]}'))["was"] == "GET /a?q=1&q=2"
        assert (await sent("put", "a", "-d", "[1]", "--header", "x-a=7"))["a"] == "7"
        assert (await sent("/a"))["was"] == "GET /a"
        assert await sent("/a", "-d", '{"b": 1}') == {"was": "POST /a", "a": None, "body": '{"b":1}'}
        assert (await weft("call", target, "--http", "/text")).stdout == "plain\nold\n"
        as_json = await weft("call", target, "--http", "/text", "-o", "json")
        assert json.loads(as_json.stdout) == {"status": 200, "text": "plain\nold\n"}
        assert (await weft("call", target, "--http", "/empty")).stdout == ""
        gone = await weft("call", target, "--http", "/gone")
        assert (gone.exit_code, "none left" in gone.stderr) == (1, True)


async def test_resolve(weft: Weft) -> None:
    """Every instance with what is known of it; 0 when one can be called, else 6."""
    async with serving() as wire, hosted(wire, text_service()) as host:
        server = {"WEFT_TARGET": wire.address}
        shown = await weft("resolve", "texts", **server)
        assert shown.exit_code == 0
        assert shown.stdout.splitlines()[1].split() == [
            "texts-1",
            f"grpc://{host.address}",
            "PASSING",
            *("1.0.0", "-", "1", "-"),
        ]
        found = json.loads((await weft("resolve", "weft://texts", "-o", "json", **server)).stdout)
        assert (found["answered"], found["stale"]) == (True, False)
        assert found["instances"][0]["address"] == host.address
        other = await weft("resolve", "texts", "--version", "^2", **server)
        assert (other.exit_code, other.stdout) == (6, "texts: no instances\n")
        assert other.stderr == "Hint: there may be other versions; without a range all are shown.\n"
        unset = await weft("resolve", "env://my-texts", **server)
        assert unset.stderr == "Hint: SERVICE_MY_TEXTS_URL is not set.\n"
        both = await weft("resolve", "static:///127.0.0.1:1,127.0.0.1:2")
        assert len(both.stdout.splitlines()) == 3


async def test_resolve_says_that_a_source_fails(weft: Weft) -> None:
    """The list is marked stale, with the reason."""
    found = await weft("resolve", "orders")
    assert found.exit_code == 6
    assert "Stale: registry 127.0.0.1:1: UNAVAILABLE" in found.stderr


async def test_resolve_says_whom_it_leaves_out(weft: Weft) -> None:
    """An entry of Consul that cannot be called is named, for whoever looks why somebody is missing."""
    async with impostor() as (server, config):
        server.say(11, 0, 7001)
        for words in ((), ("--output", "json")):
            found = await weft("resolve", "consul://web", *words, CONSUL_HTTP_ADDR=config.address)
            assert found.exit_code == 0
            assert "web-7001" in found.stdout
            assert found.stderr.count("port 0") == 1
            assert found.stderr.startswith("Consul's list of web: ")


@pytest.mark.parametrize(
    ("environ", "target", "hinted"),
    [
        ({}, "consul://orders", True),
        ({}, "orders", True),
        ({"CONSUL_HTTP_TOKEN": "secret"}, "orders", False),
        ({}, "env://orders", False),
    ],
)
async def test_resolve_says_what_an_empty_list_of_consul_may_mean(
    weft: Weft, environ: dict[str, str], target: str, *, hinted: bool
) -> None:
    """To whom has no token, one with ACLs shows nothing, and no error."""
    async with impostor() as (server, config):
        server.say(11)
        found = await weft("resolve", target, CONSUL_HTTP_ADDR=config.address, **environ)
    assert found.exit_code == 6
    assert ("CONSUL_HTTP_TOKEN" in found.stderr) is hinted


async def test_instances_that_speak_something_else(weft: Weft) -> None:
    """Both ways it is said what they speak: the likely mistake is the missing, or wrong, --http."""
    web = await weft("call", "orders", SERVICE_ORDERS_URL="http://127.0.0.1:1")
    assert (web.exit_code, web.stderr.splitlines()[0]) == (
        6,
        "Error: no instance of orders that speaks gRPC can be called: 1 known: 1 PASSING; all speak HTTP",
    )
    rpc = await weft("call", "orders", "--http", "GET", "/", SERVICE_ORDERS_URL="grpc://127.0.0.1:1")
    assert (rpc.exit_code, rpc.stderr.splitlines()[0]) == (
        6,
        "Error: no instance of orders that speaks HTTP can be called: 1 known: 1 PASSING; all speak gRPC",
    )


async def test_a_server_behind_a_target(weft: Weft) -> None:
    """Every command takes one; the doctor looks at each instance."""
    async with serving() as wire, hosted(wire, text_service()):
        target = f"static:///127.0.0.1:1,{wire.address}"
        listed = await weft("services", "list", "--target", target)
        assert "texts" in listed.stdout
        called = await weft("call", "texts", "shout", "-i", '{"text": "a"}', WEFT_TARGET=target)
        assert json.loads(called.stdout) == {"text": "A"}
        assert (await weft("resolve", "texts", WEFT_TARGET=target)).exit_code == 0
        checks = json.loads((await weft("doctor", "-t", target, "-o", "json")).stdout)
        found = {it["name"]: it["status"] for it in checks["checks"]}
        assert (found["discovery"], checks["ok"]) == ("OK", False)
        connections = [it["status"] for it in checks["checks"] if it["name"] == "connection"]
        assert connections == ["FAIL", "OK"]
        assert found["reflection"] == "OK"
    nobody = await weft("doctor", "-t", "dns:///nobody.invalid:1", "-o", "json", "--request-timeout", "500ms")
    assert json.loads(nobody.stdout)["checks"][-1]["name"] == "discovery"
    assert (await weft("services", "list", "-t", "weft://weft")).exit_code == 4


async def test_the_trace_of_a_command(weft: Weft, carts: str) -> None:
    """--debug says its id; a wrong setting of tracing is a fault of the environment."""
    shown = await weft("call", carts, "GetCart", "-d", "{}", "--debug")
    assert shown.exit_code == 0
    assert shown.stderr.startswith("Trace: ")
    assert len(shown.stderr.strip()) == len("Trace: ") + 32
    wrong = await weft("call", carts, OTEL_TRACES_EXPORTER="smoke")
    assert wrong.exit_code == 4
    assert "OTEL_TRACES_EXPORTER" in wrong.stderr
