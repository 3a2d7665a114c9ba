"""What entries post to accounts: pairs of a debit and a credit, and how accounts are called.

========================  ==================================================================
``node:ID/RESOURCE/LEG``  a node's own resources, as quantities; legs see below
``node:ID``               a node, as a state ("worker", "observer", "left")
``build:ID/TERM``         a build under one coordinator, as a state ("queued", "running",
                          "completed", "failed", "cancelled")
``config:NAME`` …         shared facts (also member, rights, key, template, profile): the version
``KIND:ID``               anything else: queue, session, cache …
========================  ==================================================================

Source 000, section 4.1, calls them by what they are for: worker pool is ``node:ID``, CPU and memory
allocation the legs of ``node:ID/cores`` and ``node:ID/memory``, build queue, work in progress,
completed and failed builds the states of ``build:ID/TERM``, active configurations ``config:NAME``
and their history the row of its states, sessions ``session:ID``. Security and system events change
no state, so they post nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildnet.ledger.entry import Posting, Side
from buildnet.mesh.wire import MAX_COUNTER

CAPACITY, FREE, ALLOCATED = "capacity", "free", "allocated"
LEGS = (CAPACITY, FREE, ALLOCATED)
"""What was offered (it is the source, so its balance is the offer's negative), what of it may be
allocated, and what is."""
SHARED_KINDS = frozenset({"member", "rights", "key", "config", "template", "profile"})
"""Accounts of shared facts: every quorum coordinator posts there, in sealed order."""
_NUMBER = "(0|[1-9][0-9]{0,18})"
_BUILD = re.compile(f"(build:[^/]+)/{_NUMBER}")
_TAKES_OVER = re.compile(f"takes_over {_NUMBER} ([0-9a-f]{{64}}) {_NUMBER}")
_NOTHING = ""

Pair = tuple[Posting, Posting]


def changed(account: str, old: str | None, new: str) -> Pair:
    """Return what posts another state. ``old``: the account's state so far; None: it is new."""
    return (
        Posting(account, Side.DEBIT.value, "", 0, old or _NOTHING),
        Posting(account, Side.CREDIT.value, "", 0, new),
    )


def offered(place: str, unit: str, amount: int) -> Pair:
    """Return what offers ``amount`` more of a resource such as ``node:ID/cores``."""
    return _moved(place, unit, amount, CAPACITY, FREE)


def withdrawn(place: str, unit: str, amount: int) -> Pair:
    """Return what offers ``amount`` less; it must be free."""
    return _moved(place, unit, amount, FREE, CAPACITY)


def allocated(place: str, unit: str, amount: int) -> Pair:
    """Return what allocates ``amount`` of what is free."""
    return _moved(place, unit, amount, FREE, ALLOCATED)


def released(place: str, unit: str, amount: int) -> Pair:
    """Return what frees ``amount`` of what is allocated."""
    return _moved(place, unit, amount, ALLOCATED, FREE)


def _moved(place: str, unit: str, amount: int, source: str, target: str) -> Pair:
    return (
        Posting(f"{place}/{source}", Side.DEBIT.value, unit, amount, ""),
        Posting(f"{place}/{target}", Side.CREDIT.value, unit, amount, ""),
    )


@dataclass(frozen=True, slots=True)
class TakesOver:
    """A successor goes on with a build. ``term``: whose account it goes on from; ``last`` and
    ``hlc``: hash and hybrid clock of the last entry there that it holds."""

    term: int
    last: bytes
    hlc: int

    def __str__(self) -> str:
        return f"takes_over {self.term} {self.last.hex()} {self.hlc}"

    @classmethod
    def read(cls, state: str) -> TakesOver | None:
        """Return what the debit of an account's first entry says; None: nothing of the kind."""
        found = _TAKES_OVER.fullmatch(state)
        if found is None or max(term := int(found[1]), hlc := int(found[3])) > MAX_COUNTER:
            return None
        return cls(term, bytes.fromhex(found[2]), hlc)


def taken_over(build: str, term: int, before: TakesOver, state: str) -> Pair:
    """Return what opens a build's account in ``term`` after another coordinator's. ``build``: such
    as ``build:ID``."""
    return changed(f"{build}/{term}", str(before), state)


def build_of(account: str) -> tuple[str, int] | None:
    """Return the build (``build:ID``) and the term of a build's account; None: it is none."""
    found = _BUILD.fullmatch(account)
    if found is None or (term := int(found[2])) > MAX_COUNTER:
        return None
    return found[1], term


def kind_of(account: str) -> str:
    """Return what an account is of: what stands before the colon."""
    return account.partition(":")[0]


def node_of(account: str) -> str | None:
    """Return the node id in the name of a node's account; None: it is none."""
    kind, _, name = account.partition(":")
    return name.partition("/")[0] if kind == "node" else None


def leg_of(account: str) -> tuple[str, str] | None:
    """Return place and leg (``node:ID/cores``, ``free``); None: no quantities stand there."""
    place, slash, leg = account.rpartition("/")
    return (place, leg) if slash and leg in LEGS and kind_of(place) == "node" else None
