"""Each route declares the action that it is; one that does not can't be made.

The caller is checked before the body is read, and before anything is looked up: rights come before
existence.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from buildnet.node.api.entity_tag import tagged
from buildnet.node.api.json_text import require_json
from buildnet.node.api.packing import packed
from buildnet.node.api.repeats import HEADER, answered_once, require_answer
from buildnet.node.auth.actions import OF_THE_CLUSTER, Action
from buildnet.node.auth.caller import NOBODY, Caller, CallerKind
from buildnet.node.auth.proof import require_body
from buildnet.node.auth.refusal import NotAllowedError

_DECLARED = "__buildnet_action__"
_WITHIN = "__buildnet_within__"
_SECRET = "__buildnet_secret__"
_HERE = "__buildnet_here__"
_BY_ADMIN = "__buildnet_by_admin__"
_ANSWER = "__buildnet_answer__"
_GOES_ON = "__buildnet_goes_on__"
_OF_BUILD = "__buildnet_of_build__"
GOES_ON = "x-buildnet-goes-on"
"""In the description of a route whose answer goes on for long in any case."""
_OF_NO_WORKSPACE = (Action.OPEN, Action.VIEW_RESOURCES)
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handle = Callable[[Request], Coroutine[Any, Any, Response]]


def does(
    action: Action,
    *,
    answer: Any = None,
    within: bool = False,
    here: bool = False,
    by_admin: bool = False,
    tells_secret: bool = False,
    goes_on: bool = False,
    of_build: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declare the action of a route; below its ``@router.…``. ``answer``: the type of its JSON, as
    it is described; tests check that it is, nobody while it is answered. ``within``: it sees itself
    to it that who asks with a key for some workspaces gets to no others; else such a key does not
    get there. ``here``: though its action is one of the whole cluster, it keeps to this node; else
    a key for some nodes does not get there. ``by_admin``: only the node of an admin can do it;
    another one sends a request with a key there. ``tells_secret``: its answer holds one, which is
    told once, and nowhere kept. ``goes_on``: its answer does, whatever is accepted, so it can't be
    given again. ``of_build``: it tells of a build of this node, and other nodes may ask."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, action)
        setattr(endpoint, _WITHIN, within or action in _OF_NO_WORKSPACE)
        setattr(endpoint, _SECRET, tells_secret)
        setattr(endpoint, _HERE, here or action not in OF_THE_CLUSTER)
        setattr(endpoint, _BY_ADMIN, by_admin)
        setattr(endpoint, _ANSWER, answer)
        setattr(endpoint, _GOES_ON, goes_on)
        setattr(endpoint, _OF_BUILD, of_build)
        return endpoint

    return declare


def action_of(route: BaseRoute) -> Action:
    """Return the action that a route declares.

    Raises:
        TypeError: none.
    """
    action = getattr(getattr(route, "endpoint", None), _DECLARED, None)
    if not isinstance(action, Action):
        raise TypeError(f"the route {getattr(route, 'path', route)} declares no action")
    return action


class DeclaredRoute(APIRoute):
    """A route that only those get to who may do what it does."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.endpoint = endpoint
        self.path = path
        action = action_of(self)
        extra = {"x-buildnet-action": action.value, **(options.pop("openapi_extra", None) or {})}
        if getattr(endpoint, _GOES_ON):
            extra[GOES_ON] = True
        if action is Action.OPEN:
            extra["security"] = []
        if (answer := getattr(endpoint, _ANSWER)) is not None:
            options["responses"] = _with_answer(options, answer)
        super().__init__(path, endpoint, openapi_extra=extra, **options)

    def get_route_handler(self) -> Handle:
        """Return what answers a request, after a look at who asks."""
        action, handle = action_of(self), super().get_route_handler()
        is_within = bool(getattr(self.endpoint, _WITHIN))
        is_secret = bool(getattr(self.endpoint, _SECRET))
        is_here = bool(getattr(self.endpoint, _HERE))
        goes_on = bool(getattr(self.endpoint, _GOES_ON))
        is_of_build = bool(getattr(self.endpoint, _OF_BUILD))
        if getattr(self.endpoint, _BY_ADMIN):
            handle = _by_admin(handle)

        async def checked(request: Request) -> Response:
            caller = caller_of(request)
            if caller.kind is CallerKind.NODE and not is_of_build:
                raise NotAllowedError("another node is told of single builds alone")
            caller.require(action)
            if not is_within:
                caller.require_everything()
            if not is_here:
                caller.require_cluster()
            if request.method != "GET" or caller.body_sha256 is not None:
                body = await request.body()  # kept; too long a one is refused by name
                require_json(body)
                if caller.body_sha256 is not None:
                    require_body(caller.body_sha256, body)
            if request.method == "POST" and HEADER in request.headers and caller is not NOBODY:
                who = caller.credential or caller.actor
                repeats = request.app.state.repeats
                require_answer(request, goes_on=goes_on)
                return await answered_once(repeats, who, request, handle, is_secret=is_secret)
            return tagged(request, await packed(request, await handle(request)))

        return checked


def _by_admin(handle: Handle) -> Handle:
    """Have another node answer where only that of an admin can: ``admins`` of the application's
    state, an :class:`~buildnet.node.api.sending_on.Admins`, sends it there."""

    async def answer(request: Request) -> Response:
        elsewhere: Response | None = await request.app.state.admins.answer(request)
        return await handle(request) if elsewhere is None else elsewhere

    return answer


def declared_router(**options: Any) -> APIRouter:
    """Return a router for routes that declare their actions."""
    return APIRouter(route_class=DeclaredRoute, **options)


def caller_of(connection: HTTPConnection) -> Caller:
    """Return who asks, as the gate found out."""
    found = connection.scope.get("state", {}).get("caller", NOBODY)
    assert isinstance(found, Caller)
    return found


def connection_of(connection: HTTPConnection) -> int:
    """Return the number under which the gate tracks a connection; 0: it does not."""
    return int(connection.scope.get("state", {}).get("connection", 0))


async def _asking(connection: HTTPConnection) -> Caller:
    return caller_of(connection)  # FastAPI runs what is no coroutine in a thread


Asking = Annotated[Caller, Depends(_asking)]
"""The caller, as a parameter of a route."""


def _with_answer(options: dict[str, Any], answer: Any) -> dict[int | str, Any]:
    """Return what a route with these options says of its answers, where its JSON is ``answer``."""
    said: dict[int | str, Any] = dict(options.get("responses") or {})
    status: int = options.get("status_code") or 200
    said[status] = {**said.get(status, {}), "model": answer}
    return said


def require_declared(routes: Iterable[BaseRoute]) -> None:
    """See that every route declares its action.

    Raises:
        TypeError: one does not.
    """
    for route in routes:
        action_of(route)
