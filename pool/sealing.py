"""Whether the cluster seals, as one node sees it: since when not, why not, and what helps.

Pure: the mesh's picture tells who votes, who is there and who coordinates; the members' own words
(:class:`~buildnet.pool.advertisement.Load`) tell which voter takes no part; the node's ledger tells
what waits. Field names of :meth:`Sealing.view` are a contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from buildnet.mesh.events import Status
from buildnet.pool.advertisement import CLOSED, NOT_WRITTEN, SET_BACK
from buildnet.pool.membership import Words, is_reachable, names_text, own_problem
from buildnet.pool.view import Json

if TYPE_CHECKING:
    from buildnet.mesh.service.view import MemberView, MeshView

STALLED_S = 10.0
"""What waits for a seal longer than this, while somebody coordinates, does so for a reason."""
_WHY = {
    SET_BACK: "its ledger went back to an older state or was restored",
    CLOSED: "its ledger can't be opened",
    NOT_WRITTEN: "its ledger can't be written",
}

State = Literal["here", "away", "silent"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one node's ledger holds. ``sealed_at``: ISO 8601, of the last seal; ``unsealed``:
    entries; ``since``: unix seconds, since when something that can be sealed waits."""

    height: int
    sealed_at: str | None
    unsealed: int
    since: float | None


@dataclass(frozen=True, slots=True)
class Voter:
    """One voter: ``away``: not reachable; ``silent``: it takes no part, by its own word."""

    node_id: str
    name: str
    state: State
    why: str | None
    since: float | None
    """Unix seconds, since when it is away."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """How sealing goes. ``problem``: why nothing is sealed, ``hint``: what to do; both None where
    all is well. ``since``: unix seconds; None: not known here."""

    voters: tuple[Voter, ...]
    needed: int
    waiting: Waiting | None
    problem: str | None = None
    hint: str | None = None
    since: float | None = None

    @property
    def text(self) -> str | None:
        """All of it in words; None: entries are sealed."""
        if self.problem is None:
            return None
        since = "" if self.since is None else f" since {_clock(self.since)}"
        return f"sealing stands still{since}: {self.problem}{self._what_waits}; {self.hint}"

    @property
    def _what_waits(self) -> str:
        if self.waiting is None or not self.waiting.unsealed:
            return ""
        count = self.waiting.unsealed
        return f"; {count} {'entry waits' if count == 1 else 'entries wait'}, kept and provisional"

    def view(self) -> Json:
        """Return it as JSON."""
        waiting = self.waiting
        return {
            "works": self.problem is None,
            "text": self.text,
            "problem": self.problem,
            "hint": self.hint,
            "since": None if self.since is None else _iso(self.since),
            "height": None if waiting is None else waiting.height,
            "sealed_at": None if waiting is None else waiting.sealed_at,
            "unsealed": None if waiting is None else waiting.unsealed,
            "voters_needed": self.needed,
            "voters": [
                {
                    "node_id": one.node_id,
                    "name": one.name,
                    "state": one.state,
                    "why": one.why,
                    "since": None if one.since is None else _iso(one.since),
                }
                for one in self.voters
            ],
        }


def sealing(
    view: MeshView,
    words: Mapping[bytes, Words],
    *,
    silence: str | None,
    waiting: Waiting | None,
) -> Sealing:
    """Return how sealing goes in the cluster, as far as this node knows.

    Args:
        silence: why this node itself takes no part as a voter; None: it does, or is none.
        waiting: what this node's ledger holds; None: it is closed.
    """
    voters = tuple(
        _voter(view, one, silence if one.key == view.me else _told(words.get(one.key)))
        for one in view.members
        if one.voter
    )
    needed = len(voters) // 2 + 1
    found = Sealing(voters, needed, waiting)
    if not voters or own_problem(view) is not None:
        return found  # this node is out of its cluster, which is told in other words
    office = view.office
    has_quorum = office is not None and office.quorum
    if not has_quorum and len(view.members) == 1:
        return found  # it takes office in a moment
    waits_since = None if waiting is None else waiting.since
    away = [one for one in voters if one.state == "away"]
    silent = [one for one in voters if one.state == "silent"]
    hint = _hint(voters, away, silent, needed)
    if not has_quorum:
        since = _lost_at(away, len(voters) - needed) if office is None else office.since
        why = "no coordinator has a majority of the voters"
    elif len(voters) - len(away) - len(silent) < needed:
        since, why = waits_since, "too few voters take part"
    elif waits_since is not None and view.at - waits_since >= STALLED_S:
        since, why = waits_since, "the voters did not sign what was proposed"
    else:
        return found
    problem = f"{why} ({needed} of {len(voters)} needed{_missing(away, silent)})"
    return Sealing(voters, needed, waiting, problem, hint, since)


def _missing(away: list[Voter], silent: list[Voter]) -> str:
    parts = [f"away: {names_text(one.name for one in away)}"] if away else []
    parts += [f"{one.name} abstains: {one.why}" for one in silent]
    return "".join(f"; {part}" for part in parts)


def _hint(voters: tuple[Voter, ...], away: list[Voter], silent: list[Voter], needed: int) -> str:
    """Say what ends it. Who was set back votes again by itself once the others sealed more, which
    takes a majority without it."""
    again = "what waits is sealed by itself then, so nothing is to be repeated"
    repair = [one for one in silent if one.why != _WHY[SET_BACK]]
    if len(voters) - len(silent) >= needed:
        if not away:
            return "buildnet ledger status on the coordinator's host may tell more"
        names = names_text((one.name for one in away), "or")
        return (
            f"start {names}, or repair the network; {again}; if they are gone for good, an admin "
            "says who decides: buildnet node recover --new-voters NODE,NODE"
        )
    if repair:
        names = names_text((one.name for one in repair), "and")
        return f"repair {names} (buildnet node status there says how); {again}"
    return (
        "too many went back for the others to decide without them: an admin says who decides: "
        "buildnet node recover --new-voters NODE,NODE"
    )


def _voter(view: MeshView, member: MemberView, silence: str | None) -> Voter:
    is_away = member.key != view.me and member.status in (Status.DEAD, Status.LEFT)
    quorum = view.office is not None and view.office.quorum
    is_away = is_away or not (quorum or is_reachable(member, view))
    if is_away:
        return Voter(member.node_id, member.name, "away", None, member.status_since)
    if silence is not None:
        why = _WHY.get(silence, silence)
        return Voter(member.node_id, member.name, "silent", why, None)
    return Voter(member.node_id, member.name, "here", None, None)


def _told(words: Words | None) -> str | None:
    return None if words is None or words.load is None else words.load.silence


def _lost_at(away: list[Voter], spare: int) -> float | None:
    """Return when one voter more was away than can be done without."""
    times = sorted(one.since for one in away if one.since is not None)
    return times[spare] if len(times) > spare else None


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
