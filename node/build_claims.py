"""Who drove a build, as the ledger tells it: nodes say so themselves, and prove it.

The entry of a node that began a build, or went on with it, carries the warrant by which it may.
Others than its holder can't make one, so what a member says of a build that nobody granted it does
not count. Of a build whose beginning has none, as versions of before wrote it, all are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.ledger.entry import Entry
from buildnet.mesh.wire import WireError
from buildnet.pool.warrant import IsSame, Verify, Warrant

STARTED, TAKEN_OVER = "build.started", "build.taken_over"
WARRANT = "warrant"
"""The field of both."""


@dataclass(slots=True)
class BuildClaims:
    """Those of one build; entries are taken in the ledger's order."""

    build: str
    verify: Verify
    is_same: IsSame
    _begun: dict[bytes, None] = field(default_factory=dict)
    _first: bytes | None = None
    _went_on: dict[bytes, None] = field(default_factory=dict)
    _said_so: dict[bytes, None] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Take note of an entry of one of these types."""
        origin, is_start = entry.body.origin, entry.body.type == STARTED
        if self._is_proven(entry):
            said = self._begun if is_start else self._went_on
        elif is_start:
            self._first = self._first or origin
            return
        else:
            said = self._said_so
        said.pop(origin, None)
        said[origin] = None

    @property
    def drivers(self) -> tuple[bytes, ...]:
        """Who drove it first, then who went on with it, the latest first."""
        if self._begun or self._first is None:
            return (*tuple(self._begun)[:1], *reversed(self._went_on))
        return (self._first, *reversed(self._went_on), *reversed(self._said_so))

    def _is_proven(self, entry: Entry) -> bool:
        return is_proven(entry, self.build, self.verify, self.is_same)


def is_proven(entry: Entry, build: str, verify: Verify, is_same: IsSame) -> bool:
    """Tell whether an entry of one of these types has the warrant by which its origin may."""
    said = entry.data.get(WARRANT)
    try:
        warrant = Warrant.decode(bytes.fromhex(said)) if isinstance(said, str) else None
    except (ValueError, WireError):
        return False
    if warrant is None or (entry.body.type == STARTED and warrant.grants):
        return False
    # Who goes on again says so under a number of its own: that it holds a warrant is enough.
    attempt = warrant.grants[-1].attempt if warrant.grants else 0
    return warrant.proves(build, entry.body.origin, attempt, verify, is_same)
