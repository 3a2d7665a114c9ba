"""A write-ahead log that ends anywhere, or has any byte turned over: the store holds a beginning of
what was written, whole and verified, and goes on from there.

A stride of the places is tried here; all of them with
``BUILDNET_BYTES=1 uv run pytest -n0 --timeout=3600 tests/ledger/test_store_torn.py``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.entries import CLUSTER, VERIFY
from tests.ledger.store_making import Scene, using

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.store.database import prepare
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Trust, Verification

EVERY = int(os.environ.get("BUILDNET_BYTES", "3989"))
TRUST = Trust(VERIFY)
Harm = Callable[[bytearray, int], None]


def cut(data: bytearray, at: int) -> None:
    del data[at:]


def flip(data: bytearray, at: int) -> None:
    data[at] ^= 1 << (at % 8)


def a_store(directory: Path) -> tuple[Path, list[Keep], list[int]]:
    """A store as a crash left it: ``steps`` on disk, and how long its log was after each."""
    scene = Scene()
    steps: list[Keep] = []
    for number in range(4):
        scene.add(type="build.started", entity=f"build:{number}")
        steps.append(scene.keep())
        if number % 2:
            steps.append(scene.seal())
    path, crashed = directory / "l.db", directory / "crashed.db"
    lengths: list[int] = []

    async def write(store: LedgerStore) -> None:
        log = path.with_name("l.db-wal")
        for step in steps:
            await store.keep(step)
            lengths.append(log.stat().st_size)
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{crashed}{end}")

    using(path, write)
    return crashed, steps, lengths


@pytest.mark.parametrize("harm", [cut, flip])
def test_a_torn_or_altered_log_costs_its_end_and_no_more(tmp_path: Path, harm: Harm) -> None:
    good, steps, lengths = a_store(tmp_path)
    log = Path(f"{good}-wal").read_bytes()
    path = tmp_path / "torn" / "l.db"
    path.parent.mkdir()
    outcomes: Counter[str] = Counter()
    places = sorted({*range(0, len(log), EVERY), *lengths, *(end - 1 for end in lengths)})
    for at in places:
        if at >= len(log) and harm is flip:
            continue
        for name in path.parent.iterdir():
            name.unlink()
        shutil.copy(good, path)
        data = bytearray(log)
        harm(data, at)
        Path(f"{path}-wal").write_bytes(data)
        outcomes[judge(path, steps, sum(end <= at for end in lengths))] += 1
    print(harm.__name__, len(places), dict(outcomes))
    assert not [name for name in outcomes if name.startswith("WRONG")]
    assert outcomes["a beginning"] > 0


def judge(path: Path, steps: list[Keep], whole: int) -> str:
    """Open what is left; ``whole``: so many steps lie before the harm."""
    try:
        connection = prepare(path, CLUSTER, Vault())
    except LedgerError:  # of its very first pages: the file has no tables
        return "refused" if not whole else "WRONG: lost as a whole"
    connection.close()
    held, seals = asyncio.run(read(path))
    report = Verification(path, CLUSTER, Vault(), TRUST).run()
    if not report.verified:
        return f"WRONG: {report.errors[0]}"
    for count in range(whole, len(steps) + 1):
        expected = [entry for step in steps[:count] for entry in step.entries]
        sealed = [seal.hash for step in steps[:count] for seal in step.seals]
        if set(held) == set(expected) and seals == sealed:
            break
    else:
        return "WRONG: no beginning of what was written"

    async def go_on(store: LedgerStore) -> None:
        for step in steps:
            await store.keep(step)
        assert (await store.verify(TRUST)).verified

    using(path, go_on)
    return "all of it" if count == len(steps) else "a beginning"


async def read(path: Path) -> tuple[list[Entry], list[bytes]]:
    store = await LedgerStore.open(path, cluster=CLUSTER, sign=lambda said: b"")
    try:
        restored = await store.restored()
        found: list[Entry] = []
        for chain in restored.heads:
            found += await store.range(chain, 1, 2**62)
        return found, [seal.hash for seal in await store.seals(1)]
    finally:
        await store.close()
