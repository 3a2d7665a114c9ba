"""The order of tasks, what is needed for a request, and cycles."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.errors import NotFoundError
from buildnet.pool.graph import CycleError, closure, order, sort
from buildnet.pool.workspace import BUILD, Package, Task, TaskId, Workspace


def task(name: str, *needs: str) -> Task:
    builds = tuple(TaskId(need, BUILD) for need in needs)
    return Task(name, BUILD, "true", f"packages/{name}", depends_on=builds)


def workspace(**packages: tuple[str, ...]) -> Workspace:
    return Workspace(
        "w",
        Path("/w"),
        None,
        {
            name: Package(name, f"packages/{name}", needs, {BUILD: task(name, *needs)})
            for name, needs in packages.items()
        },
    )


def names(tasks: tuple[TaskId, ...] | tuple[Task, ...]) -> list[str]:
    return [str(one.id if isinstance(one, Task) else one) for one in tasks]


def test_dependencies_come_first_and_the_rest_keeps_its_order() -> None:
    tasks = [task("web", "ui", "api"), task("api"), task("docs"), task("ui", "core"), task("core")]
    assert names(order(tasks)) == ["core", "ui", "api", "web", "docs"]


def test_dependencies_that_are_not_asked_for_are_left_out() -> None:
    assert names(order([task("web", "ui")])) == ["web"]


def test_a_cycle_is_named() -> None:
    with pytest.raises(CycleError) as caught:
        order([task("z"), task("a", "b"), task("b", "c"), task("c", "a")])
    assert caught.value.cycle == ("a", "b", "c", "a")
    assert caught.value.message == "dependency cycle: a -> b -> c -> a"
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_long_chains() -> None:
    count = 5_000
    tasks = [task(f"p{n}", f"p{n + 1}") for n in range(count)] + [task(f"p{count}")]
    assert names(order(tasks)) == [f"p{n}" for n in range(count, -1, -1)]
    with pytest.raises(CycleError) as caught:
        order([*tasks[:-1], task(f"p{count}", "p0")])
    assert len(caught.value.cycle) == count + 2


def test_closure_of_named_packages() -> None:
    shop = workspace(web=("ui",), ui=("core",), core=(), docs=())
    assert names(closure(shop, ["web"], BUILD)) == ["core", "ui", "web"]
    assert names(closure(shop, ["docs", "core"], BUILD)) == ["docs", "core"]
    assert names(closure(shop, [], BUILD)) == ["core", "ui", "web", "docs"]


def test_closure_of_another_task() -> None:
    needs = (TaskId("a", BUILD), TaskId("b", BUILD))
    test = Task("a", "test", "true", "a", depends_on=needs)
    packages = {
        "a": Package("a", "a", ("b",), {BUILD: task("a", "b"), "test": test}),
        "b": Package("b", "b", (), {BUILD: task("b")}),
    }
    shop = Workspace("w", Path("/w"), None, packages)
    assert names(closure(shop, [], "test")) == ["b", "a", "a#test"]
    with pytest.raises(NotFoundError, match="b has no task 'test'"):
        closure(shop, ["b"], "test")
    with pytest.raises(NotFoundError, match="no package of w has a task 'tset'") as caught:
        closure(shop, [], "tset")
    assert caught.value.hint == "did you mean 'test'?"


def test_unknown_packages() -> None:
    with pytest.raises(NotFoundError) as caught:
        closure(workspace(core=()), ["coer"], BUILD)
    assert caught.value.hint == "did you mean 'core'?"
    assert caught.value.exit_code == 6


EDGES = st.dictionaries(
    st.integers(0, 12), st.lists(st.integers(0, 12), unique=True, max_size=4), max_size=13
)


@given(EDGES)
def test_every_graph_is_sorted_or_has_a_cycle(edges: dict[int, list[int]]) -> None:
    try:
        result = sort(edges)
    except CycleError as error:
        cycle = [int(member) for member in error.cycle]
        assert cycle[0] == cycle[-1]
        assert all(need in edges[one] for one, need in pairwise(cycle))
        return
    assert sorted(result) == sorted(edges)
    place = {node: at for at, node in enumerate(result)}
    for node, needs in edges.items():
        assert all(place[need] < place[node] for need in needs if need in place)
    assert sort(edges) == result


@given(EDGES)
def test_graphs_that_point_downwards_have_no_cycle(edges: dict[int, list[int]]) -> None:
    downwards = {node: [one for one in needs if one < node] for node, needs in edges.items()}
    assert len(sort(downwards)) == len(edges)
