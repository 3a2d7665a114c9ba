"""How a command ended."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell says it


@dataclass(frozen=True, slots=True)
class ProcessOutcome:
    """How a command ended.

    ``exit_code`` is 128 + the signal's number if a signal ended it, as a shell says it.
    ``max_rss_bytes`` is None where the kernel can't tell: a process starts with its parent's
    memory on its account, so a peak below that stays hidden. ``exceeded`` names the limit for which
    it was ended: ``memory``, ``processes`` or ``disk``.
    """

    exit_code: int
    signal: str | None
    timed_out: bool
    cancelled: bool
    duration_ms: int
    cpu_ms: int
    max_rss_bytes: int | None
    left_behind: int
    output_truncated_bytes: int
    exceeded: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        ended = self.timed_out or self.cancelled or self.exceeded is not None
        return self.exit_code == 0 and not ended


def outcome_of(
    status: int,
    *,
    timed_out: bool,
    cancelled: bool,
    duration_ms: int,
    cpu_ms: int,
    max_rss_bytes: int | None,
    left_behind: int,
    output_truncated_bytes: int,
    exceeded: str | None = None,
) -> ProcessOutcome:
    """Return the outcome that a wait status stands for."""
    code = os.waitstatus_to_exitcode(status)
    return ProcessOutcome(
        exit_code=128 - code if code < 0 else code,
        signal=_signal_name(-code) if code < 0 else None,
        timed_out=timed_out,
        cancelled=cancelled,
        duration_ms=duration_ms,
        cpu_ms=cpu_ms,
        max_rss_bytes=max_rss_bytes,
        left_behind=left_behind,
        output_truncated_bytes=output_truncated_bytes,
        exceeded=exceeded,
    )


def never_started(exit_code: int, signal_name: str | None, *, cancelled: bool) -> ProcessOutcome:
    """Return the outcome of a command that did not run."""
    return ProcessOutcome(exit_code, signal_name, False, cancelled, 0, 0, None, 0, 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals but the first and last have no name
        return f"signal {number}"
