"""The pool as this node knows it: what the mesh sees, with this host's own state at first hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from buildnet.mesh.members.genesis import check_name, looks_like_node_id
from buildnet.mesh.service.view import MeshView
from buildnet.node.ledger_upkeep_view import silence_of, waiting_of
from buildnet.pool.advertisement import TOPICS
from buildnet.pool.health import health
from buildnet.pool.known_host import host_of
from buildnet.pool.membership import (
    Reader,
    Words,
    completeness,
    connections,
    coordinator_of,
    member_state,
)
from buildnet.pool.placement import Host
from buildnet.pool.sealing import Sealing, sealing
from buildnet.pool.status_text import status_text
from buildnet.pool.view import Completeness, Json, NodeState

if TYPE_CHECKING:
    from buildnet.node.service import NodeService


@dataclass(frozen=True, slots=True)
class Picture:
    """All members at one moment: states and words by key, in the order of the mesh's view."""

    view: MeshView
    nodes: Mapping[bytes, NodeState]
    words: Mapping[bytes, Words]
    scan: str | None
    """Why nothing is known of what this host has."""

    @property
    def at(self) -> datetime:
        """When it was taken."""
        return datetime.fromtimestamp(self.view.at, UTC)

    @property
    def seen(self) -> Completeness:
        """How much of the pool it shows."""
        seen = completeness(self.view, self.nodes)
        problems = [problem for problem in (self.scan, seen.problem) if problem is not None]
        return replace(seen, problem="; ".join(problems) or None)


@dataclass(slots=True)
class PoolReader:
    """Takes pictures of the pool and shows them as JSON."""

    service: NodeService
    _reader: Reader = field(default_factory=Reader)

    async def picture(self) -> Picture:
        """Return the pool as it is known now."""
        mine = await self.service.own_state()
        view, words = self._look()
        nodes = {
            member.key: mine if member.key == view.me else member_state(member, words[member.key])
            for member in view.members
        }
        return Picture(view, nodes, words, self.service.scan_state)

    def hosts(self) -> Mapping[bytes, Host]:
        """Return the members as hosts for commands, by key."""
        view, words = self._look()
        told = self.service.advertiser
        found: dict[bytes, Host] = {}
        for member in view.members:
            said, is_here = words[member.key], member.key == view.me
            found[member.key] = host_of(
                member.key,
                member.node_id,
                member.name,
                told.profile() if is_here else said.profile,
                told.load(None) if is_here else said.load,
                latency_ms=None if member.round_trip_s is None else member.round_trip_s * 1000,
                is_here=is_here,
                driver=self.service.key.node_id,
            )
        return found

    def view(self) -> MeshView:
        """Return the mesh's view, each member under the name that it bears now: the member list
        has the one under which it joined."""
        return self._look()[0]

    def told_names(self) -> dict[bytes, str]:
        """Return the names that members tell now and may be found by, by key."""
        return {
            member.key: member.name
            for member in self.view().members
            if not looks_like_node_id(member.name)
        }

    def _look(self) -> tuple[MeshView, dict[bytes, Words]]:
        mesh = self.service.mesh
        view = mesh.view()
        records = {topic: mesh.records(topic) for topic in TOPICS}
        words = {
            member.key: self._reader.words(member.key, records, view.at) for member in view.members
        }
        self._reader.forget(set(words))
        members = []
        for member in view.members:
            profile = words[member.key].profile
            told = profile.name if profile and _is_name(profile.name) else member.name
            name = self.service.name if member.key == view.me else told
            members.append(replace(member, name=name))
        ordered = sorted(members, key=lambda member: (member.name, member.node_id))
        return replace(view, members=tuple(ordered)), words

    def sealing(self) -> Sealing:
        """Return how sealing goes in the cluster, as far as this node knows."""
        view, words = self._look()
        ledger = self.service.ledger.open_now
        return sealing(
            view,
            words,
            silence=silence_of(self.service.ledger),
            waiting=None if ledger is None else waiting_of(ledger, view.at),
        )

    async def status_text(self) -> Iterator[bytes]:
        """Return the JSON of ``pool status`` as it is now, in pieces that are yet to be made;
        waits for this host's first scan."""
        await self.service.scanned.wait()
        picture = await self.picture()
        view = picture.view
        return status_text(
            cluster_id=view.cluster_id.hex(),
            cluster_name=view.cluster_name,
            coordinator=coordinator_of(view),
            nodes=list(picture.nodes.values()),
            connections=connections(
                view,
                picture.words,
                self.service.mesh.round_trip_s,
                self.service.exchange.bandwidths(),
            ),
            seen=picture.seen,
            now=picture.at,
        )

    async def health(self) -> Json:
        """Return the JSON of ``pool health``."""
        picture = await self.picture()
        counters = (*picture.view.counters, *self.service.refusals.view())
        view = replace(picture.view, counters=counters)
        problems = [self.service.ledger_problem]
        if len(view.members) > 1:  # nobody has to reach a node alone
            problems.append(await self.service.way_in_problem())
        return health(
            view,
            picture.nodes,
            picture.words,
            cluster=self.service.cluster,
            coordinator=coordinator_of(view),
            seen=picture.seen,
            sealing=self.sealing(),
            problems=tuple(problem for problem in problems if problem is not None),
        )


def _is_name(name: str) -> bool:
    """Tell whether what a member calls itself can be shown to people."""
    try:
        check_name(name)
    except ValueError:
        return False
    return name != ""
