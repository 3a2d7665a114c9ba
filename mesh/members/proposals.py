"""Changes that this node asks the coordinator for, until it is known what became of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import ChangeDone, Effect
from buildnet.mesh.local import Local
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.member_list import Refused
from buildnet.mesh.messages.member_log import ChangeRefused

AGAIN_S = 1.0
"""So often the coordinator is asked again."""
NO_QUORUM_S = 3.0
"""A change gives up so long after it was proposed if nobody coordinates with a quorum."""
GIVE_UP_S = 15.0
MAX_PROPOSALS = 256


class NoQuorum(BuildNetError):
    """The member list can't change now: no coordinator has a majority of the voters behind it."""

    code = "NO_QUORUM"
    exit_code = 3
    http_status = 503


@dataclass(slots=True)
class _Proposal:
    change: Change
    since: float
    again_at: float


class Proposals:
    """What one node waits for."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._open: dict[bytes, _Proposal] = {}

    @property
    def deadline(self) -> float:
        """When :meth:`due` or :meth:`expire` has something to do."""
        return min((one.again_at for one in self._open.values()), default=math.inf)

    def add(self, change: Change, now: float) -> list[Effect]:
        """Wait for a change from now on; proposing it again does not change anything."""
        if change.id in self._open:
            return []
        if len(self._open) >= MAX_PROPOSALS:
            busy = NoQuorum("too many changes wait already", hint="try again later")
            return [ChangeDone(change.id, self._local.members.version, busy)]
        self._open[change.id] = _Proposal(change, now, now)
        return []

    def due(self, now: float) -> list[Change]:
        """Return what to ask for now; it is due again after a while."""
        due = [one for one in self._open.values() if one.again_at <= now]
        for one in due:
            one.again_at = now + AGAIN_S
        return [one.change for one in due]

    def hurry(self, now: float) -> None:
        """Ask for everything at once: there is somebody new to ask."""
        for one in self._open.values():
            one.again_at = now

    def done(self, change_id: bytes, version: int) -> list[Effect]:
        """Take note that a change is final."""
        if self._open.pop(change_id, None) is None:
            return []
        return [ChangeDone(change_id, version)]

    def failed(self, change_id: bytes, error: BuildNetError) -> list[Effect]:
        """Take note that a change will not happen."""
        if self._open.pop(change_id, None) is None:
            return []
        return [ChangeDone(change_id, self._local.members.version, error)]

    def refused(self, sender: bytes, said: ChangeRefused) -> list[Effect]:
        """Take the coordinator's word for it; nobody else's counts."""
        office = self._local.office
        if office is None or office.coordinator != sender:
            return []
        error = Refused(said.reason, said.message, hint=said.hint or None)
        return self.failed(said.change_id, error)

    def expire(self, now: float) -> list[Effect]:
        """Give up what took too long."""
        office = self._local.office
        quorum = office is not None and office.quorum
        effects: list[Effect] = []
        for change_id, one in list(self._open.items()):
            waited = now - one.since
            if not quorum and waited >= NO_QUORUM_S:
                effects += self.failed(
                    change_id,
                    NoQuorum(
                        "the member list can't change now",
                        cause="no coordinator reaches a majority of the voters",
                        hint="see who is missing: buildnet pool health",
                    ),
                )
            elif waited >= GIVE_UP_S:
                effects += self.failed(
                    change_id,
                    NoQuorum(
                        "nobody confirmed the change in time; it may still happen",
                        hint="look at the member list, then ask again: buildnet node list",
                    ),
                )
        return effects
