"""Telling the pool about this node: what it is after each scan, its load when that changed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from buildnet import __version__
from buildnet.node.ledger_upkeep_view import silence_of
from buildnet.pool.advertisement import LINKS, LOAD, PROFILE, Granted, Links, Load, Profile
from buildnet.pool.membership import LOAD_AT_LEAST_EVERY_S, own_links
from buildnet.pool.requirements import Grant

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

TELL_INTERVAL_S = 1.0
_PEERS_INTERVAL_S = 5.0
_LINKS_INTERVAL_S = 60.0


class Advertiser:
    """Remembers what was told last, and tells what differs from it."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._identity: tuple[bytes, bytes, int] | None = None
        self._profile: Profile | None = None
        self._load: Load | None = None
        self._load_at = 0.0
        self._links: Links | None = None
        self._links_at = 0.0
        self._looked_at = 0.0

    async def run(self) -> None:
        """Tell what changed, once a second at most, for as long as the node runs."""
        while True:
            self.tell(time.monotonic())
            await asyncio.sleep(TELL_INTERVAL_S)

    def tell(self, now: float) -> None:
        """Tell what changed since it was told last; ``now``: monotonic seconds. Between two
        clusters nobody listens, so that nothing counts as told."""
        if not self._service.mesh.accepts:
            return
        identity = self._service.mesh.identity
        if identity != self._identity:  # nobody has heard anything of this one yet
            self._identity = identity
            self._profile = self._load = self._links = None
        profile = self.profile()
        if not profile.says_the_same(self._profile):
            self._profile = profile
            self._service.mesh.advertise(PROFILE, profile.fitting())
        load = self.load(self._service.mesh.lag_p99_s)
        if load.differs(self._load) or now - self._load_at >= LOAD_AT_LEAST_EVERY_S:
            self._load, self._load_at = load, now
            self._service.mesh.advertise(LOAD, load.encode())
        if self._links is None or now - self._looked_at >= _PEERS_INTERVAL_S:
            self._looked_at = now  # seldom: it takes a whole view
            links = own_links(self._service.mesh.view(), self._service.exchange.bandwidths())
            if self._is_news(links, now - self._links_at):
                self._links, self._links_at = links, now
                self._service.mesh.advertise(LINKS, links.encode())

    def _is_news(self, links: Links, pause_s: float) -> bool:
        if self._links is None:
            return True
        if links.has_other_peers(self._links):
            return True
        return pause_s >= _LINKS_INTERVAL_S and links.differs(self._links)

    def profile(self) -> Profile:
        """Return what this node is now."""
        service = self._service
        resources = service.resources
        return Profile(
            name=service.name,
            role=service.role,
            version=__version__,
            address=service.address,
            tags=service.config.node_tags,
            resources=resources,
            slots=service.builder.workers.slots,
            grants=_grants(service.builder.workers.grant),
            benchmark=service.benchmarks.latest,
            priority_weight=service.config.scheduling.priority_weight,
            age_s=_age_s(resources.scanned_at) if resources else 0.0,
        )

    def load(self, lag_s: float | None) -> Load:
        """Return how busy this node is now."""
        now = self._service.in_flight()
        measured = self._service.utilization
        return Load(
            actions_running=self._service.builder.workers.running,
            cores_in_use=self._service.builder.workers.slots_in_use,
            utilization=measured,
            loop_lag_ms=None if lag_s is None else round(lag_s * 1000, 1),
            silence=silence_of(self._service.ledger),
            draining=now.draining,
            lends_nothing=self._service.lends_nothing,
            lent=self._service.lent,
            builds=now.builds,
            age_s=_age_s(measured.measured_at) if measured else 0.0,
        )


def _age_s(moment: datetime) -> float:
    return round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 1)


def _grants(grant: Grant) -> Granted:
    return Granted(
        cores=min(grant.cores, 4096),
        memory_bytes=grant.memory_bytes or 0,
        disk_bytes=grant.disk_bytes or 0,
    )
