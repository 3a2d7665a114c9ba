from __future__ import annotations

import hashlib
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.bulk.protocol import (
    MAX_CREDIT_BYTES,
    MAX_FRAME_BYTES,
    MAX_WAITING,
    READ_AHEAD,
    BulkError,
    Bytes,
    Holder,
    OpenBlob,
    ReadChunks,
    Refused,
    Requester,
    chunk,
    frame_of,
)
from buildnet.mesh.digest import Digest
from buildnet.mesh.messages.bulk import (
    CHUNK,
    CHUNK_BYTES,
    FAILED,
    MISSING,
    BulkCredit,
    BulkFetch,
    BulkRefused,
)
from buildnet.mesh.messages.kinds import kinds

WINDOW = 4 * CHUNK_BYTES


def digest_of(number: int, size_bytes: int) -> Digest:
    return Digest(hashlib.blake2s(bytes([number])).hexdigest(), size_bytes)


def fetch(digest: Digest, offset: int = 0) -> bytes:
    return frame_of(BulkFetch(bytes.fromhex(digest.hash), digest.size_bytes, offset))


def credit(size_bytes: int) -> bytes:
    return frame_of(BulkCredit(size_bytes))


def opened(holder: Holder, size_bytes: int) -> None:
    """Let ``holder`` have been asked for a blob that it has."""
    holder.receive(fetch(digest_of(1, size_bytes)))
    assert isinstance(holder.next(), OpenBlob)
    assert holder.opened(True) is None


# --- both ends together ------------------------------------------------------------------------


class Pair:
    """Both cores with a wire in between; blobs are zeros of their size."""

    def __init__(self, blobs: set[Digest]) -> None:
        self.requester = Requester(WINDOW)
        self.holder = Holder()
        self.blobs = blobs
        self.answers: deque[bytes] = deque()
        self.got: list[int] = []
        """Bytes of each blob that was received whole; -1: refused."""
        self._taken = 0

    def ask(self, digest: Digest, offset: int = 0) -> None:
        for frame in self.requester.fetch(digest, offset):
            self.holder.receive(frame)

    def step(self) -> bool:
        """Let one of the ends do something; False: nothing is left to do."""
        match self.holder.next():
            case OpenBlob(digest, _):
                answer = self.holder.opened(digest in self.blobs)
                self.answers += [answer] if answer is not None else []
            case ReadChunks(sizes, _):
                assert 0 < len(sizes) <= READ_AHEAD
                self.answers += [chunk(bytes(size)) for size in sizes]
            case None if self.answers:
                self.take()
            case None:
                return False
        return True

    def take(self) -> None:
        said = self.requester.receive(self.answers.popleft())
        if isinstance(said, Refused):
            self.got.append(-1)
            return
        self._taken += len(said.data)
        if said.last:
            self.got.append(self._taken)
            self._taken = 0
        for frame in self.requester.grant():
            self.holder.receive(frame)


@given(
    st.lists(
        st.tuples(st.integers(1, 12 * CHUNK_BYTES), st.floats(0, 0.999), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_blobs_arrive_whole_and_in_turn_from_any_offset(
    wanted: list[tuple[int, float, bool]],
) -> None:
    digests = [digest_of(number, size) for number, (size, _, _) in enumerate(wanted)]
    pair = Pair({digest for digest, (_, _, there) in zip(digests, wanted, strict=True) if there})
    expected = []
    for digest, (size, share, there) in zip(digests, wanted, strict=True):
        offset = int(size * share)
        pair.ask(digest, offset)
        expected.append(size - offset if there else -1)
    while pair.step():
        pass
    assert pair.got == expected
    assert not pair.holder.busy


def test_no_more_is_on_the_way_than_the_window() -> None:
    holder = Holder()
    opened(holder, 40 * CHUNK_BYTES)
    holder.receive(credit(WINDOW))
    sent = 0
    while isinstance(wanted := holder.next(), ReadChunks):
        sent += sum(wanted.sizes)
    assert sent == WINDOW
    assert holder.busy
    holder.receive(credit(CHUNK_BYTES))
    assert holder.next() == ReadChunks((CHUNK_BYTES,), last=False)


# --- the holder --------------------------------------------------------------------------------


def test_the_last_chunk_is_what_is_left() -> None:
    holder = Holder()
    opened(holder, CHUNK_BYTES + 5)
    holder.receive(credit(WINDOW))
    assert holder.next() == ReadChunks((CHUNK_BYTES, 5), last=True)
    assert holder.next() is None
    assert not holder.busy


def test_a_blob_that_is_not_there_is_refused_and_the_next_one_s_turn_comes() -> None:
    holder = Holder()
    holder.receive(fetch(digest_of(1, 9)))
    holder.receive(fetch(digest_of(2, 9), 4))
    assert holder.next() == OpenBlob(digest_of(1, 9), 0)
    assert holder.next() is None
    assert holder.opened(False) == frame_of(BulkRefused(MISSING, ""))
    assert holder.next() == OpenBlob(digest_of(2, 9), 4)


def test_credit_of_what_could_not_be_read_is_not_lost() -> None:
    holder = Holder()
    opened(holder, 2 * CHUNK_BYTES)
    holder.receive(credit(2 * CHUNK_BYTES))
    wanted = holder.next()
    assert isinstance(wanted, ReadChunks)
    assert holder.failed("disk", sum(wanted.sizes)) == frame_of(BulkRefused(FAILED, "disk"))
    opened(holder, 2 * CHUNK_BYTES)
    assert holder.next() == ReadChunks((CHUNK_BYTES, CHUNK_BYTES), last=True)


def test_a_blob_that_can_t_be_opened_is_refused() -> None:
    holder = Holder()
    holder.receive(fetch(digest_of(1, 9)))
    holder.next()
    assert holder.failed("x" * 1000) == frame_of(BulkRefused(FAILED, "x" * 256))
    assert holder.next() is None
    assert not holder.busy


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x46",
        b"\xff\x80",
        bytes([CHUNK]) + b"data",
        frame_of(BulkRefused(MISSING, "")),
        fetch(digest_of(1, 9)) + b"\x00",
        fetch(digest_of(1, 9)) + bytes(2000),
        b"\x46" + b"\x83\x41a\x01\x00",  # a hash of one byte
        fetch(digest_of(1, 9)).replace(b"\x09\x00", b"\x09\x09"),  # nothing left to fetch
        b"\x47\x81\x00",  # no credit at all
        b"\x47\x81\x20",
    ],
)
def test_a_holder_refuses_what_no_requester_says(frame: bytes) -> None:
    with pytest.raises(BulkError):
        Holder().receive(frame)


def test_a_holder_keeps_a_bounded_number_of_fetches_and_credit() -> None:
    holder = Holder()
    for _ in range(MAX_WAITING):
        holder.receive(fetch(digest_of(1, 9)))
    with pytest.raises(BulkError):
        holder.receive(fetch(digest_of(1, 9)))
    holder = Holder()
    holder.receive(credit(MAX_CREDIT_BYTES))
    with pytest.raises(BulkError):
        holder.receive(credit(1))


# --- the requester -----------------------------------------------------------------------------


def asked(size_bytes: int, window_bytes: int = WINDOW) -> Requester:
    requester = Requester(window_bytes)
    requester.fetch(digest_of(1, size_bytes), 0)
    return requester


def test_credit_is_given_back_in_large_pieces_once_bytes_are_written() -> None:
    requester = Requester(WINDOW)
    digest = digest_of(1, 40 * CHUNK_BYTES)
    assert requester.fetch(digest, 0) == [fetch(digest), credit(WINDOW)]
    assert requester.fetch(digest, 7) == [fetch(digest, 7)]
    assert requester.grant() == []
    requester.receive(chunk(bytes(CHUNK_BYTES)))
    assert requester.grant() == [credit(CHUNK_BYTES)]
    assert requester.grant() == []


def test_a_refusal_names_the_blob() -> None:
    requester = asked(9)
    said = requester.receive(frame_of(BulkRefused(MISSING, "why")))
    assert isinstance(said, Refused)
    assert said.error.digest == digest_of(1, 9)
    assert said.error.refusal == MISSING


def test_a_blob_may_be_refused_half_way() -> None:
    requester = asked(2 * CHUNK_BYTES)
    said = requester.receive(chunk(bytes(CHUNK_BYTES)))
    assert isinstance(said, Bytes)
    assert not said.last
    assert isinstance(requester.receive(frame_of(BulkRefused(FAILED, ""))), Refused)
    with pytest.raises(BulkError):
        requester.receive(chunk(bytes(CHUNK_BYTES)))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        chunk(b""),
        chunk(b"12345678"),  # too few
        chunk(b"1234567890"),  # too many
        credit(5),
        bytes([73]),
        frame_of(BulkRefused(MISSING, "")) + b"\x00",
        bytes([73]) + bytes(2000),
    ],
)
def test_a_requester_refuses_what_it_did_not_ask_for(frame: bytes) -> None:
    with pytest.raises(BulkError):
        asked(9).receive(frame)


def test_a_chunk_beyond_the_credit_is_refused() -> None:
    requester = asked(100 * CHUNK_BYTES, window_bytes=2 * CHUNK_BYTES)
    for _ in range(2):
        requester.receive(chunk(bytes(CHUNK_BYTES)))
    with pytest.raises(BulkError, match="credit"):
        requester.receive(chunk(bytes(CHUNK_BYTES)))


def test_nothing_is_taken_that_nobody_asked_for() -> None:
    for frame in (chunk(b"x"), frame_of(BulkRefused(MISSING, ""))):
        with pytest.raises(BulkError):
            Requester().receive(frame)


def test_only_so_many_fetches_are_sent_ahead() -> None:
    requester = Requester()
    for _ in range(MAX_WAITING):
        assert requester.room
        requester.fetch(digest_of(1, 9), 0)
    assert not requester.room


def test_frames_fit_what_the_sockets_let_through() -> None:
    assert MAX_FRAME_BYTES <= 256 * 1024 + 1024
    bulk = {kind.number: kind.record for kind in kinds() if 70 <= kind.number < 80}
    assert bulk == {70: BulkFetch, 71: BulkCredit, 73: BulkRefused}
    assert CHUNK not in bulk
