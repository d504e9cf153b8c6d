"""Matrices: their bounds, and the words they become."""

import pytest

from benchmarks.matrix import (
    KIB,
    MATRICES,
    MIB,
    ON_THE_WAY_LIMIT,
    STARTS,
    Section,
    Workload,
    broadcast,
    cross,
    default,
    echo,
    full,
    memory,
    size_text,
    storm,
    tls_echo,
)


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_is_bounded_and_whole(name: str) -> None:
    matrix = MATRICES[name]()
    assert matrix.name == name
    assert len(set(matrix.workloads)) == len(matrix.workloads)
    assert {one.section for one in matrix.workloads} == set(Section)
    assert all(one.on_the_way <= ON_THE_WAY_LIMIT for one in matrix.workloads)
    assert matrix.rounds >= 2  # a single round has no range


def test_each_section_has_one_kind_of_start() -> None:
    assert sorted(section for kinds in STARTS for section in kinds) == sorted(Section)


def test_full_covers_every_size_depth_and_number_of_connections() -> None:
    echoes = {one for one in full().workloads if one.section is Section.ECHO}
    assert {one.size for one in echoes} == {32, 125, KIB, 16 * KIB, MIB}
    assert {one.depth for one in echoes} == {1, 16}
    assert {one.connections for one in echoes} == {1, 64, 1000}
    assert set(default().workloads) - {echo(16, MIB, 1)} <= set(full().workloads)


@pytest.mark.parametrize(
    ("workload", "title", "unit", "options"),
    [
        (echo(64, 125, 16), "64 connections, 125 B, depth 16", "message", "64 125 16"),
        (echo(1, MIB, 1), "1 connection, 1 MiB, depth 1", "message", "1 1048576 1"),
        (storm(), "32 at a time", "connection", "32 32 1"),
        (memory(5000), "5,000 idle", "connection", "5000 32 1"),
        (broadcast(8), "1,000 connections, 125 B, 8 in flight", "delivery", "1000 125 8 --text"),
        (cross(64, 1), "64 pairs, 100 B, depth 1", "message", "64 100 1 --text"),
        (tls_echo(1, 32, 1), "1 connection, 32 B, depth 1", "message", "1 32 1 --tls"),
    ],
)
def test_words_of_a_workload(workload: Workload, title: str, unit: str, options: str) -> None:
    assert (workload.title, workload.unit) == (title, unit)
    names = ("--connections", "--size", "--depth")
    assert " ".join(word for word in workload.options if word not in names) == options


@pytest.mark.parametrize(
    ("size", "text"), [(32, "32 B"), (1024, "1 KiB"), (1500, "1500 B"), (16 * MIB, "16 MiB")]
)
def test_size_text(size: int, text: str) -> None:
    assert size_text(size) == text
