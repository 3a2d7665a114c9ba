"""Topology at one node: whom it dials, when and for how long, its seeds, and relays."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from buildnet.mesh.events import (
    Dial,
    DialFailed,
    Disconnect,
    Effect,
    Event,
    LinkDown,
    LinkState,
    LinkUp,
    MembersChanged,
    Office,
    OfficeChanged,
    RecordChanged,
    Relay,
    Status,
    StatusChanged,
)
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import ADDRESS_TOPIC, Addresses, AddressFact, Record, sign_record
from buildnet.mesh.local import Local
from buildnet.mesh.topology.core import Topology
from buildnet.mesh.topology.dial_schedule import LONGEST_BACKOFF_S, backoff_s
from testbed.core_network import keys_of, local_of, member_list

KEYS = sorted(keys_of(5))
LOW, ANN, ME, BEN, TOP = KEYS
MEMBERS = member_list(keys_of(5))


class Node:
    """One node, whose shared state follows what it is told."""

    def __init__(self, *known: bytes, seeds: tuple[str, ...] = (), urls: int = 1) -> None:
        self.local = local_of(ME, MEMBERS)
        facts = [AddressFact(address_record(self.local, key, urls)) for key in known]
        self.gossip = Gossip(self.local, facts=facts)
        self.topology = Topology(self.local, gossip=self.gossip, seeds=seeds)

    def tell(self, event: Event, now: float) -> list[Effect]:
        match event:
            case LinkUp(peer, outgoing, address, relayed_by):
                self.local.links[peer] = LinkState(outgoing, now, address, relayed_by)
            case LinkDown(peer):
                self.local.links.pop(peer, None)
            case StatusChanged(peer, status):
                self.local.status[peer] = status
            case OfficeChanged(office):
                self.local.office = office
            case _:
                pass
        return self.topology.handle(event, now)

    def next(self, now: float) -> tuple[float, Effect]:
        """Let time pass until something is done."""
        while True:
            now = max(now, self.topology.deadline)
            effects = self.topology.tick(now)
            assert self.topology.deadline > now
            if effects:
                (effect,) = effects
                return now, effect

    def wait(self, begin: float, end: float) -> list[tuple[float, Effect]]:
        """Let time pass; what was done, and when."""
        done: list[tuple[float, Effect]] = []
        while self.topology.deadline <= end:
            now = max(begin, self.topology.deadline)
            done += [(now, effect) for effect in self.topology.tick(now)]
            assert self.topology.deadline > now
        return done


def url(key: bytes, number: int = 0) -> str:
    return f"http://{KEYS.index(key)}-{number}:80"


def address_record(local: Local, key: bytes, urls: int = 1, version: int = 1) -> Record:
    body = Addresses(tuple(url(key, number) for number in range(urls))).encode()
    return sign_record(local_of(key, local.members), ADDRESS_TOPIC, version, body)


# --- when ----------------------------------------------------------------------------------------


def test_a_node_that_begins_dials_all_at_once() -> None:
    """Nobody else knows that it is there, so nobody else will dial."""
    node = Node(LOW, ANN, BEN, TOP)
    others = (LOW, ANN, BEN, TOP)
    assert node.wait(100.0, 100.0) == [(100.0, Dial(url(key), key)) for key in others]


def test_the_smaller_key_dials_first() -> None:
    """Both ends of a link see it end; one dials."""
    node = Node(ANN, BEN)
    for key in KEYS:
        if key != ME:
            node.tell(LinkUp(key, False), 50.0)
    assert node.wait(100.0, 200.0) == []
    for key in (ANN, BEN):
        node.tell(LinkDown(key), 200.0)
    assert node.wait(200.0, 200.2) == [(200.0, Dial(url(BEN), BEN))]
    assert node.wait(200.2, 201.0) == [(200.25, Dial(url(ANN), ANN))]


def test_every_address_is_tried_then_again_for_ever_but_ever_more_seldom() -> None:
    node = Node(BEN, urls=2)
    now, dials = 100.0, []
    for _ in range(80):
        now, effect = node.next(now)
        assert isinstance(effect, Dial)
        dials.append((now, effect.address))
        node.tell(DialFailed(BEN, effect.address, "timed out"), now)
    assert [address for _, address in dials] == [url(BEN, 0), url(BEN, 1)] * 40
    waits = [two[0] - one[0] for one, two in itertools.pairwise(dials)]
    assert max(waits[0::2]) == 0  # the next address at once
    assert max(waits[1:6:2]) <= 2.0
    assert 10 < max(waits[1::2]) <= LONGEST_BACKOFF_S
    assert min(waits[1::2]) >= 0.05


def test_backoff_is_bounded_and_spread() -> None:
    lots = random.Random(1)
    for failures in (1, 3, 10, 10_000):
        waits = [backoff_s(failures, lots) for _ in range(300)]
        assert min(waits) >= 0.05
        longest = min(30.0, 0.25 * 2 ** min(failures, 10))
        assert longest * 0.9 < max(waits) <= longest


def test_without_word_of_a_dial_it_counts_as_failed() -> None:
    node = Node(BEN)
    assert len(node.wait(100.0, 100.5)) == 1
    assert node.wait(100.5, 159.0) == []
    assert node.wait(159.0, 165.0)[0][1] == Dial(url(BEN), BEN)


def test_who_lost_a_link_redials_and_the_coordinator_is_redialled_by_all() -> None:
    node = Node(LOW, ANN, BEN)
    for key in KEYS:
        if key != ME:
            node.tell(LinkUp(key, False), 50.0)
    assert node.wait(100.0, 200.0) == []
    node.tell(OfficeChanged(Office(LOW, 1, True, True)), 200.0)
    for key in (LOW, ANN, BEN):
        node.tell(LinkDown(key), 200.0)
    assert node.wait(200.0, 201.0) == [
        (200.0, Dial(url(LOW), LOW)),
        (200.0, Dial(url(BEN), BEN)),
        (200.25, Dial(url(ANN), ANN)),
    ]


def test_links_that_do_not_last_are_not_redialled_in_a_hurry() -> None:
    node, now, dials = Node(BEN), 100.0, 0
    while now < 400.0:
        done = node.wait(now, 400.0)
        if not done:
            break
        now = done[0][0]
        dials += 1
        node.tell(LinkUp(BEN, True, url(BEN)), now + 0.01)
        node.tell(LinkDown(BEN, "flood"), now + 0.02)
        now += 0.02
    assert dials < 50


def test_a_new_address_is_tried_soon() -> None:
    node = Node()
    assert node.wait(100.0, 130.0) == []
    node.gossip._book.put(address_record(node.local, TOP), 130.0)
    node.tell(RecordChanged(TOP, ADDRESS_TOPIC), 130.0)
    ((at, effect),) = node.wait(130.0, 130.4)
    assert effect == Dial(url(TOP), TOP)
    assert at <= 130.31


@pytest.mark.parametrize("is_linked_first", [True, False])
def test_a_new_address_is_tried_soon_though_a_relayed_link_stands(is_linked_first: bool) -> None:
    """The relay was needed only as long as no address was known."""
    node = Node()
    relayed = LinkUp(TOP, True, None, relayed_by=ANN)
    if is_linked_first:
        node.tell(relayed, 100.0)
        assert node.wait(100.0, 130.0) == []
    else:
        node.wait(100.0, 130.0)
        node.topology._ways[TOP].begin(130.0)  # a relay is asked
    node.gossip._book.put(address_record(node.local, TOP), 130.0)
    node.tell(RecordChanged(TOP, ADDRESS_TOPIC), 130.0)
    node.tell(relayed, 130.0)
    ((_, effect),) = node.wait(130.0, 130.4)
    assert effect == Dial(url(TOP), TOP)


def test_whom_others_reach_is_dialled_soon() -> None:
    node = Node(BEN)
    now = 100.0
    for _ in range(20):
        now, _ = node.next(now)
        node.tell(DialFailed(BEN, url(BEN), "timed out"), now)
    node.tell(StatusChanged(BEN, Status.ALIVE), now)
    ((at, effect),) = node.wait(now, now + 0.35)
    assert effect == Dial(url(BEN), BEN)
    assert at <= now + 0.31


def test_who_is_no_member_is_neither_linked_nor_dialled() -> None:
    node = Node(LOW, ANN, BEN, TOP)
    node.wait(100.0, 100.5)
    node.tell(LinkUp(BEN, True, url(BEN)), 100.5)
    node.local.members = member_list([ME])
    assert node.tell(MembersChanged(), 101.0) == [Disconnect(BEN, "no member")]
    node.tell(LinkDown(BEN), 101.0)
    assert node.wait(101.0, 1000.0) == []
    assert node.topology.deadline == math.inf


# --- seeds ---------------------------------------------------------------------------------------


def test_a_seed_is_dialled_until_somebody_answers_and_again_when_that_link_ends() -> None:
    node = Node(seeds=("http://seed:80",))
    assert node.wait(100.0, 100.0) == [(100.0, Dial("http://seed:80", None))]
    node.tell(DialFailed(None, "http://seed:80", "refused", refused=True), 100.1)
    ((at, effect),) = node.wait(100.1, 101.0)
    assert effect == Dial("http://seed:80", None)
    node.tell(LinkUp(BEN, True, "http://seed:80"), at)
    assert node.wait(at, at + 400) == []
    node.tell(LinkDown(BEN), at + 400)
    assert node.wait(at + 400, at + 400) == [(at + 400, Dial("http://seed:80", BEN))]


def test_an_address_that_is_told_later_is_dialled_at_once_and_as_any_seed() -> None:
    old, new = "http://seed:80", "http://new:80"
    node = Node(seeds=(old,))
    node.wait(100.0, 100.0)
    node.topology.seek(new, 100.0)
    assert node.wait(100.0, 100.0) == [(100.0, Dial(new, None))]
    node.tell(LinkUp(BEN, True, new), 100.0)
    node.topology.seek(new, 100.0)  # nothing new
    assert node.wait(100.0, 100.0) == []
    node.tell(DialFailed(None, old, "refused", refused=True), 101.0)
    node.topology.seek(old, 101.0)  # it was tried in vain
    assert node.wait(101.0, 101.0) == [(101.0, Dial(old, None))]
    assert node.topology.seeds == (old, new)


def test_a_seed_whose_owner_is_no_member_any_more_is_dialled_again() -> None:
    """Its owner may have rotated its key, and nobody knows another address of the new one."""
    node = Node(seeds=("http://seed:80",))
    node.wait(100.0, 100.0)
    node.tell(LinkUp(BEN, True, "http://seed:80"), 100.0)
    node.local.members = member_list([ME, LOW])
    node.tell(MembersChanged(), 120.0)
    node.tell(LinkDown(BEN), 120.0)
    dials = [each for each in node.wait(120.0, 130.0) if each[1] == Dial("http://seed:80", None)]
    assert dials
    assert dials[0][0] < 121.0


def test_a_seed_that_another_node_took_over_is_found_again() -> None:
    node = Node(seeds=("http://seed:80",))
    node.wait(100.0, 100.0)
    node.tell(LinkUp(BEN, True, "http://seed:80"), 100.0)
    node.tell(LinkDown(BEN), 200.0)
    now, asked = 200.0, None
    for _ in range(60):
        now, effect = node.next(now)
        assert isinstance(effect, Dial)
        if effect.peer is None:
            asked = effect
            break
        node.tell(DialFailed(BEN, effect.address, "somebody else answers"), now)
    assert asked == Dial("http://seed:80", None)
    assert now < 260.0


def test_seeds_that_are_dialled_anyway_or_are_this_node_cost_nothing() -> None:
    node = Node(BEN, seeds=(url(BEN), url(ME)))
    node.gossip.advertise(ADDRESS_TOPIC, Addresses((url(ME),)).encode(), 1.0)
    assert [effect for _, effect in node.wait(100.0, 130.0)] == [Dial(url(BEN), BEN)]


def test_a_seed_that_is_another_address_of_a_linked_peer_is_not_dialled_again() -> None:
    """Such as a host's name, where it advertises its number."""
    node = Node(BEN, seeds=("http://seed:80",))
    node.wait(100.0, 100.0)
    node.tell(LinkUp(BEN, False), 100.0)
    node.tell(DialFailed(None, "http://seed:80", "linked already", linked_with=BEN), 100.1)
    assert node.wait(100.1, 400.0) == []
    node.tell(LinkDown(BEN), 400.0)
    at, effect = node.next(400.0)
    assert effect == Dial(url(BEN), BEN)
    node.tell(DialFailed(BEN, url(BEN), "refused"), at)
    assert node.next(at)[1] == Dial("http://seed:80", BEN)


# --- relays --------------------------------------------------------------------------------------


def unreachable() -> tuple[Node, float]:
    """A node linked with all but Ben, who lives but can't be dialled."""
    node = Node(BEN)
    node.wait(100.0, 100.0)
    for key in (LOW, ANN, TOP):
        node.tell(LinkUp(key, False), 100.0)
        node.tell(StatusChanged(key, Status.ALIVE), 100.0)
    node.tell(StatusChanged(BEN, Status.ALIVE), 100.0)
    return node, 100.0


def test_after_three_failures_others_relay_in_turn_voters_first() -> None:
    node, now = unreachable()
    node.local.members = member_list([TOP, LOW, ANN, ME, BEN], voters=1)
    said: list[Effect] = node.tell(DialFailed(BEN, url(BEN), "timed out"), now)
    while len([one for one in said if isinstance(one, Relay)]) < 4:
        now, effect = node.next(now)
        said.append(effect)
        failed = url(BEN) if isinstance(effect, Dial) else None
        said += node.tell(DialFailed(BEN, failed, "no"), now)
    first = said.index(next(one for one in said if isinstance(one, Relay)))
    assert said[:first] == [Dial(url(BEN), BEN)] * 2  # and the one before
    others = sorted((LOW, ANN))
    relays = [one for one in said if isinstance(one, Relay)]
    assert relays == [Relay(BEN, key) for key in (TOP, *others, TOP)]


def test_a_relayed_link_is_kept_and_the_direct_way_tried_now_and_then() -> None:
    node, now = unreachable()
    node.tell(LinkUp(BEN, True, None, relayed_by=LOW), now)
    for _ in range(3):
        at, effect = node.next(now)
        assert effect == Dial(url(BEN), BEN)
        assert 240 <= at - now <= 360
        now = at + 5
        assert node.tell(DialFailed(BEN, url(BEN), "timed out"), now) == []
    at, effect = node.next(now)
    node.tell(LinkUp(BEN, True, url(BEN)), at)
    assert node.wait(at, at + 5000) == []


def test_nobody_is_asked_to_relay_to_the_dead() -> None:
    node, now = unreachable()
    node.tell(StatusChanged(BEN, Status.DEAD), now)
    said = node.tell(DialFailed(BEN, url(BEN), "timed out"), now)
    for _ in range(10):
        now, effect = node.next(now)
        said.append(effect)
        said += node.tell(DialFailed(BEN, url(BEN), "timed out"), now)
    assert {type(one) for one in said} == {Dial}
