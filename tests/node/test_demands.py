"""What a node's builds tell the coordinator, and what they do at its word."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.messages.kinds import Message
from buildnet.node.sharing.demands import TOLD_EVERY_S, Demands
from buildnet.pool.demand import HowFar, Orders, Priority, Want
from buildnet.pool.leases import Amount
from buildnet.pool.messages.lending import (
    DemandOver,
    DemandTold,
    WireAmount,
    WireHowFar,
    WireOrders,
    WireWant,
)
from buildnet.pool.messages.queueing import BuildOrdered

OWNER, CHIEF = b"o" * 32, b"c" * 32
FAR, ORDERS = WireHowFar.of(HowFar()), WireOrders.of(Orders())


class Queued:
    """A build of the node."""

    id = "b"
    actor = "me"

    def __init__(self) -> None:
        self.orders = Orders()
        self.far = HowFar("w")
        self.held: list[bool] = []
        self.dropped: list[tuple[str | None, str]] = []
        self.at_end: list[Any] = []

    def how_far(self) -> HowFar:
        return self.far

    def obey(self, orders: Orders) -> None:
        self.orders = orders

    def hold(self, held: bool) -> None:
        self.held.append(held)

    def is_asked_by(self, actor: str) -> bool:
        return actor == self.actor

    def drop(self, actor: str | None, *, by: str) -> bool:
        self.dropped.append((actor, by))
        return True


class Scene:
    """A node with one build, and what it says."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Message]] = []
        local: Any = SimpleNamespace(office=SimpleNamespace(coordinator=CHIEF))
        self.local = local
        self.orders = 0
        self.demands = Demands(self.ordered)
        self.demands.join(local, lambda to, message: self.said.append((to, message)))
        self.build = Queued()
        self.demands.enter(self.build)

    def ordered(self) -> None:
        self.orders += 1

    @property
    def told(self) -> DemandTold:
        to, message = self.said[-1]
        assert to == CHIEF
        assert isinstance(message, DemandTold)
        assert DemandTold.decode(message.encode()) == message
        return message


def test_every_build_is_told_and_its_end() -> None:
    scene = Scene()
    assert (scene.told.build, scene.told.wants) == ("b", ())
    scene.demands.enter(scene.build)
    assert len(scene.said) == 1
    scene.build.at_end[0]()
    assert scene.said[-1] == (CHIEF, DemandOver("b"))
    assert scene.demands.builds == []


def test_what_is_wanted_is_told_once_and_again_to_a_new_coordinator() -> None:
    scene = Scene()
    wants = (Want(Amount(slots=1), 3, (OWNER,)),)
    scene.demands.want("b", wants)
    scene.demands.want("b", wants)
    assert scene.told.wants == (WireWant(WireAmount(1, 0, 0), 3, (OWNER,), 0),)
    assert len(scene.said) == 2
    scene.demands.take(OfficeChanged(scene.local.office))
    assert len(scene.said) == 3
    assert scene.told.wants


def test_how_far_it_is_is_told_now_and_then() -> None:
    scene = Scene()
    scene.demands.tick(10.0)
    scene.build.far = HowFar("w", running=2)
    scene.demands.tick(10.5)
    assert scene.told.how_far.running == 0
    scene.demands.tick(12.0)
    assert scene.told.how_far.running == 2


def test_the_coordinator_alone_orders_and_a_new_one_learns_of_it() -> None:
    scene = Scene()
    orders = Orders(Priority.HIGH, paused=True, place=2)
    ordered = BuildOrdered("b", WireOrders.of(orders), False)
    scene.build.far = HowFar("w", running=2)
    scene.demands.take(Received(OWNER, ordered))
    assert (scene.build.orders, scene.orders) == (Orders(), 0)
    scene.demands.take(Received(CHIEF, ordered))
    assert scene.orders == 1
    assert scene.build.orders == orders
    assert scene.demands.is_held("b")
    assert scene.told.how_far.running == 2
    scene.local.office = SimpleNamespace(coordinator=OWNER)
    scene.demands.take(OfficeChanged(scene.local.office))
    to, told = scene.said[-1]
    assert to == OWNER
    assert isinstance(told, DemandTold)
    assert told.orders.orders == orders
    scene.demands.take(Received(OWNER, BuildOrdered("b", ORDERS, True, by="root")))
    scene.demands.take(Received(OWNER, BuildOrdered("b", ORDERS, True, "x", "x")))
    assert scene.build.dropped == [(None, "root"), ("x", "x")]


def test_while_the_whole_queue_is_paused_new_builds_are_too() -> None:
    scene = Scene()
    scene.demands.hold(True)
    other = Queued()
    other.id = "c"
    scene.demands.enter(other)
    assert (scene.build.held, other.held) == ([False, True], [True])
    scene.demands.hold(False)
    assert other.held == [True, False]


def test_a_demand_of_no_slots_or_no_priority_is_no_message() -> None:
    with pytest.raises(ValueError, match="no slots"):
        WireWant(WireAmount(0, 1, 0), 4096, (OWNER,), 4096)
    with pytest.raises(ValueError, match="no priority"):
        WireOrders(7, False, 0, False)


def test_a_demand_names_no_more_owners_than_are_read() -> None:
    wants = tuple(WireWant(WireAmount(1, 0, 0), n, (OWNER,) * 300, 0) for n in (1, 2))
    with pytest.raises(ValueError, match="too many owners"):
        DemandTold("b", "me", wants, ORDERS, FAR)


def test_builds_are_told_again_to_who_may_have_missed_it() -> None:
    scene = Scene()
    scene.demands.tick(100.0)

    def told(event: Any = None, at: float | None = None) -> int:
        scene.said.clear()
        if event is not None:
            scene.demands.take(event)
        if at is not None:
            scene.demands.tick(at)
        return len(scene.said)

    assert told(at=101.0) == 0
    assert told(at=100.0 + TOLD_EVERY_S) == 1
    assert told(LinkUp(OWNER, True)) == 0
    assert told(LinkUp(CHIEF, True)) == 1
    assert told(OfficeChanged(scene.local.office)) == 1
    assert [told(at=110.0 + second) for second in (0, 1, 2, 3, 4)] == [1, 1, 1, 0, 0]
