"""A request with a query parameter that its route does not know is refused: what was to narrow an
answer down must not be left out in silence."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.suggest import did_you_mean


class UnknownParameterError(BuildNetError):
    """A request names a query parameter that its route does not have."""

    code = "INVALID_REQUEST"
    exit_code = 2
    http_status = 400


async def known_parameters(request: HTTPConnection) -> None:
    """Refuse unknown parameters; a dependency of every route, and so no plain function: FastAPI
    runs those in threads.

    Raises:
        UnknownParameterError: the request has one.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = sorted(set(_names(route.dependant)))
    for name in request.query_params:
        if name not in known:
            listed = f"known here: {', '.join(known)}" if known else "there are none here"
            raise UnknownParameterError(
                f"unknown query parameter {name!r:.80}", hint=did_you_mean(name, known) or listed
            )


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for needed in dependant.dependencies:
        yield from _names(needed)
