"""portlock: one holder per user, address and port, until the last descriptor is gone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.errors import StartError
from shardws.net import portlock

ROOT = Path(__file__).resolve().parents[3]
PLACE = "192.0.2.1:9001"  # of no host, so that nobody else asks for it


def test_a_lock_has_one_holder() -> None:
    with portlock.take(PLACE):
        with pytest.raises(StartError) as caught:
            portlock.take(PLACE)
        assert caught.value.description == (
            f"cannot listen on {PLACE}: the address is in use (a server of this user holds it)"
        )
        assert (caught.value.code, caught.value.exit_code) == (10048, 1)
    portlock.take(PLACE).close()


@pytest.mark.parametrize("other", ["192.0.2.1:9002", "192.0.2.2:9001", "[::1]:9001"])
def test_another_address_or_port_has_a_lock_of_its_own(other: str) -> None:
    with portlock.take(PLACE), portlock.take(other):
        pass


def test_another_user_has_a_lock_of_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with portlock.take(PLACE):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        portlock.take(PLACE).close()


HOLDER = """
import signal, sys
from shardws.net import portlock
lock = portlock.take(sys.argv[1])
print("held", flush=True)
signal.pause()
"""


def test_the_kernel_lets_go_of_the_lock_of_a_process_that_is_killed() -> None:
    command = [sys.executable, "-c", HOLDER, PLACE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StartError, match="in use"):
                portlock.take(PLACE)
        finally:
            holder.kill()
    portlock.take(PLACE).close()


def test_a_program_that_is_started_does_not_inherit_it() -> None:
    with portlock.take(PLACE) as lock:
        assert not lock.get_inheritable()


def test_a_lock_that_cannot_be_made_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(StartError) as caught:
        portlock.take(PLACE)
    assert caught.value.description == f"cannot lock the port of {PLACE}: Permission denied"
    assert caught.value.code == 10013
