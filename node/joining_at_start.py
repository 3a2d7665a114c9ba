"""Joining a cluster at the node's start: with patience, and never at the price of the node."""

from __future__ import annotations

import asyncio
import logging

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.dialing import UnreachableError
from buildnet.mesh.service.joining import JoinBrokenOffError
from buildnet.node.attempts import Attempt
from buildnet.node.joining import join
from buildnet.node.service import NodeService

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
_log = logging.getLogger("buildnet.node")


async def join_at_start(service: NodeService, address: str, token: str | None) -> None:
    """Join the cluster of the node at ``address``; try again for as long as nobody answers there.
    What else goes wrong is logged, and the node goes on alone."""
    if len(service.mesh.view().members) > 1:
        _log.info("this node is a member of %s already", service.cluster["name"])
        return
    with service.attempts.begin(address) as attempt:
        await _join(service, attempt, token)


async def _join(service: NodeService, attempt: Attempt, token: str | None) -> None:
    wait_s = FIRST_WAIT_S
    while True:
        try:
            await join(
                service,
                attempt.address,
                token,
                lambda code: _log.warning(
                    "waiting for an admin of the cluster: buildnet node approve there; the code "
                    "is %s",
                    code,
                ),
            )
            return
        except BuildNetError as error:
            if not isinstance(error, UnreachableError | JoinBrokenOffError):
                _log.error("not joined; this node goes on alone: %s", _in_words(error))
                return
            attempt.problem = error.message
            _log.warning("not joined; tried again in %.0f s: %s", wait_s, _in_words(error))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _in_words(error: BuildNetError) -> str:
    cause = f" ({error.cause})" if error.cause else ""
    hint = f"; {error.hint}" if error.hint else ""
    return f"{error.message}{cause}{hint}"
