"""Requests that outlive the node that was asked, and builds that are watched from other nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Limit, Name, RandomId, Text, Wire
from buildnet.pool.messages.lending import WireOrders
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.warrant import Attempt, Warrant

MAX_BUILDS = 256
"""Builds in one message."""
MAX_FINISHED = 256
"""Results in one message."""
MAX_WATCHED_BYTES = 32 * 1024
"""Of a build's events in one message."""
KEPT = b"kept"
"""In place of events: see :class:`WatchTold`."""

WatchId = RandomId


@message(
    160,
    priority=Priority.OTHER,
    sender="a node that drives a build",
    receiver="the worker that is to stand in for it",
    effect="fetches the request and the sources that it lacks from the sender, keeps them, and "
    "answers with KeepAnswer, and before it fetches with BuildTold",
)
@dataclass(frozen=True, slots=True)
class KeepAsk(Message):
    """Stand in for me. ``plan`` and ``sources`` are blobs of the sender; ``attempt``: under which
    number the receiver would drive the build; ``warrant``: that it may, signed by the sender and,
    before it, by all through whom it came from the node that was asked for the build."""

    build: Name
    attempt: Attempt
    plan: WireDigest
    sources: WireDigest
    warrant: Warrant


@message(
    161,
    priority=Priority.OTHER,
    sender="who was asked to stand in",
    receiver="who asked",
    effect="holds the request for durable, or asks another worker",
)
@dataclass(frozen=True, slots=True)
class KeepAnswer(Message):
    """The request and all its sources are here, on the disk; or not, and ``why``."""

    build: Name
    attempt: Attempt
    kept: bool
    why: Text


@message(
    162,
    priority=Priority.OTHER,
    sender="a node that drove a build, once its end is recorded or another one drives it",
    receiver="all that it asked to stand in, and who tells later that it still does",
    effect="forgets the request; if it went on with the build, it stops where that has ended",
)
@dataclass(frozen=True, slots=True)
class KeepOver(Message):
    """The sender drives the build no more: it ``ended``, or another node does."""

    build: Name
    attempt: Attempt
    ended: bool


@dataclass(frozen=True, slots=True)
class Driven(Wire):
    """A build, the number under which the sender drives it, what people said of it, which holds
    whoever drives it, and for how long its time limit has counted."""

    build: Name
    attempt: Attempt
    orders: WireOrders
    ran_ms: Counter


@message(
    163,
    priority=Priority.PROBE,
    sender="a node that drives builds, every few seconds and over each new link",
    receiver="who stands in for it",
    effect="stops if it went on with one under a lower number; tells of its own higher one",
)
@dataclass(frozen=True, slots=True)
class DriveTold(Message):
    """The sender drives these builds."""

    builds: Annotated[tuple[Driven, ...], Limit(1, MAX_BUILDS)]


@message(
    164,
    priority=Priority.OTHER,
    sender="a node that began anew, of builds that it drove; a stand-in, before it goes on; one "
    "that is linked anew with a driver",
    receiver="all linked members; that driver",
    effect="answers with BuildTold, or KeepOver of what has ended by its record; a stand-in goes "
    "on at once with what is ``lost``",
)
@dataclass(frozen=True, slots=True)
class BuildAsk(Message):
    """What do you know of these builds? ``lost``: the sender drove them and does not any more."""

    builds: Annotated[tuple[Name, ...], Limit(1, MAX_BUILDS)]
    lost: bool


@message(
    165,
    priority=Priority.OTHER,
    sender="who stands in for another node, did, or is about to",
    receiver="the node that was asked for the build first, and who asks by BuildAsk or KeepAsk",
    effect="records how the build ended, gives way to the higher number, or waits longer for "
    "KeepAnswer",
)
@dataclass(frozen=True, slots=True)
class BuildTold(Message):
    """How far a build is at the sender: ``phase`` is fetching, kept, asking, driving, ended or
    unknown; ``attempt``: the highest that it knows of. ``report``: once it has ended, how, as
    JSON, a blob of the sender. Without a ``warrant`` of that attempt nothing but that it fetches
    the request or knows nothing of the build counts."""

    build: Name
    attempt: Attempt
    phase: Annotated[str, Limit(1, 16)]
    report: WireDigest | None
    warrant: Warrant | None = None


@dataclass(frozen=True, slots=True)
class Finished(Wire):
    """A task of a build and the action whose result it has."""

    package: Annotated[str, Limit(1, 1024)]
    task: Annotated[str, Limit(1, 1024)]
    action: WireDigest


@message(
    166,
    priority=Priority.OTHER,
    sender="a node that drives a durable build, now and then",
    receiver="who stands in for it",
    effect="takes in the results that it lacks: then these are on two nodes",
)
@dataclass(frozen=True, slots=True)
class FinishedTold(Message):
    """These tasks have results that lie with the sender."""

    build: Name
    finished: Annotated[tuple[Finished, ...], Limit(1, MAX_FINISHED)]


@message(
    167,
    priority=Priority.OTHER,
    sender="a node on which somebody wants to see a build",
    receiver="linked members",
    effect="answers with WatchTold: the events of a build that it drives or drove, or that it "
    "knows of none",
)
@dataclass(frozen=True, slots=True)
class WatchAsk(Message):
    """Show me the build whose id is ``build`` or begins with it."""

    watch: WatchId
    build: Name


@message(
    168,
    priority=Priority.OTHER,
    sender="a node that drives a build",
    receiver="who watches it",
    effect="passes the events on; sends WatchOver if nobody wants them",
)
@dataclass(frozen=True, slots=True)
class WatchTold(Message):
    """A part of a build's events, one JSON object a line; a line may go on in the next part.
    ``known``: the sender has that build; ``last``: no part follows. Who has it not sends nothing,
    or :data:`KEPT` where it stands in for that build and may go on with it."""

    watch: WatchId
    data: Annotated[bytes, Limit(0, MAX_WATCHED_BYTES)]
    known: bool
    last: bool


@message(
    169,
    priority=Priority.OTHER,
    sender="a node on which somebody watched a build",
    receiver="the node that sends its events",
    effect="sends no more of them",
)
@dataclass(frozen=True, slots=True)
class WatchOver(Message):
    """Nobody watches any more."""

    watch: WatchId
