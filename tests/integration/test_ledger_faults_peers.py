"""Members that lie to the ledgers of real nodes: those stay right, of one mind and responsive."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from buildnet.ledger.chain import Tip
from buildnet.ledger.entry import Entry
from buildnet.ledger.frontier import Advance
from buildnet.ledger.messages import (
    Entries,
    EntriesAsk,
    Equivocation,
    FactAsk,
    Heads,
    SealCosign,
    SealPrepare,
    SealPromise,
    SealPropose,
    SealRefuse,
    Seals,
    SealsAsk,
)
from buildnet.ledger.seal import Cosignature, Seal, SealRecord, cosign_statement
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.handshake import HandshakeError
from buildnet.mesh.messages.kinds import Message
from testbed.ledger_calls import note
from testbed.ledger_kills import Held, until_level
from testbed.ledger_rogue import RogueChain
from testbed.nodes import Cluster, Node, NodeError, refused
from testbed.rogue import RogueLink, admit, cluster_of
from testbed.waiting import until

PATIENCE_S = 40.0
GROWTH_MAX_BYTES = 64 * 1024 * 1024
SEALED_WITHIN_S = 10.0
"""What an honest node records while others lie, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster of three honest nodes, and one who has a member's key."""

    honest: Sequence[Node]
    cluster_id: bytes
    key: NodeKey

    def chain(self) -> RogueChain:
        return RogueChain(self.key, self.cluster_id)

    async def link(self, node: Node | None = None) -> RogueLink:
        return await RogueLink.open((node or self.honest[1]).address, self.key, self.cluster_id)

    async def say(self, *messages: Message, to: Sequence[Node] = ()) -> None:
        """Tell some nodes (all) something, and wait until they have read it."""
        for node in to or self.honest:
            async with await self.link(node) as link:
                for message in messages:
                    await link.send(link.envelope(message))
                await heard(link)


async def heard(link: RogueLink) -> None:
    """Wait until the node has come to what was sent last: it answers what is asked after it."""
    await link.send(link.envelope(SealsAsk(1)))
    async with asyncio.timeout(PATIENCE_S):
        while (await link.receive()).kind != 103:
            pass


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("liars")
    with Cluster(directory, 3) as cluster:
        founder = cluster.members[0]
        note(founder, "the first")
        key = asyncio.run(admit(founder, "rogue"))
        for node in cluster.members:
            until(lambda node=node: lists(node, key))  # type: ignore[misc]
        yield Scene(tuple(cluster.members), cluster_of(founder), key)


@pytest.fixture(autouse=True)
def unharmed(scene: Scene) -> Iterator[None]:
    """After each attack honest nodes record and seal, hold the same, verify, and met no bug."""
    memory = {node.name: node.process.memory_info().rss for node in scene.honest}
    yield
    for node in scene.honest:
        assert note(node, "unharmed")["sealed"]
    until_level(scene.honest, PATIENCE_S, besides=scene.key.public_key.hex())
    liar = scene.key.public_key.hex()
    first, *others = [Held.read(node).without_provisional(liar) for node in scene.honest]
    for other in others:
        assert first.difference(other) is None
    for node in scene.honest:
        assert node.post("/api/ledger/verify", {})["verified"]
        assert node.process.memory_info().rss - memory[node.name] < GROWTH_MAX_BYTES
        log = (node.home.directory / "node.log").read_text()
        assert '"level": "error"' not in log, log


def lists(node: Node, key: NodeKey) -> bool:
    members = node.get("/api/node/members")["members"]
    return any(member["key"] == key.public_key.hex() for member in members)


def holds(node: Node, entry: Entry) -> bool:
    try:
        node.get(f"/api/ledger/entries/{entry.id}")
    except NodeError:
        return False
    return True


def is_sealed(node: Node, entry: Entry) -> bool:
    try:
        return bool(node.get(f"/api/ledger/entries/{entry.id}")["sealed"])
    except NodeError:
        return False


def chain_on(node: Node, chain: RogueChain) -> dict[str, Any]:
    """Return what a node tells of a chain."""
    wanted = chain.chain.incarnation.hex()
    told = node.get("/api/ledger/sync")["chains"]
    found: dict[str, Any] = next(one for one in told if one["incarnation"] == wanted)
    return found


def entries(*wanted: Entry) -> Entries:
    return Entries(tuple(entry.signed for entry in wanted))


def run(work: Coroutine[None, None, None]) -> None:
    asyncio.run(work)


# --- entries -----------------------------------------------------------------------------------


def test_a_gap_is_never_passed(scene: Scene) -> None:
    chain = scene.chain()
    opened, *rest = [*chain.entries, *chain.grow(5)]

    async def attack() -> None:
        await scene.say(entries(opened, rest[0], rest[3], rest[4]))

    run(attack())
    for node in scene.honest:
        until(lambda node=node: is_sealed(node, rest[0]))  # type: ignore[misc]
        assert not holds(node, rest[3])
        assert chain_on(node, chain)["sequence"] == 2
    run(scene.say(entries(rest[1], rest[2]), entries(rest[3], rest[4])))
    for node in scene.honest:
        until(lambda node=node: is_sealed(node, rest[4]))  # type: ignore[misc]


def test_two_branches_are_known_to_all_and_sealed_only_up_to_where_they_part(scene: Scene) -> None:
    chain = scene.chain()
    opened, stem = [*chain.entries, *chain.grow(1)]
    one, other = chain.make(), chain.make()
    later = chain.make(after=Tip.of(one))
    run(scene.say(entries(opened, stem)))
    for node in scene.honest:
        until(lambda node=node: is_sealed(node, stem))  # type: ignore[misc]
    # Some are told one story, some the other, while nothing can be sealed in between.
    run(scene.say(entries(one, later), Equivocation(one.signed, other.signed), to=scene.honest[:1]))
    run(scene.say(entries(other), to=scene.honest[1:]))
    for node in scene.honest:
        until(lambda node=node: chain_on(node, chain)["quarantined_from"] == 3)  # type: ignore[misc]
    run(scene.say(entries(chain.make(after=Tip.of(later)))))
    run(scene.say(entries(chain.make(after=Tip.of(other)))))
    for node in scene.honest:
        assert note(node, "beside two branches")["sealed"]
    until_level(scene.honest, PATIENCE_S, besides=scene.key.public_key.hex())
    # What was proposed before the second branch was known may be sealed, nothing that came after.
    sealed = {chain_on(node, chain)["sealed"] for node in scene.honest}
    assert len(sealed) == 1
    assert sealed <= {2, 3, 4}


@pytest.mark.parametrize("whose", ["another member's", "a stranger's", "another cluster's"])
def test_entries_that_are_not_the_senders_to_make_are_refused(scene: Scene, whose: str) -> None:
    victim = scene.honest[2]
    told = chain_of_node(victim)
    before = refused(scene.honest[1])
    match whose:
        case "another member's":
            genuine = Entry.decode(signed_by(victim, told))
            body = replace(genuine.body, sequence=genuine.body.sequence + 1, previous=genuine.hash)
            forged = [Entry.sign(body, scene.key.sign)]
        case "a stranger's":
            stranger = RogueChain(NodeKey.generate(), scene.cluster_id)
            forged = [*stranger.entries, *stranger.grow(2)]
        case _:
            elsewhere = RogueChain(scene.key, os.urandom(32))
            forged = [*elsewhere.entries, *elsewhere.grow(2)]
    run(scene.say(*(entries(one) for one in forged)))
    for node in scene.honest:
        for one in forged:
            assert not holds(node, one)
    now = refused(scene.honest[1])
    assert any(now[name] > before.get(name, 0) for name in now if name.startswith("ledger: "))


def chain_of_node(node: Node) -> dict[str, Any]:
    told = node.get("/api/ledger/sync")["chains"]
    found: dict[str, Any] = max(
        (one for one in told if one["node_id"] == node.identity), key=lambda one: one["sequence"]
    )
    return found


def signed_by(node: Node, chain: dict[str, Any]) -> bytes:
    """Return the newest entry of a chain as it was signed, from a node's file."""
    import sqlite3
    from contextlib import closing

    from testbed.ledger_kills import ledger_file

    with closing(sqlite3.connect(f"file:{ledger_file(node)}?mode=ro", uri=True)) as connection:
        name = bytes.fromhex(chain["origin"] + chain["incarnation"])
        (signed,) = connection.execute(
            "SELECT signed FROM entries JOIN chains ON chain=number WHERE name=? AND sequence=?",
            (name, chain["sequence"]),
        ).fetchone()
        return bytes(signed)


def test_an_entry_from_the_future_holds_nobody_up(scene: Scene) -> None:
    chain = scene.chain()
    late = chain.make(ahead_s=30 * 365 * 86400.0)
    run(scene.say(entries(*chain.entries, late)))
    for node in scene.honest:
        began = time.monotonic()
        assert note(node, "now")["sealed"]
        assert time.monotonic() - began < SEALED_WITHIN_S
        assert not is_sealed(node, late)


# --- claims and questions ----------------------------------------------------------------------


def test_false_frontiers_cost_a_few_questions(scene: Scene) -> None:
    """Of the liar's own chains, of honest nodes', and of seals that there are not."""
    chain = scene.chain()
    origins = [
        scene.key.public_key,
        *(bytes.fromhex(chain_of_node(n)["origin"]) for n in scene.honest),
    ]
    far = tuple(
        sorted(
            (Advance(origins[n % 4], os.urandom(8), 10**9 + n, os.urandom(32)) for n in range(299)),
            key=lambda one: (one.origin, one.incarnation),
        )
    )
    own = Advance(chain.chain.origin, chain.chain.incarnation, 2**62, os.urandom(32))

    lies = [Heads(10**9, os.urandom(32), far), Heads(10**9, os.urandom(32), (own,))] * 5
    assert run_beside(scene, lies, count=(102, 104)) < 600


def test_endless_questions_are_answered_in_bounded_messages(scene: Scene) -> None:
    told = chain_of_node(scene.honest[0])
    ask = EntriesAsk(
        bytes.fromhex(told["origin"]), bytes.fromhex(told["incarnation"]), 1, 2**63 - 1
    )
    unknown = EntriesAsk(os.urandom(32), os.urandom(8), 1, 2**63 - 1)

    questions = [(ask, unknown, SealsAsk(1), SealsAsk(2**62))[number % 4] for number in range(400)]
    assert 0 < run_beside(scene, questions, count=(101, 103)) < 300


def run_beside(scene: Scene, said: Sequence[Message], *, count: Sequence[int]) -> int:
    """Say something to a node that records meanwhile; return how many messages of some kinds it
    sent until it had come to the end of it."""
    target = scene.honest[1]

    async def attack() -> int:
        loop = asyncio.get_running_loop()
        async with await scene.link(target) as link, asyncio.timeout(PATIENCE_S):
            found = 0

            async def read() -> None:
                nonlocal found
                while True:
                    found += (await link.receive()).kind in count

            reading = asyncio.create_task(read())
            try:
                for message in said:
                    await link.send(link.envelope(message))
                for number in range(3):
                    began = time.monotonic()
                    await loop.run_in_executor(None, note, target, f"meanwhile {number}")
                    assert time.monotonic() - began < SEALED_WITHIN_S
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            return found

    return asyncio.run(attack())


# --- seals -------------------------------------------------------------------------------------


def test_who_is_not_in_office_seals_nothing(scene: Scene) -> None:
    node = scene.honest[1]
    office = node.office()
    assert office is not None
    held = Held.read(node)
    record = SealRecord.decode(seal_record(node))
    seal = Seal.read(record)
    value = replace(seal.value, height=seal.height + 1, previous=seal.hash, count=0, advances=())
    raw = value.encode()
    said = cosign_statement(scene.cluster_id, value.height, os.urandom(32), office.term)
    mine = Cosignature(scene.key.public_key, scene.key.sign(said))
    others = tuple(
        sorted((Cosignature(v, os.urandom(64)) for v in value.voters), key=lambda c: c.voter)
    )
    run(
        scene.say(
            SealPrepare(office.term + 5, value.height),
            SealPropose(office.term, raw),
            SealPropose(office.term + 5, raw),
            SealPromise(office.term, office.term, 10**9, None),
            SealCosign(office.term, value.height, os.urandom(32), os.urandom(64)),
            SealRefuse(office.term, value.height, 2**62, 10**9, "newer term"),
            Seals((SealRecord(raw, office.term, (mine,)),)),
            Seals((SealRecord(raw, office.term, others),)),
            Seals((replace(record, value=record.value[:-1] + b"\0"),)),
        )
    )
    now = Held.read(node)
    assert now.seals[: len(held.seals)] == held.seals
    assert node.office() == office


def seal_record(node: Node) -> bytes:
    import sqlite3
    from contextlib import closing

    from testbed.ledger_kills import ledger_file

    with closing(sqlite3.connect(f"file:{ledger_file(node)}?mode=ro", uri=True)) as connection:
        (record,) = connection.execute(
            "SELECT record FROM seals ORDER BY height DESC LIMIT 1"
        ).fetchone()
        return bytes(record)


# --- garbage and floods ------------------------------------------------------------------------


def test_garbage_of_every_kind_is_counted(scene: Scene) -> None:
    target = scene.honest[1]
    before = refused(target)

    async def attack() -> None:
        key = await admit(scene.honest[0], "garbage")
        until(lambda: lists(target, key))
        async with await RogueLink.open(target.address, key, scene.cluster_id) as link:
            for kind in range(100, 113):
                for payload in (b"", os.urandom(200), b"\x81\x5b" + b"\xff" * 8):
                    await link.send(link.pack(kind, payload))
                    link.sequence += 1
            until(lambda: refused(target) != before)

    run(attack())


def test_a_flood_delays_honest_nodes_and_no_more(scene: Scene) -> None:
    """Forged entries, evidence that is none, and changes of facts, as fast as they go."""
    chain, stranger = scene.chain(), RogueChain(NodeKey.generate(), scene.cluster_id)
    forged = entries(
        *(chain.make(signer=stranger.key, data={"text": "x" * 900}) for _ in range(50))
    )
    one, other = stranger.make(), stranger.make()
    mixed: list[Message] = [forged, Equivocation(one.signed, other.signed)]
    mixed += [FactAsk(os.urandom(16), f"config:{n}", 0, os.urandom(100)) for n in range(8)]
    run_beside(scene, mixed * 30, count=())


def test_who_floods_what_is_of_no_use_is_not_listened_to_for_a_while(scene: Scene) -> None:
    chain, stranger, node = scene.chain(), NodeKey.generate(), scene.honest[2]
    forged = entries(*(chain.make(signer=stranger) for _ in range(120)))
    until(lambda: "ledger: entries of no use, too many" in refused_after(scene, node, forged))
    assert note(node, "beside it")["sealed"]


def refused_after(scene: Scene, node: Node, said: Message) -> dict[str, int]:
    run(scene.say(*[said] * 60, to=(node,)))
    return refused(node)


def test_a_stranger_gets_no_word_in(scene: Scene) -> None:
    async def attack() -> None:
        with pytest.raises(HandshakeError):
            await RogueLink.open(scene.honest[0].address, NodeKey.generate(), scene.cluster_id)

    run(attack())
