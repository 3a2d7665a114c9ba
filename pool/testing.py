"""For tests: pictures of a mesh, made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildnet.mesh.events import Status
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.view import LinkView, MemberView, MeshView, OfficeView

NOON_S = 1_795_262_400.0
"""2026-11-21 12:00:00 UTC, in unix seconds."""


def member_view(key: bytes, name: str, **changes: Any) -> MemberView:
    """Return a member that is alive and linked; ``changes`` are other values of its fields."""
    member = MemberView(
        key=key,
        node_id=node_id_of(key),
        name=name,
        role="worker",
        rights="builder",
        priority=0,
        voter=True,
        status=Status.ALIVE,
        status_since=NOON_S - 60,
        last_heard=NOON_S - 0.5,
        addresses=(f"http://{name}:80",),
        round_trip_s=0.0015,
        round_trip_measured=True,
        link=LinkView("direct", True, f"http://{name}:80", None, NOON_S - 60, 10, 20, 1, 2, 0),
    )
    return replace(member, **changes)


def mesh_view(*members: MemberView, me: bytes, **changes: Any) -> MeshView:
    """Return the view of ``me`` at noon: the first member coordinates, with a quorum."""
    view = MeshView(
        cluster_id=b"c" * 32,
        cluster_name="home",
        member_version=len(members),
        epoch=0,
        me=me,
        node_id=node_id_of(me),
        boot=1,
        at=NOON_S,
        office=OfficeView(members[0].key, 4, True, NOON_S - 60, "quorum, all voters reachable"),
        voters=len(members),
        voters_reachable=len(members),
        members=members,
        former=(),
        counters=(),
        requests=(),
        lag_p99_s=0.002,
        bytes_sent=30,
        bytes_received=40,
    )
    return replace(view, **changes)
