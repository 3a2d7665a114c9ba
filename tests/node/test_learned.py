"""What was learned of durations, in the store and read again by the next node."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.node.estimates import Estimates
from buildnet.node.store import Store
from buildnet.node.store import learned as learned_module
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.workspace import Task, TaskId, Workspace


def opened(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", 1 << 20)


def task(name: str) -> Task:
    return Task(name, "build", "true", name)


def workspace(tmp_path: Path) -> Workspace:
    return Workspace("shop", tmp_path, None, {})


def test_what_one_process_learned_the_next_one_knows(tmp_path: Path) -> None:
    shop, tasks = workspace(tmp_path), [task("a"), task("b")]
    store = opened(tmp_path)
    first = Estimates(store)
    assert first.durations_ms(shop, tasks) == {}
    first.memory(shop, tasks)
    first.learn("shop", {"a#build": Sample(90.0, 10.0)}, [5.0], None)
    store.close()
    store = opened(tmp_path)
    again = Estimates(store)
    assert again.durations_ms(shop, tasks) == {TaskId("a", "build"): pytest.approx(100.0)}
    assert again.memory(shop, tasks).transfer_ms == [5.0]
    assert Estimates(store).memory(shop, ()).tasks.keys() == {"a#build"}
    store.close()


def test_what_can_not_be_read_is_learned_anew(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.learned.put("shop", {"a#build": {"samples": "none"}}, 1)
    assert Estimates(store).durations_ms(workspace(tmp_path), [task("a")]) == {}
    store.close()


def test_the_oldest_go_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned_module, "MOST_ROWS", 3)
    store = opened(tmp_path)
    store.learned.put("old", {"a": 1, "b": 2}, 10)
    store.learned.put("new", {"a": 3, "b": 4}, 20)
    assert len(store.learned.read("old")) == 1
    store.learned.put("new", {"a": 5}, 30)
    assert store.learned.read("new") == {"b": 4, "a": 5}
    store.close()
