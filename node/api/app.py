"""The node's HTTP application; the gate in front of it decides who may ask for what."""

from __future__ import annotations

from fastapi import Depends, FastAPI

from buildnet import __version__
from buildnet.node.api.build_routes import build_routes
from buildnet.node.api.cache_routes import cache_routes
from buildnet.node.api.config_routes import config_routes
from buildnet.node.api.dead_letter_routes import dead_letter_routes
from buildnet.node.api.ledger_routes import ledger_routes
from buildnet.node.api.ledger_upkeep_routes import ledger_upkeep_routes
from buildnet.node.api.member_routes import member_routes
from buildnet.node.api.node_routes import node_routes
from buildnet.node.api.parameters import known_parameters
from buildnet.node.api.peer_routes import peer_routes
from buildnet.node.api.pool_routes import pool_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.api.profile_routes import profile_routes
from buildnet.node.api.queue_routes import queue_routes
from buildnet.node.api.server_routes import server_routes
from buildnet.node.api.template_routes import template_routes
from buildnet.node.service import NodeService


def create_application(service: NodeService) -> FastAPI:
    """Return the application that answers for ``service``."""
    application = FastAPI(
        title="BuildNet",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere; ours comes with the web UI
        redoc_url=None,
        dependencies=[Depends(known_parameters)],
        responses={"4XX": {"description": "Problem details (RFC 9457), with `code` and `hint`"}},
    )
    add_problem_handlers(application)
    application.include_router(node_routes(service))
    application.include_router(pool_routes(service))
    application.include_router(server_routes(service))
    application.include_router(build_routes(service))
    application.include_router(queue_routes(service))
    application.include_router(config_routes(service))
    application.include_router(template_routes(service))
    application.include_router(profile_routes(service))
    application.include_router(cache_routes(service))
    application.include_router(dead_letter_routes(service))
    application.include_router(member_routes(service))
    application.include_router(ledger_routes(service))
    application.include_router(ledger_upkeep_routes(service))
    application.include_router(peer_routes(service))
    return application
