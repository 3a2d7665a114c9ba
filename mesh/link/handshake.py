"""The handshake of a link: who is there, proven, and keys that only the two know.

A SIGMA-I exchange in the shape of Noise XX (Krawczyk 2003; noiseprotocol.org), with Ed25519
signatures instead of static Diffie-Hellman keys, and a commitment for the short authentication
string (Vaudenay 2005)::

    1  I -> R   protocol range, e_I, H(n_I)
    2  R -> I   protocol range and choice, e_R, n_R
    3  I -> R   sealed: n_I, purpose, identity, boot, extra, signature
    4  R -> I   sealed: cluster id, identity, boot, extra, signature; or a refusal,
                signed with identity if the initiator may know who refuses it;
                or "wait", as often as it takes, and then one of the two

The initiator proves itself first; until the responder decides, it has shown its protocol range and
nothing else. Both sign the whole transcript with direction and cluster id (zeros in 3 from who does
not know the cluster). A relay that changes, drops or swaps a bit anywhere ends the handshake. The
randomness is passed in; nothing here does I/O.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from nacl.bindings import crypto_scalarmult_base

from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import is_signed_by
from buildnet.mesh.link.envelope import PROTOCOL, Signer
from buildnet.mesh.link.frames import FrameError, FrameOpener, FrameSealer
from buildnet.mesh.link.session import (
    CONTEXT,
    Secrets,
    Session,
    hash_of,
    short_authentication_string,
)
from buildnet.mesh.messages.handshake import (
    MAGIC,
    Hello,
    ProvenRefusal,
    Refusal,
    SealedAnswer,
    SealedClaim,
    Welcome,
)
from buildnet.mesh.wire import Wire, WireError

MAX_MESSAGE_BYTES = 8 * 1024
NO_CLUSTER = bytes(32)
"""What stands for the cluster id where the initiator does not know it yet."""


Entropy = Callable[[int], bytes]
"""Returns that many unpredictable bytes."""


class Purpose(StrEnum):
    """What a connection is opened for."""

    MEMBER = "member"
    JOIN = "join"
    BULK = "bulk"


class HandshakeError(BuildNetError):
    """A handshake that came to nothing. ``reason`` is a few stable words to count it by.

    ``reply`` is what to tell the other side before closing; None: nothing.
    """

    code = "MESH_HANDSHAKE"
    http_status = 400

    def __init__(self, reason: str, detail: str = "", reply: bytes | None = None) -> None:
        super().__init__(f"the handshake failed: {reason}", cause=detail or None)
        self.reason = reason
        self.reply = reply


class HandshakeRefusedError(HandshakeError):
    """The responder refused; ``refusal`` is its code. ``refuser``: its key, proven; None: it has
    not shown who it is, so it may be anybody."""

    code = "MESH_REFUSED"

    def __init__(self, refusal: str, detail: str = "", refuser: bytes | None = None) -> None:
        super().__init__("refused by the other side", f"{refusal}: {detail}" if detail else refusal)
        self.refusal = refusal
        self.detail = detail
        self.refuser = refuser


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the initiator is (proven), what for it came, and what it brought (``extra``)."""

    purpose: Purpose
    key: bytes
    boot: int
    extra: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """Who the responder is (proven), and of which cluster."""

    cluster_id: bytes
    key: bytes
    boot: int
    extra: bytes


class Initiator:
    """The side that dialled: :meth:`start`, :meth:`receive`, then :meth:`finish` until accepted."""

    def __init__(
        self,
        key: Signer,
        boot: int,
        purpose: Purpose,
        *,
        cluster_id: bytes | None,
        extra: bytes = b"",
        expected: bytes | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        """``cluster_id`` None: not known, as for who wants to join. ``expected``: the key that
        must answer; None: whoever belongs to the cluster (the caller looks at who accepted)."""
        if cluster_id is None and purpose is not Purpose.JOIN:
            raise ValueError("who does not join belongs to a cluster")
        self._key = key
        self._boot = boot
        self._purpose = purpose
        self._cluster_id = cluster_id
        self._extra = extra
        self._expected = expected
        self._private = entropy(32)
        self._nonce = entropy(32)
        self._hello = b""
        self._secrets: Secrets | None = None
        self._sas_seed = b""
        self._opener: FrameOpener | None = None
        self._session: Session | None = None

    def start(self) -> bytes:
        """Return message 1."""
        self._hello = Hello(
            MAGIC, PROTOCOL, PROTOCOL, crypto_scalarmult_base(self._private), hash_of(self._nonce)
        ).encode()
        return self._hello

    def receive(self, welcome: bytes) -> bytes:
        """Take message 2 and return message 3.

        Raises:
            HandshakeError: it makes no sense, or there is no protocol in common.
        """
        if not self._hello or self._secrets is not None:
            raise HandshakeError("message out of order")
        said = _read(Welcome, welcome)
        if said.chosen != PROTOCOL:
            raise HandshakeError(
                "no common protocol",
                f"it speaks {said.least} to {said.greatest}, this node {PROTOCOL}",
            )
        self._secrets = _agree(self._private, said.ephemeral, self._hello, welcome)
        self._sas_seed = self._secrets.transcript + self._nonce
        sending_key, receiving_key = self._secrets.keys("identities")
        fields = [self._nonce, str(self._purpose), self._key.public_key, self._boot, self._extra]
        signed = _signed(
            "initiator", _claimed(self._purpose, self._cluster_id), self._secrets.transcript, fields
        )
        plain = cbor.encode([*fields, self._key.sign(signed)])
        sealed = FrameSealer(sending_key, MAX_MESSAGE_BYTES).seal(plain)
        self._secrets.add(sealed)
        self._opener = FrameOpener(receiving_key, MAX_MESSAGE_BYTES)
        return sealed

    def finish(self, message: bytes) -> Accepted | None:
        """Take message 4; None: the responder has not decided yet, call it again with the next.

        Raises:
            HandshakeRefusedError: it refused.
            HandshakeError: the message makes no sense or proves nothing, another node answered, or
                a node of another cluster.
        """
        if self._secrets is None or self._opener is None or self._session is not None:
            raise HandshakeError("message out of order")
        plain = _open(self._opener, message)
        if isinstance(said := _read_answer(plain), Refusal):
            self._secrets.add(message)
            if said.code:
                raise HandshakeRefusedError(said.code, said.detail)
            return None
        if isinstance(said, ProvenRefusal):
            said_so: list[object] = [said.code, said.detail, said.identity]
            signed = _signed(
                "refuser", self._cluster_id or NO_CLUSTER, self._secrets.transcript, said_so
            )
            if not is_signed_by(said.identity, signed, said.signature):
                raise HandshakeError("bad signature", f"as {said.identity.hex()[:16]}")
            raise HandshakeRefusedError(said.code, said.detail, said.identity)
        if self._cluster_id is not None and said.cluster_id != self._cluster_id:
            raise HandshakeError("wrong cluster", f"{said.cluster_id.hex()[:16]} answered")
        if self._expected is not None and said.identity != self._expected:
            raise HandshakeError("another node answered", f"{said.identity.hex()[:16]} answered")
        fields: list[object] = [said.identity, said.boot, said.extra]
        signed = _signed("responder", said.cluster_id, self._secrets.transcript, fields)
        if not is_signed_by(said.identity, signed, said.signature):
            raise HandshakeError("bad signature", f"as {said.identity.hex()[:16]}")
        self._secrets.add(message)
        sending_key, receiving_key = self._secrets.keys("frames")
        self._session = Session(self._secrets.transcript, sending_key, receiving_key)
        return Accepted(said.cluster_id, said.identity, said.boot, said.extra)

    @property
    def session(self) -> Session:
        """The session, once :meth:`finish` has returned who accepted."""
        return _present(self._session)

    @property
    def short_authentication_string(self) -> str:
        """What people compare, such as ``K7Q-2MX-9PD``, once message 2 was received."""
        return _compared(self._sas_seed)


class Responder:
    """The side that was dialled: :meth:`answer`, :meth:`receive`, then :meth:`accept` or
    :meth:`refuse`, perhaps after :meth:`wait`."""

    def __init__(self, cluster_id: bytes, *, entropy: Entropy = os.urandom) -> None:
        self._cluster_id = cluster_id
        self._private = entropy(32)
        self._nonce = entropy(32)
        self._commitment = b""
        self._ephemeral = b""
        self._hello = self._welcome = b""
        self._secrets: Secrets | None = None
        self._sas_seed = b""
        self._sealer: FrameSealer | None = None
        self._session: Session | None = None

    def answer(self, hello: bytes) -> bytes:
        """Take message 1 and return message 2.

        Raises:
            HandshakeError: it makes no sense, or there is no protocol in common (``reply`` then
                tells the other side the range).
        """
        if self._welcome:
            raise HandshakeError("message out of order")
        said = _read(Hello, hello)
        common = said.least <= PROTOCOL <= said.greatest
        welcome = Welcome(
            MAGIC,
            PROTOCOL,
            PROTOCOL,
            PROTOCOL if common else 0,
            crypto_scalarmult_base(self._private),
            self._nonce,
        ).encode()
        if not common:
            raise HandshakeError(
                "no common protocol", f"it speaks {said.least} to {said.greatest}", reply=welcome
            )
        self._commitment, self._ephemeral = said.commitment, said.ephemeral
        self._hello, self._welcome = hello, welcome
        return welcome

    def receive(self, message: bytes) -> Claim:
        """Take message 3: who is there, proven. Whether it may come in is the caller's to decide.

        Raises:
            HandshakeError: it makes no sense or proves nothing.
        """
        if not self._welcome or self._secrets is not None:
            raise HandshakeError("message out of order")
        secrets = _agree(self._private, self._ephemeral, self._hello, self._welcome)
        receiving_key, sending_key = secrets.keys("identities")
        said = _read(SealedClaim, _open(FrameOpener(receiving_key, MAX_MESSAGE_BYTES), message))
        if hash_of(said.nonce) != self._commitment:
            raise HandshakeError("broken commitment")
        try:
            purpose = Purpose(said.purpose)
        except ValueError as error:
            raise HandshakeError("unknown purpose", said.purpose) from error
        fields = [said.nonce, said.purpose, said.identity, said.boot, said.extra]
        signed = _signed(
            "initiator", _claimed(purpose, self._cluster_id), secrets.transcript, fields
        )
        if not is_signed_by(said.identity, signed, said.signature):
            raise HandshakeError("wrong cluster or signature", f"as {said.identity.hex()[:16]}")
        self._sas_seed = secrets.transcript + said.nonce
        secrets.add(message)
        self._secrets = secrets
        self._sealer = FrameSealer(sending_key, MAX_MESSAGE_BYTES)
        return Claim(purpose, said.identity, said.boot, said.extra)

    def accept(self, key: Signer, boot: int, extra: bytes = b"") -> bytes:
        """Return message 4, in which this node proves itself; :attr:`session` is there then."""
        secrets = self._undecided()
        fields = [key.public_key, boot, extra]
        signed = _signed("responder", self._cluster_id, secrets.transcript, fields)
        message = self._say(cbor.encode([self._cluster_id, *fields, key.sign(signed)]))
        receiving_key, sending_key = secrets.keys("frames")
        self._session = Session(secrets.transcript, sending_key, receiving_key)
        return message

    def refuse(self, code: str, detail: str = "", *, key: Signer | None = None) -> bytes:
        """Return message 4 that refuses; close after it. It tells nothing of this node, unless
        ``key`` is to prove who says so."""
        secrets = self._undecided()
        code, detail = code[:64] or "REFUSED", detail[:1024]
        refusal: Wire = Refusal(code, detail)
        if key is not None:
            fields: list[object] = [code, detail, key.public_key]
            signed = _signed("refuser", self._cluster_id, secrets.transcript, fields)
            refusal = ProvenRefusal(code, detail, key.public_key, key.sign(signed))
        message = self._say(refusal.encode())
        self._secrets = None
        return message

    def wait(self) -> bytes:
        """Return a message that asks the initiator to wait until people have decided."""
        self._undecided()
        return self._say(Refusal("", "").encode())

    @property
    def session(self) -> Session:
        """The session, once :meth:`accept` was called."""
        return _present(self._session)

    @property
    def short_authentication_string(self) -> str:
        """What people compare, once message 3 was received."""
        return _compared(self._sas_seed)

    def _undecided(self) -> Secrets:
        if self._secrets is None or self._session is not None:
            raise HandshakeError("message out of order")
        return self._secrets

    def _say(self, plain: bytes) -> bytes:
        message = _present(self._sealer).seal(plain)
        _present(self._secrets).add(message)
        return message


_Record = TypeVar("_Record", bound=Wire)
_Value = TypeVar("_Value")


def _agree(private: bytes, ephemeral: bytes, hello: bytes, welcome: bytes) -> Secrets:
    try:
        return Secrets.agree(private, ephemeral, hello, welcome)
    except ValueError as error:
        raise HandshakeError("weak key", str(error)) from error


def _claimed(purpose: Purpose, cluster_id: bytes | None) -> bytes:
    """Return the cluster id that message 3 is bound to: who joins may not know it yet."""
    return NO_CLUSTER if purpose is Purpose.JOIN or cluster_id is None else cluster_id


def _signed(direction: str, cluster_id: bytes, transcript: bytes, fields: list[object]) -> bytes:
    return cbor.encode([CONTEXT, direction, PROTOCOL, cluster_id, transcript, fields])


def _read(record: type[_Record], data: bytes) -> _Record:
    if len(data) > MAX_MESSAGE_BYTES:
        raise HandshakeError("message too large", f"{len(data)} bytes")
    try:
        said = record.decode(data)
    except WireError as error:
        raise HandshakeError("message malformed", error.message) from error
    if isinstance(said, Hello | Welcome) and said.magic != MAGIC:
        raise HandshakeError("message malformed", "another protocol altogether")
    return said


def _read_answer(plain: bytes) -> SealedAnswer | ProvenRefusal | Refusal:
    for refusal in (Refusal, ProvenRefusal):
        with suppress(WireError):
            return refusal.decode(plain)
    return _read(SealedAnswer, plain)


def _open(opener: FrameOpener, message: bytes) -> bytes:
    try:
        return opener.open(message)
    except FrameError as error:
        raise HandshakeError("message altered", error.message) from error


def _present(value: _Value | None) -> _Value:
    if value is None:
        raise HandshakeError("message out of order")
    return value


def _compared(seed: bytes) -> str:
    if not seed:
        raise HandshakeError("message out of order")
    return short_authentication_string(seed)
