"""Who votes: an odd number of workers, up to seven, changed one at a time."""

from __future__ import annotations

from collections.abc import Collection

from buildnet.mesh.members.changes import SetVoters
from buildnet.mesh.members.member import MAX_VOTERS
from buildnet.mesh.members.member_list import MemberList

ABSENT_S = 600.0
"""A voter that was away for so long is replaced where somebody else can be voter."""


def wanted_voters(workers: int) -> int:
    """Return how many of so many workers vote: 1 of 2, 3 of 4, 5 of 6, 7 of more."""
    return max(1, min(MAX_VOTERS, workers if workers % 2 else workers - 1))


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
