"""Results that other members have: looked for before a command runs, and taken in whole.

All linked members are asked at once, and what none of them answers within :data:`ANSWER_S`, or some
round trips where these take longer, is a miss. A result counts if a member signed it, at the level
that the action's key asks for; its outputs come from who answered and lie in this node's store
before it is used. Only results of ``strict`` are asked for and handed out: those of other levels
may hold what their host alone knows.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.members.member import Ending
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.execute.isolation import STRICT
from buildnet.node.offered_results import (
    Offer,
    ResultRefusedError,
    Wanted,
    decoded,
    record_of,
    refused,
    signed_by_its_maker,
)
from buildnet.node.peer_questions import ASKS_AT_ONCE, Questions
from buildnet.node.result_question import ResultQuestion, Said
from buildnet.node.same_actions import Phase, SameActions
from buildnet.node.store import ActionRecord, Hold, Store
from buildnet.node.store.errors import missing_blob
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
    references_of,
    trees_of,
)

ANSWER_S = 0.1
_ROUND_TRIPS = 8
"""An answer may take so many of the slowest one's: a member that is busy looks it up late, too. A
member whose round trip is not known yet has :data:`SURE_S`."""
SURE_S = 1.0
"""Who is known to be about to run the same is waited for so long."""
AGAIN_S = (0.1, 1.0)
"""Who runs the same action is asked again after this, and less often the longer it takes."""
MAX_PEERS_ASKED = 256
_UNKNOWN_MS = SURE_S * 1000
_STEPS = 3
"""A result's message, its trees, its files: so often something of it can be missing."""
_GONE = frozenset({Ending.LEFT, Ending.ROTATED})
"""Members of before whose results still count: nobody found fault with them."""
_log = logging.getLogger("buildnet.pool")

_Made = TypeVar("_Made")
FetchAll = Callable[[Iterable[Digest], bytes], Awaitable[None]]
"""Gets blobs from the member with this key into the store."""


@dataclass(frozen=True, slots=True)
class TakenResult:
    """What a result of another member says, and the record of it that can be kept here."""

    said: DecodedResult
    record: ActionRecord


class PoolResults:
    """One node's side of it, as who asks and as who answers. :meth:`guest` is for the mesh;
    ``fetch_all`` has to be set before. ``latency_ms`` tells round trips to others, by key."""

    fetch_all: FetchAll

    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions: Questions[ResultQuestion] = Questions()
        self._note: Callable[[Note], None] | None = None
        self.same = SameActions()
        self.latency_ms: Callable[[], Mapping[bytes, float]] = dict
        self._asking_again = asyncio.Semaphore(ASKS_AT_ONCE // 2)
        self._asking_all = asyncio.Semaphore(1)

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._note = cluster.note
        async with self._questions.joined(cluster):
            yield self

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, ResultAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, ResultAnswer() as answer):
                self._answered(sender, answer)
            case LinkDown(peer):
                self._questions.gone(peer)

    # --- asking --------------------------------------------------------------------------------

    async def find(self, actions: Sequence[Digest]) -> Mapping[Digest, Offer]:
        """Ask who has results of these actions; what is not in the answer nobody has, or nobody
        said so in time."""
        found, _ = await self.look(actions)
        return found

    async def look(
        self, actions: Sequence[Digest], phase: Phase | None = None, within_s: float | None = None
    ) -> tuple[Mapping[Digest, Offer], Mapping[Digest, bytes]]:
        """Ask who has results of these actions, and who runs those that nobody has, or is about to
        and goes first. ``phase``: how far this node is with what nobody has or runs, None:
        it does not run it; ``within_s``: who has not answered by then has nothing; None: as long
        as answers of those who are asked should take."""
        cluster = self._questions.cluster
        found: dict[Digest, Offer] = {}
        elsewhere: dict[Digest, bytes] = {}
        if cluster is None:
            return found, elsewhere
        peers = _peers(cluster)
        if within_s is None:
            within_s = self._answers_within_s(peers)
        for start in range(0, len(actions) if peers else 0, MAX_ASKED):
            some = actions[start : start + MAX_ASKED]
            question = await self._ask(cluster, some, peers, phase, within_s)
            found |= question.found
            elsewhere |= question.elsewhere
        return found, {key: who for key, who in elsewhere.items() if key not in found}

    async def census(self, action: Digest, within_s: float) -> Mapping[bytes, Said]:
        """Ask all that can be asked whether they have an action's result, and return what each
        said within a time. One is asked for after the other: builds have their questions, too."""
        async with self._asking_all:
            return await self._census(action, within_s)

    async def _census(self, action: Digest, within_s: float) -> Mapping[bytes, Said]:
        cluster = self._questions.cluster
        peers = [] if cluster is None else _peers(cluster)
        if cluster is None or not peers:
            return {}
        question = ResultQuestion(peers=set(peers), open={action}, of_all=True)
        ask = ResultAsk(os.urandom(16), (WireDigest.of(action),), 0)
        await self._questions.ask(cluster, ask.request, ask, question, within_s)
        return {peer: question.said(peer) for peer in peers}

    def _answers_within_s(self, peers: Sequence[bytes]) -> float:
        latency_ms = self.latency_ms()
        slowest_ms = max((latency_ms.get(peer, _UNKNOWN_MS) for peer in peers), default=0.0)
        return min(SURE_S, max(ANSWER_S, _ROUND_TRIPS * slowest_ms / 1000))

    async def result_of_other(self, action: Digest, patience_s: float) -> Offer | None:
        """Wait for the result of an action that another member runs; None: it does not run it any
        more, or is gone, and has none, or it takes too long."""
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + patience_s, AGAIN_S[0]
        while loop.time() < until:
            await asyncio.sleep(pause_s)
            pause_s = min(AGAIN_S[1], pause_s * 1.5)
            async with self._asking_again:
                found, elsewhere = await self.look((action,), Phase.INTENDED, SURE_S)
            if action in found:
                return found[action]
            if action not in elsewhere:
                return None
        return None

    async def _ask(
        self,
        cluster: Cluster,
        actions: Sequence[Digest],
        peers: Sequence[bytes],
        phase: Phase | None,
        within_s: float,
    ) -> ResultQuestion:
        wanted = tuple(WireDigest.of(action) for action in actions)
        ask = ResultAsk(os.urandom(16), wanted, 0 if phase is None else phase + 1)
        question = ResultQuestion(peers=set(peers), open=set(actions))
        return await self._questions.ask(cluster, ask.request, ask, question, within_s)

    def _answered(self, sender: bytes, answer: ResultAnswer) -> None:
        question = self._questions.of(answer.request, sender)
        cluster = self._questions.cluster
        if cluster is not None and may_ask(cluster.local.members, sender):
            for told in (*answer.running, *answer.starting, *answer.intended):
                self.same.heard_of(told.digest, sender)  # also where it answers late
        if question is None:
            return
        for result in answer.results:
            if self._may_count(result):
                question.hear(result, sender)
        me = b"" if cluster is None else cluster.local.key
        running = [told.digest for told in answer.running]
        starting = [told.digest for told in answer.starting]
        running += [each for each in starting if self.same.goes_first(each, sender, me)]
        for action in running:
            if action in question.open:  # nobody asked for anything else
                question.elsewhere[action] = sender
        if answer.last:
            question.heard_all(sender)
        question.settle()

    def _may_count(self, result: SharedResult) -> bool:
        cluster = self._questions.cluster  # on a thread it may be gone after the next word
        is_strict = result.isolation == STRICT
        return (
            is_strict and cluster is not None and is_trusted(cluster.local.members, result.worker)
        )

    def name_of(self, holder: bytes) -> str:
        """Return what people call a member."""
        cluster = self._questions.cluster
        return node_id_of(holder) if cluster is None else name_of(cluster.local.members, holder)

    def take_here(
        self, one: Wanted, hold: Hold, blobs: Sequence[bytes] = ()
    ) -> TakenResult | set[Digest]:
        """Take one result in, of which ``blobs`` came with it, as far as it is here; return it, or
        what is missing next. Who asks keeps its record, once it counts. Blocks.

        Raises:
            ResultRefusedError: it is none of its action, or nobody who counts has signed it.
        """
        if not self._may_count(one.offer.result):
            raise refused(one, "no member of the cluster vouches for it")
        try:
            return _taken(one, hold, blobs)
        except ResultRefusedError as error:
            self._tell_refused(one, error)
            raise

    async def take_one(self, one: Wanted, hold: Hold) -> TakenResult:
        """Fetch all that one result needs; see :meth:`take_here`.

        Raises:
            ResultRefusedError: it is none of its action, or nobody who counts has signed it.
            BuildNetError: something of it can't be had.
        """
        taken = await asyncio.to_thread(self.take_here, one, hold)
        for _ in range(_STEPS):
            if isinstance(taken, TakenResult):
                return taken
            await self.fetch_all(taken, one.offer.holder)
            taken = await asyncio.to_thread(self.take_here, one, hold)
        if not isinstance(taken, TakenResult):
            raise missing_blob(next(iter(taken)))
        return taken

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
        signed = await asyncio.to_thread(
            self._each, wanted, lambda one: signed_by_its_maker(one, hold)
        )
        trees = [tree for encoded in signed.values() for tree in trees_of(encoded)]
        await self._fetch(trees, holder, hold)
        there = [one for one in wanted if one.action in signed]
        found = await asyncio.to_thread(
            self._each, there, lambda one: decoded(one, signed[one.action], hold)
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
                record_of(one.offer.result, signed[one.action], needs[one.action])
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
        cluster = self._questions.cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if not self._questions.may_answer(cluster, sender, "ResultAsk"):
            return
        actions = [each.digest for each in ask.actions]
        if ask.phase:
            self.same.asked(sender, actions, Phase(ask.phase - 1))
        self._questions.answer(cluster, sender, lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: ResultAsk) -> None:
        found = await asyncio.to_thread(self._look_up, ask)
        there = {result.action.digest for result in found}
        lacking = [action for each in ask.actions if (action := each.digest) not in there]
        for answer in _answers(ask.request, found, self.same.mine(lacking)):
            cluster.say(sender, answer)

    def _look_up(self, ask: ResultAsk) -> list[SharedResult]:
        found: list[SharedResult] = []
        for action in ask.actions:
            record = self._store.get_action(action.digest, frozenset({STRICT}))
            if record is None:
                continue
            found.append(shared_result(record, self._store))
        return found


def _taken(one: Wanted, hold: Hold, blobs: Sequence[bytes] = ()) -> TakenResult | set[Digest]:
    """Take a result in, of which ``blobs`` came with it, as far as it is here; return what it says,
    or what is missing next. Blocks.

    Raises:
        ResultRefusedError: it is none of its action, or its maker did not sign it.
    """
    for blob in blobs:
        hold.put(blob)
    said = one.offer.result
    if one.is_long and (lacking := hold.missing((said.result_digest.digest,))):
        return lacking
    encoded = signed_by_its_maker(one, hold)
    if lacking := hold.missing(trees_of(encoded)):
        return lacking
    found = decoded(one, encoded, hold)
    needs = references_of(trees_of(encoded), found)
    if lacking := hold.missing(needs):
        return lacking
    return TakenResult(found, record_of(said, encoded, needs))


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


def _peers(cluster: Cluster) -> list[bytes]:
    """Return whom to ask for results."""
    local = cluster.local
    linked = (peer for peer in local.links if local.alive(peer) and may_ask(local.members, peer))
    return list(islice(linked, MAX_PEERS_ASKED))


def name_of(members: MemberList, key: bytes) -> str:
    """Return what people call a member: its name, or its id once it is none any more."""
    member = members.members.get(key)
    return node_id_of(key) if member is None else member.name


def is_trusted(members: MemberList, worker: bytes) -> bool:
    """Tell whether results that ``worker`` signed count: it is a member that may build, or was one
    that left or changed its key; who was removed or revoked has lost its word."""
    if worker in members.revoked:
        return False
    former = members.former.get(worker)
    return may_ask(members, worker) or (former is not None and former.ending in _GONE)


def may_ask(members: MemberList, sender: bytes) -> bool:
    """Tell whether a member may ask for results: whoever may build."""
    return members.is_member(sender) and members.members[sender].rights is not Rights.OBSERVER


def _answers(
    request: bytes,
    found: Sequence[SharedResult],
    mine: Mapping[Phase, Sequence[Digest]],
) -> Iterable[ResultAnswer]:
    """Split results into messages that fit."""
    some: list[SharedResult] = []
    size = 0
    for result in found:
        bytes_more = len(result.encode())
        if some and size + bytes_more > MAX_ANSWER_BYTES:
            yield ResultAnswer(request, tuple(some), False, (), (), ())
            some, size = [], 0
        some.append(result)
        size += bytes_more
    if some and any(mine.values()):
        yield ResultAnswer(request, tuple(some), False, (), (), ())
        some = []
    running, starting, intended = (
        tuple(map(WireDigest.of, mine[phase]))
        for phase in (Phase.RUNNING, Phase.STARTING, Phase.INTENDED)
    )
    yield ResultAnswer(request, tuple(some), True, running, starting, intended)
