"""Telling running actions to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CancelToken:
    """Set once, from any thread; whoever waits on something else is called back.

    Like :class:`threading.Event`, but it can also wake a thread that sits in a selector.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._next = 0

    def is_set(self) -> bool:
        """Return whether :meth:`set` was called."""
        return self._set

    def set(self) -> None:
        """Cancel: calls every callback once, in this thread. Further calls do nothing."""
        with self._lock:
            if self._set:
                return
            self._set = True
            for callback in self._callbacks.values():
                callback()
            self._callbacks.clear()

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Have ``callback`` called on cancellation while the context is open, at once if set.

        The callback must be quick, not raise and not touch the token. After the context it is
        never called.
        """
        with self._lock:
            key = self._next
            self._next += 1
            if self._set:
                callback()
            else:
                self._callbacks[key] = callback
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)
