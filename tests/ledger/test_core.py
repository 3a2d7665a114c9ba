"""The core's memory: packed tails, the sealed frontier, who is closed; and what it passes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.core_network import Network

from buildnet.ledger.entry import Chain
from buildnet.ledger.events import EntriesArrived, RecordMember
from buildnet.ledger.frontier import Advance, Frontier
from buildnet.ledger.membership import Recorded, Retired, recording
from buildnet.ledger.messages import Heads
from buildnet.ledger.reach import Reach
from buildnet.ledger.tail import Tail
from buildnet.mesh.events import Office, OfficeChanged, Received
from buildnet.mesh.testing import key_number

CHAINS = [Chain(bytes([one]) * 32, bytes([two]) * 8) for one in (1, 7) for two in (3, 200)]


@given(
    st.lists(st.dictionaries(st.sampled_from(CHAINS), st.integers(1, 9), max_size=4), max_size=6)
)
def test_the_frontier_kept_is_the_frontier(steps: list[dict[Chain, int]]) -> None:
    reach, frontier = Reach({}), Frontier()
    for step in steps:
        advances = tuple(
            Advance(
                chain.origin, chain.incarnation, frontier.sequence(chain) + more, bytes([more]) * 32
            )
            for chain, more in step.items()
        )
        expected = frontier.advanced(advances)
        assert reach.digest_after(advances) == expected.digest()
        assert reach.digest_after(()) == frontier.digest()
        reach.advance(advances)
        frontier = expected
    assert reach.frontier() == frontier


@given(st.integers(0, 5), st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_a_tail_is_a_list_that_begins_somewhere(
    after: int, count: int, dropped: int, cut: int
) -> None:
    rows = [(after + 1 + at, bytes([at]) * 32, 10 * at) for at in range(count)]
    tail = Tail(after, [(entry_hash, clock) for _, entry_hash, clock in rows])
    tail.drop_to(dropped)
    tail.cut_after(max(cut, tail.after))
    left = [row for row in rows if row[0] > dropped and row[0] <= max(cut, tail.after)]
    assert len(tail) == len(left)
    assert tail.up_to(100) == [(clock, at, entry_hash) for at, entry_hash, clock in left]
    for at, entry_hash, clock in left:
        assert tail.hash(at) == entry_hash
        assert tail.clock(at) == clock
        assert tail.reach(clock, 100) == at
    assert tail.hash(tail.after) is None
    assert tail.hash(tail.last + 1) is None


def test_what_strangers_say_is_not_heard() -> None:
    network = Network()
    stranger = key_number(99).public_key
    said = Heads(9, bytes(32), (Advance(stranger, bytes(8), 5, bytes(32)),))
    assert network.nodes[0].core.handle(Received(stranger, said), network.now) == []


def test_the_coordinator_records_what_the_ledger_lacks_of_the_member_list() -> None:
    network = Network()
    one, other, _ = network.nodes
    office = Office(one.key, 1, granted=True, quorum=True)
    for node in (one, other):
        node.local.office = office
    asked = [
        effect.entry
        for effect in one.core.handle(OfficeChanged(office), network.now)
        if isinstance(effect, RecordMember)
    ]
    assert tuple(asked) == one.log.entries
    follower = other.core.handle(OfficeChanged(office), network.now)
    assert not any(isinstance(effect, RecordMember) for effect in follower)
    for entry in asked:
        one.core.holding.recorded.add(entry.hash)
    again = one.core.handle(OfficeChanged(office), network.now)
    assert not any(isinstance(effect, RecordMember) for effect in again)


def test_who_went_advances_no_more_once_that_is_sealed() -> None:
    network = Network()
    one = network.nodes[0]
    closed, membership = one.core.holding.closed, one.core.membership
    came = next(at for at in range(1, membership.version + 1) if membership.at(at).came)  # type: ignore[union-attr]
    version = membership.at(came)
    assert version is not None
    (key,) = version.came
    chain = Chain(key, bytes(8))
    closed.take([Recorded(came, bytes(32))])  # another entry than the member list's
    assert chain not in closed
    closed.take([Retired(membership.version, one.key, chain)])
    assert chain in closed
    assert Chain(key, b"another!") not in closed
    closed.take([Retired(membership.version, key_number(99).public_key, Chain(key, b"another!"))])
    assert Chain(key, b"another!") not in closed
    assert not closed.is_known(Recorded(membership.version + 1, bytes(32)))


def test_a_recording_is_read_as_what_it_records() -> None:
    network = Network()
    entry = network.nodes[0].log.entries[-1]
    assert recording(entry, 0)["version"] == entry.version


def test_entries_of_a_retired_chain_are_refused() -> None:
    network = Network()
    one, other, _ = network.nodes
    membership = other.core.membership
    other.core.holding.closed.take([Retired(membership.version, one.key, one.chain)])
    network.tell(other, EntriesArrived(one.key, (one.make(),)))
    assert other.core.heads == {}
