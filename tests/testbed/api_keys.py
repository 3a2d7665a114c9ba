"""Keys as the owner of a node of this process would make them, and others that count nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.claims import MAX_RATE, Claims, new_key_id
from buildnet.node.auth.keys import make_token
from testbed.api_node import ApiNode


def key_of(
    node: ApiNode, name: str, rights: Rights, *, signed_by: NodeKey | None = None, **changes: Any
) -> str:
    """Return a key that the node's owner made, or, ``signed_by`` another, pretends to be; it is
    limited in rate as little as can be. ``changes``: other values of its claims."""
    now = datetime.now(UTC)
    key = node.service.key
    said: dict[str, Any] = {
        "id": new_key_id(),
        "name": name,
        "cluster": node.service.mesh.cluster.local.members.cluster_id.hex(),
        "issuer": key.public_key.hex(),
        "issued": now - timedelta(seconds=1),
        "expires": now + timedelta(hours=1),
        "rights": rights,
        "rate": MAX_RATE,
    }
    return make_token(Claims(**(said | changes)), (signed_by or key).sign)
