"""The commands for a running server: status, top, reload, scale, stop, conns, disconnect ...

Owns what each prints and its exit code; the server is reached over the control socket. Every
command that changes something prints one line that says what it did.
"""

import argparse
import time

from shardws import control
from shardws.control import failures, location
from shardws.errors import EXIT_FAILED, EXIT_OK
from shardws.log import escaped
from shardws.outcomes import Outcome
from shardws_supervisor.cli import display, output, picture, shapes
from shardws_supervisor.cli.shapes import checked

PAUSE = 0.1  # seconds between two polls of an operation in progress


def connect(namespace: argparse.Namespace) -> control.BlockingClient:
    """Return a client of the server that the options name; ControlError when there is none."""
    named = namespace.run_dir or None
    return control.connect_blocking(named, port=namespace.local_port)


def status(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        report = checked(server.status(), shapes.STATUS)
    if namespace.json:
        output.as_json(report)
    else:
        output.lines(display.status(report, {}))
    return EXIT_OK if report["ready"] else EXIT_FAILED


def top(namespace: argparse.Namespace) -> int:
    """Show the status, refreshed; to a pipe, one report after the other."""
    rates = display.Rates()
    left = namespace.count
    with connect(namespace) as server:
        rates.update(checked(server.status(), shapes.STATUS))
        try:
            while left is None or left > 0:
                time.sleep(namespace.interval)
                report = checked(server.status(), shapes.STATUS)
                picture.draw(display.status(report, rates.update(report)))
                left = None if left is None else left - 1
        except KeyboardInterrupt:
            output.raw("\n")
    return EXIT_OK


def reload(namespace: argparse.Namespace) -> int:
    """Reload and wait for the outcome."""
    with connect(namespace) as server:
        number = checked(server.ask("reload"), shapes.RELOADING)["reloads"]
        while True:
            report = checked(server.status(), shapes.RELOAD_PROGRESS)
            if report["reloads"] != number or report["phase"] != "reloading":
                break
            time.sleep(PAUSE)
    outcome: str = checked(report, shapes.RELOADED)["reload_outcome"]
    if report["last_reload"]["kind"] == "done":
        output.lines([outcome])
        return EXIT_OK
    output.to_stderr(f"{escaped(outcome)}\n")
    return EXIT_FAILED


def upgrade(namespace: argparse.Namespace) -> int:
    """Upgrade and wait for the outcome; the connection outlives the change of the program."""
    with connect(namespace) as server:
        number = checked(server.ask("upgrade"), shapes.UPGRADING)["upgrades"]
        while True:
            report = checked(server.status(), shapes.UPGRADE_PROGRESS)
            if report["upgrades"] != number or report["phase"] != "upgrading":
                break
            time.sleep(PAUSE)
    outcome: str = checked(report, shapes.UPGRADED)["upgrade_outcome"]
    if report["last_upgrade"]["kind"] == "done":
        output.lines([outcome])
        return EXIT_OK
    output.to_stderr(f"{escaped(outcome)}\n")
    return EXIT_FAILED


def scale(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        reply = checked(server.ask("scale", shards=namespace.shards), shapes.SCALED)
    output.lines([f"scaling to {reply['shards']} shards"])
    return EXIT_OK


def stop(namespace: argparse.Namespace) -> int:
    """Stop the server and wait until it is gone."""
    with connect(namespace) as server:
        reply = checked(server.ask("stop", now=namespace.now), shapes.PHASE)
        path = server.run_directory
    if namespace.no_wait:
        return _told_phase(reply)
    assert path is not None
    while location.is_alive(path, is_named=bool(namespace.run_dir)):
        time.sleep(PAUSE)
    output.lines(["the server has stopped"])
    return EXIT_OK


def drain(namespace: argparse.Namespace) -> int:
    """Begin a graceful stop and return at once."""
    with connect(namespace) as server:
        return _told_phase(checked(server.ask("drain"), shapes.PHASE))


def _told_phase(reply: display.Report) -> int:
    output.lines([f"the server is {reply['phase']}"])
    return EXIT_OK


def reopen_logs(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        server.ask("reopen-logs")
    output.lines(["the log file was reopened"])
    return EXIT_OK


def conns(namespace: argparse.Namespace) -> int:
    """List the newest connections of every shard, or those of one shard that follow an id."""
    asked: dict[str, object] = {"sort": namespace.sort, "limit": namespace.limit}
    if namespace.shard is not None:
        asked["shard"] = namespace.shard
    if namespace.after is not None:
        asked["after"] = namespace.after
    with connect(namespace) as server:
        report = checked(server.ask("conns", **asked), shapes.CONNECTIONS)
    if namespace.json:
        output.as_json(report)
    else:
        output.lines(display.connections(report))
    return EXIT_OK


def conn(namespace: argparse.Namespace) -> int:
    """Show one connection."""
    with connect(namespace) as server:
        report = server.connection(namespace.id)
    if namespace.json:
        output.as_json(report)
    else:
        output.lines(display.connection(report))
    return EXIT_OK


def send(namespace: argparse.Namespace) -> int:
    """Send a text and print the outcome; exit code 1 when it was not delivered."""
    with connect(namespace) as server:
        outcome = _outcome(server.ask("send", id=namespace.id, text=namespace.text))
    output.lines([outcome.name])
    return EXIT_OK if outcome.is_success else EXIT_FAILED


def disconnect(namespace: argparse.Namespace) -> int:
    """Close one connection, or all from an address."""
    asked = {"code": namespace.code, "reason": namespace.reason}
    with connect(namespace) as server:
        if namespace.ip:
            reply = server.ask("disconnect", address=namespace.ip, **asked)
            checked(reply, shapes.CLOSED)
            output.lines([f"{reply['count']} connections closed{display.silence(reply)}"])
            return EXIT_OK
        outcome = _outcome(server.ask("disconnect", id=namespace.id, **asked))
    output.lines([f"close {namespace.code} to connection {namespace.id}: {outcome.name}"])
    return EXIT_OK if outcome.is_success else EXIT_FAILED


def _outcome(reply: display.Report) -> Outcome:
    try:
        return Outcome[reply["outcome"]]
    except (KeyError, TypeError):
        raise failures.other_kind("outcome") from None
