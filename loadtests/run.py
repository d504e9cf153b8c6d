"""`make load` and `make load-ui`: start a server on a free port and run locust against it.

    python -m loadtests.run [--host ws://HOST:PORT] [--ui] [--shards 2] [--tls]
        [-- OPTIONS OF LOCUST]

With --host a running server is loaded and none is started; with --tls the started server
serves wss, with a certificate made for it. The exit code is locust's: 1 when a
gate was missed. The server's CPU use is printed after the generator's, to show which side
was busy.
"""

import argparse
import subprocess
import sys
import time

from benchmarks.contestants import shardws
from benchmarks.errors import StartFailed
from benchmarks.packages import PROJECT
from benchmarks.processes import end_on_term
from benchmarks.serving import serving

LOCUSTFILE = PROJECT / "loadtests" / "locustfile.py"
SECONDS_BEYOND = 60.0  # for spawning, stopping and the report
HEADLESS = ["--headless", "--only-summary"]


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loadtests.run", description=__doc__)
    add = parser.add_argument
    add("--host", default="", help="a running server (ws:// or wss://); none is started")
    add("--ui", action="store_true", help="locust's web page, on 127.0.0.1:8089, until Ctrl-C")
    add("--shards", type=int, default=2, help="shards of the started server (%(default)s)")
    add("--tls", action="store_true", help="use wss for the started server")
    add("--users", type=int, default=30, help="(%(default)s)")
    add("--seconds", type=int, default=15, help="(%(default)s)")
    add("locust", nargs="*", help="after --: options of locust, e.g. --max-p95 100 Echo")
    return parser.parse_args(words)


def locust_command(args: argparse.Namespace, host: str) -> list[str]:
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", host]
    if args.ui:
        return [*words, "--web-host", "127.0.0.1", "-u", str(args.users), *args.locust]
    amount = ["-u", str(args.users), "-r", str(args.users), "-t", f"{args.seconds}s", "-s", "2"]
    return [*words, *HEADLESS, *amount, *args.locust]


def run_locust(args: argparse.Namespace, host: str) -> int:
    """Locust's exit code; 1 when it does not end by itself."""
    limit = None if args.ui else args.seconds + SECONDS_BEYOND
    try:
        return subprocess.run(locust_command(args, host), cwd=PROJECT, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        print(f"load: locust did not end within {limit:.0f} s")
        return 1
    except KeyboardInterrupt:
        return 0 if args.ui else 1


def run_with_server(args: argparse.Namespace) -> int:
    """Start a server, load it, stop it; raises StartFailed."""
    demo = shardws("examples.demo:server")
    with serving(demo, shards=args.shards, has_tls=args.tls) as server:
        if args.tls:
            args.locust = ["--ca-file", str(server.place.files[0]), *args.locust]
        host = f"{'wss' if args.tls else 'ws'}://127.0.0.1:{server.place.port}"
        processes, alive = server.processes, set(server.pids)
        before, start = processes.cpu_seconds(), time.perf_counter()
        code = run_locust(args, host)
        used = (processes.cpu_seconds() - before) / (time.perf_counter() - start)
        print(f"server: {used:.0%} of a core, {processes.resident_kib() / 1024:.0f} MiB resident")
        if alive - set(server.pids):
            print(f"load: a process of the server ended: {processes.log_tail()}")
            return 1
    return code


def main() -> int:
    args = parse_arguments(sys.argv[1:])
    end_on_term()
    if args.host and "://" not in args.host:
        args.host = f"ws://{args.host}"
    try:
        return run_locust(args, args.host) if args.host else run_with_server(args)
    except StartFailed as error:
        print(f"load: the server does not start: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
