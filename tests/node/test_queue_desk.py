"""The coordinator asked by people: who may change what, and how the whole queue is held."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.events import LinkUp, OfficeChanged, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.sharing.allocator import Allocator
from buildnet.node.sharing.queue_desk import QueueDesk, RefusedError, Wisher
from buildnet.pool.demand import HowFar, Orders, Priority
from buildnet.pool.messages.lending import DemandTold, WireHowFar, WireOrders
from buildnet.pool.messages.queueing import (
    BuildOrdered,
    QueueAnswer,
    QueueChange,
    QueueHeld,
    QueueLook,
    QueuePage,
)
from buildnet.pool.messages.work import MAX_MESSAGE_BYTES

ME, ADMIN, BUILDER, OTHER, OBSERVER = (letter * 32 for letter in (b"m", b"a", b"b", b"c", b"o"))
RIGHTS = {ADMIN: Rights.ADMIN, BUILDER: Rights.BUILDER, OTHER: Rights.BUILDER}
ASK = bytes(16)


class Scene:
    """A coordinator with builds of two members."""

    def __init__(self, held: QueueHeld | None = None) -> None:
        self.said: list[tuple[bytes, Message]] = []
        self.held: list[bool] = []
        self.changes: list[QueueHeld] = []
        rights = {ME: Rights.BUILDER, OBSERVER: Rights.OBSERVER, **RIGHTS}
        members = {key: SimpleNamespace(rights=each) for key, each in rights.items()}
        office: Any = SimpleNamespace(coordinator=ME, counter=1)
        local: Any = SimpleNamespace(
            key=ME,
            office=office,
            links=dict.fromkeys(RIGHTS),
            members=SimpleNamespace(
                members=members,
                is_member=lambda key: key in members,
                is_admin=lambda key: rights.get(key) is Rights.ADMIN,
                current=lambda key: key,
            ),
        )
        self.local = local
        demands: Any = SimpleNamespace(hold=self.held.append)
        self.allocator = Allocator(local, self.say, lambda: 0.0)
        self.desk = QueueDesk(
            local,
            self.say,
            self.allocator,
            demands,
            held or QueueHeld(False, 0, ""),
            lambda: self.changes.append(self.desk.held),
        )
        self.take(OfficeChanged(office))
        for build, driver in (("b1", BUILDER), ("b2", BUILDER), ("c1", OTHER)):
            orders, far = WireOrders.of(Orders()), WireHowFar.of(HowFar("w"))
            self.take(Received(driver, DemandTold(build, "me", (), orders, far)))

    def say(self, to: bytes, message: Message) -> None:
        self.said.append((to, message))

    def take(self, event: Any) -> None:
        self.allocator.take(event)
        self.desk.take(event)

    def change(self, sender: bytes, what: str, build: str, value: int = 0) -> QueueAnswer:
        self.said.clear()
        self.take(Received(sender, QueueChange(ASK, what, build, value, "somebody")))
        to, answer = self.said[-1]
        assert to == sender
        assert isinstance(answer, QueueAnswer)
        return answer

    @property
    def ordered(self) -> dict[str, tuple[bytes, Orders]]:
        return {
            message.build: (to, message.orders.orders)
            for to, message in self.said
            if isinstance(message, BuildOrdered)
        }


@pytest.fixture
def scene() -> Any:
    async def made() -> Scene:
        return Scene()

    with asyncio.Runner() as runner:
        yield runner.run(made()), runner


def within(scene: Any, work: Any) -> None:
    found, runner = scene

    async def run() -> None:
        work(found)

    runner.run(run())


def test_who_may_change_a_build(scene: Any) -> None:
    def work(scene: Scene) -> None:
        assert scene.change(BUILDER, "pause", "b1").code == ""
        assert scene.ordered == {"b1": (BUILDER, Orders(paused=True))}
        assert scene.change(BUILDER, "pause", "c1").code == "NOT_ALLOWED"
        assert scene.ordered == {}
        assert scene.change(OBSERVER, "cancel", "b1").code == "NOT_ALLOWED"
        assert scene.change(ADMIN, "priority", "c1", 50).build == "c1"
        assert scene.ordered == {"c1": (OTHER, Orders(Priority.HIGH))}
        assert scene.change(ADMIN, "priority", "c1", 7).code == "NOT_ALLOWED"
        assert scene.change(ADMIN, "explode", "c1").code == "NOT_ALLOWED"
        assert scene.change(ADMIN, "pause", "b").code == "NOT_FOUND"
        assert scene.change(ADMIN, "pause", "x").code == "NOT_FOUND"

    within(scene, work)


def test_that_the_queue_is_another_one_is_noted_at_once(scene: Any) -> None:
    def work(scene: Scene) -> None:
        scene.change(BUILDER, "pause", "c1")
        assert scene.changes == []  # they may not
        scene.change(BUILDER, "pause", "b1")
        assert len(scene.changes) == 1
        scene.change(ADMIN, "pause", "")
        assert scene.changes[1:] == [scene.desk.held]
        assert scene.desk.held.paused
        scene.local.office = SimpleNamespace(coordinator=OTHER, counter=2)
        resumed = QueueHeld(False, scene.desk.held.since_ms + 1, "c")
        scene.take(Received(BUILDER, resumed))
        assert len(scene.changes) == 2
        scene.take(Received(OTHER, resumed))  # the coordinator tells it to all
        assert scene.changes[2:] == [resumed]

    within(scene, work)


@pytest.mark.parametrize(
    ("wisher", "what", "build", "code"),
    [
        (Wisher(False, actor="me"), "cancel", "b1", ""),
        (Wisher(False, actor="me"), "move", "b1", ""),
        (Wisher(False, actor="agent:me"), "cancel", "b1", "NOT_ALLOWED"),
        (Wisher(False, actor="other"), "priority", "c1", "NOT_ALLOWED"),
        (Wisher(False, actor="other"), "move", "c1", "NOT_ALLOWED"),
        (Wisher(False, actor="me"), "pause", "", "NOT_ALLOWED"),
        (Wisher(True, actor="other"), "cancel", "c1", ""),
        (Wisher(True, actor="other"), "pause", "", ""),
        (Wisher(False, actor="me", workspaces=frozenset("w")), "cancel", "b1", ""),
        (Wisher(False, actor="me", workspaces=frozenset("v")), "cancel", "b1", "NOT_ALLOWED"),
        (Wisher(True, actor="x", workspaces=frozenset("v")), "move", "b1", "NOT_ALLOWED"),
        (Wisher(True, actor="x", nodes=frozenset({node_id_of(OTHER)})), "cancel", "c1", ""),
        (
            Wisher(True, actor="x", nodes=frozenset({node_id_of(OTHER)})),
            "pause",
            "b1",
            "NOT_ALLOWED",
        ),
    ],
)
def test_who_comes_with_a_key_goes_by_its_rights_and_not_by_those_of_a_node(
    scene: Any, wisher: Wisher, what: str, build: str, code: str
) -> None:
    def work(scene: Scene) -> None:
        change = QueueChange(ASK, what, build, 50, "somebody")
        if not code:
            assert scene.desk.change(change, wisher)[0] == build
            return
        with pytest.raises(RefusedError) as refused:
            scene.desk.change(change, wisher)
        assert refused.value.code == code

    within(scene, work)


def test_a_build_that_others_want_too_is_cancelled_for_who_asks_with_a_key_alone(
    scene: Any,
) -> None:
    def work(scene: Scene) -> None:
        change = QueueChange(ASK, "cancel", "b1", 0, "somebody")
        for wisher, whose in ((Wisher(False, actor="me"), "me"), (Wisher(True, actor="x"), "")):
            scene.said.clear()
            scene.desk.change(change, wisher)
            ((to, told),) = [each for each in scene.said if isinstance(each[1], BuildOrdered)]
            assert isinstance(told, BuildOrdered)
            assert (to, told.cancel, told.actor, told.by) == (BUILDER, True, whose, "somebody")
            assert BuildOrdered.decode(told.encode()) == told

    within(scene, work)


def test_a_key_for_one_node_moves_builds_among_those_of_that_node(scene: Any) -> None:
    def work(scene: Scene) -> None:
        wisher = Wisher(True, actor="x", nodes=frozenset({node_id_of(BUILDER)}))
        scene.said.clear()
        scene.desk.change(QueueChange(ASK, "move", "b2", 1, "x"), wisher)
        assert scene.ordered == {"b2": (BUILDER, Orders(place=1))}

    within(scene, work)


def test_moves_of_an_admin_count_among_all_builds_those_of_others_among_their_own(
    scene: Any,
) -> None:
    def work(scene: Scene) -> None:
        answer = scene.change(BUILDER, "move", "b2", 1)
        assert scene.ordered == {"b2": (BUILDER, Orders(place=1))}
        assert answer.before == "b1"
        scene.change(ADMIN, "move", "c1", 2)
        assert {build: orders.ahead for build, (_, orders) in scene.ordered.items()} == {
            "b2": True,
            "c1": True,
        }

    within(scene, work)


def test_who_has_a_key_moves_no_build_of_others_on_the_same_node(scene: Any) -> None:
    def work(scene: Scene) -> None:
        orders, far = WireOrders.of(Orders()), WireHowFar.of(HowFar("w"))
        scene.take(Received(BUILDER, DemandTold("b3", "agent:x", (), orders, far)))
        scene.said.clear()
        wisher = Wisher(False, actor="agent:x")
        scene.desk.change(QueueChange(ASK, "move", "b3", 3, "somebody"), wisher)
        assert scene.ordered == {"b3": (BUILDER, Orders(place=1))}

    within(scene, work)


def test_the_whole_queue_is_an_admins(scene: Any) -> None:
    def work(scene: Scene) -> None:
        assert scene.change(BUILDER, "pause", "").code == "NOT_ALLOWED"
        assert scene.held == []
        assert scene.change(ADMIN, "pause", "").code == ""
        assert scene.held == [True]
        told = {to for to, message in scene.said if isinstance(message, QueueHeld)}
        assert told == set(RIGHTS)
        assert scene.allocator.queue is not None
        assert scene.allocator.queue.paused
        scene.said.clear()
        scene.take(LinkUp(OTHER, True))
        assert [to for to, message in scene.said if isinstance(message, QueueHeld)] == [OTHER]
        later_ms = scene.desk.held.since_ms + 1
        scene.take(Received(BUILDER, QueueHeld(False, later_ms, "b")))
        assert scene.held == [True]  # a builder's node is not believed
        scene.take(Received(ADMIN, QueueHeld(False, later_ms, "a")))
        assert scene.held == [True, False]

    within(scene, work)


def test_a_queue_that_goes_on_is_not_resumed_again(scene: Any) -> None:
    def work(scene: Scene) -> None:
        assert scene.change(ADMIN, "resume", "").since_ms == 0
        assert scene.change(ADMIN, "pause", "").since_ms
        assert scene.change(ADMIN, "resume", "").since_ms
        since_ms = scene.desk.held.since_ms
        assert scene.change(ADMIN, "resume", "").since_ms == 0
        assert scene.desk.held.since_ms == since_ms
        assert scene.change(BUILDER, "resume", "").code == "NOT_ALLOWED"
        assert scene.held == [True, False]

    within(scene, work)


@pytest.mark.parametrize("coordinator", [ME, OTHER])
def test_who_pauses_the_queue_at_the_end_of_time_is_not_believed(
    scene: Any, coordinator: bytes
) -> None:
    def work(scene: Scene) -> None:
        scene.local.office.coordinator = coordinator
        end_ms = (1 << 63) - 1
        scene.take(Received(ADMIN, QueueHeld(True, end_ms, "a")))
        scene.take(Received(coordinator, QueueHeld(True, end_ms, "c")))
        assert scene.held == []
        scene.local.office.coordinator = ME
        assert scene.change(ADMIN, "pause", "").code == ""
        assert scene.change(ADMIN, "resume", "").code == ""
        assert QueueHeld.decode(scene.desk.held.encode()) == scene.desk.held
        assert scene.held == [True, False]

    within(scene, work)


def test_a_new_coordinator_goes_on_with_a_queue_that_is_paused() -> None:
    async def work() -> None:
        scene = Scene(QueueHeld(True, 5, "somebody"))
        assert scene.allocator.queue is not None
        assert scene.allocator.queue.paused
        assert {to for to, message in scene.said if isinstance(message, QueueHeld)} == set(RIGHTS)

    asyncio.run(work())


def test_what_an_admin_said_before_all_nodes_were_stopped_holds(scene: Any) -> None:
    def work(scene: Scene) -> None:
        paused, resumed = QueueHeld(True, 5, "ann"), QueueHeld(False, 6, "ann")
        scene.desk.recall([(BUILDER, QueueHeld(True, 9, "ben")), (b"x" * 32, paused)])
        scene.desk.recall([(ADMIN, QueueHeld(True, (1 << 63) - 1, "ann"))])
        scene.desk.recall([])
        assert scene.held == []
        scene.desk.recall([(ADMIN, paused), (BUILDER, QueueHeld(False, 9, "ben"))])
        assert (scene.held, scene.desk.held) == ([True], paused)
        assert scene.allocator.queue is not None
        assert scene.allocator.queue.paused
        scene.desk.recall([(ADMIN, paused), (ADMIN, resumed)])
        scene.desk.recall([(ADMIN, paused)])
        assert (scene.held, scene.desk.held) == ([True, False], resumed)

    within(scene, work)


def test_what_the_ledger_is_told_is_what_holds(scene: Any) -> None:
    def work(scene: Scene) -> None:
        answer = scene.change(ADMIN, "pause", "")
        assert answer.since_ms == scene.desk.held.since_ms > 0
        assert scene.change(ADMIN, "pause", "b1").since_ms == 0

    within(scene, work)


def test_observers_are_shown_nothing(scene: Any) -> None:
    def work(scene: Scene) -> None:
        scene.said.clear()
        scene.take(Received(OBSERVER, QueueLook(ASK)))
        assert scene.said == []
        scene.take(Received(OTHER, QueueLook(ASK)))
        ((to, page),) = scene.said
        assert (to, type(page)) == (OTHER, QueuePage)
        assert isinstance(page, QueuePage)
        assert [each.build for each in page.builds] == ["b1", "b2", "c1"]
        assert QueuePage.decode(page.encode()) == page

    within(scene, work)


def test_builds_of_long_names_are_shown_in_messages_that_fit(scene: Any) -> None:
    def work(scene: Scene) -> None:
        orders, long = WireOrders.of(Orders()), "\U0001f600" * 128
        far = WireHowFar.of(HowFar(long, waits_for=long))
        for number in range(100):
            build = f"d{number}"
            scene.take(Received(OTHER, DemandTold(build, long, (), orders, far)))
        scene.said.clear()
        scene.take(Received(BUILDER, QueueLook(ASK)))
        pages = [message for _, message in scene.said if isinstance(message, QueuePage)]
        assert sum(len(page.builds) for page in pages) == 103
        assert max(len(page.encode()) for page in pages) <= MAX_MESSAGE_BYTES
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]

    within(scene, work)
