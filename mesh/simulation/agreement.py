"""Whether all nodes that can hear each other see the same: what must come true after the faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from buildnet.mesh.election.promise import Position
from buildnet.mesh.events import Status
from buildnet.mesh.gossip.records import POSITION_TOPIC
from buildnet.mesh.machine import Machine

if TYPE_CHECKING:
    from buildnet.mesh.simulation.host import Host, Program
    from buildnet.mesh.simulation.world import World

_NEVER_STILL = frozenset((POSITION_TOPIC,))
"""Topics that change all the time, so views of them differ for moments."""


def disagreement(world: World) -> str | None:
    """Return the first thing about which the nodes do not agree; None: all is well.

    One coordinator that all know, with a quorum exactly if most voters live, also of those whom a
    list that is not final yet names, where nobody can go on without it; the same members;
    everybody who lives is ALIVE to everybody, nobody else is; the same records.
    """
    running = members_running(world)
    if not running:
        return None
    return (
        _members_differ(running)
        or _offices_differ(world, running)
        or _statuses_differ(world, running)
        or _records_differ(running)
    )


def members_running(world: World) -> list[tuple[Host, Program]]:
    """Return who runs and is a member; not who was revoked, as far as anybody else knows it, nor
    whom a recovery forgot."""
    running = [
        (host, host.program)
        for host in world.hosts
        if host.program is not None and not host.retired
    ]
    for victim in world.hosts:
        if victim.revoked and victim.program is not None:
            known = any(not one.local.members.is_member(victim.key) for _, one in running)
            if not known:
                running.append((victim, victim.program))
    return [one for one in running if not _is_forgotten(*one, running)]


def can_elect(running: Sequence[tuple[Host, Program]]) -> bool:
    """Tell whether anybody who runs could win a term with a quorum: promises of most voters of the
    list that it holds, none of whom holds a newer one. The newest list that is held, though it is
    not final, may name voters of whom most are gone."""
    logs = {host.key: program.log for host, program in running if isinstance(program, Machine)}
    positions = {key: Position.of(log) for key, log in logs.items()}
    revoked = {key for _, program in running for key in program.local.members.revoked}
    for candidate, log in logs.items():
        able = [
            voter
            for voter in log.voters
            if voter in logs
            and voter not in revoked
            and not positions[candidate].is_older_than(positions[voter])
        ]
        if len(able) > len(log.voters) // 2:
            return True
    return False


def _is_forgotten(host: Host, program: Program, running: list[tuple[Host, Program]]) -> bool:
    """Tell whether a host joined, or got its key, among those that a recovery was to do without,
    and nowhere else: the new epoch knows nothing of that, so nobody lets it in, or tells it."""
    epoch = program.local.members.epoch
    newer = [other.local.members for _, other in running if other.local.members.epoch > epoch]
    return bool(newer) and not any(
        host.key in {*members.members, *members.former, *members.revoked} for members in newer
    )


def same_office(world: World) -> bool:
    """Tell whether all that run and are not frozen know one coordinator, with a quorum, that is
    one of them."""
    offices = set()
    keys = set()
    for host in world.hosts:
        if host.works and not host.retired and host.program is not None:
            office = host.program.local.office
            if office is None or not office.quorum:
                return False
            offices.add((office.coordinator, office.counter))
            keys.add(host.key)
    return len(offices) == 1 and next(iter(offices))[0] in keys


def _members_differ(running: list[tuple[Host, Program]]) -> str | None:
    first, program = running[0]
    members = program.local.members
    for host, other in running:
        if other.local.members.head != members.head:
            return (
                f"{first} has member list {members.version}, "
                f"{host} has {other.local.members.version}"
            )
        if set(other.local.members.revoked) != set(members.revoked):
            return f"{host} and {first} know of different revocations"
        if not members.is_member(host.key):
            return f"{host} runs and is no member to {first}"
    return None


def _offices_differ(world: World, running: list[tuple[Host, Program]]) -> str | None:
    keys = {host.key for host, _ in running}
    members = running[0][1].local.members
    quorum = members.is_majority(keys)
    first = running[0][1].local.office
    for host, program in running:
        office = program.local.office
        if office is None:
            return f"{host} knows no coordinator"
        coordinator = world.host_of(office.coordinator)
        if office.coordinator not in keys:
            return f"{host} obeys {coordinator}, which does not run"
        if first is None or (office.coordinator, office.counter) != (
            first.coordinator,
            first.counter,
        ):
            return f"{host} obeys {coordinator} in term {office.counter}, {running[0][0]} does not"
        if office.quorum != quorum and (office.quorum or can_elect(running)):
            return f"{host} sees quorum={office.quorum}, but most voters live: {quorum}"
    return None


def _statuses_differ(world: World, running: list[tuple[Host, Program]]) -> str | None:
    keys = {host.key for host, _ in running}
    for host, program in running:
        local = program.local
        for peer in local.members.members:
            if peer == host.key:
                continue
            status = local.status.get(peer, Status.DEAD)
            if (status is Status.ALIVE) != (peer in keys):
                truth = "runs" if peer in keys else "does not run"
                return f"{host} believes {world.host_of(peer)} {status.name}, which {truth}"
    return None


def _records_differ(running: list[tuple[Host, Program]]) -> str | None:
    first, program = running[0]
    records = _marks(program)
    for host, other in running[1:]:
        theirs = _marks(other)
        if theirs != records:
            different = sorted(dict(set(theirs.items()) ^ set(records.items())))
            owner, topic = different[0]
            return f"{host} and {first} hold different records, of {owner[:4].hex()} {topic}"
    return None


def _marks(program: Program) -> dict[tuple[bytes, str], tuple[int, int]]:
    if not isinstance(program, Machine):
        return {}
    return {
        key: (held.record.boot, held.record.version)
        for key, held in program.gossip.records.items()
        if key[1] not in _NEVER_STILL
    }
