"""How well the pool is, as one node sees it: the JSON of ``pool health``. Field names are a
contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildnet.mesh.events import Status
from buildnet.mesh.link.links import LINKED_ALREADY, NO_MEMBER, OLDER_BOOT
from buildnet.mesh.service.persisting import NOT_WRITTEN
from buildnet.pool.membership import Words, clock_problem
from buildnet.pool.sealing import Sealing
from buildnet.pool.view import Completeness, Coordinator, Json, NodeState

if TYPE_CHECKING:
    from buildnet.mesh.service.view import CounterView, LinkView, MemberView, MeshView

LAG_MAX_S = 0.25
"""An event loop that is later than this (99th percentile) is a reason for concern: heartbeats of
200 ms come late."""
NOTHING_ASKED = "nothing was asked"
"""A connection over which nothing came: browsers open some ahead of need."""
HARMLESS = frozenset(
    {
        "link not made",  # a node stopped, or is not up yet; missing members are told as such
        f"refused: {LINKED_ALREADY}",  # two nodes dialled each other at once
        "handshake: another node answered",  # at an address that a member had before
        "transfer refused",  # a handover that came too late: an election decides instead
        "join broken off",  # who asked to be admitted gave up
        NOTHING_ASKED,
    }
)
"""Reasons that come up where nodes start, stop and move, and people look, as they should."""
_TURNED_AWAY = (NO_MEMBER, OLDER_BOOT)
_LATELY_S = 120.0


def health(
    view: MeshView,
    nodes: Mapping[bytes, NodeState],
    words: Mapping[bytes, Words],
    *,
    cluster: Mapping[str, str],
    coordinator: Coordinator | None,
    seen: Completeness,
    sealing: Sealing,
    problems: tuple[str, ...] = (),
) -> Json:
    """Return the JSON of ``pool health``.

    Args:
        problems: what else is wrong with this node, in words.
    """
    found = [*problems]
    if sealing.text is not None:
        found.insert(0, sealing.text)
    if seen.problem is not None:
        found.insert(0, seen.problem)
    if any(
        one.reason == NOT_WRITTEN and view.at - one.last_at < _LATELY_S for one in view.counters
    ):
        found.append(
            "this node can't write its mesh state: free or repair its data directory's volume"
        )
    if (clock := clock_problem(view)) is not None:
        found.append(clock)
    lag = view.lag_p99_s
    if lag is not None and lag > LAG_MAX_S:
        found.append(f"this node's event loop runs {lag * 1000:.0f} ms late: the host is saturated")
    office = view.office
    return {
        "healthy": not found,
        "problems": found,
        "node_id": view.node_id,
        "cluster": dict(cluster),
        "coordinator": None
        if coordinator is None
        else {
            "node_id": coordinator.node_id,
            "name": coordinator.name,
            "term": coordinator.term,
            "quorum": coordinator.quorum,
        },
        "quorum": {
            "state": office.summary if office else "no coordinator is known",
            "voters": view.voters,
            "voters_reachable": view.voters_reachable,
            "member_list_version": view.member_version,
            "epoch": view.epoch,
            "for_s": None if office is None else _age(view.at, office.since),
        },
        "loop_lag_ms": None if lag is None else round(lag * 1000, 1),
        "sealing": sealing.view(),
        "traffic": {"bytes_sent": view.bytes_sent, "bytes_received": view.bytes_received},
        "nodes": [
            _node(view, member, nodes[member.key], words.get(member.key)) for member in view.members
        ],
        "refused": [_counter(counter, view) for counter in view.counters],
    }


def _node(view: MeshView, member: MemberView, state: NodeState, words: Words | None) -> Json:
    load = words.load if words else None
    mine = member.key == view.me
    lag_ms = view.lag_p99_s * 1000 if mine and view.lag_p99_s is not None else None
    if not mine and load:
        lag_ms = load.loop_lag_ms
    return {
        "id": member.node_id,
        "name": state.name,
        "status": state.status,
        "role": member.role,
        "coordinator": view.office is not None and view.office.coordinator == member.key,
        "voter": member.voter,
        "this_node": mine,
        "last_heard_s": _age(view.at, member.last_heard),
        "status_for_s": _age(view.at, member.status_since),
        "age_s": None if state.age_s is None else round(state.age_s, 1),
        "latency_ms": state.latency_ms,
        "latency_estimated": state.latency_estimated,
        "loop_lag_ms": None if lag_ms is None else round(lag_ms, 1),
        "link": None if member.link is None else _link(view, member.link),
        "reachable": mine or member.status is Status.ALIVE,
    }


def _link(view: MeshView, link: LinkView) -> Json:
    return {
        "kind": link.kind,
        "outgoing": link.outgoing,
        "address": link.address,
        "relayed_by": link.relayed_by,
        "for_s": _age(view.at, link.since),
        "bytes_sent": link.bytes_sent,
        "bytes_received": link.bytes_received,
        "queued": link.queued,
    }


def _counter(counter: CounterView, view: MeshView) -> Json:
    names = {one.node_id: one.name for one in view.former}
    names |= {one.node_id: one.name for one in view.members}
    return {
        "reason": counter.reason,
        "count": counter.count,
        "last_peer": counter.last_peer,
        "last_name": names.get(counter.last_peer or ""),
        "last_detail": counter.last_detail,
        "last_age_s": _age(view.at, counter.last_at),
        "harmless": counter.reason in HARMLESS and not counter.last_detail.endswith(_TURNED_AWAY),
    }


def _age(at: float, moment: float | None) -> float | None:
    return None if moment is None else round(max(0.0, at - moment), 1)
