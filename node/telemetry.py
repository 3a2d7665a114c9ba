"""What this node tells monitoring of what it did: counts always, traces where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildnet.node.metrics.tally import Tally
from buildnet.node.tracing.spans import BuildRan, GuestRan, span_of_guest, spans_of_build

if TYPE_CHECKING:
    from buildnet.node.tracing.export import TraceExport


class Telemetry:
    """Is told of what ended, on the event loop's thread."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._traces: TraceExport | None = None

    def build_ended(self, ran: BuildRan) -> None:
        """Take a build that this node drove."""
        self.tally.build_ended(ran)
        if self._traces is not None:
            self._traces.take(spans_of_build(ran))

    def guest_ended(self, ran: GuestRan) -> None:
        """Take a command that ran here for another node."""
        self.tally.guest_ended(ran.outcome)
        if self._traces is not None:
            self._traces.take((span_of_guest(ran),))

    @contextmanager
    def tracing(self, endpoint: str | None, name: str, node_id: str) -> Iterator[None]:
        """Send traces to ``endpoint`` until the context ends; None: nowhere."""
        if endpoint is None:
            yield
            return
        from buildnet.node.tracing.export import TraceExport

        self._traces = TraceExport(endpoint, (name, node_id))
        try:
            yield
        finally:
            self._traces.close()
            self._traces = None
