"""cpus: affinity and the quotas of both cgroup versions."""

from pathlib import Path

import pytest

from shardws_supervisor.system import cpus


@pytest.mark.parametrize(
    ("affinity", "quota", "shards"),
    [
        (1, None, 2),
        (8, None, 8),
        (8, 2.0, 2),
        (8, 2.5, 3),
        (8, 0.5, 2),
        (4, 64.0, 4),
        (512, None, 99),
    ],
)
def test_shards_for(affinity: int, quota: float | None, shards: int) -> None:
    assert cpus.shards_for(affinity, quota, 99) == shards


def test_automatic_shards_is_at_least_two() -> None:
    assert 2 <= cpus.automatic_shards(127) <= 127


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def quota(tmp_path: Path, groups: str) -> float | None:
    write(tmp_path / "groups", groups)
    return cpus.quota(tmp_path / "groups", tmp_path / "root")


def test_v2_takes_the_smallest_on_the_way_up(tmp_path: Path) -> None:
    write(tmp_path / "root/a/b/cpu.max", "max 100000\n")
    write(tmp_path / "root/a/cpu.max", "150000 100000\n")
    write(tmp_path / "root/cpu.max", "400000 100000\n")
    assert quota(tmp_path, "0::/a/b\n") == 1.5


def test_v1_reads_the_cpu_controller(tmp_path: Path) -> None:
    write(tmp_path / "root/cpu/c/cpu.cfs_quota_us", "300000\n")
    write(tmp_path / "root/cpu/c/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "root/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "root/cpu/cpu.cfs_period_us", "100000\n")
    assert quota(tmp_path, "5:memory:/c\n4:cpu,cpuacct:/c\n") == 3.0


@pytest.mark.parametrize("text", ["", "nonsense\n", "5 0\n", "100000\n"])
def test_a_quota_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    write(tmp_path / "root/cpu.max", text)
    assert quota(tmp_path, "0::/\n") is None


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    assert cpus.quota(tmp_path / "none", tmp_path) is None


def test_the_memory_of_v2_is_the_smallest_on_the_way_up(tmp_path: Path) -> None:
    write(tmp_path / "root/a/b/memory.max", "max\n")
    write(tmp_path / "root/a/memory.max", "268435456\n")
    write(tmp_path / "root/memory.max", "1073741824\n")
    write(tmp_path / "groups", "0::/a/b\n")
    assert cpus.memory_limit(tmp_path / "groups", tmp_path / "root") == 256 << 20


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1048576\n", 1 << 20), ("9223372036854771712\n", None), ("-1\n", None), ("x", None)],
)
def test_the_memory_of_v1(tmp_path: Path, text: str, limit: int | None) -> None:
    write(tmp_path / "root/memory/c/memory.limit_in_bytes", text)
    write(tmp_path / "groups", "5:memory:/c\n4:cpu,cpuacct:/c\n")
    assert cpus.memory_limit(tmp_path / "groups", tmp_path / "root") == limit


def test_no_memory_limit_without_cgroups(tmp_path: Path) -> None:
    assert cpus.memory_limit(tmp_path / "none", tmp_path) is None
