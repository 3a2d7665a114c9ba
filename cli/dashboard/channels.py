"""The state of the pool's channels, kept up to date by events, with the age of each item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from buildnet.cli.client.shapes import Event

Item = Mapping[str, Any]


class Channels:
    """Items by channel and id; see the reference of events. ``ahead_s``: how much the unix time of
    the node is ahead of the monotonic clock here, by the latest event."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s
        self._items: dict[str, dict[str, dict[str, Any]]] = {}
        self._changed: dict[tuple[str, str], dict[str, float]] = {}
        self._opened = 0.0

    def take(self, event: Event, now: float) -> Item | None:
        """Take in an event; return the item as it was before, if it was there.

        ``now``: monotonic seconds.
        """
        if event["type"] == "snapshot":
            missing = event.get("missing", [])
            self._items = {
                channel: {key: dict(item) for key, item in items.items()}
                for channel, items in event.get("state", {}).items()
                if channel not in missing
            }
            self._changed.clear()
            self._opened = now
            return None
        if (at := event.get("at")) is not None:
            self.ahead_s = at - now
        data, channel = event.get("data", {}), event.get("channel")
        if channel is None or channel in ("ledger", "logs") or "id" not in data:
            return None
        items = self._items.setdefault(channel, {})
        key = str(data["id"])
        before = items.get(key)
        if data.get("gone"):
            items.pop(key, None)
            self._changed.pop((channel, key), None)
        else:
            items[key] = {**(before or {}), **data}
            self._changed.setdefault((channel, key), {}).update(dict.fromkeys(data, now))
        return before

    def items(self, channel: str) -> Mapping[str, Item] | None:
        """Return the items of a channel; None: nothing was told of it."""
        return self._items.get(channel)

    def rows(self, channel: str, *not_these: str) -> Iterator[tuple[str, Item]]:
        """Yield ids and items of a channel, but ``not_these``."""
        for key, item in self._items.get(channel, {}).items():
            if key not in not_these:
                yield key, item

    def node_name(self, node: str) -> str | None:
        """Return a node's name by its id; None: it is not known."""
        item = self._items.get("nodes", {}).get(node)
        return None if item is None else str(item["name"])

    def changed_at(self, channel: str, key: str, name: str) -> float | None:
        """Return when an event told a value last (monotonic); None: none did since the snapshot."""
        return self._changed.get((channel, key), {}).get(name)

    def told_at(self, channel: str, key: str, name: str) -> float:
        """Return when a value was told last (monotonic), by an event or in the snapshot."""
        changed = self.changed_at(channel, key, name)
        return self._opened if changed is None else changed

    def unix(self, now: float) -> float:
        """Return the node's unix time at a monotonic time of this host."""
        return now + self.ahead_s
