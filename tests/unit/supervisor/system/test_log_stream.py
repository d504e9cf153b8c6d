"""log_stream: a line is written now or not at all, whoever reads the other end."""

import errno
import os
import pty
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from shardws_supervisor.system.log_stream import PIPE_BUF, Stream

LINE = b"x" * 99 + b"\n"


def fill(stream: Stream) -> int:
    """Write lines until one is refused; return how many bytes were taken."""
    taken = 0
    while True:
        try:
            taken += stream.write(LINE)
        except BlockingIOError:  # EAGAIN
            return taken


def test_a_pipe_that_nobody_reads_is_no_reason_to_wait() -> None:
    reader, writer = os.pipe()
    stream = Stream(writer)
    taken = fill(stream)
    assert taken > 1000
    assert os.get_blocking(writer), "what is shared with others stays as it was"
    assert os.read(reader, taken + 1000) == LINE * (taken // 100)
    assert stream.write(LINE) == 100
    stream.close()
    os.write(writer, b"open")
    for file in (reader, writer):
        os.close(file)


def test_a_pipe_of_another_user_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    reader, writer = os.pipe()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        stream = Stream(writer)
    assert stream.fileno() == writer
    assert stream.write(b"y" * (3 * PIPE_BUF)) == 3 * PIPE_BUF
    assert fill(stream) > 1000
    with pytest.raises(BlockingIOError):
        stream.write(LINE)
    stream.close()
    for file in (reader, writer):
        os.close(file)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_of_a_service_manager(kind: socket.SocketKind) -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, kind)
    with theirs, ours:
        stream = Stream(ours.fileno())
        assert fill(stream) > 100
        assert os.get_blocking(ours.fileno())
        theirs.recv(1 << 20)
        theirs.close()
        with pytest.raises(OSError, match=r"Broken pipe|Connection re"):
            stream.write(LINE)
        stream.close()


def test_a_terminal_that_was_stopped_by_its_user() -> None:
    ours, terminal = pty.openpty()
    stream = Stream(terminal)
    assert stream.fileno() != terminal
    assert fill(stream) > 100
    stream.close()
    os.close(terminal)
    os.close(ours)


BACKGROUND = """
import fcntl, os, pty, signal, termios
from shardws_supervisor.system.log_stream import Stream
pid, terminal = pty.fork()
if pid == 0:
    attributes = termios.tcgetattr(2)
    attributes[3] |= termios.TOSTOP
    termios.tcsetattr(2, termios.TCSANOW, attributes)
    signal.signal(signal.SIGTTOU, lambda *_: None)
    if os.fork() == 0:
        os.setpgid(0, 0)
        Stream(2).write(b"from behind\\n")
        os._exit(0)
    os.wait()
    os._exit(0)
assert os.read(terminal, 100).strip() == b"from behind"
"""


def test_a_terminal_whose_foreground_is_another_group(run_script: Callable[[str], str]) -> None:
    run_script(BACKGROUND)


def test_a_file_and_a_closed_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        stream = Stream(file.fileno())
        assert stream.write(LINE) == 100
        assert stream.fileno() == file.fileno()
        stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        Stream(9999).write(LINE)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
