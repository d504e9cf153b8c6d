"""One of two processes that reach each other's connections through Redis: the usual way.

    python redis_demo.py PORT NUMBER REDIS_SOCKET each|batch

picows on uvloop, with the demo's protocol: a greeting, then {"to": N, "text": T}. Process 0 assigns
even ids, process 1 odd ones; a message for an id of the other process is published on its channel.
`each` waits for Redis after every message; `batch` sends what has collected meanwhile in one
pipeline. The connections themselves are compiled code, so what remains is the path between the
processes.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from redis.asyncio import Redis

LOCAL: dict[int, WSTransport] = {}


def hand_over(to: int, text: bytes) -> None:
    if (transport := LOCAL.get(to)) is not None:
        transport.send(WSMsgType.TEXT, text)


class Neighbour:
    """The other process, reached through Redis."""

    def __init__(self, redis: Redis, number: int) -> None:
        self.redis = redis
        self.channel = f"connections-{number}"
        self.queue: asyncio.Queue[str] = asyncio.Queue(100_000)

    def tell(self, to: int, text: str) -> None:
        self.queue.put_nowait(f"{to}:{text}")

    async def gathered(self) -> AsyncIterator[list[str]]:
        """The queued messages, as soon as there are any."""
        while True:
            batch = [await self.queue.get()]
            while not self.queue.empty():
                batch.append(self.queue.get_nowait())
            yield batch

    async def publish_each(self) -> None:
        async for batch in self.gathered():
            for message in batch:
                await self.redis.publish(self.channel, message)

    async def publish_batches(self) -> None:
        async for batch in self.gathered():
            async with self.redis.pipeline(transaction=False) as pipeline:
                for message in batch:
                    pipeline.publish(self.channel, message)
                await pipeline.execute()


class Demo(WSListener):
    """A connection with the demo's protocol."""

    def __init__(self, own_id: int, number: int, neighbour: Neighbour) -> None:
        self.own_id = own_id
        self.number = number
        self.neighbour = neighbour

    def on_ws_connected(self, transport: WSTransport) -> None:
        LOCAL[self.own_id] = transport
        greeting = {"connection_id": self.own_id, "shard": self.number, "pid": os.getpid()}
        transport.send(WSMsgType.TEXT, json.dumps(greeting).encode())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        LOCAL.pop(self.own_id, None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            request = json.loads(frame.get_payload_as_bytes())
            text = json.dumps({"from": self.own_id, "text": request["text"]})
            if request["to"] % 2 == self.number:
                hand_over(request["to"], text.encode())
            else:
                self.neighbour.tell(request["to"], text)


async def hear(subscription: Any) -> None:
    async for message in subscription.listen():
        to, _, text = message["data"].partition(b":")
        hand_over(int(to), text)


async def main(port: int, number: int, redis_socket: str, way: str) -> None:
    redis = Redis(unix_socket_path=redis_socket)
    neighbour = Neighbour(redis, 1 - number)
    subscription = redis.pubsub(ignore_subscribe_messages=True)
    await subscription.subscribe(f"connections-{number}")
    ids = count(number, 2)

    def listener_for(_: WSUpgradeRequest) -> WSListener:
        return Demo(next(ids), number, neighbour)

    server = await ws_create_server(listener_for, "127.0.0.1", port, backlog=4096)
    publishing = neighbour.publish_batches() if way == "batch" else neighbour.publish_each()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publishing)
        tasks.create_task(hear(subscription))
        tasks.create_task(server.serve_forever())


uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
