"""The store writes own and others' entries and seals once, and gives them back in their order."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ledger.store_making import (
    ANN,
    BOB,
    CLUSTER,
    START,
    Scene,
    begun,
    body,
    chain_of,
    entry,
    fact,
    using,
)

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.entry import Body, Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.query import Query
from buildnet.ledger.restored import Accepted, Promise, Quarantine
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault, VaultError
from buildnet.ledger.store.writer import Place
from buildnet.ledger.voters import VoterHistory, VoterSet
from buildnet.mesh.errors import NotFoundError


def test_who_appends_at_the_same_moment_shares_a_transaction(tmp_path: Path) -> None:
    async def write(store: LedgerStore) -> list[str]:
        await begun(store)
        said: list[str] = []
        store._writer.connection.set_trace_callback(said.append)
        await asyncio.gather(*(store.append([body(n=n)], hlc=START) for n in range(20)))
        return said

    said = using(tmp_path / "l.db", write)
    assert said.count("COMMIT") == 1
    assert not any(one.startswith("SAVEPOINT") for one in said)


def test_what_fails_is_undone_and_what_shares_its_transaction_is_written(tmp_path: Path) -> None:
    def fail(place: Place) -> Body:
        raise ValueError("no")

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries")
        raise ValueError("no")

    async def write(store: LedgerStore) -> tuple[list[object], list[Entry]]:
        await begun(store)
        works = [store.append([body(n=n)], hlc=START) for n in range(3)]
        works.insert(1, store.append([body(n=7), fail], hlc=START))
        works.insert(3, store.append([body(n=8)], hlc=START, change=spoil))
        works.append(store.append([body(n=3, request=b"r" * 16)], hlc=START))
        works.append(store.append([body(n=4, request=b"r" * 16)], hlc=START))
        done = await asyncio.gather(*works, return_exceptions=True)
        return list(done), await store.range(chain_of(ANN), 2, 100)

    done, entries = using(tmp_path / "l.db", write)
    assert [one.data["n"] for one in entries] == [0, 1, 2, 3]
    assert [type(one) is ValueError for one in done] == [
        False,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert [one[0] for one in done if isinstance(one, tuple)] == [*entries, entries[-1]]


def test_who_asked_to_append_may_go_away(tmp_path: Path) -> None:
    async def write(store: LedgerStore) -> list[Entry]:
        await begun(store)
        asked = asyncio.create_task(store.append([body(n=1)], hlc=START))
        await asyncio.sleep(0)
        asked.cancel()
        await store.append([body(n=2)], hlc=START)
        return await store.range(chain_of(ANN), 2, 100)

    assert [one.data for one in using(tmp_path / "l.db", write)] == [{"n": 1}, {"n": 2}]


def test_own_entries_follow_each_other_and_are_there_after_a_restart(tmp_path: Path) -> None:
    async def write(store: LedgerStore) -> list[Entry]:
        await begun(store)
        made = await asyncio.gather(*(store.append([body(n=n)], hlc=START) for n in range(20)))
        return [one for (one,) in made]

    async def read(store: LedgerStore) -> list[Entry]:
        return await store.range(chain_of(ANN), 1, 100)

    made = using(tmp_path / "l.db", write)
    held = using(tmp_path / "l.db", read)
    assert held[1:] == made
    tip = BEGINNING
    for one in held:
        assert (one.body.sequence, one.body.previous) == (tip.sequence + 1, tip.hash)
        assert one.body.hlc > tip.hlc
        tip = Tip.of(one)


def test_appending_and_the_state_change_are_one(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        await begun(store)

        def good(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE mine (x INTEGER)")

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO mine VALUES (1)")
            raise ValueError("no")

        await store.append([body(n=1)], hlc=START, change=good)
        failing = store.append([body(n=2)], hlc=START, change=bad)
        others = [store.append([body(n=n)], hlc=START) for n in (3, 4)]
        outcomes = await asyncio.gather(failing, *others, return_exceptions=True)
        assert isinstance(outcomes[0], ValueError)
        held = await store.range(chain_of(ANN), 1, 100)
        assert [one.data.get("n") for one in held[1:]] == [1, 3, 4]
        count = await store.read(
            lambda reader: reader.connection.execute("SELECT count(*) FROM mine").fetchone()
        )
        assert count == (0,)

    using(tmp_path / "l.db", work)


def test_a_request_is_recorded_once(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        await begun(store)
        calls: list[int] = []
        asked = [body(request=b"r" * 16, n=1)]
        (one,) = await store.append(asked, hlc=START, change=lambda _: calls.append(1))
        (two,) = await store.append(asked, hlc=START, change=lambda _: calls.append(2))
        assert one == two
        assert calls == [1]
        assert len(await store.range(chain_of(ANN), 1, 9)) == 2

    using(tmp_path / "l.db", work)


def test_without_a_chain_nothing_is_appended(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        with pytest.raises(LedgerError, match="no chain"):
            await store.append([body()], hlc=START)

    using(tmp_path / "l.db", work)


def test_seals_give_entries_their_place_and_keeping_twice_changes_nothing(tmp_path: Path) -> None:
    scene = Scene()
    for n in range(5):
        scene.add(ANN, data={"n": n})
        scene.add(BOB, data={"n": n})
    first = [scene.keep(), scene.seal()]
    late = scene.add(BOB)
    second = [scene.keep(), scene.seal()]
    scene.add(ANN)
    keeps = [*first, *second, scene.keep()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        before = await store.read(lambda reader: dump(reader.connection))
        for what in keeps:
            await store.keep(what)
        assert await store.read(lambda reader: dump(reader.connection)) == before
        page = await store.query(Query(), limit=100)
        told = [(one.entry, one.sealed) for one in page.entries]
        assert told == [(one, True) for one in scene.sealed] + [(one, False) for one in scene.open]
        found = await store.entry(late.id[:16])
        assert (found.entry, found.height, found.index) == (late, 2, 0)
        assert await store.seals(1) == scene.seals

    using(tmp_path / "l.db", work)


def test_a_start_finds_what_a_core_needs(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN)
    member = scene.add(BOB, type="member.joined", entity="node:bob")
    keeps = [scene.keep(), scene.seal()]
    scene.add(ANN)
    retired = scene.add(BOB, type="chain.retired")
    rest = replace(
        scene.keep(),
        promise=Promise(7),
        accepted=Accepted(7, 2, b"value"),
        quarantines=(Quarantine(chain_of(BOB), 3, b"1", b"2"),),
    )

    async def write(store: LedgerStore) -> None:
        for what in [*keeps, rest]:
            await store.keep(what)

    async def work(store: LedgerStore) -> None:
        found = await store.restored()
        assert found.heads == {c: (tip.head, tip.hlc) for c, tip in scene.tips.items()}
        assert found.sealed == dict(scene.frontier)
        assert found.unsealed == {one.chain: ((one.hash, one.body.hlc),) for one in scene.open}
        assert found.sealed_notices == (member,)
        assert found.unsealed_notices == (retired,)
        assert found.last == scene.seals[-1]
        assert found.history == scene.history
        assert found.promise == 7
        assert found.accepted == rest.accepted
        assert found.quarantines == rest.quarantines

    using(tmp_path / "l.db", write)
    using(tmp_path / "l.db", work)


def test_a_rewind_makes_entries_provisional_and_seals_superseded(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN)
    keeps = [scene.keep(), scene.seal()]
    config = scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    keeps += [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        assert [row["name"] for row in await store.table("configurations")] == ["fast"]
        state = await store.rewind(2)
        assert state.last == scene.seals[0]
        assert state.history.size == 1
        assert state.unsealed == {config.chain: ((config.hash, config.body.hlc),)}
        assert await store.table("configurations") == []
        await store.keep(keeps[-1])
        assert [row["name"] for row in await store.table("configurations")] == ["fast"]

    using(tmp_path / "l.db", work)


def test_a_rewind_takes_those_below_along_whose_voters_are_unknown(tmp_path: Path) -> None:
    scene = Scene()
    keeps: list[Keep] = []
    for voters in ((ANN,), (ANN,), (ANN, BOB), (ANN, BOB), (ANN, BOB)):
        scene.add(ANN)
        keeps += [scene.keep(), scene.seal(voters)]
    known = VoterHistory((VoterSet(0, 0, (ANN.public_key,)),))

    async def work(store: LedgerStore) -> None:
        await store.keep(*keeps)
        state = await store.rewind(5, known)
        assert state.last == scene.seals[1]
        state = await store.rewind(2, known)
        assert state.last == scene.seals[0]

    using(tmp_path / "l.db", work)


def test_another_branch_takes_the_place_of_what_is_not_sealed(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, type="session.opened", entity="session:old")
    old = scene.open[-1]
    kept = scene.keep()
    first = scene.open[0]
    other = entry(ANN, after=Tip.of(first), type="session.opened", entity="session:new")

    async def work(store: LedgerStore) -> None:
        await store.keep(kept)
        contradiction = await store.compare(other)
        assert contradiction is not None
        assert contradiction.held == old
        await store.keep(Keep(9, entries=(other,), replaced=((other.chain, 2),)))
        assert await store.range(other.chain, 1, 9) == [first, other]
        assert [row["id"] for row in await store.table("sessions")] == ["new"]
        assert await store.compare(other) is None

    using(tmp_path / "l.db", work)


def test_drafts_wait_until_they_are_dropped(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        await store.keep_draft(b"r" * 16, 5, b"draft")
        (kept,) = await store.drafts()
        assert (kept.request, kept.kept_ms, kept.body) == (b"r" * 16, 5, b"draft")
        assert await store.drop_draft(b"r" * 16)
        assert not await store.drop_draft(b"r" * 16)
        assert await store.drafts() == []

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("prefix", ["", "abc", "zzzz", "0" * 65, "0000"])
def test_an_id_that_names_nothing_is_told(tmp_path: Path, prefix: str) -> None:
    async def work(store: LedgerStore) -> None:
        with pytest.raises(NotFoundError):
            await store.entry(prefix)

    using(tmp_path / "l.db", work)


def test_a_beginning_that_several_ids_have_asks_for_more_digits(tmp_path: Path) -> None:
    tip, chain, by_prefix = BEGINNING, [], {}
    while True:
        one = entry(ANN, after=tip)
        chain.append(one)
        tip = Tip.of(one)
        if (prefix := one.id[:4]) in by_prefix:
            break
        by_prefix[prefix] = one

    async def work(store: LedgerStore) -> None:
        await store.keep(Keep(9, entries=tuple(chain)))
        with pytest.raises(NotFoundError, match=f"several entries begin with '{prefix}'") as told:
            await store.entry(prefix)
        assert told.value.hint is not None
        assert told.value.hint.startswith("give more of its digits")
        assert (await store.entry(chain[-1].id[:16])).entry == chain[-1]

    using(tmp_path / "l.db", work)


def test_a_file_of_a_newer_version_another_cluster_or_no_ledger_is_left_alone(
    tmp_path: Path,
) -> None:
    async def nothing(store: LedgerStore) -> None:
        del store

    path = tmp_path / "l.db"
    using(path, nothing)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(LedgerError, match="newer BuildNet"):
        using(path, nothing)
    (tmp_path / "text.db").write_text("no ledger, but a text that is long enough " * 9)
    with pytest.raises(LedgerError, match="damaged"):
        using(tmp_path / "text.db", nothing)

    async def of_another() -> None:
        await LedgerStore.open(tmp_path / "o.db", cluster=b"o" * 32, sign=ANN.sign)

    using(tmp_path / "o.db", nothing)
    with pytest.raises(LedgerError, match="another cluster"):
        asyncio.run(of_another())
    assert CLUSTER != b"o" * 32


def test_a_store_with_a_key_tells_nothing_without_it(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, type="build.failed", entity="build:b1", data={"error": "secret plan"})
    scene.add(
        ANN,
        type="config.created",
        entity="config:fast",
        data=fact({"description": "secret words"}),
    )
    path, vault = tmp_path / "l.db", Vault(b"k" * 32)

    async def write(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        found = await store.query(Query(entity="build:b1", text="PLAN"))
        assert [one.entry for one in found.entries] == [scene.entries[1]]
        assert [row["error"] for row in await store.table("builds")] == ["secret plan"]

    using(path, write, vault=vault)
    assert b"secret" not in path.read_bytes()
    for other in (None, Vault(b"o" * 32)):
        with pytest.raises(VaultError):
            using(path, write, vault=other)


def dump(connection: sqlite3.Connection) -> list[str]:
    """All rows, without the token of this start."""
    return [line for line in connection.iterdump() if "'boot'" not in line]
