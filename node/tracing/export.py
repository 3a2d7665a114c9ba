"""Sends spans to a collector by OTLP over HTTP, in batches, beside everything else.

What the collector does not take is lost, and never held against a build. Loaded only where traces
are wanted: OpenTelemetry takes its time. Variables such as ``OTEL_EXPORTER_OTLP_HEADERS`` count.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from buildnet import __version__
from buildnet.node.tracing.spans import Span

_SCOPE = InstrumentationScope("buildnet", __version__)
_TIMEOUT_S = 3.0
"""Of one batch, with all its retries; so long does a node that stops wait for a collector."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class TraceExport:
    """Spans on their way to ``endpoint``, such as ``http://collector:4318/v1/traces``; ``node``:
    the name and id of this one."""

    def __init__(self, endpoint: str, node: tuple[str, str]) -> None:
        name, identity = node
        self._resource = Resource.create(
            {
                "service.name": "buildnet",
                "service.version": __version__,
                "service.instance.id": identity,
                "host.name": name,
            }
        )
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)
        )

    def take(self, spans: Iterable[Span]) -> None:
        """Send some; returns at once."""
        for span in spans:
            self._processor.on_end(self._readable(span))

    def close(self) -> None:
        """Send what waits; blocks, for seconds where nobody takes it."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        trace = int.from_bytes(span.trace)

        def context(name: bytes) -> SpanContext:
            return SpanContext(trace, int.from_bytes(name), is_remote=False, trace_flags=_SAMPLED)

        return ReadableSpan(
            name=span.name,
            context=context(span.id),
            parent=None if span.parent is None else context(span.parent),
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.INTERNAL,
            status=Status() if span.problem is None else Status(StatusCode.ERROR, span.problem),
            start_time=span.began_ns,
            end_time=span.ended_ns,
            instrumentation_scope=_SCOPE,
        )
