"""application: MODULE:ATTR becomes an object, or one line says why not."""

import logging
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, EXIT_USAGE, StartError
from shardws.shard.application import Application
from shardws_supervisor.plan import application, directory
from shardws_supervisor.system import logs

GOOD = """
from shardws.settings import Settings
class Server:
    def __init__(self):
        self.settings = Settings()
server = Server()
class holder:
    inner = server
"""


def load(reference: str) -> Application:
    return application.load(reference, directory.current(os.environ))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("./examples/hello.py:server", "such as examples.hello:server "),
        ("hello.py", "such as hello:server "),
        ("hello", "such as hello:server "),
        ("hello:server()", "such as hello:server "),
        ("hello:", "such as hello:server "),
        ("", "as in examples.demo:server"),
        ("../hello.py:server", "as in examples.demo:server"),
    ],
)
def test_what_was_probably_meant_is_named(reference: str, hint: str) -> None:
    with pytest.raises(StartError, match="use MODULE:ATTR, ") as caught:
        application.split(reference)
    assert f"use MODULE:ATTR, {hint}" in caught.value.description


@pytest.mark.parametrize(
    "reference", ["", "app", "app:", ":server", "app:a-b", "a b:server", "app.:x", "../app:server"]
)
def test_what_is_no_reference_is_a_usage_error(reference: str) -> None:
    with pytest.raises(StartError, match="use MODULE:ATTR") as caught:
        application.split(reference)
    assert caught.value.exit_code == EXIT_USAGE


def test_split() -> None:
    assert application.split("a.b:c.d") == ("a.b", "c.d")


@pytest.mark.parametrize("attribute", ["server", "holder.inner"])
def test_load_from_the_current_directory(here: Path, attribute: str) -> None:
    (here / "good_app.py").write_text(GOOD)
    assert load(f"good_app:{attribute}").settings.explicit() == {}
    assert sys.path[0] == str(here)
    load(f"good_app:{attribute}")
    assert sys.path.count(str(here)) == 1


def test_a_file_name_instead_of_a_module_gets_a_hint(here: Path) -> None:
    (here / "good_app.py").write_text(GOOD)
    with pytest.raises(StartError, match=r"no module named 'good_app\.py'.*; use good_app:server"):
        load("good_app.py:server")


@pytest.mark.parametrize("module", ["nosuch", "nosuch.deep", "good_app.nosuch"])
def test_no_such_module(here: Path, module: str) -> None:
    (here / "good_app.py").write_text(GOOD)
    with pytest.raises(StartError, match=r"no module named '[\w.]*nosuch'") as caught:
        load(f"{module}:server")
    assert caught.value.exit_code == EXIT_CANNOT_START


def test_no_such_attribute(here: Path) -> None:
    (here / "good_app.py").write_text(GOOD)
    with pytest.raises(StartError, match="module 'good_app' has no attribute 'sever'"):
        load("good_app:sever")


@pytest.mark.parametrize(
    ("attribute", "kind"), [("Server", "the class Server"), ("Settings", "the class"), ("n", "int")]
)
def test_not_a_server(here: Path, attribute: str, kind: str) -> None:
    (here / "good_app.py").write_text(GOOD + "n = 1\n")
    with pytest.raises(StartError, match=f"is no App and no WebSocketServer but {kind}"):
        load(f"good_app:{attribute}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\nraise RuntimeError('no\\ndatabase')", "RuntimeError: no.*bad_app.py:2"),
        (
            "import nosuch_inside",
            "ModuleNotFoundError: No module named 'nosuch_inside' .*bad_app.py:1",
        ),
        ("def f(:\n  pass", "SyntaxError: .*bad_app.py:1"),
        ("import sys\nsys.exit('bye')", "SystemExit: bye .*bad_app.py:2"),
        ("raise SystemExit", "SystemExit .*bad_app.py:1"),
        (
            "from shardws import WebSocketServer\nWebSocketServer().config('LocalProt=1')",
            "shardws.errors.SettingError: there is no setting 'LocalProt'.*bad_app.py:2",
        ),
    ],
)
def test_an_error_inside_the_application_names_line_and_reason(
    here: Path, source: str, words: str
) -> None:
    (here / "bad_app.py").write_text(textwrap.dedent(source))
    with pytest.raises(
        StartError, match=f"(?s)bad_app:server cannot be imported: {words}"
    ) as caught:
        load("bad_app:server")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [
        ("raise ConnectionRefusedError('no database')", EXIT_FAILED),
        ("import sys\nsys.exit('no database')", EXIT_FAILED),
        ("import nosuch_inside", EXIT_CANNOT_START),
        ("def f(:", EXIT_CANNOT_START),
        ("nosuch", EXIT_CANNOT_START),
        ("from shardws import WebSocketServer\nWebSocketServer(nosuch=1)", EXIT_FAILED),
        (
            "from shardws import WebSocketServer\nWebSocketServer().config('LocalProt=1')",
            EXIT_CANNOT_START,
        ),
    ],
)
def test_only_what_cannot_mend_itself_is_not_tried_again(
    here: Path, source: str, exit_code: int
) -> None:
    """A database that was not there yet at boot stopped the service for good."""
    (here / "bad_app.py").write_text(source)
    with pytest.raises(StartError) as caught:
        load("bad_app:server")
    assert caught.value.exit_code == exit_code


def test_an_error_without_a_readable_text_is_a_line_all_the_same(here: Path) -> None:
    (here / "bad_app.py").write_text(
        "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad\n"
    )
    with pytest.raises(StartError, match=r"bad_app:server cannot be imported: .*Bad"):
        load("bad_app:server")


def test_the_application_does_not_see_secrets(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin token stayed in the environment of all that the application starts."""
    for name in ("SHARDWS_ADMIN_TOKEN", "SHARDWS_SSL_CERT_STORE_PASSWORD", "SHARDWS_NODE"):
        monkeypatch.setenv(name, "17")
    (here / "good_app.py").write_text(
        GOOD + "import os\nseen = [name for name in os.environ if name.startswith('SHARDWS_')]\n"
    )
    load("good_app:server")
    assert sys.modules["good_app"].seen == ["SHARDWS_NODE"]


@pytest.mark.usefixtures("unconfigured_logs")
def test_logging_that_the_application_configures_does_not_silence_ours(
    here: Path, tmp_path: Path
) -> None:
    """logging.config switches off every logger that it does not name."""
    handler = logs.configure(1, "text", str(tmp_path / "log"))
    (here / "good_app.py").write_text(
        GOOD + "import logging.config\n"
        "logging.config.dictConfig({'version': 1, 'loggers': {'shardws': {'level': 'ERROR'}}})\n"
    )
    try:
        log = logging.getLogger("shardws.room")
        load("good_app:server")
        log.info("still here")
        logging.getLogger("asyncio").error("the loop as well")
    finally:
        handler.give_back()
    assert [line.split(": ")[1] for line in (tmp_path / "log").read_text().splitlines()] == [
        "still here",
        "the loop as well",
    ]
