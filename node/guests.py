"""Who takes part in a cluster for this node: each part of it with its own kinds of messages."""

from __future__ import annotations

from buildnet.ledger import messages as ledger_messages
from buildnet.mesh.service.guest import GuestOf, together
from buildnet.node.artifacts import Artifacts
from buildnet.node.durable.service import DurableBuilds
from buildnet.node.nearest_holder import NearestHolder
from buildnet.node.pool_results import PoolResults
from buildnet.node.service import NodeService
from buildnet.node.sharing.far_tools import ToolsElsewhere
from buildnet.node.sharing.service import Sharing
from buildnet.pool.messages import (
    ATTESTING_KINDS,
    DURABLE_KINDS,
    EXPECTING_KINDS,
    FORWARD_KINDS,
    HOLDER_KINDS,
    HOST_KINDS,
    KEEPING_KINDS,
    KEY_KINDS,
    PEOPLE_KINDS,
    RESULT_KINDS,
    SHARING_KINDS,
    TOOL_KINDS,
)


def guests_of(
    service: NodeService,
    *,
    results: PoolResults,
    sharing: Sharing,
    artifacts: Artifacts,
    tools: ToolsElsewhere,
    nearest: NearestHolder,
    durable: DurableBuilds,
) -> GuestOf:
    """Return all of them as one; they are opened in this order and closed in the other."""
    access = service.access
    sharing.tell_inputs(service.expecting.used)
    return together(
        (ledger_messages.KINDS, service.ledger.guest),
        (RESULT_KINDS, results.guest),
        (SHARING_KINDS, sharing.guest),
        (KEEPING_KINDS, artifacts.guest),
        (TOOL_KINDS, tools.guest),
        (PEOPLE_KINDS, access.board.guest),
        (HOST_KINDS, service.hosts.guest),
        (HOLDER_KINDS, nearest.guest),
        (DURABLE_KINDS, durable.guest),
        (FORWARD_KINDS, access.forwarding.guest),
        (KEY_KINDS, access.spreading.guest),
        (ATTESTING_KINDS, service.attesting.guest),
        (EXPECTING_KINDS, service.expecting.guest),
    )
