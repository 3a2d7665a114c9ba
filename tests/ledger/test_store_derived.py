"""Derived tables follow from the entries alone: whatever the order in which they came, and built
again they are the same."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.entries import ANN, BOB
from tests.ledger.store_making import VERIFY, Scene, fact, offered, snapshot, using
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.facts import Facts
from buildnet.ledger.postings import changed
from buildnet.ledger.store import entity_state
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Trust

NODE = ANN.public_key.hex()[:16]
KINDS = st.sampled_from(
    [
        ("build.started", "build:1", {"config_id": "config:a"}),
        ("build.completed", "build:1", {"duration_ms": 5, "packages": [{"name": "core"}]}),
        ("build.failed", "build:1", {"error": "no"}),
        ("node.started", f"node:{NODE}", {"name": "oak"}),
        ("node.stopped", f"node:{NODE}", {}),
        ("node.resources", f"node:{NODE}", {"resources": {"cpu": {"cores": 4}}}),
        ("resources.allocated", "", {"allocations": [{"id": "a", "build": "1", "amount": 2}]}),
        ("resources.released", "", {"allocations": [{"id": "a"}]}),
        ("benchmark.completed", f"node:{NODE}", {"type": "cpu", "results": {"x": 1}}),
        *(
            (f"config.{what}", "config:a", fact(value, expects))
            for expects in range(3)
            for what, value in (("modified", {"cores": expects}), ("deleted", None))
        ),
        *(
            (f"{kind}.created", f"{kind}:k", fact({"name": "ci", "rights": "admin"}, expects))
            for kind in ("key", "rights")
            for expects in range(2)
        ),
        ("key.revoked", "key:k", {}),
        ("config.created", "config:a", {"cores": 1}),
        ("session.opened", "session:s", {}),
        ("session.closed", "session:s", {}),
        ("build.started", "build:1", {"packages": "none", "duration_ms": "long"}),
    ]
)


def shuffled(entries: list[Entry], seed: int) -> list[Entry]:
    """Another order of arrival, in which each chain's entries keep theirs."""
    rng = random.Random(seed)
    chains = [
        [one for one in entries if one.chain == chain] for chain in {e.chain for e in entries}
    ]
    found: list[Entry] = []
    while any(chains):
        chain = rng.choice([one for one in chains if one])
        found.append(chain.pop(0))
    return found


@given(
    steps=st.lists(st.tuples(st.booleans(), KINDS), min_size=1, max_size=12),
    seals_after=st.sets(st.integers(0, 12), max_size=3),
    seed=st.integers(0, 1000),
    encrypted=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_tables_do_not_depend_on_the_order_of_arrival(
    steps: list[tuple[bool, tuple[str, str, dict[str, object]]]],
    seals_after: set[int],
    seed: int,
    encrypted: bool,
) -> None:
    scene, seals = Scene(), []
    for number, (anns, (kind, entity, data)) in enumerate(steps):
        postings = offered(NODE, 4) if kind == "node.resources" and anns else ()
        who = ANN if anns else BOB
        scene.add(who, type=kind, entity=entity, data=data, postings=postings)
        if number in seals_after:
            seals.append(scene.seal((ANN, BOB)))
    vault = Vault(b"k" * 32) if encrypted else None
    facts = Facts()
    for each in scene.sealed:
        facts.apply(each)

    async def in_order(store: LedgerStore) -> dict[str, list[object]]:
        for one in scene.entries:
            await store.keep(Keep(0, entries=(one,)))
        for seal in seals:
            await store.keep(seal)
        before = await store.read(snapshot)
        assert (await store.verify(Trust(VERIFY))).errors == []
        await store.rebuild()
        assert await store.read(snapshot) == before
        for entity in ("config:a", "key:k", "rights:k"):
            assert await store.fact(entity) == facts.fact(entity)
        there = [
            *(row["id"] for row in await store.table("configurations")),
            *(f"key:{row['id']}" for row in await store.table("api_keys")),
            *(f"rights:{row['id']}" for row in await store.table("rights")),
        ]
        assert sorted(map(str, there)) == list(facts.names())
        return before

    async def in_another(store: LedgerStore) -> dict[str, list[object]]:
        arrived: set[tuple[object, int]] = set()
        waiting = list(seals)
        for one in shuffled(scene.entries, seed):
            await store.keep(Keep(0, entries=(one,)))
            arrived.add((one.chain, one.body.sequence))
            while waiting and set(waiting[0].sealed[0]) <= arrived:
                await store.keep(waiting.pop(0))
        assert not waiting
        return await store.read(snapshot)

    with tempfile.TemporaryDirectory() as directory:
        one = using(Path(directory) / "one.db", in_order, vault=vault)
        other = using(Path(directory) / "other.db", in_another, vault=vault)
    assert one == other


def test_shared_facts_count_once_sealed(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, type="config.created", entity="config:a", data=fact({"cores": 1}))
    scene.add(ANN, type="build.started", entity="build:1")

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        assert await store.table("configurations") == []
        assert [row["status"] for row in await store.table("builds")] == ["running"]
        await store.keep(scene.seal())
        (row,) = await store.table("configurations")
        assert (row["name"], row["created_by"], row["config_data"]) == ("a", "ann", '{"cores":1}')
        (fact,) = await store.table("facts")
        assert (fact["entity"], fact["height"]) == ("config:a", 1)

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_builds_end_may_come_before_its_beginning(tmp_path: Path, status: str) -> None:
    scene = Scene()
    started = scene.add(ANN, type="build.started", entity="build:1")
    ended = scene.add(BOB, type=f"build.{status}", entity="build:1", data={"duration_ms": 7})
    opened = [one for one in scene.entries if one.body.sequence == 1]

    async def work(store: LedgerStore) -> None:
        await store.keep(Keep(1, entries=tuple(opened)))
        await store.keep(Keep(2, entries=(ended,)))
        await store.keep(Keep(3, entries=(started,)))
        (row,) = await store.table("builds")
        assert (row["status"], row["duration_ms"]) == (status, 7)
        assert row["started_at"] == started.body.hlc >> 16

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("first", [ANN, BOB])
def test_of_two_changes_the_first_sealed_holds_whichever_came_first(
    tmp_path: Path, first: CheapSigner
) -> None:
    scene = Scene()
    scene.add(ANN, type="config.created", entity="config:a", data=fact({"cores": 1}))
    scene.add(BOB)
    keeps = [scene.keep(), scene.seal((ANN, BOB))]
    for who in (first, BOB if first is ANN else ANN):
        cores = {"cores": 4 if who is ANN else 8}
        scene.add(who, type="config.modified", entity="config:a", data=fact(cores, 1))
    rival = scene.open[-1]
    keeps += [scene.keep(scene.open[::-1]), scene.seal((ANN, BOB))]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        (row,) = await store.table("configurations")
        assert row["config_data"] == f'{{"cores":{4 if first is ANN else 8}}}'
        assert row["created_at"] == scene.sealed[1].body.hlc >> 16
        found = await store.fact("config:a")
        assert found is not None
        assert (found.version, found.entry) == (2, scene.sealed[-2].hash)
        assert (await store.state("config:a")).void == (rival.id,)
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(tmp_path / "l.db", work)


def test_a_deletion_and_a_revocation_are_not_undone_by_who_did_not_see_them(
    tmp_path: Path,
) -> None:
    scene = Scene()
    for kind, ended in (("config", "config.deleted"), ("key", "key.revoked")):
        entity = f"{kind}:x"
        scene.add(ANN, type=f"{kind}.created", entity=entity, data=fact({"name": "x"}))
        data = fact(None, 1) if kind == "config" else fact(None, 0)
        scene.add(ANN, type=ended, entity=entity, data=data)
        scene.add(BOB, type=f"{kind}.modified", entity=entity, data=fact({"name": "y"}, 1))
    scene.add(BOB, type="key.modified", entity="key:x", data=fact({"name": "z"}, 2))
    again = scene.add(ANN, type="config.created", entity="config:y", data=fact({"cores": 1}))

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        assert [row["id"] for row in await store.table("configurations")] == ["config:y"]
        assert await store.table("api_keys") == []
        key, deleted = await store.fact("key:x"), await store.fact("config:x")
        assert key is not None
        assert (key.version, key.is_revoked) == (2, True)
        assert deleted is not None
        assert (deleted.version, deleted.value, deleted.is_revoked) == (2, None, False)
        (row,) = await store.table("facts")
        assert (row["entity"], row["entry"]) == ("config:y", again.id)

    using(tmp_path / "l.db", work)


def test_a_change_that_was_damaged_is_judged_in_its_place_again(tmp_path: Path) -> None:
    scene = Scene()
    for expects in range(2):
        scene.add(
            ANN, type="config.modified", entity="config:a", data=fact({"n": expects}, expects)
        )
    keeps = [scene.keep(), scene.seal()]
    path = tmp_path / "l.db"

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)

    async def work(store: LedgerStore) -> None:
        await store.rebuild()
        assert await store.fact("config:a") is None  # the second one expects what is not known
        await store.keep(replace(keeps[0], seals=(), sealed=()))
        found = await store.fact("config:a")
        assert found is not None
        assert (found.version, found.value) == (2, '{"n":1}')
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, write)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE entries SET signed=CAST(? || substr(signed, 2) AS BLOB) WHERE sequence=2",
            (b"\0",),
        )
    connection.close()
    using(path, work)


@pytest.mark.parametrize(
    ("account", "old"),
    [
        (f"build:x/{2**63}", None),
        ("build:x/2", f"takes_over 1 {'0' * 64} {2**63}"),
        ("build:x/2", f"takes_over {2**63} {'0' * 64} 1"),
    ],
)
def test_a_number_that_no_table_holds_keeps_no_seal_from_being_kept(
    account: str, old: str | None, tmp_path: Path
) -> None:
    scene = Scene()
    scene.add(type="build.started", entity="build:x", postings=changed(account, old, "running"))
    entries = tuple(scene.open)
    seal = scene.seal()

    async def work(store: LedgerStore) -> None:
        await store.keep(Keep(0, entries=entries), seal)
        assert len(await store.seals(1, max_count=2, max_bytes=10**6)) == 1

    using(tmp_path / "ledger.db", work)


def test_only_what_a_voter_recorded_changes_what_all_share(tmp_path: Path) -> None:
    """A member that signs a configuration, a posting about one, or a change of members itself."""
    scene = Scene()
    right = scene.add(ANN, type="config.created", entity="config:a", data=fact({"cores": 1}))
    wrong = [
        scene.add(BOB, type="config.created", entity="config:b", data=fact({"cores": 9})),
        scene.add(BOB, type="config.modified", entity="config:a", data=fact({"cores": 9}, 1)),
        scene.add(BOB, type="key.revoked", entity="key:k", data=fact(None)),
        scene.add(BOB, type="system.note", postings=changed("config:a", None, "9")),
    ]
    keeps = [scene.keep(), scene.seal()]

    async def look(store: LedgerStore) -> None:
        assert [row["config_data"] for row in await store.table("configurations")] == [
            '{"cores":1}'
        ]
        assert [row["entity"] for row in await store.table("facts")] == ["config:a"]
        assert await store.table("accounts") == []
        expected = [("config:b", None), ("config:a", right.id), ("key:k", None)]
        for (entity, last), void in zip(expected, wrong, strict=False):
            state = await store.state(entity)
            assert (state.entry and state.entry.entry.id, state.void) == (last, (void.id,))

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        await look(store)
        assert (await store.verify(Trust(VERIFY))).errors == []
        await store.rebuild()
        await look(store)

    using(tmp_path / "l.db", work)


def test_a_change_of_a_damaged_row_is_judged_by_the_entries(tmp_path: Path) -> None:
    scene = Scene()
    keeps: list[Keep] = []
    for version in range(2):
        value = fact({"cores": version}, version)
        scene.add(ANN, type="config.modified", entity="config:a", data=value)
        keeps += [scene.keep(), scene.seal()]
    path = tmp_path / "l.db"

    async def work(store: LedgerStore) -> None:
        for what in keeps[:2]:
            await store.keep(what)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE facts SET version=7")
        connection.close()
        for what in keeps[2:]:
            await store.keep(what)
        held = await store.fact("config:a")
        assert held is not None
        assert (held.version, held.data) == (2, {"cores": 1})
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, work)


def test_a_state_of_too_many_entries_is_refused_and_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entity_state, "MAX_STATE", 3)
    scene = Scene()
    keeps: list[Keep] = []
    for number in range(4):
        scene.add(ANN, type="node.started", entity=f"node:{NODE}", data={"name": f"n{number}"})
        keeps += [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        assert (await store.state(f"node:{NODE}", height=3)).data == {"name": "n2"}
        with pytest.raises(LedgerError, match="more than 3 entries"):
            await store.state(f"node:{NODE}")

    using(tmp_path / "l.db", work)
