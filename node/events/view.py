"""The state of one channel: items by id, and what of each was told last.

An item that changes often is told at most four times a second: the first change at once, what
follows gathered into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
PERIOD_S = 0.25
OFF_S = 1.0
OFF_SHARE = 0.1
"""An estimate is another one from so much on, in seconds and of what is left."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The types of events: of an item that is new, that changed, that is gone."""

    new: str
    changed: str
    gone: str


@dataclass(frozen=True, slots=True)
class Told:
    """An event to tell: its type, the item's id, and what is new of it."""

    type: str
    id: str
    data: Item


@dataclass(slots=True)
class _Known:
    kinds: Kinds
    now: Item
    told: Item
    told_at: float


@dataclass(slots=True)
class View:
    """See the module's text. ``quiet``: keys that change all the time; alone they are no news, but
    they are told along with what is. ``counting``: keys of seconds that are left: that they become
    less by as many as pass is no news, and with each event of an item all of them are told. Times
    are seconds of one clock."""

    quiet: frozenset[str] = frozenset()
    counting: frozenset[str] = frozenset()
    _items: dict[str, _Known] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    @property
    def items(self) -> dict[str, Item]:
        """Every item as it is now, by id."""
        return {key: known.now for key, known in self._items.items()}

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` has something to tell; None: never so far."""
        return min(self._due.values(), default=None)

    def put(self, key: str, item: Item, kinds: Kinds, now: float) -> Told | None:
        """Take in how an item is now; return what to tell of it at once."""
        known = self._items.get(key)
        if known is None:
            self._items[key] = _Known(kinds, item, item, now)
            return Told(kinds.new, key, item)
        known.now, known.kinds = item, kinds
        if not self._is_news(known, now):
            self._due.pop(key, None)
            return None
        if 0 <= now - known.told_at < PERIOD_S:
            self._due.setdefault(key, known.told_at + PERIOD_S)
            return None
        return self._tell(key, known, now)

    def remove(self, key: str) -> Told | None:
        """Take an item out; return what to tell of that."""
        self._due.pop(key, None)
        known = self._items.pop(key, None)
        return None if known is None else Told(known.kinds.gone, key, {"gone": True})

    def keep_only(self, keys: set[str]) -> list[Told]:
        """Take out all items but these."""
        gone = [self.remove(key) for key in list(self._items) if key not in keys]
        return [told for told in gone if told is not None]

    def tick(self, now: float) -> list[Told]:
        """Return what is due to be told."""
        ready = [key for key, at in self._due.items() if at <= now]
        return [self._tell(key, self._items[key], now) for key in ready]

    def clear(self) -> None:
        """Forget everything, and tell nothing of it."""
        self._items.clear()
        self._due.clear()

    def _is_news(self, known: _Known, now: float) -> bool:
        told, passed_s = known.told, max(0.0, now - known.told_at)
        return any(
            _is_off(told.get(key), value, passed_s)
            if key in self.counting
            else key not in self.quiet and told.get(key) != value
            for key, value in known.now.items()
        )

    def _tell(self, key: str, known: _Known, now: float) -> Told:
        self._due.pop(key, None)
        told = known.told
        changed = {
            name: value
            for name, value in known.now.items()
            if name in self.counting or told.get(name) != value
        }
        known.told, known.told_at = known.now, now
        return Told(known.kinds.changed, key, changed)


def _is_off(told: float | None, left: float | None, passed_s: float) -> bool:
    """Tell whether the seconds that are left are others than what was told leads to expect."""
    if told is None or left is None:
        return told is not left
    expected = max(0.0, told - passed_s)
    return abs(left - expected) > max(OFF_S, OFF_SHARE * expected)
