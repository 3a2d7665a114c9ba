"""Where browsers get the page: it loads before anybody is logged in, and holds nothing of the pool.

All views have paths of their own below ``/ui/``, which the page itself tells apart: whichever of
them is asked for, the answer is the same index. Files are looked up in a table that was made when
the node started, so no path leads anywhere else.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.encodings import takes_gzip
from buildnet.node.api.entity_tag import tagged
from buildnet.node.auth.actions import Action
from buildnet.node.web.built import INDEX, PageFile, built_page

PATHS = ("/", "/login", "/ui", "/ui/{path:path}")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load and do: only what comes from its node (see docs/security.md)."""
_YEAR_S = 365 * 24 * 3600


def page_routes() -> APIRouter:
    """Return the routes of the page."""
    router = declared_router()
    page = built_page()

    @does(Action.OPEN)
    async def file(request: Request) -> Response:
        name = request.path_params.get("path", "")
        found = page.get(name)
        if found is None and name.startswith("assets/"):
            raise NotFoundError(
                f"the page has no file {name!r:.120}", hint="load the page again: it was updated"
            )
        wanted = found or page[INDEX]
        if not wanted.is_ready:
            await asyncio.to_thread(wanted.make_ready)
        return tagged(request, _answer(request, wanted))

    for path in PATHS:
        # No APIRoute: what stands behind the ? is for the page, which keeps its filters there.
        router.add_route(path, file, include_in_schema=False)
    return router


def _answer(request: Request, file: PageFile) -> Response:
    headers = {
        "etag": file.tag,
        "vary": "accept-encoding",
        "cache-control": f"public, max-age={_YEAR_S}, immutable"
        if file.is_for_good
        else "no-cache",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
    }
    content, packed = file.content, None
    if takes_gzip(request):
        packed = file.packed
    if packed is not None:
        content = packed
        headers |= {"content-encoding": "gzip", "etag": f'{file.tag[:-1]}-gzip"'}
    return Response(content, media_type=file.media_type, headers=headers)
