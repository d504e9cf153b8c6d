"""The places an item of the surface is shown in, and clients for them.

in-process    a program that sets listening itself and calls do_events
same-shard    under `shardws run`; who asks is a client of the shard that owns the connection
other-shard   under `shardws run`; who asks is a client of another shard
"""

import contextlib
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.processes.conftest import DEADLINE, ROOT, RunningServer, RunServer
from tests.processes.tls_client import Authority

APPLICATION = "tests.processes.surface_app"
PLACES = ("in-process", "same-shard", "other-shard")


class Place:
    """A server of that application in one place, over plain TCP or TLS."""

    def __init__(self, where: str, launch: RunServer, directory: Path, is_tls: bool) -> None:
        self.where = where
        self.host, self.port = "127.0.0.1", 0
        self.authority = Authority(directory) if is_tls else None
        self.process: subprocess.Popen[str] | None = None
        self.server: RunningServer | None = None
        self._clients = contextlib.ExitStack()
        self._launch = launch

    def start(self, **settings: Any) -> "Place":
        """Start it with these settings."""
        if self.authority is not None:
            store = str(self.authority.store("surface"))
            settings = {"use_ssl": True, "ssl_cert_store": store} | settings
        if self.where == "in-process":
            self._run_program({"local_host": "127.0.0.1"} | settings)
        else:
            shards = 2 if self.where == "other-shard" else 1
            env = {f"SHARDWS_{name.upper()}": str(value) for name, value in settings.items()}
            options = ["--local-host", settings["local_host"]] if "local_host" in settings else []
            name = f"{APPLICATION}:server"
            server = self.server = self._launch(name, *options, shards=shards, env=env)
            server.wait_until_listening()
            self.port = server.port
        return self

    def _run_program(self, settings: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", APPLICATION, json.dumps(settings)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext | None:
        return None if self.authority is None else self.authority.context(version)

    def connect(self, path: str = "", **options: Any) -> tuple[ClientConnection, dict[str, Any]]:
        """Return a client and its greeting."""
        scheme = "ws" if self.authority is None else "wss"
        options.setdefault("ssl", self.context())
        url = f"{scheme}://{self.host}:{self.port}{path}"
        client = self._clients.enter_context(
            connect(url, open_timeout=DEADLINE, close_timeout=2, compression=None, **options)
        )
        return client, json.loads(client.recv(timeout=DEADLINE))

    def on_shard(self, shard: int, path: str = "", **options: Any) -> tuple[ClientConnection, int]:
        """Return a client of that shard and its id."""
        for _ in range(200):
            client, hello = self.connect(path, **options)
            if hello["shard"] == shard:
                return client, hello["connection_id"]
            client.close()
        pytest.fail(f"200 connects and none on shard {shard}")

    def pair(self, path: str = "", **options: Any) -> tuple["Asker", ClientConnection, int]:
        """Return who asks, the connection that is asked about, and its id."""
        asker, _ = self.on_shard(0)
        owner = 1 if self.where == "other-shard" else 0
        target, identity = self.on_shard(owner, path, **options)
        return Asker(asker, self.where), target, identity

    def owner(self, target: ClientConnection) -> "Asker":
        """Return an asker on the shard of a connection: itself."""
        return Asker(target, "same-shard")

    def end(self) -> None:
        self._clients.close()
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(DEADLINE)
            assert self.process.stdout is not None
            self.process.stdout.close()


class Asker:
    """A client that has its shard do things."""

    def __init__(self, client: ClientConnection, where: str) -> None:
        self.client = client
        self.is_afar = where == "other-shard"

    def ask(self, do: str, to: int = 0, given: Any = None) -> Any:
        """Return the result, or {"error": code}."""
        self.client.send(json.dumps({"do": do, "to": to, "with": given}))
        while True:
            message = self.client.recv(timeout=DEADLINE)
            if isinstance(message, str) and message.startswith(('{"result"', '{"error"')):
                answer = json.loads(message)
                return answer.get("result", answer if "error" in answer else None)

    def read(self, to: int) -> dict[str, Any]:
        """Return all that is known of a connection, in the way that works from here."""
        if self.is_afar:
            assert self.ask("read", to) == {"error": 211}
        found: dict[str, Any] = self.ask("read afar" if self.is_afar else "read", to)
        return found

    def set(self, to: int, name: str, value: Any) -> Any:
        """Set a property of a connection, in the way that works from here."""
        if self.is_afar:
            return self.ask("set afar", to, {name: value})
        if name == "message_length":
            return self.ask("config", 0, f"MessageLength[{to}]={value}")
        return self.ask("set", to, [name, value])
