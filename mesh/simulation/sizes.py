"""How much the cores keep: no collection in them may grow with the length of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

_ATOMS = (int, float, str, bytes, bool, type(None))


def large_collections(core: object, most: int) -> list[str]:
    """Return where in ``core`` a list, dict, set or deque holds more than ``most`` items."""
    return [f"{path}: {size}" for path, size in _collections(core) if size > most]


def _collections(root: object) -> Iterator[tuple[str, int]]:
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [(type(root).__name__, root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _ATOMS) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield path, len(value)
            waiting += ((f"{path}[]", item) for item in list(value.values()))
        elif isinstance(value, list | set | frozenset | deque):
            yield path, len(value)
            waiting += ((f"{path}[]", item) for item in list(value))
        elif isinstance(value, tuple):
            waiting += ((f"{path}[]", item) for item in value)
        elif type(value).__module__.startswith("buildnet."):
            waiting += ((f"{path}.{name}", item) for name, item in _attributes(value))


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)
