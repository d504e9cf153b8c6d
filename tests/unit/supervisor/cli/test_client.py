"""client: finding the server and asking it; every failure is one line that says what to do."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shardws.control import endpoint
from shardws.errors import StartError
from shardws_supervisor import client
from shardws_supervisor.client import Client, Refused

Serve = Callable[[list[bytes]], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Answer each request with the next of the given answers; b"" hangs up."""
    threads: list[threading.Thread] = []
    listener = socket.socket(socket.AF_UNIX)

    def run(answers: list[bytes]) -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as stream:
            for answer in answers:
                json.loads(stream.readline())
                sock.sendall(answer)

    def start(answers: list[bytes]) -> Path:
        listener.bind(str(tmp_path / endpoint.CONTROL_SOCKET))
        listener.listen()
        threads.append(threading.Thread(target=run, args=(answers,)))
        threads[-1].start()
        return tmp_path

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


def test_questions_and_answers(serve: Serve) -> None:
    path = serve([b'{"ok": true, "x": 1}\n', b'{"ok": false, "error": "no"}\n', b'{"ok": false}\n'])
    with Client(path) as server:
        assert server.ask("status") == {"x": 1}
        with pytest.raises(Refused, match="no"):
            server.ask("reload")
        with pytest.raises(Refused, match="refused"):
            server.ask("reload")


@pytest.mark.parametrize("answer", [b"", b"no JSON\n", b"half a line"])
def test_a_server_that_goes(serve: Serve, answer: bytes) -> None:
    with Client(serve([answer])) as server, pytest.raises(StartError, match="has gone") as caught:
        server.ask("status")
    assert caught.value.exit_code == 1


def test_too_many_clients_are_not_taken_for_a_dead_server(serve: Serve) -> None:
    with Client(serve([b""])) as server, pytest.raises(StartError) as caught:
        server.ask("status")
    assert caught.value.description.endswith(" has gone, or serves 256 clients already")


def test_a_server_that_goes_after_an_answer(serve: Serve) -> None:
    with Client(serve([b'{"ok": true}\n'])) as server:
        server.ask("status")
        with pytest.raises(StartError, match="has gone") as caught:
            server.ask("status")
    assert caught.value.description.endswith(" has gone")


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DEADLINE", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / endpoint.CONTROL_SOCKET))
        listener.listen()
        with Client(tmp_path) as server, pytest.raises(StartError, match="does not answer"):
            server.ask("status")


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no server runs in ") as caught:
        Client(tmp_path)
    assert caught.value.exit_code == 1


def test_a_server_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(StartError, match="belongs to another user"):
        Client(tmp_path)


def test_a_named_server_is_not_searched_for(tmp_path: Path) -> None:
    assert client.find(str(tmp_path), 9001) == tmp_path
    assert client.find("", 9001) == endpoint.default_directory(9001)


def test_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: set[str] = set()
    places = [tmp_path / "a", tmp_path / "b"]
    monkeypatch.setattr(endpoint, "candidates", lambda: places)
    monkeypatch.setattr(client, "is_alive", lambda path: path.name in alive)
    with pytest.raises(StartError, match="no server of yours runs here"):
        client.find("", None)
    alive.add("b")
    assert client.find("", None) == places[1]
    alive.add("a")
    with pytest.raises(StartError, match=r"several servers run: .*/a, .*/b") as caught:
        client.find("", None)
    assert caught.value.exit_code == 2


def test_candidates_and_who_of_them_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("shardws-1", "shardws-2", "other-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "shardws-1" / endpoint.CONTROL_SOCKET).touch()
    assert tmp_path / "shardws-1" in endpoint.candidates()
    assert tmp_path / "shardws-2" not in endpoint.candidates()
    assert not client.is_alive(tmp_path / "shardws-1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "shardws-2" / endpoint.CONTROL_SOCKET))
        listener.listen()
        assert client.is_alive(tmp_path / "shardws-2")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert tmp_path / "shardws-1" not in endpoint.candidates()
