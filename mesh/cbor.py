"""CBOR as the mesh speaks it: a strict subset, since every byte from outside is hostile.

Integers between -2**64 and 2**64, finite 64-bit floats, text, bytes, arrays, booleans and null. No
maps, no tags, nothing of indefinite length, no depth beyond 16, no byte left over, and one form
only for each value (RFC 8949, preferred serialization save for floats; hostile-input rules of
mesh.md).
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import cbor2

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
"""Arrays within arrays."""

_MAX_INTEGER = 2**64
_SIMPLE = (bytes, str, bool, type(None))


class CborError(ValueError):
    """Bytes or values that the mesh's CBOR has no place for."""


def encode(value: Any) -> bytes:
    """Return ``value`` as bytes; tuples become arrays.

    Raises:
        CborError: something in it can't travel.
    """
    _check(value)
    try:
        return cbor2.dumps(value)
    except (cbor2.CBORError, ValueError) as error:  # text with lone surrogates
        raise CborError(f"a value can't be written as CBOR: {error}") from error


def decode(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one value from bytes of any origin; arrays become lists.

    Raises:
        CborError: it is longer than ``max_bytes``, or not what :func:`encode` writes.
    """
    value = decode_beginning(data, max_bytes=max_bytes)
    try:
        _check(value)
        again = cbor2.dumps(value)
    except CborError:
        raise
    except Exception as error:  # whatever it makes of hostile values, they are refused
        raise CborError(f"no CBOR: {error}") from error
    if again != data:  # a longer form of a number or length, or bytes left over
        raise CborError("CBOR in another form than the shortest, or with bytes left over")
    return value


def decode_beginning(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read the value that bytes of any origin begin with: no map, no tag, nothing of indefinite
    length. For whoever checks the type of each value, and that no shorter form holds the same: all
    else should :func:`decode`.

    Raises:
        CborError: it is longer than ``max_bytes``, or none.
    """
    if len(data) > max_bytes:
        raise CborError(f"{len(data)} bytes of CBOR, {max_bytes} at most")
    try:
        return cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            object_hook=_no_map,
            tag_hook=_no_tag,
            semantic_decoders=_no_tags,
        )
    except CborError:
        raise
    except Exception as error:  # whatever a decoder makes of hostile bytes, they are refused
        raise CborError(f"no CBOR: {error}") from error


def _check(value: Any) -> None:
    """Refuse what is outside the subset; level by level, so depth can't exhaust the stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _SIMPLE:
                continue
            if kind is int:
                if not -_MAX_INTEGER <= item < _MAX_INTEGER:
                    raise CborError("an integer needs more than 64 bits")
            elif kind is list or kind is tuple:
                below += item
            elif kind is not float or not math.isfinite(item):
                raise CborError(f"no place for {item!r:.40} ({kind.__name__})")
        if not below:
            return
        level = below
    raise CborError(f"arrays nested deeper than {MAX_DEPTH}")


def _no_map(*_: object) -> NoReturn:
    raise CborError("a map")


def _no_tag(*_: object) -> NoReturn:
    raise CborError("a tag")


_no_tags = dict.fromkeys(
    # Every tag that cbor2 gives a meaning, some of them costly (regular expressions) or cyclic.
    (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _no_tag,
)
