"""Joining the cluster of another node, by any address that is known of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from buildnet.mesh.errors import UsageError
from buildnet.mesh.link.dialing import UnreachableError, websocket_urls
from buildnet.mesh.members.invitation import Token
from buildnet.mesh.service.service import Joined
from buildnet.node.service import NodeService

_log = logging.getLogger("buildnet.node")


async def join(
    service: NodeService,
    address: str | None,
    token: str | None = None,
    on_pending: Callable[[str], None] | None = None,
) -> Joined:
    """Join the cluster of the node at ``address``, and tell it at once what this host has.

    Where nobody answers there, or without an address, those in the token are tried.
    ``on_pending`` is called with the short authentication string where an admin must approve.

    Raises:
        BuildNetError: that failed; nothing has changed.
    """
    unreachable: list[UnreachableError] = []
    view = service.mesh.view()
    me = view.member(view.me)
    for each in _ways_in(address, token, but=me.addresses if me is not None else ()):
        try:
            joined = await _join(service, each, token, on_pending)
        except UnreachableError as error:
            _log.info("%s", error.message)
            unreachable.append(error)
        else:
            service.advertiser.tell(time.monotonic())
            return joined
    first, *others = unreachable
    if others:
        also = ", ".join(each.message for each in others)
        first.cause = f"{first.cause or 'no answer'}; the token's other addresses: {also}"
    raise first


async def _join(
    service: NodeService, address: str, token: str | None, on_pending: Callable[[str], None] | None
) -> Joined:
    with service.attempts.begin(address) as attempt:

        def pending(code: str) -> None:
            attempt.code = code
            if on_pending is not None:
                on_pending(code)

        return await service.mesh.join(address, token=token, on_pending=pending)


def _ways_in(address: str | None, token: str | None, *, but: Sequence[str]) -> Sequence[str]:
    """Return the addresses to try: the given one first; of the token's not those in ``but``, where
    this node itself would answer."""
    told = Token.parse(token).addresses if token is not None else ()
    given = [] if address is None else [address]
    same = set() if address is None else set(websocket_urls(address))
    others = [each for each in told if each not in but]
    found = [*given, *(each for each in others if not same.intersection(websocket_urls(each)))]
    if not found:
        raise UsageError(
            "nothing tells where to join", hint="buildnet node join ADDRESS --token TOKEN"
        )
    return found
