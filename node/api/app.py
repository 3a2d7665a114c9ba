"""The node's HTTP application; the gate in front of it decides who may ask for what."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from buildnet import __version__
from buildnet.node.api.account_routes import account_routes
from buildnet.node.api.artifact_routes import artifact_routes
from buildnet.node.api.begin_routes import begin_routes
from buildnet.node.api.build_routes import build_routes
from buildnet.node.api.cache_routes import cache_routes
from buildnet.node.api.config_routes import config_routes
from buildnet.node.api.dead_letter_routes import dead_letter_routes
from buildnet.node.api.declared import require_declared
from buildnet.node.api.description import description, operation_id
from buildnet.node.api.description_routes import description_routes
from buildnet.node.api.discretion import PLACES, private_places
from buildnet.node.api.estimate_routes import estimate_routes
from buildnet.node.api.event_routes import event_routes
from buildnet.node.api.flaky_routes import flaky_routes
from buildnet.node.api.graph_routes import graph_routes
from buildnet.node.api.head import as_get, head_of
from buildnet.node.api.key_routes import key_routes
from buildnet.node.api.ledger_routes import ledger_routes
from buildnet.node.api.ledger_upkeep_routes import ledger_upkeep_routes
from buildnet.node.api.login_routes import login_routes
from buildnet.node.api.member_routes import member_routes
from buildnet.node.api.metrics_routes import metrics_routes
from buildnet.node.api.node_log_routes import node_log_routes
from buildnet.node.api.node_routes import node_routes
from buildnet.node.api.parameters import known_parameters
from buildnet.node.api.peer_routes import peer_routes
from buildnet.node.api.pool_routes import pool_routes
from buildnet.node.api.problems import add_problem_handlers
from buildnet.node.api.profile_routes import default_routes, profile_routes
from buildnet.node.api.provenance_routes import provenance_routes
from buildnet.node.api.queue_routes import queue_routes
from buildnet.node.api.record_routes import record_routes
from buildnet.node.api.repeats import Repeats
from buildnet.node.api.sending_on import Admins
from buildnet.node.api.server_routes import server_routes
from buildnet.node.api.session_routes import session_routes
from buildnet.node.api.settings_routes import settings_routes
from buildnet.node.api.template_routes import template_routes
from buildnet.node.api.watch_routes import watch_routes
from buildnet.node.api.workspace_routes import workspace_routes
from buildnet.node.service import NodeService
from buildnet.node.web.pages import page_routes


class Application(FastAPI):
    """Routes of which each declares its action: ``declared``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declared: list[BaseRoute] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; HEAD as GET."""
        await super().__call__(as_get(scope), receive, head_of(scope, send))

    def offer(self, router: APIRouter) -> None:
        """Take in the routes of a router.

        Raises:
            TypeError: one declares no action.
        """
        require_declared(router.routes)
        self.declared += router.routes
        self.include_router(router)

    def openapi(self) -> dict[str, Any]:
        """Return the description of all routes, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = description(self.title, self.version, self.routes)
        return self.openapi_schema


def create_application(service: NodeService) -> Application:
    """Return the application that answers for ``service``."""
    application = Application(
        title="BuildNet",
        version=__version__,
        openapi_url=None,  # it is a route like the others
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(known_parameters)],
        generate_unique_id_function=operation_id,
    )
    add_problem_handlers(application)
    application.state.repeats = Repeats(time.monotonic)
    application.state.admins = Admins(service)
    setattr(application.state, PLACES, private_places(service.home.directory))
    application.offer(node_routes(service))
    application.offer(node_log_routes(service))
    application.offer(settings_routes(service))
    application.offer(metrics_routes(service))
    application.offer(pool_routes(service))
    application.offer(server_routes(service))
    application.offer(build_routes(service))
    application.offer(workspace_routes(service))
    application.offer(record_routes(service))
    application.offer(graph_routes(service))
    application.offer(artifact_routes(service))
    application.offer(flaky_routes(service))
    application.offer(provenance_routes(service))
    application.offer(estimate_routes(service))
    application.offer(watch_routes(service))
    application.offer(queue_routes(service))
    application.offer(config_routes(service))
    application.offer(template_routes(service))
    application.offer(profile_routes(service))
    application.offer(default_routes(service))
    application.offer(cache_routes(service))
    application.offer(dead_letter_routes(service))
    application.offer(member_routes(service))
    application.offer(key_routes(service))
    application.offer(ledger_routes(service))
    application.offer(ledger_upkeep_routes(service))
    application.offer(event_routes(service))
    application.offer(peer_routes(service))
    application.offer(page_routes())
    application.offer(login_routes(service))
    application.offer(account_routes(service))
    application.offer(session_routes(service))
    application.offer(begin_routes(service))
    application.offer(description_routes(application.openapi))
    return application
