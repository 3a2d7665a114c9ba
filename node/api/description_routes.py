"""The API's own description, for programs and for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.description import PAGE_POLICY, page
from buildnet.node.auth.actions import Action


def description_routes(described: Callable[[], dict[str, Any]]) -> APIRouter:
    """Return the routes that tell what ``described`` returns."""
    router = declared_router()

    @router.get("/api/openapi.json", include_in_schema=False)
    @does(Action.VIEW_RESOURCES)
    async def openapi() -> dict[str, Any]:
        """OpenAPI 3.1."""
        return described()

    @router.get("/api/docs", include_in_schema=False)
    @does(Action.VIEW_RESOURCES)
    async def docs() -> HTMLResponse:
        """The same as a page."""
        headers = {"content-security-policy": PAGE_POLICY}
        return HTMLResponse(page(described()), headers=headers)

    return router
