"""The client against an independent server: what it fires for each call, and what it raises."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from websockets.sync.server import ServerConnection, serve

from loadtests.client import ConnectionClosed, WebSocketClient, closed_by


class Recorder:
    """Stands in for locust's request event."""

    def __init__(self) -> None:
        self.fired: list[dict[str, Any]] = []

    def fire(self, **values: Any) -> None:
        self.fired.append(values)

    @property
    def entries(self) -> list[tuple[str, int, bool]]:
        """Name, length, whether it succeeded."""
        return [
            (one["name"], one["response_length"], one["exception"] is None) for one in self.fired
        ]


def answer(ws: ServerConnection) -> None:
    """Echo; "bye" is answered by a close, "silence" by nothing."""
    for message in ws:
        if message == "bye":
            ws.close(4001, "as you wish")
        elif message != "silence":
            ws.send(message)


@pytest.fixture
def url() -> Iterator[str]:
    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(recorder: Recorder, url: str) -> Iterator[WebSocketClient]:
    client = WebSocketClient(recorder, timeout=5.0)
    client.connect(url)
    yield client
    client.drop()


@pytest.mark.parametrize(("message", "size"), [("héllo", 6), (b"\x00\xff", 2), ("", 0)])
def test_each_call_is_one_entry(
    client: WebSocketClient, recorder: Recorder, message: str | bytes, size: int
) -> None:
    client.send(message)
    assert client.recv() == message
    assert client.exchange(message, name="ask") == message
    client.close()
    assert not client.is_connected
    assert recorder.entries == [
        ("connect", 0, True),
        ("send", size, True),
        ("recv", size, True),
        ("ask", size, True),
        ("close", 0, True),
    ]
    assert {one["request_type"] for one in recorder.fired} == {"WS"}
    assert all(0 <= one["response_time"] < 5000 for one in recorder.fired)


def test_a_close_by_the_server_is_a_failure_with_its_code(
    client: WebSocketClient, recorder: Recorder
) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        client.exchange("bye", name="ask")
    assert (caught.value.code, caught.value.reason) == (4001, "as you wish")
    assert recorder.entries[-1] == ("ask", 0, False)
    assert recorder.fired[-1]["exception"] is caught.value


def test_silence_is_a_failure_and_the_next_message_is_not_lost(
    client: WebSocketClient, recorder: Recorder
) -> None:
    client.send("silence")
    with pytest.raises(websocket.WebSocketTimeoutException):
        client.recv(timeout=0.01)
    assert recorder.entries[-1] == ("recv", 0, False)
    assert client.exchange("after", name="ask") == "after"


def test_nobody_there_is_a_failure(recorder: Recorder) -> None:
    client = WebSocketClient(recorder)
    with pytest.raises(OSError, match="refused"):
        client.connect("ws://127.0.0.1:1")
    assert recorder.entries == [("connect", 0, False)]
    assert not client.is_connected


def test_without_a_connection(recorder: Recorder) -> None:
    client = WebSocketClient(recorder)
    with pytest.raises(websocket.WebSocketException, match="not connected"):
        client.send("x")
    client.close()
    client.leave()
    assert recorder.entries == [("send", 0, False)]


def test_a_stopped_user_fires_nothing(client: WebSocketClient, recorder: Recorder) -> None:
    """gevent ends a greenlet by an exception that is no Exception."""

    class GreenletExit(BaseException):
        pass

    fired = len(recorder.fired)
    with contextlib.suppress(GreenletExit), client.measured("interrupted"):
        raise GreenletExit
    assert len(recorder.fired) == fired


def test_only_failures_are_fired_as(client: WebSocketClient, recorder: Recorder) -> None:
    with client.failures_as("part"):
        client.send_quietly("silence")
    with pytest.raises(ValueError, match="no"), client.failures_as("part"):
        raise ValueError("no")
    assert recorder.entries == [("connect", 0, True), ("part", 0, False)]


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [(b"", 1005, ""), (b"\x03\xe9", 1001, ""), (b"\x03\xe9gone", 1001, "gone")],
)
def test_what_a_close_frame_says(payload: bytes, code: int, reason: str) -> None:
    error = closed_by(payload)
    assert (error.code, error.reason) == (code, reason)
