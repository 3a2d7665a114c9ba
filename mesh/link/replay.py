"""Each message counts once: what was taken from every sender, so that a replay is refused.

RFC 6479's idea (a sliding window over sequence numbers), per sender, its boot, and recipient (this
node, or all). What a restarted node forgot can come back only over a link that its sender itself
opened, and receivers treat messages as idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildnet.mesh.events import BootFact
from buildnet.mesh.link.envelope import Envelope, EnvelopeError

WINDOW = 1024
"""How far a message may fall behind the newest one and still be taken."""

_MASK = (1 << WINDOW) - 1


class ReplayError(EnvelopeError):
    """A message that was taken before, or is too old to tell."""

    code = "MESH_REPLAY"


@dataclass(slots=True)
class _Seen:
    highest: int = 0
    bits: int = 1
    """Bit n: sequence ``highest - n`` was taken. 0 is never used."""

    def take(self, sequence: int) -> bool:
        ahead = sequence - self.highest
        if ahead > 0:
            self.bits = (self.bits << ahead | 1) & _MASK if ahead < WINDOW else 1
            self.highest = sequence
            return True
        if ahead <= -WINDOW or self.bits >> -ahead & 1:
            return False
        self.bits |= 1 << -ahead
        return True


class Sequences:
    """The numbers that a node gives to what it sends: from 1, for each recipient and for all."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def next(self, recipient: bytes | None) -> int:
        """Return the next number for a recipient's key, or for all (None)."""
        to = recipient or b""
        number = self._last.get(to, 0) + 1
        self._last[to] = number
        return number


class ReplayWindow:
    """What was taken, by sender. ``boots``: the highest boot of each, as it was persisted."""

    def __init__(self, boots: Mapping[bytes, int] | None = None) -> None:
        self._boots = dict(boots or {})
        self._seen: dict[bytes, dict[bool, _Seen]] = {}

    def start(self, sender: bytes, boot: int) -> BootFact | None:
        """Take note that ``sender`` runs as ``boot`` (it proved that in a handshake).

        Returns:
            What to persist, if the boot is new.

        Raises:
            ReplayError: a later boot of it was seen: an older process, or a copied key.
        """
        known = self._boots.get(sender)
        if known is not None and self.is_older(sender, boot):
            raise ReplayError(
                "older process or copied key",
                f"boot {boot}, {known} was seen of {sender.hex()[:16]}",
            )
        if boot == known:
            return None
        self._boots[sender] = boot
        self._seen.pop(sender, None)
        return BootFact(sender, boot)

    def is_older(self, sender: bytes, boot: int) -> bool:
        """Tell whether a later boot of ``sender`` was seen."""
        return boot < self._boots.get(sender, 0)

    def take(self, envelope: Envelope) -> BootFact | None:
        """Take a verified envelope of a member, once.

        Returns:
            What to persist, if the sender's boot is new.

        Raises:
            ReplayError: it was taken before, is too old to tell, or is of an older boot.
        """
        fact = self.start(envelope.sender, envelope.boot)
        windows = self._seen.setdefault(envelope.sender, {})
        seen = windows.setdefault(bool(envelope.recipient), _Seen())
        if not seen.take(envelope.sequence):
            raise ReplayError("replayed message", f"sequence {envelope.sequence}")
        return fact

    def forget(self, sender: bytes) -> None:
        """Drop what was taken of a node that is no member any more; its boot stays known."""
        self._seen.pop(sender, None)
