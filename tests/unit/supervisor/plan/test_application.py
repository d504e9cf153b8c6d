"""application: MODULE:ATTR becomes an object, or one line says why not."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardws.errors import EXIT_CANNOT_START, EXIT_USAGE, StartError
from shardws_supervisor.plan import application

GOOD = """
from shardws.settings import Settings
class Server:
    def __init__(self):
        self.settings = Settings()
server = Server()
class holder:
    inner = server
"""


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
    "reference", ["", "app", "app:", ":server", "app:a-b", "a b:server", "app.:x", "../app:server"]
)
def test_what_is_no_reference_is_a_usage_error(reference: str) -> None:
    with pytest.raises(StartError, match="say MODULE:ATTR") as caught:
        application.split(reference)
    assert caught.value.exit_code == EXIT_USAGE


def test_split() -> None:
    assert application.split("a.b:c.d") == ("a.b", "c.d")


@pytest.mark.parametrize("attribute", ["server", "holder.inner"])
def test_load_from_the_current_directory(here: Path, attribute: str) -> None:
    (here / "good_app.py").write_text(GOOD)
    assert application.load(f"good_app:{attribute}").settings.explicit() == {}
    assert sys.path[0] == str(here)
    application.load(f"good_app:{attribute}")
    assert sys.path.count(str(here)) == 1


@pytest.mark.parametrize("module", ["nosuch", "nosuch.deep", "good_app.nosuch"])
def test_no_such_module(here: Path, module: str) -> None:
    (here / "good_app.py").write_text(GOOD)
    with pytest.raises(StartError, match=r"no module named '[\w.]*nosuch'") as caught:
        application.load(f"{module}:server")
    assert caught.value.exit_code == EXIT_CANNOT_START


def test_no_such_attribute(here: Path) -> None:
    (here / "good_app.py").write_text(GOOD)
    with pytest.raises(StartError, match="module 'good_app' has no attribute 'sever'"):
        application.load("good_app:sever")


@pytest.mark.parametrize(
    ("attribute", "kind"), [("Server", "the class Server"), ("Settings", "the class"), ("n", "int")]
)
def test_not_a_server(here: Path, attribute: str, kind: str) -> None:
    (here / "good_app.py").write_text(GOOD + "n = 1\n")
    with pytest.raises(StartError, match=f"is not a WebSocketServer object but {kind}"):
        application.load(f"good_app:{attribute}")


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
        application.load("bad_app:server")
    assert caught.value.__cause__ is not None
