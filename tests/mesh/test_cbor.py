from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh import cbor

LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
VALUES = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=5), max_leaves=30)


@given(VALUES)
def test_values_come_back_as_they_went(value: Any) -> None:
    again = cbor.decode(cbor.encode(value))
    assert again == value
    assert repr(again) == repr(value)  # 1, 1.0 and True stay apart


def test_tuples_travel_as_arrays() -> None:
    assert cbor.decode(cbor.encode((1, (2, "3")))) == [1, [2, "3"]]


@given(st.binary(max_size=80))
def test_bytes_of_any_origin_are_refused_or_are_the_one_form(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except cbor.CborError:
        return
    assert cbor.encode(value) == data


@given(VALUES, st.data())
def test_a_cut_or_longer_encoding_is_refused(value: Any, data: st.DataObject) -> None:
    encoded = cbor.encode(value)
    with pytest.raises(cbor.CborError):
        cbor.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(cbor.CborError):
        cbor.decode(encoded + data.draw(st.binary(min_size=1, max_size=3)))


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("an empty map", "a0"),
        ("a map", "a1616101"),
        ("a map with a key twice", "a2616101616102"),
        ("a date", "c100"),
        ("a big number", "c249010000000000000000"),
        ("a regular expression", "d8236161"),
        ("a cycle", "d81c81d81d00"),
        ("a set", "d9010281 01"),
        ("a reference to text", "d9010080"),
        ("a tag of nobody", "d9999901"),
        ("a tag for nothing", "d9d9f701"),
        ("undefined", "f7"),
        ("a simple value", "e5"),
        ("an indefinite array", "9f01ff"),
        ("indefinite bytes", "5f4101ff"),
        ("1 in two bytes", "1801"),
        ("1 in nine bytes", "1b0000000000000001"),
        ("a length in two bytes", "580161"),
        ("a half float", "f93c00"),
        ("not a number", "fb7ff8000000000000"),
        ("infinity", "fb7ff0000000000000"),
        ("bytes that are no text", "61ff"),
        ("half of a surrogate pair", "63eda080"),
        ("a length of 2**59", "5b0800000000000000"),
        ("an array of 2**59", "9b0800000000000000"),
        ("nothing", ""),
        ("two values", "0101"),
    ],
)
def test_what_the_subset_has_no_place_for(what: str, data: str) -> None:
    with pytest.raises(cbor.CborError):
        cbor.decode(bytes.fromhex(data))


def test_no_tag_is_ever_acted_upon() -> None:
    for number in range(2**16):
        with pytest.raises(cbor.CborError):
            cbor.decode(b"\xd9" + number.to_bytes(2, "big") + b"\x80")


def test_nesting_ends_at_sixteen() -> None:
    deepest: Any = 1
    for _ in range(cbor.MAX_DEPTH):
        deepest = [deepest]
    assert cbor.decode(cbor.encode(deepest)) == deepest
    with pytest.raises(cbor.CborError):
        cbor.encode([deepest])
    with pytest.raises(cbor.CborError):
        cbor.decode(b"\x81" + cbor.encode(deepest))
    with pytest.raises(cbor.CborError):
        cbor.decode(b"\x81" * 60_000 + b"\x01")


def test_size_is_checked_before_anything_is_read() -> None:
    data = cbor.encode(b"x" * cbor.MAX_BYTES)
    with pytest.raises(cbor.CborError):
        cbor.decode(data)
    assert cbor.decode(data, max_bytes=len(data)) == b"x" * cbor.MAX_BYTES


def test_a_map_of_colliding_keys_is_not_built() -> None:
    modulus = 2**61 - 1  # of Python's hash of integers
    keys = b"".join(cbor2.dumps(modulus * n) + b"\x00" for n in range(1, 5000))
    hostile = b"\xb9" + (4999).to_bytes(2, "big") + keys
    with pytest.raises(cbor.CborError, match="map key"):  # refused at the first of them
        cbor.decode(hostile)


@pytest.mark.parametrize(
    "value", [2**64, -(2**64) - 1, float("nan"), float("inf"), {}, {1}, object(), "\ud800", [[{}]]]
)
def test_values_that_do_not_travel_are_refused(value: Any) -> None:
    with pytest.raises(cbor.CborError):
        cbor.encode(value)
