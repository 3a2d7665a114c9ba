"""Since when something waits for a seal that can have one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from buildnet.ledger.entry import Chain
from buildnet.ledger.service.standing import Standing

ANNA, BERT = Chain(b"a" * 32, bytes(8)), Chain(b"b" * 32, bytes(8))


class Watched:
    """A standing, what it looks at, and its clock."""

    def __init__(self) -> None:
        self.now = 5.0
        self.open: list[Chain] = []
        self.closed: set[Chain] = set()
        self.quarantined: dict[Chain, int] = {}
        self.revoked: set[bytes] = set()
        local = SimpleNamespace(members=SimpleNamespace(revoked=self.revoked))
        self.standing = Standing(cast(Any, local), lambda: cast(Any, self), lambda: self.now)

    @property
    def is_sealed(self) -> bool:
        return not self.open

    def open_chains(self) -> list[Chain]:
        return self.open

    @property
    def chains(self) -> dict[Chain, Any]:
        return {one: SimpleNamespace(quarantined=self.quarantined.get(one)) for one in (ANNA, BERT)}

    @property
    def reach(self) -> Any:
        return SimpleNamespace(sequence=lambda chain: 7)


def test_what_waits_waits_since_it_came_or_since_the_last_seal() -> None:
    watched = Watched()
    assert watched.standing.waits_s is None
    watched.open = [ANNA]
    watched.standing.grew()
    watched.now = 8.0
    watched.standing.grew()
    assert watched.standing.waits_s == 3.0
    watched.standing.sealed()  # over some of it
    watched.now = 9.0
    assert watched.standing.waits_s == 1.0
    watched.open = []
    watched.standing.sealed()
    assert watched.standing.waits_s is None


def test_what_can_never_be_sealed_does_not_wait() -> None:
    watched = Watched()
    watched.open = [ANNA]
    watched.closed = {ANNA}
    watched.standing.grew()
    assert watched.standing.waits_s is None
    watched.closed = set()
    watched.revoked.add(ANNA.origin)
    watched.standing.grew()
    assert watched.standing.waits_s is None
    watched.revoked.clear()
    watched.quarantined[ANNA] = 8
    watched.standing.grew()
    assert watched.standing.waits_s is None
    watched.quarantined[ANNA] = 9  # the one before it can be
    watched.standing.grew()
    assert watched.standing.waits_s == 0.0
