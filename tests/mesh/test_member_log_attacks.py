"""The member log takes nothing from who may not say it, and never sets its clock by it."""

from __future__ import annotations

from tests.mesh.member_logs import cluster, others
from tests.mesh.member_network import Host

from buildnet.mesh.events import Effect, Note, Office, OfficeChanged, Received, Send
from buildnet.mesh.members.changes import Leave, Rename
from buildnet.mesh.members.entry import CommitProof, Vote, accepted_statement, sign_entry
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import (
    Append,
    BallotAsk,
    ChangeRefused,
    Entries,
    EntriesAsk,
    LogHead,
    Point,
)
from buildnet.mesh.testing import CheapSignatures, key_number


def noted(effects: list[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Note)]


def receive(host: Host, sender: bytes, said: Message) -> list[Effect]:
    before = (host.log.head, host.log.committed, host.log.accepted, host.local.members)
    effects = host.log.handle(Received(sender, said), 50.0)
    assert before == (host.log.head, host.log.committed, host.log.accepted, host.local.members)
    return effects


def test_what_no_member_says_is_nothing() -> None:
    network = cluster(3)
    host = network.hosts[network.founder]
    stranger = key_number(66).public_key
    for said in (
        LogHead(9, bytes(32), 99, bytes(32)),
        EntriesAsk(True, (Point(0, bytes(8)),)),
        BallotAsk(99, *host.log.committed.lineage),
    ):
        assert host.log.handle(Received(stranger, said), 1.0) == []


def test_ballots_and_entries_without_office_are_refused() -> None:
    network = cluster(3)
    voter, liar = (network.hosts[key] for key in others(network))
    lineage = voter.log.committed.lineage
    for term in (0, network.counter, network.counter + 1, 2**62):
        effects = receive(voter, liar.key, BallotAsk(term, *lineage))
        assert noted(effects) == ["member log: ballot without office"]
        head = voter.log.head
        version = voter.log.committed.version
        append = Append(term, *lineage, version, head, version, head, ())
        assert noted(receive(voter, liar.key, append)) == ["member log: old ballot"]


def test_voter_follows_no_lower_ballot_than_it_did() -> None:
    network = cluster(3)
    voter = network.hosts[others(network)[0]]
    network.elect(others(network)[1])
    network.settle(1)
    voter.local.office = Office(network.founder, network.counter - 1, granted=True, quorum=True)
    ask = BallotAsk(network.counter - 1, *voter.log.committed.lineage)
    assert noted(receive(voter, network.founder, ask)) == ["member log: old ballot"]


def test_ballot_is_not_gone_on_with_by_another_process() -> None:
    network = cluster(3)
    network.crash(network.founder)
    network.restart(network.founder)
    host = network.hosts[network.founder]
    host.local.office = Office(host.key, network.counter, granted=True, quorum=True)
    effects = host.log.handle(OfficeChanged(host.local.office), network.now)
    assert noted(effects) == ["member log: ballot used before"]
    assert host.log._coordinating.active() is None


def test_hostile_coordinator_can_not_set_the_clock_forward() -> None:
    network = cluster(3)
    voter = network.hosts[others(network)[0]]
    newest = voter.log.committed
    entry = sign_entry(
        network.change(network.founder, Rename(None, "x")),
        cluster_id=newest.cluster_id,
        version=newest.version + 1,
        previous=newest.head,
        ballot=newest.ballot,
        hlc=newest.hlc + (10**9 << 16),
        votes=(),
        sign=CheapSignatures(network.founder).sign,
    )
    base = (newest.version, newest.head)
    append = Append(network.counter, *newest.lineage, *base, *base, (entry,))
    assert noted(receive(voter, network.founder, append)) == ["member log: entry from the future"]


def test_final_is_only_what_a_majority_signed() -> None:
    network = cluster(3)
    victim, liar = (network.hosts[key] for key in others(network))
    newest = victim.log.committed
    entry = sign_entry(
        network.change(liar.key, Leave()),
        cluster_id=newest.cluster_id,
        version=newest.version + 1,
        previous=newest.head,
        ballot=newest.ballot,
        hlc=newest.hlc,
        votes=(),
        sign=CheapSignatures(network.founder).sign,
    )
    after = newest.apply(entry, liar.local.signatures)
    said = accepted_statement(newest.cluster_id, newest.ballot, after.version, after.head)
    own = Vote(liar.key, liar.local.signatures.sign(said))
    stranger = key_number(66).public_key
    more = Vote(stranger, CheapSignatures(stranger).sign(said))
    for votes in ((), (own,), (own, own), (own, more), (own, Vote(network.founder, bytes(64)))):
        proof = CommitProof(*newest.ballot, after.version, after.head, votes)
        entries = Entries(False, newest.version, newest.head, (entry,), proof)
        effects = receive(victim, liar.key, entries)
        assert noted(effects) == ["member log: not proven to be final"]


def test_refusals_count_from_the_coordinator_only() -> None:
    network = cluster(3)
    asker, liar = others(network)
    network.unlink(asker, network.founder)
    change = network.propose(asker, Rename(None, "x"))
    network.tell(asker, Received(liar, ChangeRefused(change.id, "no", "no", "")))
    assert change.id not in network.done


def test_odd_points_and_batches_are_no_crash() -> None:
    network = cluster(3)
    host = network.hosts[network.founder]
    liar = others(network)[0]
    far = EntriesAsk(False, (Point(2**63 - 1, bytes(8)), Point(5, bytes(8))))
    (answer,) = receive(host, liar, far)
    assert isinstance(answer, Send)
    nothing = CommitProof(1, liar, 2**63 - 1, bytes(32), ())
    head = host.log.head
    for said in (
        Entries(False, 2**63 - 1, bytes(32), (), nothing),
        Entries(False, host.log.committed.version, head, (), nothing),
        Entries(True, 0, bytes(32), (), nothing),
        LogHead(0, bytes(32), 2**63 - 1, bytes(32)),
        LogHead(2**60, bytes(32), 0, bytes(32)),
    ):
        receive(host, liar, said)
