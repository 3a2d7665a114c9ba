"""Work that one node does for another: an action that runs there on a lease."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.link.envelope import MAX_ENVELOPE_BYTES
from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Counter, Limit, Name, RandomId, Text, Wire
from buildnet.pool.messages.lending import LeaseId
from buildnet.pool.messages.results import SharedResult, WireDigest
from buildnet.pool.timeline import MAX_PARTS

MAX_OUTPUT_BYTES = 32 * 1024
"""Of a command's output in one message."""

MAX_MESSAGE_BYTES = MAX_ENVELOPE_BYTES - 1024
"""Of a message; the rest is its envelope's."""
MAX_WORKS = 256
"""Of which one message tells that they go on."""
MAX_TEXT_BYTES = 8 * 1024
"""Of all texts in one field of an answer: with the result it has to fit into a message."""
MAX_OUTPUTS = 256
MAX_OUTPUTS_CHARACTERS = 8 * 1024
"""Of all outputs of an action that runs elsewhere: the question is one message."""

MAX_ENCLOSED = 64
"""Blobs that travel in a message."""
MAX_ENCLOSED_BYTES = 4 * 1024
"""Of one of them."""

WorkId = RandomId
_Blobs = Annotated[
    tuple[Annotated[bytes, Limit(0, MAX_ENCLOSED_BYTES)], ...], Limit(0, MAX_ENCLOSED)
]
_Texts = Annotated[tuple[Text, ...], Limit(0, 64)]


@dataclass(frozen=True, slots=True)
class Setting(Wire):
    """A name and its value."""

    name: Annotated[str, Limit(1, 1024)]
    value: Annotated[str, Limit(0, 4096)]


@message(
    134,
    priority=Priority.OTHER,
    sender="the holder of a lease",
    receiver="its owner",
    effect="fetches what it lacks from the sender, runs the action in its sandbox, and answers "
    "with WorkOutput and WorkDone",
)
@dataclass(frozen=True, slots=True)
class WorkAsk(Message):
    """Run an action. Its ``Action`` and ``Command`` messages, its inputs and the ``Tree`` message
    ``inputs`` of them are blobs of the sender.

    ``dependencies``: the ``Tree`` message of the installed packages that it sees, a blob of the
    sender as all its files are; only if the key names an installation.
    ``outputs``: what it declares, relative to the input root; ``tools``: those declared, first on
    PATH; ``path_entries``, ``path_variables``: below the input root. ``output_bytes``: how much of
    what it prints is wanted. ``timeout_ms``, ``memory_bytes``, ``disk_bytes``, ``processes``, where
    0: the owner's default. ``again``: run it even if its result is there.
    ``reports``: those of the outputs that are wanted though it fails. ``blobs``: small ones of
    all these, which need not be fetched.
    """

    work: WorkId
    lease: LeaseId
    action: WireDigest
    command: WireDigest
    inputs: WireDigest
    dependencies: WireDigest | None
    label: Text
    outputs: Annotated[tuple[Annotated[str, Limit(1, 4096)], ...], Limit(0, MAX_OUTPUTS)]
    tools: Annotated[tuple[Name, ...], Limit(0, 64)]
    path_entries: Annotated[tuple[Annotated[str, Limit(0, 4096)], ...], Limit(0, 64)]
    path_variables: Annotated[tuple[Setting, ...], Limit(0, 64)]
    network: bool
    again: bool
    timeout_ms: Counter
    output_bytes: Counter
    memory_bytes: Counter
    disk_bytes: Counter
    processes: Counter
    blobs: _Blobs = ()
    reports: Annotated[tuple[Annotated[str, Limit(1, 4096)], ...], Limit(0, MAX_OUTPUTS)] = ()


@message(
    135,
    priority=Priority.OTHER,
    sender="who runs an action for another node",
    receiver="that node",
    effect="shows it to whoever watches the build",
)
@dataclass(frozen=True, slots=True)
class WorkOutput(Message):
    """What the command has printed since."""

    work: WorkId
    data: Annotated[bytes, Limit(1, MAX_OUTPUT_BYTES)]


@dataclass(frozen=True, slots=True)
class WireOutcome(Wire):
    """How a command ended. ``exit_code``: 128 and the number of the signal that ended it;
    ``exceeded``: the limit for which it was ended."""

    exit_code: Annotated[int, Limit(0, 255)]
    signal: Annotated[str, Limit(1, 32)] | None
    timed_out: bool
    cancelled: bool
    duration_ms: Counter
    cpu_ms: Counter
    max_rss_bytes: Counter | None
    left_behind: Counter
    output_truncated_bytes: Counter
    exceeded: Annotated[str, Limit(1, 32)] | None


@dataclass(frozen=True, slots=True)
class WirePart(Wire):
    """A part of what was done, as the one measured it who did it: microseconds, from when it heard
    the question."""

    name: Annotated[str, Limit(1, 16)]
    at_us: Counter
    took_us: Counter


@message(
    136,
    priority=Priority.OTHER,
    sender="who was asked to run an action for another node",
    receiver="that node",
    effect="takes the result in; runs the action elsewhere if ``refused`` says why it did not run",
)
@dataclass(frozen=True, slots=True)
class WorkDone(Message):
    """How it went. ``refused``: it did not run, and why; else ``outcome`` tells, with ``result`` if
    it succeeded. ``log``: its output, a blob of the sender. ``blobs``: small ones of the result,
    which need not be fetched. ``parts``: when it waited, fetched, staged, ran and kept it.
    ``reports``: the ``Tree`` message of those that were wanted, of a command that failed."""

    work: WorkId
    refused: Text | None
    outcome: WireOutcome | None
    log: WireDigest | None
    result: SharedResult | None
    missing_outputs: _Texts
    undeclared: _Texts
    hints: _Texts
    blobs: _Blobs = ()
    parts: Annotated[tuple[WirePart, ...], Limit(0, MAX_PARTS)] = ()
    reports: WireDigest | None = None


@message(
    137,
    priority=Priority.OTHER,
    sender="the holder of a lease",
    receiver="its owner",
    effect="ends the command and answers with WorkDone",
)
@dataclass(frozen=True, slots=True)
class WorkCancel(Message):
    """The action is not needed any more."""

    work: WorkId


@message(
    138,
    priority=Priority.PROBE,
    sender="who runs actions for another node, every second",
    receiver="that node",
    effect="waits on; gives up what it has not heard of for five seconds",
)
@dataclass(frozen=True, slots=True)
class WorkAlive(Message):
    """These actions go on: their inputs are fetched, or their commands run."""

    works: Annotated[tuple[WorkId, ...], Limit(1, MAX_WORKS)]


@message(
    139,
    priority=Priority.PROBE,
    sender="who was asked to run an action for another node",
    receiver="that node",
    effect="does not take the action back for having to wait",
)
@dataclass(frozen=True, slots=True)
class WorkBegun(Message):
    """The inputs are there, and the command has begun; said of those that were or are told of by
    :class:`WorkAlive`: others end before anybody asks."""

    work: WorkId
