"""Topology: full mesh, partial links that hold together, dialling for ever, relays."""

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
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.topology.core import COURTESY_S, FULL_MESH, MET_S, REVIEW_S, Topology
from buildnet.mesh.topology.dial_schedule import LONGEST_BACKOFF_S, backoff_s
from testbed.core_network import CoreNetwork, keys_of, local_of, member_list

KEYS = sorted(keys_of(5))
LOW, ANN, ME, BEN, TOP = KEYS
MEMBERS = member_list(keys_of(5))
Graph = dict[bytes, set[bytes]]


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


# --- whom ----------------------------------------------------------------------------------------


def wanted_of(
    size: int, voters: int, dead: frozenset[bytes] = frozenset()
) -> dict[bytes, set[bytes]]:
    """Whom each of ``size`` members wants; the first one coordinates."""
    keys = keys_of(size)
    members = member_list(keys, voters=voters)
    found = {}
    for key in keys:
        local = local_of(key, members)
        local.status = {
            peer: Status.DEAD if peer in dead else Status.ALIVE for peer in keys if peer != key
        }
        local.office = Office(keys[0], 1, True, True)
        found[key] = set(Topology(local, gossip=Gossip(local)).wanted)
    return found


def is_connected(graph: Graph, without: frozenset[bytes] = frozenset()) -> bool:
    """Tell whether who is left reaches each other over links that both ends keep."""
    left = set(graph) - without
    reached, fresh = set(), {min(left)}
    while fresh:
        reached |= fresh
        fresh = {
            peer for key in fresh for peer in left if peer in graph[key] or key in graph[peer]
        } - reached
    return reached == left


def test_a_member_that_is_met_is_wanted_for_a_while() -> None:
    keys = keys_of(64)
    local = local_of(keys[-1], member_list(keys, voters=7))
    local.status = dict.fromkeys(keys[:-1], Status.ALIVE)
    local.office = Office(keys[0], 1, True, True)
    topology = Topology(local, gossip=Gossip(local))
    topology.handle(MembersChanged(), 100.0)
    peer = next(key for key in keys[:-1] if key not in topology.wanted)
    topology.meet(peer, 100.0)
    assert peer in topology.wanted
    assert topology.deadline <= 100.0 + COURTESY_S
    stranger = bytes(32)
    topology.meet(stranger, 100.0)
    assert stranger not in topology.wanted
    while (now := topology.deadline) < 100.0 + MET_S:
        topology.tick(now)
        assert peer in topology.wanted
    while topology.deadline < 100.0 + MET_S + 2 * REVIEW_S:
        topology.tick(topology.deadline)
    assert peer not in topology.wanted


def test_up_to_thirty_two_members_everybody_links_with_everybody() -> None:
    graph = wanted_of(FULL_MESH, 7)
    assert {len(wanted) for wanted in graph.values()} == {FULL_MESH - 1}


@pytest.mark.parametrize("size", [33, 50, 100])
def test_partial_links_hold_together_whoever_dies(size: int) -> None:
    graph = wanted_of(size, 7)
    for one, other in itertools.combinations(graph, 2):
        assert (other in graph[one]) == (one in graph[other])
    ordinary = [len(wanted) for wanted in graph.values() if len(wanted) < size - 1]
    assert len(ordinary) == size - 7
    assert max(ordinary) <= 2 * math.log2(size) + 7 + 1
    for key in graph:
        assert is_connected(graph, frozenset({key}))


@pytest.mark.parametrize("size", [33, 50, 100])
def test_even_without_coordinator_and_voters_the_fingers_hold(size: int) -> None:
    graph = wanted_of(size, 1)
    first = frozenset({keys_of(size)[0]})
    for key in graph:
        assert is_connected(graph, first | {key})


def test_when_many_died_the_living_close_the_ring() -> None:
    keys = keys_of(100)
    dead = frozenset(random.Random(5).sample(keys[1:], 70))
    graph = wanted_of(100, 1, dead)
    assert is_connected(graph, dead | {keys[0]})


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


def test_links_that_are_not_needed_are_closed_by_who_dialled() -> None:
    keys = keys_of(60)
    local = local_of(keys[50], member_list(keys))
    topology = Topology(local, gossip=Gossip(local))
    topology.tick(100.0)
    extra = [key for key in keys if key not in topology.wanted and key != local.key]
    for key, outgoing in ((extra[0], True), (extra[1], False)):
        local.links[key] = LinkState(outgoing, 100.0)
        topology.handle(LinkUp(key, outgoing), 100.0)
    done: list[Effect] = []
    while topology.deadline <= 170.0:
        done += topology.tick(topology.deadline)
    assert done == [Disconnect(extra[0], "not needed")]


# --- many nodes ----------------------------------------------------------------------------------


def network_of(size: int, seeds: int = 1, seed: int = 1, **more: float) -> CoreNetwork:
    """Nodes that know nothing but each other's keys and the address of the first few."""
    keys = keys_of(size)

    def build(local: Local) -> list[Membership | Gossip | Topology]:
        gossip = Gossip(local)
        urls = [f"http://n{number}:80" for number in range(seeds)]
        body = Addresses((f"http://n{keys.index(local.key)}:80",)).encode()
        gossip.advertise(ADDRESS_TOPIC, body, 0.0)
        return [Membership(local), gossip, Topology(local, gossip=gossip, seeds=urls)]

    return CoreNetwork(size, build, seed=seed, **more)  # type: ignore[arg-type]


def graph_of(network: CoreNetwork) -> Graph:
    return {key: set(node.local.links) for key, node in network.nodes.items() if node.up}


def is_full(network: CoreNetwork) -> bool:
    graph = graph_of(network)
    return all(len(peers) == len(graph) - 1 for peers in graph.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_finds_itself_from_one_seed(seed: int) -> None:
    network = network_of(15, seed=seed)
    network.run_until(lambda: is_full(network), at_most=5.0)
    network.run(60.0)
    assert is_full(network)
    assert len(network.dials) < 15 * 14  # about one dial for each pair
    begin = len(network.dials)
    network.run(60.0)
    assert len(network.dials) == begin


def test_the_dead_are_dialled_for_ever_and_come_back() -> None:
    network = network_of(8)
    network.run_until(lambda: is_full(network), at_most=5.0)
    victim = network.keys[3]
    network.kill(victim)
    network.run(600.0)
    network.dials.clear()
    network.run(600.0)
    assert 7 * 600 / 30 < len(network.dials) < 7 * 600 / 10
    network.start(victim, boot=1_790_000_900)
    network.run_until(lambda: is_full(network), at_most=3.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_partition_heals_without_any_command(seed: int) -> None:
    network = network_of(10, seed=seed)
    network.run_until(lambda: is_full(network), at_most=5.0)
    network.part(network.keys[:5], network.keys[5:])
    network.run(600.0)
    network.apart.clear()
    network.run_until(lambda: is_full(network), at_most=10.0, step=0.05)
    network.run_until(
        lambda: all(
            node.local.status[key] is Status.ALIVE
            for one, node in network.nodes.items()
            for key in network.keys
            if key != one
        ),
        at_most=1.0,
    )


def test_two_hosts_behind_nat_talk_through_a_third() -> None:
    network = network_of(4)
    hidden = network.keys[2:]
    network.undialable |= set(hidden)
    network.run_until(lambda: is_full(network), at_most=60.0, step=0.1)
    link = network.nodes[hidden[0]].local.links[hidden[1]]
    assert link.relayed_by in network.keys[:2]
    network.run(100.0)
    network.relays.clear()
    network.dials.clear()
    network.run(600.0)
    assert network.relays == []
    assert len(network.dials) <= 2 * 600 / 240 + 2


@pytest.mark.parametrize("size", [33, 50])
def test_a_large_cluster_links_in_part_and_sees_all(size: int) -> None:
    network = network_of(size)
    network.run(30.0)
    assert is_connected(graph_of(network))
    network.run(200.0)
    graph = graph_of(network)
    voters = set(network.members.voters)
    seeds = {network.keys[0]}
    for key, peers in graph.items():
        if key not in voters | seeds:
            assert len(peers) <= 2 * math.log2(size) + 7 + 1
            node = network.nodes[key]
            assert sum(one is Status.ALIVE for one in node.local.status.values()) == size - 1
            gossip = node.cores[1]
            assert isinstance(gossip, Gossip)
            assert len(gossip.records) == size
    for key in graph:
        assert is_connected(graph, frozenset({key}))
