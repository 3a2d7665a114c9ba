"""Joining at somebody who lies: nothing is believed that is not proven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.handshake import Responder
from buildnet.mesh.link.handshaking import hear
from buildnet.mesh.link.sealed import SealedConnection
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.changes import Invite, sign_change
from buildnet.mesh.members.entry import (
    CommitProof,
    Entry,
    Vote,
    accepted_statement,
    ballot_statement,
    sign_entry,
)
from buildnet.mesh.members.invitation import TokenError, invite, new_token
from buildnet.mesh.members.member_list import MemberList, Role
from buildnet.mesh.messages.admission import (
    ChainPart,
    JoinDone,
    JoinOffer,
    JoinProposal,
    JoinWelcome,
)
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service import joining
from buildnet.mesh.service.cluster import ChangeTimeoutError
from buildnet.mesh.service.joining import Applicant, JoinError, refused
from buildnet.mesh.service.testing import MemoryConnection, pair
from buildnet.mesh.testing import MIDNIGHT_MS, key_number

CLUSTER_KEY, MEMBER, JOINER, STRANGER = (key_number(number) for number in range(4))
CREATED = MIDNIGHT_MS << 16


def founded(by: NodeKey = MEMBER) -> MemberList:
    return MemberList.found(
        CLUSTER_KEY, by, name="c", founder_name="a", created=CREATED, nonce=bytes(16)
    )


def chain_of(members: MemberList, *entries: Entry, proof: CommitProof | None = None) -> Chain:
    genesis_proof = CommitProof(0, bytes(32), 0, members.cluster_id, ())
    return Chain(members.genesis, entries, proof or genesis_proof)


FOUNDED = founded()
TOKEN = new_token(FOUNDED.cluster_id, secret=bytes(16), expires=2**40, addresses=())


@dataclass
class Liar:
    """Who answers; the test says as whom, and what it shows."""

    key: NodeKey
    cluster_id: bytes
    says: list[Message]
    heard: list[Message]
    welcome: bytes = JoinWelcome(CREATED + 1).encode()

    async def answer(self, connection: MemoryConnection) -> None:
        responder = Responder(self.cluster_id)
        claim = await hear(connection, responder)
        JoinOffer.decode(claim.extra)
        await connection.send(responder.accept(self.key, 1, self.welcome))
        sealed = SealedConnection(connection, responder.session.cipher(), claim.key)
        try:
            for message in self.says:
                await sealed.say(message, 5)
            while True:
                self.heard.append(await sealed.hear(5))
        except BuildNetError:
            return


def join_at(liar: Liar) -> BuildNetError:
    """Join with the token and return the error."""
    return join_through(liar.answer)


def join_through(
    other_side: Callable[[MemoryConnection], Coroutine[None, None, None]],
) -> BuildNetError:
    errors: list[BuildNetError] = []

    async def work() -> None:
        here, there = pair()
        applicant = Applicant(JOINER, 1, "j", Role.WORKER, lambda: CREATED + 1, TOKEN)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(other_side(there))
            try:
                await applicant.join(here)
            except BuildNetError as error:
                errors.append(error)
            await here.close()

    asyncio.run(work())
    (error,) = errors
    assert error.hint
    return error


def liar(key: NodeKey, chain: Chain, cluster_id: bytes = FOUNDED.cluster_id) -> Liar:
    return Liar(key, cluster_id, [*chain.parts()], [])


def test_an_honest_member_is_told_the_proposal() -> None:
    honest = liar(MEMBER, chain_of(FOUNDED))
    honest.says.append(JoinDone("token used up", "", ""))
    join_at(honest)
    (proposal,) = honest.heard
    assert isinstance(proposal, JoinProposal)
    assert proposal.change.author == JOINER.public_key


@pytest.mark.parametrize(("minutes", "word"), [(61, "behind"), (-61, "ahead of")])
def test_the_change_bears_the_members_time(
    caplog: pytest.LogCaptureFixture, minutes: int, word: str
) -> None:
    time = (MIDNIGHT_MS + minutes * 60_000) << 16
    honest = liar(MEMBER, chain_of(FOUNDED))
    honest.welcome = JoinWelcome(time).encode()
    honest.says.append(JoinDone("MEMBER_CHANGE", "change from the future", "check the clock"))
    assert join_at(honest).hint == "check the clock"
    (proposal,) = honest.heard
    assert isinstance(proposal, JoinProposal)
    assert proposal.change.hlc == time
    assert f"61 minutes {word}" in caplog.text


def test_a_member_that_does_not_tell_its_time() -> None:
    honest = liar(MEMBER, chain_of(FOUNDED))
    honest.welcome = b""
    assert "broke off" in join_at(honest).message
    assert honest.heard == []


def test_a_stranger_who_shows_the_clusters_chain() -> None:
    stranger = liar(STRANGER, chain_of(FOUNDED))
    error = join_at(stranger)
    assert isinstance(error, JoinError)
    assert "no member" in error.message
    assert stranger.heard == []  # the joiner's proposal was not shown


def test_another_cluster_than_the_tokens() -> None:
    other = founded(STRANGER)
    stranger = liar(STRANGER, chain_of(other), other.cluster_id)
    error = join_at(stranger)
    assert isinstance(error, TokenError)
    assert stranger.heard == []


def test_a_chain_of_another_cluster_than_the_one_claimed() -> None:
    error = join_at(liar(STRANGER, chain_of(founded(STRANGER))))
    assert isinstance(error, JoinError)


def test_a_change_that_is_not_final() -> None:
    """The coordinator put it into its chain, but shows no vote that it was kept."""
    ballot = (1, MEMBER.public_key)
    said = ballot_statement(FOUNDED.cluster_id, FOUNDED.lineage, ballot)
    vote = Vote(MEMBER.public_key, MEMBER.sign(said))
    entry = invited_by(MEMBER, MEMBER, (vote,))
    kept = accepted_statement(FOUNDED.cluster_id, ballot, 1, entry.hash)
    final = CommitProof(
        1, MEMBER.public_key, 1, entry.hash, (Vote(MEMBER.public_key, MEMBER.sign(kept)),)
    )
    honest = liar(MEMBER, chain_of(FOUNDED, entry, proof=final))
    honest.says.append(JoinDone("token used up", "", ""))
    assert "token used up" in str(join_at(honest))
    hasty = liar(MEMBER, chain_of(FOUNDED, entry, proof=replace(final, votes=())))
    assert "can't prove" in join_at(hasty).message
    assert hasty.heard == []


def invited_by(author: NodeKey, sequencer: NodeKey, votes: tuple[Vote, ...] = ()) -> Entry:
    what: Invite = invite(replace(TOKEN, expires=MIDNIGHT_MS // 1000 + 3600))
    change = sign_change(
        what,
        cluster_id=FOUNDED.cluster_id,
        author=author.public_key,
        hlc=CREATED + 1,
        sign=author.sign,
    )
    return sign_entry(
        change,
        cluster_id=FOUNDED.cluster_id,
        version=1,
        previous=FOUNDED.head,
        ballot=(1, sequencer.public_key),
        hlc=CREATED + 2,
        votes=votes,
        sign=sequencer.sign,
    )


@pytest.mark.parametrize("author", [STRANGER, MEMBER])
def test_entries_that_nobody_voted_for(author: NodeKey) -> None:
    entry = invited_by(author, author)
    proof = CommitProof(1, author.public_key, 1, entry.hash, ())
    error = join_at(liar(MEMBER, chain_of(FOUNDED, entry, proof=proof)))
    assert isinstance(error, JoinError)
    assert "can't prove" in error.message


def test_a_flipped_bit_in_the_genesis() -> None:
    genesis = FOUNDED.genesis
    signature = bytes([genesis.cluster_signature[0] ^ 1]) + genesis.cluster_signature[1:]
    forged = replace(genesis, cluster_signature=signature)
    chain = Chain(forged, (), CommitProof(0, bytes(32), 0, forged.cluster_id, ()))
    honest_id = join_at(liar(MEMBER, chain))
    assert isinstance(honest_id, JoinError)


def test_a_chain_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAX_ENTRIES", 3)
    entry = invited_by(MEMBER, MEMBER)
    endless = liar(MEMBER, chain_of(FOUNDED))
    endless.says = [ChainPart(None, (entry,), None)] * 10
    error = join_at(endless)
    assert "broke off" in error.message


def test_nonsense_instead_of_a_chain() -> None:
    endless = liar(MEMBER, chain_of(FOUNDED))
    endless.says = [JoinDone("", "", "")]
    assert "broke off" in join_at(endless).message


def test_a_connection_that_breaks_off() -> None:
    async def hang_up(connection: MemoryConnection) -> None:
        await connection.receive()
        await connection.close(1001, "going away")

    error = join_through(hang_up)
    assert isinstance(error, JoinError)
    assert "broke off" in error.message
    assert (error.code, error.exit_code) == ("JOIN_BROKEN_OFF", 3)


def test_bits_flipped_on_the_way() -> None:
    async def garbage(connection: MemoryConnection) -> None:
        await connection.receive()
        await connection.send(b"garbage")

    assert "no node to talk to" in join_through(garbage).message


@pytest.mark.parametrize(
    "code",
    [*joining._TOKEN_REFUSALS, *joining._REFUSALS, "whatever another version says"],
)
def test_every_refusal_has_words_and_a_remedy(code: str) -> None:
    error = refused(code, "")
    assert error.message
    assert error.hint


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (joining.REJECTED, 4),
        (joining.REVOKED, 4),
        (joining.STOPPING, 3),
        ("NO_QUORUM", 3),
        (ChangeTimeoutError.code, 3),
        (joining.REQUEST_EXPIRED, 124),
    ],
)
def test_the_exit_code_tells_whether_to_try_again(code: str, exit_code: int) -> None:
    error = refused(code, "")
    assert isinstance(error, JoinError)
    assert error.exit_code == exit_code
