"""Gossip: every node ends up with the newest record of every member.

Rumours (Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", 1987): who finds
a record new tells three linked peers, once. One of the three is the next one on the ring of keys,
so that a rumour does not die out before it came round; two are drawn by lot, so that it is fast.
Large records, and those that were asked for, are offered by their marks and sent to who lacks them.
Anti-entropy mends what rumours missed: when a link stands, and every 10 s with one linked peer, two
nodes compare 8 bytes over all that they hold, and their lists only where these differ.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.events import (
    Effect,
    Event,
    Fact,
    LinkDown,
    LinkUp,
    MembersChanged,
    Note,
    Persist,
    Raise,
    Received,
    RecordChanged,
    Send,
    SendAll,
)
from buildnet.mesh.gossip.parcels import in_messages, offers, whole_digest
from buildnet.mesh.gossip.questions import Questions
from buildnet.mesh.gossip.record_book import RecordBook, RecordKey
from buildnet.mesh.gossip.records import (
    ADDRESS_TOPIC,
    Addresses,
    AddressFact,
    Held,
    Record,
    address_fact_name,
    is_genuine,
    sign_record,
)
from buildnet.mesh.gossip.rumours import Rumours
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Local
from buildnet.mesh.messages.gossip import (
    MAX_TOPICS,
    MAX_WANTED,
    Ask,
    Digest,
    Records,
    Summary,
    Wanted,
)
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.topology.ring import drawn_peers
from buildnet.mesh.wire import WireError

ROUND_S = 10.0
"""Between two comparisons with a peer drawn by lot."""
SAVE_PAUSE_S = 1.0
"""So long changed addresses wait for each other before they are written to disk."""
EAGER_BYTES = 2 * 1024
"""Smaller records are pushed, larger ones offered."""
ANSWER_BYTES = 1024 * 1024
"""Most that is sent for one Ask; the rest is asked for again in the next round."""
ANSWER_PAUSE_S = 0.5
"""Least time between two lists of all that is held, for one peer."""
SENT_PER_S, SENT_BURST = 200.0, 2000.0
"""New records that one peer may bring; at once as many as a hundred nodes hold."""
OWN_PER_S, OWN_BURST = 10.0, 100.0
"""New versions of its own records that one member may make, whoever brings them."""
TOO_MANY = "too many records"
MAX_EARLY = 64
MAX_EARLY_BYTES = 256 * 1024


class Gossip:
    """Holds and spreads records; raises :class:`RecordChanged`.

    Args:
        local: the node; ``local.members`` says whose records are kept.
        facts: what was persisted; others' addresses are taken from it.
    """

    def __init__(self, local: Local, *, facts: Iterable[Fact] = ()) -> None:
        self._local = local
        self._book = RecordBook()
        self._rumours = Rumours()
        self._questions = Questions()
        self._answered: dict[bytes, float] = {}
        self._senders: dict[bytes, Allowance] = {}
        self._owners: dict[bytes, Allowance] = {}
        self._early: deque[tuple[bytes, Record]] = deque()
        self._unsaved: set[bytes] = set()
        self._save_at = math.inf
        self._round_at = math.inf
        for fact in facts:
            if isinstance(fact, AddressFact) and self._is_of_other_member(fact.record):
                self._book.put(fact.record, 0.0)

    @property
    def records(self) -> Mapping[RecordKey, Held]:
        """The newest known record of each owner and topic, this node's own included."""
        return self._book.all

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return min(self._rumours.deadline, self._questions.deadline, self._round_at, self._save_at)

    def addresses(self, owner: bytes) -> tuple[str, ...]:
        """Return the URLs that ``owner`` advertises, best first."""
        record = self._book.get((owner, ADDRESS_TOPIC))
        if record is None:
            return ()
        try:
            return Addresses.decode(record.body).urls
        except WireError:
            return ()

    def advertise(self, topic: str, body: bytes, now: float) -> list[Effect]:
        """Publish this node's record of ``topic``; the same body again changes nothing.

        Raises:
            ValueError: topic or body is too long, or there are too many topics.
        """
        me = self._local.key
        mine = self._book.get((me, topic))
        version = 1
        if mine is not None and mine.boot == self._local.boot:
            if mine.body == body:
                return []
            version = mine.version + 1
        if not self._book.has_room_for(me, topic):
            raise ValueError(
                f"a node advertises {MAX_TOPICS} topics at most; {topic!r} is one too many"
            )
        return self._keep(sign_record(self._local, topic, version, body), me, now)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        match event:
            case Received(sender, message):
                if isinstance(message, _OWN_KINDS) and self._local.members.is_member(sender):
                    return self._receive(sender, message, now)
            case LinkUp(peer, outgoing):
                self._forget_talk(peer)
                self._round_at = min(self._round_at, now + self._pause())
                # Who dialled begins, so that the two do not compare twice.
                return [Send(peer, Summary(self._book.summary))] if outgoing else []
            case LinkDown(peer):
                self._forget_talk(peer)
                if not self._local.links:
                    self._round_at = math.inf
            case MembersChanged():
                return self._fit_members(now)
            case _:
                pass
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due: push rumours, compare with somebody."""
        effects: list[Effect] = []
        if self._rumours.deadline <= now:
            effects += self._push(now)
        if self._round_at <= now:
            self._round_at = now + self._pause() if self._local.links else math.inf
            effects += self._compare()
        if self._questions.deadline <= now and self._questions.expire(now):
            effects += self._compare()
        if self._save_at <= now:
            effects += self._save()
        return effects

    # --- holding ---------------------------------------------------------------------------------

    def _is_of_other_member(self, record: Record) -> bool:
        return record.owner != self._local.key and self._local.members.is_member(record.owner)

    def _take(self, record: Record, sender: bytes, now: float) -> list[Effect] | None:
        """Keep a record from outside if it is newer; None: it is forged."""
        local, key = self._local, (record.owner, record.topic)
        if not local.members.is_member(record.owner):
            self._keep_early(sender, record)
            return []
        if not self._book.is_newer(record.owner, record):
            self._rumours.is_known_by(key, sender)
            return []
        # A signature costs more than all the rest; what is dropped here, a comparison brings again.
        made = self._owners.setdefault(record.owner, Allowance(OWN_PER_S, OWN_BURST, now))
        brought = self._senders.setdefault(sender, Allowance(SENT_PER_S, SENT_BURST, now))
        if made.left(now) < 1 or not brought.take(1, now):
            return [Note(TOO_MANY, sender, f"{record.topic} of {node_id_of(record.owner)}")]
        if not is_genuine(record, local.members.cluster_id, local.signatures):
            return None
        made.take(1, now)  # only now: nobody else uses up what an owner may
        if record.owner == local.key and record.boot >= local.boot:
            return [Note("own record from elsewhere", sender, record.topic)]
        return self._keep(record, sender, now)

    def _keep(self, record: Record, sender: bytes, now: float) -> list[Effect]:
        key = (record.owner, record.topic)
        before = self._book.get(key)
        self._book.put(record, now)
        was_asked = self._questions.answered((*key, record.age_order))
        eager = not was_asked and len(record.body) <= EAGER_BYTES
        self._rumours.add(key, {sender, record.owner}, eager, now)
        is_news = before is None or before.body != record.body
        if record.topic == ADDRESS_TOPIC and record.owner != self._local.key and is_news:
            self._unsaved.add(record.owner)
            self._save_at = min(self._save_at, now + SAVE_PAUSE_S)
        return [Raise(RecordChanged(record.owner, record.topic))]

    def _save(self) -> list[Effect]:
        """Write the addresses that changed to disk, in one step."""
        self._save_at = math.inf
        records = [self._book.get((owner, ADDRESS_TOPIC)) for owner in sorted(self._unsaved)]
        self._unsaved.clear()
        facts = tuple(AddressFact(record) for record in records if record is not None)
        return [Persist(0, facts)] if facts else []

    def _keep_early(self, sender: bytes, record: Record) -> None:
        """Remember the record of a node that may be a member soon: its news ran ahead."""
        if any(early == record for _, early in self._early):
            return
        self._early.append((sender, record))
        size = sum(early.size_bytes for _, early in self._early)
        while len(self._early) > MAX_EARLY or size > MAX_EARLY_BYTES:
            size -= self._early.popleft()[1].size_bytes

    def _fit_members(self, now: float) -> list[Effect]:
        """Drop the records of who is no member any more; take those that came too early."""
        effects: list[Effect] = []
        forget: list[str] = []
        for owner in self._book.owners():
            if self._local.members.is_member(owner):
                continue
            for key in self._book.drop_owner(owner):
                self._rumours.drop(key)
                effects.append(Raise(RecordChanged(*key)))
            forget.append(address_fact_name(owner))
        for allowances in (self._senders, self._owners):
            for gone in [key for key in allowances if not self._local.members.is_member(key)]:
                del allowances[gone]
        if forget:
            effects.append(Persist(0, (), tuple(forget)))
        early, self._early = self._early, deque()
        for sender, record in early:
            taken = self._take(record, sender, now)
            effects += [Note("forged record", sender, record.topic)] if taken is None else taken
        return effects

    # --- rumours ---------------------------------------------------------------------------------

    def _push(self, now: float) -> list[Effect]:
        # A topic may have made room for another one meanwhile.
        rumours = {
            key: rumour for key, rumour in self._rumours.take(now).items() if key in self._book.all
        }
        subsets: dict[tuple[RecordKey, ...], list[bytes]] = {}
        for peer in drawn_peers(self._local.key, self._local.links, self._local.random):
            lacking = tuple(key for key, rumour in rumours.items() if peer not in rumour.knowers)
            if lacking:
                subsets.setdefault(lacking, []).append(peer)
        effects: list[Effect] = []
        for keys, peers in subsets.items():
            eager = [self._book.all[key].record for key in keys if rumours[key].eager]
            lazy = [self._book.all[key].record for key in keys if not rumours[key].eager]
            for message in [*in_messages(eager), *offers(lazy)]:
                effects.append(SendAll(tuple(peers), message))
        return effects

    # --- anti-entropy ----------------------------------------------------------------------------

    def _pause(self) -> float:
        return ROUND_S * self._local.random.uniform(0.9, 1.1)

    def _compare(self) -> list[Effect]:
        if not self._local.links:
            return []
        peer = self._local.random.choice(sorted(self._local.links))
        return [Send(peer, Summary(self._book.summary))]

    def _forget_talk(self, peer: bytes) -> None:
        """What was said over an earlier link may be lost with it."""
        self._answered.pop(peer, None)
        self._questions.forget(peer)

    def _receive(self, sender: bytes, message: Message, now: float) -> list[Effect]:
        match message:
            case Summary(summary):
                if summary == self._book.summary or now < self._answered.get(sender, -math.inf):
                    return []
                self._answered[sender] = now + ANSWER_PAUSE_S
                return [Send(sender, digest) for digest in whole_digest(self._book)]
            case Digest():
                return self._answer_digest(sender, message, now)
            case Ask(wanted):
                return self._answer_ask(sender, wanted)
            case Records(records):
                return self._take_all(sender, records, now)
            case _:
                return []

    def _take_all(self, sender: bytes, records: Sequence[Record], now: float) -> list[Effect]:
        effects: list[Effect] = []
        for record in records:
            taken = self._take(record, sender, now)
            if taken is None:  # an honest peer verified it, so the rest is not worth the time
                return [*effects, Note("forged record", sender, record.topic)]
            effects += taken
        return effects

    def _answer_digest(self, sender: bytes, digest: Digest, now: float) -> list[Effect]:
        wanted: list[Wanted] = []
        theirs: dict[RecordKey, tuple[int, int, bytes]] = {}
        for of_owner in digest.owners:
            for mark in of_owner.marks:
                key = (of_owner.owner, mark.topic)
                theirs[key] = mark.age_order
                is_wanted = self._wants(*key) and self._book.is_newer(key[0], mark)
                if is_wanted and self._questions.may_ask(sender, (*key, mark.age_order), now):
                    wanted.append(Wanted(*key))
        effects: list[Effect] = [
            Send(sender, Ask(tuple(wanted[start : start + MAX_WANTED])))
            for start in range(0, len(wanted), MAX_WANTED)
        ]
        if digest.complete:
            nothing = (-1, -1, b"")
            newer = [
                record
                for owner in self._book.owners(digest.first, digest.last)
                for record in self._book.records_of(owner)
                if record.age_order > theirs.get((owner, record.topic), nothing)
            ]
            effects += [Send(sender, offer) for offer in offers(newer)]
        return effects

    def _wants(self, owner: bytes, topic: str) -> bool:
        """Tell whether newer records of that topic are to be had from others."""
        if owner == self._local.key:
            mine = self._book.get((owner, topic))
            return mine is None or mine.boot < self._local.boot
        return self._local.members.is_member(owner)

    def _answer_ask(self, sender: bytes, wanted: Sequence[Wanted]) -> list[Effect]:
        records: list[Record] = []
        size = 0
        for key in sorted({(one.owner, one.topic) for one in wanted}):
            record = self._book.get(key)
            if record is not None and size + record.size_bytes <= ANSWER_BYTES:
                records.append(record)
                size += record.size_bytes
        return [Send(sender, message) for message in in_messages(records)]


_OWN_KINDS = (Summary, Digest, Ask, Records)
