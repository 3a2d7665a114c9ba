"""What lets builds outlive the node that was asked for them, as the builder needs it."""

from __future__ import annotations

from typing import Protocol

from buildnet.ledger.history import Durability
from buildnet.node.perform import Performer
from buildnet.node.running import RunningBuild
from buildnet.node.workshop import Job


class Outliving(Protocol):
    """Lets builds outlive the node that was asked for them; see
    :class:`~buildnet.node.durable.service.DurableBuilds`."""

    def expected(self, build: RunningBuild) -> Durability | None:
        """Return what the record says as long as a build's request is on this node alone; None:
        nobody expects it to be elsewhere."""

    async def begin(self, build: RunningBuild, job: Job, performer: Performer) -> None:
        """See to it that another node has the request of a build that begins; return once that is
        so, or can't be, if who asked waits for it."""

    def over(self, build: RunningBuild) -> None:
        """Take note that a build's end is recorded."""

    def hand_over(self, build: RunningBuild) -> bool:
        """Let another node go on with a build, for this one stops; False: none can."""
