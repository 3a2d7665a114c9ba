"""What running builds need: blobs and results that no collection may remove.

A build works through a :class:`Hold`. Whatever it puts, gets or looks up is noted *before* the
store looks at the file, under the lock that collection takes for each removal; so what a build was
told is there stays there until its hold closes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from buildnet.mesh.digest import Digest

if TYPE_CHECKING:
    from buildnet.node.store.actions import ActionRecord
    from buildnet.node.store.store import Store


class BlobAccess(Protocol):
    """What a :class:`Hold` and a :class:`~buildnet.node.store.Store` have in common."""

    def put(self, data: bytes) -> Digest: ...

    def put_file(self, path: Path | str, expected: Digest | None = None) -> Digest: ...

    def get(self, digest: Digest) -> bytes: ...

    def read(self, digest: Digest, offset: int, limit: int) -> bytes: ...

    def copy_to(
        self,
        digest: Digest,
        destination: Path | str,
        executable: bool = False,
        mtime_ns: int | None = None,
        *,
        fresh: bool = False,
    ) -> os.stat_result: ...

    def missing(self, digests: Iterable[Digest]) -> set[Digest]: ...


class HeldHashes:
    """How many holds hold each hash. Used while the store's lock is held."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __contains__(self, hash: str) -> bool:
        return hash in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def retain(self, hash: str) -> None:
        """Count one more hold."""
        self._counts[hash] = self._counts.get(hash, 0) + 1

    def release(self, hash: str) -> None:
        """Count one hold less."""
        if self._counts[hash] == 1:
            del self._counts[hash]
        else:
            self._counts[hash] -= 1


class Hold:
    """A running build's view of the store; a context manager. Thread-safe.

    The methods are the store's; what they touch is safe from collection until :meth:`close`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hashes: set[str] = set()
        """What this hold holds; changed by the store under its lock."""
        self.closed = False

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything. Closing twice is harmless."""
        self._store.release(self)

    def add(self, digests: Iterable[Digest]) -> None:
        """Hold these too, whether the store has them yet or not."""
        self._store.retain(self, digests)

    def put(self, data: bytes) -> Digest:
        """See :meth:`Store.put`."""
        return self._store.put(data, hold=self)

    def put_file(self, path: Path | str, expected: Digest | None = None) -> Digest:
        """See :meth:`Store.put_file`."""
        return self._store.put_file(path, expected, hold=self)

    def get(self, digest: Digest) -> bytes:
        """See :meth:`Store.get`."""
        return self._store.get(digest, hold=self)

    def read(self, digest: Digest, offset: int, limit: int) -> bytes:
        """See :meth:`Store.read`."""
        return self._store.read(digest, offset, limit, hold=self)

    def copy_to(
        self,
        digest: Digest,
        destination: Path | str,
        executable: bool = False,
        mtime_ns: int | None = None,
        *,
        fresh: bool = False,
    ) -> os.stat_result:
        """See :meth:`Store.copy_to`."""
        return self._store.copy_to(
            digest, destination, executable, mtime_ns, fresh=fresh, hold=self
        )

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """See :meth:`Store.missing`."""
        return self._store.missing(digests, hold=self)

    def get_action(self, action: Digest, accepted: frozenset[str]) -> ActionRecord | None:
        """See :meth:`Store.get_action`; the result's blobs are held too."""
        return self._store.get_action(action, accepted, hold=self)

    def put_action(self, record: ActionRecord) -> None:
        """See :meth:`Store.put_action`."""
        self._store.put_action(record, hold=self)
