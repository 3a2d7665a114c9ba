"""Watches one workspace: what may have changed in it since it was last asked.

What the kernel tells waits in a queue; a thread takes it out, so that the queue does not overflow.
Whoever wants to know makes a *cookie*, a file in a directory of the node's own that the same queue
tells of, and takes out all that came before it. A change that was made before the question is then
in the answer: the kernel puts an event into the queue before the call that caused it returns.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from buildnet.node.watch.dirty import EVERYTHING, Dirt, DirtySet
from buildnet.node.watch.inotify import Inotify
from buildnet.node.watch.mounts import TELLING, MountsAround, MountTable

MOST_DIRECTORIES = 500_000
"""Directories of one workspace; each takes about a kilobyte of the kernel's memory."""

_COOKIE_WITHIN_S = 2.0
_LIMIT = "/proc/sys/fs/inotify/max_user_watches"
_log = logging.getLogger("buildnet.builds")
_numbers = itertools.count()


class Watcher:
    """Watches the directories below ``root`` that it is told to; safe to use from several threads.

    ``problem`` says in words why nothing can be told; then all may have changed at any time.
    ``on_news`` is called when something may have changed, on any thread; it has to be quick, and
    must not ask the watcher itself.
    """

    def __init__(
        self,
        root: Path,
        cookies: Path,
        *,
        most_directories: int = MOST_DIRECTORIES,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = os.path.realpath(root)
        self._cookies = cookies
        self._most = most_directories
        self._on_news = on_news
        self._name = f"{os.getpid()}-{next(_numbers)}-"
        self._lock = threading.Lock()
        self._dirty = DirtySet()
        self._inotify: Inotify | None = None
        self._cookie_watch = -1
        self._last_cookie = ""
        self._seen_cookie = ""
        self._mounts: MountTable | None = None
        self._around = MountsAround((), ())
        self._identity: tuple[int, int] | None = None
        self._asked = False
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if _POSSIBLE else (-1, -1)
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        with self._lock:
            self._open()

    def __len__(self) -> int:
        return len(self._dirty)

    @property
    def is_taking_out(self) -> bool:
        """Whether a thread takes out what the kernel tells."""
        with self._lock:
            return self._thread is not None and self._thread.is_alive()

    def watch(self, directory: str) -> bool:
        """Watch a directory and those above it, before it is read; tell whether what happens in it
        will be told. One that is not there counts: its making will be told.

        ``directory`` is relative to the root; ``""`` is the root.
        """
        with self._lock:
            if self._inotify is None:
                return False
            if self._dirty.is_watched(directory):
                return True
            try:
                return self._watch(self._inotify, directory)
            except OSError as error:
                self._give_up(_why(error))
                return False

    def refresh(self) -> Dirt:
        """Return what may have changed since the last call. The first answer is everything."""
        with self._lock:
            if self._inotify is None or self._is_moved():
                if self.problem is None:
                    self._open()
                self._asked = True
                return EVERYTHING
            try:
                self._bring_up_to_now(self._inotify)
            except OSError as error:
                self._give_up(_why(error))
                return EVERYTHING
            dirt = self._dirty.drain()
            if dirt.everything:
                self._open()  # what is watched may be elsewhere by now
            asked, self._asked = self._asked, True
            return dirt if asked else EVERYTHING

    def distrust(self, why: str) -> None:
        """Watch no more, for it was not told of a change."""
        with self._lock:
            self._give_up(why)

    def close(self) -> None:
        """End all watches and the thread."""
        with self._lock:
            self._close()
            self.problem = self.problem or "it is not watched any more"
            thread = self._thread
        if thread is not None:
            thread.join()
        for descriptor in (self._wake, self._woken):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake = self._woken = -1

    # With the lock held

    def _open(self) -> None:
        """Begin anew, with nothing watched and everything dirty."""
        self._close()
        if not _POSSIBLE:
            self.problem = "this system has no inotify"
            return
        try:
            self._mounts = MountTable()
            self._around = self._mounts.around(self._root)
            if self._around.kind not in TELLING:
                self._give_up(f"a file system of the kind {self._around.kind} does not tell of all")
                return
            self._inotify = Inotify()
            self._cookies.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._cookie_watch = self._inotify.watch_new_files(str(self._cookies))
            self._dirty.watched("", self._inotify.watch(self._root))
            self._identity = self._root_now()
        except FileNotFoundError:
            self._close()  # it may come back
            return
        except OSError as error:
            self._give_up(_why(error))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the host has too many processes
                self._thread = None
                self._give_up(str(error))

    def _close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        if self._mounts is not None:
            self._mounts.close()
            self._mounts = None
        self._dirty = DirtySet()
        if self._thread is not None:
            os.write(self._woken, b".")  # it waits for what was just closed

    def _give_up(self, why: str) -> None:
        self._close()
        self.problem = why
        _log.warning("changes below %s are looked for, not told: %s", self._root, why)

    def _is_moved(self) -> bool:
        """Whether the root is another directory by now, or has other mounts in it."""
        assert self._mounts is not None
        if self._root_now() != self._identity:
            return True
        if not self._mounts.changed():
            return False
        return self._mounts.around(self._root) != self._around

    def _root_now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._root)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _watch(self, inotify: Inotify, directory: str) -> bool:
        names = directory.split("/") if directory else []
        for count in range(len(names) + 1):
            here = "/".join(names[:count])
            if self._dirty.is_watched(here):
                continue
            if len(self._dirty) >= self._most:
                raise OSError(errno.ENOSPC, "too many directories")
            path = f"{self._root}/{here}" if here else self._root
            if self._around.below and not self._around.tells(path):
                return False
            try:
                watch = inotify.watch(path)
            except FileNotFoundError:
                return True
            except NotADirectoryError:
                return not os.path.islink(path)
            except PermissionError:
                return False
            self._dirty.watched(here, watch)
        return True

    def _bring_up_to_now(self, inotify: Inotify) -> None:
        """Take in everything that happened before this call."""
        self._last_cookie = f"{self._name}{next(_numbers)}"
        path = self._cookies / self._last_cookie
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        path.unlink()
        self._take(inotify)
        deadline = time.monotonic() + _COOKIE_WITHIN_S
        while self._seen_cookie != self._last_cookie and not self._dirty.overflowed:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise OSError(errno.ETIME, "the kernel did not tell of a file that was just made")
            _wait([inotify.descriptor], left_s)
            self._take(inotify)

    def _take(self, inotify: Inotify) -> None:
        has_news = False
        for event in inotify.read():
            has_news = has_news or event.watch != self._cookie_watch
            # Other workspaces' watchers make theirs in the same directory.
            if event.watch == self._cookie_watch and event.name == self._last_cookie:
                self._seen_cookie = event.name
            for watch in self._dirty.take(event):
                inotify.end(watch)
        if has_news:
            self._on_news()

    # The thread

    def _run(self) -> None:
        while True:
            with self._lock:
                inotify = self._inotify
                if inotify is None:
                    self._thread = None  # what is opened later gets another one
                    return
            if self._wake in _wait([self._wake, inotify.descriptor]):
                os.read(self._wake, 4096)
                continue
            with self._lock:
                if self._inotify is inotify:
                    self._take(inotify)


def _wait(descriptors: Sequence[int], timeout_s: float | None = None) -> list[int]:
    """Wait until one of these can be read, which may have any number; return those that can."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    timeout_ms = None if timeout_s is None else timeout_s * 1000
    return [descriptor for descriptor, _ in poll.poll(timeout_ms)]


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"the limit of watched directories is reached (fs.inotify.max_user_watches is "
            f"{_limit()}): raise it, with sysctl fs.inotify.max_user_watches=1048576 as root"
        )
    if error.errno == errno.EMFILE:
        return (
            "the limit of watchers is reached: raise it, with "
            "sysctl fs.inotify.max_user_instances=1024 as root"
        )
    return f"they can't be watched: {error.strerror or error}"


def _limit() -> str:
    try:
        return Path(_LIMIT).read_text().strip()
    except OSError:
        return "unknown"


_POSSIBLE = os.path.exists("/proc/sys/fs/inotify") and hasattr(os, "pipe2")
