"""Who votes: an odd number of workers, up to seven, changed one at a time, grown in pairs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from buildnet.mesh.members.changes import SetVoters
from buildnet.mesh.members.member import MAX_VOTERS

if TYPE_CHECKING:
    from buildnet.mesh.members.member_list import MemberList

ABSENT_S = 60.0
"""A voter that was away for so long is replaced where somebody else can be voter."""
STABLE_S = 10.0
"""Among three voters or more, who becomes one was there for so long."""
HEARD_S = 8.0
"""So lately must have told how far its list goes who becomes a voter at once; all do so every 6 s
at least."""
_QUICK = 3
"""As long as fewer vote, who is there becomes a voter at once."""


def wanted_voters(workers: int) -> int:
    """Return how many of so many workers vote: 1 of 2, 3 of 4, 5 of 6, 7 of more."""
    return max(1, min(MAX_VOTERS, workers if workers % 2 else workers - 1))


def may_lose_voter(members: MemberList, voter: bytes) -> bool:
    """Tell whether a coordinator may take ``voter`` out: of an odd number, or of enough.

    One that is replaced goes first and the next one comes after it. From an even number that is too
    small there is no way down, so no coordinator takes out two in a row and makes itself the only
    voter of three workers or more.
    """
    workers = sum(members.stands(key) for key in members.members)
    voters = len(members.voters)
    return not members.stands(voter) or voters >= wanted_voters(workers) or voters % 2 == 1


def next_voters(
    members: MemberList,
    *,
    coordinator: bytes,
    present: Collection[bytes],
    heard: Collection[bytes],
    stable: Collection[bytes],
    lost: Collection[bytes],
) -> SetVoters | None:
    """Return the next step towards the right voters; None: they are right, or can't be made so.

    No step makes the voters that are present a minority, and none makes the majority larger while a
    voter is absent: an odd number grows only if all of them are present and two can be added.

    ``present``: who is alive and linked to the coordinator, itself included. ``heard``: who of
    these told a list of this epoch in the last :data:`HEARD_S`, for a link may stand for a while to
    who is gone: as the second voter it would be needed. ``stable``: who was present for
    :data:`STABLE_S` and holds the list. ``lost``: who is away for long.
    """
    voters = members.voters
    workers = sorted(
        (key for key in members.members if members.stands(key)), key=members.rank, reverse=True
    )
    wanted = wanted_voters(len(workers))
    ready = heard if len(voters) < _QUICK else stable
    spare = [key for key in workers if key in ready and key not in voters]
    former = [key for key in voters if not members.stands(key)]
    last_first = [key for key in reversed(workers) if key in voters]
    absent = [key for key in last_first if key not in present]
    away = former + absent
    gone = former + [key for key in absent if key in lost]
    others = [key for key in last_first if key in present and key != coordinator]
    step: SetVoters | None = None
    if len(voters) > wanted and (away or others):
        step = SetVoters(None, (away or others)[0])
    elif len(voters) < wanted and spare and len(voters) % 2 == 0:
        step = SetVoters(spare[0], None)  # as many as before decide
    elif len(voters) < wanted and not away and len(spare) > 1:
        step = SetVoters(spare[0], None)  # and the second one next
    elif gone and (spare or gone[0] in former) and may_lose_voter(members, gone[0]):
        # Out first: the rest needs fewer voters to agree than with one more.
        step = SetVoters(None, gone[0])
    if step is None:
        return None
    after = {*voters, step.added} if step.added is not None else {*voters} - {step.removed}
    return step if is_majority_present(after, present) else None


def is_majority_present(voters: Collection[bytes], present: Collection[bytes]) -> bool:
    """Tell whether a majority of the voters is present."""
    return len(set(voters).intersection(present)) > len(voters) // 2
