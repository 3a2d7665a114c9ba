"""Build configurations."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.answers.saved import (
    CONFIGURATION_FORMS,
    SavedConfiguration,
    ValidatedConfiguration,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.saved_routes import (
    Document,
    WhoAsks,
    add_changing_routes,
    add_reading_routes,
    keep,
)
from buildnet.node.auth.actions import Action
from buildnet.node.saved import CONFIGURATIONS, saved_in
from buildnet.node.service import NodeService
from buildnet.pool.configuration import read_configuration
from buildnet.pool.fitting import check_fit, shortages
from buildnet.pool.strict_model import InvalidDocumentError, dotted
from buildnet.pool.without_effect import warnings_of_configuration


def config_routes(service: NodeService) -> APIRouter:
    """Return the routes of configurations."""
    router = declared_router(prefix="/api/configs", tags=["configurations"])
    saved = saved_in(service, CONFIGURATIONS)
    add_reading_routes(router, saved, "configs", CONFIGURATION_FORMS)

    @router.post("", status_code=201)
    @does(Action.MODIFY_CONFIG, answer=SavedConfiguration, by_admin=True)
    async def create(body: Document, asking: Asking, actor: WhoAsks = "local") -> dict[str, Any]:
        """Keep a new configuration. Without an ``id`` it gets one made of its ``name``."""
        return await keep(saved, body, asking.name(actor))

    @router.post("/validate")
    @does(Action.VIEW_RESOURCES, answer=ValidatedConfiguration)
    async def validate(body: Document) -> dict[str, Any]:
        """Tell what is wrong with a configuration, without keeping it: ``problems`` in itself,
        ``warnings``: what of it has no effect, and ``capacity``: what it asks for that the pool
        does not have now; null: nothing; ``shortages``: the same, each with the key that asks for
        it."""
        try:
            configuration = read_configuration(body, "the configuration")
        except InvalidDocumentError as error:
            problems = [
                {"path": dotted(one.path), "message": one.message, "hint": one.hint}
                for one in error.problems
            ]
            return {
                "valid": False,
                "problems": problems,
                "warnings": [],
                "capacity": None,
                "shortages": [],
            }
        capacity: str | None = None
        await service.scanned.wait()
        nodes = list((await service.pool.picture()).nodes.values())
        this_node = service.key.node_id
        try:
            check_fit(configuration, nodes, this_node=this_node, where="the configuration")
        except BuildNetError as error:
            capacity = error.message
        missing = [
            {"path": dotted(one.path), "message": one.message, "hint": None}
            for one in shortages(configuration, nodes, this_node=this_node)
        ]
        return {
            "valid": True,
            "problems": [],
            "warnings": warnings_of_configuration(configuration),
            "capacity": capacity,
            "shortages": missing,
        }

    add_changing_routes(router, saved, CONFIGURATION_FORMS)
    return router
