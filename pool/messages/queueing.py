"""The queue for people: any member asks, the coordinator answers, drivers do what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Key, Limit, Name, RandomId, Text, Wire
from buildnet.pool.messages.lending import WireHowFar, WireOrders

MAX_LISTED = 64
"""Builds in one message."""

_Id = Annotated[str, Limit(0, 128)]
_Word = Annotated[str, Limit(0, 128)]


@dataclass(frozen=True, slots=True)
class WireQueued(Wire):
    """One build of the queue. ``place``: from 1; ``leases``: slots that it has of other hosts;
    times are from now on."""

    build: Name
    driver: Key
    actor: _Word
    orders: WireOrders
    how_far: WireHowFar
    place: Counter
    leases: Counter
    state: Name
    words: _Word
    starts_in_ms: Counter | None
    ends_in_ms: Counter | None


@message(
    140,
    priority=Priority.OTHER,
    sender="a member, for a person",
    receiver="the coordinator",
    effect="answers by QueuePages",
)
@dataclass(frozen=True, slots=True)
class QueueLook(Message):
    """Who is in the queue?"""

    request: RandomId


@message(
    141,
    priority=Priority.OTHER,
    sender="the coordinator",
    receiver="the member that asked",
    effect="shows it",
)
@dataclass(frozen=True, slots=True)
class QueuePage(Message):
    """A part of the queue, who comes next first; after the ``last`` no more comes. ``paused``: by
    whom all of it is, None: it is not."""

    request: RandomId
    builds: Annotated[tuple[WireQueued, ...], Limit(0, MAX_LISTED)]
    paused: _Word | None
    last: bool


@message(
    142,
    priority=Priority.OTHER,
    sender="a member, for a person",
    receiver="the coordinator",
    effect="tells the driver of the build, if the sender may change it; answers by QueueAnswer",
)
@dataclass(frozen=True, slots=True)
class QueueChange(Message):
    """Do something with the build whose id begins so, or, where that is empty, with the whole
    queue. ``what``: ``pause``, ``resume``, ``cancel``, ``priority`` or ``move``; ``value``: the
    weight or the place (from 1)."""

    request: RandomId
    what: Name
    build: _Id
    value: Counter
    actor: _Word


@message(
    143,
    priority=Priority.OTHER,
    sender="the coordinator",
    receiver="the member that asked",
    effect="tells the person",
)
@dataclass(frozen=True, slots=True)
class QueueAnswer(Message):
    """It was done, to ``build``, which comes now before ``before``, or to the whole queue since
    ``since_ms`` (as of QueueHeld; 0: it went on already); or not, and why: ``code`` and
    ``message`` of an error, and a hint."""

    request: RandomId
    build: _Id
    before: _Id
    code: _Word
    message: Text
    hint: Text
    since_ms: Counter = 0


@message(
    144,
    priority=Priority.OTHER,
    sender="the coordinator",
    receiver="the node that drives a build",
    effect="starts no command of it while it is paused, or ends it; tells what is said of it in "
    "DemandTold from now on",
)
@dataclass(frozen=True, slots=True)
class BuildOrdered(Message):
    """People want this of a build. ``actor``: who wants it no more where it is cancelled, as one of
    those who asked for it; empty: it ends for all of them. ``by``: who said so."""

    build: Name
    orders: WireOrders
    cancel: bool
    actor: _Word = ""
    by: _Word = ""


@message(
    145,
    priority=Priority.OTHER,
    sender="the coordinator; an admin's node tells a new one",
    receiver="all members",
    effect="starts no command of any build while it is paused",
)
@dataclass(frozen=True, slots=True)
class QueueHeld(Message):
    """The whole queue is paused, or goes on. ``since_ms``: when that was said, milliseconds since
    1970; what was said later counts, unless that is more than an hour ahead of the receiver's
    clock."""

    paused: bool
    since_ms: Counter
    actor: _Word
