"""Several events as one message, made once for all readers that are told the same ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from buildnet.node.events.event import Event

_KEPT = 8


class Joiner:
    """Makes messages for WebSockets: ``{"type": "events", "events": […]}``."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[Event, ...], str] = OrderedDict()

    def message(self, events: Sequence[Event]) -> str:
        """Return the message that holds these events."""
        key = tuple(events)  # by identity
        text = self._made.get(key)
        if text is None:
            text = f'{{"type":"events","events":[{",".join(event.text for event in events)}]}}'
            self._made[key] = text
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return text


def sse(events: Sequence[Event]) -> str:
    """Return the events as server-sent ones (HTML standard, section 9.2)."""
    return "".join(
        f"id: {event.cursor}\nevent: {event.type}\ndata: {event.text}\n\n" for event in events
    )
