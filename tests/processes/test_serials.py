"""A shard whose ids run short is replaced: no id is given twice, and nobody is turned away."""

import pytest

from shardws import ids
from tests.processes.applications import GREETS
from tests.processes.clients import close_code
from tests.processes.conftest import RunServer, WriteApp, greeting

pytestmark = pytest.mark.processes

# Lets the first connection of generation 0 find that all but a few ids are used.
SHORT = (
    GREETS
    + """
from shardws import ids
from shardws.shard.id_allocator import RESERVE
from shardws.stats import SERIAL
def on_connected_with_few_ids(e):
    parts = ids.unpack(e.connection_id)
    if (parts.generation, parts.serial) == (0, 1):
        server._shard.row[SERIAL] = ids.SERIALS - RESERVE
    on_connected(e)
server.on_connected = on_connected_with_few_ids
"""
)


def test_a_shard_whose_ids_run_short_is_replaced(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(SHORT), "--reload-mode", "drain", shards=1)
    first, last = server.connect(), server.connect()
    given = [ids.unpack(greeting(client)["connection_id"]) for client in (first, last)]
    assert [close_code(client) for client in (first, last)] == [1012, 1012]
    server.wait_for_line(r"ids run short")
    server.wait_for_status(lambda report: report["ready"])
    successor = ids.unpack(greeting(server.connect())["connection_id"])
    assert [parts.generation for parts in given] == [0, 0]
    assert successor.generation == 1
