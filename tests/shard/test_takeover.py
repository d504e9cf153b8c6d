"""Connections that move between two shards while their clients talk."""

import asyncio
import socket
from pathlib import Path

from websockets.asyncio.client import connect

from shardws import DataIn, Outcome, Resumed, WebSocketServer
from shardws.net.connection.states import OPEN
from shardws.stats import BYTES_IN
from tests.shard.moving_fixture import Pair, buffering, echoing, pair
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, client, receive, run, until
from tests.shard.tls_server_fixture import LEAF, client_context, pem_of
from tests.unit.protocol.client_frames import frame
from tests.upgrade_request import UPGRADE

MOVES = 50
NOTHING = {"connected": 0, "disconnected": 0, "resumed": 0, "moved": 0, "open": 0}


def test_an_idle_connection_goes_on_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            ws = await client(two.url, origin=two.origin, subprotocols=["a", "b"])
            (connected,) = await two.old.recorder.wait_for("connected")
            one = connected[1]
            before = two.old.server.connections[one]
            before.user_data = b"\x00mine"
            before.data_format = 2
            two.old.server.join(one, "room")
            names = (
                *("uid", "remote_host", "remote_port", "local_address", "host", "origin"),
                *("request_uri", "request_headers", "sub_protocols", "data_format", "timeout"),
                *("user_data", "connected", "accept_data", "ready_to_send"),
            )
            known = {name: getattr(before, name) for name in names}

            result = await two.old.move_to(two.new)

            assert result == (1, {})
            after = two.new.server.connections[one]
            assert {name: getattr(after, name) for name in names} == known
            assert two.new.recorder.events == [("resumed", "reload", b"\x00mine", False)]
            assert one not in two.old.server.connections
            assert two.old.recorder.count("disconnected") == 0
            two.new.server.publish("room", "to the group")
            assert await receive(ws) == "to the group"
            await ws.send("hello")
            assert await two.new.recorder.wait_for("data") == [("data", b"hello", True)]
            await ws.close()
            assert await two.new.recorder.wait_for("disconnected") == [("disconnected", 1000)]
            assert two.old.counts() == {**NOTHING, "connected": 1, "moved": 1}
            assert two.new.counts() == {**NOTHING, "resumed": 1, "disconnected": 1}

    run(main())


def test_without_a_handler_for_it_connected_fires(tmp_path: Path) -> None:
    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.on_resumed = None

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, one = await two.raw_client()
            assert await two.old.move_to(two.new) == (1, {})
            await until(lambda: two.new.recorder.count("ready") == 1)
            assert two.new.recorder.events == [("connected", one), ("ready",)]
            sock.close()

    run(main())


def test_a_client_that_never_pauses_loses_nothing(tmp_path: Path) -> None:
    """Numbered messages through fifty moves: none lost, none doubled, all in order."""

    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            ws = await client(two.url)
            (connected,) = await two.old.recorder.wait_for("connected")
            is_over = asyncio.Event()
            sent = 0

            async def send() -> None:
                nonlocal sent
                while not is_over.is_set():
                    for _ in range(16):
                        await ws.send(str(sent))
                        sent += 1
                    await asyncio.sleep(0)
                await ws.send("end")

            async def read() -> list[str]:
                found = []
                while (text := await receive(ws)) != "end":
                    found.append(str(text))
                return found

            sending, reading = asyncio.create_task(send()), asyncio.create_task(read())
            here, there = two.old, two.new
            for move in range(MOVES):
                assert await here.move_to(there) == (1, {})
                here, there = there, here
                await until(lambda wanted=(move + 1) * 16: sent >= wanted)  # type: ignore[misc]
            is_over.set()
            await sending
            assert await reading == [str(number) for number in range(sent)]
            assert here.server.connections[connected[1]].resumed == MOVES
            assert two.old.recorder.count("disconnected") == 0
            await ws.close()

    run(main())


def test_half_a_frame_that_was_received_is_completed_on_the_other_side(tmp_path: Path) -> None:
    async def main() -> None:
        message = frame(0x81, "grüße".encode() * 2000)
        for cut in (1, 3, 7, 8, 9, 1000, len(message) - 1):
            async with pair(tmp_path, buffering) as two:
                sock, _ = await two.raw_client()
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, frame(0x81, b"first") + message[:cut])
                await two.old.recorder.wait_for("data")
                assert await two.old.move_to(two.new) == (1, {})
                await loop.sock_sendall(sock, message[cut:] + frame(0x81, b"last"))
                told = await two.new.recorder.wait_for("data", 2)
                assert told == [("data", "grüße".encode() * 2000, True), ("data", b"last", True)]
                sock.close()

    run(main())


async def read_messages(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(sock, 65536)
        assert part
        data += part
    return data


def test_what_a_slow_reader_has_not_taken_follows_in_order(tmp_path: Path) -> None:
    """The stream stands inside a frame when the connection moves, and more is queued behind it."""

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.out_high_mark = 3 << 19
        server.out_buffer_size = 64 << 10

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, one = await two.raw_client(buffer=64 << 10)
            large, expected = bytes(range(256)) * 4 * 1024, b""
            for number in range(2):
                payload = b"%d" % number + large
                assert two.old.server.send(one, payload).outcome is Outcome.QUEUED
                expected += b"\x82\x7f" + len(payload).to_bytes(8) + payload
            loop = asyncio.get_running_loop()
            await until(lambda: two.old.connection(one).queued > 0)
            result = await two.old.move_to(two.new, 0.3)
            if not two.old.shard.pump.owns_sockets:
                assert result == (0, {"queue": 1})  # a transport gives nothing back
                reader = two.old
            else:
                assert result == (1, {})
                assert not two.new.server.connections[one].ready_to_send
                reader = two.new
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            data = await asyncio.wait_for(read_messages(sock, len(expected)), DEADLINE_S)
            assert data == expected
            await reader.recorder.wait_for("ready", 2 if reader is two.old else 1)
            reader.server.send(one, b"last")
            assert await loop.sock_recv(sock, 100) == b"\x82\x04last"
            sock.close()

    run(main())


def test_what_is_queued_in_the_turn_of_the_move_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            sock, one = await two.raw_client()
            for number in range(100):
                two.old.server.send_text(one, str(number))
            assert await two.old.move_to(two.new) == (1, {})
            for number in range(100, 200):
                two.new.server.send_text(one, str(number))
            expected = b"".join(
                bytes((0x81, len(text))) + text for text in (b"%d" % one for one in range(200))
            )
            assert await read_messages(sock, len(expected)) == expected
            sock.close()

    run(main())


def test_a_ping_that_is_not_answered_yet_is_known_on_the_other_side(tmp_path: Path) -> None:
    """Else its pong would be told to the application as one of the client's own."""

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.ping_interval = 0.3

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, one = await two.raw_client()
            loop = asyncio.get_running_loop()
            ping = await asyncio.wait_for(loop.sock_recv(sock, 100), DEADLINE_S)
            assert ping[:2] == b"\x89\x08"
            assert await two.old.move_to(two.new) == (1, {})
            assert two.new.connection(one).ping_at > 0
            await loop.sock_sendall(sock, frame(0x8A, ping[2:]))
            await until(lambda: two.new.server.connections[one].round_trip > 0)
            assert two.new.recorder.count("data") == 0
            again = await asyncio.wait_for(loop.sock_recv(sock, 100), DEADLINE_S)
            assert again[:2] == b"\x89\x08"  # keepalive goes on
            sock.close()

    run(main())


def test_compression_without_context_goes_on(tmp_path: Path) -> None:
    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        echoing(server, recorder)
        server.deflate = "shared"
        server.deflate_min_size = 1

    async def main() -> None:
        async with pair(tmp_path, configure) as two, connect(two.url) as ws:
            text = "compressible " * 100
            for here, there in ((two.old, two.new), (two.new, two.old)):
                await ws.send(text)
                assert await receive(ws) == text
                assert await here.move_to(there) == (1, {})
            await ws.send(text)
            assert await receive(ws) == text

    run(main())


def test_compression_with_context_stays(tmp_path: Path) -> None:
    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        echoing(server, recorder)
        server.deflate = "dedicated"

    async def main() -> None:
        async with pair(tmp_path, configure) as two, connect(two.url) as ws:
            assert await two.old.move_to(two.new) == (0, {"deflate": 1})
            await ws.send("still here")
            assert await receive(ws) == "still here"

    run(main())


def test_a_message_in_fragments_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, buffering) as two:
            sock, _ = await two.raw_client()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, frame(0x01, b"one "))
            await until(lambda: has_held(two))
            moving = asyncio.create_task(two.old.move_to(two.new))
            await asyncio.sleep(0.05)  # some rounds that find it in progress
            assert not moving.done()
            await loop.sock_sendall(sock, frame(0x80, b"message"))
            assert await moving == (1, {})
            assert await two.old.recorder.wait_for("data") == [("data", b"one message", True)]
            await loop.sock_sendall(sock, frame(0x81, b"next"))
            assert await two.new.recorder.wait_for("data") == [("data", b"next", True)]
            sock.close()

    run(main())


def has_held(two: Pair) -> bool:
    return any(one.session and one.session.held for one in two.old.shard.connections)


def test_a_message_that_leaves_in_parts_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            sock, one = await two.raw_client()
            two.old.server.connections[one].message_length = 8
            two.old.server.send_text(one, "four")
            moving = asyncio.create_task(two.old.move_to(two.new))
            await asyncio.sleep(0.05)  # some rounds that find it in progress
            assert not moving.done()
            two.old.server.send_text(one, "more")
            assert await moving == (1, {})
            two.new.server.send_text(one, "last")
            expected = b"\x01\x04four\x80\x04more\x81\x04last"
            assert await read_messages(sock, len(expected)) == expected
            sock.close()

    run(main())


def test_an_opening_under_way_is_finished_and_moves(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            loop = asyncio.get_running_loop()
            sock = socket.create_connection(("127.0.0.1", two.port))
            sock.setblocking(False)
            await loop.sock_sendall(sock, UPGRADE[:20])
            await until(lambda: len(two.old.shard.connections) == 1)
            moving = asyncio.create_task(two.old.move_to(two.new))
            await asyncio.sleep(0.05)  # some rounds that find it opening
            assert not moving.done()
            await loop.sock_sendall(sock, UPGRADE[20:])
            assert await moving == (1, {})
            await two.read_until(sock, b"\r\n\r\n")
            await loop.sock_sendall(sock, frame(0x81, b"hello"))
            assert await two.new.recorder.wait_for("data") == [("data", b"hello", True)]
            sock.close()

    run(main())


def test_a_client_with_tls_stays(tmp_path: Path) -> None:
    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        echoing(server, recorder)
        server.use_ssl = True
        server.ssl_cert_store = pem_of(LEAF)

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            ws = await client(f"wss://127.0.0.1:{two.port}/", ssl=client_context())
            assert await two.old.move_to(two.new) == (0, {"tls": 1})
            await ws.send("still here")
            assert await receive(ws) == "still here"
            await ws.close()

    run(main())


def test_a_handler_that_runs_is_waited_for_and_nothing_more_is_served(tmp_path: Path) -> None:
    """Of a client that has sent more meanwhile, the rest is told on the other side."""
    done = asyncio.Event()

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.buffer_message = True

        async def on_data_in(e: DataIn) -> None:
            recorder.note("data", e.text)
            await done.wait()
            server.send_text(e.connection_id, b"re " + e.text)

        server.on_data_in = on_data_in

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, _ = await two.raw_client()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, frame(0x81, b"a"))
            await two.old.recorder.wait_for("data")
            moving = asyncio.create_task(two.old.move_to(two.new))
            await loop.sock_sendall(sock, frame(0x81, b"b") + frame(0x81, b"c"))
            await asyncio.sleep(0.05)  # so that the move finds the handler running
            assert not moving.done()
            done.set()
            assert await moving == (1, {})
            assert two.old.recorder.named("data") == [("data", b"a")]
            assert await two.new.recorder.wait_for("data", 2) == [("data", b"b"), ("data", b"c")]
            assert await read_messages(sock, 18) == b"\x81\x04re a\x81\x04re b\x81\x04re c"
            sock.close()

    run(main())


def test_a_handler_that_does_not_end_keeps_its_connection_here(tmp_path: Path) -> None:
    done = asyncio.Event()

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        async def on_data_in(e: DataIn) -> None:
            recorder.note("data", e.text)
            await done.wait()

        server.on_data_in = on_data_in

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, _ = await two.raw_client()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, frame(0x81, b"a"))
            await two.old.recorder.wait_for("data")
            assert await two.old.move_to(two.new, 0.2) == (0, {"handler": 1})
            await loop.sock_sendall(sock, frame(0x81, b"b"))
            done.set()
            told = await two.old.recorder.wait_for("data", 2)
            assert told == [("data", b"a"), ("data", b"b")]
            sock.close()

    run(main())


def test_data_that_is_held_back_moves_with_its_connection(tmp_path: Path) -> None:
    """AcceptData is False: what was read, and what was to be told, is told when it is True."""

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.buffer_message = True

        def on_data_in(e: DataIn) -> None:
            recorder.note("data", e.text)
            if e.text == b"0":
                server.connections[e.connection_id].accept_data = False

        server.on_data_in = on_data_in

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, one = await two.raw_client()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, b"".join(frame(0x81, b"%d" % n) for n in range(5)))
            await two.old.recorder.wait_for("data")
            await loop.sock_sendall(sock, frame(0x81, b"5"))
            assert await two.old.move_to(two.new) == (1, {})
            assert two.new.recorder.count("data") == 0
            view = two.new.server.connections[one]
            assert view.accept_data is False
            view.accept_data = True
            told = await two.new.recorder.wait_for("data", 5)
            assert [text for _, text in told] == [b"1", b"2", b"3", b"4", b"5"]
            sock.close()

    run(main())


def test_a_connection_that_closes_at_that_moment_ends_once(tmp_path: Path) -> None:
    async def main() -> None:
        for steps in range(6):
            async with pair(tmp_path) as two:
                sock, _ = await two.raw_client()
                moving = asyncio.create_task(two.old.move_to(two.new))
                for _ in range(steps):
                    await asyncio.sleep(0)
                sock.send(frame(0x88, b"\x03\xe8"))
                result = await moving
                await until(lambda: ends(two) == 1)
                assert result.left == {}
                assert two.old.row[0] == two.new.row[0]
                sock.close()
                await asyncio.sleep(0)
                assert ends(two) == 1

    run(main())


def ends(two: Pair) -> int:
    return two.old.recorder.count("disconnected") + two.new.recorder.count("disconnected")


def test_a_client_that_vanishes_at_that_moment_ends_once(tmp_path: Path) -> None:
    async def main() -> None:
        for steps in range(6):
            async with pair(tmp_path) as two:
                sock, _ = await two.raw_client()
                moving = asyncio.create_task(two.old.move_to(two.new))
                for _ in range(steps):
                    await asyncio.sleep(0)
                sock.close()
                await moving
                await until(lambda: ends(two) == 1)
                counts = two.old.counts(), two.new.counts()
                assert sum(count["open"] for count in counts) == 0

    run(main())


def test_many_connections_move_in_batches(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            clients = [await two.raw_client() for _ in range(300)]
            assert await two.old.move_to(two.new) == (300, {})
            await two.new.recorder.wait_for("resumed", 300)
            assert two.new.counts()["open"] == 300
            assert two.old.counts()["open"] == 0
            loop = asyncio.get_running_loop()
            for sock, one in clients:
                two.new.server.send_text(one, "x")
                assert await loop.sock_recv(sock, 10) == b"\x81\x01x"
                sock.close()

    run(main())


def test_the_idle_timeout_goes_on_by_its_age(tmp_path: Path) -> None:
    """Moved every half second, a connection with a Timeout of one second still ends."""

    async def main() -> None:
        async with pair(tmp_path) as two:
            sock, one = await two.raw_client()
            two.old.server.connections[one].timeout = 1
            here, there = two.old, two.new
            seen = two.old.connection(one).seen
            async with asyncio.timeout(DEADLINE_S):
                while not ends(two):
                    if (await here.move_to(there)).moved:
                        here, there = there, here
                        found = here.shard.registry.get(one)
                        assert found is None or here.connection(one).seen == seen
                    await asyncio.sleep(0.3)
            assert here.recorder.named("error") == [("error", 301)]
            sock.close()

    run(main())


def test_the_handler_of_resumed_is_done_before_anything_is_told(tmp_path: Path) -> None:
    going_on = asyncio.Event()

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.buffer_message = True

        async def on_resumed(e: Resumed) -> None:
            recorder.note("resuming")
            await going_on.wait()
            recorder.note("resumed")

        server.on_resumed = on_resumed

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, _ = await two.raw_client()
            message = frame(0x81, b"message")
            await asyncio.get_running_loop().sock_sendall(sock, message[:5])
            await until(lambda: has_held(two) or two.old.shard.row[BYTES_IN] == 5)
            assert await two.old.move_to(two.new) == (1, {})
            await asyncio.get_running_loop().sock_sendall(sock, message[5:])
            await two.new.recorder.wait_for("resuming")
            await asyncio.sleep(0.02)  # turns in which it could be told
            assert two.new.recorder.count("data") == 0
            going_on.set()
            await two.new.recorder.wait_for("data")
            names = [event[0] for event in two.new.recorder.events]
            assert names == ["resuming", "resumed", "data"]
            sock.close()

    run(main())


def test_a_handler_of_resumed_can_close_the_connection(tmp_path: Path) -> None:
    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        def on_resumed(e: Resumed) -> None:
            server.disconnect(e.connection_id, 4000, "moved")

        server.on_resumed = on_resumed

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            sock, one = await two.raw_client()
            assert await two.old.move_to(two.new) == (1, {})
            assert await read_messages(sock, 9) == b"\x88\x07\x0f\xa0moved"
            closing = two.new.connection(one)
            assert closing.deadline > closing.owner.clock() + closing.config.close_timeout / 2
            await asyncio.get_running_loop().sock_sendall(sock, frame(0x88, b"\x0f\xa0"))
            assert await two.new.recorder.wait_for("disconnected") == [("disconnected", 4000)]
            sock.close()

    run(main())


def test_a_moved_connection_is_nothing_to_the_shard_it_left(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            sock, one = await two.raw_client()
            connection = two.old.connection(one)
            assert await two.old.move_to(two.new) == (1, {})
            assert connection not in two.old.shard.connections
            assert connection.session is None
            assert connection.send(1, b"x").outcome is not None
            connection.expire(0.0)
            await two.old.close()
            assert two.new.connection(one).state == OPEN
            two.new.server.send_text(one, "alive")
            assert await read_messages(sock, 7) == b"\x81\x05alive"
            sock.close()

    run(main())
