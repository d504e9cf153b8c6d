"""location: which server is meant, and that nobody else's is believed."""

import os
import socket
import struct
from pathlib import Path

import pytest

from shardws.control import endpoint, location
from shardws.control.location import Location
from shardws.errors import ControlError


def listen(directory: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(directory / endpoint.CONTROL_SOCKET))
    sock.listen()
    return sock


ME, ROOT, OTHER, THIRD = 1000, 0, 1001, 1002
# who asks, whose directory, who listens, was it named, is it believed
CASES = {
    "our own": (ME, ME, ME, False, True),
    "our own, named": (ME, ME, ME, True, True),
    "root's, named": (ME, ROOT, ROOT, True, True),
    "root's in a default place": (ME, ROOT, ROOT, False, False),
    "another's in a default place": (ME, OTHER, OTHER, False, False),
    "another's, named": (ME, OTHER, OTHER, True, False),
    "another's, with a link to ours": (ME, OTHER, ME, True, False),
    "another listens in ours": (ME, ME, OTHER, False, False),
    "another listens in ours, named": (ME, ME, OTHER, True, False),
    "root asks a service": (ROOT, OTHER, OTHER, True, True),
    "root asks, and a third one listens": (ROOT, OTHER, THIRD, True, False),
    "root in a default place of another's": (ROOT, OTHER, OTHER, False, False),
    "root's own": (ROOT, ROOT, ROOT, False, True),
}


@pytest.mark.parametrize("name", CASES)
def test_whom_to_believe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S07: the command line sent its text to a socket that somebody else had put into /tmp."""
    me, owner, peer, is_named, is_believed = CASES[name]

    class Peer(socket.socket):
        def getsockopt(self, *_: int) -> bytes:  # type: ignore[override]
            return struct.pack("3i", 1, peer, peer)

    if os.getuid():
        pytest.skip("only root gives away")
    with listen(tmp_path):
        os.chown(tmp_path, owner, -1)
        monkeypatch.setattr(os, "geteuid", lambda: me)
        monkeypatch.setattr(socket, "socket", Peer)
        assert location.is_alive(tmp_path, is_named=is_named) is is_believed
        if not is_believed:
            with pytest.raises(ControlError, match="belongs to another user") as caught:
                location.dial(tmp_path, is_named=is_named)
            assert caught.value.code == 10013


def test_root_does_not_believe_what_anybody_can_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid():
        pytest.skip("only root gives away")
    directory = tmp_path / "run"
    directory.mkdir()
    os.chown(directory, OTHER, -1)
    with listen(directory):
        monkeypatch.setattr(location, "_uid_of_peer", lambda _: OTHER)
        assert location.is_alive(directory, is_named=True)
        tmp_path.chmod(0o1777)
        assert not location.is_alive(directory, is_named=True)


def test_the_kernel_says_who_listens(tmp_path: Path) -> None:
    with listen(tmp_path):
        sock = location.dial(tmp_path, is_named=True)
        assert sock is not None
        with sock:
            assert location._uid_of_peer(sock) == os.getuid()


def test_the_kernel_tells_of_another_one_who_listens_in_our_directory(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can be another user")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / endpoint.CONTROL_SOCKET))
        os.seteuid(OTHER)  # whose it is, is noted when it begins to listen
        sock.listen()
        os.seteuid(0)
        with pytest.raises(ControlError, match="belongs to another user"):
            location.dial(tmp_path, is_named=True)


def test_a_socket_that_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(ControlError, match="belongs to another user"):
        location.dial(tmp_path, is_named=True)


def test_a_directory_that_may_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(ControlError, match="belongs to another user"):
        location.dial(tmp_path, is_named=True)


def test_a_named_server_is_not_searched_for(tmp_path: Path) -> None:
    assert Location(tmp_path, 9001).path == tmp_path
    assert location.find(9001) == endpoint.default_directory(9001)


def test_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: set[str] = set()
    places = [tmp_path / "a", tmp_path / "b"]
    monkeypatch.setattr(endpoint, "candidates", lambda: places)
    monkeypatch.setattr(location, "is_alive", lambda path: path.name in alive)
    with pytest.raises(ControlError, match="no server of yours runs here"):
        location.find(None)
    alive.add("b")
    assert location.find(None) == places[1]
    alive.add("a")
    with pytest.raises(ControlError, match=r"several servers run: .*/a, .*/b") as caught:
        location.find(None)
    assert caught.value.code == 213


def test_candidates_and_who_of_them_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("shardws-1", "shardws-2", "other-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "shardws-1" / endpoint.CONTROL_SOCKET).touch()
    assert tmp_path / "shardws-1" in endpoint.candidates()
    assert tmp_path / "shardws-2" not in endpoint.candidates()
    assert not location.is_alive(tmp_path / "shardws-1")
    with listen(tmp_path / "shardws-2"):
        assert location.is_alive(tmp_path / "shardws-2")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert tmp_path / "shardws-1" not in endpoint.candidates()
