"""Calls at the wrong time, and settings that are fixed while listening."""

import pytest

from shardws import (
    ShardwsError,
)
from tests.shard.server_fixture import listening, new_server, run


def test_a_call_before_the_server_runs_says_so() -> None:
    server = new_server()
    with pytest.raises(ShardwsError, match="does not run yet") as error:
        server.send(1, b"x")
    assert error.value.code == 211
    with pytest.raises(ShardwsError, match="listening"):
        server.do_events()
    server.shutdown()


def test_port_and_host_cannot_change_while_listening() -> None:
    async def main() -> None:
        server = new_server()
        async with listening(server):
            with pytest.raises(ShardwsError) as error:
                server.local_port = 1
            assert error.value.code == 106
            with pytest.raises(ShardwsError) as error:
                server.local_host = "::1"
            assert error.value.code == 107

    run(main())


def test_two_servers_on_one_port_is_an_error_that_names_it() -> None:
    async def main() -> None:
        first, second = new_server(), new_server()
        async with listening(first):
            second.local_port = first.local_port
            with pytest.raises(ShardwsError, match=f"127.0.0.1:{first.local_port}") as error:
                second.listening = True
            assert error.value.code == 10048

    run(main())
