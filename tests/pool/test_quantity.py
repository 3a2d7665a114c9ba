from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.quantity import GIB, QuantityError, parse_bytes, parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("1.5h", 5400),
        ("90", 90),
        (90, 90),
        (0.25, 0.25),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        (" 2 days ", 172800),
        ("10M", 600),
        (".5s", 0.5),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("20 GB", 20 * GIB),
        ("20GiB", 20 * GIB),
        ("1.5g", 3 * GIB // 2),
        ("512 MB", 512 * 1024**2),
        ("100", 100),
        (100, 100),
        ("7b", 7),
    ],
)
def test_sizes(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "bad", ["", "m", "-1s", "1h30", "1 2", "ten minutes", "٣m", "1e9s", -1, True, float("nan")]
)
def test_what_is_no_duration_is_refused(bad: str | float) -> None:
    with pytest.raises(QuantityError):
        parse_duration_s(bad)


@pytest.mark.parametrize("bad", ["", "GB", "-1", "1 GB 2", "1XB", -1, False, float("inf")])
def test_what_is_no_size_is_refused(bad: str | float) -> None:
    with pytest.raises(QuantityError):
        parse_bytes(bad)


def test_an_unknown_unit_is_named_with_a_suggestion() -> None:
    with pytest.raises(QuantityError, match="unknown unit 'minuts'") as caught:
        parse_duration_s("10 minuts")
    assert caught.value.hint == "did you mean 'minutes'?"


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for parse in (parse_duration_s, parse_bytes):
        try:
            quantity = parse(text)
        except QuantityError:
            continue
        assert quantity >= 0
