"""A real Consul agent on free ports: started, killed, paused, wiped and joined by tests."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from weft.discovery.consul import ConsulConfig

_ROOT = Path(__file__).resolve().parents[2]
_READY = 30.0
_CONSUL_VARIABLES = "CONSUL_"
_NAMES = ("http", "dns", "server", "serf_lan", "serf_wan", "https")

Json = Any


@lru_cache
def consul_binary() -> str:
    """Return the path of Consul, fetched when it is missing; fails with the line that installs it."""
    found = subprocess.run(
        ["sh", str(_ROOT / "tools" / "consul")], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise RuntimeError(found.stderr.strip())
    return found.stdout.strip()


class ConsulAgent:
    """One server of its own cluster.

    Args:
        folder: Where data, configuration and log go.
        datacenter: Its datacenter.
        token: The master token; with one, everything else is denied.
        tls: Folder with ``ca.pem``, ``server.pem`` and ``server.key``: it also speaks HTTPS, and
            asks for a client's certificate.
        wan: An agent of another datacenter to join.
    """

    def __init__(
        self,
        folder: Path,
        *,
        datacenter: str = "dc1",
        token: str = "",
        tls: Path | None = None,
        wan: ConsulAgent | None = None,
    ) -> None:
        self.datacenter = datacenter
        self.token = token
        self.node = f"{datacenter}-node"
        self._folder = folder
        self._tls = tls
        self._wan = wan
        self._ports = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port`` of its HTTP interface."""
        return f"127.0.0.1:{self._ports['http']}"

    @property
    def https_address(self) -> str:
        """``host:port`` of its HTTPS interface, when it has one."""
        return f"127.0.0.1:{self._ports['https']}"

    @property
    def dns_port(self) -> int:
        """Port of its DNS interface, UDP and TCP."""
        return self._ports["dns"]

    def config(self, **changes: Any) -> ConsulConfig:
        """Return what reaches it."""
        return ConsulConfig(**{"address": self.address, "token": self.token, **changes})

    def start(self) -> None:
        """Start it with the data that it has, on the ports that it had; wait until it leads."""
        for attempt in range(3):
            self._launch()
            if self._is_ready():
                return
            self.kill()
            if attempt < 2 and not self._data.exists():
                self._ports = _free_ports()
        raise RuntimeError(f"Consul did not start:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """End it in good order; its data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Hold it: it neither answers nor refuses."""
        self._running().send_signal(signal.SIGSTOP)
        os.waitpid(self._running().pid, os.WUNTRACED)  # until it stands still

    def resume(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it, and remove everything that it stored."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """Send a request past the code under test; returns the JSON of the answer."""
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Consul-Token": self.token} if self.token else {},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def register(self, service: str, service_id: str = "", **fields: Json) -> None:
        """Register a service as a foreigner would."""
        self.call(
            "PUT", "/v1/agent/service/register", {"Name": service, "ID": service_id or service, **fields}
        )

    def deregister(self, service_id: str) -> None:
        """Remove it."""
        self.call("PUT", f"/v1/agent/service/deregister/{service_id}")

    def entries(self, service: str) -> list[Json]:
        """Return what Consul's catalogue says of a service."""
        found: list[Json] = self.call("GET", f"/v1/health/service/{service}")
        return found

    def log(self) -> str:
        """Return everything it has logged."""
        return (self._folder / "consul.log").read_text(errors="replace")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the agent does not run"
        return self._process

    def _launch(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "config.json"
        config.write_text(json.dumps(self._settings()))
        with (self._folder / "consul.log").open("ab") as log:
            self._process = subprocess.Popen(
                [consul_binary(), "agent", f"-config-file={config}", f"-data-dir={self._data}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith(_CONSUL_VARIABLES)},
                start_new_session=True,
            )

    def _settings(self) -> Json:
        settings: Json = {
            "server": True,
            "bootstrap_expect": 1,
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "datacenter": self.datacenter,
            "node_name": self.node,
            "ports": {"grpc": -1, **self._ports, **({} if self._tls else {"https": -1})},
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
            "disable_remote_exec": True,
            "leave_on_terminate": False,
            "log_level": "warn",
        }
        if self._wan is not None:
            settings["retry_join_wan"] = [f"127.0.0.1:{self._wan._ports['serf_wan']}"]
            settings["retry_interval_wan"] = "1s"
        if self.token:
            tokens = {"master": self.token, "agent": self.token}
            settings["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if self._tls is not None:
            settings |= {
                "ca_file": str(self._tls / "ca.pem"),
                "cert_file": str(self._tls / "server.pem"),
                "key_file": str(self._tls / "server.key"),
                "verify_incoming_https": True,
            }
        return settings

    def _is_ready(self) -> bool:
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline and self._running().poll() is None:
            if self._leads():
                return True
            time.sleep(0.02)
        return False

    def _leads(self) -> bool:
        try:
            if not self.call("GET", f"/v1/health/service/consul?dc={self.datacenter}"):
                return False
            return self._wan is None or len(self.call("GET", "/v1/catalog/datacenters")) > 1
        except (OSError, urllib.error.HTTPError, ValueError):
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _free_ports() -> dict[str, int]:
    """Return ports that nobody has, outside of those that the system gives to clients."""
    found: dict[str, int] = {}
    while len(found) < len(_NAMES):
        port = random.randrange(20_000, 32_000)
        if port not in found.values() and _is_free(port):
            found[_NAMES[len(found)]] = port
    return found


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


@contextmanager
def started_agent(folder: Path, **options: Any) -> Iterator[ConsulAgent]:
    """Run an agent, for a fixture."""
    agent = ConsulAgent(folder, **options)
    agent.start()
    try:
        yield agent
    finally:
        agent.kill()


@asynccontextmanager
async def running_agent(folder: Path, **options: Any) -> AsyncIterator[ConsulAgent]:
    """Run an agent, for one test; the event loop goes on while it starts."""
    agent = ConsulAgent(folder, **options)
    await asyncio.to_thread(agent.start)
    try:
        yield agent
    finally:
        await asyncio.to_thread(agent.kill)


def make_certificates(folder: Path) -> Path:
    """Make an authority, and certificates of a server at 127.0.0.1 and of a client."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        folder, "req", "-x509", *_NEW_KEY, "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test-ca"
    )
    for name in ("server", "client"):
        (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:server.dc1.consul\n")
        _openssl(folder, "req", *_NEW_KEY, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-days", "2", "-out", f"{name}.pem")
    return folder


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")


def _openssl(folder: Path, *arguments: str) -> None:
    if shutil.which("openssl") is None:
        raise RuntimeError("openssl is missing; on Debian and Ubuntu: apt-get install openssl")
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
