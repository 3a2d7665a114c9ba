"""Strangers who answer where a member is dialled: they are not taken at a member's word."""

from __future__ import annotations

import asyncio

import pytest
from tests.mesh.bounded import run
from tests.mesh.link_sites import ALICE, BOB, STRANGER, Site, members, standing

from buildnet.mesh.events import DialFailed
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.handshake import HandshakeRefusedError, Initiator, Purpose, Responder
from buildnet.mesh.link.handshaking import hear, initiate
from buildnet.mesh.link.links import LINKED_ALREADY, NO_MEMBER, OLDER_BOOT, LinkOffer, Standing
from buildnet.mesh.service.testing import pair


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
