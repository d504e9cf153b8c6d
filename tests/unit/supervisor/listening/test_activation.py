"""activation: one TCP socket, or a clear reason why not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.errors import StartError
from shardws.net.sockets import address_of
from shardws.shard.connection_source import ListeningSocket
from shardws_supervisor.listening.activation import PassedSocket, take

ROOT = Path(__file__).resolve().parents[4]

# Descriptor 3 must be the socket, so each case is a process of its own.
TAKE = """
import os, sys
from shardws.errors import StartError
from shardws_supervisor.listening import activation
number = int(sys.argv[1])
if number != 3:
    os.dup2(number, 3)
try:
    sock = activation.take({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, 7)
    print(sock.getsockname()[1], sock.getblocking(), os.get_inheritable(3))
except StartError as error:
    print(error.description)
"""


def taken(sock: socket.socket) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(sock.fileno())],
        pass_fds=[sock.fileno()],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout.strip()


def test_a_tcp_socket_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert taken(sock) == f"{sock.getsockname()[1]} False False"


@pytest.mark.parametrize(
    ("family", "kind"),
    [(socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)],
)
def test_another_socket_is_refused(family: int, kind: int) -> None:
    with socket.socket(family, kind) as sock:
        assert taken(sock) == ("the socket that was passed is not a TCP socket (ListenStream=PORT)")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "8", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "0"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "y"},
    ],
)
def test_nothing_was_passed_to_us(environment: dict[str, str]) -> None:
    assert take(environment, 7) is None
    assert environment == {}


def test_several_sockets_are_refused() -> None:
    with pytest.raises(StartError, match="2 sockets were passed; one is needed"):
        take({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, 7)


def test_every_slot_has_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        strategy = PassedSocket(sock)
        for slot in (0, 1):
            strategy.add_slot(slot)
            with strategy.source(slot, 2 * slot) as source:
                assert source == ListeningSocket(sock)
        strategy.remove_slot(0)
        strategy.slot_rests(1)
        assert strategy.are_listening()
        assert strategy.fds_to_close(0) == []
        assert strategy.fds_to_close() == [sock]
        assert str(strategy.address) == f"127.0.0.1:{sock.getsockname()[1]}"
        strategy.close()
        assert sock.fileno() == -1


def test_a_socket_for_both_families() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as sock:
        found = address_of(sock)
        assert (found.family, found.is_dual) == (socket.AF_INET6, True)
