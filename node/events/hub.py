"""The core of events: takes in what happens and the time, keeps what readers are to be told.

Pure: it is fed, and calls a reader's ``news`` where something waits. Each event has a number; an
epoch and a number are a cursor. The latest events are kept, so that who lost a connection goes on
after its last cursor; who comes with none, or with one of another epoch or too old, gets the state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from buildnet.node.events.channel import ALL, STREAMS, Channel, Wanted
from buildnet.node.events.event import LEFT_OUT, Event, encoded
from buildnet.node.events.reader import Reader
from buildnet.node.events.view import Item, Kinds, Told, View
from buildnet.node.output_so_far import OutputSoFar

KEPT_EVENTS = 4096
KEPT_CHARACTERS = 8 << 20
WHOLE_QUEUE = "queue"
"""The id of what is said of the queue as a whole."""
PIECE_CHARACTERS = 16 << 10
"""No event holds more of a command's output."""

_QUIET = {
    Channel.RESOURCES: frozenset({"age_s", "measured_at", "latency_ms"}),
    Channel.NODES: frozenset({"latency_ms", "age_s"}),
    Channel.BUILDS: frozenset({"running_s"}),
    Channel.QUEUE: frozenset({"waited_s"}),
}
_COUNTING = {Channel.QUEUE: frozenset({"starts_in_s", "ends_in_s"})}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a subscription begins with. ``text``: the message, JSON; ``resumed``: the events after
    ``cursor`` follow, else it holds the state at that place."""

    text: str
    cursor: str
    resumed: bool


class Hub:
    """See the module's text. ``epoch``: a word of its own for each hub; times: unix seconds."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = 0
        self._kept: deque[Event] = deque()
        self._kept_size = 0
        self._views = {
            channel: View(_QUIET.get(channel, frozenset()), _COUNTING.get(channel, frozenset()))
            for channel in Channel
            if channel not in STREAMS
        }
        self._since: dict[Channel, int] = {}
        self._readers: set[Reader] = set()
        self._states: dict[Channel, str] = {}
        self._so_far: OutputSoFar[tuple[str, str, str]] = OutputSoFar()

    # --- what happens --------------------------------------------------------------------------

    def begin(self, channel: Channel) -> None:
        """Take note that what happens on a channel is told from now on, and its state is whole."""
        self._since.setdefault(channel, self._number)

    def rest(self, channel: Channel) -> None:
        """Take note that nobody wants a channel now: a stream is not told, and nobody goes on in it
        from a cursor of before."""
        if self._since.pop(channel, None) is not None:
            self._number += 1

    def end(self, channel: Channel) -> None:
        """Take note that a channel is not fed any more; its state is forgotten."""
        self.rest(channel)
        if channel is Channel.LOGS:
            self._so_far.clear()
        if channel in self._views:
            self._views[channel].clear()
            self._states.pop(channel, None)

    def is_live(self, channel: Channel) -> bool:
        """Tell whether a channel is fed."""
        return channel in self._since

    def put(self, channel: Channel, key: str, item: Item, kinds: Kinds, now: float) -> None:
        """Take in how an item of a channel's state is now."""
        self._states.pop(channel, None)
        self._tell_item(channel, self._views[channel].put(key, item, kinds, now), now)

    def remove(self, channel: Channel, key: str, now: float) -> None:
        """Take an item out of a channel's state."""
        self._states.pop(channel, None)
        self._tell_item(channel, self._views[channel].remove(key), now)

    def keep_only(self, channel: Channel, keys: set[str], now: float) -> None:
        """Take all items out but these."""
        for told in self._views[channel].keep_only(keys):
            self._states.pop(channel, None)
            self._tell_item(channel, told, now)

    def tell(self, channel: Channel, type: str, data: Item, now: float, *, build: str = "") -> None:
        """Tell what happened, of a channel that is a stream; nothing while it is not live."""
        if self.is_live(channel):
            self._publish(channel, type, build, data, now)

    def output(
        self,
        build: str,
        name: str,
        task: str,
        text: str,
        now: float,
        *,
        line: int | None = None,
        so_far: bool = False,
    ) -> None:
        """Tell a piece of a command's output, and keep the latest until :meth:`output_over`.
        ``line``: the one of all its output in which the piece begins; None: the node that runs the
        build does not say. ``so_far``: what of it was taken in before is not told again."""
        if line is not None:
            key = build, name, task
            if so_far:
                line, text = self._so_far.unknown(key, line, text)
            self._so_far.add(key, line, text)
        if not self.is_live(Channel.LOGS):
            return
        for start in range(0, len(text), PIECE_CHARACTERS):
            piece = text[start : start + PIECE_CHARACTERS]
            data = {"build_id": build, "name": name, "task": task, "text": piece, "line": line}
            line = None if line is None else line + piece.count("\n")
            size = len(piece.encode(errors="surrogatepass"))
            self._publish(Channel.LOGS, "build_output", build, data, now, output_bytes=size)

    def output_over(self, build: str, name: str, task: str) -> None:
        """Take note that a task is over: what it printed is in its log."""
        self._so_far.forget((build, name, task))

    def keep_output(self, builds: Collection[str]) -> None:
        """Forget what was printed of builds but these."""
        for key in self._so_far.tasks():
            if key[0] not in builds:
                self._so_far.forget(key)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is due; None: nothing waits for its time."""
        found = [view.deadline for view in self._views.values()]
        return min((at for at in found if at is not None), default=None)

    def tick(self, now: float) -> None:
        """Tell what was gathered and is due."""
        for channel, view in self._views.items():
            for told in view.tick(now):
                self._tell_item(channel, told, now)

    def _tell_item(self, channel: Channel, told: Told | None, now: float) -> None:
        if told is None:
            return
        of_builds = channel in (Channel.BUILDS, Channel.QUEUE) and told.id != WHOLE_QUEUE
        build = told.id if of_builds else ""
        self._publish(channel, told.type, build, {"id": told.id, **told.data}, now)

    def _publish(
        self,
        channel: Channel,
        type: str,
        build: str,
        data: Item,
        now: float,
        *,
        output_bytes: int = 0,
    ) -> None:
        self._number += 1
        event = self._event(self._number, channel, type, build, data, now, output_bytes)
        self._kept.append(event)
        self._kept_size += len(event.text)
        while len(self._kept) > KEPT_EVENTS or self._kept_size > KEPT_CHARACTERS:
            self._kept_size -= len(self._kept.popleft().text)
        for reader in self._readers:
            reader.add(event)

    def _event(
        self,
        number: int,
        channel: Channel,
        type: str,
        build: str,
        data: Item,
        now: float,
        output_bytes: int = 0,
    ) -> Event:
        cursor = f"{self._epoch}-{number}"
        value = {
            "cursor": cursor,
            "channel": channel.value,
            "type": type,
            "at": round(now, 3),
            "data": data,
        }
        return Event(number, channel, type, build, cursor, encoded(value), output_bytes)

    # --- who is told ---------------------------------------------------------------------------

    @property
    def wanted(self) -> frozenset[Channel]:
        """The channels that somebody is told of."""
        return frozenset().union(*(reader.wanted.channels for reader in self._readers))

    @property
    def cursor(self) -> str:
        """The cursor after all that was told."""
        return f"{self._epoch}-{self._number}"

    @property
    def readers(self) -> int:
        """How many are told."""
        return len(self._readers)

    def subscribe(
        self, wanted: Wanted, cursor: str | None, news: Callable[[], None], now: float
    ) -> tuple[Reader, Opening]:
        """Take in a reader, and return what it is told first. All that it wants has to be live, or
        is named as ``missing``: its state comes with the first events."""

        def left_out(build: str, missing: int, number: int) -> Event:
            data = {"build_id": build, "bytes": missing}
            return self._event(number, Channel.LOGS, LEFT_OUT, build, data, now)

        reader = Reader(wanted, news, left_out)
        after = self._resumable(wanted, cursor)
        self._readers.add(reader)
        if after is None:
            return reader, Opening(self._snapshot(wanted, cursor), self.cursor, False)
        for event in self._kept:
            if event.number > after:
                reader.add(event)
        head = {"type": "resumed", "cursor": cursor, "channels": sorted(wanted.channels)}
        return reader, Opening(encoded(head), cursor or "", True)

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)

    def end_readers(self, why: str, channels: frozenset[Channel] = ALL) -> None:
        """Tell those who want one of ``channels`` nothing more."""
        for reader in self._readers:
            if reader.wanted.channels & channels:
                reader.end(why)

    def _resumable(self, wanted: Wanted, cursor: str | None) -> int | None:
        """Return the number after which a reader can go on; None: it can't."""
        epoch, _, digits = (cursor or "").rpartition("-")
        if epoch != self._epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
            return None
        after = int(digits)
        first = self._kept[0].number if self._kept else self._number + 1
        whole = all(self._since.get(each, after + 1) <= after for each in wanted.channels)
        return after if whole and first - 1 <= after <= self._number else None

    def _snapshot(self, wanted: Wanted, cursor: str | None) -> str:
        """Return the state; each channel's part is encoded once for all."""
        head = {
            "type": "snapshot",
            "cursor": self.cursor,
            "channels": sorted(wanted.channels),
            "missing": sorted(each for each in wanted.channels if not self.is_live(each)),
            "gap": cursor is not None,
        }
        states = ",".join(
            f'"{channel}":{self._state(channel, wanted.build)}'
            for channel in sorted(wanted.channels - STREAMS)
        )
        if Channel.LOGS in wanted.channels:
            logs = f'"{Channel.LOGS}":{encoded(self._printed_so_far(wanted.build))}'
            states = f"{states},{logs}" if states else logs
        return f'{encoded(head)[:-1]},"state":{{{states}}}}}'

    def _printed_so_far(self, build: str) -> dict[str, dict[str, Any]]:
        found = {}
        for (of, name, task), (line, text) in self._so_far:
            if build in ("", of):
                key = f"{of} {name}#{task}"
                data = {"build_id": of, "name": name, "task": task, "text": text, "line": line}
                found[key] = {"id": key, **data}
        return found

    def _state(self, channel: Channel, build: str) -> str:
        items = self._views[channel].items
        if build and channel in (Channel.BUILDS, Channel.QUEUE):
            return encoded(_with_ids(items, (WHOLE_QUEUE, build)))
        if channel not in self._states:
            self._states[channel] = encoded(_with_ids(items, items))
        return self._states[channel]


def _with_ids(items: dict[str, Item], keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {key: {"id": key, **items[key]} for key in keys if key in items}
