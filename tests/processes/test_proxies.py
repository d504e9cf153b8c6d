"""The example configurations of nginx and HAProxy, run in front of a real server."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.processes.conftest import (
    DEADLINE,
    ROOT,
    RunServer,
    assert_echo,
    eventually,
    free_port,
    greeting,
)

pytestmark = pytest.mark.processes

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")

FRAME = """
daemon off;
master_process off;
pid {path}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    include {path}/shardws.conf;
}}
"""


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def adapted(file: str, ports: dict[str, int]) -> str:
    """Return an example with the ports of this test in place of its own."""
    text = (ROOT / "deploy" / file).read_text()
    for old, new in ports.items():
        assert old in text, f"{file} no longer says {old!r}"
        text = text.replace(old, old[: -len("0000")] + str(new))
    return text


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a proxy in the foreground until the end of the block."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            eventually(lambda: is_open(port) or process.poll() is not None)
            if process.poll() is not None:
                _, complaint = process.communicate()
                pytest.fail(complaint)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def check(port: int) -> None:
    """Open, echo, a large message, a page's origin, and a request that is no upgrade."""
    url = f"ws://127.0.0.1:{port}"
    with connect(url, origin=Origin(f"http://127.0.0.1:{port}"), open_timeout=DEADLINE) as client:
        greeting(client)
        assert_echo(client, "through the proxy")
        large = b"\xff" * (1 << 20)
        client.send(large)
        assert client.recv(timeout=DEADLINE) == large
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(url, origin=Origin("http://evil.example"), open_timeout=DEADLINE),
    ):
        pass
    assert caught.value.response.status_code == 403
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 426 ")


@pytest.mark.skipif(NGINX is None, reason="no nginx (Debian package: nginx-light)")
def test_nginx(run_server: RunServer, tmp_path: Path) -> None:
    assert NGINX is not None
    server, port = run_server("examples.demo:server", "--trusted-proxies", "127.0.0.1"), free_port()
    path = tmp_path / "nginx"
    path.mkdir()
    ports = {"127.0.0.1:9001": server.port, "listen 8080": port}
    (path / "shardws.conf").write_text(adapted("nginx/shardws.conf", ports))
    (path / "nginx.conf").write_text(FRAME.format(path=path))
    arguments = [NGINX, "-e", "stderr", "-p", str(path), "-c", str(path / "nginx.conf")]
    with running(arguments, port):
        check(port)


@pytest.mark.skipif(HAPROXY is None, reason="no HAProxy (Debian package: haproxy)")
def test_haproxy_and_its_health_check(run_server: RunServer, tmp_path: Path) -> None:
    """It sends nobody to a server that drains, though that still answers on its port."""
    assert HAPROXY is not None
    admin, port = free_port(), free_port()
    server = run_server(
        "examples.demo:server",
        *("--admin", f"127.0.0.1:{admin}"),
        *("--trusted-proxies", "127.0.0.1"),
        *("--drain-delay", "60s"),
    )
    ports = {"127.0.0.1:9001": server.port, "check port 9002": admin, "bind :8080": port}
    config = tmp_path / "haproxy.cfg"
    config.write_text(adapted("haproxy/haproxy.cfg", ports))
    with running([HAPROXY, "-db", "-f", str(config)], port):
        check(port)
        server.ask("drain")

        def is_refused() -> bool:
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                return sock.recv(4096).startswith(b"HTTP/1.1 503 ")

        eventually(is_refused)
        greeting(server.connect())
