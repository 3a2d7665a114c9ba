"""Links between members over pairs in memory: who gets one, which one stays, and what ends it."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest
from tests.mesh.bounded import run
from tests.mesh.link_sites import (
    ALICE,
    BOB,
    CAROL,
    HELLO,
    STRANGER,
    Site,
    dialled,
    is_linked,
    linked,
    members,
    refusal,
    revoke,
    standing,
)

from buildnet.mesh.events import BootFact, DialFailed, LinkDown, LinkUp, Note, Status
from buildnet.mesh.link.handshake import Initiator, Responder
from buildnet.mesh.link.links import (
    KEY_IN_USE,
    LINKED_ALREADY,
    NO_MEMBER,
    OLDER_BOOT,
    SELF,
    SETTLED_S,
    Standing,
)
from buildnet.mesh.members.member_list import Ending, Former
from buildnet.mesh.service.testing import pair


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
