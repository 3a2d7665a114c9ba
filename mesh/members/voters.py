"""Who votes: an odd number of workers, up to seven, changed one at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from buildnet.mesh.members.changes import SetVoters
from buildnet.mesh.members.member import MAX_VOTERS

if TYPE_CHECKING:
    from buildnet.mesh.members.member_list import MemberList

ABSENT_S = 600.0
"""A voter that was away for so long is replaced where somebody else can be voter."""


def wanted_voters(workers: int) -> int:
    """Return how many of so many workers vote: 1 of 2, 3 of 4, 5 of 6, 7 of more."""
    return max(1, min(MAX_VOTERS, workers if workers % 2 else workers - 1))


def may_lose_voter(members: MemberList, voter: bytes) -> bool:
    """Tell whether a coordinator may take ``voter`` out: not while there are too few already.

    One that is replaced goes first and the next one comes after it, so there is one too few at
    times, never two: a coordinator can't make itself the only voter of three workers or more.
    """
    workers = sum(members.stands(key) for key in members.members)
    return not members.stands(voter) or len(members.voters) >= wanted_voters(workers)


def next_voters(
    members: MemberList,
    *,
    coordinator: bytes,
    present: Collection[bytes],
    lost: Collection[bytes],
) -> SetVoters | None:
    """Return the next step towards the right voters; None: they are right, or can't be made so.

    ``present``: who is alive and linked to the coordinator, itself included; only such become
    voters. ``lost``: who is away for long.
    """
    workers = sorted(
        (key for key in members.members if members.stands(key)), key=members.rank, reverse=True
    )
    wanted = wanted_voters(len(workers))
    spare = [key for key in workers if key in present and key not in members.voters]
    gone = [key for key in members.voters if key in lost or not members.stands(key)]
    if len(members.voters) > wanted:
        others = [key for key in reversed(workers) if key in members.voters and key != coordinator]
        return SetVoters(None, (gone or others)[0])
    if len(members.voters) < wanted and spare:
        return SetVoters(spare[0], None)
    if gone and spare:  # out first: the rest needs fewer voters to agree than with one more
        return SetVoters(None, gone[0])
    return None
