"""rundir: made for its user alone, locked by one server, cleaned of what a dead one left."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, StartError
from shardws_supervisor.system.rundir import RunDirectory
from tests.proc import descriptors_of
from tests.unit.supervisor.over_exec import over_exec


def test_it_is_made_and_removed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "deep" / "run")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / "supervisor.pid").read_text() == f"{os.getpid()}\n"
    assert directory.control_path == directory.path / "control.sock"
    directory.control_path.touch()
    directory.remove()
    assert not directory.path.exists()


def test_a_directory_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    RunDirectory(tmp_path / "run").remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    (directory.path / "notes").touch()
    directory.remove()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["notes"]


def test_a_live_server_is_named_by_its_pid(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / "run")
    with pytest.raises(StartError, match=f"in use by the server with pid {os.getpid()}"):
        RunDirectory(tmp_path / "run")
    first.remove()
    RunDirectory(tmp_path / "run").remove()


def test_what_a_killed_server_left_is_cleaned(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from shardws_supervisor.system.rundir import *\n"
        "RunDirectory(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    path = os.pathsep.join(sys.path)
    env = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], env=env, timeout=30)
    (tmp_path / "run" / "shard-0.sock").touch()
    assert (tmp_path / "run" / "supervisor.pid").exists()
    directory = RunDirectory(tmp_path / "run")
    assert [file.name for file in directory.path.iterdir()] == ["supervisor.pid"]
    directory.remove()


def test_a_pid_file_that_its_holder_just_removed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locking the old inode while a third server locks the new one would let two in."""
    answers = iter([False, True, True, True])  # the last two are asked when it is removed
    monkeypatch.setattr(RunDirectory, "_is_same", staticmethod(lambda file, lock: next(answers)))
    RunDirectory(tmp_path / "run").remove()
    assert next(answers, None) is None


def test_same_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.touch()
    with file.open() as stream:
        assert RunDirectory._is_same(file, stream.fileno())
        file.unlink()
        assert not RunDirectory._is_same(file, stream.fileno())


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(StartError, match="is not a directory"):
        RunDirectory(tmp_path / "run")


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(StartError, match="is not a directory"):
        RunDirectory(tmp_path / "run")


def test_a_directory_open_to_others_is_refused_not_changed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    with pytest.raises(StartError, match=r"open to others \(mode 0755\): chmod 700"):
        RunDirectory(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(StartError, match="belongs to user"):
        RunDirectory(tmp_path / "run")


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be made: "):
        RunDirectory(tmp_path / "file" / "run")


def test_a_pid_file_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "supervisor.pid").mkdir()
    with pytest.raises(StartError, match="cannot be written: Is a directory"):
        RunDirectory(tmp_path / "run")


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="too long"):
        RunDirectory(tmp_path / ("x" * 100))


def test_a_directory_in_the_place_of_a_socket_is_one_line(tmp_path: Path) -> None:
    """It was a traceback of IsADirectoryError."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "control.sock").mkdir()
    with pytest.raises(StartError, match=r"cannot be written: .*\(control\.sock\)") as caught:
        RunDirectory(tmp_path / "run")
    assert caught.value.exit_code == EXIT_CANNOT_START


@pytest.mark.parametrize("call", ["os.ftruncate", "os.pwrite", "os.open"])
def test_a_full_disk_is_one_line_and_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(call, full)
    with pytest.raises(
        StartError, match=r"cannot be (written|read): No space left on device"
    ) as caught:
        RunDirectory(tmp_path / "run")
    assert caught.value.exit_code == EXIT_FAILED


def test_what_cannot_be_cleaned_in_the_end_does_not_matter(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    (directory.path / "x.sock").mkdir()
    directory.remove()


def try_to_clean(path: Path) -> bool:
    """Lock a directory as systemd-tmpfiles does before it cleans there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_it_is_locked_against_cleaners_as_long_as_the_server_lives(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    directory = RunDirectory(tmp_path / "run")
    assert not try_to_clean(directory.path)
    assert not directory.mend()
    assert not try_to_clean(directory.path)
    directory.remove()
    assert try_to_clean(tmp_path / "run")


@pytest.mark.parametrize("what", ["the pid file", "the directory"])
def test_what_a_cleaner_took_is_made_again(tmp_path: Path, what: str) -> None:
    directory = RunDirectory(tmp_path / "run")
    (directory.path / "supervisor.pid").unlink()
    if what == "the directory":
        directory.path.rmdir()
    assert directory.mend()
    assert not directory.mend()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / "supervisor.pid").read_text() == f"{os.getpid()}\n"
    assert not try_to_clean(directory.path)
    with pytest.raises(StartError, match="in use by the server with pid"):
        RunDirectory(tmp_path / "run")
    directory.remove()
    assert not directory.path.exists()


def test_a_server_that_took_the_emptied_directory_keeps_it(tmp_path: Path) -> None:
    before = descriptors_of(os.getpid())
    first = RunDirectory(tmp_path / "run")
    (first.path / "supervisor.pid").unlink()
    second = RunDirectory(tmp_path / "run")
    second.control_path.touch()
    held = descriptors_of(os.getpid())
    with pytest.raises(StartError, match="in use by the server with pid"):
        first.mend()
    assert descriptors_of(os.getpid()) == held
    first.remove()
    assert second.control_path.exists()
    assert not second.mend()
    second.remove()
    assert descriptors_of(os.getpid()) == before


def test_a_stranger_in_its_place_is_told(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.rename(tmp_path / "away")
    directory.path.symlink_to(tmp_path)
    with pytest.raises(StartError, match="is not a directory"):
        directory.mend()
    directory.remove()
    assert directory.path.is_symlink()


def test_it_stays_locked_over_an_exec(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    again = RunDirectory.adopt(over_exec(directory.keep()))
    directory.close()
    with pytest.raises(StartError, match="in use"):
        RunDirectory(tmp_path / "run")
    assert not again.mend()
    again.remove()
    assert not (tmp_path / "run").exists()
