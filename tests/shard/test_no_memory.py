"""An allocation that fails while a client is served ends its connection, never the shard."""

import json
import subprocess
import sys

import pytest

from shardws.net import pump
from tests.shard.no_memory_program import SAID
from tests.shard.server_fixture import DEADLINE_S

# An allocation that fails just where Disconnected is fired leaves it untold.
FIRED_IN_THE_TURN = ("closing", "leaving")


@pytest.mark.skipif(
    pump.IMPLEMENTATION != "c", reason="the turns of the loop are not to be entered"
)
@pytest.mark.parametrize("name", SAID)
def test_each_allocation_that_fails_ends_one_connection(name: str) -> None:
    command = [sys.executable, "-m", "tests.shard.no_memory_program", name]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S * 6
    )
    counts = json.loads(done.stdout)
    assert counts["rounds"] > 0
    assert counts["healthy"]
    assert counts["connections"] == 1
    assert not counts["twice"]
    if name not in FIRED_IN_THE_TURN:
        assert counts["untold"] == 0
