"""A process with one shard that takes connections, and gives them away when it is told to.

    python -m tests.shard.moving_process DIRECTORY GENERATION

Writes a line when it listens. A line of its input, "ROW INCARNATION PID", has it give all that it
has to that process; it answers how many moved, and why others did not. It ends with its input.
"""

import asyncio
import json
import sys

from shardws.net.connection.resumed import Cause
from shardws.stats import Stats
from shardws.takeover.giving import Giving, Successor
from tests.shard.moving_fixture import Side, echoing
from tests.shard.server_fixture import run


async def main(directory: str, generation: int) -> None:
    side = Side(generation, directory, Stats(1), echoing)
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print("ready", flush=True)
    while line := await orders.readline():
        successor = Successor(*map(int, line.split()))
        giving = Giving(side.shard, side.identity, directory, successor, Cause.UPGRADE, side.routes)
        print(json.dumps(await giving.run(5.0)), flush=True)
    await side.close()


if __name__ == "__main__":
    run(main(sys.argv[1], int(sys.argv[2])))
