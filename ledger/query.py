"""What is asked of the ledger: filters, and cursors that stay right while entries are sealed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from buildnet.ledger.store.rows import StoredEntry
from buildnet.mesh.errors import BuildNetError

MAX_LIMIT = 1000
_TYPE = re.compile(r"[\w.-]{1,64}(\.\*)?|\*")
_ORIGIN = re.compile(r"[0-9a-f]{8,64}")
_LATEST = 2**63 - 1


class QueryError(BuildNetError):
    """A filter or cursor that can't mean anything."""

    code = "LEDGER_QUERY"
    exit_code = 2
    http_status = 400


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries. All that is given must fit.

    ``types``: names, or prefixes such as ``build.*``, any of them; ``origin``: a node's id or key
    in hexadecimal digits, or their beginning (8 at least); ``actor``: an actor's id; ``from_ms``
    and ``to_ms``: milliseconds since 1970 UTC, both included; ``text``: part of what an entry says,
    whatever the case of ASCII letters; ``sealed``: only sealed ones, or only provisional ones.
    """

    types: tuple[str, ...] = ()
    origin: str | None = None
    actor: str | None = None
    entity: str | None = None
    correlation: str | None = None
    build: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    text: str | None = None
    sealed: bool | None = None

    def __post_init__(self) -> None:
        for name in self.types:
            if not _TYPE.fullmatch(name):
                raise QueryError(
                    f"{name!r} is no type", hint="such as build.completed, or build.* for all"
                )
        if self.origin is not None and not _ORIGIN.fullmatch(self.origin):
            raise QueryError(
                f"{self.origin!r} is no node id",
                hint="8 to 64 hexadecimal digits; buildnet node list shows them",
            )
        for at in (self.from_ms, self.to_ms):
            if at is not None and not 0 <= at < 2**47:
                raise QueryError("a time is out of range", hint="milliseconds since 1970 UTC")
        if None not in (self.from_ms, self.to_ms) and self.first_hlc > self.last_hlc:
            raise QueryError(
                "the time from which on is later than the one up to which",
                hint="exchange them; such as from 2h and to 1h, for the hour before the last one",
            )

    @property
    def first_hlc(self) -> int:
        """The least clock that fits."""
        return 0 if self.from_ms is None else self.from_ms << 16

    @property
    def last_hlc(self) -> int:
        """The greatest clock that fits."""
        return _LATEST if self.to_ms is None else ((self.to_ms + 1) << 16) - 1

    def fits(self, entry_type: str) -> bool:
        """Tell whether a type is among those asked for."""
        if not self.types:
            return True
        return any(
            pattern in (entry_type, "*")
            or (pattern.endswith(".*") and entry_type.startswith(pattern[:-1]))
            for pattern in self.types
        )


@dataclass(frozen=True, slots=True, order=True)
class Provisional:
    """The order of entries that are not sealed."""

    hlc: int
    chain: bytes
    """Origin and incarnation."""
    sequence: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader is. ``place``: the key of a sealed entry, -1 for before all.

    A reader among provisional entries has ``at``: what of ``place`` and before is sealed was there
    when it began with them, and whatever was sealed since was told if it stands before ``at``. So
    nothing is told twice, and nothing that was there is left out.
    """

    place: int = -1
    at: Provisional | None = None
    backwards_from: int | None = None
    """Of a reader that goes backwards and told provisional entries: what was sealed then."""

    def __str__(self) -> str:
        parts = [f"{self.place:x}" if self.place >= 0 else "-"]
        parts.append("-" if self.backwards_from is None else f"{self.backwards_from:x}")
        if self.at is not None:
            parts += [f"{self.at.hlc:x}", self.at.chain.hex(), f"{self.at.sequence:x}"]
        return ".".join(parts)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            QueryError: it is none.
        """
        try:
            place, backwards, *rest = text.split(".")
            at = None
            if rest:
                hlc, chain, sequence = rest
                at = Provisional(int(hlc, 16), bytes.fromhex(chain), int(sequence, 16))
                if not 0 <= max(at.hlc, at.sequence) <= _LATEST or len(at.chain) != 40:
                    raise ValueError("out of range")
            return cls(
                -1 if place == "-" else _place(place),
                at,
                None if backwards == "-" else _place(backwards),
            )
        except ValueError as error:
            raise QueryError(
                f"{text!r:.100} is no cursor of the ledger", hint="begin again without a cursor"
            ) from error


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the entries that fit.

    ``next``: where to go on; None: there are no more. A page may hold less than asked for, even
    nothing, while there are more: a query looks at so many rows and then answers. ``sealed_to``:
    the cursor after the last sealed entry that was looked at; a live tail goes on from there.
    ``looked_to``: how far it looked, if there is more: the clock of the entry that it came to.
    """

    entries: tuple[StoredEntry, ...]
    next: Cursor | None
    sealed_to: Cursor
    looked_to: int | None = None


def check_limit(limit: int) -> int:
    """Return ``limit``.

    Raises:
        QueryError: it is not between 1 and 1000.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError(f"a page has 1 to {MAX_LIMIT} entries, not {limit}")
    return limit


def _place(text: str) -> int:
    value = int(text, 16)
    if not 0 <= value <= _LATEST:
        raise ValueError("out of range")
    return value
