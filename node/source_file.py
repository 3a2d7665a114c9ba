"""Reading one source file so that its digest and its ``stat`` are of the same bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from typing import Protocol

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError

WHOLE_LIMIT_BYTES = 1 << 20  # up to here a file is read at once
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5


class SourceError(BuildNetError):
    """A file that is to be a source and cannot be."""

    code = "SOURCE"
    exit_code = 2
    http_status = 400


class FileTable(Protocol):
    """What the reader needs of :class:`buildnet.node.store.files.FileTable`."""

    def lookup(self, path: str, stat: os.stat_result) -> Digest | None: ...

    def previous(self, path: str) -> Digest | None: ...

    def record(
        self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int
    ) -> None: ...


def digest_file(
    full_path: str,
    path: str,
    table: FileTable,
    clock: Callable[[], int],
    on_held: Callable[[], None] = lambda: None,
) -> Digest:
    """Hash the file at ``full_path`` and record it in the table as ``path``.

    ``clock`` is ``time.time_ns``, taken before the bytes are read. Bytes that change while they are
    read are read again. A file that somebody has open for writing is recorded as one that is not to
    be trusted, and ``on_held`` is called: what is written through memory need not change its times.

    Raises:
        FileNotFoundError, NotADirectoryError: it is gone.
        SourceError: it cannot be read, or keeps changing.
    """
    for _ in range(_ATTEMPTS):
        observed_at_ns = clock()
        try:
            # Non-blocking: a fifo that took the file's place must not hang the build.
            descriptor = os.open(full_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            if _is_open_for_writing(descriptor):
                observed_at_ns = 0
                on_held()
            before = os.fstat(descriptor)
            digest = _digest(descriptor, before.st_size)
            after = os.fstat(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(descriptor)
        if digest.size_bytes == after.st_size and _same(before, after):
            table.record(path, after, digest, observed_at_ns)
            return digest
    raise SourceError(
        f"{path} keeps changing while it is read",
        hint="stop what writes it, or exclude it from the sources",
    )


def _is_open_for_writing(descriptor: int) -> bool:
    """Whether any process could write to the file, a mapping in memory included. Linux tells its
    owner and root, who alone get a lease then; False: it can't be known."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        # Who opens it in this moment is let wait; the signal about that is one that is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def unreadable(path: str, error: OSError) -> SourceError:
    """Return the error for a source that the system does not let us read."""
    hint = f"make it readable, or exclude it from the sources: !{path}"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        hint = "raise the limit of open files (ulimit -n)"
    return SourceError(f"{path} cannot be read: {error.strerror}", hint=hint)


def _digest(descriptor: int, size_bytes: int) -> Digest:
    if size_bytes <= WHOLE_LIMIT_BYTES:
        content = os.read(descriptor, size_bytes + 1)
        if len(content) == size_bytes:
            return Digest(blake3(content).hexdigest(), size_bytes)
        os.lseek(descriptor, 0, os.SEEK_SET)
    hasher = blake3(max_threads=blake3.AUTO)
    count = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        hasher.update(chunk)
        count += len(chunk)
    return Digest(hasher.hexdigest(), count)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
