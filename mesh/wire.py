"""Records as they travel: frozen dataclasses to arrays of CBOR and back, fields in their order.

An array has one form only, so what is signed is unambiguous, and a field costs no name. Decoding
checks every type and size that the annotations name; it never coerces.

    @dataclass(frozen=True, slots=True)
    class Ping(Wire):
        number: Counter
        target: Key | None
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Self

from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError

MAX_COUNTER = 2**63 - 1


class WireError(BuildNetError):
    """Bytes that are no record of the kind they were taken for; nothing of them is used."""

    code = "MESH_WIRE"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Limit:
    """Least and greatest length of a text (characters), bytes or tuple; or value of a number."""

    least: int
    greatest: int


Key = Annotated[bytes, Limit(32, 32)]  # an Ed25519 public key: who somebody is
Hash = Annotated[bytes, Limit(32, 32)]  # BLAKE3
ShortHash = Annotated[bytes, Limit(8, 8)]  # the beginning of one, to notice a difference
Signature = Annotated[bytes, Limit(64, 64)]
RandomId = Annotated[bytes, Limit(16, 16)]  # chance: names a question, a transfer or a lease
Counter = Annotated[int, Limit(0, MAX_COUNTER)]
Name = Annotated[str, Limit(1, 128)]
Text = Annotated[str, Limit(0, 1024)]


@dataclass(frozen=True, slots=True)
class Wire:
    """Base of records that travel. Fields: int, bool, float, str, bytes, another record, a tuple of
    such (``tuple[X, ...]``), each ``| None`` if need be, with a :class:`Limit` by ``Annotated``."""

    def encode(self) -> bytes:
        """Return the record as bytes."""
        return cbor.encode(self.as_array())

    def as_array(self) -> list[Any]:
        """Return the record as plain arrays and values."""
        return [_plain(getattr(self, name)) for name, _ in _plan(type(self))]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the record from bytes of any origin.

        Raises:
            WireError: they are none.
        """
        try:
            value = cbor.decode(data)
        except cbor.CborError as error:
            raise WireError(f"no {cls.__name__}: {error}") from error
        return cls.from_array(value)

    @classmethod
    def from_array(cls, value: object) -> Self:
        """Read the record from decoded values.

        Raises:
            WireError: they do not fit.
        """
        plan = _plan(cls)
        if not isinstance(value, list) or len(value) != len(plan):
            raise WireError(f"no {cls.__name__}: not an array of {len(plan)} values")
        arguments = []
        for (name, read), item in zip(plan, value, strict=True):
            try:
                arguments.append(read(item))
            except _MisfitError as misfit:
                raise WireError(f"no {cls.__name__}: {name} {misfit}") from None
        try:
            return cls(*arguments)
        except ValueError as error:  # a record's own check of its fields
            raise WireError(f"no {cls.__name__}: {error}") from error


class _MisfitError(Exception):
    """A value that does not fit its field."""


_Reader = Callable[[object], Any]


def _plain(value: Any) -> Any:
    if isinstance(value, Wire):
        return value.as_array()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


_Plan = tuple[tuple[str, _Reader], ...]
_plans: dict[type, _Plan] = {}


def _plan(record: type[Wire]) -> _Plan:
    plan = _plans.get(record)
    if plan is None:
        hints = typing.get_type_hints(record, include_extras=True)
        plan = tuple((field.name, _reader(hints[field.name])) for field in fields(record))
        _plans[record] = plan
    return plan


def _reader(hint: Any) -> _Reader:
    limit: Limit | None = None
    if typing.get_origin(hint) is Annotated:
        hint, *extras = typing.get_args(hint)
        limit = next((extra for extra in extras if isinstance(extra, Limit)), None)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = [option for option in typing.get_args(hint) if option is not type(None)]
        if len(inner) != 1:
            raise TypeError(f"a field holds one type or nothing, not {hint}")
        read = _reader(inner[0])
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        item, dots = typing.get_args(hint)
        if dots is not Ellipsis:
            raise TypeError(f"a field's tuple has items of one type, not {hint}")
        return _tuple_reader(_reader(item), limit)
    if isinstance(hint, type) and issubclass(hint, Wire):
        return _record_reader(hint)
    if hint in (int, bool, str, bytes, float):
        return _value_reader(hint, limit)
    raise TypeError(f"a record can't hold {hint}")


def _tuple_reader(read: _Reader, limit: Limit | None) -> _Reader:
    def of(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _MisfitError("is no array")
        _check(limit, len(value))
        return tuple(read(item) for item in value)

    return of


def _record_reader(record: type[Wire]) -> _Reader:
    def of(value: object) -> Wire:
        try:
            return record.from_array(value)
        except WireError as error:
            raise _MisfitError(f"holds {error.message}") from None

    return of


def _value_reader(kind: type, limit: Limit | None) -> _Reader:
    sized: Callable[[Any], int] = (lambda number: number) if kind in (int, float) else len

    def of(value: object) -> Any:
        if type(value) is not kind:
            raise _MisfitError(f"is no {kind.__name__}")
        if limit is not None:
            _check(limit, sized(value))
        return value

    return of


def _check(limit: Limit | None, size: int) -> None:
    if limit is not None and not limit.least <= size <= limit.greatest:
        raise _MisfitError(f"is outside {limit.least} to {limit.greatest}")
