"""A slot that is given up harms nobody: no client waits at it, no Disconnected is lost with it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.processes.applications import FAILS_WHILE_BROKEN, RECORDS_HISTORY, count_events
from tests.processes.conftest import (
    RunningServer,
    RunServer,
    WriteApp,
    connect_to_shard,
    eventually,
    greeting,
)

pytestmark = pytest.mark.processes

# Records what it is told; its successors die while `broken` is there.
FRAGILE = FAILS_WHILE_BROKEN + RECORDS_HISTORY


def break_shard(server: RunningServer, slot: int, attempts: int) -> list[dict[str, Any]]:
    """Have a slot quarantined that has three connections; return their greetings."""
    hellos = [connect_to_shard(server, slot)[1] for _ in range(3)]
    (server.run_dir.parent / "broken").touch()
    os.kill(hellos[0]["pid"], signal.SIGKILL)
    server.wait_for_line(
        rf"shard {slot} .*; {attempts} consecutive failures: slot quarantined until"
    )
    (server.run_dir.parent / "broken").unlink()
    return hellos


@pytest.mark.parametrize("attempts", [1, 3])
def test_no_client_waits_at_a_quarantined_slot(
    run_server: RunServer, write_app: WriteApp, attempts: int
) -> None:
    """The kernel spreads clients over sockets that listen, whether or not anybody accepts."""
    server = run_server(write_app(FRAGILE), "--respawn-attempts", str(attempts), shards=2)
    break_shard(server, 0, attempts)
    assert server.shard(0)["state"] == "quarantined"  # and what follows from that is done
    for _ in range(40):
        assert greeting(server.connect())["shard"] == 1


@pytest.mark.parametrize("attempts", [1, 3])
def test_another_shard_tells_what_a_quarantined_one_could_not(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path, attempts: int
) -> None:
    server = run_server(write_app(FRAGILE), "--respawn-attempts", str(attempts), shards=2)
    lost = {hello["connection_id"] for hello in break_shard(server, 0, attempts)}
    eventually(lambda: lost <= count_events(tmp_path, "disconnected").keys())
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert count_events(tmp_path, "connected") == count_events(tmp_path, "disconnected")


def test_a_stop_tells_what_a_resting_slot_still_owes(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """Its successor would have told; none will come."""
    server = run_server(write_app(FRAGILE), shards=2)
    hellos = [connect_to_shard(server, 0)[1] for _ in range(3)]
    (server.run_dir.parent / "broken").touch()
    os.kill(hellos[0]["pid"], signal.SIGKILL)
    server.wait_for_line(r"shard 0 .* was killed by SIGKILL; next start in ")
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert count_events(tmp_path, "connected") == count_events(tmp_path, "disconnected")


def test_nobody_is_left_to_be_told(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(FRAGILE), "--respawn-attempts", "1", shards=1)
    break_shard(server, 0, 1)
    assert server.wait_for_exit() == 1
    server.wait_for_line("no shard is left to fire Disconnected for 3 lost connections")
