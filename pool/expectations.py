"""What other nodes say they will need here soon: what to get next, and what of it was of use.
Pure.

Nobody has to keep his word, and anybody may say too much: how many expectations there are is
bounded, and how many bytes are asked for in all their names within a minute, whatever comes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest

MOST_OF_ONE = 8
"""Expectations of one node."""
MOST = 128
"""Of all of them together."""
LONGEST_S = 60.0
WITHIN_S = 60.0
"""The bytes that are asked for within such a time are bounded."""
BATCH = 128
BATCH_BLOB_BYTES = 64 * 1024
"""Blobs up to that size are fetched together."""
LEAST_BYTES = 4096
"""Each blob counts as so many at least: very many small ones are much, too."""

_Key = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """What to fetch next from ``holder``: one large blob, or some small ones."""

    holder: bytes
    blobs: tuple[Digest, ...]

    @property
    def counted_bytes(self) -> int:
        """As how much it counts."""
        return sum(map(counted_bytes, self.blobs))


def counted_bytes(blob: Digest) -> int:
    """Return as how many bytes a blob counts."""
    return max(blob.size_bytes, LEAST_BYTES)


@dataclass(slots=True)
class _Expectation:
    until: float
    blobs: dict[Digest, None]
    open: deque[Digest] = field(default_factory=deque)


class Expectations:
    """See the module's text. Times are in monotonic seconds; ``most_bytes`` are asked for within
    :data:`WITHIN_S` at most. ``fetched_bytes`` and ``used_bytes`` count what was fetched, and what
    of that commands then read."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._known: dict[_Key, _Expectation] = {}
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_bytes = 0
        self._unused: dict[Digest, None] = {}
        self.fetched_bytes = 0
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def told(
        self, holder: bytes, name: bytes, blobs: Sequence[Digest], for_s: float, now: float
    ) -> None:
        """Take in what a node expects, in place of what it did under this name; no blobs: nothing.
        Beyond the bounds it is ignored."""
        self.lapse(now)
        self._known.pop((holder, name), None)
        of_it = sum(one == holder for one, _ in self._known)
        if not blobs or of_it >= MOST_OF_ONE or len(self._known) >= MOST:
            return
        unique = dict.fromkeys(blobs)
        until = now + min(for_s, LONGEST_S)
        self._known[holder, name] = _Expectation(until, unique, deque(unique))

    def forget(self) -> None:
        """Expect nothing any more."""
        self._known.clear()
        self._unused.clear()

    def gone(self, holder: bytes) -> None:
        """Expect nothing of a node any more."""
        for key in [key for key in self._known if key[0] == holder]:
            del self._known[key]

    def lapse(self, now: float) -> None:
        """Forget what is too old."""
        for key in [key for key, each in self._known.items() if each.until <= now]:
            del self._known[key]
        while self._spent and self._spent[0][0] <= now - WITHIN_S:
            self._spent_bytes -= self._spent.popleft()[1]
        if not self._known:
            self._unused.clear()

    def expects(self, blobs: Iterable[Digest]) -> bool:
        """Whether any of some blobs is still expected to be needed."""
        return any(blob in each.blobs for blob in blobs for each in self._known.values())

    def next(self, now: float) -> Batch | None:
        """Return what to get next; None: nothing now. What was said first comes first. It counts
        from now on, come or not, until :meth:`fetched` says what was here already."""
        self.lapse(now)
        left_bytes = self.most_bytes - self._spent_bytes
        for (holder, _), each in self._known.items():
            batch: list[Digest] = []
            while each.open and len(batch) < BATCH:
                size_bytes = each.open[0].size_bytes
                if counted_bytes(each.open[0]) > left_bytes:
                    each.open.popleft()  # it comes with the command that needs it
                    continue
                if batch and size_bytes > BATCH_BLOB_BYTES:
                    break
                batch.append(each.open.popleft())
                left_bytes -= counted_bytes(batch[-1])
                if size_bytes > BATCH_BLOB_BYTES:
                    break
            if batch:
                found = Batch(holder, tuple(batch))
                self._spent.append((now, found.counted_bytes))
                self._spent_bytes += found.counted_bytes
                return found
        return None

    def again(self, batch: Batch) -> None:
        """Take note that fetching something was interrupted: it comes first again."""
        for (holder, _), each in self._known.items():
            wanted = [blob for blob in batch.blobs if blob in each.blobs]
            if holder == batch.holder and wanted:
                each.open.extendleft(reversed(wanted))
                return

    def fetched(self, batch: Batch, blobs: Collection[Digest]) -> None:
        """Take note that of the latest batch these had to be fetched, and were."""
        if self._spent:  # else it took so long that it does not count any more
            at, spent_bytes = self._spent.pop()
            here_bytes = batch.counted_bytes - sum(map(counted_bytes, blobs))
            self._spent.append((at, spent_bytes - here_bytes))
            self._spent_bytes -= here_bytes
        self.fetched_bytes += sum(blob.size_bytes for blob in blobs)
        self._unused.update(dict.fromkeys(blobs))

    def let_go(self, batch: Batch) -> None:
        """Take note that what was fetched may be gone before it is of use."""
        for blob in batch.blobs:
            self._unused.pop(blob, None)

    def used(self, blobs: Collection[Digest]) -> None:
        """Take note that a command reads some blobs: of those that were fetched for that the bytes
        are counted, once."""
        if not self._unused:
            return
        for blob in self._unused.keys() & set(blobs):
            del self._unused[blob]
            self.used_bytes += blob.size_bytes
