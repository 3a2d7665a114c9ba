"""Fetching blobs from a peer: both ends as state machines, frames in and frames out.

The requester asks for blobs, several ahead if it likes, and grants credit: how many bytes more it
has room for. The holder sends chunks as far as the credit goes, one blob after the other. Whatever
is left of a blob after a cut connection is asked for by offset. Digests are checked by who writes
the bytes (:class:`BlobSink`). Nothing here reads, seals or waits: :mod:`buildnet.mesh.bulk.stream`
does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.frames import OVERHEAD_BYTES
from buildnet.mesh.messages.bulk import (
    CHUNK,
    CHUNK_BYTES,
    FAILED,
    MAX_REQUEST_BYTES,
    MISSING,
    BulkCredit,
    BulkFetch,
    BulkRefused,
)
from buildnet.mesh.messages.kinds import Message, kind_of
from buildnet.mesh.wire import WireError

MAX_FRAME_BYTES = 1 + CHUNK_BYTES + OVERHEAD_BYTES
"""Sealed, on a bulk connection."""

WINDOW_BYTES = 16 * 1024 * 1024
"""What a requester has room for; enough for 300 MiB/s at 50 ms."""

MAX_CREDIT_BYTES = 64 * 1024 * 1024
MAX_WAITING = 256
"""Fetches that a holder keeps in mind."""

READ_AHEAD = 4
"""Chunks that are read and sealed in one go."""

_CHUNK = bytes([CHUNK])
_Record = TypeVar("_Record", bound=Message)


class BulkError(BuildNetError):
    """The other end broke the protocol; the connection is of no use any more."""

    code = "BULK_PROTOCOL"
    http_status = 502


class FetchRefusedError(BuildNetError):
    """The holder did not send a blob; ``refusal`` is its code. Others may have it."""

    code = "BULK_REFUSED"
    http_status = 502

    def __init__(self, digest: Digest, refusal: str, detail: str = "") -> None:
        super().__init__(f"the blob {digest} was not sent: {refusal}", cause=detail or None)
        self.digest = digest
        self.refusal = refusal


class WrongBytesError(BuildNetError):
    """What a holder sent is not the blob that was asked for; nothing of it is kept."""

    code = "BULK_WRONG_BYTES"
    http_status = 502


class BlobReader(Protocol):
    """A blob that is being read; used by one thread at a time."""

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, as many as asked for; fewer only at the end.

        Raises:
            OSError, BuildNetError: they can't be read.
        """

    def close(self) -> None:
        """Let go of it."""


class BlobSource(Protocol):
    """Where a holder's blobs are; called in worker threads."""

    def open(self, digest: Digest, offset: int) -> BlobReader | None:
        """Open a blob to read from ``offset``; None: it is not here, or not of that size."""


class BlobSink(Protocol):
    """Where a requester's blob goes; used by one thread at a time."""

    @property
    def digest(self) -> Digest:
        """What is to be fetched."""

    @property
    def offset(self) -> int:
        """How many bytes of it are there, written and hashed."""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Append the next bytes, a few chunks at once.

        Raises:
            OSError: they can't be written.
        """

    def finish(self) -> None:
        """All bytes are there; check them.

        Raises:
            WrongBytesError: they are not the blob. The sink is empty again, at offset 0.
        """


# --- the holder --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """Open a blob and say whether it was :meth:`Holder.opened`."""

    digest: Digest
    offset: int


@dataclass(frozen=True, slots=True)
class ReadChunks:
    """Read chunks of these sizes from the open blob and send each as :func:`chunk`; ``last``: the
    blob ends with them, close it. Nothing is to be reported unless reading fails
    (:meth:`Holder.failed`)."""

    sizes: tuple[int, ...]
    last: bool


class Holder:
    """The end that has blobs. ``receive`` frames; do what ``next`` says until it says None."""

    def __init__(self) -> None:
        self._waiting: deque[BulkFetch] = deque()
        self._credit_bytes = 0
        self._left_bytes = 0
        self._opening = False

    @property
    def busy(self) -> bool:
        """Whether somebody waits for bytes. If :meth:`next` is None too, credit is missing."""
        return bool(self._waiting) or self._left_bytes > 0

    def receive(self, frame: bytes) -> None:
        """Take an opened frame of the requester.

        Raises:
            BulkError: it breaks the protocol.
        """
        if len(frame) > MAX_REQUEST_BYTES:
            raise BulkError(f"a request of {len(frame)} bytes")
        match frame[:1]:
            case _Number.FETCH:
                if len(self._waiting) >= MAX_WAITING:
                    raise BulkError(f"more than {MAX_WAITING} fetches ahead")
                self._waiting.append(_read(BulkFetch, frame))
            case _Number.CREDIT:
                self._credit_bytes += _read(BulkCredit, frame).bytes
                if self._credit_bytes > MAX_CREDIT_BYTES:
                    raise BulkError(f"more than {MAX_CREDIT_BYTES:,} bytes of credit")
            case _:
                raise BulkError("a frame of no kind that a requester sends")

    def next(self) -> OpenBlob | ReadChunks | None:
        """Return what to do now; None: wait for a frame."""
        if self._left_bytes:
            return self._chunks()
        if self._opening or not self._waiting:
            return None
        self._opening = True
        fetch = self._waiting[0]
        return OpenBlob(Digest(fetch.hash.hex(), fetch.size_bytes), fetch.offset)

    def opened(self, found: bool) -> bytes | None:
        """Tell the outcome of :class:`OpenBlob`; return the frame to send, if any."""
        fetch = self._waiting.popleft()
        self._opening = False
        if found:
            self._left_bytes = fetch.size_bytes - fetch.offset
            return None
        return frame_of(BulkRefused(MISSING, ""))

    def failed(self, detail: str, unsent_bytes: int = 0) -> bytes:
        """Tell that a blob could not be opened or read to its end; return the frame to send.

        ``unsent_bytes``: what :class:`ReadChunks` asked for and could not be had.
        """
        if self._opening:
            self._waiting.popleft()
            self._opening = False
        self._left_bytes = 0
        self._credit_bytes += unsent_bytes
        return frame_of(BulkRefused(FAILED, detail[:256]))

    def _chunks(self) -> ReadChunks | None:
        sizes: list[int] = []
        while self._left_bytes and len(sizes) < READ_AHEAD:
            size = min(CHUNK_BYTES, self._left_bytes)
            if size > self._credit_bytes:
                break
            sizes.append(size)
            self._left_bytes -= size
            self._credit_bytes -= size
        return ReadChunks(tuple(sizes), last=not self._left_bytes) if sizes else None


def chunk(data: bytes) -> bytes:
    """Return the frame of a chunk, to be sealed."""
    return _CHUNK + data


# --- the requester -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bytes:
    """The next bytes of the oldest fetch; ``last``: they complete it."""

    data: memoryview
    last: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The oldest fetch came to nothing."""

    error: FetchRefusedError


class Requester:
    """The end that wants blobs. Answers come in the order of the fetches."""

    def __init__(self, window_bytes: int = WINDOW_BYTES) -> None:
        self._window_bytes = min(max(window_bytes, 2 * CHUNK_BYTES), MAX_CREDIT_BYTES)
        self._granted_bytes = 0
        self._left_bytes: deque[int] = deque()
        self._digests: deque[Digest] = deque()

    @property
    def room(self) -> bool:
        """Whether one more fetch may be sent ahead."""
        return len(self._digests) < MAX_WAITING

    def fetch(self, digest: Digest, offset: int) -> list[bytes]:
        """Ask for a blob from ``offset``, which is below its size; return the frames to send."""
        self._digests.append(digest)
        self._left_bytes.append(digest.size_bytes - offset)
        asked = frame_of(BulkFetch(bytes.fromhex(digest.hash), digest.size_bytes, offset))
        return [asked, *self.grant()]

    def receive(self, frame: bytes) -> Bytes | Refused:
        """Take an opened frame of the holder.

        Raises:
            BulkError: it breaks the protocol.
        """
        if not self._digests:
            raise BulkError("a frame that nobody asked for")
        if frame[:1] == _CHUNK:
            return self._chunk(memoryview(frame)[1:])
        if len(frame) > MAX_REQUEST_BYTES or frame[:1] != _Number.REFUSED:
            raise BulkError("a frame of no kind that a holder sends")
        said = _read(BulkRefused, frame)
        self._left_bytes.popleft()
        return Refused(FetchRefusedError(self._digests.popleft(), said.code, said.detail))

    def grant(self) -> list[bytes]:
        """Return the frames that give the holder new credit, once what it sent was written."""
        missing = self._window_bytes - self._granted_bytes
        if missing < self._window_bytes // 4:
            return []
        self._granted_bytes += missing
        return [frame_of(BulkCredit(missing))]

    def _chunk(self, data: memoryview) -> Bytes:
        if len(data) != min(CHUNK_BYTES, self._left_bytes[0]):
            raise BulkError("a chunk of a size that was not asked for")
        if len(data) > self._granted_bytes:
            raise BulkError("a chunk beyond the credit")
        self._granted_bytes -= len(data)
        self._left_bytes[0] -= len(data)
        last = self._left_bytes[0] == 0
        if last:
            self._left_bytes.popleft()
            self._digests.popleft()
        return Bytes(data, last)


# --- frames ------------------------------------------------------------------------------------


class _Number:
    """First bytes of frames, to match."""

    FETCH = bytes([70])
    CREDIT = bytes([71])
    REFUSED = bytes([73])


def frame_of(said: Message) -> bytes:
    """Return the frame of a record, to be sealed."""
    return bytes([kind_of(said).number]) + said.encode()


def _read(record: type[_Record], frame: bytes) -> _Record:
    try:
        return record.decode(frame[1:])
    except WireError as error:
        raise BulkError("a malformed frame", cause=error.message) from error
