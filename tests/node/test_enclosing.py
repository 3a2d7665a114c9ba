"""Small blobs that travel in the message which speaks of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.node.sharing.enclosing import ENCLOSED_BYTES, enclosed, small_blobs
from buildnet.node.store import Store
from buildnet.pool.messages.lending import LeaseId
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import MAX_ENCLOSED, MAX_ENCLOSED_BYTES, MAX_MESSAGE_BYTES, WorkAsk

LEASE: LeaseId = bytes(16)


def ask(label: str) -> WorkAsk:
    digest = WireDigest.of(Digest.of(b"a"))
    return WorkAsk(
        work=bytes(16),
        lease=LEASE,
        action=digest,
        command=digest,
        inputs=digest,
        dependencies=None,
        label=label,
        outputs=(),
        tools=(),
        path_entries=(),
        path_variables=(),
        network=False,
        again=False,
        timeout_ms=0,
        output_bytes=0,
        memory_bytes=0,
        disk_bytes=0,
        processes=0,
    )


def test_what_is_small_travels_and_what_is_large_does_not() -> None:
    small, large = b"s" * MAX_ENCLOSED_BYTES, b"l" * (MAX_ENCLOSED_BYTES + 1)
    assert enclosed((small, large, b""), 100) == (small, b"")


def test_no_more_travels_than_is_worth_it_and_fits() -> None:
    blobs = [bytes([number]) * MAX_ENCLOSED_BYTES for number in range(20)]
    assert sum(map(len, enclosed(blobs, 100))) <= ENCLOSED_BYTES
    assert len(enclosed((b"%d" % number for number in range(1000)), 100)) == MAX_ENCLOSED
    assert enclosed(blobs, MAX_MESSAGE_BYTES - 100) == ()
    tight = enclosed((b"%d" % number for number in range(1000)), MAX_MESSAGE_BYTES - 100)
    assert 0 < len(tight) < MAX_ENCLOSED


def test_a_message_with_all_that_may_travel_in_it_is_taken() -> None:
    question = ask("x" * 1000)
    size_bytes = len(question.encode())
    blobs = enclosed((b"%d" % number * 100 for number in range(1000)), size_bytes)
    assert WorkAsk.decode(question.encode()).blobs == ()
    filled = replace(question, blobs=blobs)
    assert len(filled.encode()) <= MAX_MESSAGE_BYTES
    assert WorkAsk.decode(filled.encode()).blobs == blobs


def test_each_small_blob_is_taken_once(tmp_path: Path) -> None:
    with Store.open(tmp_path, 1 << 30) as store, store.hold() as hold:
        digests = [hold.put(b"one"), hold.put(b"x" * (MAX_ENCLOSED_BYTES + 1)), hold.put(b"one")]
        assert list(small_blobs(digests, hold)) == [b"one"]
