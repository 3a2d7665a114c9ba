"""Hears of each file that a command opens, on a thread of its own.

The kernel stops the opening process until it is answered, and the answer is always to go on; so
what is seen is what was asked for, whether or not it was there. A path is read from the process's
memory; one that can't be is counted, not guessed.
"""

from __future__ import annotations

import array
import errno
import fcntl
import logging
import os
import secrets
import select
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.reads import enter

MOST_PATHS = 200_000
"""More files than this are counted as not seen."""
_SECCOMP_DATA = struct.Struct("<QIIiIQ6Q")  # id, pid, flags; nr, arch, ip, args
_RESPONSE = struct.Struct("<QqiI")
_CREDENTIALS = struct.Struct("=3i")  # pid, uid, gid
_RECEIVE, _SEND = 0xC050_2100, 0xC018_2101  # ioctls, linux/seccomp.h
_GO_ON = 1
_PATH_BYTES = 4096
_CURRENT_DIRECTORY = -100
_ACCEPT_S = 20.0
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PATH_ONLY = getattr(os, "O_PATH", 0)
_log = logging.getLogger("buildnet.execute")


class TraceError(BuildNetError):
    """What a command reads can't be traced here."""

    code = "TRACE_UNAVAILABLE"
    http_status = 409


@dataclass(slots=True)
class Reads:
    """Files, by absolute paths without links: ``read`` were there before the command wrote them
    (if it did), ``missing`` were to be read and not there, ``programs`` were executed. ``unseen``:
    openings whose path is not known."""

    read: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    unseen: int = 0


class Tracer:
    """Listens to one command; a context manager around the time that it runs."""

    def __init__(self) -> None:
        if sys.platform != "linux" or os.uname().machine not in enter.NUMBERS:
            raise TraceError(
                "what commands read can be traced on Linux only (x86-64 and AArch64)",
                hint="trace on a node that runs Linux, or declare inputs by hand",
            )
        self.reads = Reads()
        self._calls = enter.NUMBERS[os.uname().machine]
        self._name = f"buildnet-reads-{secrets.token_hex(16)}"
        self._socket = socket.socket(socket.AF_UNIX)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="reads", daemon=True)
        self._problem: str | None = None

    def wrap(self, argv: list[str]) -> list[str]:
        """Return the command line to start instead."""
        program = str(Path(enter.__file__).resolve())
        return [sys.executable, "-I", "-S", program, self._name, *argv]

    def __enter__(self) -> Tracer:
        self._socket.bind(f"\0{self._name}")
        self._socket.listen(1)
        self._socket.settimeout(_ACCEPT_S)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        os.write(self._waker, b"!")
        self._socket.close()
        self._thread.join()
        os.close(self._wake)
        os.close(self._waker)

    def require_heard(self) -> None:
        """See that the command was listened to; after it has ended.

        Raises:
            TraceError: it was not.
        """
        if self._problem is not None:
            raise TraceError(
                "what the command reads could not be traced",
                cause=self._problem,
                hint="it takes Linux 5.9, and a host that lets its users filter system calls",
            )

    def _run(self) -> None:
        try:
            end = self._accepted()
        except OSError as error:
            self._problem = str(error)
            return
        if end is None:
            self._problem = "the kernel gave nothing to listen to"
            return
        try:
            self._listen(end)
        finally:
            os.close(end)

    def _accepted(self) -> int | None:
        watched = select.poll()
        watched.register(self._socket, select.POLLIN)
        watched.register(self._wake, select.POLLIN)
        while any(ready != self._wake for ready, _ in watched.poll(_ACCEPT_S * 1000)):
            connection, _ = self._socket.accept()
            with connection:
                if _user_of(connection) == os.getuid():  # the name is for everybody to read
                    return _handed_over(connection)
        return None

    def _listen(self, end: int) -> None:
        watched = select.poll()
        watched.register(end, select.POLLIN)
        watched.register(self._wake, select.POLLIN)
        while True:
            ready = dict(watched.poll())
            if ready.get(end, 0) & select.POLLIN:
                self._one(end)
            elif end in ready or self._wake in ready:
                return  # all that were listened to have ended, or were given up

    def _one(self, end: int) -> None:
        heard = bytearray(_SECCOMP_DATA.size)
        try:
            fcntl.ioctl(end, _RECEIVE, heard)
        except OSError:
            return  # it was ended meanwhile
        number, pid, _, call, _, _, *arguments = _SECCOMP_DATA.unpack(heard)
        try:
            self._take(pid, self._calls.get(call, ""), arguments)
        except (OSError, ValueError):
            self.reads.unseen += 1
        except Exception:
            _log.exception("what a command opened could not be looked at")
            self.reads.unseen += 1
        try:
            fcntl.ioctl(end, _SEND, _RESPONSE.pack(number, 0, 0, _GO_ON))
        except OSError as error:
            if error.errno != errno.ENOENT:  # it was ended meanwhile
                raise

    def _take(self, pid: int, call: str, arguments: list[int]) -> None:
        directory, place, flags = _CURRENT_DIRECTORY, arguments[0], arguments[1]
        if call.endswith("at") or call == "openat2":
            directory, place, flags = _signed(arguments[0]), arguments[1], arguments[2]
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            path = _text(memory.fileno(), place)
            if call == "openat2":
                flags = int.from_bytes(os.pread(memory.fileno(), 8, flags), sys.byteorder)
        if not path:
            return  # an open descriptor by itself
        whole = os.path.realpath(os.path.join(_directory(pid, directory, path), path))
        if call.startswith("exec"):
            self._add(self.reads.programs, whole)
            return
        if not os.path.isfile(whole):
            if flags & _WRITES or call == "creat":
                self._add(self.reads.written, whole)
            elif not os.path.lexists(whole):
                self._add(self.reads.missing, whole)
            return
        is_new = call == "creat" or bool(flags & os.O_TRUNC)
        is_written = is_new or bool(flags & (os.O_WRONLY | os.O_RDWR))
        is_read = not is_new and not flags & os.O_WRONLY and not flags & _PATH_ONLY
        if is_read and whole not in self.reads.written:
            self._add(self.reads.read, whole)
        if is_written:
            self._add(self.reads.written, whole)

    def _add(self, paths: set[str], path: str) -> None:
        if len(paths) >= MOST_PATHS and path not in paths:
            self.reads.unseen += 1
        else:
            paths.add(path)


def _user_of(connection: socket.socket) -> int:
    """Return who is at the other end of a connection."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def _handed_over(connection: socket.socket) -> int | None:
    """Return the descriptor that was sent, and let the sender go on; None: there was none."""
    connection.settimeout(_ACCEPT_S)
    _, rights, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(4))
    found = array.array("i")
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if not found:
        return None
    connection.send(b"!")
    return found[0]


def _text(memory: int, place: int) -> str:
    """Return a text of another process that ends with a zero."""
    found = b""
    while b"\0" not in found and len(found) < _PATH_BYTES:
        # Page by page: what lies beyond the last one can't be read.
        size = min(_PATH_BYTES - len(found), 4096 - (place + len(found)) % 4096)
        piece = os.pread(memory, size, place + len(found))
        if not piece:
            break
        found += piece
    return os.fsdecode(found.partition(b"\0")[0])


def _directory(pid: int, descriptor: int, path: str) -> str:
    if path.startswith("/"):
        return "/"
    where = "cwd" if descriptor == _CURRENT_DIRECTORY else f"fd/{descriptor}"
    return os.readlink(f"/proc/{pid}/{where}")


def _signed(argument: int) -> int:
    """Return the number in a register's lower half, as a 32-bit integer."""
    lower = argument & 0xFFFF_FFFF
    return lower - (1 << 32) if lower >= 1 << 31 else lower
