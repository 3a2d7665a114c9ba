"""How often each key may ask this node."""

from __future__ import annotations

from collections import OrderedDict

from buildnet.mesh.allowance import Allowance
from buildnet.node.auth.refusal import TooManyRequestsError

MOST_KEYS = 10_000
AT_ONCE_S = 10.0
"""What may come in so many seconds may come at once."""


class Rates:
    """Of each key that was used lately what is left of its allowance."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, key: str, a_minute: int, now: float) -> None:
        """Count a request of a key at ``now`` (monotonic seconds).

        Raises:
            TooManyRequestsError: it is one too many.
        """
        rate = a_minute / 60
        allowance = self._left.get(key)
        if allowance is None:
            allowance = self._left[key] = Allowance(rate, max(1.0, rate * AT_ONCE_S), now)
            if len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
        self._left.move_to_end(key)
        if not allowance.take(1, now):
            raise TooManyRequestsError(
                f"more than {a_minute} requests a minute came with this key or session",
                (1 - allowance.left(now)) / rate,
                hint="wait as Retry-After says; for an agent that has to ask more often an admin "
                "makes a key with a higher --rate",
            )
