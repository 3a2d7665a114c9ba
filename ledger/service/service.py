"""The ledger of a node, whichever cluster it is in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Entry
from buildnet.ledger.seal import Seal
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import LedgerStoppedError
from buildnet.ledger.service.settings import DEFAULT, LedgerSettings
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.writer import StateChange
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent

_CHANGE_S = 30.0
"""How long somebody waits while the node changes clusters."""
SETTLE_S = 5.0
"""How long who leaves waits for seals over its entries."""
_LOOK_S = 0.05
_log = logging.getLogger("buildnet.ledger")


class _Absent:
    """Takes part instead of a ledger that can't be opened."""

    def take(self, event: GuestEvent) -> None:
        """Do nothing."""


class LedgerService:
    """A node's ledger. :meth:`guest` is given to the mesh, which lets it take part in each cluster
    that the node joins; each has a file of its own in ``directory``."""

    def __init__(self, directory: Path, settings: LedgerSettings = DEFAULT) -> None:
        self._directory = directory
        self._settings = settings
        self._current: ClusterLedger | None = None
        self._changed = asyncio.Event()
        self.problem: LedgerError | None = None
        """Why the ledger can't be opened; None: it can."""
        self.on_sealed: Callable[[Seal], None] = lambda seal: None
        self.on_appended: Callable[[], None] = lambda: None
        self.on_opened: Callable[[], None] = lambda: None
        """Told that the ledger of a cluster is open: at the start, after a change of clusters."""

    def path_of(self, cluster_id: bytes) -> Path:
        """Return the file of a cluster's ledger."""
        return path_of(self._directory, cluster_id)

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in ``cluster``. A ledger that can't be opened keeps no node from running: it
        records nothing then, and says why."""
        path = self.path_of(cluster.local.members.cluster_id)
        try:
            taking_part = ClusterLedger.taking_part(cluster, path, self._settings)
            ledger = await taking_part.__aenter__()
        except Exception as error:
            self.problem = _problem(path, error)
            self._changed.set()
            yield _Absent()
            return
        self.problem = None
        self._current = ledger
        ledger.on_sealed = self._sealed
        ledger.on_appended = lambda: self.on_appended()
        self._changed.set()
        self.on_opened()
        try:
            yield ledger
        finally:
            self._current = None
            self._changed.clear()
            await taking_part.__aexit__(None, None, None)

    def _sealed(self, seal: Seal) -> None:
        self.on_sealed(seal)

    @property
    def trouble(self) -> LedgerError | None:
        """Why nothing can be recorded now, as far as it is known; None: nothing is wrong."""
        return self.problem if self._current is None else self._current.trouble

    @property
    def open_now(self) -> ClusterLedger | None:
        """The ledger, without waiting; None: it is closed, or can't be opened."""
        return self._current

    async def current(self) -> ClusterLedger:
        """Return the ledger of the cluster that this node is in; waits while it changes clusters.

        Raises:
            LedgerError: it can't be opened.
            LedgerStoppedError: the node stops.
        """
        if self._current is None:
            try:
                async with asyncio.timeout(_CHANGE_S):
                    await self._changed.wait()
            except TimeoutError as error:
                raise LedgerStoppedError("the ledger is closed", hint="the node stops") from error
        if self._current is None:
            raise self.problem or LedgerStoppedError("the ledger is closed")
        return self._current

    async def settle(self, timeout_s: float = SETTLE_S) -> None:
        """Wait until all that this node recorded is sealed, as long as somebody seals, no longer
        than said: of who leaves, or goes on under another key, nothing is sealed any more."""
        try:
            async with asyncio.timeout(timeout_s):
                while (ledger := self._current) is not None and ledger.waits_for_seals:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            _log.warning("some of what this node recorded is not sealed yet, and may never be")

    async def append(
        self, drafts: Sequence[EntryDraft], change: StateChange | None = None
    ) -> tuple[Entry, ...]:
        """Record something: it is on this node's disk when this returns, and sealed later.

        Raises:
            BuildNetError: nothing was recorded.
        """
        return await (await self.current()).append(drafts, change)


def path_of(directory: Path, cluster_id: bytes) -> Path:
    """Return the file of a cluster's ledger in a node's data directory."""
    return directory / f"ledger-{cluster_id.hex()[:16]}.db"


def _problem(path: Path, error: Exception) -> LedgerError:
    """Log why a ledger can't be opened, and return it as something that people can be told."""
    if isinstance(error, LedgerError):
        _log.error("the ledger can't be opened: %s", error.message)
        return error
    _log.error("the ledger %s can't be opened", path, exc_info=error)
    return LedgerError(
        f"the ledger {path} can't be opened",
        cause=f"{type(error).__name__}: {error}",
        hint="see that this user may read and write it and what lies beside it; the node's log has "
        "the details",
    )
