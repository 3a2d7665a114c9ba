"""The ledger of one cluster while this node takes part: feeds its core, does what that wants."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from buildnet.ledger.chain import Tip
from buildnet.ledger.core import LedgerCore
from buildnet.ledger.draft import EntryDraft, next_body, opening_body
from buildnet.ledger.entry import Body, Chain, Entry
from buildnet.ledger.events import (
    Compare,
    Damaged,
    DamagedSeals,
    Effect,
    EntriesAppended,
    EntriesArrived,
    Event,
    Keep,
    Kept,
    MaybeSetBack,
    RecordMember,
    Repair,
    Rewind,
    Rewound,
    SealedTo,
    ServeEntries,
    ServeSeals,
    SetBack,
)
from buildnet.ledger.member_entries import founding_draft, member_draft
from buildnet.ledger.messages import Heads
from buildnet.ledger.opening import Opening
from buildnet.ledger.proof import Proof
from buildnet.ledger.seal import Seal
from buildnet.ledger.service import proving
from buildnet.ledger.service.errors import LedgerStoppedError, NotSealedError
from buildnet.ledger.service.keeper import Keeper
from buildnet.ledger.service.own_chain import OwnChain, keys_before
from buildnet.ledger.service.peers import Peers
from buildnet.ledger.service.serving import Serving
from buildnet.ledger.service.settings import DEFAULT, LedgerSettings
from buildnet.ledger.service.shared_facts import Ports, SharedFacts
from buildnet.ledger.service.standing import Standing
from buildnet.ledger.service.upkeep import Upkeep
from buildnet.ledger.service.useless import Useless
from buildnet.ledger.service.verifying import Verifying
from buildnet.ledger.service.waiting import Waiting
from buildnet.ledger.store.batches import Outcome
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.rows import StoredEntry
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Trust
from buildnet.ledger.store.writer import Append, MakeBody, Place, StateChange
from buildnet.mesh.events import (
    LinkUp,
    Note,
    OfficeChanged,
    Received,
    Send,
    SendAll,
    Stalled,
    StatusChanged,
)
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import GuestEvent

SEALED_S = 30.0
"""How long who wants an entry sealed waits by default."""
TOGETHER_S = 0.01
"""Own entries are handed out at most so often; the first after a pause wait for nothing."""
_AGAIN_S = 1.0
_log = logging.getLogger("buildnet.ledger")


class ClusterLedger:
    """One node's ledger of one cluster. Use :meth:`taking_part`.

    ``on_sealed``: told of each seal that is final and on this node's disk; ``on_appended``: that
    there are new entries of any origin.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: LedgerStore,
        clock: Callable[[], float] = time.monotonic,
        settings: LedgerSettings = DEFAULT,
    ) -> None:
        self.cluster = cluster
        self.store = store
        self.on_sealed: Callable[[Seal], None] = lambda seal: None
        self.on_appended: Callable[[], None] = lambda: None
        self._clock = clock
        self._local = cluster.local
        self._id = cluster.local.members.cluster_id
        self.peers = Peers()
        self.upkeep = Upkeep(
            store,
            cluster.local.signatures.verify,
            settings,
            lambda heights: self._feed(DamagedSeals(heights)),
        )
        self._waiting = Waiting()
        self._serving = Serving(store, cluster.links.say)
        self._fresh: list[Entry] = []
        """Own entries on disk that the core was not told of yet."""
        self._told_at = -math.inf
        self.keeper = Keeper(store, self._kept, lambda why: cluster.note_bug(f"ledger: {why}"))
        useless = Useless(lambda entry: self.core.is_news(entry), clock)
        verify = self._local.signatures.verify
        self._verifying = Verifying(verify, self._received, cluster.note, useless)
        self.facts = SharedFacts(
            self._local,
            store,
            Ports(self.append_one, self.sealed, cluster.links.say, self._spawn),
        )
        self._events: deque[Event] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._opened = asyncio.Event()
        self._refusal: LedgerError | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._core: LedgerCore | None = None
        self.standing = Standing(self._local, lambda: self.core.holding, clock)
        self._own: OwnChain | None = None

    @classmethod
    @asynccontextmanager
    async def taking_part(
        cls, cluster: Cluster, path: Path, settings: LedgerSettings = DEFAULT
    ) -> AsyncIterator[ClusterLedger]:
        """Open the ledger at ``path`` and take part until the context ends.

        Raises:
            LedgerError: it can't be opened; it is left as it is.
        """
        key = cluster.key
        damage: deque[Damaged] = deque()
        tell: Callable[[Damaged], None] = damage.append
        store = await LedgerStore.open(
            path,
            cluster=cluster.local.members.cluster_id,
            sign=key.sign,
            vault=settings.vault(),
            former=settings.former_vaults(),
            on_damaged=lambda found: tell(found),
            keys_before=lambda origin: keys_before(cluster.local, origin),
        )
        try:
            ledger = cls(cluster, store, settings=settings)
            tell = ledger._feed
            async with ledger._running():
                for found in damage:
                    ledger._feed(found)
                yield ledger
        finally:
            await store.close()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        restored = await self.store.restored()
        self._core = LedgerCore(self._local, self.cluster.machine.log, restored)
        self.standing.grew()
        self._own = OwnChain(self._local, restored, self.store.start)
        self._waiting.reach = {chain: head.sequence for chain, head in restored.sealed.items()}
        local = self._local
        async with asyncio.TaskGroup() as group:
            self._group = group
            if self._own.lost_its_word:
                self._feed(SetBack())
            running = [
                group.create_task(self._lasting(work))
                for work in (
                    self.keeper.run,
                    self._verifying.run,
                    self._open_chain,
                    self.upkeep.scrub,
                    self.upkeep.retain,
                )
            ]
            local.may_change_voters = self._core.may_change_voters
            for peer, link in local.links.items():
                self._feed(LinkUp(peer, link.outgoing, link.address, link.relayed_by))
            if local.office is not None:  # taken before there was anybody to tell
                self.take(OfficeChanged(local.office))
            self._arm()
            try:
                yield
            finally:
                local.may_change_voters = lambda: True
                self._group = None
                self._busy = True  # nothing is taken any more
                self._opened.set()  # who waits to append is told that nothing will be
                if self._timer is not None:
                    self._timer.cancel()
                for task in (*running, *self._tasks):
                    task.cancel()
                self._waiting.stop(LedgerStoppedError("this node stops"))

    # --- what others look at -------------------------------------------------------------------

    @property
    def key(self) -> bytes:
        """The public key that signs what this node appends."""
        return self._local.key

    @property
    def trouble(self) -> LedgerError | None:
        """Why nothing can be written now; None: the last write went well."""
        return self._refusal or self.store.trouble

    @property
    def core(self) -> LedgerCore:
        """The core."""
        if self._core is None:
            raise RuntimeError("the ledger does not run")
        return self._core

    @property
    def waits_for_seals(self) -> bool:
        """Tell whether something of this node is not sealed yet, and somebody seals."""
        office, holding = self._local.office, self.core.holding
        sealing = office is not None and office.quorum
        return sealing and any(one.origin == self.key for one in holding.open_chains())

    def trust(self, *, replay: bool) -> Trust:
        """Return what a check of the file relies on; ``replay``: also build all tables again."""
        return Trust(
            self._local.signatures.verify,
            self.core.membership.voters,
            lambda origin: keys_before(self._local, origin),
            replay,
        )

    async def prove(self, prefix: str) -> tuple[StoredEntry, Proof]:
        """Return an entry and the proof that it is sealed; see :func:`proving.prove`."""
        return await proving.prove(self.store, self.cluster.machine.log, prefix)

    # --- events --------------------------------------------------------------------------------

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens in the cluster."""
        if isinstance(event, Received):
            if isinstance(event.message, Heads) and self._own is not None:
                if self._own.heard(event.sender, event.message) and not self._opened.is_set():
                    self._feed(MaybeSetBack())
                self.peers.heard(event.sender, event.message, self._clock())
            self._verifying.put(event)
            return
        if isinstance(event, OfficeChanged) and event.office is not None and event.office.quorum:
            self._spawn(self.facts.retry_drafts())
        if not isinstance(event, StatusChanged | Stalled):  # of no concern to a ledger
            self._feed(event)

    def _received(self, event: EntriesArrived | Received) -> None:
        if isinstance(event, Received):
            if self.facts.take(event.sender, event.message):
                return
        elif self._own is not None and self._own.is_shown_loss(event.entries):
            self._feed(SetBack())
        self._feed(event)

    def _feed(self, event: Event) -> None:
        self._events.append(event)
        if not self._busy and self._core is not None:
            self._run()

    def _run(self) -> None:
        self._busy = True
        core = self.core
        try:
            while self._events:
                event = self._events.popleft()
                try:
                    for effect in core.handle(event, self._clock()):
                        self._perform(effect)
                except Exception:
                    _log.exception("a bug while handling %s", type(event).__name__)
                    self.cluster.note_bug(f"ledger: {type(event).__name__}")
        finally:
            self._busy = False
        self.standing.grew()
        self._arm()

    def _arm(self) -> None:
        deadline = self.core.deadline
        if deadline >= self._timer_at or self._group is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        wait_s = max(0.0, deadline - self._clock()) + 0.0005
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._timer, self._timer_at = None, math.inf
        self._busy = True
        try:
            for effect in self.core.tick(self._clock()):
                self._perform(effect)
        except Exception:
            _log.exception("a bug while doing what is due")
            self.cluster.note_bug("ledger: tick")
        finally:
            self._busy = False
        self._run()

    # --- effects -------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self.cluster.links.say(to, message)
            case SendAll(to, message):
                self.cluster.links.say_all(to, message)
            case Note():
                self.cluster.note(effect)
            case Keep():
                self.keeper.put(effect)
            case SealedTo(seal):
                self._waiting.sealed(seal)
                self.standing.sealed()
                self.on_sealed(seal)
            case ServeEntries() | ServeSeals():
                self._spawn(self._serving.answer(effect))
            case Compare(other):
                self._spawn(self._compare(other))
            case Repair(entries, seals):
                self._spawn(self.upkeep.mend(entries, seals))
            case Rewind():
                self._spawn(self._rewind(effect))
            case RecordMember():
                self._spawn(self._record(effect))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except LedgerError as error:
            _log.error("the ledger: %s", error.message)
        except Exception as error:
            _log.exception("a bug in the ledger")
            self.cluster.note_bug(f"ledger: {error!r}")

    async def _lasting(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do what goes on beside everything else; a bug in it ends neither the node nor it."""
        while True:
            try:
                return await work()
            except Exception as error:
                _log.exception("a bug in the ledger")
                self.cluster.note_bug(f"ledger: {error!r}")
            await asyncio.sleep(_AGAIN_S)

    async def _compare(self, other: Entry) -> None:
        found = await self.store.compare(other)
        if found is not None:
            self._feed(found)

    async def _rewind(self, wanted: Rewind) -> None:
        self._feed(Rewound(await self.keeper.rewind(wanted.height, wanted.voters)))

    async def _record(self, wanted: RecordMember) -> None:
        members = self.cluster.machine.log.committed
        drafts = [member_draft(wanted.entry, members, wanted.epoch)]
        if wanted.entry.version == 1:
            drafts.insert(0, founding_draft(members.genesis))
        await self.append(drafts)

    # --- own entries ---------------------------------------------------------------------------

    async def _open_chain(self, chosen: tuple[Chain, Opening] | None = None) -> None:
        assert self._own is not None
        chain, opening = chosen or await self._own.choose()
        while not self._opened.is_set():
            try:
                await self._begin(chain, opening)
            except LedgerError as error:
                if self._refusal is None:  # once, not every second
                    _log.error("the ledger can't be written: %s", error.message)
                self._refusal = error
                await asyncio.sleep(_AGAIN_S)
            else:
                self._refusal = None
                self._opened.set()

    async def _begin(self, chain: Chain, opening: Opening | None) -> None:
        await self.store.use(chain)
        if opening is not None:
            clock = self._local.clock.now()
            body = opening_body(self._id, chain, opening, clock=clock)
            self._appended(await self.store.append([lambda place: body], hlc=clock))
            _log.info("the ledger has a new chain: %s", opening.why.value)

    def _appended(self, entries: tuple[Entry, ...]) -> None:
        """Tell the core; where there are many, all of a while at once: each time is one message to
        each peer, which costs more than an entry does."""
        if not self._fresh:
            wait_s = self._told_at + TOGETHER_S - self._clock()
            asyncio.get_running_loop().call_later(max(0.0, wait_s), self._tell_fresh)
        self._fresh += entries
        if self._own is not None:
            self._own.wrote(entries[-1])

    def _tell_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._told_at = self._clock()
        self._feed(EntriesAppended(tuple(fresh)))
        self.on_appended()

    def _kept(self, token: int) -> None:
        self._feed(Kept(token))
        self.on_appended()

    async def append(
        self, drafts: Sequence[EntryDraft], change: StateChange | None = None
    ) -> tuple[Entry, ...]:
        """Append entries to this node's chain, atomically with ``change``; they are on disk when
        this returns.

        Raises:
            BuildNetError: nothing was appended.
        """
        if self._refusal is not None:
            raise self._refusal
        await self._until_open()
        if self._own is not None and (successor := self._own.successor()) is not None:
            self._opened.clear()
            self._spawn(self._lasting(partial(self._open_chain, successor)))
            await self._until_open()
        waiting: asyncio.Future[tuple[Entry, ...]] = asyncio.get_running_loop().create_future()

        def told(outcome: Outcome) -> None:
            # Whoever asked may have gone away; the core hears of what was written all the same.
            if outcome.error is None:
                self._appended(outcome.value)
            outcome.tell(waiting)

        bodies = tuple(_body_of(draft) for draft in drafts)
        self.store.put(Append(bodies, self._local.clock.now(), change), told)
        return await waiting

    async def _until_open(self) -> None:
        await self._opened.wait()
        if self._group is None:
            raise LedgerStoppedError("this node stops")

    async def append_one(self, draft: EntryDraft) -> Entry:
        """Append one entry; see :meth:`append`."""
        (entry,) = await self.append([draft])
        return entry

    async def sealed(self, entry: Entry, timeout_s: float = SEALED_S) -> int:
        """Wait until an entry is sealed; return the seal's height.

        Raises:
            NotSealedError: it is not, in time.
            LedgerStoppedError: this node stops.
        """
        chain, sequence = entry.chain, entry.body.sequence
        if self._waiting.reach.get(chain, 0) >= sequence:
            found = await self.store.entry(entry.id)
            if found.height is not None:
                return found.height
        try:
            return await self._waiting.wait(chain, sequence, timeout_s)
        except TimeoutError as error:
            raise NotSealedError(
                "kept on this node's disk, not sealed yet: "
                f"no majority confirmed it within {timeout_s:g} s",
                hint="it is sealed once a majority of the voters is there: buildnet pool health",
            ) from error


def _body_of(draft: EntryDraft) -> MakeBody:
    def make(place: Place) -> Body:
        tip = Tip(place.sequence - 1, place.previous, place.hlc - 1)
        return next_body(place.cluster, place.chain, tip, draft, clock=place.hlc)

    return make
