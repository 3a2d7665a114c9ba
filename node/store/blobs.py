"""Blobs as files: ``blobs/ab/<64 hex digits>``, named by the BLAKE3 of what they hold, mode 0444.

A blob is written below ``tmp/`` and renamed when it is whole, so that a process that is killed at
any point leaves no wrong bytes under a valid name. It is not flushed to the disk (``fsync``): this
is a cache, every read verifies the bytes, and a blob that a power failure has torn is dropped then
and made again. This module knows nothing of the index; it only reads, writes and removes files.
"""

# Paths are strings here: making Path objects would cost as much as the calls on many small files.

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.node.store.errors import (
    DamagedBlobError,
    SourceFileError,
    StateError,
    is_disk_full,
    missing_blob,
)
from buildnet.node.store.spreading import spread_below

CHUNK_BYTES = 1 << 20
"""Files up to this size are read whole, larger ones in pieces of it."""

TEMPORARY_PREFIX = ".buildnet-"
"""Begins the names of what is being written beside its place in a workspace. Never sources."""

_NAME = re.compile(r"[0-9a-f]{64}")
# Not blocking: a FIFO where a file should be must not stop us.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_serial = itertools.count()


class BlobFiles:
    """The files below a store's directory. Methods may run in many threads at once; what must not
    run at the same time as what is said where it matters (:class:`~buildnet.node.store.Store`)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blobs = str(directory / "blobs")
        self._temporary = str(directory / "tmp")
        self._writing = _Writing(directory)

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            StateError: the directory cannot be written.
        """
        with self._writing:
            os.makedirs(self._blobs, exist_ok=True)
            os.makedirs(self._temporary, exist_ok=True)
            spread_below(self._temporary)
            try:
                probe, descriptor = self._create()
                os.close(descriptor)
                os.unlink(probe)
            except OSError as error:
                if not is_disk_full(error):  # then there is something to read and to clear
                    raise

    def clear_temporary(self) -> None:
        """Remove what an earlier process left unfinished. No other process may use the store."""
        with self._writing:
            for name in os.listdir(self._temporary):
                remove(f"{self._temporary}/{name}")

    def path(self, hash: str) -> str:
        """Return where the blob lies.

        Raises:
            ValueError: ``hash`` is not 64 lower-case hexadecimal digits.
        """
        key_of(hash)
        return f"{self._blobs}/{hash[:2]}/{hash}"

    def exists(self, hash: str) -> bool:
        """Whether anything stands at the blob's path."""
        return os.path.lexists(self.path(hash))

    def present(self, digest: Digest) -> bool:
        """Whether a regular file of the right size stands at the blob's path."""
        try:
            found = os.lstat(self.path(digest.hash))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == digest.size_bytes

    def open(self, digest: Digest) -> int:
        """Open a blob for reading; return the descriptor, which is the caller's to close. The
        bytes are not verified.

        Raises:
            MissingBlobError, DamagedBlobError: it is not there, or not of its size.
        """
        return self._open(digest)[0]

    # Writing

    def write(self, data: bytes) -> str:
        """Write ``data`` into a temporary file; return its path."""
        with self._new_file() as (path, descriptor):
            _write_all(descriptor, data)
        return path

    def create(self) -> tuple[str, int]:
        """Make an empty temporary file; return its path and a descriptor to write it."""
        with self._writing:
            return self._create()

    def copy_in(self, source: int, limit: int | None) -> tuple[str, Digest]:
        """Copy an open file into a temporary one; return its path and what was written.

        Stops when more than ``limit`` bytes were read.
        """
        os.lseek(source, 0, os.SEEK_SET)
        with self._new_file() as (path, target):
            digest = _copy(source, target, limit)
        return path, digest

    def publish(self, temporary: str, digest: Digest) -> None:
        """Give a finished temporary file its name. Whatever stood there is replaced."""
        path = self.path(digest.hash)
        with self._writing:
            try:
                os.rename(temporary, path)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.rename(temporary, path)
            except IsADirectoryError:
                remove(path)
                os.rename(temporary, path)

    def discard(self, temporary: str) -> None:
        """Remove a temporary file that is not needed after all."""
        with suppress(FileNotFoundError):
            os.unlink(temporary)

    # Reading

    def read(self, digest: Digest) -> bytes:
        """Return a blob's bytes, verified.

        Raises:
            MissingBlobError, DamagedBlobError: it is not there, or not what its name says.
        """
        descriptor, found = self._open(digest)
        try:
            return _whole(descriptor, digest, found)
        finally:
            os.close(descriptor)

    def read_range(self, digest: Digest, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``; the whole blob is read and verified, but
        only the range is kept in memory."""
        wanted = bytearray()
        end = offset + limit
        position = 0

        def keep(piece: memoryview) -> None:
            nonlocal position
            if position < end and position + len(piece) > offset:
                wanted.extend(piece[max(0, offset - position) : end - position])
            position += len(piece)

        descriptor, found = self._open(digest)
        try:
            if _read_through(descriptor, keep, digest.size_bytes) != digest:
                raise _damaged(digest, found)
        finally:
            os.close(descriptor)
        return bytes(wanted)

    def verify(self, digest: Digest) -> None:
        """Read the blob through; raises as :meth:`read`."""
        self.read_range(digest, 0, 0)

    def copy_out(
        self,
        digest: Digest,
        destination: Path | str,
        executable: bool,
        mtime_ns: int | None,
        *,
        fresh: bool = False,
    ) -> os.stat_result:
        """Copy a blob to ``destination``, verified, under a temporary name until it is whole;
        return what the copy is then.

        ``fresh``: nothing stands there and nobody looks yet, so that no temporary name is needed.

        Raises:
            MissingBlobError, DamagedBlobError: it is not there, or not what its name says.
            OSError: the destination cannot be written. It is then as it was before.
        """
        descriptor, found = self._open(digest)
        try:
            # Small blobs are verified before anything is written, large ones while they are.
            is_small = digest.size_bytes <= CHUNK_BYTES
            small = _whole(descriptor, digest, found) if is_small else None
            path = os.fspath(destination)
            if not fresh:
                path = f"{os.path.dirname(destination)}/{TEMPORARY_PREFIX}{_unique()}"
            mode = 0o755 if executable else 0o644
            target = os.open(path, _WRITE, mode)
            try:
                try:
                    if small is not None:
                        _write_all(target, small)
                    elif _copy(descriptor, target, digest.size_bytes) != digest:
                        raise _damaged(digest, found)
                    if mtime_ns is not None:
                        os.utime(target, ns=(mtime_ns, mtime_ns))
                    copied = os.fstat(target)
                    if stat.S_IMODE(copied.st_mode) != mode:  # the umask took some of it
                        os.fchmod(target, mode)
                        copied = os.fstat(target)
                finally:
                    os.close(target)
                if not fresh:
                    os.rename(path, destination)
            except BaseException:
                self.discard(path)
                raise
            return copied
        finally:
            os.close(descriptor)

    # Removing and walking

    def remove(self, hash: str, file: tuple[int, int] | None = None) -> bool:
        """Remove what stands at a blob's path; with ``file`` only if it is that (device, inode).

        Return whether something was removed.
        """
        path = self.path(hash)
        with self._writing:
            try:
                found = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return False
            if file is not None and file != (found.st_dev, found.st_ino):
                return False
            remove(path)
            return True

    def prefixes(self) -> list[str]:
        """Return the names of the directories that blobs lie in, sorted."""
        return sorted(name for name in os.listdir(self._blobs) if re.fullmatch("[0-9a-f]{2}", name))

    def walk(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        """Yield what lies in ``blobs/<prefix>`` under the name of a blob, whatever it is."""
        try:
            # At once: the directory must not stay open where the caller breaks off.
            with os.scandir(f"{self._blobs}/{prefix}") as found:
                entries = list(found)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.name.startswith(prefix):
                yield entry

    def free_bytes(self) -> int:
        """Return how much this user may still write to the store's volume."""
        volume = os.statvfs(self.directory)
        return volume.f_bavail * volume.f_frsize

    def block_bytes(self) -> int:
        """Return how much the volume gives at once: a file takes less than that beyond its size."""
        return os.statvfs(self.directory).f_frsize

    # Inside

    def _create(self) -> tuple[str, int]:
        """Make a new temporary file; return its path and a descriptor to write it."""
        name = _unique()
        directory = f"{self._temporary}/{name[-1]}"
        path = f"{directory}/{name}"
        try:
            return path, os.open(path, _WRITE, 0o444)
        except FileNotFoundError:
            os.makedirs(directory, exist_ok=True)
            return path, os.open(path, _WRITE, 0o444)

    @contextmanager
    def _new_file(self) -> Iterator[tuple[str, int]]:
        """A new temporary file that is removed again if its writing fails."""
        with self._writing:
            path, descriptor = self._create()
            try:
                try:
                    yield path, descriptor
                finally:
                    os.close(descriptor)
            except BaseException:
                os.unlink(path)
                raise

    def _open(self, digest: Digest) -> tuple[int, os.stat_result]:
        """Open a blob for reading; its kind and size are checked. Return the descriptor, which is
        the caller's to close, and what the file is."""
        try:
            descriptor = os.open(self.path(digest.hash), _READ | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_blob(digest) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise DamagedBlobError(f"blob {digest} is a symbolic link") from error
            raise StateError(
                f"blob {digest} cannot be read",
                cause=str(error),
                hint=f"give this user the right to read {self._blobs}",
            ) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != digest.size_bytes:
            os.close(descriptor)
            raise _damaged(digest, found)
        return descriptor, found


class _Writing:
    """Says in the store's words that its directory cannot be written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        refusals = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
        if isinstance(error, OSError) and error.errno in refusals:
            raise StateError(
                f"the store cannot be written: {self._directory}",
                cause=str(error),
                hint="make the directory writable for this user, or set BUILDNET_HOME",
            ) from error


@contextmanager
def open_source(path: Path | str) -> Iterator[tuple[int, int]]:
    """Open a file that is to be stored; gives the descriptor and the size in bytes.

    Raises:
        SourceFileError: it is not a regular file or cannot be read.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise SourceFileError(
            f"{path} cannot be stored", cause=error.strerror, hint="make it readable"
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SourceFileError(
                f"{path} cannot be stored: it is not a regular file",
                hint="exclude it from the sources or outputs",
            )
        yield descriptor, found.st_size
    finally:
        os.close(descriptor)


def key_of(hash: str) -> bytes:
    """Return the 32 bytes that a hash stands for.

    Raises:
        ValueError: ``hash`` is not 64 lower-case hexadecimal digits.
    """
    if not _NAME.fullmatch(hash):
        raise ValueError(f"not a BLAKE3 hash: {hash[:80]!r}")
    return bytes.fromhex(hash)


def _damaged(digest: Digest, found: os.stat_result) -> DamagedBlobError:
    return DamagedBlobError(
        f"blob {digest} is damaged: its file holds other bytes",
        file=(found.st_dev, found.st_ino),
    )


def remove(path: str) -> None:
    """Remove a file, or a directory with all it holds."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _unique() -> str:
    return f"{os.getpid():x}-{next(_serial):x}"


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _whole(descriptor: int, digest: Digest, found: os.stat_result) -> bytes:
    """Read an open blob, verified.

    With the fewest calls, here and where many small files pass: each may have to wait for its turn
    with the interpreter, and objects of :mod:`io` make three times as many.
    """
    data = os.read(descriptor, digest.size_bytes)
    while len(data) < digest.size_bytes and (more := os.read(descriptor, digest.size_bytes)):
        data += more
    if Digest.of(data) != digest:
        raise _damaged(digest, found)
    return data


def _copy(source: int, target: int, limit: int | None) -> Digest:
    return _read_through(source, lambda piece: _write_all(target, piece), limit)


def _read_through(source: int, use: Callable[[memoryview], None], limit: int | None) -> Digest:
    """Read a file to its end, or until it is longer than ``limit``; return what was read."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    hasher = blake3()
    size_bytes = 0
    while count := os.readv(source, [buffer]):
        piece = buffer[:count]
        hasher.update(piece)
        use(piece)
        size_bytes += count
        if limit is not None and size_bytes > limit:
            break
    return Digest(hasher.hexdigest(), size_bytes)
