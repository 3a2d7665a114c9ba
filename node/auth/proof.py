"""Proof of possession: an agent signs each request, so that a copy of its key alone is of no use.

The header ``BuildNet-Proof`` holds five words: ``v1``, the time (seconds since 1970), a nonce (16
to 64 letters, digits, ``-`` and ``_``), the SHA-256 of the body (hexadecimal) and a signature
(Ed25519, base64) of the lines that :func:`statement` returns. A proof counts once, and for
:data:`WINDOW_S` before and after its time.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import math
import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from buildnet.mesh.identity import is_signed_by
from buildnet.node.auth.refusal import ProofError

HEADER = "buildnet-proof"
WINDOW_S = 60.0
MOST_NONCES = 100_000
_PARTS = re.compile(r"v1 ([0-9]{1,12}) ([A-Za-z0-9_-]{16,64}) ([0-9a-f]{64}) ([A-Za-z0-9+/]{86}==)")


@dataclass(frozen=True, slots=True)
class Request:
    """What a proof is of. ``target``: path and query as they are sent; ``key``: the key's id."""

    method: str
    target: str
    key: str


@dataclass(frozen=True, slots=True)
class Proof:
    """``time``: seconds since 1970; ``body_sha256``: 32 bytes; ``signature``: 64 bytes."""

    time: int
    nonce: str
    body_sha256: bytes
    signature: bytes

    @classmethod
    def read(cls, header: str) -> Proof:
        """Read the header.

        Raises:
            ProofError: it is none.
        """
        parts = _PARTS.fullmatch(header)
        if parts is None:
            raise _refused("it has another form than it should")
        time, nonce, digest, signature = parts.groups()
        try:
            signed = b64decode(signature, validate=True)
        except binascii.Error as error:
            raise _refused("its signature is no base64") from error
        return cls(int(time), nonce, bytes.fromhex(digest), signed)

    @classmethod
    def make(
        cls,
        request: Request,
        sign: Callable[[bytes], bytes],
        *,
        time: int,
        nonce: str,
        body_sha256: bytes,
    ) -> Proof:
        """Sign a request with the agent's key."""
        said = statement(request, time, nonce, body_sha256)
        return cls(time, nonce, body_sha256, sign(said))

    def __str__(self) -> str:
        signature = b64encode(self.signature).decode("ascii")
        return f"v1 {self.time} {self.nonce} {self.body_sha256.hex()} {signature}"


def statement(request: Request, time: int, nonce: str, body_sha256: bytes) -> bytes:
    """Return what the agent signs."""
    lines = (
        "buildnet-proof-v1",
        request.method,
        request.target,
        request.key,
        str(time),
        nonce,
        body_sha256.hex(),
    )
    return "\n".join(lines).encode()


class Proofs:
    """Remembers which proofs were used. ``started``: seconds since 1970; older ones may have been
    used with the node that ran before, so they do not count. ``before``: of keys (their ids) that
    were used with a clock that is ahead, up to when theirs may; None: nobody knows, so for all."""

    def __init__(
        self, started: float, before: Mapping[str, int] | None = MappingProxyType({})
    ) -> None:
        self._started = math.ceil(started)
        self._before = before
        self._used: set[tuple[str, str]] = set()
        self._order: deque[tuple[float, tuple[str, str]]] = deque()

    def check(self, proof: Proof, request: Request, agent: bytes, now: float) -> None:
        """See that ``agent`` (public key) made this request now, and that it is a new one.

        Raises:
            ProofError: not so.
        """
        if proof.time <= self._used_up_to(request.key):
            raise _refused(
                "it may have been used before this node started anew",
                hint="sign the request anew in some seconds, and set the clock of the agent's host",
            )
        if abs(proof.time - now) > WINDOW_S or proof.time < self._started:
            raise _refused(
                "its time is too far from that of this host",
                hint=f"sign each request anew, and see that clocks differ by {WINDOW_S:.0f} s "
                "at most",
            )
        said = statement(request, proof.time, proof.nonce, proof.body_sha256)
        if not is_signed_by(agent, said, proof.signature):
            raise _refused("its signature is not that of the agent that the key is bound to")
        if (request.key, proof.nonce) in self._used:
            raise _refused("it was used before")

    def _used_up_to(self, key: str) -> float:
        return self._started + WINDOW_S if self._before is None else self._before.get(key, 0)

    def remember(self, proof: Proof, key: str, now: float) -> None:
        """Take note of a proof that was checked, of the key with this id: it counts no more.

        Raises:
            ProofError: there is no room for it.
        """
        self._forget(now)
        if len(self._used) >= MOST_NONCES:
            raise _refused("too many were used of late", hint="try again in a minute")
        used = (key, proof.nonce)
        self._used.add(used)
        # A proof from the future counts for longer than one of now.
        self._order.append((max(now, proof.time) + WINDOW_S + 1, used))

    def _forget(self, now: float) -> None:
        while self._order and self._order[0][0] < now:
            self._used.discard(self._order.popleft()[1])


def require_body(sha256: bytes, body: bytes) -> None:
    """See that a body is the one that was signed.

    Raises:
        ProofError: it is another one.
    """
    if not hmac.compare_digest(hashlib.sha256(body).digest(), sha256):
        raise _refused("the body is not the one that was signed")


def _refused(cause: str, hint: str | None = None) -> ProofError:
    return ProofError(
        "the proof that the key's agent asks does not count",
        cause=cause,
        hint=hint or "sign the request as docs/how-to/keys-for-agents.md tells",
    )
