"""The API's own description."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI

from buildnet.node.api.declared import declared_router, does
from buildnet.node.auth.actions import Action


def description_routes(application: FastAPI) -> APIRouter:
    """Return the route that describes all others of ``application``."""
    router = declared_router()

    @router.get("/api/openapi.json", include_in_schema=False)
    @does(Action.VIEW_RESOURCES)
    async def described() -> dict[str, Any]:
        """OpenAPI 3.1."""
        return application.openapi()

    return router
