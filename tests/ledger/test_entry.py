"""Entries: what goes in comes out, in one form only, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import count
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.random_entries import ACTORS, BODIES, JSON

from buildnet.ledger.entry import (
    MAX_DATA_DEPTH,
    MAX_ENTRY_BYTES,
    MIN_ENTRY_BYTES,
    SIGNATURE_BYTES,
    Actor,
    Body,
    Chain,
    Entry,
    Posting,
    as_data,
    check_data,
    hash_of,
    previous_of,
    statement_of,
)
from buildnet.mesh.identity import is_signed_by
from buildnet.mesh.testing import CheapSignatures, key_number
from buildnet.mesh.wire import Wire, WireError

PLAIN = Body(
    cluster=b"c" * 32,
    origin=b"o" * 32,
    incarnation=b"i" * 8,
    previous=b"p" * 32,
    sequence=7,
    hlc=9,
    type="build.started",
    actor=Actor("ann", "Ann", "user"),
    reason="asked for",
    correlation="c1",
    entity="build:1",
    request=b"",
    data='{"packages":3}',
    postings=(Posting("build:1", "credit", "", 0, "running"),),
)


def unsigned(body: Body) -> bytes:
    return bytes(SIGNATURE_BYTES) + body.encode()


def strictly(data: bytes) -> Entry | None:
    try:
        return Entry.decode(data)
    except WireError:
        return None


# --- round trips and the one form ---------------------------------------------------------------


@given(BODIES)
def test_an_entry_comes_back_as_it_went(body: Body) -> None:
    entry = Entry.sign(body, CheapSignatures(body.origin).sign)
    again = Entry.decode(entry.signed)
    assert again == entry
    assert again.body == body
    assert again.is_signed(CheapSignatures(body.origin).verify)
    assert again.body.encode() == entry.signed[SIGNATURE_BYTES:]


@given(BODIES)
def test_a_chain_is_checked_without_decoding(body: Body) -> None:
    """The previous hash is at one place, whatever the fields hold."""
    entry = Entry.sign(body, CheapSignatures(body.origin).sign)
    assert previous_of(entry.signed) == body.previous
    assert entry.signed[SIGNATURE_BYTES + 80 : SIGNATURE_BYTES + 112] == body.previous
    assert hash_of(entry.signed) == entry.hash
    assert len(entry.signed) >= MIN_ENTRY_BYTES


def test_the_smallest_entry_is_as_small_as_is_told() -> None:
    actor = Actor("a", "", "user")
    small = replace(PLAIN, sequence=1, hlc=0, type="a.b", actor=actor, reason="", correlation="")
    small = replace(small, entity="", data="{}", postings=())
    assert len(unsigned(small)) == MIN_ENTRY_BYTES


@given(BODIES, st.data())
def test_a_flipped_bit_is_another_entry_or_none(body: Body, data: st.DataObject) -> None:
    signed = Entry.sign(body, CheapSignatures(body.origin).sign).signed
    at = data.draw(st.integers(0, len(signed) * 8 - 1))
    flipped = bytearray(signed)
    flipped[at // 8] ^= 1 << at % 8
    found = strictly(bytes(flipped))
    if found is not None:
        assert not found.is_signed(CheapSignatures(body.origin).verify)
        assert (found.hash == hash_of(signed)) is (at < SIGNATURE_BYTES * 8)


@given(BODIES, st.data())
def test_cut_or_longer_bytes_are_no_entry(body: Body, data: st.DataObject) -> None:
    signed = unsigned(body)
    assert strictly(signed[: data.draw(st.integers(0, len(signed) - 1))]) is None
    assert strictly(signed + data.draw(st.binary(min_size=1, max_size=3))) is None


@given(st.binary(max_size=400))
def test_hostile_bytes_are_refused_or_are_the_one_form(data: bytes) -> None:
    found = strictly(bytes(64) + data)
    assert found is None or found.body.encode() == data


@pytest.mark.parametrize(
    "longer",
    [
        pytest.param(lambda raw: b"\x98\x0e" + raw[1:], id="length of the array"),
        pytest.param(lambda raw: b"\x9f" + raw[1:] + b"\xff", id="indefinite array"),
        pytest.param(lambda raw: raw[:1] + b"\x59\x00\x20" + raw[3:], id="length of the cluster"),
    ],
)
def test_another_form_of_the_same_values_is_refused(longer: Any) -> None:
    raw = PLAIN.encode()
    assert cbor2.loads(longer(raw)) == cbor2.loads(raw)
    assert strictly(bytes(64) + raw) is not None
    assert strictly(bytes(64) + longer(raw)) is None


def written(value: Any, longer: int, width: int) -> bytes:
    """Return CBOR of which number or length ``longer`` takes ``width`` bytes, if it took less."""
    places = count()

    def head(kind: int, number: int) -> bytes:
        least = 0 if number < 24 else 1 if number < 256 else 2 if number < 1 << 16 else 4
        size = 8 if number >= 1 << 32 else least
        size = max(size, width) if next(places) == longer else size
        more = 23 + size.bit_length()
        return bytes([kind << 5 | (more if size else number)]) + number.to_bytes(8)[8 - size :]

    def write(value: Any) -> bytes:
        if isinstance(value, list):
            return head(4, len(value)) + b"".join(map(write, value))
        if isinstance(value, int):
            return head(0, value)
        raw = value.encode() if isinstance(value, str) else value
        return head(3 if isinstance(value, str) else 2, len(raw)) + raw

    return write(value)


@given(BODIES, st.integers(0, 40), st.sampled_from([1, 2, 4, 8]))
def test_no_number_and_no_length_is_longer_than_need_be(
    body: Body, longer: int, width: int
) -> None:
    raw, found = body.encode(), written(body.as_array(), longer, width)
    assert cbor2.loads(found) == body.as_array()
    assert (strictly(bytes(64) + found) is None) is (found != raw)


# --- fields that do not fit ---------------------------------------------------------------------

WRONG: list[tuple[str, Any]] = [
    ("cluster", b"c" * 31),
    ("origin", b"o" * 33),
    ("origin", "o" * 32),
    ("incarnation", b"i" * 7),
    ("previous", b""),
    ("sequence", 0),
    ("sequence", -1),
    ("sequence", 2**63),
    ("sequence", True),
    ("sequence", 1.0),
    ("hlc", -1),
    ("hlc", 2**63),
    ("type", ""),
    ("type", "build"),
    ("type", "Build.Started"),
    ("type", "build..started"),
    ("type", "build.started\n"),
    ("type", "a." + "b" * 63),
    ("actor", None),
    ("actor", ["ann", "Ann"]),
    ("actor", ["", "Ann", "user"]),
    ("actor", ["ann", "Ann", "robot"]),
    ("actor", ["ann\x1b[2J", "Ann", "user"]),
    ("actor", ["ann", ["Ann"], "user"]),
    ("actor", [1, "Ann", "user"]),
    ("reason", "r" * 1025),
    ("correlation", "c" * 129),
    ("correlation", "a\x00b"),
    ("entity", "e" * 257),
    ("entity", "build:\n1"),
    ("request", b"short"),
    ("request", b"r" * 33),
    ("data", ""),
    ("data", "[]"),
    ("data", None),
    ("postings", None),
    ("postings", [["a", "debit", "cores", 1, ""]] * 65),
    ("postings", [["a", "left", "cores", 1, ""]]),
    ("postings", [["a", "debit", "cores", 0, ""]]),
    ("postings", [["a", "debit", "", 1, ""]]),
    ("postings", [["a", "debit", "cores", 1, "state"]]),
    ("postings", [["a", "debit", "cores", -1, ""]]),
    ("postings", [["", "debit", "cores", 1, ""]]),
    ("postings", [["a\n", "debit", "cores", 1, ""]]),
    ("postings", [["a", "debit", "", 0, "s" * 1025]]),
    ("postings", [["a", "debit", "cores", 1.0, ""]]),
    ("postings", [["a", "debit", "cores", True, ""]]),
    ("postings", [["a", "debit", "cores", 2**63, ""]]),
    ("postings", [["a", "debit", "", 0, None]]),
    ("postings", [[]]),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: f"{value!r:.30}")
def test_a_field_that_does_not_fit_is_refused(name: str, value: Any) -> None:
    array = PLAIN.as_array()
    assert strictly(bytes(64) + cbor2.dumps(array)) is not None
    array[[field.name for field in fields(Body)].index(name)] = value
    assert strictly(bytes(64) + cbor2.dumps(array)) is None


@given(BODIES, st.sampled_from(WRONG), st.booleans())
def test_the_fast_way_reads_what_the_plain_way_reads(
    body: Body, wrong: tuple[str, Any], spoil: bool
) -> None:
    array = body.as_array()
    if spoil:
        array[[field.name for field in fields(Body)].index(wrong[0])] = wrong[1]

    def read(how: Any) -> Any:
        try:
            return how(array)
        except WireError as error:
            return error.message

    plain = Wire.__dict__["from_array"].__func__
    assert read(Body.from_array) == read(lambda value: plain(Body, value))


@pytest.mark.parametrize("array", [None, [], {}, "text", list(range(13)), list(range(15))])
def test_no_array_of_fields_is_no_body(array: Any) -> None:
    with pytest.raises(WireError, match="not an array of 14"):
        Body.from_array(array)


def test_an_entry_has_at_most_48_kib() -> None:
    room = MAX_ENTRY_BYTES - len(unsigned(replace(PLAIN, data=as_data({"x": ""}))))
    wide = "\U0001f600" * (room // 4 - 1)
    assert strictly(unsigned(replace(PLAIN, data=as_data({"x": wide})))) is not None
    too_wide = as_data({"x": "\U0001f600" * (room // 4 + 1)})
    with pytest.raises(ValueError, match="too long"):
        Entry.sign(replace(PLAIN, data=too_wide), lambda message: bytes(64))
    assert strictly(unsigned(replace(PLAIN, data=too_wide))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "r" * 2000},
        {"data": '{"x":NaN}'},
        {"data": "[]"},
        {"cluster": b""},
        {"postings": PLAIN.postings * 65},
        {"reason": "\ud800"},
    ],
)
def test_nothing_is_signed_that_nobody_could_read(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are of the field
        Entry.sign(replace(PLAIN, **change), lambda message: bytes(64))


# --- data ---------------------------------------------------------------------------------------


@given(JSON)
def test_data_has_one_form(value: dict[str, Any]) -> None:
    text = as_data(value)
    check_data(text)
    assert json.loads(text) == value
    spaced = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if spaced != text:
        with pytest.raises(WireError, match="another form"):
            check_data(spaced)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "{}{}",
        " {}",
        '{"a":1,"a":2}',
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
        '{"a": 1}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":1e999}',
        '{"a":1E5}',
        '{"a":-0}',
        '{"a":01}',
        '{"a":9223372036854775808}',
        '{"a":-9223372036854775809}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\u0061"}',
        '{"a":"\\ud800"}',
        '{"a":' * 30 + "1" + "}" * 30,
        '{"a":' + "[" * 20000 + "]" * 20000 + "}",
        '{"a":"\n"}',
    ],
    ids=lambda text: f"{text!r:.30}",
)
def test_data_that_is_no_object_in_its_one_form_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="its data"):
        check_data(text)


@pytest.mark.parametrize(
    "text", ["{}", '{"a":9223372036854775807}', '{"a":-9223372036854775808}', '{"a":"{[{["}']
)
def test_data_at_the_border_is_taken(text: str) -> None:
    check_data(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_has_a_border(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return '{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}"

    check_data(nested(MAX_DATA_DEPTH))
    with pytest.raises(WireError, match="deep"):
        check_data(nested(MAX_DATA_DEPTH + 1))
    check_data(as_data({"a": [[[]]] * 40}))  # wide is not deep


# --- hashes, signatures, order ------------------------------------------------------------------


def test_real_signatures_hold_and_bind_origin_and_body() -> None:
    key, other = key_number(1), key_number(2)
    entry = Entry.sign(replace(PLAIN, origin=key.public_key), key.sign)
    assert entry.is_signed(is_signed_by)
    assert is_signed_by(key.public_key, statement_of(entry.hash), entry.signed[:64])
    raw = replace(entry.body, hlc=10).encode()
    assert not Entry.decode(entry.signed[:64] + raw).is_signed(is_signed_by)
    assert not Entry.sign(entry.body, other.sign).is_signed(is_signed_by)
    bare = key.sign(entry.hash)  # of the hash without its purpose
    assert not Entry.decode(bare + entry.signed[64:]).is_signed(is_signed_by)


def test_the_order_is_by_clock_then_origin_then_chain_then_sequence() -> None:
    def order(**change: Any) -> tuple[int, bytes, bytes, int]:
        return Entry(replace(PLAIN, **change), b"").order

    orders = [
        order(hlc=1, origin=b"z" * 32),
        order(hlc=2, origin=b"a" * 32, incarnation=b"z" * 8),
        order(hlc=2, origin=b"b" * 32, incarnation=b"a" * 8, sequence=9),
        order(hlc=2, origin=b"b" * 32, incarnation=b"b" * 8, sequence=1),
        order(hlc=2, origin=b"b" * 32, incarnation=b"b" * 8, sequence=2),
    ]
    assert orders == sorted(orders)


def test_what_people_see() -> None:
    entry = Entry.sign(PLAIN, lambda message: bytes(64))
    assert entry.id == entry.hash.hex()
    assert entry.data == {"packages": 3}
    assert entry.chain == Chain(b"o" * 32, b"i" * 8)
    assert Chain(b"a", b"z") < Chain(b"b", b"a") < Chain(b"b", b"b")


@settings(max_examples=30)
@given(st.lists(ACTORS, min_size=1, max_size=4))
def test_actors_are_not_mixed_up(actors: list[Actor]) -> None:
    for actor in actors * 2:
        assert Entry.decode(unsigned(replace(PLAIN, actor=actor))).body.actor == actor
