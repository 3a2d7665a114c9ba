"""Links between members, and attacks on them, over pairs in memory."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import BootFact, DialFailed, Event, LinkDown, LinkUp, Note, Status
from buildnet.mesh.identity import KeySignatures, NodeKey
from buildnet.mesh.link import envelope
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.envelope import Envelope
from buildnet.mesh.link.handshake import (
    Claim,
    HandshakeError,
    HandshakeRefusedError,
    Initiator,
    Purpose,
    Responder,
)
from buildnet.mesh.link.handshaking import MAX_UNFINISHED, hear, initiate
from buildnet.mesh.link.links import (
    KEY_IN_USE,
    LINKED_ALREADY,
    NO_MEMBER,
    OLDER_BOOT,
    SELF,
    SETTLED_S,
    SHUNNED,
    LinkOffer,
    Links,
    Standing,
)
from buildnet.mesh.link.peer import FLOOD, MESSAGES_BURST, Peer
from buildnet.mesh.local import Local
from buildnet.mesh.members.member_list import (
    Ending,
    Former,
    Member,
    MemberList,
    Revocation,
    Rights,
    Role,
)
from buildnet.mesh.messages.kinds import kind_of
from buildnet.mesh.messages.relay import RelayClose
from buildnet.mesh.service.testing import MemoryConnection, pair
from buildnet.mesh.testing import ManualClock, key_number

KEYS = sorted((key_number(number) for number in range(1, 5)), key=lambda key: key.public_key)
ALICE, BOB, CAROL, STRANGER = KEYS
MEMBERS = KEYS[:3]
HELLO = RelayClose(1, "hello")  # any message does


def members() -> MemberList:
    founded = MemberList.found(
        key_number(99), ALICE, name="c", founder_name="a", created=1 << 16, nonce=bytes(16)
    )
    known = {
        key.public_key: Member(key.public_key, "n", Role.WORKER, Rights.BUILDER, number)
        for number, key in enumerate(MEMBERS)
    }
    return replace(founded, members=known)


@dataclass
class Site:
    """One node's links; the test is all that surrounds them."""

    key: NodeKey
    boot: int = 10
    now: float = 100.0
    events: list[Event] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    kept: list[BootFact] = field(default_factory=list)
    taken: list[Envelope] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    wall: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.local = Local(
            self.key.public_key,
            self.boot,
            KeySignatures(self.key),
            random.Random(1),
            HybridClock(self.wall),
            members(),
        )
        self.links = Links(self.key, self.local, self, boots={}, clock=lambda: self.now)

    def feed(self, event: Event) -> None:
        self.events.append(event)
        self.happened.set()

    def note(self, note: Note) -> None:
        self.notes.append(note)
        self.happened.set()

    def keep(self, fact: BootFact) -> None:
        self.kept.append(fact)

    def take(self, peer: Peer, envelope: Envelope) -> None:
        self.taken.append(envelope)
        self.happened.set()

    async def serve(self, connection: Connection, responder: Responder, claim: Claim) -> None:
        await connection.close(1008, "no")

    @property
    def id(self) -> bytes:
        return self.key.public_key

    def reasons(self) -> list[str]:
        return [note.reason for note in self.notes]

    async def until(self, holds: object) -> None:
        async with asyncio.timeout(10):
            while not holds():  # type: ignore[operator]
                self.happened.clear()
                await self.happened.wait()


def run(work: Coroutine[None, None, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


@asynccontextmanager
async def dialled(
    caller: Site, callee: Site, expected: bytes | None = None, remote: str = "192.0.2.1:1"
) -> AsyncIterator[tuple[MemoryConnection, MemoryConnection]]:
    """Let ``caller`` dial ``callee``; both ends run until the end of the context."""
    here, there = pair(remote)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(callee.links.accept(there)),
            group.create_task(caller.links.initiate(here, expected or callee.id, "http://callee")),
        ]
        yield here, there
        for task in tasks:
            task.cancel()


def is_linked(one: Site, other: Site) -> bool:
    return other.id in one.links.peers and one.id in other.links.peers


async def linked(one: Site, other: Site) -> None:
    await one.until(lambda: other.id in one.links.peers)
    await other.until(lambda: one.id in other.links.peers)


def test_members_link_and_talk() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB, boot=20)
        async with dialled(alice, bob):
            await linked(alice, bob)
            assert alice.events == [LinkUp(BOB.public_key, True, "http://callee", None)]
            assert bob.events == [LinkUp(ALICE.public_key, False, None, None)]
            assert alice.kept == [BootFact(BOB.public_key, 20)]
            alice.links.say(bob.id, HELLO)
            alice.links.say_all((bob.id, CAROL.public_key), HELLO)
            bob.links.say(alice.id, HELLO)
            await bob.until(lambda: len(bob.taken) == 2)
            await alice.until(lambda: len(alice.taken) == 1)
        to_bob, to_all = bob.taken
        assert (to_bob.sender, to_bob.recipient, to_bob.payload) == (
            alice.id,
            bob.id,
            HELLO.encode(),
        )
        assert to_all.recipient == b""
        assert alice.notes == bob.notes == []

    run(work())


def test_no_link_keeps_its_handshake() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            gc.collect()
            kept = [one for one in gc.get_objects() if isinstance(one, Initiator | Responder)]
            assert not kept

    run(work())


def test_the_end_of_a_link_is_told_on_both_sides() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            alice.links.end(bob.id, "enough")
            await bob.until(lambda: len(bob.events) == 2)
        assert alice.events[-1] == LinkDown(bob.id, "enough")
        assert isinstance(bob.events[-1], LinkDown)
        assert not alice.links.peers
        assert not bob.links.peers

    run(work())


async def refusal(callee: Site, caller: Site, expected: bytes | None = None) -> str:
    """Return why a link is refused."""
    async with dialled(caller, callee, expected):
        await caller.until(lambda: caller.events)
    (failed,) = caller.events
    assert isinstance(failed, DialFailed)
    assert not failed.refused
    return failed.reason


def test_a_stranger_is_refused_and_counted() -> None:
    async def work() -> None:
        bob, stranger = Site(BOB), Site(STRANGER)
        assert await refusal(bob, stranger) == NO_MEMBER
        assert bob.notes == [Note(f"refused: {NO_MEMBER}", STRANGER.public_key, "192.0.2.1:1")]
        assert bob.events == []

    run(work())


def test_a_revoked_member_is_refused() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        revoke(bob, alice)
        assert await refusal(bob, alice) == NO_MEMBER

    run(work())


def revoke(at: Site, whom: Site) -> None:
    revocation = Revocation(whom.id, CAROL.public_key, "lost", None)
    at.local.members = at.local.members.with_revocations([revocation])


def test_a_revoked_key_loses_its_live_link_at_once() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            revoke(bob, alice)
            bob.links.end_strangers()
            await bob.until(lambda: LinkDown(alice.id, NO_MEMBER) in bob.events)
        assert bob.taken == []
        assert Note("link of a former member cut", alice.id) in bob.notes

    run(work())


def test_what_a_revoked_key_says_is_not_taken_even_before_its_link_is_cut() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            revoke(bob, alice)
            alice.links.say(bob.id, HELLO)
            await bob.until(lambda: LinkDown(alice.id, NO_MEMBER) in bob.events)
        assert bob.taken == []
        bob.local.members = members()  # as if it had only been removed, and let in again
        async with dialled(Site(ALICE, boot=11), bob):
            await bob.until(lambda: alice.id in bob.links.peers)

    run(work())


def test_dialling_oneself() -> None:
    async def work() -> None:
        alice, again = Site(ALICE), Site(ALICE)
        assert await refusal(alice, again, BOB.public_key) == SELF

    run(work())


def test_of_two_processes_with_one_key_the_newer_one_stays() -> None:
    async def work() -> None:
        older, newer = Site(ALICE, boot=10), Site(ALICE, boot=11)
        bob, carol = Site(BOB), Site(CAROL)
        async with dialled(older, bob):
            await linked(older, bob)
            async with dialled(newer, bob):
                await linked(newer, bob)
                await older.until(lambda: len(older.events) == 2)
                assert bob.links.peers[newer.id].boot == 11
                assert not [one for one in bob.events if isinstance(one, LinkDown)]
                older.events.clear()
                assert await refusal(bob, older) == OLDER_BOOT
                assert not older.links.may_dial(bob.id)
                assert older.links.may_dial(carol.id)  # one alone may be lying
                assert older.links.may_dial(None)
                assert KEY_IN_USE not in older.reasons()
                async with dialled(newer, carol):
                    await linked(newer, carol)
                    older.events.clear()
                    assert await refusal(carol, older) == OLDER_BOOT
                assert not older.links.may_dial(None)
                assert Note(KEY_IN_USE, carol.id, "http://callee") in older.notes
                assert is_linked(bob, newer)
        older.now += 61
        assert older.links.may_dial(None)
        assert older.links.may_dial(bob.id)

    run(work())


def test_an_older_process_is_told_once_the_newer_one_is_gone() -> None:
    async def work() -> None:
        older, newer, bob = Site(ALICE, boot=10), Site(ALICE, boot=11), Site(BOB)
        older.local.members = replace(
            members(),
            members={key.public_key: members().members[key.public_key] for key in (ALICE, BOB)},
        )
        free: list[float] = []
        older.links.on_newer_gone = lambda: free.append(older.now)

        async def tried(after_s: float) -> None:
            older.now += after_s
            assert older.links.may_dial(bob.id)
            older.events.clear()
            assert await refusal(bob, older) == OLDER_BOOT

        async with dialled(newer, bob):
            await linked(newer, bob)
            for _ in range(3):
                await tried(61)
        for status in (Status.ALIVE, Status.SUSPECT):
            bob.local.status[ALICE.public_key] = status
            await tried(61)
        bob.local.status[ALICE.public_key] = Status.DEAD
        await tried(61)
        assert free == []
        await tried(16)
        assert free == [older.now]
        await tried(16)
        assert len(free) == 2  # it may have been busy

    run(work())


def test_a_restarted_peer_replaces_its_old_link() -> None:
    async def work() -> None:
        alice, bob, restarted = Site(ALICE), Site(BOB), Site(ALICE, boot=11)
        async with dialled(alice, bob), dialled(restarted, bob):
            await linked(restarted, bob)
            assert bob.links.peers[alice.id].boot == 11

    run(work())


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_that_dial_at_once_the_smaller_key_stays_the_dialler(first: int) -> None:
    async def work() -> None:
        sites = [Site(ALICE), Site(BOB)]
        alice, bob = sites
        async with dialled(sites[first], sites[1 - first]):
            await linked(alice, bob)
            async with dialled(sites[1 - first], sites[first]):
                await alice.until(
                    lambda: bob.id in alice.links.peers and (alice.links.peers[bob.id].outgoing)
                )
                await linked(alice, bob)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert alice.links.peers[bob.id].outgoing
                assert not bob.links.peers[alice.id].outgoing
                alice.links.say(bob.id, HELLO)
                bob.links.say(alice.id, HELLO)
                await bob.until(lambda: bob.taken)
                await alice.until(lambda: alice.taken)

    run(work())


def test_who_lost_its_link_gets_a_new_one_though_the_other_side_did_not_notice() -> None:
    async def work() -> None:
        alice, bob, alone = Site(ALICE), Site(BOB), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            alice.now += SETTLED_S + 1
            async with dialled(alone, alice):  # bob's process, without its link
                await linked(alone, alice)
                assert not alice.links.peers[bob.id].outgoing

    run(work())


def test_a_seed_that_turns_out_to_be_linked_disturbs_nothing() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            link = alice.links.peers[bob.id]
            here, there = pair()
            async with asyncio.TaskGroup() as group:
                group.create_task(bob.links.accept(there))
                group.create_task(alice.links.initiate(here, None, "http://seed"))
            assert alice.events[-1] == DialFailed(
                None, "http://seed", LINKED_ALREADY, linked_with=bob.id
            )
            assert alice.links.peers[bob.id] is link
            assert link.reason is None

    run(work())


def test_another_member_answers_than_the_one_dialled() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        assert await refusal(bob, alice, CAROL.public_key) == "another node answered"

    run(work())


def test_thousands_of_unfinished_handshakes_keep_nobody_out() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        ends: list[MemoryConnection] = []
        async with asyncio.TaskGroup() as group:
            for number in range(3000):
                here, there = pair(f"10.{number % 200}.{number // 200}.1:1")
                ends.append(here)
                if number % 2:
                    await here.send(
                        Initiator(STRANGER, 1, Purpose.MEMBER, cluster_id=bytes(32)).start()
                    )
                group.create_task(bob.links.accept(there))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await bob.until(lambda: len(bob.notes) >= 2 * (3000 - MAX_UNFINISHED))
            async with dialled(alice, bob):
                await linked(alice, bob)
            for end in ends:
                await end.close()
        assert set(bob.reasons()) == {"unfinished handshake", "unfinished handshake displaced"}
        assert sum(1 for end in ends if end.closed) == 3000

    run(work())


@pytest.mark.parametrize(
    "garbage", [b"", b"GET / HTTP/1.1", bytes(64 * 1024), b"\x85" + b"\x81" * 500]
)
def test_garbage_instead_of_a_handshake(garbage: bytes) -> None:
    async def work() -> None:
        bob = Site(BOB)
        here, there = pair()
        await here.send(garbage)
        await bob.links.accept(there)
        assert bob.reasons()[0].startswith("handshake: ")
        assert there.closed

    run(work())


def test_who_knows_another_cluster_only() -> None:
    async def work() -> None:
        bob = Site(BOB)
        here, there = pair()
        initiator = Initiator(
            ALICE,
            1,
            Purpose.MEMBER,
            cluster_id=b"other cluster".ljust(32),
            extra=LinkOffer(None).encode(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(bob.links.accept(there))
            with pytest.raises((ConnectionClosed, HandshakeError)):
                await initiate(here, initiator)
        assert bob.reasons() == ["handshake: wrong cluster or signature"]

    run(work())


@asynccontextmanager
async def by_hand(site: Site, key: NodeKey, boot: int = 10) -> AsyncIterator[Attacker]:
    """Link to ``site`` as the member ``key`` whose process does what the test says."""
    here, there = pair()
    cluster_id = site.local.members.cluster_id
    initiator = Initiator(
        key,
        boot,
        Purpose.MEMBER,
        cluster_id=cluster_id,
        extra=LinkOffer(site.id).encode(),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(site.links.accept(there))
        await initiate(here, initiator)
        yield Attacker(here, initiator, cluster_id)
        task.cancel()


@dataclass
class Attacker:
    connection: MemoryConnection
    initiator: Initiator
    cluster_id: bytes

    def __post_init__(self) -> None:
        self.cipher = self.initiator.session.cipher()

    async def send(self, plain: bytes) -> None:
        await self.connection.send(self.cipher.seal(plain))

    def envelope(
        self, signer: NodeKey, recipient: bytes | None, sequence: int = 1, hlc: int = 1
    ) -> bytes:
        return envelope.seal(
            signer,
            recipient,
            kind_of(HELLO).number,
            HELLO.encode(),
            boot=10,
            sequence=sequence,
            hlc=hlc,
            term=0,
            cluster_id=self.cluster_id,
        )


def test_a_message_for_one_member_is_worthless_at_another() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            # Alice said it to Bob; Bob hands it on to Carol.
            await bob.send(bob.envelope(ALICE, BOB.public_key))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.taken == []
        assert carol.events[1] == LinkDown(BOB.public_key, "forged sender")
        assert carol.notes[-1].reason == "forged sender"

    run(work())


def test_ones_own_message_for_another_member_is_refused() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            await bob.send(bob.envelope(BOB, ALICE.public_key))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.taken == []
        assert carol.notes[-1].reason == "for another node"

    run(work())


def test_a_member_that_misbehaves_is_shunned_for_a_while() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            await bob.send(b"no envelope at all")
            await carol.until(lambda: len(carol.events) == 2)
        assert await refusal(carol, Site(BOB)) == SHUNNED
        carol.now += 31
        carol.links.check(carol.now)
        async with by_hand(carol, BOB):
            await carol.until(lambda: BOB.public_key in carol.links.peers)

    run(work())


def test_a_replayed_message_is_dropped_and_counted() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            said = bob.envelope(BOB, CAROL.public_key)
            for _ in range(3):
                await bob.send(said)
            await carol.until(lambda: len(carol.notes) == 2)
            assert len(carol.taken) == 1
            assert carol.reasons() == ["replayed message", "replayed message"]
            assert BOB.public_key in carol.links.peers

    run(work())


def test_a_flood_ends_the_link_and_others_go_on() -> None:
    async def work() -> None:
        alice, carol = Site(ALICE), Site(CAROL)
        async with dialled(alice, carol):
            await linked(alice, carol)
            async with by_hand(carol, BOB) as bob:
                with pytest.raises(ConnectionClosed):
                    await flood(bob)
            assert LinkDown(BOB.public_key, FLOOD) in carol.events
            assert len(carol.taken) <= MESSAGES_BURST
            alice.links.say(carol.id, HELLO)
            await carol.until(lambda: carol.taken[-1].sender == alice.id)

    run(work())


async def flood(attacker: Attacker) -> None:
    for sequence in range(1, 2 * int(MESSAGES_BURST)):
        await attacker.send(attacker.envelope(BOB, None, sequence))


def test_a_clock_an_hour_ahead_is_noted_and_not_followed() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        before = carol.local.clock.now()
        ahead = before + (3600 * 1000 << 16)
        async with by_hand(carol, BOB) as bob:
            await bob.send(bob.envelope(BOB, None, hlc=ahead))
            await carol.until(lambda: carol.taken)
        assert carol.reasons() == ["clock far ahead"]
        assert carol.local.clock.now() < before + (1000 << 16)

    run(work())


def test_where_most_clocks_are_ahead_it_is_this_host_s_that_is_behind() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        ahead = carol.local.clock.now() + (3600 * 1000 << 16)
        async with by_hand(carol, ALICE) as alice, by_hand(carol, BOB) as bob:
            await alice.send(alice.envelope(ALICE, None, hlc=ahead))
            await carol.until(lambda: len(carol.taken) == 1)
            assert carol.links.clocks.off_ms is None
            await bob.send(bob.envelope(BOB, None, hlc=ahead))
            await carol.until(lambda: len(carol.taken) == 2)
            assert carol.reasons() == ["clock far ahead", "this host's clock is behind"]
            assert abs((carol.links.clocks.off_ms or 0) - 3_600_000) < 1000
        await carol.until(lambda: not carol.links.peers)
        assert carol.links.clocks.off_ms is None

    run(work())


def test_a_tampering_middle_ends_the_link_but_shuns_nobody() -> None:
    async def work() -> None:
        carol = Site(CAROL)
        async with by_hand(carol, BOB) as bob:
            frame = bytearray(bob.cipher.seal(bob.envelope(BOB, None)))
            frame[30] ^= 1
            await bob.connection.send(bytes(frame))
            await carol.until(lambda: len(carol.events) == 2)
        assert carol.reasons() == ["altered frame"]
        async with by_hand(carol, BOB):
            await carol.until(lambda: BOB.public_key in carol.links.peers)

    run(work())


def test_a_node_that_stops_ends_its_links_and_takes_no_more() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            await bob.links.stop(5)
            assert not bob.links.peers
            await alice.until(lambda: len(alice.events) == 2)
            alice.events.clear()
            assert await refusal(bob, alice) == "stopping"

    run(work())


def test_what_a_node_is_to_another_one() -> None:
    async def work() -> None:
        assert await standing(Site(ALICE), Site(BOB)) is Standing.MEMBER
        bob = Site(BOB)
        revoke(bob, Site(ALICE))
        assert await standing(Site(ALICE), bob) is Standing.DROPPED
        bob.local.members = replace(
            members(), members={BOB.public_key: members().members[BOB.public_key]}, former=FORMER
        )
        assert await standing(Site(ALICE), bob) is Standing.DROPPED
        alice, bob = Site(ALICE), Site(BOB)
        async with dialled(alice, bob):
            await linked(alice, bob)
            assert await standing(alice, bob) is Standing.MEMBER
            assert is_linked(alice, bob)

    run(work())


def test_how_its_membership_ended_is_known_by_a_member_s_word_until_a_link_is_made() -> None:
    async def work() -> None:
        alice, bob = Site(ALICE), Site(BOB)
        bob.local.members = replace(
            members(), members={BOB.public_key: members().members[BOB.public_key]}, former=FORMER
        )
        for callee, ending in ((bob, "removed"), (Site(BOB), None)):
            async with dialled(alice, callee):
                await alice.until(lambda: len(alice.events) == 1)
                alice.events.clear()
                assert alice.links.turned_away == ending
        revoke(bob, alice)
        async with dialled(alice, bob):
            await alice.until(lambda: DialFailed in map(type, alice.events))
            assert alice.links.turned_away == "revoked"

    run(work())


FORMER = {ALICE.public_key: Former(members().members[ALICE.public_key], Ending.REMOVED, 5)}


async def standing(caller: Site, callee: Site) -> Standing:
    here, there = pair()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(callee.links.accept(there))
        found = await caller.links.standing(here)
        task.cancel()
    return found


# --- strangers who answer ------------------------------------------------------------------------


async def rogue(connection: Connection, refusal: str, key: NodeKey | None) -> None:
    """Answer at an address of which somebody said that a member is there; the cluster's id is no
    secret to many."""
    responder = Responder(members().cluster_id)
    await hear(connection, responder)
    said = responder.accept(STRANGER, 10) if not refusal else responder.refuse(refusal, key=key)
    await connection.send(said)


@pytest.mark.parametrize("key", [None, STRANGER], ids=["anonymous", "stranger"])
def test_a_stranger_that_talks_of_a_copied_key_stops_nobody(key: NodeKey | None) -> None:
    async def work() -> None:
        alice = Site(ALICE)
        here, there = pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(rogue(there, OLDER_BOOT, key))
            await alice.links.initiate(here, BOB.public_key, "http://rogue")
        assert alice.events == [DialFailed(BOB.public_key, "http://rogue", OLDER_BOOT)]
        assert alice.links.may_dial(BOB.public_key)
        assert alice.reasons() == ["link not made"]

    run(work())


def test_who_answers_in_a_member_s_place_is_told_from_a_member_that_is_not_up() -> None:
    async def work() -> None:
        alice = Site(ALICE)
        here, there = pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(rogue(there, "", None))
            await alice.links.initiate(here, BOB.public_key, "http://rogue")
        assert alice.reasons() == ["handshake: another node answered"]

    run(work())


@pytest.mark.parametrize("key", [None, STRANGER], ids=["anonymous", "stranger"])
def test_no_stranger_ends_a_membership(key: NodeKey | None) -> None:
    async def work() -> None:
        alice = Site(ALICE)
        here, there = pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(rogue(there, NO_MEMBER, key))
            await alice.links.initiate(here, BOB.public_key, "http://rogue")
        assert alice.links.turned_away is None

    run(work())


@pytest.mark.parametrize("refusal", [NO_MEMBER, LINKED_ALREADY, ""])
@pytest.mark.parametrize("key", [None, STRANGER], ids=["anonymous", "stranger"])
def test_strangers_can_t_tell_what_a_node_is(key: NodeKey | None, refusal: str) -> None:
    async def work() -> None:
        here, there = pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(rogue(there, refusal, key))
            assert await Site(ALICE).links.standing(here) is Standing.STRANGER
        assert await standing(Site(STRANGER), Site(BOB)) is Standing.STRANGER

    run(work())


def test_a_stranger_is_not_told_who_refuses_it() -> None:
    async def work() -> None:
        bob = Site(BOB)
        here, there = pair()
        offer = LinkOffer(None).encode()
        initiator = Initiator(
            STRANGER, 1, Purpose.MEMBER, cluster_id=members().cluster_id, extra=offer
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(bob.links.accept(there))
            with pytest.raises(HandshakeRefusedError) as refused:
                await initiate(here, initiator)
        assert (refused.value.refusal, refused.value.refuser) == (NO_MEMBER, None)

    run(work())
