"""A plan travels as two blobs and reads the same on the other side."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.node.stored_plans import CORE, PLAN, tree

from buildnet.mesh.digest import Digest
from buildnet.node.durable.stored_plan import (
    MOST_VALUES,
    PlanError,
    SourcesOfPlan,
    StoredPlan,
    Trees,
    standing_of,
)
from buildnet.pool.configuration import MOST_RUNS
from buildnet.pool.schema import MOST_RETRIES
from buildnet.pool.sharding import split
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, LinkEntry


def test_a_plan_reads_as_it_was_written() -> None:
    assert StoredPlan.decode(PLAN.encode()) == PLAN
    shards = split(PLAN.tasks[0], (("app/a",), ("app/b",)))
    plan = replace(PLAN, tasks=tuple(shards.values()))
    assert StoredPlan.decode(plan.encode()) == plan


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", json.dumps({"build_id": 1}).encode(), b"\xff"])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(PlanError):
        StoredPlan.decode(data)


def test_a_plan_with_very_many_values_is_not_looked_at() -> None:
    more = b', "more": [' + b"0," * MOST_VALUES + b"0]}"
    with pytest.raises(PlanError) as caught:
        StoredPlan.decode(PLAN.encode()[:-1] + more)
    assert "values" in str(caught.value.cause)


@pytest.mark.parametrize("path", ["/etc", "a/../../b", "..", r"\.\./b"])
def test_a_plan_that_leaves_its_workspace_is_refused(path: str) -> None:
    for change in ({"path": path}, {"outputs": (path,)}, {"junit": (path,)}):
        tasks = (replace(PLAN.tasks[0], **change),)
        with pytest.raises(PlanError, match="leaves"):
            StoredPlan.decode(replace(PLAN, tasks=tasks).encode())


@pytest.mark.parametrize("name", ["../store", "a/b", "..", ".", "", "/etc"])
def test_a_plan_names_no_other_directory_of_the_host(name: str) -> None:
    assert PLAN.install is not None
    manager = replace(PLAN.install, manager=name)
    for change in ({"build_id": name}, {"driver": name}, {"install": manager}):
        with pytest.raises(PlanError, match="leaves its place"):
            StoredPlan.decode(replace(PLAN, **change).encode())


@pytest.mark.parametrize("path", ["/etc", "../other"])
def test_an_install_of_a_plan_stays_in_its_workspace(path: str) -> None:
    assert PLAN.install is not None
    for change in ({"lock_file": path}, {"roots": ("", path)}, {"inputs": (path,)}):
        install = replace(PLAN.install, **change)
        with pytest.raises(PlanError, match="leaves its workspace"):
            StoredPlan.decode(replace(PLAN, install=install).encode())


@pytest.mark.parametrize("level", ["workspace", "staged"])
def test_a_plan_runs_nothing_with_less_isolation_than_others_get(level: str) -> None:
    tasks = (replace(PLAN.tasks[0], isolation=level),)
    for change in ({"tasks": tasks}, {"isolation": level}):
        with pytest.raises(PlanError, match=level):
            StoredPlan.decode(replace(PLAN, **change).encode())
    nothing_runs = (replace(PLAN.tasks[0], isolation=level, command=None),)
    assert StoredPlan.decode(replace(PLAN, tasks=nothing_runs).encode()).tasks == nothing_runs


def test_trees_keep_their_numbers_and_equal_ones_are_one() -> None:
    trees = Trees()
    many = [tree(**{f"a{number}_b": "x"}) for number in range(12)]
    assert [trees.number_of(each) for each in (*many, many[3], EMPTY_TREE)] == [*range(12), 3, 12]
    linked = DirectoryTree.from_paths({"l": LinkEntry("b")})
    trees.number_of(linked)
    read = Trees.decode(trees.encode())
    assert [each.digest for each in read.trees] == [each.digest for each in trees.trees]
    assert set(read.files()) == {(f"a{number}/b", Digest.of(b"x")) for number in range(12)}
    for data in (b"\xff\xff", Trees().encode() + b"\x0a\x02"):
        with pytest.raises(PlanError):
            Trees.decode(data)
    with pytest.raises(PlanError):
        read.at(99)


def test_sources_and_what_stood_are_found_by_what_they_were_asked_by() -> None:
    trees = Trees([tree(app_x="1"), tree(core_dist="2"), EMPTY_TREE])
    sources = SourcesOfPlan(PLAN, trees)
    found = sources.tree(("app/**",), "app", ("ignored",))
    assert (found.tree, found.unmatched) == (trees.trees[0], ("nope",))
    assert sources.tree_of_outputs(("app/x",)) is None
    with pytest.raises(PlanError):
        sources.tree(("other",), None)
    standing = standing_of(PLAN, trees)
    assert standing.tasks[CORE].visible.own is trees.trees[1]


def test_a_plan_repeats_nothing_without_end() -> None:
    tasks = (replace(PLAN.tasks[0], retries=MOST_RETRIES + 1),)
    for change in ({"tasks": tasks}, {"retries": MOST_RETRIES + 1}):
        with pytest.raises(PlanError, match="more than"):
            StoredPlan.decode(replace(PLAN, **change).encode())
    most = replace(PLAN, retries=MOST_RETRIES)
    assert StoredPlan.decode(most.encode()) == most


@pytest.mark.parametrize("times", [0, -1, MOST_RUNS + 1])
def test_a_plan_runs_commands_at_least_once_and_not_without_end(times: int) -> None:
    with pytest.raises(PlanError, match=f"once to {MOST_RUNS} times"):
        StoredPlan.decode(replace(PLAN, times=times).encode())
    most = replace(PLAN, times=MOST_RUNS)
    assert StoredPlan.decode(most.encode()) == most


def test_a_plan_of_a_node_that_repeats_nothing_can_be_read() -> None:
    known = json.loads(PLAN.encode())
    del known["retries"], known["times"]
    assert StoredPlan.decode(json.dumps(known).encode()) == PLAN
