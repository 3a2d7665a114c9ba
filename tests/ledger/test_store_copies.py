"""Copies of a ledger, and those that are put back, are known as such: another chain is begun."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.entries import ANN, START, chain_of
from tests.ledger.store_making import TRUST, Scene, append, body, start_of, using

from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.fence import Fence, Start
from buildnet.ledger.store.store import LedgerStore


def test_a_store_that_stopped_in_order_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    assert using(path, append) is Start.FRESH
    assert using(path, append) is Start.CONTINUED
    assert using(path, start_of) is Start.CONTINUED


def test_an_older_copy_is_restored_until_another_chain_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    using(path, append)
    shutil.copyfile(path, tmp_path / "old.db")
    using(path, append)
    shutil.copyfile(tmp_path / "old.db", path)
    assert using(path, start_of) is Start.RESTORED
    assert using(path, start_of) is Start.RESTORED

    async def begin_anew(store: LedgerStore) -> Start:
        await store.use(chain_of(ANN, 2))
        await store.append([body()], hlc=START)
        return store.start

    assert using(path, begin_anew) is Start.RESTORED
    assert using(path, start_of) is Start.CONTINUED


def test_a_copy_of_a_running_store_that_crashed_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "l.db"

    async def crash(store: LedgerStore) -> None:
        await append(store)
        await store.back_up(tmp_path / "copy.db", TRUST)
        await append(store)
        shutil.copyfile(path.with_name("l.db.fence"), tmp_path / "fence")

    using(path, crash)
    shutil.copyfile(tmp_path / "fence", path.with_name("l.db.fence"))  # as a crash leaves it
    assert using(path, start_of) is Start.CONTINUED
    shutil.copyfile(tmp_path / "fence", path.with_name("l.db.fence"))
    shutil.copyfile(tmp_path / "copy.db", path)
    assert using(path, start_of) is Start.RESTORED


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("killed", ["_announce", "_write"])
def test_who_is_killed_while_it_starts_is_not_taken_for_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str, before: bool
) -> None:
    """Before and after the ledger took its next token; ``before``: it ran before."""
    path, scene = tmp_path / "l.db", Scene()
    starts: list[Start] = []
    scene.add(ANN)

    async def look(store: LedgerStore) -> None:
        starts.append(store.start)

    async def write(store: LedgerStore) -> None:
        await store.keep(scene.keep())

    def dies(fence: Fence, *arguments: Any) -> None:
        if killed == "_announce":
            announce(fence, *arguments)
        raise LedgerError("killed")

    if before:
        using(path, write)
    announce = Fence._announce
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Fence, killed, dies)
            with pytest.raises(LedgerError, match="killed"):
                using(path, look)
    using(path, look)
    ran = before or killed == "_write"
    assert starts == [Start.CONTINUED if ran else Start.FRESH]


def test_a_ledger_without_its_fence_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    using(path, append)
    path.with_name("l.db.fence").unlink()
    assert using(path, start_of) is Start.RESTORED
