"""Bodies of entries of any content, and what they are made of."""

from __future__ import annotations

from hypothesis import strategies as st

from buildnet.ledger.entry import Actor, ActorKind, Body, Posting, Side, as_data

COUNTERS = st.integers(0, 2**63 - 1)
SEQUENCES = st.integers(1, 2**63 - 1)
TEXT = st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f")
ANY_TEXT = st.characters(codec="utf-8")


def texts(least: int, greatest: int) -> st.SearchStrategy[str]:
    return st.text(TEXT, min_size=least, max_size=greatest)


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


ACTORS = st.builds(Actor, texts(1, 128), texts(0, 128), st.sampled_from([*ActorKind]).map(str))
SIDES = st.sampled_from([*Side]).map(str)

QUANTITIES = st.builds(
    Posting, texts(1, 30), SIDES, texts(1, 32), st.integers(1, 2**63 - 1), st.just("")
)

STATES = st.builds(
    Posting, texts(1, 30), SIDES, st.just(""), st.just(0), st.text(ANY_TEXT, max_size=40)
)

JSON = st.dictionaries(
    st.text(ANY_TEXT, max_size=8),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(ANY_TEXT, max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(ANY_TEXT, max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)

BODIES = st.builds(
    Body,
    cluster=sized(32),
    origin=sized(32),
    incarnation=sized(8),
    previous=sized(32),
    sequence=SEQUENCES,
    hlc=COUNTERS,
    type=st.from_regex(r"[a-z0-9_-]{1,9}(\.[a-z0-9_-]{1,9}){1,3}", fullmatch=True),
    actor=ACTORS,
    reason=st.text(ANY_TEXT, max_size=60),
    correlation=texts(0, 128),
    entity=texts(0, 60),
    request=st.just(b"") | st.binary(min_size=16, max_size=32),
    data=JSON.map(as_data),
    postings=st.lists(QUANTITIES | STATES, max_size=4).map(tuple),
)
