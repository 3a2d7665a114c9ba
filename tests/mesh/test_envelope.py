from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh import cbor
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.envelope import (
    ALL,
    MAX_ENVELOPE_BYTES,
    Envelope,
    EnvelopeError,
    open_envelope,
    seal,
)

ALICE, BOB, CAROL = (NodeKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
CLUSTER = b"c" * 32


def sealed(
    to: NodeKey | None = BOB, *, by: NodeKey = ALICE, cluster_id: bytes = CLUSTER, sequence: int = 1
) -> bytes:
    return seal(
        by,
        to.public_key if to else None,
        20,
        b"payload",
        boot=1_763_680_000,
        sequence=sequence,
        hlc=1_763_680_000_000 << 16,
        term=7,
        cluster_id=cluster_id,
    )


def opened(data: bytes, me: NodeKey = BOB, sender: NodeKey | None = None) -> Envelope:
    return open_envelope(
        data,
        cluster_id=CLUSTER,
        me=me.public_key,
        sender=sender.public_key if sender else None,
    )


def reason(data: bytes, me: NodeKey = BOB, sender: NodeKey | None = None) -> str:
    with pytest.raises(EnvelopeError) as refused:
        opened(data, me, sender)
    return refused.value.reason


def test_what_was_sealed_comes_out() -> None:
    assert opened(sealed()) == Envelope(
        ALICE.public_key,
        BOB.public_key,
        20,
        1_763_680_000,
        1,
        1_763_680_000_000 << 16,
        7,
        b"payload",
    )


def test_what_is_for_all_opens_at_everyone() -> None:
    assert opened(sealed(None)).recipient == ALL
    assert opened(sealed(None), CAROL).payload == b"payload"


@given(
    kind=st.integers(0, 2**16 - 1),
    payload=st.binary(max_size=2000),
    numbers=st.tuples(*[st.integers(0, 2**63 - 1)] * 4),
)
def test_every_field_survives(
    kind: int, payload: bytes, numbers: tuple[int, int, int, int]
) -> None:
    boot, sequence, hlc, term = numbers
    data = seal(
        ALICE,
        BOB.public_key,
        kind,
        payload,
        boot=boot,
        sequence=sequence,
        hlc=hlc,
        term=term,
        cluster_id=CLUSTER,
    )
    assert opened(data) == Envelope(
        ALICE.public_key, BOB.public_key, kind, boot, sequence, hlc, term, payload
    )


def test_every_bit_counts() -> None:
    data = sealed()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        reason(bytes(flipped))


def test_a_message_for_bob_does_not_open_at_carol() -> None:
    assert reason(sealed(BOB), CAROL) == "for another node"
    protected, _, payload, signature = cbor.decode(sealed(BOB))
    renamed = protected.replace(BOB.public_key[:8], CAROL.public_key[:8])
    assert renamed != protected
    assert reason(cbor.encode([renamed, [], payload, signature]), CAROL) == "bad signature"


def test_the_signature_covers_the_recipient_s_whole_key() -> None:
    """A key that begins like Bob's, so that the header names it too."""
    lookalike = BOB.public_key[:8] + CAROL.public_key[8:]
    with pytest.raises(EnvelopeError) as refused:
        open_envelope(sealed(BOB), cluster_id=CLUSTER, me=lookalike)
    assert refused.value.reason == "bad signature"


def test_a_message_to_one_is_not_one_to_all() -> None:
    protected, _, payload, signature = cbor.decode(sealed(BOB))
    header = cbor.decode(protected)
    header[2] = b""
    assert reason(cbor.encode([cbor.encode(header), [], payload, signature])) == "bad signature"


def test_another_cluster_s_message_proves_nothing() -> None:
    assert reason(sealed(cluster_id=b"d" * 32)) == "bad signature"


def test_a_forged_sender_is_named() -> None:
    assert reason(sealed(by=CAROL), sender=ALICE) == "forged sender"
    assert opened(sealed(by=ALICE), sender=ALICE).sender == ALICE.public_key
    protected, _, payload, signature = cbor.decode(sealed(by=CAROL))
    claimed = protected.replace(CAROL.public_key, ALICE.public_key)
    assert reason(cbor.encode([claimed, [], payload, signature])) == "bad signature"


def test_another_protocol_is_refused() -> None:
    protected, _, payload, signature = cbor.decode(sealed())
    header = cbor.decode(protected)
    header[0] = 2
    assert reason(cbor.encode([cbor.encode(header), [], payload, signature])) == "unknown protocol"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"", [], b""],
        [b"", [1], b"", bytes(64)],
        [b"", {}, b"", bytes(64)],
        [b"", [], "", bytes(64)],
        [b"\x80", [], b"", bytes(64)],
        [cbor.encode([1] * 8), [], b"", bytes(64)],
        ["text", [], b"", bytes(64), b""],
        7,
    ],
)
def test_what_is_no_envelope(parts: object) -> None:
    data = b"\x84\x40\xa0\x40\x40" if parts == [b"", {}, b"", bytes(64)] else cbor.encode(parts)
    assert reason(data) == "message malformed"


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    reason(data)


def test_what_fits_no_frame_is_refused_on_both_sides() -> None:
    with pytest.raises(EnvelopeError):
        seal(
            ALICE,
            None,
            1,
            bytes(MAX_ENVELOPE_BYTES),
            boot=1,
            sequence=1,
            hlc=1,
            term=1,
            cluster_id=CLUSTER,
        )
    assert reason(sealed() + bytes(MAX_ENVELOPE_BYTES)) == "message malformed"


def test_the_envelope_costs_no_more_than_150_bytes() -> None:
    assert len(sealed()) - len(b"payload") <= 150
