"""Waiting until a build has all that it reserves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from buildnet.node.running import RunningBuild
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.node.workers import either
from buildnet.pool.fitting import NoCapacityError
from buildnet.pool.placement import Host
from buildnet.pool.reservation import Reservation, reservation_of

_LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Reserving:
    """One build's reservation. ``slots``: what this node runs at once."""

    build: RunningBuild
    hosts: OtherHosts | None
    slots: int

    async def wait(self) -> None:
        """Return once the build has all of it, or was cancelled; nothing is had before.

        Raises:
            NoCapacityError: that did not happen in time; nothing is kept.
        """
        wait_s, hosts = self.build.request.wait_s, self.hosts
        if wait_s is None:
            return
        until = time.monotonic() + wait_s
        changed = asyncio.Event()
        if hosts is not None:
            hosts.on_change = changed.set
        try:
            while not self.build.cancelled.is_set():
                changed.clear()
                found = self._reservation()
                if hosts is not None:
                    hosts.reserve(() if found.lacking else found.wants)
                if not found.lacking and (hosts is None or found.is_had(hosts.had)):
                    return
                self._tell(found)
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise _too_long(wait_s, found)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, _LOOK_EVERY_S)):
                        await either(changed.wait(), self.build.cancelled.wait())
        except NoCapacityError:
            if hosts is not None:
                hosts.reserve(())
            raise
        finally:
            self.build.wait_for(None)

    def _reservation(self) -> Reservation:
        choice, hosts = self.build.request.choice, self._others()
        return reservation_of(
            choice.preferences, choice.parallel or 0, choice.slots_of(self.slots), hosts
        )

    def _others(self) -> Sequence[Host]:
        hosts = self.hosts
        return [] if hosts is None else [hosts.known.host(key) for key in hosts.borrowing.members]

    def _tell(self, found: Reservation) -> None:
        self.build.wait_for("; ".join(found.lacking) or "what it reserves, all at once")


def _too_long(wait_s: float, found: Reservation) -> NoCapacityError:
    what = "; ".join(found.lacking) or "others have what it reserves"
    return NoCapacityError(
        f"the build could not have all that it reserves within {wait_s:g} s: {what}",
        hint="wait longer, ask for less, or see who has it: buildnet queue, buildnet pool status",
    )
