"""What a node learned of other hosts: what they are good at, and how often they failed. Pure.

Of each kind of command (a task of a workspace) it keeps how long it took on which host, as a
moving average, corrected by the host's measured speed: what remains is what that host is better or
worse at than its speed tells. Bounded: what was not used longest is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_KINDS = 4096
_HOSTS = 512
_NEW = 0.3
"""What the latest time counts against all earlier ones."""
_MOST = 2.0
"""Nobody is taken for more than so much better, or worse, than others."""
_BENEFIT_OF_DOUBT = 3.0
"""A host counts as if it had done so many commands well before the first."""
_LATELY = 50.0
"""Of so many commands the outcome is remembered; earlier ones count less and less."""


@dataclass(slots=True)
class _Record:
    done: float = 0.0
    failed: float = 0.0


@dataclass(slots=True)
class Experience:
    """See the module's text. Hosts are keys; a kind is a text that both builds and hosts share."""

    _work: OrderedDict[str, dict[bytes, float]] = field(default_factory=OrderedDict)
    """For each kind, how much work it is by each host: milliseconds times speed."""
    _records: OrderedDict[bytes, _Record] = field(default_factory=OrderedDict)

    def ran(self, host: bytes, kind: str, duration_ms: float, speed: float | None) -> None:
        """Take note that a host of such a speed ran a command of this kind to its end."""
        by_host = self._work.setdefault(kind, {})
        self._work.move_to_end(kind)
        work = max(1.0, duration_ms) * (speed or 1.0)
        before = by_host.get(host)
        by_host[host] = work if before is None else before + _NEW * (work - before)
        if len(by_host) > _HOSTS:
            del by_host[next(iter(by_host))]
        while len(self._work) > _KINDS:
            self._work.popitem(last=False)
        self._note(host, failed=False)

    def failed(self, host: bytes) -> None:
        """Take note that a host did not run what it was given, or was lost."""
        self._note(host, failed=True)

    def _note(self, host: bytes, *, failed: bool) -> None:
        record = self._records.setdefault(host, _Record())
        self._records.move_to_end(host)
        while len(self._records) > _HOSTS:
            self._records.popitem(last=False)
        fading = 1.0 - 1.0 / _LATELY
        record.done *= fading
        record.failed *= fading
        if failed:
            record.failed += 1.0
        else:
            record.done += 1.0

    def aptitude(self, host: bytes, kind: str) -> float:
        """Return how much faster a host does this kind of command than its speed tells, compared
        with the others that did it; 1: nothing is known."""
        by_host = self._work.get(kind)
        if by_host is None or host not in by_host or len(by_host) < 2:
            return 1.0
        others = [work for each, work in by_host.items() if each != host]
        usual = sum(others) / len(others)
        return min(_MOST, max(1.0 / _MOST, usual / by_host[host]))

    def reliability(self, host: bytes) -> float:
        """Return which share of what a host was given it did; 1: it never failed."""
        record = self._records.get(host)
        if record is None or not record.failed:
            return 1.0
        done = record.done + _BENEFIT_OF_DOUBT
        return done / (done + record.failed)


NOTHING_KNOWN = Experience()
"""Not to be written to."""
