"""The queue of a link: urgent first, bounded, newer in place of older."""

from __future__ import annotations

import pytest

from buildnet.mesh.link.send_queue import (
    MAX_BYTES,
    MAX_MESSAGES,
    Outgoing,
    QueueFullError,
    SendQueue,
)
from buildnet.mesh.messages.kinds import Priority


def item(
    priority: Priority, payload: bytes = b"", key: str | None = None, kind: int = 1
) -> Outgoing:
    return Outgoing(kind, priority, payload, key=key)


def drained(queue: SendQueue) -> list[bytes]:
    taken = []
    while (one := queue.take()) is not None:
        taken.append(one.payload)
    return taken


def test_the_most_urgent_goes_first_and_each_priority_keeps_its_order() -> None:
    queue = SendQueue()
    for number, priority in enumerate([*reversed(Priority), *reversed(Priority)]):
        queue.put(item(priority, b"%d" % number))
    assert drained(queue) == [b"3", b"7", b"2", b"6", b"1", b"5", b"0", b"4"]
    assert len(queue) == 0


def test_a_newer_one_takes_the_place_of_an_older_one_of_its_key() -> None:
    queue = SendQueue()
    queue.put(item(Priority.GOSSIP, b"a1", "a"))
    queue.put(item(Priority.GOSSIP, b"b1", "b"))
    queue.put(item(Priority.GOSSIP, b"a2", "a"))
    queue.put(item(Priority.GOSSIP, b"other kind", "a", kind=2))
    assert drained(queue) == [b"a2", b"b1", b"other kind"]
    queue.put(item(Priority.GOSSIP, b"a3", "a"))
    assert drained(queue) == [b"a3"]


@pytest.mark.parametrize("priority", list(Priority))
def test_each_priority_is_bounded(priority: Priority) -> None:
    queue = SendQueue()
    for _ in range(MAX_MESSAGES[priority]):
        queue.put(item(priority))
    with pytest.raises(QueueFullError):
        queue.put(item(priority))


def test_bytes_are_bounded_and_given_back() -> None:
    queue = SendQueue()
    half = bytes(MAX_BYTES // 2)
    for _ in range(3):
        queue.put(item(Priority.OTHER, half))
        queue.put(item(Priority.OTHER, b"", "key"))
        queue.put(item(Priority.OTHER, half, "key"))
        assert len(drained(queue)) == 2
    queue.put(item(Priority.OTHER, half))
    queue.put(item(Priority.OTHER, half))
    with pytest.raises(QueueFullError):
        queue.put(item(Priority.OTHER, b"1"))
