"""Makes the picture of a cluster that people and programs are shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from buildnet.mesh.events import Office, Status
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.link.peer import Peer, Traffic
from buildnet.mesh.local import Local
from buildnet.mesh.members.member_list import Ending, Former, Member, MemberList
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.view import (
    CounterView,
    FormerView,
    LinkView,
    MemberView,
    MeshView,
    OfficeView,
)

HEARD_S = 1.5
"""Of the coordinator and of those that follow it something arrives five times a second."""

_ToUnix = Callable[[float], float]


def view_of(cluster: Cluster, counters: tuple[CounterView, ...]) -> MeshView:
    """Return what this node knows of its cluster now."""
    at, monotonic = time.time(), time.monotonic()

    def unix(moment: float) -> float:
        return at - (monotonic - moment)

    local, members = cluster.local, cluster.local.members
    shown = [_member(cluster, member, unix) for member in members.members.values()]
    shown = [member for member in shown if members.is_member(member.key)]
    traffic = Traffic()
    traffic.add(cluster.links.past)
    for peer in cluster.links.peers.values():
        traffic.add(peer.traffic)
    reached = reached_voters(cluster)
    clock_off_ms = cluster.links.clocks.off_ms
    return MeshView(
        cluster_id=members.cluster_id,
        cluster_name=members.cluster_name,
        member_version=members.version,
        epoch=members.epoch,
        me=local.key,
        node_id=node_id_of(local.key),
        boot=local.boot,
        at=at,
        office=None if local.office is None else _office(cluster, local.office, unix),
        voters=len(cluster.machine.log.voters),
        voters_reachable=reached,
        members=tuple(sorted(shown, key=lambda member: (member.name, member.node_id))),
        former=_former(members),
        counters=counters,
        requests=cluster.desk.requests(),
        lag_p99_s=cluster.driver.lag.p99_s(),
        bytes_sent=traffic.bytes_sent,
        bytes_received=traffic.bytes_received,
        revoked=local.key in members.revoked,
        turned_away=cluster.links.turned_away,
        clock_off_s=None if clock_off_ms is None else clock_off_ms / 1000,
    )


def _former(members: MemberList) -> tuple[FormerView, ...]:
    found = dict(members.former)
    for key in members.revoked:  # it counts before it stands in the list
        member = found[key].member if key in found else members.members.get(key)
        if member is not None:
            found[key] = Former(member, Ending.REVOKED, members.version)
    views = [_former_view(former) for former in found.values()]
    return tuple(sorted(views, key=lambda former: (former.name, former.node_id)))


def _former_view(former: Former) -> FormerView:
    member, successor = former.member, former.successor
    return FormerView(
        key=member.key,
        node_id=member.node_id,
        name=member.name,
        role=member.role.value,
        rights=member.rights.value,
        ending=former.ending.value,
        successor=None if successor is None else node_id_of(successor),
    )


def heard_members(
    local: Local, last_heard: Callable[[bytes], float | None], now: float
) -> set[bytes]:
    """Return who is heard: by the coordinator where a majority follows it, else by this node."""
    office, me = local.office, local.key

    def lately(peer: bytes) -> bool:
        at = last_heard(peer)
        return peer == me or (at is not None and now - at <= HEARD_S)

    if office is not None and office.coordinator == me:
        return {me, *(peer for peer in office.reached if local.alive(peer) and lately(peer))}
    linked = {peer for peer in local.links if local.alive(peer)}
    if office is None:
        return {me, *linked}
    if not lately(office.coordinator):
        return {me, *linked} - {office.coordinator}
    if not office.quorum:  # what it told of others is older
        return {me, *linked, *(peer for peer in office.reached if peer not in local.links)}
    dead = {peer for peer, status in local.status.items() if status is Status.DEAD}
    return {me, office.coordinator, *office.reached} - dead


def reached_voters(cluster: Cluster) -> int:
    """Return how many of the voters that decide now are heard."""
    last_heard = cluster.machine.membership.last_heard
    heard = heard_members(cluster.local, last_heard, time.monotonic())
    return len(heard.intersection(cluster.machine.log.voters))


def office_summary(
    quorum: bool, reached: int, voters: int, since: float, pending: Collection[str]
) -> str:
    """Say for people how firm an office is.

    Args:
        since: unix seconds; since when there is no quorum.
        pending: names of the voters to come, if a change of them is not final.
    """
    summary = f"{reached} of {voters} voters reachable"
    if quorum:
        summary = f"quorum, {summary}"
    else:
        when = datetime.fromtimestamp(since, UTC)
        summary = f"provisional, {summary} since {when:%Y-%m-%d %H:%M:%S} UTC"
    if pending:
        summary += f"; a change of voters to {', '.join(pending)} is not final yet"
    return summary


def _office(cluster: Cluster, office: Office, unix: _ToUnix) -> OfficeView:
    log, lacking = cluster.machine.log, cluster.without_quorum_since
    since = unix(office.since if office.quorum or lacking is None else lacking)
    pending: list[str] = []
    if log.voters != log.committed.voters:
        members = cluster.local.members.members
        pending = sorted(
            members[key].name if key in members else node_id_of(key) for key in log.voters
        )
    reached = reached_voters(cluster)
    summary = office_summary(office.quorum, reached, len(log.voters), since, pending)
    return OfficeView(office.coordinator, office.counter, office.quorum, since, summary)


def _member(cluster: Cluster, member: Member, unix: _ToUnix) -> MemberView:
    local, machine, key = cluster.local, cluster.machine, member.key
    mine = key == local.key
    peer = cluster.links.peers.get(key)
    state = local.links.get(key)
    measured = None if state is None else state.round_trip_s
    estimate = None if mine else machine.latency.estimate(local.key, key)
    heard = machine.membership.last_heard(key)
    since = machine.membership.since(key)
    return MemberView(
        key=key,
        node_id=member.node_id,
        name=member.name,
        role=member.role.value,
        rights=member.rights.value,
        priority=member.priority,
        voter=key in local.members.voters,
        status=Status.ALIVE if mine else local.status.get(key, Status.DEAD),
        status_since=None if since is None else unix(since),
        last_heard=None if heard is None else unix(heard),
        addresses=machine.gossip.addresses(key),
        round_trip_s=measured if measured is not None else estimate[0] if estimate else None,
        round_trip_measured=measured is not None,
        link=None if peer is None else _link(peer, unix),
    )


def _link(peer: Peer, unix: _ToUnix) -> LinkView:
    return LinkView(
        kind="direct" if peer.relayed_by is None else "relayed",
        outgoing=peer.outgoing,
        address=peer.address,
        relayed_by=None if peer.relayed_by is None else node_id_of(peer.relayed_by),
        since=unix(peer.since),
        bytes_sent=peer.traffic.bytes_sent,
        bytes_received=peer.traffic.bytes_received,
        messages_sent=peer.traffic.messages_sent,
        messages_received=peer.traffic.messages_received,
        queued=peer.queued,
    )
