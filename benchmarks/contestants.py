"""Who is measured: one row each, with how it is started and what it can take part in.

All serve with one process (cross: two), uvloop where it can be chosen, and otherwise as they come.
None compresses, because the generator offers no extension. The servers of others are small files
in servers/ and run in .venv-bench; shardws is started as its users start it.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.matrix import Section

PROJECT = Path(__file__).resolve().parent.parent.parent
SERVERS = Path(__file__).resolve().parent / "servers"
PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
BASE = "shardws"  # whom the ratios are to


ALWAYS = frozenset({"quick", "default", "full"})
USUAL = frozenset({"default", "full"})
RARE = frozenset({"full"})


@dataclass(frozen=True)
class Place:
    """What one start may use: two ports, an empty directory, a certificate in the section TLS."""

    port: int
    port2: int
    directory: Path
    shards: int = 1
    certificate: Path | None = None
    key: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.certificate, self.key) if self.certificate and self.key else ()


@dataclass(frozen=True)
class Command:
    """A process to start; it is up when `ready`, a port or a file, is there."""

    argv: list[str | Path]
    ready: int | Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    """A server: `says` is for readers, `packages` are those whose versions count."""

    name: str
    says: str
    packages: tuple[str, ...]
    commands: Callable[[Place], list[Command]]
    sections: frozenset[Section]
    matrices: frozenset[str] = USUAL  # whose part it is without being named
    needs: str = ""  # a program that must be installed
    has_two_ports: bool = False

    def missing(self) -> str:
        """Why it cannot run here; "" when it can."""
        if self.needs and shutil.which(self.needs) is None:
            return f"{self.name}: no {self.needs} on this machine"
        if self.packages[0] != BASE and not PYTHON.exists():
            return f"{self.name}: .venv-bench is not there, `make bench` makes it"
        return ""


ALONE = frozenset({Section.ECHO, Section.STORM, Section.BROADCAST, Section.MEMORY, Section.TLS})


def shardws(
    application: str = "benchmarks.application:server", codec: str = ""
) -> Callable[[Place], list[Command]]:
    def commands(place: Place) -> list[Command]:
        name = "examples.demo:server" if place.shards > 1 else application
        address = ["--local-host", "127.0.0.1", "--local-port", str(place.port)]
        words: list[str] = [
            *address,
            "--shards",
            str(place.shards),
            "--run-dir",
            f"{place.directory}/run",
        ]
        environment = {"SHARDWS_CODEC": codec} if codec else {}
        if place.certificate:
            environment |= {"SHARDWS_USE_SSL": "true"}
            environment |= {"SHARDWS_SSL_CERT_STORE": f"{place.directory}/both.pem"}
        argv: list[str | Path] = [Path(sys.executable).parent / "shardws", "run", name, *words]
        return [Command(argv, place.port, environment)]

    return commands


def script(name: str) -> Callable[[Place], list[Command]]:
    def commands(place: Place) -> list[Command]:
        return [Command([PYTHON, SERVERS / name, str(place.port), *place.files], place.port)]

    return commands


def uvicorn(protocol: str) -> Callable[[Place], list[Command]]:
    def commands(place: Place) -> list[Command]:
        words = f"asgi_echo:app --loop uvloop --ws {protocol} --log-level warning --backlog 4096"
        tls: list[str | Path] = []
        if place.files:
            tls = ["--ssl-certfile", place.files[0], "--ssl-keyfile", place.files[1]]
        address = ["--app-dir", str(SERVERS), "--host", "127.0.0.1", "--port", str(place.port)]
        return [Command([PYTHON, "-m", "uvicorn", *words.split(), *address, *tls], place.port)]

    return commands


def granian(interface: str) -> Callable[[Place], list[Command]]:
    def commands(place: Place) -> list[Command]:
        words = f"{interface}_echo:app --interface {interface} --loop uvloop --no-access-log"
        tls: list[str | Path] = []
        if place.files:
            tls = ["--ssl-certificate", place.files[0], "--ssl-keyfile", place.files[1]]
        address = ["--working-dir", str(SERVERS), "--host", "127.0.0.1", "--port", str(place.port)]
        return [Command([PYTHON, "-m", "granian", *words.split(), *address, *tls], place.port)]

    return commands


def redis_pair(way: str) -> Callable[[Place], list[Command]]:
    def commands(place: Place) -> list[Command]:
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
        "`shardws run`, one shard; C body of the codec",
        (BASE, "uvloop", "wsproto"),
        shardws(),
        ALONE | {Section.CROSS},
        ALWAYS,
    ),
    Contestant(
        "shardws_python",
        "the same with the Python body of the codec",
        (BASE,),
        shardws(codec="python"),
        ALONE | {Section.CROSS},
        RARE,
    ),
    Contestant(
        "picows",
        "Cython; small server on uvloop",
        ("picows", "uvloop"),
        script("picows_echo.py"),
        ALONE,
        ALWAYS,
    ),
    Contestant(
        "granian",
        "Rust; RSGI application, one worker",
        ("granian",),
        granian("rsgi"),
        ALONE,
        ALWAYS,
    ),
    Contestant(
        "granian_asgi",
        "the same with an ASGI application",
        ("granian",),
        granian("asgi"),
        ALONE,
        RARE,
    ),
    Contestant(
        "aiohttp",
        "its server on uvloop",
        ("aiohttp", "uvloop"),
        script("aiohttp_echo.py"),
        ALONE,
    ),
    Contestant(
        "uvicorn",
        "ASGI application, `--ws websockets-sansio`, its fastest",
        ("uvicorn", "websockets", "uvloop"),
        uvicorn("websockets-sansio"),
        ALONE,
    ),
    Contestant(
        "uvicorn_wsproto",
        "the same with `--ws wsproto`",
        ("uvicorn", "wsproto", "uvloop"),
        uvicorn("wsproto"),
        ALONE,
        RARE,
    ),
    Contestant(
        "websockets",
        "its asyncio server on uvloop",
        ("websockets", "uvloop"),
        script("websockets_echo.py"),
        ALONE,
        ALWAYS,
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


def choose(names: list[str], matrix: str) -> list[Contestant]:
    """Those named, or all that belong to a matrix; the base first. Raises ValueError."""
    known = {one.name: one for one in CONTESTANTS}
    for name in names:
        if name not in known:
            raise ValueError(f"no contestant {name!r}: one of {', '.join(known)}")
    if names:
        return [one for one in CONTESTANTS if one.name in names or one.name == BASE]
    return [one for one in CONTESTANTS if matrix in one.matrices]
