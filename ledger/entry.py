"""One fact of the ledger: what happened, who did it and why; hashed, signed and chained.

The body is an array of CBOR. Its fields of fixed size stand first, so a chain is checked without
decoding it. The hash is BLAKE3 of the body as it was received, the signature is of the hash; what
is stored and relayed is the signature followed by the body.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar

from blake3 import blake3

from buildnet.mesh import cbor
from buildnet.mesh.wire import Counter, Hash, Key, Limit, Wire, WireError

MAX_ENTRY_BYTES = 48 * 1024
MIN_ENTRY_BYTES = 64 + 135
"""A signature and a body of which all that may be empty is."""
MAX_DATA_CHARACTERS = 40 * 1024
MAX_DATA_DEPTH = 16
"""Objects and lists within each other."""
MAX_POSTINGS = 64
NO_ENTRY = bytes(32)
"""What the first entry of a chain names as the previous one."""
SIGNATURE_BYTES = 64
_SIGNED = b"buildnet ledger entry 1\0"
_TYPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
# What is printable depends on the Unicode version, and nodes must not disagree: ASCII only.
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


_ACTOR_KINDS = frozenset(ActorKind)


class Side(StrEnum):
    """Which side of an account a posting is on."""

    DEBIT = "debit"
    CREDIT = "credit"


_SIDES = frozenset(Side)


@dataclass(frozen=True, slots=True)
class Actor(Wire):
    """Who did something. ``id``: a node id, a key's id or an account's name."""

    id: Annotated[str, Limit(1, 128)]
    name: Annotated[str, Limit(0, 128)]
    kind: Annotated[str, Limit(1, 16)]

    def __post_init__(self) -> None:
        if self.kind not in _ACTOR_KINDS:
            raise ValueError(f"{self.kind!r:.40} is no kind of actor")
        _check_text(self.id, self.name)


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
        if self.side not in _SIDES:
            raise ValueError(f"{self.side!r:.40} is no side of an account")
        _check_text(self.account, self.unit)
        if (self.unit == "") is (self.amount > 0):
            raise ValueError("a quantity has a unit and an amount, a state has neither")
        if self.unit and self.state:
            raise ValueError("a quantity has no state")


class Chain(NamedTuple):
    """The name of one origin's chain; they sort by it."""

    origin: bytes
    incarnation: bytes


class _Checked:
    """Keeps the bytes of a record that were checked, since nothing in it ever changes."""

    __slots__ = ("_raw",)


@dataclass(frozen=True, slots=True)
class Body(Wire, _Checked):
    """What an entry says. ``hlc``: hybrid clock; ``type``: words in lower case with points between
    them; ``data``: a JSON object as :func:`as_data` writes it; ``entity``: what it is about, such
    as ``config:NAME``; ``request``: 16 to 32 random bytes, or none; the same request is recorded
    once. Texts hold no control characters, but for ``reason`` and states."""

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

    def __post_init__(self) -> None:
        if not _is_type(self.type):
            raise ValueError("a type is words in lower case with points between them")
        if 0 < len(self.request) < 16:
            raise ValueError("a request has 16 to 32 bytes, or none")
        _check_text(self.correlation, self.entity)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a body from bytes of any origin, as any record, but faster: a check of many entries
        spends its time here.

        Raises:
            WireError: they are none.
        """
        with suppress(cbor.CborError):
            body, size = cls._read(cbor.decode_beginning(data))
            if body is not None and size == len(data):
                return body
        return super(Body, cls).decode(data)  # it tells what is wrong

    @classmethod
    def from_array(cls, value: object) -> Self:
        """Read a body from decoded values, as any record, but faster.

        Raises:
            WireError: they do not fit.
        """
        body, _ = cls._read(value)
        return body if body is not None else super(Body, cls).from_array(value)

    @classmethod
    def _read(cls, value: object) -> tuple[Self | None, int]:
        """Return a body of decoded values, or None if they do not fit; and how many bytes they
        take in the shortest form: whoever was given more has another form, or bytes left over."""
        try:
            size = _size_of(value, _body_shape)
            if not size:
                return None, 0
            values: list[Any] = list(typing.cast(list[Any], value))
            values[_ACTOR], taken = _actor_of(*values[_ACTOR])
            size += taken
            postings: list[Posting] = []
            for one in values[-1]:
                taken = _size_of(one, _posting_shape)
                if not taken:
                    return None, 0
                size += taken
                postings.append(Posting(*one))
            values[-1] = tuple(postings)
            return cls(*values), size
        except (WireError, ValueError, TypeError):
            return None, 0

    def check(self) -> bytes:
        """Return the body's bytes, which everybody can read.

        Raises:
            WireError: nobody could: it is too long, or a field is not as it should be.
            ValueError: a text has a lone surrogate.
        """
        raw: bytes | None = getattr(self, "_raw", None)
        if raw is not None:
            return raw
        array = self.as_array()
        try:
            raw = cbor.encode(array)
        except cbor.CborError as error:
            raise WireError(f"no entry: {error}") from error
        _check_size(SIGNATURE_BYTES + len(raw))
        Body.from_array(array)  # as everybody will who decodes it
        check_data(self.data)
        object.__setattr__(self, "_raw", raw)
        return raw


@lru_cache(maxsize=1024)
def _is_type(name: str) -> bool:
    return _TYPE.fullmatch(name) is not None


_Shape = tuple[tuple[type, int, int], ...]
"""Of a record's fields: decoded type, least and greatest size or value."""


def _shape_of(record: type[Wire]) -> _Shape:
    return tuple(map(_field, typing.get_type_hints(record, include_extras=True).values()))


def _field(hint: Any) -> tuple[type, int, int]:
    if typing.get_origin(hint) is not Annotated:
        return (list, 0, MAX_ENTRY_BYTES)
    kind, limit = typing.get_args(hint)[:2]
    return (list if typing.get_origin(kind) is tuple else kind, limit.least, limit.greatest)


def _size_of(value: Any, shape: _Shape) -> int:
    """Return how many bytes a record takes in the shortest form, without what lists in it hold;
    0: its values do not fit."""
    if type(value) is not list or len(value) != len(shape):
        return 0
    total = 1  # a record has less than 24 fields
    for item, (kind, least, greatest) in zip(value, shape, strict=True):
        found = type(item)
        if found is not kind:
            return 0
        if kind is int:
            if not least <= item <= greatest:
                return 0
            total += _head_of(item) if item > 23 else 1
            continue
        size = len(item)
        if not least <= size <= greatest:
            return 0
        if kind is str and not item.isascii():
            size = len(item.encode())
        total += _head_of(size) if size > 23 else 1
        if kind is not list:
            total += size
    return total


def _head_of(number: int) -> int:
    """Return how many bytes a number takes, or what tells a length."""
    if number < 256:
        return 1 if number < 24 else 2
    return 3 if number < 1 << 16 else 5 if number < 1 << 32 else 9


@lru_cache(maxsize=1024)
def _actor_of(*values: object) -> tuple[Actor, int]:
    """Return the actor of decoded values, and how many bytes they take in the shortest form,
    without the head of their array."""
    return Actor.from_array(list(values)), _size_of(list(values), _actor_shape) - 1


_body_shape = _shape_of(Body)
_posting_shape = _shape_of(Posting)
_actor_shape = _shape_of(Actor)
_ACTOR = [field.name for field in fields(Body)].index("actor")


_T = TypeVar("_T")


class _Once(Generic[_T]):
    """A property that is worked out once. That of functools takes a lock each time, which costs
    as much as a hash."""

    def __init__(self, work_out: Callable[[Any], _T]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> _T:
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value


@dataclass(frozen=True)
class Entry:
    """An entry as it is stored and relayed: :attr:`signed` is the signature and the body."""

    body: Body
    signed: bytes

    @classmethod
    def sign(cls, body: Body, sign: Callable[[bytes], bytes]) -> Self:
        """Return ``body`` as an entry of the origin whose key ``sign`` signs with.

        Raises:
            ValueError: nobody could read it: it is too long, or a field is not as it should be.
        """
        try:
            raw = body.check()
        except WireError as error:
            raise ValueError(error.message) from error
        return cls(body, sign(_SIGNED + blake3(raw).digest()) + raw)

    @classmethod
    def decode(cls, signed: bytes) -> Self:
        """Read an entry from bytes of any origin; its signature is not checked here.

        Raises:
            WireError: they are none.
        """
        _check_size(len(signed))
        body = Body.decode(signed[SIGNATURE_BYTES:])
        check_data(body.data)
        return cls(body, signed)

    @_Once
    def hash(self) -> bytes:
        """BLAKE3 of the body as it was received."""
        return hash_of(self.signed)

    @property
    def id(self) -> str:
        """The hash as people write it."""
        return self.hash.hex()

    @_Once
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
    """Return a JSON object as the text that an entry carries: names sorted, no spaces.

    Raises:
        ValueError: there is a number in it that is infinite or none.
        TypeError: there is something in it that is no JSON.
    """
    return _encoder.encode(value)


def check_data(text: str) -> None:
    """Check that ``text`` is one JSON object in the only form that it has: as :func:`as_data`
    writes it, so no name stands twice; whole numbers of 64 bits at most, at most
    :data:`MAX_DATA_DEPTH` deep.

    Raises:
        WireError: it is not.
    """
    try:
        value = _decoder.decode(text)
        again = "".join(_write(value, 0))
    except (ValueError, RecursionError) as error:
        raise WireError(f"no entry: its data is no JSON object: {error}") from error
    if not isinstance(value, dict):
        raise WireError("no entry: its data is no JSON object")
    if again != text:
        raise WireError("no entry: its data has another form than it should")
    # What the decoder can take depends on its stack; what the ledger takes must not.
    if text.count("{") + text.count("[") > MAX_DATA_DEPTH and _is_deep(value):
        raise WireError(f"no entry: its data is more than {MAX_DATA_DEPTH} deep")


def _check_size(size: int) -> None:
    if not MIN_ENTRY_BYTES <= size <= MAX_ENTRY_BYTES:
        raise WireError("no entry: too long or too short")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DATA_DEPTH):
        below: list[Any] = []
        for item in level:
            below += item.values() if isinstance(item, dict) else item
        level = [item for item in below if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _check_text(*texts: str) -> None:
    for text in texts:
        plain = text.isascii() and text.isprintable()  # most are, and it is told at once
        if not plain and _CONTROLS.search(text) is not None:
            raise ValueError("a text holds control characters")


def _whole(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else 2**64
    if not -(2**63) <= number < 2**63:
        raise ValueError("a whole number needs more than 64 bits")
    return number


def _refuse(name: str) -> None:
    raise ValueError(f"no place for {name}")


_encoder = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
# As ``_encoder.encode``, which makes such a writer for each call.
_write = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", True, False, False
)
_decoder = json.JSONDecoder(parse_int=_whole, parse_constant=_refuse)
