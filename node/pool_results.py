"""Results that other members have: looked for before a command runs, and taken in whole.

All linked members are asked at once, and what none of them answers within :data:`ANSWER_S` is a
miss. A result counts if a member signed it, at the level that the action's key asks for; its
outputs come from who answered and lie in this node's store before it is used. Only results of
``strict`` are asked for and handed out: those of other levels may hold what their host alone knows.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.identity import is_signed_by, node_id_of
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.members.member import Ending
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.isolation import STRICT
from buildnet.node.store import ActionRecord, Hold, Store
from buildnet.node.store.holds import BlobAccess
from buildnet.pool.messages.results import (
    MAX_ANSWER_BYTES,
    MAX_ASKED,
    MAX_RESULT_BYTES,
    ResultAnswer,
    ResultAsk,
    SharedResult,
    WireDigest,
)
from buildnet.pool.result import (
    DecodedResult,
    MalformedResultError,
    decode_result,
    references_of,
    signed_message,
    trees_of,
)

ANSWER_S = 0.1
MAX_PEERS_ASKED = 256
_ASKS_AT_ONCE = 4
"""Questions of one member that are worked on; more are dropped, which it takes for a miss."""
_GONE = frozenset({Ending.LEFT, Ending.ROTATED})
"""Members of before whose results still count: nobody found fault with them."""
_log = logging.getLogger("buildnet.pool")

_Made = TypeVar("_Made")
FetchAll = Callable[[Iterable[Digest], bytes], Awaitable[None]]
"""Gets blobs from the member with this key into the store."""


class ResultRefusedError(BuildNetError):
    """What a member offered as an action's result is none that may be used."""

    code = "RESULT_REFUSED"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Offer:
    """A result that the member ``holder`` says to have."""

    result: SharedResult
    holder: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """An offer that is to be taken in. ``declared``: the outputs of its action, which runs in
    ``working_directory``."""

    offer: Offer
    working_directory: str
    declared: tuple[str, ...]

    @property
    def action(self) -> Digest:
        """Whose result it is."""
        return self.offer.result.action.digest

    @property
    def is_long(self) -> bool:
        """Whether the encoded result is a blob of its holder."""
        return self.offer.result.result is None


@dataclass(slots=True)
class _Question:
    """One question that is out: what is not found yet, and who has not answered yet."""

    open: set[Digest]
    peers: set[bytes]
    found: dict[Digest, Offer] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self) -> None:
        if not self.open or not self.peers:
            self.over.set()


class PoolResults:
    """One node's side of it, as who asks and as who answers. :meth:`guest` is for the mesh;
    ``fetch_all`` has to be set before."""

    fetch_all: FetchAll

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cluster: Cluster | None = None
        self._questions: dict[bytes, _Question] = {}
        self._working: dict[bytes, int] = {}
        self._note: Callable[[Note], None] | None = None

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._cluster, self._note = cluster, cluster.note
        try:
            yield self
        finally:
            self._cluster = None
            for question in self._questions.values():
                question.over.set()

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, ResultAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, ResultAnswer() as answer):
                self._answered(sender, answer)
            case LinkDown(peer):
                for question in self._questions.values():
                    question.peers.discard(peer)
                    question.settle()

    # --- asking --------------------------------------------------------------------------------

    async def find(self, actions: Sequence[Digest]) -> Mapping[Digest, Offer]:
        """Ask who has results of these actions; what is not in the answer nobody has, or nobody
        said so in time."""
        cluster = self._cluster
        if cluster is None or not actions:
            return {}
        local = cluster.local
        peers = [peer for peer in local.links if local.alive(peer)][:MAX_PEERS_ASKED]
        found: dict[Digest, Offer] = {}
        for start in range(0, len(actions), MAX_ASKED):
            found |= await self._ask(cluster, actions[start : start + MAX_ASKED], peers)
        return found

    async def _ask(
        self, cluster: Cluster, actions: Sequence[Digest], peers: Sequence[bytes]
    ) -> Mapping[Digest, Offer]:
        if not peers:
            return {}
        ask = ResultAsk(os.urandom(16), tuple(WireDigest.of(action) for action in actions))
        question = self._questions[ask.request] = _Question(set(actions), set(peers))
        try:
            for peer in peers:
                cluster.say(peer, ask)
            async with asyncio.timeout(ANSWER_S):
                await question.over.wait()
        except TimeoutError:
            pass
        finally:
            del self._questions[ask.request]
        return question.found

    def _answered(self, sender: bytes, answer: ResultAnswer) -> None:
        question = self._questions.get(answer.request)
        if question is None or sender not in question.peers:
            return
        for result in answer.results:
            action = result.action.digest
            if action in question.open and self._may_count(result):
                question.open.remove(action)
                question.found[action] = Offer(result, sender)
        if answer.last:
            question.peers.discard(sender)
        question.settle()

    def _may_count(self, result: SharedResult) -> bool:
        return (
            result.isolation == STRICT
            and self._cluster is not None
            and is_trusted(self._cluster.local.members, result.worker)
        )

    def name_of(self, holder: bytes) -> str:
        """Return what people call a member."""
        cluster = self._cluster
        return node_id_of(holder) if cluster is None else name_of(cluster.local.members, holder)

    async def take_one(self, one: Wanted, hold: Hold, *, keep: bool = True) -> DecodedResult:
        """Do the same for one result; ``keep``: as this node's own.

        Raises:
            ResultRefusedError: it is none of its action, or nobody who counts has signed it.
            BuildNetError: something of it can't be had.
        """
        holder, said = one.offer.holder, one.offer.result
        if not self._may_count(said):
            raise _refused(one, "no member of the cluster vouches for it")
        try:
            await self._fetch_all((said.result_digest.digest,) if one.is_long else (), holder, hold)
            encoded = await asyncio.to_thread(_signed, one, hold)
            await self._fetch_all(trees_of(encoded), holder, hold)
            found = await asyncio.to_thread(_decoded, one, encoded, hold)
            needs = references_of(trees_of(encoded), found)
            await self._fetch_all(needs, holder, hold)
            if keep:
                await asyncio.to_thread(hold.put_action, _record(said, encoded, needs))
        except ResultRefusedError as error:
            self._tell_refused(one, error)
            raise
        return found

    async def _fetch_all(self, blobs: Iterable[Digest], holder: bytes, hold: Hold) -> None:
        """Get what is missing.

        Raises:
            BuildNetError: not all can be had.
        """
        needed = tuple(blobs)
        await asyncio.to_thread(hold.add, needed)
        lacking = await asyncio.to_thread(hold.missing, needed)
        if lacking:
            await self.fetch_all(lacking, holder)

    async def take_in(self, wanted: Sequence[Wanted], hold: Hold) -> Mapping[Digest, DecodedResult]:
        """Fetch all that results need into the store and keep them as this node's own. Return what
        they say by action; what can't be had, or is no result of its action, is left out."""
        by_holder: dict[bytes, list[Wanted]] = {}
        for one in wanted:
            by_holder.setdefault(one.offer.holder, []).append(one)
        taken: dict[Digest, DecodedResult] = {}
        for holder, some in by_holder.items():
            taken |= await self._take_from(holder, some, hold)
        return taken

    async def _take_from(
        self, holder: bytes, wanted: Sequence[Wanted], hold: Hold
    ) -> Mapping[Digest, DecodedResult]:
        long = (one.offer.result.result_digest.digest for one in wanted if one.is_long)
        await self._fetch(tuple(long), holder, hold)
        signed = await asyncio.to_thread(self._each, wanted, lambda one: _signed(one, hold))
        trees = [tree for encoded in signed.values() for tree in trees_of(encoded)]
        await self._fetch(trees, holder, hold)
        there = [one for one in wanted if one.action in signed]
        found = await asyncio.to_thread(
            self._each, there, lambda one: _decoded(one, signed[one.action], hold)
        )
        needs = {
            action: references_of(trees_of(signed[action]), decoded)
            for action, decoded in found.items()
        }
        await self._fetch([blob for blobs in needs.values() for blob in blobs], holder, hold)
        there = [one for one in there if one.action in found]
        kept = await asyncio.to_thread(
            self._each,
            there,
            lambda one: hold.put_action(
                _record(one.offer.result, signed[one.action], needs[one.action])
            ),
        )
        return {action: found[action] for action in kept}

    def _each(
        self, wanted: Sequence[Wanted], work: Callable[[Wanted], _Made]
    ) -> dict[Digest, _Made]:
        """Do something for each; leave out where that fails, and say so. Blocks."""
        made: dict[Digest, _Made] = {}
        for one in wanted:
            try:
                made[one.action] = work(one)
            except BuildNetError as error:
                self._tell_refused(one, error)
        return made

    def _tell_refused(self, one: Wanted, error: BuildNetError) -> None:
        label, holder = one.offer.result.label, one.offer.holder
        why = error.cause or error.message
        _log.warning("%s's result of %s is not used: %s", node_id_of(holder), label, why)
        if isinstance(error, ResultRefusedError) and self._note is not None:
            self._note(Note("result refused", holder, why))

    async def _fetch(self, blobs: Sequence[Digest], holder: bytes, hold: Hold) -> None:
        """Get what is missing, as far as it can be had."""
        try:
            await self._fetch_all(blobs, holder, hold)
        except BuildNetError as error:
            _log.warning("not all could be fetched from %s: %s", node_id_of(holder), error.message)

    # --- answering -----------------------------------------------------------------------------

    def _asked(self, sender: bytes, ask: ResultAsk) -> None:
        cluster = self._cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if self._working.get(sender, 0) >= _ASKS_AT_ONCE:
            cluster.note(Note("too many questions", sender, "ResultAsk"))
            return
        self._working[sender] = self._working.get(sender, 0) + 1
        cluster.spawn(lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: ResultAsk) -> None:
        try:
            found = await asyncio.to_thread(self._look_up, ask)
        finally:
            self._working[sender] -= 1
            if not self._working[sender]:
                del self._working[sender]
        for answer in _answers(ask.request, found):
            cluster.say(sender, answer)

    def _look_up(self, ask: ResultAsk) -> list[SharedResult]:
        found: list[SharedResult] = []
        for action in ask.actions:
            record = self._store.get_action(action.digest, frozenset({STRICT}))
            if record is None:
                continue
            found.append(shared_result(record, self._store))
        return found


def shared_result(record: ActionRecord, store: BlobAccess) -> SharedResult:
    """Return a result as it is told to others; a long one becomes a blob of ``store``."""
    is_short = len(record.result) <= MAX_RESULT_BYTES
    if not is_short:
        store.put(record.result)
    return SharedResult(
        action=WireDigest.of(record.action),
        isolation=record.isolation,
        worker=record.worker,
        signature=record.signature,
        created_ms=int(record.created_at * 1000),
        duration_ms=max(0, round(record.duration_ms)),
        label=record.label[:1024],
        result_digest=WireDigest.of(Digest.of(record.result)),
        result=record.result if is_short else None,
    )


def name_of(members: MemberList, key: bytes) -> str:
    """Return what people call a member: its name, or its id once it is none any more."""
    member = members.members.get(key)
    return node_id_of(key) if member is None else member.name


def is_trusted(members: MemberList, worker: bytes) -> bool:
    """Tell whether results that ``worker`` signed count: it is a member, or was one that left or
    changed its key; who was removed or revoked has lost its word."""
    if worker in members.revoked:
        return False
    former = members.former.get(worker)
    return members.is_member(worker) or (former is not None and former.ending in _GONE)


def may_ask(members: MemberList, sender: bytes) -> bool:
    """Tell whether a member may ask for results: whoever may build."""
    return members.is_member(sender) and members.members[sender].rights is not Rights.OBSERVER


def _signed(one: Wanted, hold: Hold) -> bytes:
    """Return the encoded result, as whom it names has signed it."""
    said, address = one.offer.result, one.offer.result.result_digest.digest
    encoded = hold.get(address) if said.result is None else said.result
    message = signed_message(one.action, said.isolation, encoded)
    if Digest.of(encoded) != address or not is_signed_by(said.worker, message, said.signature):
        raise _refused(one, "its executor did not sign it")
    try:
        trees_of(encoded)
    except MalformedResultError as error:
        raise _refused(one, f"it can't be read: {error}") from error
    return encoded


def _decoded(one: Wanted, encoded: bytes, hold: Hold) -> DecodedResult:
    """Return what a result says, if it can be one of its action."""
    try:
        found = decode_result(encoded, one.working_directory, hold.get)
    except MalformedResultError as error:
        raise _refused(one, f"it can't be read: {error}") from error
    if (why := _objection(found, one.declared)) is not None:
        raise _refused(one, why)
    return found


def _record(said: SharedResult, encoded: bytes, references: tuple[Digest, ...]) -> ActionRecord:
    return ActionRecord(
        action=said.action.digest,
        result=encoded,
        isolation=said.isolation,
        worker=said.worker,
        signature=said.signature,
        created_at=said.created_ms / 1000,
        duration_ms=float(said.duration_ms),
        label=said.label,
        references=references,
    )


def _refused(one: Wanted, why: str) -> ResultRefusedError:
    return ResultRefusedError(
        f"a member's result of {one.offer.result.label} can't be used",
        cause=why,
        hint="buildnet pool nodes shows which member that was",
    )


def _objection(found: DecodedResult, declared: tuple[str, ...]) -> str | None:
    """Say why outputs are none of an action that declared ``declared``; None: they may be."""
    kinds = DeclaredOutputs(declared)
    for path, _ in found.outputs.leaves():
        if not kinds.covers(path):
            return f"it holds {path}, which the action does not make"
    for path in kinds.plain:
        if found.outputs.find(path) is None:
            return f"it lacks {path}"
    return None


def _answers(request: bytes, found: Sequence[SharedResult]) -> Iterable[ResultAnswer]:
    """Split results into messages that fit."""
    some: list[SharedResult] = []
    size = 0
    for result in found:
        bytes_more = len(result.encode())
        if some and size + bytes_more > MAX_ANSWER_BYTES:
            yield ResultAnswer(request, tuple(some), False)
            some, size = [], 0
        some.append(result)
        size += bytes_more
    yield ResultAnswer(request, tuple(some), True)
