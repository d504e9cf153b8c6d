"""The commands for a server that runs: status, top, reload, scale, stop, conns, send, kick ...

Owns what each prints and its exit code; asks over the control socket.
"""

import argparse
import json
import sys
import time

from shardws.errors import EXIT_FAILED, EXIT_OK
from shardws.outcomes import Outcome
from shardws_supervisor import client
from shardws_supervisor.cli import display

PAUSE = 0.1  # seconds between two looks at something under way


def connect(namespace: argparse.Namespace) -> client.Client:
    """Return a connection to the server the options name; StartError when there is none."""
    return client.Client(client.find(namespace.run_dir, namespace.local_port))


def status(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        report = server.ask("status")
    if namespace.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(display.status(report, {})))
    return EXIT_OK if report["ready"] else EXIT_FAILED


def top(namespace: argparse.Namespace) -> int:
    """Show the status again and again; to a pipe, one picture after the other."""
    rates = display.Rates()
    is_terminal = sys.stdout.isatty()
    left = namespace.count
    with connect(namespace) as server:
        rates.update(server.ask("status"))
        try:
            while left is None or left > 0:
                time.sleep(namespace.interval)
                report = server.ask("status")
                lines = display.status(report, rates.update(report))
                # Home, each line cleared to its end, then what is below: no flicker.
                start, end, last = (
                    ("\x1b[H", "\x1b[K\n", "\x1b[J") if is_terminal else ("", "\n", "\n")
                )
                sys.stdout.write(start + end.join(lines) + end + last)
                sys.stdout.flush()
                left = None if left is None else left - 1
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return EXIT_OK


def reload(namespace: argparse.Namespace) -> int:
    """Reload and wait for the outcome."""
    with connect(namespace) as server:
        number = server.ask("reload")["reloads"]
        while True:
            report = server.ask("status")
            if report["reloads"] != number or report["phase"] != "reloading":
                break
            time.sleep(PAUSE)
    outcome = str(report["reload_outcome"])
    is_good = outcome.startswith("reloaded")
    print(outcome, file=sys.stdout if is_good else sys.stderr)
    return EXIT_OK if is_good else EXIT_FAILED


def scale(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        server.ask("scale", shards=namespace.shards)
    return EXIT_OK


def stop(namespace: argparse.Namespace) -> int:
    """Stop the server and wait until it is gone."""
    with connect(namespace) as server:
        server.ask("stop", now=namespace.now)
        path = server.path
    while not namespace.no_wait and client.is_alive(path):
        time.sleep(PAUSE)
    return EXIT_OK


def drain(namespace: argparse.Namespace) -> int:
    """Begin a graceful stop and return at once."""
    with connect(namespace) as server:
        server.ask("drain")
    return EXIT_OK


def reopen_logs(namespace: argparse.Namespace) -> int:
    with connect(namespace) as server:
        server.ask("reopen-logs")
    return EXIT_OK


def conns(namespace: argparse.Namespace) -> int:
    """List the newest connections of every shard."""
    with connect(namespace) as server:
        asked: dict[str, object] = {"sort": namespace.sort, "limit": namespace.limit}
        if namespace.shard is not None:
            asked["shard"] = namespace.shard
        report = server.ask("conns", **asked)
    if namespace.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(display.connections(report)))
    return EXIT_OK


def conn(namespace: argparse.Namespace) -> int:
    """Show one connection."""
    with connect(namespace) as server:
        report = server.ask("conn", id=namespace.id)
    if namespace.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(display.connection(report)))
    return EXIT_OK


def send(namespace: argparse.Namespace) -> int:
    """Send a text and say what became of it; exit code 1 when it did not arrive."""
    with connect(namespace) as server:
        outcome = str(server.ask("send", id=namespace.id, text=namespace.text)["outcome"])
    print(outcome)
    return EXIT_OK if Outcome[outcome].is_success else EXIT_FAILED


def kick(namespace: argparse.Namespace) -> int:
    """Close one connection, or all from an address."""
    asked = {"code": namespace.code, "reason": namespace.reason}
    with connect(namespace) as server:
        if namespace.ip:
            print(
                f"{server.ask('kick', address=namespace.ip, **asked)['count']} connections closed"
            )
            return EXIT_OK
        outcome = str(server.ask("kick", id=namespace.id, **asked)["outcome"])
    print(outcome)
    return EXIT_OK if Outcome[outcome].is_success else EXIT_FAILED
