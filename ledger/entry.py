"""One fact of the ledger: what happened, who did it and why; hashed, signed and chained.

The body is an array of CBOR. Its fields of fixed size stand first, so a chain is checked without
decoding it. The hash is BLAKE3 of the body as it was received, the signature is of the hash; what
is stored and relayed is the signature followed by the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from blake3 import blake3

from buildnet.mesh.wire import Counter, Hash, Key, Limit, Wire, WireError

MAX_ENTRY_BYTES = 48 * 1024
MAX_DATA_CHARACTERS = 40 * 1024
MAX_POSTINGS = 64
NO_ENTRY = bytes(32)
"""What the first entry of a chain names as the previous one."""
SIGNATURE_BYTES = 64
_SIGNED = b"buildnet ledger entry 1\0"
_PREVIOUS = slice(SIGNATURE_BYTES + 80, SIGNATURE_BYTES + 112)

Incarnation = Annotated[bytes, Limit(8, 8)]
TypeName = Annotated[str, Limit(1, 64)]
Account = Annotated[str, Limit(1, 256)]


class ActorKind(StrEnum):
    """What kind of somebody did it."""

    USER = "user"
    AGENT = "agent"
    SERVICE = "service"
    NODE = "node"
    SYSTEM = "system"


class Side(StrEnum):
    """Which side of an account a posting is on."""

    DEBIT = "debit"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True)
class Actor(Wire):
    """Who did something. ``id``: a node id, a key's id or an account's name."""

    id: Annotated[str, Limit(1, 128)]
    name: Annotated[str, Limit(0, 128)]
    kind: Annotated[str, Limit(1, 16)]

    def __post_init__(self) -> None:
        ActorKind(self.kind)


@dataclass(frozen=True, slots=True)
class Posting(Wire):
    """One side of a change of an account.

    A quantity has a ``unit`` ("cores", "bytes") and an ``amount`` > 0; its debits and credits are
    equal per unit within one entry. A state has an empty unit, amount 0 and the ``state``: the
    debit names the account's old state, the credit its new one.
    """

    account: Account
    side: Annotated[str, Limit(1, 8)]
    unit: Annotated[str, Limit(0, 32)]
    amount: Counter
    state: Annotated[str, Limit(0, 1024)]

    def __post_init__(self) -> None:
        Side(self.side)
        if (self.unit == "") is (self.amount > 0):
            raise ValueError("a quantity has a unit and an amount, a state has neither")
        if self.unit and self.state:
            raise ValueError("a quantity has no state")


@dataclass(frozen=True, slots=True)
class Chain:
    """The name of one origin's chain."""

    origin: bytes
    incarnation: bytes

    def __lt__(self, other: Chain) -> bool:
        return (self.origin, self.incarnation) < (other.origin, other.incarnation)


@dataclass(frozen=True, slots=True)
class Body(Wire):
    """What an entry says. ``hlc``: hybrid clock; ``data``: a JSON object as text; ``entity``: what
    it is about, such as ``config:NAME``; ``request``: the same request is recorded once."""

    cluster: Hash
    origin: Key
    incarnation: Incarnation
    previous: Hash
    sequence: Annotated[int, Limit(1, 2**63 - 1)]
    hlc: Counter
    type: TypeName
    actor: Actor
    reason: Annotated[str, Limit(0, 1024)]
    correlation: Annotated[str, Limit(0, 128)]
    entity: Annotated[str, Limit(0, 256)]
    request: Annotated[bytes, Limit(0, 32)]
    data: Annotated[str, Limit(2, MAX_DATA_CHARACTERS)]
    postings: Annotated[tuple[Posting, ...], Limit(0, MAX_POSTINGS)]


@dataclass(frozen=True)
class Entry:
    """An entry as it is stored and relayed: :attr:`signed` is the signature and the body."""

    body: Body
    signed: bytes

    @classmethod
    def sign(cls, body: Body, sign: Callable[[bytes], bytes]) -> Self:
        """Return ``body`` as an entry of the origin whose key ``sign`` signs with.

        Raises:
            ValueError: it is too long.
        """
        raw = body.encode()
        if len(raw) + SIGNATURE_BYTES > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
        return cls(body, sign(_SIGNED + blake3(raw).digest()) + raw)

    @classmethod
    def decode(cls, signed: bytes) -> Self:
        """Read an entry from bytes of any origin; its signature is not checked here.

        Raises:
            WireError: they are none.
        """
        if not SIGNATURE_BYTES < len(signed) <= MAX_ENTRY_BYTES:
            raise WireError("no entry: too long or too short")
        body = Body.decode(signed[SIGNATURE_BYTES:])
        check_data(body.data)
        return cls(body, signed)

    @cached_property
    def hash(self) -> bytes:
        """BLAKE3 of the body as it was received."""
        return hash_of(self.signed)

    @property
    def id(self) -> str:
        """The hash as people write it."""
        return self.hash.hex()

    @property
    def chain(self) -> Chain:
        """The chain that it belongs to."""
        return Chain(self.body.origin, self.body.incarnation)

    @property
    def order(self) -> tuple[int, bytes, bytes, int]:
        """The canonical order of the entries of one seal."""
        body = self.body
        return (body.hlc, body.origin, body.incarnation, body.sequence)

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object."""
        value: dict[str, Any] = json.loads(self.body.data)
        return value

    def is_signed(self, verify: Callable[[bytes, bytes, bytes], bool]) -> bool:
        """Tell whether its origin signed it. ``verify(key, message, signature)``."""
        said = _SIGNED + self.hash
        return verify(self.body.origin, said, self.signed[:SIGNATURE_BYTES])


def hash_of(signed: bytes) -> bytes:
    """Return the hash of an entry as it is stored, without decoding it."""
    return blake3(memoryview(signed)[SIGNATURE_BYTES:]).digest()


def previous_of(signed: bytes) -> bytes:
    """Return the hash that a stored entry names as the previous one, without decoding it."""
    return signed[_PREVIOUS]


def statement_of(entry_hash: bytes) -> bytes:
    """Return what the origin signs."""
    return _SIGNED + entry_hash


def as_data(value: dict[str, Any]) -> str:
    """Return a JSON object as the text that an entry carries."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def check_data(text: str) -> None:
    """Check that ``text`` is one JSON object, each name once, no NaN.

    Raises:
        WireError: it is not.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WireError(f"no entry: its data is no JSON object: {error}") from error
    if not isinstance(value, dict):
        raise WireError("no entry: its data is no JSON object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"no place for {name}")
