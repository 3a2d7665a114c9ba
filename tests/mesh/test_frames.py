from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.link import frames
from buildnet.mesh.link.frames import OVERHEAD_BYTES, FrameCipher, FrameError

THERE, BACK = b"t" * 32, b"b" * 32


def ends(max_bytes: int = 1000) -> tuple[FrameCipher, FrameCipher]:
    return FrameCipher(THERE, BACK, max_bytes), FrameCipher(BACK, THERE, max_bytes)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=30))
def test_frames_come_out_in_both_directions(said: list[tuple[bool, bytes]]) -> None:
    alice, bob = ends()
    for by_alice, plain in said:
        sender, receiver = (alice, bob) if by_alice else (bob, alice)
        sealed = sender.seal(plain)
        assert len(sealed) == len(plain) + OVERHEAD_BYTES
        assert receiver.open(sealed) == plain


def test_every_bit_counts() -> None:
    sealed = ends()[0].seal(b"forty bytes, more or less, of some text")
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            ends()[1].open(bytes(flipped))


@pytest.mark.parametrize("order", [[1], [0, 0], [0, 2], [0, 1, 0], [0, 1, 1]])
def test_replayed_reordered_or_lost_frames_end_the_link(order: list[int]) -> None:
    alice, bob = ends()
    sealed = [alice.seal(bytes([number])) for number in range(3)]
    *good, bad = order
    for number in good:
        bob.open(sealed[number])
    with pytest.raises(FrameError):
        bob.open(sealed[bad])
    with pytest.raises(FrameError):  # nothing opens any more, not even the right one
        bob.open(sealed[len(good)])


def test_a_frame_sent_back_opens_nothing() -> None:
    alice, _ = ends()
    with pytest.raises(FrameError):
        alice.open(alice.seal(b"mine"))


def test_frames_are_limited_on_both_sides() -> None:
    alice, bob = ends(100)
    assert bob.open(alice.seal(bytes(100 - OVERHEAD_BYTES)))
    with pytest.raises(FrameError):
        alice.seal(bytes(101 - OVERHEAD_BYTES))
    with pytest.raises(FrameError):
        bob.open(bytes(101))
    with pytest.raises(FrameError):
        ends()[1].open(b"")


def test_the_key_is_replaced_after_so_many_frames_and_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "FRAMES_PER_KEY", 3)
    monkeypatch.setattr(frames, "BYTES_PER_KEY", 200)
    alice, bob = ends()
    keys = set()
    for plain in (b"1", b"2", b"3", b"4", bytes(250), b"6", b"7"):
        keys.add(alice.sealer.key)
        assert bob.open(alice.seal(plain)) == plain
    assert len(keys) == 3
    assert alice.sealer.key == bob.opener.key != THERE
