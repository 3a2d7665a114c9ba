from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base

from buildnet.mesh import cbor
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.frames import FrameError
from buildnet.mesh.link.handshake import (
    NO_CLUSTER,
    Accepted,
    Claim,
    Entropy,
    HandshakeError,
    HandshakeRefusedError,
    Initiator,
    Purpose,
    Responder,
)
from buildnet.mesh.messages.handshake import MAGIC, MAX_EXTRA_BYTES, Hello, Welcome

ALICE, BOB, MALLORY = (NodeKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
CLUSTER = b"c" * 32
Relay = Callable[[int, bytes], bytes]


def entropy(seed: bytes) -> Entropy:
    count = 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return blake3(seed + bytes([count])).digest(size)

    return draw


def pair(
    purpose: Purpose = Purpose.MEMBER,
    *,
    extra: bytes = b"hello",
    expected: bytes | None = BOB.public_key,
    cluster_id: bytes | None = CLUSTER,
) -> tuple[Initiator, Responder]:
    return (
        Initiator(
            ALICE,
            11,
            purpose,
            cluster_id=cluster_id,
            extra=extra,
            expected=expected,
            entropy=entropy(b"alice"),
        ),
        Responder(CLUSTER, entropy=entropy(b"bob")),
    )


def meet(initiator: Initiator, responder: Responder, relay: Relay) -> tuple[Claim, Accepted]:
    """Run a handshake through a relay that may do what it likes with messages 1 to 4."""
    welcome = responder.answer(relay(1, initiator.start()))
    claim = responder.receive(relay(3, initiator.receive(relay(2, welcome))))
    accepted = initiator.finish(relay(4, responder.accept(BOB, 22, b"welcome")))
    assert accepted is not None
    return claim, accepted


def honest(_: int, message: bytes) -> bytes:
    return message


def reason(action: Callable[[], object]) -> str:
    with pytest.raises(HandshakeError) as failed:
        action()
    return failed.value.reason


@pytest.mark.parametrize("purpose", list(Purpose))
def test_both_learn_who_is_there_and_share_keys(purpose: Purpose) -> None:
    initiator, responder = pair(purpose)
    claim, accepted = meet(initiator, responder, honest)
    assert claim == Claim(purpose, ALICE.public_key, 11, b"hello")
    assert accepted == Accepted(CLUSTER, BOB.public_key, 22, b"welcome")
    assert initiator.session.transcript == responder.session.transcript
    mine, theirs = initiator.session.cipher(), responder.session.cipher()
    assert theirs.open(mine.seal(b"there")) == b"there"
    assert mine.open(theirs.seal(b"back")) == b"back"
    with pytest.raises(FrameError):
        mine.open(mine.seal(b"mine"))


def test_no_two_handshakes_share_anything() -> None:
    sessions = []
    for number in range(3):
        initiator = Initiator(
            ALICE, 1, Purpose.MEMBER, cluster_id=CLUSTER, entropy=entropy(bytes([number]))
        )
        meet(initiator, Responder(CLUSTER), honest)
        sessions.append(initiator.session)
    assert len({session.transcript for session in sessions}) == 3
    assert len({session.sending_key for session in sessions}) == 3
    assert sessions[0].sending_key not in repr(sessions[0]).encode()


def test_without_entropy_of_its_own_it_draws_from_the_system() -> None:
    hellos = {Initiator(ALICE, 1, Purpose.MEMBER, cluster_id=CLUSTER).start() for _ in range(3)}
    assert len(hellos) == 3


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_relay_that_flips_any_bit_ends_the_handshake(number: int) -> None:
    sizes: dict[int, int] = {}

    def note(which: int, message: bytes) -> bytes:
        sizes[which] = len(message)
        return message

    meet(*pair(), note)
    for bit in range(sizes[number] * 8):

        def flip(which: int, message: bytes, bit: int = bit) -> bytes:
            if which != number:
                return message
            flipped = bytearray(message)
            flipped[bit // 8] ^= 1 << bit % 8
            return bytes(flipped)

        reason(partial(meet, *pair(), flip))


@given(st.integers(1, 4), st.data())
def test_a_relay_that_cuts_or_lengthens_ends_the_handshake(
    number: int, data: st.DataObject
) -> None:
    def damage(which: int, message: bytes) -> bytes:
        if which != number:
            return message
        if data.draw(st.booleans()):
            return message + data.draw(st.binary(min_size=1, max_size=40))
        return message[: data.draw(st.integers(0, len(message) - 1))]

    reason(lambda: meet(*pair(), damage))


@given(st.binary(max_size=300))
def test_noise_is_refused_at_every_step(noise: bytes) -> None:
    reason(lambda: Responder(CLUSTER).answer(noise))
    initiator, responder = pair()
    welcome = responder.answer(initiator.start())
    reason(lambda: responder.receive(noise))
    reason(lambda: pair()[0].receive(noise))
    initiator.receive(welcome)
    reason(lambda: initiator.finish(noise))


def test_a_recorded_handshake_cannot_be_replayed() -> None:
    said: dict[int, bytes] = {}

    def record(which: int, message: bytes) -> bytes:
        said[which] = message
        return message

    meet(*pair(), record)
    responder = Responder(CLUSTER)  # the same node, another handshake
    responder.answer(said[1])
    assert reason(lambda: responder.receive(said[3])) == "message altered"
    initiator = Initiator(ALICE, 11, Purpose.MEMBER, cluster_id=CLUSTER)
    initiator.start()
    initiator.receive(said[2])
    assert reason(lambda: initiator.finish(said[4])) == "message altered"


def test_a_message_sent_back_to_its_sender_proves_nothing() -> None:
    initiator, responder = pair()
    claim = initiator.receive(responder.answer(initiator.start()))
    assert reason(lambda: initiator.finish(claim)) == "message altered"


def test_who_does_not_decide_for_a_peer_shows_it_nothing() -> None:
    """All that an outsider sees before the decision is made of ephemeral keys and the range."""
    initiator, responder = pair()
    welcome = responder.answer(initiator.start())
    said = Welcome.decode(welcome)
    assert (said.least, said.greatest, said.chosen) == (1, 1, 1)
    responder.receive(initiator.receive(welcome))
    for message in (welcome, responder.wait(), responder.refuse("NO_MEMBER")):
        assert BOB.public_key[:8] not in message
        assert CLUSTER[:8] not in message


def test_a_refusal_says_why_and_ends_it() -> None:
    initiator, responder = pair()
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    with pytest.raises(HandshakeRefusedError) as refused:
        initiator.finish(responder.refuse("NO_MEMBER", "ask an admin"))
    assert (refused.value.refusal, refused.value.detail) == ("NO_MEMBER", "ask an admin")
    assert refused.value.refuser is None
    assert reason(lambda: responder.accept(BOB, 1)) == "message out of order"
    assert reason(lambda: initiator.session) == "message out of order"


def test_a_refusal_may_prove_who_says_so() -> None:
    initiator, responder = pair()
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    with pytest.raises(HandshakeRefusedError) as refused:
        initiator.finish(responder.refuse("NO_MEMBER", "ask an admin", key=BOB))
    assert (refused.value.refusal, refused.value.detail) == ("NO_MEMBER", "ask an admin")
    assert refused.value.refuser == BOB.public_key


class Imposter:
    """Says that it is Bob, and signs with another key."""

    public_key = BOB.public_key

    def sign(self, message: bytes) -> bytes:
        return MALLORY.sign(message)


def test_nobody_refuses_in_anothers_name() -> None:
    initiator, responder = pair()
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    refusal = responder.refuse("NO_MEMBER", key=Imposter())
    assert reason(lambda: initiator.finish(refusal)) == "bad signature"


def test_who_knows_no_cluster_takes_nobodys_proof() -> None:
    joiner, elsewhere = pair(Purpose.JOIN, cluster_id=None, expected=None)
    elsewhere.receive(joiner.receive(elsewhere.answer(joiner.start())))
    refusal = elsewhere.refuse("NO_MEMBER", key=BOB)
    assert reason(lambda: joiner.finish(refusal)) == "bad signature"


def test_a_member_of_another_cluster_is_refused() -> None:
    stranger = Initiator(ALICE, 1, Purpose.MEMBER, cluster_id=b"d" * 32)
    responder = Responder(CLUSTER)
    claim = stranger.receive(responder.answer(stranger.start()))
    assert reason(lambda: responder.receive(claim)) == "wrong cluster or signature"


def test_who_joins_knows_no_cluster_and_is_no_member_by_that() -> None:
    initiator, responder = pair(Purpose.JOIN, cluster_id=None, expected=None)
    claim, accepted = meet(initiator, responder, honest)
    assert claim.purpose is Purpose.JOIN
    assert accepted.cluster_id == CLUSTER
    with pytest.raises(ValueError, match="cluster"):
        Initiator(ALICE, 1, Purpose.MEMBER, cluster_id=None)
    member = Initiator(ALICE, 1, Purpose.MEMBER, cluster_id=NO_CLUSTER)
    responder = Responder(CLUSTER)
    said = member.receive(responder.answer(member.start()))
    assert reason(lambda: responder.receive(said)) == "wrong cluster or signature"


def test_another_cluster_s_answer_to_who_joins_a_known_one_is_refused() -> None:
    initiator, responder = pair(Purpose.JOIN, cluster_id=b"d" * 32)
    assert reason(lambda: meet(initiator, responder, honest)) == "wrong cluster"


def test_another_node_s_answer_is_refused() -> None:
    initiator, responder = pair(expected=MALLORY.public_key)
    assert reason(lambda: meet(initiator, responder, honest)) == "another node answered"


class Impostor:
    """Says it is Alice, and can't sign as her."""

    public_key = ALICE.public_key

    def sign(self, message: bytes) -> bytes:
        return MALLORY.sign(message)


def test_an_impostor_is_refused_on_either_side() -> None:
    forged = Initiator(Impostor(), 1, Purpose.MEMBER, cluster_id=CLUSTER)
    responder = Responder(CLUSTER)
    said = forged.receive(responder.answer(forged.start()))
    assert reason(lambda: responder.receive(said)) == "wrong cluster or signature"
    initiator, responder = pair(expected=ALICE.public_key)
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    answer = responder.accept(Impostor(), 1)
    assert reason(lambda: initiator.finish(answer)) == "bad signature"


def test_a_man_in_the_middle_shows_in_the_short_string() -> None:
    """Mallory runs one handshake with each side; the strings people read differ."""
    alice = Initiator(ALICE, 1, Purpose.JOIN, cluster_id=None)
    toward_alice = Responder(b"m" * 32)
    toward_bob = Initiator(MALLORY, 1, Purpose.JOIN, cluster_id=None)
    bob = Responder(CLUSTER)
    toward_alice.receive(alice.receive(toward_alice.answer(alice.start())))
    bob.receive(toward_bob.receive(bob.answer(toward_bob.start())))
    assert alice.short_authentication_string == toward_alice.short_authentication_string
    assert bob.short_authentication_string == toward_bob.short_authentication_string
    assert alice.short_authentication_string != bob.short_authentication_string


def test_the_initiator_is_held_to_the_nonce_it_committed_to() -> None:
    """Or it could choose, once it has seen the other nonce, one that gives the string it wants."""
    initiator, responder = pair()
    draws = iter([b"p" * 32, b"n" * 32])
    initiator = Initiator(
        ALICE, 1, Purpose.MEMBER, cluster_id=CLUSTER, entropy=lambda _: next(draws)
    )
    welcome = responder.answer(initiator.start())
    initiator._nonce = b"x" * 32
    assert reason(lambda: responder.receive(initiator.receive(welcome))) == "broken commitment"


def test_people_compare_three_groups_on_both_sides() -> None:
    initiator, responder = pair(Purpose.JOIN)
    meet(initiator, responder, honest)
    shown = initiator.short_authentication_string
    assert shown == responder.short_authentication_string
    assert [len(group) for group in shown.split("-")] == [3, 3, 3]


def test_people_may_take_their_time() -> None:
    initiator, responder = pair(Purpose.JOIN)
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    for _ in range(3):
        assert initiator.finish(responder.wait()) is None
    assert initiator.finish(responder.accept(BOB, 1)) is not None
    assert initiator.session.transcript == responder.session.transcript


def test_a_waiting_message_that_was_dropped_or_repeated_ends_it() -> None:
    initiator, responder = pair(Purpose.JOIN)
    responder.receive(initiator.receive(responder.answer(initiator.start())))
    first, second = responder.wait(), responder.wait()
    initiator.finish(first)
    assert reason(lambda: initiator.finish(first)) == "message altered"
    assert reason(lambda: initiator.finish(second)) == "message altered"


def test_without_a_common_protocol_the_range_is_told() -> None:
    initiator, responder = pair()
    initiator.start()
    hello = Hello(MAGIC, 2, 9, crypto_scalarmult_base(b"k" * 32), bytes(32)).encode()
    with pytest.raises(HandshakeError) as failed:
        responder.answer(hello)
    assert failed.value.reason == "no common protocol"
    assert failed.value.reply is not None
    said = Welcome.decode(failed.value.reply)
    assert (said.least, said.greatest, said.chosen) == (1, 1, 0)
    reply = failed.value.reply
    assert reason(lambda: initiator.receive(reply)) == "no common protocol"


def test_another_protocol_altogether_is_refused() -> None:
    hello = Hello(b"somebody", 1, 1, crypto_scalarmult_base(b"k" * 32), bytes(32)).encode()
    assert reason(lambda: Responder(CLUSTER).answer(hello)) == "message malformed"


def test_a_key_of_small_order_is_refused() -> None:
    for weak in (bytes(32), b"\x01" + bytes(31)):
        responder = Responder(CLUSTER)
        responder.answer(Hello(MAGIC, 1, 1, weak, bytes(32)).encode())
        assert reason(partial(responder.receive, b"x" * 200)) == "weak key"
        initiator = pair()[0]
        initiator.start()
        welcome = Welcome(MAGIC, 1, 1, 1, weak, bytes(32)).encode()
        assert reason(partial(initiator.receive, welcome)) == "weak key"


def test_an_unknown_purpose_is_refused() -> None:
    initiator, responder = pair()
    welcome = responder.answer(initiator.start())
    initiator._purpose = "lunch"  # type: ignore[assignment]
    assert reason(lambda: responder.receive(initiator.receive(welcome))) == "unknown purpose"


def test_what_is_brought_along_is_limited() -> None:
    meet(*pair(extra=bytes(MAX_EXTRA_BYTES)), honest)
    assert reason(lambda: meet(*pair(extra=bytes(MAX_EXTRA_BYTES + 1)), honest)) == (
        "message malformed"
    )
    assert reason(lambda: Responder(CLUSTER).answer(bytes(9000))) == "message too large"
    nested = b"\x81" * 5000 + b"\x01"
    assert reason(lambda: Responder(CLUSTER).answer(nested)) == "message malformed"


def test_messages_out_of_order_are_refused() -> None:
    initiator, responder = pair()
    assert reason(lambda: initiator.receive(b"")) == "message out of order"
    assert reason(lambda: initiator.finish(b"")) == "message out of order"
    assert reason(lambda: initiator.short_authentication_string) == "message out of order"
    assert reason(lambda: responder.receive(b"")) == "message out of order"
    assert reason(lambda: responder.accept(BOB, 1)) == "message out of order"
    assert reason(lambda: responder.refuse("NO")) == "message out of order"
    assert reason(lambda: responder.wait()) == "message out of order"
    assert reason(lambda: responder.short_authentication_string) == "message out of order"
    meet(initiator, responder, honest)
    assert reason(lambda: responder.accept(BOB, 1)) == "message out of order"
    assert reason(lambda: responder.answer(b"")) == "message out of order"
    assert reason(lambda: initiator.finish(b"")) == "message out of order"


def test_records_of_the_handshake_are_read_strictly() -> None:
    hello = cbor.decode(pair()[0].start())
    for broken in (hello[:-1], [*hello, 1], [*hello[:-1], bytes(31)], [*hello[:-1], None]):
        data = cbor.encode(broken)
        assert reason(partial(Responder(CLUSTER).answer, data)) == "message malformed"
