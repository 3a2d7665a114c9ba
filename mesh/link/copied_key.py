"""Whether another process runs with this node's key, as members say; any of them may be lying.

A member that knows a newer process of this node refuses the links that this one opens. Who refuses
is not dialled for a while. Only where most say so is it believed: then nobody is dialled. Refusals
tell whether the newer process is there. Once most say for a while that it is gone, this one may
begin anew as the newest; of two that run, the one that finds the other there stays out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

COPY_PAUSE_S = 60.0
"""How long nobody, or whoever refused, is dialled."""
GONE_PAUSE_S = 10.0
"""The same where the newer process is gone: to hear it once more."""
GONE_S = 10.0
"""For how long it must be gone: one that restarts, or whose link broke, is back before."""
ANSWERED_S = 60.0
"""How long an answer counts."""


@dataclass(frozen=True, slots=True)
class _Answer:
    at: float
    refused: bool
    gone: bool
    """The newer process because of which it refused is not there."""

    @property
    def pause_until(self) -> float:
        if not self.refused:
            return -math.inf
        return self.at + (GONE_PAUSE_S if self.gone else COPY_PAUSE_S)


class CopiedKey:
    """What members answered this process lately."""

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._answers: dict[bytes, _Answer] = {}
        self._paused_until = -math.inf
        self._gone_since: float | None = None
        """Since when most of those that refuse say that the newer process is gone."""

    def accepted(self, member: bytes, now: float) -> None:
        """Take note that a member took a link, so knows of no newer process."""
        self._note(member, now, refused=False)
        self._gone_since = None

    def is_free(self, now: float) -> bool:
        """Tell whether the newer process has been gone for so long that this one may begin anew."""
        return self._gone_since is not None and now >= self._gone_since + GONE_S

    def refused(
        self, member: bytes, now: float, *, linked: Iterable[bytes], others: int, gone: bool = False
    ) -> bool:
        """Take note that a member knows of a newer process, as it says; tell whether to believe it.

        It takes most of those that answered, and two of them if there are so many. ``linked`` are
        members to whom links stand: these say otherwise. ``others``: how many other members there
        are. ``gone``: it says that the newer process is not there. Who answers with this node's own
        key leaves no doubt.
        """
        self._note(member, now, refused=True, gone=gone)
        refusing = [key for key, answer in self._answers.items() if answer.refused]
        answered = {*self._answers, *linked}
        most = 2 * len(refusing) > len(answered) and len(refusing) >= min(2, others)
        if most or member == self._me:
            saying_gone = sum(self._answers[key].gone for key in refusing)
            is_gone = 2 * saying_gone > len(refusing) and member != self._me
            self._gone_since = (
                (now if self._gone_since is None else self._gone_since) if is_gone else None
            )
            self._paused_until = now + (GONE_PAUSE_S if is_gone else COPY_PAUSE_S)
            return True
        return False

    def may_dial(self, peer: bytes | None, now: float) -> bool:
        """Tell whether dialling ``peer`` (None: whoever is there) makes sense now."""
        answer = self._answers.get(peer or b"")
        return now >= self._paused_until and (answer is None or now >= answer.pause_until)

    def _note(self, member: bytes, now: float, *, refused: bool, gone: bool = False) -> None:
        # What was said before a pause that is over is asked anew.
        since = self._paused_until if now >= self._paused_until else -math.inf
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if now < answer.at + ANSWERED_S and answer.at >= since
        }
        self._answers[member] = _Answer(now, refused, gone)
