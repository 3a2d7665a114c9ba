"""Double entry: nothing appears from nowhere, and nobody posts to another's account."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.entries import ANN, BOB, entry
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.accounts import Books, Posted, post
from buildnet.ledger.chain import Tip
from buildnet.ledger.entry import Entry, Posting
from buildnet.ledger.postings import (
    TakesOver,
    allocated,
    build_of,
    changed,
    leg_of,
    node_of,
    offered,
    released,
    taken_over,
    withdrawn,
)
from buildnet.mesh.identity import node_id_of

NODE = f"node:{node_id_of(ANN.public_key)}"
CORES, MEMORY = f"{NODE}/cores", f"{NODE}/memory"
NAMES = [f"{place}/{leg}" for place in (CORES, MEMORY) for leg in ("capacity", "free", "allocated")]


def said(*postings: Posting, who: CheapSigner = ANN, hlc: int = 5) -> Entry:
    return entry(who, after=Tip(1, b"h" * 32, 4), data={}, postings=postings, hlc=hlc)


def book(books: Books, *postings: Posting, who: CheapSigner = ANN, hlc: int = 5) -> Posted:
    return books.apply(said(*postings, who=who, hlc=hlc))


def cores(books: Books) -> tuple[int, int, int]:
    found = [books.balance(f"{CORES}/{leg}", "cores") for leg in ("capacity", "free", "allocated")]
    return found[0], found[1], found[2]


def test_the_worked_example_is_right() -> None:
    books = Books()
    assert not book(books, *offered(CORES, "cores", 16)).is_void
    assert cores(books) == (-16, 16, 0)
    assert not book(books, *allocated(CORES, "cores", 12)).is_void
    assert cores(books) == (-16, 4, 12)
    posted = book(books, *allocated(CORES, "cores", 6))
    assert posted.violations == (f"{CORES}/free: -2 cores would be left",)
    assert cores(books) == (-16, 4, 12)
    assert not book(books, *released(CORES, "cores", 12)).is_void
    assert cores(books) == (-16, 16, 0)
    assert not book(books, *withdrawn(CORES, "cores", 4)).is_void
    assert cores(books) == (-12, 12, 0)


def test_an_entry_counts_as_a_whole_or_not_at_all() -> None:
    books = Books()
    book(books, *offered(CORES, "cores", 8), *offered(MEMORY, "bytes", 100))
    posted = book(books, *allocated(CORES, "cores", 2), *allocated(MEMORY, "bytes", 101))
    assert posted.is_void
    assert posted.accounts == {}
    assert cores(books) == (-8, 8, 0)


def test_one_entry_may_move_twice() -> None:
    books = Books()
    moves = (*offered(CORES, "cores", 8), *allocated(CORES, "cores", 3))
    assert not book(books, *moves, *allocated(CORES, "cores", 4)).is_void
    assert cores(books) == (-8, 1, 7)


def debit(account: str, unit: str, amount: int) -> Posting:
    return Posting(account, "debit", unit, amount, "")


def credit(account: str, unit: str, amount: int) -> Posting:
    return Posting(account, "credit", unit, amount, "")


@pytest.mark.parametrize(
    ("postings", "words"),
    [
        ((debit(f"{CORES}/capacity", "cores", 2), credit(f"{CORES}/free", "cores", 3)), "2 cores"),
        ((credit(f"{CORES}/free", "cores", 3),), "0 cores debited, 3 credited"),
        ((debit(f"{CORES}/capacity", "cores", 3),), "3 cores debited, 0 credited"),
        (
            (debit(f"{CORES}/capacity", "cores", 2), credit(f"{MEMORY}/free", "cores", 2)),
            "0 cores debited, 2 credited",
        ),
        (
            (debit(f"{CORES}/capacity", "cores", 2), credit(f"{CORES}/free", "bytes", 2)),
            "2 cores debited",
        ),
        ((debit(NODE, "cores", 2), credit(f"{CORES}/free", "cores", 2)), "quantities stand on"),
        (
            (debit("build:1/2/capacity", "cores", 2), credit("build:1/2/free", "cores", 2)),
            "quantities stand on",
        ),
        (released(CORES, "cores", 1), "-1 cores would be left"),
        (withdrawn(CORES, "cores", 1), "-1 cores would be left"),
        (
            (debit(f"{CORES}/free", "cores", 9), credit(f"{CORES}/capacity", "cores", 9)),
            "would be left",
        ),
    ],
)
def test_quantities_that_break_a_rule_are_void(postings: tuple[Posting, ...], words: str) -> None:
    books = Books()
    posted = book(books, *postings)
    assert posted.is_void
    assert any(words in one for one in posted.violations)
    assert books.names() == ()


def test_only_the_node_posts_to_its_account() -> None:
    books = Books()
    posted = book(books, *offered(CORES, "cores", 4), who=BOB)
    assert posted.violations[0] == f"{CORES}/capacity: it belongs to another origin"
    assert book(books, *changed(NODE, None, "worker"), who=BOB).is_void
    assert not book(books, *changed(NODE, None, "worker")).is_void


def test_accounts_go_on_under_another_key() -> None:
    books = Books()
    book(books, *offered(CORES, "cores", 4), *changed("session:1", None, "open"))
    assert book(books, *allocated(CORES, "cores", 1), who=BOB).is_void
    books.rotated(ANN.public_key, BOB.public_key)
    assert not book(books, *allocated(CORES, "cores", 1), who=BOB).is_void
    assert cores(books) == (-4, 3, 1)
    assert not book(books, *changed("session:1", "open", "closed"), who=BOB).is_void
    account = books.account("session:1")
    assert account is not None
    assert account.owner == BOB.public_key


def test_keys_are_carried_over_more_than_once() -> None:
    books = Books()
    books.rotated(b"a" * 32, b"b" * 32)
    books.rotated(b"b" * 32, b"c" * 32)
    assert books.keys_before(b"c" * 32) == (b"a" * 32, b"b" * 32)


# --- states -------------------------------------------------------------------------------------


def test_a_debit_says_what_the_last_credit_said() -> None:
    books = Books()
    posted = book(books, *changed("queue:1", "open", "closed"))
    assert posted.violations == ("queue:1: the debit says 'open', its state is nothing",)
    assert not book(books, *changed("queue:1", None, "open")).is_void
    assert book(books, *changed("queue:1", None, "open")).is_void
    assert not book(books, *changed("queue:1", "open", "closed")).is_void
    assert books.state("queue:1") == "closed"
    assert books.state("queue:2") is None


@pytest.mark.parametrize("keep", [[0], [1], [0, 0, 1], [0, 1, 1]])
def test_a_state_has_both_sides_once(keep: list[int]) -> None:
    pair = changed("queue:1", None, "open")
    posted = book(Books(), *(pair[number] for number in keep))
    assert posted.violations == ("queue:1: a state has one debit and one credit",)


def test_an_account_belongs_to_who_posted_first_but_facts_to_all() -> None:
    books = Books()
    book(books, *changed("session:1", None, "open"))
    posted = book(books, *changed("session:1", "open", "closed"), who=BOB)
    assert posted.violations == ("session:1: it belongs to another origin",)
    book(books, *changed("config:fast", None, "1"))
    assert not book(books, *changed("config:fast", "1", "2"), who=BOB).is_void
    assert book(books, *changed("config:fast", "1", "2"), who=ANN).is_void
    assert books.state("config:fast") == "2"


# --- builds -------------------------------------------------------------------------------------


def test_a_successor_takes_a_build_over_and_old_news_are_void() -> None:
    books = Books()
    first = said(*changed("build:1/3", None, "queued"), hlc=10)
    assert not books.apply(first).is_void
    assert not book(books, *changed("build:1/3", "queued", "running"), hlc=11).is_void
    assert books.state("build:1") == "running"
    before = TakesOver(3, first.hash, 10)  # the successor holds the first entry only
    posted = book(books, *taken_over("build:1", 5, before, "queued"), who=BOB, hlc=20)
    assert not posted.is_void
    assert books.state("build:1") == "queued"
    posted = book(books, *changed("build:1/3", "running", "completed"), hlc=12)
    assert posted.violations == ("build:1/3: a later term took the build over",)
    assert book(books, *changed("build:1/5", "queued", "failed")).is_void
    assert not book(books, *changed("build:1/5", "queued", "running"), who=BOB, hlc=21).is_void
    assert books.state("build:1") == "running"


def test_what_the_successor_held_counts_though_it_is_sealed_later() -> None:
    first = said(*changed("build:1/3", None, "queued"), hlc=10)
    second = said(*changed("build:1/3", "queued", "running"), hlc=11)
    third = said(*changed("build:1/3", "running", "failed"), hlc=12)
    takes = said(
        *taken_over("build:1", 4, TakesOver(3, second.hash, 11), "running"), who=BOB, hlc=30
    )
    books = Books()
    assert [books.apply(one).is_void for one in (takes, first, second, third)] == [
        *(False, False, False, True),
    ]
    assert books.state("build:1/3") == "running"
    assert books.state("build:1") == "running"
    account = books.account("build:1")
    assert account is not None
    assert account.term == 4


def test_without_taking_over_nothing_of_the_earlier_term_counts_any_more() -> None:
    books = Books()
    book(books, *changed("build:1/3", None, "queued"), hlc=10)
    assert not book(books, *changed("build:1/4", None, "queued"), who=BOB, hlc=11).is_void
    assert book(books, *changed("build:1/3", "queued", "running"), hlc=12).is_void
    assert book(books, *changed("build:1/2", None, "queued"), hlc=9).is_void


@pytest.mark.parametrize(
    ("account", "old", "words"),
    [
        ("build:1", None, "a build's account is build:ID/TERM"),
        ("build:1/x", None, "a build's account is build:ID/TERM"),
        ("build:1/02", None, "a build's account is build:ID/TERM"),
        ("build:1/2", "running", "takes an earlier term over"),
        ("build:1/2", str(TakesOver(2, b"h" * 32, 1)), "takes an earlier term over"),
        ("build:1/2", str(TakesOver(3, b"h" * 32, 1)), "takes an earlier term over"),
    ],
)
def test_a_build_that_begins_otherwise_is_void(account: str, old: str | None, words: str) -> None:
    (violation,) = book(Books(), *changed(account, old, "running")).violations
    assert words in violation


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.integers(0, 2**62))
def test_taking_over_is_read_back(term: int, last: bytes, hlc: int) -> None:
    takes = TakesOver(term, last, hlc)
    assert TakesOver.read(str(takes)) == takes
    assert TakesOver.read(f"{takes} ") is None
    assert build_of(f"build:x/{term}") == ("build:x", term)


def test_names_are_taken_apart() -> None:
    assert leg_of("node:ab/cores/free") == ("node:ab/cores", "free")
    assert leg_of("node:ab/cores") is None
    assert leg_of("build:ab/free") is None
    assert node_of("node:ab/cores/free") == node_of("node:ab") == "ab"
    assert node_of("build:ab") is None


# --- any sequence of entries ------------------------------------------------------------------

AMOUNTS = st.integers(1, 20)
UNITS = st.sampled_from(["cores", "bytes"])
PLACES = st.sampled_from([CORES, MEMORY, f"node:{node_id_of(BOB.public_key)}/cores"])
MOVES = st.builds(
    lambda how, place, unit, amount: how(place, unit, amount),
    st.sampled_from([offered, withdrawn, allocated, released]),
    PLACES,
    UNITS,
    AMOUNTS,
)
SIDES = st.sampled_from(["debit", "credit"])
STRAY = st.builds(
    lambda name, side, unit, amount: (Posting(name, side, unit, amount, ""),),
    st.sampled_from([*NAMES, "build:1/2", NODE]),
    SIDES,
    UNITS,
    AMOUNTS,
)
STATE_NAMES = st.sampled_from(["queue:1", "build:1/1", "build:1/2", "config:x", NODE])
STATES = st.builds(
    changed, STATE_NAMES, st.sampled_from([None, "a", "b"]), st.sampled_from(["a", "b"])
)
ENTRIES = st.lists(
    st.tuples(
        st.lists(MOVES | STATES | STRAY, min_size=1, max_size=4),
        st.sampled_from([ANN, BOB]),
        st.integers(1, 9),
    ),
    max_size=25,
)


@settings(max_examples=200)
@given(ENTRIES)
def test_whatever_is_applied_balances_and_stays_within_capacity(
    entries: list[tuple[list[tuple[Posting, ...]], CheapSigner, int]],
) -> None:
    books = Books()
    for moves, who, hlc in entries:
        before = {name: books.account(name) for name in books.names()}
        posted = book(books, *(one for move in moves for one in move), who=who, hlc=hlc)
        if posted.is_void:
            assert {name: books.account(name) for name in books.names()} == before
        totals: Counter[str] = Counter()
        for name in books.names():
            account = books.account(name)
            assert account is not None
            totals.update(account.balances)
        assert not any(totals.values())
        for place in {leg[0] for name in books.names() if (leg := leg_of(name))}:
            for unit in ("cores", "bytes"):
                capacity = -books.balance(f"{place}/capacity", unit)
                assert 0 <= books.balance(f"{place}/allocated", unit) <= capacity
                assert books.balance(f"{place}/free", unit) >= 0


@given(ENTRIES)
def test_posting_is_a_function_of_the_books_and_the_entry(
    entries: list[tuple[list[tuple[Posting, ...]], CheapSigner, int]],
) -> None:
    one, other = Books(), Books()
    for moves, who, hlc in entries:
        given_entry = said(*(posting for move in moves for posting in move), who=who, hlc=hlc)
        assert post(one, given_entry) == post(one, given_entry) == other.apply(given_entry)
        one.apply(given_entry)
    assert {name: one.account(name) for name in one.names()} == {
        name: other.account(name) for name in other.names()
    }


def test_an_entry_without_postings_does_nothing() -> None:
    books = Books()
    assert book(books) == Posted()
    assert books.names() == ()
