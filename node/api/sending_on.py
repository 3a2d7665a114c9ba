"""Requests that another node has to answer, as routes hand them on."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from buildnet.node.api.declared import caller_of
from buildnet.node.auth.caller import CallerKind
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.forwarding import ForwardError, Forwarding, sender_of
from buildnet.node.service import NodeService


def was_sent_on(request: Request) -> bool:
    """Tell whether another node sent a request here: it is not sent on again."""
    return sender_of(request.scope) is not None


class Admins:
    """The nodes of admins: what they alone can do is sent to one of them, with the credential of
    who asks."""

    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response | None:
        """Return the answer of one of them; None: this node is one, or can reach none. The owner of
        this node asks with its rights, which no other node takes for more.

        Raises:
            NotAllowedError: who asks brings nothing that counts there.
            ForwardError: it was sent on already, or can't be.
        """
        desk, forwarding = self._service.access.desk, self._service.access.forwarding
        if desk.signs or caller_of(request).is_owner:
            return None
        linked = [one for one in desk.signers() if forwarding.reaches(one.key)]
        about = request.path_params.get("name")
        linked.sort(key=lambda one: about in (one.name, one.node_id))  # none ends itself if it can
        if not linked:
            return None
        return await send_on(forwarding, request, linked[0].key, linked[0].name)


async def send_on(forwarding: Forwarding, request: Request, key: bytes, name: str) -> Response:
    """Return the answer of the member with ``key``, called ``name``, to the same request.

    Raises:
        NotAllowedError: who asks brings nothing that counts there.
        ForwardError: the request was sent on already, or can't be.
    """
    if was_sent_on(request):
        raise ForwardError(
            "another node than this one has to answer that now", hint="ask again in some seconds"
        )
    if caller_of(request).kind is not CallerKind.KEY:
        raise NotAllowedError(
            f"only {name} can do that, and a login counts on the node alone where it was made",
            hint=f"log in on {name}, or ask with a key, which counts on each node",
        )
    target = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"].decode("latin-1"):
        target = f"{target}?{query}"
    found = await forwarding.ask(
        key, request.method, target, dict(request.headers), await request.body()
    )
    return Response(found.body, found.status, dict(found.headers))
