"""Whether another process runs with this node's key, as members say; any of them may be lying.

A member that knows a newer process of this node refuses the links that this one opens. Who refuses
is not dialled for a while. Only where most say so is it believed: then nobody is dialled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

COPY_PAUSE_S = 60.0
"""How long nobody, or whoever refused, is dialled."""
ANSWERED_S = 60.0
"""How long an answer counts."""


class CopiedKey:
    """What members answered this process lately."""

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._answers: dict[bytes, tuple[float, bool]] = {}
        """By member: when it answered, and whether it refused because of a newer process."""
        self._paused_until = -math.inf

    def accepted(self, member: bytes, now: float) -> None:
        """Take note that a member took a link, so knows of no newer process."""
        self._note(member, now, refused=False)

    def refused(self, member: bytes, now: float, *, linked: Iterable[bytes], others: int) -> bool:
        """Take note that a member knows of a newer process, as it says; tell whether to believe it.

        It takes most of those that answered, and two of them if there are so many. ``linked`` are
        members to whom links stand: these say otherwise. ``others``: how many other members there
        are. Who answers with this node's own key leaves no doubt.
        """
        self._note(member, now, refused=True)
        refusing = [key for key, (_, refused) in self._answers.items() if refused]
        answered = {*self._answers, *linked}
        most = 2 * len(refusing) > len(answered) and len(refusing) >= min(2, others)
        if most or member == self._me:
            self._paused_until = now + COPY_PAUSE_S
            return True
        return False

    def may_dial(self, peer: bytes | None, now: float) -> bool:
        """Tell whether dialling ``peer`` (None: whoever is there) makes sense now."""
        at, refused = self._answers.get(peer or b"", (-math.inf, False))
        return now >= self._paused_until and not (refused and now < at + COPY_PAUSE_S)

    def _note(self, member: bytes, now: float, *, refused: bool) -> None:
        lately = {key: one for key, one in self._answers.items() if now < one[0] + ANSWERED_S}
        self._answers = {**lately, member: (now, refused)}
