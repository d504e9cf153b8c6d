"""Starting: the listening line means that a client can connect; whatever is wrong is one line."""

import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from tests.proc import descriptors_of, is_alive, workers_of
from tests.processes.applications import only_in_shards
from tests.processes.conftest import RunServer, WriteApp, eventually, free_port, greeting

pytestmark = pytest.mark.processes


def test_listening_means_that_a_client_can_connect(run_server: RunServer) -> None:
    server = run_server(shards=2)
    with server.connect() as client:
        hello = greeting(client)
    assert hello["pid"] in server.shard_pids().values()
    report = server.status()
    assert (report["phase"], report["ready"], report["pid"]) == ("serving", True, server.pid)
    assert server.wait_for_line(r"room for (\d+) connections: (\d+) descriptors per process")
    assert server.run_dir.stat().st_mode & 0o777 == 0o700
    assert (server.run_dir / "control.sock").stat().st_mode & 0o777 == 0o600


def test_shards_have_no_descriptors_of_their_supervisor(run_server: RunServer) -> None:
    server = run_server(shards=3)

    listening = [link for link in descriptors_of(server.pid) if link.startswith("socket:")]
    for slot, pid in server.shard_pids().items():
        mine = descriptors_of(pid)
        assert not [link for link in mine if link.endswith("supervisor.pid")], slot
        shared = [link for link in listening if link in mine]
        assert len(shared) == 1, "its own slot's listener and nothing else"


def test_three_servers_can_run_side_by_side(run_server: RunServer) -> None:
    ports = {run_server(shards=1).port for _ in range(3)}
    assert len(ports) == 3


FAILURES = {
    "no such module": ("nosuch:server", "", 3, r"no module named 'nosuch' \(looked in "),
    "no such attribute": ("app:sever", "x = 1", 3, "module 'app' has no attribute 'sever'"),
    "not a server": ("app:x", "x = 1", 3, "app:x is no App and no WebSocketServer but int"),
    "no attribute named": ("app", "", 2, "'app' is not an application: use MODULE:ATTR"),
    "exception in the import": (
        "app:server",
        "import os\nraise RuntimeError('no database')",
        1,
        r"app:server cannot be imported: RuntimeError: no database \(.*app.py:2\)",
    ),
    "import error in the import": (
        "app:server",
        "import nosuch_inside",
        3,
        r"ModuleNotFoundError: No module named 'nosuch_inside' \(.*app.py:1\)",
    ),
    "syntax error": ("app:server", "def f(:", 3, r"SyntaxError: .* \(.*app.py:1\)"),
    "exit in the import": (
        "app:server",
        "raise SystemExit(7)",
        1,
        r"app:server cannot be imported: SystemExit: 7 \(.*app.py:1\)",
    ),
    "death in the import": (
        "app:server",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
        1,
        "the application was killed by SIGSEGV while it was imported",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_application_that_cannot_be_served_is_one_line(
    launch: RunServer, write_app: WriteApp, name: str
) -> None:
    reference, text, code, words = FAILURES[name]
    write_app(text)
    server = launch(reference)
    assert server.wait_for_exit() == code
    server.wait_for_line("^shardws: .*" + words)
    assert "Traceback" not in server.log
    assert not server.run_dir.exists()


BAD_OPTIONS = {
    "unknown option": (["--local-prot", "1"], "unrecognized arguments: --local-prot"),
    "bad value": (["--drain-deadline", "soon"], "DrainDeadline: .*--drain-deadline"),
    "out of bounds": (["--shards", "1000"], "Shards: must be "),
    "config file missing": (["--config", "nosuch.toml"], "nosuch.toml"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_a_wrong_command_line_is_exit_code_2(launch: RunServer, name: str) -> None:
    options, words = BAD_OPTIONS[name]
    server = launch("examples.demo:server", *options)
    assert server.wait_for_exit() == 2
    server.wait_for_line(words)
    assert "Traceback" not in server.log


def test_a_misspelt_setting_in_the_file_names_the_nearest(
    launch: RunServer, tmp_path: Path
) -> None:
    (tmp_path / "s.toml").write_text("drain_deadlin = 3\n")
    server = launch("examples.demo:server", "--config", "s.toml")
    assert server.wait_for_exit() == 2
    server.wait_for_line("^shardws: .*drain_deadlin.*[dD]rain_?[dD]eadline")


def test_a_port_in_use_is_named(launch: RunServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = launch(port=port)
        assert server.wait_for_exit() == 1
    server.wait_for_line(f"^shardws: cannot listen on 127.0.0.1:{port}: the address is in use$")
    assert not server.run_dir.exists()


def test_a_second_server_on_the_port_is_refused(run_server: RunServer, launch: RunServer) -> None:
    first = run_server()
    second = launch(port=first.port)
    assert second.wait_for_exit() == 1
    second.wait_for_line(f"cannot listen on 127.0.0.1:{first.port}: the address is in use")
    with first.connect() as client:
        assert greeting(client)["shard"] in (0, 1)


def test_a_second_server_in_the_run_directory_is_refused_by_pid(
    run_server: RunServer, launch: RunServer
) -> None:
    first = run_server()
    second = launch(run_dir=first.run_dir)
    assert second.wait_for_exit() == 1
    second.wait_for_line(
        f"^shardws: run directory .* is in use by the server with pid {first.pid}$"
    )
    with first.connect() as client:
        assert greeting(client)["shard"] in (0, 1)


def test_an_unwritable_run_directory_is_explained(launch: RunServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = launch(run_dir=tmp_path / "file" / "run")
    assert server.wait_for_exit() == 3
    server.wait_for_line("^shardws: run directory .*/file/run cannot be made: ")


def test_the_port_is_free_again_after_a_stop_with_clients(run_server: RunServer) -> None:
    """TIME_WAIT of closed connections must not keep a new server from the port."""
    server = run_server()
    clients = [server.connect() for _ in range(4)]
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    for client in clients:
        client.close()
    again = run_server(port=server.port)
    assert again.port == server.port


def test_more_connections_than_descriptors_are_refused_with_both_numbers(
    launch: RunServer,
) -> None:
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = launch("examples.demo:server", "--max-connections", "2000000000")
    assert server.wait_for_exit() == 3
    server.wait_for_line(
        rf"^shardws: MaxConnections is 2000000000, but RLIMIT_NOFILE {descriptors} allows \d+ "
    )


def test_an_error_only_a_shard_meets_stops_the_start(
    launch: RunServer, write_app: WriteApp
) -> None:
    """The probe child imports in peace, the shards cannot: no respawn loop at the start."""
    reference = write_app(only_in_shards("raise RuntimeError('only in a shard')"))
    server = launch(reference)
    assert server.wait_for_exit() == 1
    server.wait_for_line("^shardws: app:server cannot be imported: RuntimeError: only in a shard")
    assert not server.run_dir.exists()


def test_a_start_can_be_stopped_while_the_application_is_imported(
    launch: RunServer, write_app: WriteApp
) -> None:
    reference = write_app(
        only_in_shards(
            "import sys, time\nsys.stderr.write('importing in a shard\\n')\ntime.sleep(60)"
        )
    )
    server = launch(reference)
    server.wait_for_line("importing in a shard")
    eventually(lambda: len(workers_of(server.pid)) == 2)
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit(10) == 0
    assert "listening" not in server.log


def test_ctrl_c_while_the_application_is_probed_is_one_line(
    launch: RunServer, write_app: WriteApp
) -> None:
    """It was a traceback of the supervisor, and a death by the signal."""
    reference = write_app("import sys, time\nsys.stderr.write('importing\\n')\ntime.sleep(60)\n")
    server = launch(reference)
    server.wait_for_line("importing")
    server.signal(signal.SIGINT)
    assert server.wait_for_exit(10) == 128 + signal.SIGINT
    assert server.lines[-1] == "shardws: interrupted"
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 128 + signal.SIGHUP)]
)
def test_a_signal_while_the_application_is_probed_is_one_line(
    launch: RunServer, write_app: WriteApp, number: signal.Signals, code: int
) -> None:
    """It was a death by the signal, without a word."""
    reference = write_app(
        "import os, sys, time\nsys.stderr.write(f'importing {os.getpid()}\\n')\ntime.sleep(60)\n"
    )
    server = launch(reference)
    probe = int(server.wait_for_line(r"importing (\d+)")[1])
    server.signal(number)
    assert server.wait_for_exit(10) == code
    assert server.lines[-1] == f"shardws: received {number.name} during startup"
    assert "Traceback" not in server.log
    eventually(lambda: not is_alive(probe))


def test_a_starter_may_ignore_the_ends_of_its_children(run_server: RunServer) -> None:
    """The probe ended without a status to wait for: a traceback."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        server = run_server(shards=1)
    finally:
        signal.signal(signal.SIGCHLD, before)
    os.kill(greeting(server.connect())["pid"], signal.SIGKILL)
    server.wait_for_line("was killed by SIGKILL; next start in")
    server.wait_for_status(lambda report: report["ready"])


# In a shard the port is bound, and nobody listens yet.
TAKES_THE_PORT = """
import socket
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("127.0.0.1", int(os.environ["PORT"])))
held.listen()
"""


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_a_port_that_somebody_takes_during_the_start_stops_it(
    launch: RunServer, write_app: WriteApp, mode: str
) -> None:
    """Linux allows that between bind and listen, also without SO_REUSEPORT."""
    port = free_port()
    options = ("--accept-mode", mode, "--start-timeout", "2s")
    server = launch(
        write_app(only_in_shards(TAKES_THE_PORT)),
        *options,
        port=port,
        shards=1,
        env={"PORT": str(port)},
    )
    assert server.wait_for_exit() == 1
    server.wait_for_line(r"^shardws: (cannot listen on port|\S+ is not listening in time)")
    server.wait_for_line("cannot listen.*: Address already in use")
    assert "Traceback" not in server.log
