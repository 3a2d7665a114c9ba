"""Secrets never get into a command's output, wherever the stream is cut."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.execute import masking
from buildnet.node.execute.masking import (
    LONGEST,
    MASK,
    SHORTEST,
    Masking,
    is_secret,
    masked,
    secrets_of,
)


def through(secrets: Iterable[bytes], chunks: Iterable[bytes]) -> bytes:
    written: list[bytes] = []
    mask = Masking(frozenset(secrets), written.append)
    for chunk in chunks:
        mask.take(chunk)
    mask.finish()
    return b"".join(written)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("NPM_TOKEN", True),
        ("GITHUB_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("DB_PASSWORD", True),
        ("MYSQL_PWD", True),
        ("apiKey", True),
        ("STRIPE_API_KEY", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", True),
        ("NODE_AUTH_TOKEN", True),
        ("PWD", False),
        ("PATH", False),
        ("KEYBOARD", False),
        ("TOKENIZER", False),
        ("MONKEY", False),
        ("CI", False),
    ],
)
def test_names_tell_what_is_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_lines_of_a_secret_are_secrets_and_short_values_are_none() -> None:
    key = "-----BEGIN KEY-----\nabcdefghijkl\nxyz\n-----END KEY-----"
    found = secrets_of({"DEPLOY_KEY": key, "A_TOKEN": "true", "MODE": "production"})
    assert found == {
        key.encode(),
        b"-----BEGIN KEY-----",
        b"abcdefghijkl",
        b"-----END KEY-----",
    }


def test_without_secrets_the_stream_is_passed_on_as_it_is() -> None:
    written: list[bytes] = []
    take, finish = masked({"MODE": "production"}, written.append)
    take(b"abc")
    finish()
    assert written == [b"abc"]


def test_what_is_no_beginning_of_a_secret_does_not_wait() -> None:
    written: list[bytes] = []
    take, finish = masked({"A_TOKEN": "secret-value"}, written.append)
    take(b"building ... sec")
    assert b"".join(written) == b"building ... "
    take(b"onds\n")
    assert b"".join(written) == b"building ... seconds\n"
    take(b"token: secret-val")
    take(b"ue\n")
    finish()
    assert b"".join(written) == b"building ... seconds\ntoken: ***\n"


def test_of_two_that_begin_alike_nothing_is_left() -> None:
    assert through([b"abcdefgh", b"abcdefghij"], [b"x abcdefgh", b"ij y"]) == b"x *** y"
    assert through([b"abcdefgh", b"abcdefghij"], [b"x abcdefgh", b" y"]) == b"x *** y"


@given(st.integers(8, 300), st.lists(st.integers(0, 400)))
def test_a_long_secret_is_masked_to_its_end(length: int, cuts: list[int]) -> None:
    secret = "".join(chr(33 + number * 7 % 89) for number in range(length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "LONGEST", 32)
        parts = secrets_of({"A_TOKEN": secret})
    assert all(SHORTEST <= len(part) <= 32 for part in parts)
    stream = b"before " + secret.encode() + b" after"
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    told = through(parts, [stream[begin:end] for begin, end in pairwise(at)])
    assert re.fullmatch(rb"before (\*\*\*)+ after", told)


def test_who_prints_the_end_of_a_long_secret_alone_shows_nothing_of_it() -> None:
    secret = "".join(f"{number:05}" for number in range(4000))
    told = through(secrets_of({"A_TOKEN": secret}), [secret[12_000:].encode()])
    assert told.endswith(MASK)
    assert len(told) < 5000


def test_what_looks_like_a_secret_again_and_again_costs_little() -> None:
    secret = b"a" * LONGEST
    took = time.thread_time()
    stream = (b"a" * (LONGEST - 1) + b"b") * 16
    assert through([secret], [stream] * 4) == stream * 4
    assert time.thread_time() - took < 2


_letters = st.binary(max_size=30).map(lambda data: bytes(97 + byte % 3 for byte in data))


@given(
    st.sets(_letters.filter(bool), min_size=1, max_size=4), _letters, st.lists(st.integers(0, 30))
)
def test_where_the_stream_is_cut_makes_no_difference(
    secrets: set[bytes], stream: bytes, cuts: list[int]
) -> None:
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(at)]
    ordered = sorted(secrets, key=len, reverse=True)
    whole = re.sub(b"|".join(map(re.escape, ordered)), MASK, stream)
    assert through(secrets, chunks) == whole
