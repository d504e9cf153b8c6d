"""What reaches the kernel: socket options, backlog and addresses."""

import asyncio
import logging
import resource
import socket
import struct
from pathlib import Path

import pytest

from shardws import ShardwsError, WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, run

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()


async def accepted(server: WebSocketServer) -> socket.socket:
    """Return the server's own socket of its newest connection, as the kernel has it."""
    recorder = EventRecorder()
    server.on_connected = lambda e: recorder.note("connected", e.connection_id)
    await client(f"ws://{server.local_host}:{server.local_port}")
    identity = (await recorder.wait_for("connected"))[-1][1]
    assert server._shard is not None
    found: socket.socket = server._shard.find(identity).get_extra_info("socket")
    return found


def option(sock: socket.socket, level: int, name: int) -> int:
    value: int = sock.getsockopt(level, name)
    return value


@pytest.mark.surface("TcpNoDelay")
@pytest.mark.parametrize("wanted", [True, False])
def test_tcp_no_delay(wanted: bool) -> None:
    async def main() -> None:
        server = new_server()
        server.tcp_no_delay = wanted
        async with listening(server):
            sock = await accepted(server)
            assert bool(option(sock, socket.IPPROTO_TCP, socket.TCP_NODELAY)) is wanted

    run(main())


@pytest.mark.surface("InBufferSize", "OutBufferSize")
def test_buffer_sizes() -> None:
    async def main() -> None:
        server = new_server()
        server.config("InBufferSize=40000")
        server.config("OutBufferSize=50000")
        async with listening(server):
            sock = await accepted(server)
            # Linux doubles what is asked for, and reads back the double.
            assert option(sock, socket.SOL_SOCKET, socket.SO_RCVBUF) == 80_000
            assert option(sock, socket.SOL_SOCKET, socket.SO_SNDBUF) == 100_000

    run(main())


KEEP_ALIVE = (
    ("KeepAliveTime=1500", socket.TCP_KEEPIDLE, 2),
    ("KeepAliveInterval=3000", socket.TCP_KEEPINTVL, 3),
    ("KeepAliveRetryCount=4", socket.TCP_KEEPCNT, 4),
)


@pytest.mark.surface("KeepAliveTime", "KeepAliveInterval", "KeepAliveRetryCount")
def test_keep_alive_is_off_until_one_of_its_settings_is_set() -> None:
    async def main() -> None:
        server = new_server()
        async with listening(server):
            sock = await accepted(server)
            assert option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
            system = {name: option(sock, socket.IPPROTO_TCP, name) for _, name, _ in KEEP_ALIVE}
            for setting, name, value in KEEP_ALIVE:
                server.config(setting)
                system[name] = value
                sock = await accepted(server)
                assert option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert {
                    name: option(sock, socket.IPPROTO_TCP, name) for name in system
                } == system  # the others are still the system's

    run(main())


def backlog_of(server: WebSocketServer) -> int:
    """Return what the kernel has as the backlog of the listening socket (tcpi_sacked)."""
    assert server._embedded is not None
    assert server._embedded.listener is not None
    info = server._embedded.listener._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    (backlog,) = struct.unpack_from("I", info, 28)
    return int(backlog)


@pytest.mark.surface("ConnectionBacklog")
def test_the_backlog_is_the_kernels_and_its_cap_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        server = new_server()
        server.connection_backlog = 7
        async with listening(server):
            assert backlog_of(server) == 7
            server.connection_backlog = 9
            assert backlog_of(server) == 7  # at the next start of listening
            server.listening = False
            server.listening = True
            assert backlog_of(server) == 9
            await asyncio.sleep(0)
            assert "somaxconn" not in caplog.text
            server.listening = False
            server.connection_backlog = 65_535
            server.listening = True
            await asyncio.sleep(0)
            most = int(Path("/proc/sys/net/core/somaxconn").read_text())  # noqa: ASYNC240
            assert backlog_of(server) == min(most, 65_535)
            is_told = f"net.core.somaxconn of this host allows {most}" in caplog.text
            assert is_told is (most < 65_535)

    run(main())


async def reaches(host: str, server: WebSocketServer) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, server.local_port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.surface("UseIPv6", "LocalHost")
@pytest.mark.skipif(not HAS_IPV6, reason="this host has no ::1")
@pytest.mark.parametrize(
    ("host", "use_ipv6", "by_4", "by_6"),
    [
        ("", 0, True, False),
        ("", 1, False, True),
        ("", 2, True, True),
        ("::", 1, False, True),
        ("::", 2, True, True),
    ],
)
def test_ipv6_is_off_the_only_one_or_both(host: str, use_ipv6: int, by_4: bool, by_6: bool) -> None:
    async def main() -> None:
        server = new_server()
        server.local_host = host
        server.use_ipv6 = use_ipv6
        async with listening(server):
            assert await reaches("127.0.0.1", server) is by_4
            assert await reaches("::1", server) is by_6

    run(main())


@pytest.mark.surface("UseIPv6", "WebSocketConnectionRemoteHost", "WebSocketConnectionLocalAddress")
@pytest.mark.skipif(not HAS_IPV6, reason="this host has no ::1")
def test_addresses_of_an_ipv6_client() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.local_host = "::1"
        server.use_ipv6 = 1
        server.allowed_clients = "::1"
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server):
            await client(f"ws://[::1]:{server.local_port}")
            identity = (await recorder.wait_for("connected"))[0][1]
            assert server.get_web_socket_connection_remote_host(identity) == "::1"
            assert server.get_web_socket_connection_local_address(identity) == "::1"

    run(main())


@pytest.mark.surface("UseIPv6", "WebSocketConnectionRemoteHost", "WebSocketConnectionLocalAddress")
@pytest.mark.surface("ConnectionRequest")
@pytest.mark.skipif(not HAS_IPV6, reason="this host has no ::1")
def test_an_ipv4_client_of_both_families_is_shown_as_one() -> None:
    """It was shown as ::ffff:127.0.0.1, which no comparison of an application expects."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.local_host = ""
        server.use_ipv6 = 2
        server.on_connection_request = lambda e: recorder.note("from", e.address)
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server):
            await client(f"ws://127.0.0.1:{server.local_port}")
            identity = (await recorder.wait_for("connected"))[0][1]
            assert recorder.events[0] == ("from", "127.0.0.1")
            assert server.get_web_socket_connection_remote_host(identity) == "127.0.0.1"
            assert server.get_web_socket_connection_local_address(identity) == "127.0.0.1"
            assert (await server.connection(identity)).remote_host == "127.0.0.1"

    run(main())


def test_connections_from_one_address_share_its_text() -> None:
    async def main() -> None:
        server = new_server()
        async with listening(server) as url:
            await client(url)
            await client(url)
            assert server._shard is not None
            first, second = server._shard.connections
            assert first.remote_host is second.remote_host
            assert first.local_address is second.local_address is first.remote_host
            assert len(server._shard.interned) == 1

    run(main())


@pytest.mark.surface("MaxConnections")
def test_max_connections_reads_back_what_descriptors_allow() -> None:
    async def main() -> None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        server = new_server()
        async with listening(server):
            assert 0 < server.max_connections < most
            with pytest.raises(ShardwsError) as error:
                server.max_connections = 5
            assert error.value.code == 104
        assert server.max_connections == 0
        server.max_connections = most + 1
        with pytest.raises(ShardwsError, match=f"is {most + 1}, but .* {most} allows") as error:
            server.listening = True
        assert error.value.code == 10024

    run(main())


@pytest.mark.surface("UseIOCP", "UseWindowsMessages")
def test_settings_of_windows_are_read_back_and_change_nothing() -> None:
    async def main() -> None:
        server = new_server()
        for name in ("UseIOCP", "UseWindowsMessages"):
            assert server.config(name) == "False"
            assert server.config(f"{name}=True") == "True"
        async with listening(server) as url:
            await client(url)
            assert server.web_socket_connection_count == 1

    run(main())
