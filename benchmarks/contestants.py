"""The servers measured: one row each, with how it is started and the sections it takes part in.

All serve with one process (cross: two), uvloop where it can be chosen, and otherwise their
defaults. None compresses, because the generator offers no extension. The other servers are small
files in servers/, run by what the Makefile installs: Python packages into .venv-bench, npm packages
into build/bench/js. shardws is started as its users start it.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import packages
from benchmarks.matrix import Section
from benchmarks.options import check_names
from benchmarks.serving import Command, Commands, Place

SERVERS = Path(__file__).resolve().parent / "servers"
PYTHON = packages.VENV / "bin" / "python"
BUN = packages.NODE_MODULES / ".bin" / "bun"
BASE = "shardws"  # the ratios are relative to it

ALWAYS = frozenset({"quick", "default", "full"})
USUAL = frozenset({"default", "full"})
RARE = frozenset({"full"})


ALONE = frozenset({Section.ECHO, Section.STORM, Section.BROADCAST, Section.MEMORY, Section.TLS})
BOTH = ALONE | {Section.CROSS}


@dataclass(frozen=True)
class Contestant:
    """A server: `says` describes it, `packages` are those whose versions are reported."""

    name: str
    says: str
    packages: tuple[str, ...]
    commands: Commands
    sections: frozenset[Section] = ALONE
    matrices: frozenset[str] = USUAL  # the matrices it is part of by default
    needs: str = ""  # a program that must be installed
    has_two_ports: bool = False

    def versions(self) -> dict[str, str]:
        """Versions of its program and packages by name; "" for what is not installed."""
        found = packages.own if self.packages[0] == BASE else packages.theirs
        programs = {self.needs: packages.program(self.needs)} if self.needs else {}
        return programs | {name: found(name) for name in self.packages}

    def missing(self) -> str:
        """Why it cannot run here; "" when it can."""
        if self.needs and shutil.which(self.needs) is None:
            return f"{self.name}: no {self.needs} on this machine"
        lacking = [name for name, version in self.versions().items() if not version]
        if lacking:
            return f"{self.name}: {', '.join(lacking)} not installed; `make bench` does that"
        return ""


def shardws(application: str, *options: str, codec: str = "") -> Commands:
    """`shardws run` with as many shards as the section asks for."""

    def commands(place: Place) -> Sequence[Command]:
        argv: list[str | Path] = [Path(sys.executable).parent / "shardws", "run", application]
        argv += ["--local-host", "127.0.0.1", "--local-port", str(place.port)]
        argv += ["--shards", str(place.shards), "--run-dir", place.directory / "run", *options]
        environment = {"SHARDWS_CODEC": codec} if codec else {}
        if place.files:
            environment["SHARDWS_USE_SSL"] = "true"
            environment["SHARDWS_SSL_CERT_STORE"] = f"{place.directory}/both.pem"
        return [Command(argv, place.port, environment)]

    return commands


def ours(codec: str = "") -> Commands:
    """Echo with one shard, the demo with several."""

    def commands(place: Place) -> Sequence[Command]:
        name = "examples.demo" if place.shards > 1 else "benchmarks.application"
        return shardws(f"{name}:server", codec=codec)(place)

    return commands


def script(program: str | Path, name: str, **environment: str) -> Commands:
    def commands(place: Place) -> Sequence[Command]:
        argv = [program, SERVERS / name, str(place.port), *place.files]
        return [Command(argv, place.port, environment)]

    return commands


def application(words: str, *, directory: str, certificate: str, key: str) -> Commands:
    """An application server as a module; the last three are the names of its options."""

    def commands(place: Place) -> Sequence[Command]:
        argv: list[str | Path] = [PYTHON, "-m", *words.split(), f"--{directory}", SERVERS]
        argv += ["--loop", "uvloop", "--host", "127.0.0.1", "--port", str(place.port)]
        for option, file in zip((certificate, key), place.files, strict=False):
            argv += [f"--{option}", file]
        return [Command(argv, place.port)]

    return commands


def uvicorn(protocol: str) -> Commands:
    return application(
        f"uvicorn asgi_echo:app --ws {protocol} --log-level warning --backlog 4096",
        directory="app-dir",
        certificate="ssl-certfile",
        key="ssl-keyfile",
    )


def granian(interface: str) -> Commands:
    return application(
        f"granian {interface}_echo:app --interface {interface} --no-access-log",
        directory="working-dir",
        certificate="ssl-certificate",
        key="ssl-keyfile",
    )


def redis_pair(way: str) -> Commands:
    def commands(place: Place) -> Sequence[Command]:
        socket = place.directory / "redis.sock"
        options: list[str | Path] = ["--port", "0", "--save", "", "--unixsocket", socket]
        demo = [PYTHON, SERVERS / "redis_demo.py"]
        return [
            Command(["redis-server", *options], socket),
            Command([*demo, str(place.port), "0", socket, way], place.port),
            Command([*demo, str(place.port2), "1", socket, way], place.port2),
        ]

    return commands


CONTESTANTS = (
    Contestant(
        BASE,
        "`shardws run`, one shard; C implementation of the codec",
        (BASE, "uvloop", "wsproto"),
        ours(),
        BOTH,
        ALWAYS,
    ),
    Contestant(
        "shardws_python",
        "the same with the Python implementation of the codec",
        (BASE,),
        ours(codec="python"),
        BOTH,
        RARE,
    ),
    Contestant(
        "picows",
        "Cython; small server on uvloop",
        ("picows", "uvloop"),
        script(PYTHON, "picows_echo.py"),
        matrices=ALWAYS,
    ),
    Contestant(
        "bun", "`Bun.serve`, JavaScript; uWebSockets inside", ("bun",), script(BUN, "bun_echo.js")
    ),
    Contestant(
        "socketify",
        "uWebSockets (C++) called through cffi",
        ("socketify",),
        script(PYTHON, "socketify_echo.py"),
    ),
    Contestant(
        "granian",
        "Rust; RSGI application, one worker",
        ("granian",),
        granian("rsgi"),
        matrices=ALWAYS,
    ),
    Contestant(
        "granian_asgi",
        "the same with an ASGI application",
        ("granian",),
        granian("asgi"),
        matrices=RARE,
    ),
    Contestant(
        "node_ws",
        "ws on node",
        ("ws",),
        script("node", "ws_echo.js", NODE_PATH=str(packages.NODE_MODULES)),
        needs="node",
    ),
    Contestant(
        "aiohttp", "its server on uvloop", ("aiohttp", "uvloop"), script(PYTHON, "aiohttp_echo.py")
    ),
    Contestant(
        "uvicorn",
        "ASGI application, `--ws websockets-sansio`, its fastest",
        ("uvicorn", "websockets", "uvloop"),
        uvicorn("websockets-sansio"),
    ),
    Contestant(
        "uvicorn_wsproto",
        "the same with `--ws wsproto`",
        ("uvicorn", "wsproto", "uvloop"),
        uvicorn("wsproto"),
        matrices=RARE,
    ),
    Contestant(
        "websockets",
        "its asyncio server on uvloop",
        ("websockets", "uvloop"),
        script(PYTHON, "websockets_echo.py"),
        matrices=ALWAYS,
    ),
    Contestant(
        "redis_batch",
        "two picows processes and Redis pub/sub, publishes in pipelines",
        ("redis", "hiredis", "picows"),
        redis_pair("batch"),
        frozenset({Section.CROSS}),
        ALWAYS,
        needs="redis-server",
        has_two_ports=True,
    ),
    Contestant(
        "redis_each",
        "the same, each publish awaited",
        ("redis", "hiredis", "picows"),
        redis_pair("each"),
        frozenset({Section.CROSS}),
        needs="redis-server",
        has_two_ports=True,
    ),
)


def choose(names: Sequence[str], matrix: str) -> list[Contestant]:
    """Those named, or all that belong to a matrix; the base first. Raises CannotRun."""
    check_names("contestant", names, [one.name for one in CONTESTANTS])
    if names:
        return [one for one in CONTESTANTS if one.name in names or one.name == BASE]
    return [one for one in CONTESTANTS if matrix in one.matrices]
