"""Since when something that can be sealed waits, and no seal comes."""

from __future__ import annotations

from collections.abc import Callable

from buildnet.ledger.entry import Chain
from buildnet.ledger.holding import Holding
from buildnet.mesh.local import Local


class Standing:
    """Watches one node's ledger."""

    def __init__(
        self, local: Local, holding: Callable[[], Holding], clock: Callable[[], float]
    ) -> None:
        self._local = local
        self._held = holding
        self._clock = clock
        self._since: float | None = None

    @property
    def waits_s(self) -> float | None:
        """How long something has waited, since the last seal; None: nothing waits."""
        return None if self._since is None else self._clock() - self._since

    def grew(self) -> None:
        """Take note that entries came."""
        if self._since is None and self._waits():
            self._since = self._clock()

    def sealed(self) -> None:
        """Take note of a seal: what waits has waited for the next one since."""
        self._since = self._clock() if self._waits() else None

    def _waits(self) -> bool:
        holding = self._held()
        return not holding.is_sealed and any(map(self._is_sealable, holding.open_chains()))

    def _is_sealable(self, chain: Chain) -> bool:
        """Tell whether there is something that nothing but a majority is wanting for."""
        holding, members = self._held(), self._local.members
        if chain in holding.closed or chain.origin in members.revoked:
            return False
        broken = holding.chains[chain].quarantined
        return broken is None or broken > holding.reach.sequence(chain) + 1
