"""What waits to be said on one link: by priority, bounded, newer in place of older."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from buildnet.mesh.messages.kinds import Message, Priority, kind_of

MAX_MESSAGES = {
    Priority.ELECTION: 256,
    Priority.PROBE: 512,
    Priority.GOSSIP: 1024,
    Priority.OTHER: 1024,
}
MAX_BYTES = 8 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message on its way. It is signed when it is sent, the one ``to_all`` by the first link that
    sends it; ``sealed`` is what all the others send then."""

    kind: int
    priority: Priority
    payload: bytes
    to_all: bool = False
    key: Hashable | None = None
    sealed: bytes | None = None

    @classmethod
    def of(cls, message: Message, *, to_all: bool = False) -> Outgoing:
        """Encode a message once."""
        kind = kind_of(message)
        return cls(kind.number, kind.priority, message.encode(), to_all, message.supersedes())


class QueueFullError(Exception):
    """More waits than the other side takes."""


class SendQueue:
    """Messages of one link, the most urgent first, each priority in its order."""

    def __init__(self) -> None:
        self._waiting: tuple[deque[Outgoing], ...] = tuple(deque() for _ in Priority)
        self._by_key: dict[Hashable, Outgoing] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting)

    @property
    def is_filling(self) -> bool:
        """Tell whether a quarter of what may wait does."""
        others = len(self._waiting[Priority.OTHER])
        return 4 * self._bytes > MAX_BYTES or 4 * others > MAX_MESSAGES[Priority.OTHER]

    def put(self, item: Outgoing) -> None:
        """Add a message; one with the key of a waiting one takes its place and its turn.

        Raises:
            QueueFullError: the other side does not keep up.
        """
        waiting = self._waiting[item.priority]
        if item.key is not None and (older := self._by_key.get(self._key(item))) is not None:
            waiting[waiting.index(older)] = item
            self._bytes -= len(older.payload)
        else:
            if len(waiting) >= MAX_MESSAGES[item.priority]:
                raise QueueFullError
            waiting.append(item)
        if item.key is not None:
            self._by_key[self._key(item)] = item
        self._bytes += len(item.payload)
        if self._bytes > MAX_BYTES:
            raise QueueFullError

    def take(self) -> Outgoing | None:
        """Return the next message to send; None: nothing waits."""
        for waiting in self._waiting:
            if waiting:
                item = waiting.popleft()
                self._bytes -= len(item.payload)
                if item.key is not None:
                    del self._by_key[self._key(item)]
                return item
        return None

    @staticmethod
    def _key(item: Outgoing) -> tuple[int, Hashable]:
        return item.kind, item.key
