"""Which nodes of the cluster have a result, as they say when they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from buildnet.node.execute.isolation import STRICT
from buildnet.node.pool_results import may_ask
from buildnet.node.result_question import Said

if TYPE_CHECKING:
    from buildnet.node.service import NodeService
    from buildnet.node.store import ActionDetails

WITHIN_S = 1.0
NOT_SHARED = "results that are not strict stay on the node that made them"
AWAY = "this node has no link with it now"
OBSERVER = "it observes, and is not asked for results"
NO_ANSWER = "it did not answer in time"


async def holders(service: NodeService, details: ActionDetails) -> dict[str, Any]:
    """Return for each member whether it has a result of this node's store with all that it needs;
    null: that is not known, and ``why``. All that can be are asked now.

    Args:
        details: the result as it is here.
    """
    record, shared = details.record, details.record.isolation == STRICT
    results = service.builder.workshop.results
    told: Mapping[bytes, Said] = {}
    if shared and results is not None:
        told = await results.census(record.action, WITHIN_S)
    local = service.mesh.cluster.local
    nodes = []
    for member in service.pool.view().members:
        said, why = told.get(member.key), None
        if mine := member.key == local.key:
            said = Said(not details.missing, record.created_at)
        elif not shared:
            why = NOT_SHARED
        elif said is None:
            why = AWAY if may_ask(local.members, member.key) else OBSERVER
        elif said.has is None:
            why = NO_ANSWER
        far = None if mine or member.round_trip_s is None else member.round_trip_s * 1000
        nodes.append(
            {
                "node_id": member.node_id,
                "node": member.name,
                "this_node": mine,
                "has": None if said is None else said.has,
                "why": why,
                "made_at": None if said is None else said.made_at,
                "latency_ms": None if far is None else round(far, 3),
            }
        )
    return {"action": record.action.hash, "shared": shared, "nodes": nodes}
