"""Double entry: what accounts hold, and whether an entry's postings may change that.

A balance is what was credited less what was debited. Quantities stand on three legs of a place, and
within one entry debits and credits are equal for each place and unit. Nothing but ``capacity``, the
source, is ever below zero, so 0 ≤ allocated ≤ capacity holds after every entry:

    ================================  ==============  =============  ===============  ==============
    entry                             postings        …/capacity     …/free           …/allocated
    ================================  ==============  =============  ===============  ==============
    16 cores are offered              capacity→free   -16            16               0
    a build is given 12               free→allocated  -16            4                12
    it wants 6 more                   free→allocated  the entry is void: free would be -2
    it gives 12 back                  allocated→free  -16            16               0
    the owner keeps 4 for herself     free→capacity   -12            12               0
    ================================  ==============  =============  ===============  ==============

A state has one debit, of what the account's last credit said, and one credit. An account belongs to
one origin: a node's to the node, a build's in a term to the coordinator who opened it, others to
who posted there first. Who goes on under another key keeps them. Shared facts belong to nobody:
every coordinator changes them in sealed order.

An entry whose postings break a rule is void as a whole: it is kept and shown, and changes nothing.
So is what an old coordinator posts to a build after the entry that its successor took over from.
Apply entries in sealed order, and what is provisional after that: then all nodes agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from buildnet.ledger.entry import Entry, Posting, Side
from buildnet.ledger.postings import (
    CAPACITY,
    SHARED_KINDS,
    TakesOver,
    build_of,
    kind_of,
    leg_of,
    node_of,
)
from buildnet.mesh.identity import node_id_of


@dataclass(frozen=True, slots=True)
class Account:
    """What stands on an account. ``owner``: the origin that posted last; ``state``: what the last
    credit said; ``balances``: by unit, credits less debits; ``entry``: hash of the last entry."""

    owner: bytes
    entry: bytes
    state: str = ""
    balances: Mapping[str, int] = field(default_factory=dict)
    term: int = 0
    """Of a build: the term of the coordinator that it is with."""
    closed_after: int | None = None
    """Another term took over after the entry of this hybrid clock: what is later is void."""


class View(Protocol):
    """Where accounts are kept: :class:`Books`, or tables."""

    def account(self, name: str) -> Account | None:
        """Return an account; None: nothing was posted there. ``build:ID`` without a term is the
        account of its newest term."""

    def keys_before(self, origin: bytes) -> Iterable[bytes]:
        """Return the keys that were rotated to ``origin``, as the member list says."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What an entry does: ``accounts`` as they are after it, or, if it is void, why."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    violations: tuple[str, ...] = ()

    @property
    def is_void(self) -> bool:
        """Tell whether its postings do not count."""
        return bool(self.violations)


NOTHING = Posted()


def post(view: View, entry: Entry, *, by_voter: bool = True) -> Posted:
    """Return what the postings of ``entry`` do to the accounts of ``view``; pure. ``by_voter``:
    whether its seal names its origin as a voter, who alone posts to what all share."""
    if not entry.body.postings:
        return NOTHING
    posting = _Posting(view, entry, by_voter)
    posting.states()
    posting.quantities()
    if posting.violations:
        return Posted(violations=tuple(posting.violations))
    return Posted(posting.accounts)


class Books:
    """All accounts, in memory."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._keys_before: dict[bytes, tuple[bytes, ...]] = {}

    def apply(self, entry: Entry) -> Posted:
        """Take the next entry into account; return what it did."""
        posted = post(self, entry)
        self._accounts.update(posted.accounts)
        return posted

    def rotated(self, old: bytes, new: bytes) -> None:
        """Take note that the owner of ``old`` goes on under ``new``: the member list says so."""
        self._keys_before[new] = (*self.keys_before(old), old)

    def account(self, name: str) -> Account | None:
        """Return an account; see :class:`View`."""
        return self._accounts.get(name)

    def keys_before(self, origin: bytes) -> tuple[bytes, ...]:
        """Return the keys that were rotated to ``origin``, oldest first."""
        return self._keys_before.get(origin, ())

    def balance(self, name: str, unit: str) -> int:
        """Return what an account holds of a unit; 0 where nothing was posted."""
        found = self._accounts.get(name)
        return 0 if found is None else found.balances.get(unit, 0)

    def state(self, name: str) -> str | None:
        """Return an account's state; None: it has none."""
        found = self._accounts.get(name)
        return found.state or None if found else None

    def names(self) -> tuple[str, ...]:
        """Return the names of all accounts, sorted."""
        return tuple(sorted(self._accounts))


class _Posting:
    """One entry's way into the accounts."""

    def __init__(self, view: View, entry: Entry, by_voter: bool) -> None:
        self._view = view
        self._by_voter = by_voter
        self._entry = entry
        self._origin = entry.body.origin
        self._keys = frozenset((self._origin, *view.keys_before(self._origin)))
        self.accounts: dict[str, Account] = {}
        self.violations: list[str] = []

    def _violate(self, words: str) -> None:
        self.violations.append(words)

    def _held(self, name: str) -> Account | None:
        return self.accounts.get(name) or self._view.account(name)

    # --- states -------------------------------------------------------------------------------

    def states(self) -> None:
        sides: dict[str, list[Posting]] = defaultdict(list)
        for posting in self._entry.body.postings:
            if not posting.unit:
                sides[posting.account].append(posting)
        for name, postings in sides.items():
            debits = [one for one in postings if one.side == Side.DEBIT]
            credits = [one for one in postings if one.side == Side.CREDIT]
            if len(debits) != 1 or len(credits) != 1:
                self._violate(f"{name}: a state has one debit and one credit")
            elif kind_of(name) == "build":
                self._build(name, debits[0].state, credits[0].state)
            elif self._is_owner(name):
                self._change(name, debits[0].state, credits[0].state)

    def _change(self, name: str, old: str, new: str) -> Account | None:
        held = self._held(name)
        state = "" if held is None else held.state
        if old != state:
            self._violate(f"{name}: the debit says {_said(old)}, its state is {_said(state)}")
            return None
        base = held or Account(self._origin, self._entry.hash)
        after = replace(base, owner=self._origin, entry=self._entry.hash, state=new)
        self.accounts[name] = after
        return after

    def _build(self, name: str, old: str, new: str) -> None:
        found = build_of(name)
        if found is None:
            self._violate(f"{name}: a build's account is build:ID/TERM")
            return
        build, term = found
        held, current = self._held(name), self._held(build)
        closed_after = None if held is None else held.closed_after
        if held is None and current is not None and current.term > term:
            closed_after = 0
        if closed_after is not None and self._entry.body.hlc > closed_after:
            self._violate(f"{name}: a later term took the build over")
        elif held is None or not held.entry:
            self._open_build(build, name, term, old, new)
        elif self._is_owner(name):
            after = self._change(name, old, new)
            if after is not None and current is not None and current.term == term:
                self.accounts[build] = after

    def _open_build(self, build: str, name: str, term: int, old: str, new: str) -> None:
        before = TakesOver.read(old)
        if old and (before is None or before.term >= term):
            self._violate(f"{name}: it begins with nothing, or takes an earlier term over")
            return
        held, current = self._held(name), self._held(build)
        closed_after = None if held is None else held.closed_after
        after = Account(self._origin, self._entry.hash, new, term=term, closed_after=closed_after)
        self.accounts[name] = after
        if current is not None and current.term > term:  # late news of a term that is over
            return
        self.accounts[build] = after
        if before is not None:
            self._close(build, before.term, before.hlc)
        if current is not None:
            self._close(build, current.term, 0)

    def _close(self, build: str, term: int, hlc: int) -> None:
        """Let what is later count no more on an earlier term's account, which may be sealed later
        itself."""
        name = f"{build}/{term}"
        held = self._held(name) or Account(b"", b"", term=term)
        if held.closed_after is None:
            self.accounts[name] = replace(held, closed_after=hlc)

    # --- quantities ---------------------------------------------------------------------------

    def quantities(self) -> None:
        totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        moves: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for posting in self._entry.body.postings:
            if not posting.unit:
                continue
            found = leg_of(posting.account)
            if found is None:
                self._violate(
                    f"{posting.account}: quantities stand on a node's capacity, free, allocated"
                )
                continue
            credit = posting.side == Side.CREDIT
            totals[found[0], posting.unit][credit] += posting.amount
            moves[posting.account][posting.unit] += posting.amount if credit else -posting.amount
        for (place, unit), (debited, credited) in totals.items():
            if debited != credited:
                self._violate(f"{place}: {debited} {unit} debited, {credited} credited")
        for name, units in moves.items():
            if self._is_owner(name):
                self._move(name, units)

    def _move(self, name: str, units: Mapping[str, int]) -> None:
        held = self._held(name) or Account(self._origin, self._entry.hash)
        balances = dict(held.balances)
        is_source = name.endswith(f"/{CAPACITY}")
        for unit, amount in units.items():
            balances[unit] = balance = balances.get(unit, 0) + amount
            if balance < 0 and not is_source:
                self._violate(f"{name}: {balance} {unit} would be left")
        self.accounts[name] = replace(
            held, owner=self._origin, entry=self._entry.hash, balances=balances
        )

    # --- owners -------------------------------------------------------------------------------

    def _is_owner(self, name: str) -> bool:
        """Tell whether the origin may post to an account, and note it if not."""
        node, held = node_of(name), self._held(name)
        if kind_of(name) in SHARED_KINDS:
            allowed = self._by_voter
        elif node is not None:
            allowed = any(node_id_of(key) == node for key in self._keys)
        else:
            allowed = held is None or held.owner in self._keys
        if not allowed:
            self._violate(f"{name}: it belongs to another origin")
        return allowed


def _said(state: str) -> str:
    return f"{state!r:.60}" if state else "nothing"
