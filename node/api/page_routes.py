"""The pages that a browser loads before anybody is logged in: plain files, all of this node."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response

from buildnet.node.api.declared import declared_router, does
from buildnet.node.auth.actions import Action

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
}
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_FILES = {
    "/": "home.html",
    "/login": "login.html",
    "/pages/home.js": "home.js",
    "/pages/login.js": "login.js",
    "/pages/page.css": "page.css",
}


def page_routes() -> APIRouter:
    """Return the routes of the pages and of what belongs to them."""
    router = declared_router(tags=["pages"])
    folder = files("buildnet.node.api") / "pages"
    for path, name in _FILES.items():
        _add(router, path, name, (folder / name).read_bytes())
    return router


def _add(router: APIRouter, path: str, name: str, content: bytes) -> None:
    kind = _TYPES[name.rpartition(".")[2]]

    @router.get(path, include_in_schema=False)
    @does(Action.OPEN)
    async def page() -> Response:
        return Response(content, media_type=f"{kind}; charset=utf-8", headers=_HEADERS)
