"""The desk where members let others in: limits, and whose word counts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace

import pytest
from tests.mesh.bounded import run

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Note, Status
from buildnet.mesh.gossip.records import Record
from buildnet.mesh.identity import KeySignatures, NodeKey
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.handshake import Initiator, Purpose, Responder
from buildnet.mesh.link.handshaking import hear
from buildnet.mesh.local import Local
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import CommitProof
from buildnet.mesh.members.invitation import Token, new_token
from buildnet.mesh.members.member_list import Invitation, Member, MemberList, Rights, Role
from buildnet.mesh.messages.admission import MAX_REQUESTS, JoinOffer, RequestsBody
from buildnet.mesh.service import admission
from buildnet.mesh.service.admission import (
    MAX_CONVERSATIONS,
    MAX_REQUESTS_PER_HOST,
    MAX_UNKNOWN,
    TOPIC,
    AdmissionDesk,
)
from buildnet.mesh.service.joining import (
    PENDING_S,
    REJECTED,
    STOPPING,
    TOKEN_UNKNOWN,
    TOO_MANY_REQUESTS,
    Admission,
    Applicant,
    JoinError,
)
from buildnet.mesh.service.testing import pair
from buildnet.mesh.testing import ManualClock, key_number

CLUSTER_KEY, ADMIN, BUILDER = (key_number(number) for number in range(3))


def members() -> MemberList:
    founded = MemberList.found(
        CLUSTER_KEY, ADMIN, name="c", founder_name="a", created=1 << 16, nonce=bytes(16)
    )
    builder = Member(BUILDER.public_key, "b", Role.WORKER, Rights.BUILDER, 1)
    return replace(founded, members={**founded.members, builder.key: builder})


@dataclass
class Office:
    """What surrounds a desk; the test decides what becomes of changes."""

    notes: list[Note] = field(default_factory=list)
    records: dict[bytes, bytes] = field(default_factory=dict)
    proposed: list[Change] = field(default_factory=list)
    fails: BuildNetError | None = None
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.local = Local(
            ADMIN.public_key,
            1,
            KeySignatures(ADMIN),
            random.Random(1),
            HybridClock(ManualClock()),
            members(),
        )
        self.age_s = 0.0
        self.desk = AdmissionDesk(
            ADMIN, self.local, self, clock=lambda: 1000.0, wall=lambda: 5000.0
        )

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def chain(self) -> Chain:
        known = self.local.members
        proof = CommitProof(0, bytes(32), 0, known.cluster_id, ())
        return Chain(known.genesis, (), proof)

    async def propose(self, change: Change) -> None:
        self.proposed.append(change)
        if self.fails is not None:
            raise self.fails

    def advertise(self, topic: str, body: bytes) -> None:
        assert topic == TOPIC
        self.records[self.local.key] = body
        self.happened.set()

    def addresses(self) -> tuple[Record, ...]:
        return ()

    def bodies(self, topic: str) -> Mapping[bytes, tuple[bytes, float]]:
        return {owner: (body, self.age_s) for owner, body in self.records.items()}

    async def serve(self, connection: Connection) -> None:
        responder = Responder(self.local.members.cluster_id)
        claim = await hear(connection, responder)
        await self.desk.serve(connection, responder, claim)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.happened.clear()
                await self.happened.wait()


def applicant(key: NodeKey, token: Token | None = None) -> Applicant:
    return Applicant(key, 1, "joiner", Role.WORKER, lambda: 2 << 16, token)


async def asks(
    group: asyncio.TaskGroup, office: Office, key: NodeKey, remote: str
) -> asyncio.Task[Admission | BuildNetError]:
    """Let a node ask for admission; it returns how that went."""
    here, there = pair(remote)
    group.create_task(office.serve(there))

    async def ask() -> Admission | BuildNetError:
        try:
            return await applicant(key).join(here)
        except BuildNetError as error:
            return error
        finally:
            await here.close()

    task = group.create_task(ask())
    for _ in range(20):
        await asyncio.sleep(0)
    return task


def test_one_host_may_wait_with_few_requests() -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            tasks = [
                await asks(group, office, key_number(100 + n), f"10.0.0.1:{n}")
                for n in range(MAX_REQUESTS_PER_HOST)
            ]
            await office.until(lambda: len(office.desk.requests()) == MAX_REQUESTS_PER_HOST)
            refused = await (await asks(group, office, key_number(200), "10.0.0.1:99"))
            assert isinstance(refused, JoinError)
            assert "too many" in refused.message
            other = await asks(group, office, key_number(201), "10.0.0.2:1")
            await office.until(lambda: len(office.desk.requests()) == MAX_REQUESTS_PER_HOST + 1)
            for task in (*tasks, other):
                task.cancel()
        assert office.notes[0].reason == f"join refused: {TOO_MANY_REQUESTS}"
        assert office.desk.requests() == ()

    run(work())


def test_many_hosts_may_not_fill_the_records_either() -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            tasks = [
                await asks(group, office, key_number(100 + n), f"10.0.{n}.1:1")
                for n in range(MAX_REQUESTS)
            ]
            await office.until(lambda: len(office.desk.requests()) == MAX_REQUESTS)
            assert isinstance(
                await (await asks(group, office, key_number(99), "10.1.0.1:1")), JoinError
            )
            for task in tasks:
                task.cancel()
        assert len(RequestsBody.decode(office.records[ADMIN.public_key]).waiting) == 0

    run(work())


def test_who_goes_away_at_once_is_not_kept() -> None:
    async def work() -> None:
        office = Office()
        here, there = pair()
        responder = Responder(office.local.members.cluster_id)
        initiator = Initiator(
            key_number(100),
            1,
            Purpose.JOIN,
            cluster_id=None,
            extra=JoinOffer("j", "worker", None).encode(),
        )
        await here.send(initiator.start())
        await there.send(responder.answer(await there.receive()))
        await here.send(initiator.receive(await here.receive()))
        claim = responder.receive(await there.receive())
        await here.close()
        await office.desk.serve(there, responder, claim)
        assert office.desk.requests() == ()
        assert [note.reason for note in office.notes] == ["join refused: gone", "join broken off"]

    run(work())


def test_asking_again_replaces_the_older_request() -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            older = await asks(group, office, key_number(100), "10.0.0.1:1")
            await office.until(office.desk.requests)
            newer = await asks(group, office, key_number(100), "10.0.0.1:2")
            assert isinstance(await older, JoinError)
            (request,) = office.desk.requests()
            assert request.remote == "10.0.0.1:2"
            newer.cancel()

    run(work())


@pytest.mark.parametrize("judge", [ADMIN, BUILDER])
def test_only_an_admins_rejection_counts(judge: NodeKey) -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            task = await asks(group, office, key_number(100), "10.0.0.1:1")
            await office.until(office.desk.requests)
            (request,) = office.desk.requests()
            rejected = (bytes.fromhex(request.id),)
            if judge is ADMIN:
                office.desk.reject(request.id)
                error = await task
                assert isinstance(error, JoinError)
                assert "rejected" in error.message
                assert office.notes[-1].reason == f"join refused: {REJECTED}"
            else:
                office.records[judge.public_key] = RequestsBody((), rejected).encode()
                office.desk.look()
                assert office.desk.requests() == (request,)
                assert not task.done()
                task.cancel()

    run(work())


def test_what_others_show_is_checked_and_expires() -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            task = await asks(group, office, key_number(100), "10.0.0.1:1")
            await office.until(office.desk.requests)
            body = office.records[ADMIN.public_key]
            task.cancel()
        office.records = {BUILDER.public_key: body, bytes(32): b"garbage"}
        assert office.desk.requests() == ()  # nobody waits at a node that is not there
        office.local.status[BUILDER.public_key] = Status.ALIVE
        (request,) = office.desk.requests()
        assert request.responder == BUILDER.public_key
        office.age_s = PENDING_S - 1
        (older,) = office.desk.requests()
        assert (older.since, older.expires) == (5000.0 - PENDING_S + 1, 5001.0)
        office.age_s = PENDING_S
        assert office.desk.requests() == ()

    run(work())


def test_a_desk_that_stops_sends_everybody_away() -> None:
    async def work() -> None:
        office = Office()
        async with asyncio.TaskGroup() as group:
            task = await asks(group, office, key_number(100), "10.0.0.1:1")
            await office.until(office.desk.requests)
            await office.desk.stop()
            told = office.records[ADMIN.public_key]
            assert RequestsBody.decode(told).waiting == ()
            office.records.clear()
            late = await asks(group, office, key_number(101), "10.0.0.2:1")
            for error in (await task, await late):
                assert isinstance(error, JoinError)
                assert "about to stop" in error.message
        assert [note.reason for note in office.notes] == [f"join refused: {STOPPING}"] * 2
        assert office.records == {}  # what it belongs to has stopped

    run(work())


def with_invitation(office: Office, uses: int) -> Applicant:
    known = office.local.members
    token = new_token(known.cluster_id, secret=bytes(16), expires=2**40, addresses=())
    invitation = Invitation(
        token.key.public_key, ADMIN.public_key, 2**62, uses, Role.WORKER, Rights.BUILDER
    )
    office.local.members = replace(known, invitations={invitation.key: invitation})
    return applicant(key_number(100), token=token)


async def joined(office: Office, joiner: Applicant) -> BuildNetError:
    here, there = pair()
    async with asyncio.TaskGroup() as group:
        group.create_task(office.serve(there))
        try:
            await joiner.join(here)
        except BuildNetError as error:
            return error
        finally:
            await here.close()
    raise AssertionError("it was let in")


def test_a_token_of_another_cluster_learns_nothing() -> None:
    async def work() -> None:
        office = Office()
        joiner = with_invitation(office, uses=1)
        assert joiner.token is not None
        foreign = replace(joiner.token, fingerprint=bytes(16))
        error = await joined(office, replace(joiner, token=foreign))
        assert "another cluster" in error.message
        assert office.proposed == []

    run(work())


def test_a_stolen_ticket_is_worthless_without_its_key() -> None:
    """The ticket is bound to the joiner's key, which the handshake proves."""

    async def work() -> None:
        office = Office()
        honest = with_invitation(office, uses=1)
        stolen = honest._offer()

        class Thief(Applicant):
            def _offer(self) -> JoinOffer:
                return stolen

        robber = Thief(key_number(101), 1, "joiner", Role.WORKER, honest.hlc, honest.token)
        error = await joined(office, robber)
        assert "nobody there knows the token" in error.message

    run(work())


def test_what_keeps_a_change_from_coming_about_is_told_to_the_joiner() -> None:
    async def work() -> None:
        office = Office()
        office.fails = BuildNetError("no majority of the voters can be reached")
        error = await joined(office, with_invitation(office, uses=1))
        assert "no majority" in error.message
        assert len(office.proposed) == 1

    run(work())


def test_conversations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        office = Office()
        monkeypatch.setattr(office.desk, "_conversations", MAX_CONVERSATIONS)
        error = await joined(office, with_invitation(office, uses=1))
        assert "too many" in error.message

    run(work())


def test_made_up_tickets_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown one is waited for, in case it was made elsewhere a moment ago: few in all, one of
    each host, and beside them who brings a known one gets in."""
    monkeypatch.setattr(admission, "_KNOWN_WITHIN_S", 60.0)

    async def work() -> None:
        office = Office()
        known = with_invitation(office, uses=1)
        assert known.token is not None
        made_up = new_token(
            office.local.members.cluster_id, secret=b"?" * 16, expires=2**40, addresses=()
        )
        ends = []
        async with asyncio.TaskGroup() as group:
            for number in range(2 * MAX_CONVERSATIONS):
                here, there = pair(f"10.0.0.{number % 16}:1")
                ends.append(here)
                group.create_task(office.serve(there))
                asker = applicant(key_number(200 + number), token=made_up)
                group.create_task(gives_up(asker.join(here)))
            told = 2 * MAX_CONVERSATIONS - MAX_UNKNOWN
            async with asyncio.timeout(10):
                while len(office.notes) < told:
                    await asyncio.sleep(0)
            assert {note.reason for note in office.notes} == {f"join refused: {TOKEN_UNKNOWN}"}
            office.fails = BuildNetError("its turn came")
            assert "its turn came" in (await joined(office, known)).message
            for end in ends:
                await end.close()
            known_now = dict(office.local.members.invitations)
            (invitation,) = known_now.values()
            made_known = replace(invitation, key=made_up.key.public_key)
            office.local.members = replace(
                office.local.members, invitations={**known_now, made_known.key: made_known}
            )
            office.desk.look()

    run(work())


async def gives_up(joining: Coroutine[None, None, Admission]) -> None:
    with contextlib.suppress(BuildNetError):
        await joining
