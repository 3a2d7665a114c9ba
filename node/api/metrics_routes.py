"""What monitoring reads."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.auth.actions import Action
from buildnet.node.metrics.state import StateCollector, picture_of
from buildnet.node.service import NodeService


def metrics_routes(service: NodeService) -> APIRouter:
    """Return the route of the metrics."""
    router = declared_router(tags=["node"])
    process = CollectorRegistry()
    ProcessCollector(registry=process)

    @router.get("/metrics", response_class=Response, responses=answers_as("text/plain"))
    @does(Action.VIEW_RESOURCES)
    async def metrics(request: Request) -> Response:
        """This node's metrics in Prometheus' text format, or OpenMetrics where that is accepted."""
        state = CollectorRegistry()
        state.register(StateCollector(await picture_of(service)))
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        parts = [encode(each) for each in (service.telemetry.tally.registry, state, process)]
        end = b"# EOF\n"  # of OpenMetrics: once, at the end of all
        ends = [part.endswith(end) for part in parts]
        text = b"".join(part.removesuffix(end) for part in parts) + (end if any(ends) else b"")
        return Response(text, media_type=media_type)

    return router
