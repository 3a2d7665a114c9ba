"""Everything that this node tells events of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildnet.node.events.build_source import BuildSource
from buildnet.node.events.ledger_source import LedgerSource
from buildnet.node.events.log_source import LogSource
from buildnet.node.events.pool_source import PoolSource
from buildnet.node.events.service import Source
from buildnet.node.events.session_source import SessionSource
from buildnet.node.events.standing_source import StandingSource

if TYPE_CHECKING:
    from buildnet.node.service import NodeService


def sources_of(service: NodeService) -> tuple[Source, ...]:
    """Return the sources of a node's events."""
    hub = service.events.hub
    pool = PoolSource(service, hub)
    builds = BuildSource(service, hub, pool.look_again)
    ledger, log = LedgerSource(service.tail, hub), LogSource(service.log, hub)
    sessions = SessionSource(service, hub)
    return pool, builds, ledger, log, sessions, StandingSource(service, hub)
