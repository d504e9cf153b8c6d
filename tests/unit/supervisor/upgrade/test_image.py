"""image: how this program was started, and the document that is passed to its successor."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shardws_supervisor.system.kept import KeptError
from shardws_supervisor.upgrade import image

PYTHON = "/v/bin/python"
RUN = ["run", "app:server", "--shards", "2"]
ARGUMENTS = ("app:server", "--shards", "2")

STARTED = {
    "module": (
        ["python", "-X", "dev", "-m", "shardws_supervisor", *RUN],
        (PYTHON, "-X", "dev", "-m", "shardws_supervisor"),
    ),
    "script given to Python": (["python", "bin/shardws", *RUN], (PYTHON, "bin/shardws")),
    "script": ([PYTHON, "bin/shardws", *RUN], ("bin/shardws",)),
    "script with a long path": ([PYTHON, "bin/long", *RUN], ("bin/long",)),
    "script of another Python": ([PYTHON, "bin/other", *RUN], (PYTHON, "bin/other")),
    "no script": ([PYTHON, "bin/none", *RUN], (PYTHON, "bin/none")),
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "shardws").write_text(f"#!{PYTHON}\nimport shardws\n")
    (folder / "other").write_text("#!/usr/bin/env python\n")
    (folder / "long").write_text(f"#!/bin/sh\n'''exec' {PYTHON} \"$0\" \"$@\"\n' '''\n")
    return tmp_path


@pytest.mark.parametrize("name", STARTED)
def test_how_it_was_started(scripts: Path, name: str) -> None:
    original, program = STARTED[name]
    found = image.found(original, ["shardws", *RUN], PYTHON, str(scripts))
    assert found == image.Image(program, ARGUMENTS, str(scripts))
    assert found.command("other") == [*program, "other", *ARGUMENTS]


@pytest.mark.parametrize(
    ("original", "arguments", "executable"),
    [
        (["python", "host.py", "x"], ["host.py", "x"], PYTHON),
        (["python", "host.py"], ["host.py", *RUN], PYTHON),
        (["python", "shardws", "status"], ["shardws", "status"], PYTHON),
        (["python", "shardws", *RUN], ["shardws", *RUN], ""),
        (RUN, ["shardws", *RUN], PYTHON),
    ],
)
def test_what_is_no_run_of_ours(original: list[str], arguments: list[str], executable: str) -> None:
    assert image.found(original, arguments, executable, "/") is None


def test_a_document_is_taken_once_by_the_process_it_is_for() -> None:
    document = image.document_of(b"state")
    environment = {image.VARIABLE: f"{document}:7", "OTHER": "x"}
    assert image.taken(dict(environment), 8) is None
    assert image.taken(environment, 7) == b"state"
    assert environment == {"OTHER": "x"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(document)


@pytest.mark.parametrize("value", ["", "x:7", "7", ":7", "-1:7"])
def test_no_document(value: str) -> None:
    assert image.taken({image.VARIABLE: value}, 7) is None


def test_a_document_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeptError, match="cannot be read"):
        image.taken({image.VARIABLE: "999999:7"}, 7)


def test_an_exec_that_fails_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for program, directory in ((str(tmp_path / "none"), str(tmp_path)), (PYTHON, "/no/such")):
        error = image.Image((program,), (), directory).execute("run", 3, {})
        assert isinstance(error, FileNotFoundError)


def test_descriptors_pass_and_do_not() -> None:
    reader, writer = os.pipe()
    image.let_pass([reader, writer])
    assert os.get_inheritable(reader)
    image.let_none_pass([reader, 999999, writer])
    assert not os.get_inheritable(writer)
    os.close(reader)
    os.close(writer)


def test_the_whole_way(run_script: Callable[[str], str]) -> None:
    """Arguments, directory and document arrive; the pid is the same."""
    told = run_script("""
import os, sys
from pathlib import Path
from shardws_supervisor.upgrade import image
Path("there").mkdir()
Path("program.py").write_text('''
import os, sys
from shardws_supervisor.upgrade import image
taken = image.taken(os.environ, os.getpid())
print(os.getpid(), sys.argv[1:], os.path.basename(os.getcwd()), taken)
''')
here = os.getcwd()
program = image.Image((sys.executable, f"{here}/program.py"), ("a", "b"), f"{here}/there")
document = image.document_of(b"state")
os.set_inheritable(document, True)
print(os.getpid(), flush=True)
program.execute("run", document, os.environ)
""")
    first, second = told.splitlines()
    assert second == f"{first} ['run', 'a', 'b'] there b'state'"
