"""The members as hosts for commands: what they told of themselves, and what was learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from buildnet.pool.experience import Experience
from buildnet.pool.holdings import Holdings
from buildnet.pool.placement import Host

_LOOK_EVERY_S = 1.0
THIS_NODE = Host(b"", is_here=True)
"""As long as nothing is known of it."""


@dataclass(slots=True)
class KnownHosts:
    """See the module's text. ``look`` returns all members, this node among them, by key; it is
    asked once a second at most. ``experience`` and ``holdings`` outlive builds."""

    look: Callable[[], Mapping[bytes, Host]] = dict
    clock: Callable[[], float] = time.monotonic
    experience: Experience = field(default_factory=Experience)
    holdings: Holdings = field(default_factory=Holdings)
    _hosts: Mapping[bytes, Host] = field(default_factory=dict)
    _here: Host = THIS_NODE
    _looked_at: float | None = None

    @property
    def here(self) -> Host:
        """This node."""
        self._look()
        return self._here

    def host(self, key: bytes) -> Host:
        """Return a member; of one that has told nothing nothing is known but its key."""
        self._look()
        return self._hosts.get(key) or Host(key)

    @property
    def others(self) -> list[Host]:
        """The other members."""
        self._look()
        return [host for host in self._hosts.values() if not host.is_here]

    @property
    def slots_elsewhere(self) -> int:
        """How many commands other members could run at once, as far as they lend any."""
        return sum(each.slots or 0 for each in self.others if each.lends_nothing is None)

    @property
    def latency_ms(self) -> dict[bytes, float]:
        """Round trips to other members, as far as they are known."""
        self._look()
        return {
            key: host.latency_ms
            for key, host in self._hosts.items()
            if host.latency_ms is not None and not host.is_here
        }

    def _look(self) -> None:
        now = self.clock()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._hosts = self.look()
            self._here = next((host for host in self._hosts.values() if host.is_here), THIS_NODE)
