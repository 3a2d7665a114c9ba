"""The pool as the mesh sees it: what the members told of themselves, and how they are reached.

Pure but for a memory of what was read already: a picture of the mesh and records go in, the states
that :mod:`buildnet.pool.view` shows come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

from buildnet.mesh.events import Status
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.link.links import KEY_IN_USE, NO_MEMBER, NOT_LINKED, OLDER_BOOT
from buildnet.pool.advertisement import (
    LINKS,
    LOAD,
    PROFILE,
    Advertisement,
    AdvertisementError,
    Links,
    Load,
    Profile,
)
from buildnet.pool.view import (
    Completeness,
    Connection,
    Coordinator,
    NodeState,
    NodeStatus,
)

if TYPE_CHECKING:
    from buildnet.mesh.service.service import HeldRecord
    from buildnet.mesh.service.view import MemberView, MeshView

LOAD_AT_LEAST_EVERY_S = 30.0
"""A node tells its load anew after this long, even if nothing changed."""
_STALE_AFTER_S = 3 * LOAD_AT_LEAST_EVERY_S
_LATELY_S = 120.0
_NAMES = 5
_INVITED = "buildnet node join with an invitation"

Told = TypeVar("Told", bound=Advertisement)


@dataclass(frozen=True, slots=True)
class Words:
    """What one member told of itself; ages in seconds by this node's clock."""

    profile: Profile | None = None
    load: Load | None = None
    links: Links | None = None
    profile_age_s: float | None = None
    load_age_s: float | None = None
    links_age_s: float | None = None

    @property
    def age_s(self) -> float | None:
        """How old the newest measurement is; None: nothing was told."""
        return self.profile_age_s if self.load_age_s is None else self.load_age_s


@dataclass(slots=True)
class Reader:
    """Reads records; each once, for a pool is looked at more often than it changes.

    ``unreadable`` counts those that are not what their topic promises.
    """

    unreadable: int = 0
    _read: dict[tuple[bytes, str], tuple[tuple[int, int], Advertisement | None]] = field(
        default_factory=dict
    )

    def words(
        self, owner: bytes, records: Mapping[str, Mapping[bytes, HeldRecord]], at: float
    ) -> Words:
        """Return what ``owner`` told, by topic; ``at``: the time now (unix seconds)."""
        profile, profile_age_s = self._newest(Profile, PROFILE, owner, records, at)
        load, load_age_s = self._newest(Load, LOAD, owner, records, at)
        links, links_age_s = self._newest(Links, LINKS, owner, records, at)
        return Words(
            profile,
            load,
            links,
            None if profile is None or profile_age_s is None else profile_age_s + profile.age_s,
            None if load is None or load_age_s is None else load_age_s + load.age_s,
            links_age_s,
        )

    def forget(self, members: set[bytes]) -> None:
        """Forget whoever is not among ``members``."""
        for key in [key for key in self._read if key[0] not in members]:
            del self._read[key]

    def _newest(
        self,
        kind: type[Told],
        topic: str,
        owner: bytes,
        records: Mapping[str, Mapping[bytes, HeldRecord]],
        at: float,
    ) -> tuple[Told | None, float | None]:
        held = records.get(topic, {}).get(owner)
        if held is None:
            return None, None
        edition = (held.boot, held.version)
        known = self._read.get((owner, topic))
        if known is None or known[0] != edition:
            try:
                told: Advertisement | None = kind.decode(held.body)
            except AdvertisementError:
                told = None
                self.unreadable += 1
            known = self._read[owner, topic] = (edition, told)
        told = known[1]
        age_s = max(0.0, at - held.received) if held.received else None  # 0: from before our start
        return (told if isinstance(told, kind) else None), age_s


def member_state(member: MemberView, words: Words) -> NodeState:
    """Return the state of another node."""
    profile, load = words.profile, words.load
    utilization = load.utilization if load else None
    is_there = member.linked or member.status is Status.ALIVE
    return NodeState(
        id=member.node_id,
        name=member.name,
        status=_status(member.status, load),
        role=member.role,
        rights=member.rights,
        version=profile.version if profile else None,
        address=_address(member, profile),
        measured_at=_measured_at(words),
        age_s=words.age_s,
        latency_ms=_milliseconds(member.round_trip_s) if is_there else None,
        latency_estimated=is_there and not member.round_trip_measured,
        resources=profile.resources if profile else None,
        utilization=utilization,
        actions_running=load.actions_running if load else 0,
        cores_in_use=load.cores_in_use if load else 0,
        tags=profile.tags if profile else (),
        draining=load.draining if load else False,
        lends_nothing=load.lends_nothing if load else None,
        lent=load.lent if load else (),
        builds=load.builds if load else 0,
        priority_weight=profile.priority_weight if profile else 1.0,
        slots=profile.slots if profile else None,
        benchmark=profile.benchmark if profile else None,
    )


def coordinator_of(view: MeshView) -> Coordinator | None:
    """Return who coordinates, as far as it is known; a node alone does so itself."""
    office = view.office
    if office is None:
        return None
    member = view.member(office.coordinator)
    node_id = node_id_of(office.coordinator)
    return Coordinator(node_id, member.name if member else node_id, office.term, office.quorum)


def is_reachable(member: MemberView, view: MeshView) -> bool:
    """Tell whether a member is believed to be there."""
    return member.key == view.me or member.status is Status.ALIVE


def completeness(view: MeshView, nodes: Mapping[bytes, NodeState]) -> Completeness:
    """Say how much of the pool ``nodes``, by key, show of it."""
    reachable = [member for member in view.members if is_reachable(member, view)]
    ages = {member.key: nodes[member.key].age_s for member in reachable}
    known = [age for age in ages.values() if age is not None]
    problems = list(_problems(view, ages))
    return Completeness(
        reachable=len(reachable),
        members=len(view.members),
        oldest_age_s=round(max(known), 1) if known else None,
        problem="; ".join(problems) or None,
    )


def _problems(view: MeshView, ages: Mapping[bytes, float | None]) -> Iterator[str]:
    office = view.office
    if (own := own_problem(view)) is not None:
        yield own
    if len(view.members) > 1:
        if office is None:
            yield "no coordinator is known"
        elif not office.quorum:
            yield office.summary
    missing = [member for member in view.members if member.key not in ages]
    if missing:
        since = min((one.status_since for one in missing if one.status_since), default=None)
        yield (
            f"{len(ages)} of {len(view.members)} nodes reachable"
            f"{f' since {_clock(since)}' if since else ''}, "
            f"not {names_text(one.name for one in missing)}"
        )
    silent = [one for one in view.members if one.key in ages and ages[one.key] is None]
    if silent:
        yield f"nothing is known yet of {names_text(one.name for one in silent)}"
    stale = [one for one in view.members if (ages.get(one.key) or 0.0) > _STALE_AFTER_S]
    for member in stale:
        yield f"{member.name} has told nothing new for {ages[member.key]:.0f} s"


def own_problem(view: MeshView) -> str | None:
    """Say what keeps this node out of its cluster, and what its owner can do; None: nothing."""
    if view.not_opened is not None:
        return (
            f"this node is about to go on in another cluster than {view.cluster_name}, whose state "
            f"can't be opened yet ({view.not_opened}); it tries again by itself: free or repair "
            "its data directory's volume"
        )
    if view.revoked:
        return _ended(view, "revoked", "")
    if view.member(view.me) is None:
        endings = (former.ending for former in view.former if former.key == view.me)
        return _ended(view, next(endings, ""), "")
    cut_off = not any(one.linked for one in view.members if one.key != view.me)
    if cut_off and (_noted(view, KEY_IN_USE) or _noted(view, NOT_LINKED, f": {OLDER_BOOT}")):
        return (
            f"another process uses this node's key ({view.node_id}), and the others talk with that "
            "one: stop the copy. If this is the original it comes back by itself within two "
            "minutes; the copy needs a key of its own before it starts again: move its node.key "
            "away and let it join"
        )
    if cut_off and view.turned_away:
        return _ended(view, view.turned_away, " --force")
    if cut_off and (view.turned_away is not None or _noted(view, NOT_LINKED, f": {NO_MEMBER}")):
        return (
            "the other nodes answer that this one is no member: it was removed or revoked "
            "(buildnet node leave --force makes it a cluster of its own; to come back: "
            f"{_INVITED}, after a revocation with a new key: move node.key away first), or a "
            "rotation of its key was interrupted (that is settled within some minutes without help)"
        )
    return None


def _ended(view: MeshView, ending: str, force: str) -> str:
    """Say that this node is a member no more. ``force``: the option that it has to leave with."""
    if ending == "revoked":
        return (
            f"this node's key was revoked in {view.cluster_name}, for ever: stop the node, move "
            f"node.key away and start it: it has a new key then, and can join again ({_INVITED})"
        )
    if ending == "rotated":
        return (
            f"this node's key was replaced by a new one in {view.cluster_name}, and this node goes "
            "on with the former one: a rotation that was interrupted is settled within some "
            "minutes without help; a copy of the node is to stop"
        )
    how = {"left": "it left", "removed": "it was removed"}.get(ending, "it left or was removed")
    return (
        f"this node is no member of {view.cluster_name} any more: {how} (buildnet node leave{force}"
        f" makes it a cluster of its own; to come back: {_INVITED})"
    )


def node_problem(view: MeshView) -> str | None:
    """Say what is wrong with this node itself, by what the mesh knows; None: nothing."""
    return "; ".join(filter(None, (own_problem(view), clock_problem(view)))) or None


def clock_problem(view: MeshView) -> str | None:
    """Say that this host's clock is wrong, by those of most others; None: it is not."""
    off_s = view.clock_off_s
    if off_s is None:
        return None
    seconds = abs(off_s)
    about = f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"
    return (
        f"this host's clock is {'behind' if off_s > 0 else 'ahead of'} the others by about {about}:"
        " set it"
    )


def _noted(view: MeshView, reason: str, ending: str = "") -> bool:
    """Tell whether that was counted lately."""
    return any(
        counter.reason == reason
        and counter.last_detail.endswith(ending)
        and view.at - counter.last_at < _LATELY_S
        for counter in view.counters
    )


def connections(
    view: MeshView,
    words: Mapping[bytes, Words],
    estimate: Callable[[bytes, bytes], float | None],
    bandwidths: Mapping[bytes, float],
) -> Iterator[Connection]:
    """Yield the round trips between all members of which one is known, each pair once.

    What one of the two measured counts (the mean, if both did); else ``estimate`` of their keys, in
    seconds. ``bandwidths`` are this node's own; of two that were measured the higher one counts.
    """
    there = [member for member in view.members if member.linked or is_reachable(member, view)]
    measured = {member.key: _measured(view, words, member) for member in there}
    own = _by_node_id(view, bandwidths)
    rates_of = {
        member.key: own if member.key == view.me else _told_rates(words, member) for member in there
    }
    for one, two in combinations(sorted(there, key=lambda member: member.node_id), 2):
        there_ms = measured[one.key].get(two.node_id)
        back_ms = measured[two.key].get(one.node_id)
        latency_ms = there_ms if back_ms is None else back_ms
        if there_ms is not None and back_ms is not None:
            latency_ms = (there_ms + back_ms) / 2
        estimated = latency_ms is None
        if latency_ms is None:
            latency_ms = _milliseconds(estimate(one.key, two.key))
        if latency_ms is not None:
            age_s = None
            if not estimated:
                age_s = _youngest(
                    None if there_ms is None else _measured_s_ago(view, words, one, two),
                    None if back_ms is None else _measured_s_ago(view, words, two, one),
                )
            latency_ms = round(latency_ms, 3)
            rates = (
                rates_of[one.key].get(two.node_id),
                rates_of[two.key].get(one.node_id),
            )
            yield Connection(
                one.node_id,
                two.node_id,
                latency_ms,
                max((rate for rate in rates if rate is not None), default=None),
                estimated,
                age_s,
            )


def own_links(view: MeshView, bandwidths: Mapping[bytes, float]) -> Links:
    """Return what this node measured, to be told to the others."""
    return Links(
        bandwidth_mbps=_by_node_id(view, bandwidths),
        round_trip_ms={
            member.node_id: milliseconds
            for member in view.members
            if member.key != view.me
            and member.linked
            and member.round_trip_measured
            and (milliseconds := _milliseconds(member.round_trip_s)) is not None
        },
    )


def _measured(view: MeshView, words: Mapping[bytes, Words], by: MemberView) -> Mapping[str, float]:
    """Return the round trips that a member measured, in milliseconds, by the other's id."""
    if by.key == view.me:
        return {
            of.node_id: milliseconds
            for of in view.members
            if of.round_trip_measured
            and (milliseconds := _milliseconds(of.round_trip_s)) is not None
        }
    links = words[by.key].links if by.key in words else None
    return {} if links is None else links.round_trip_ms


def _by_node_id(view: MeshView, bandwidths: Mapping[bytes, float]) -> dict[str, float]:
    return {
        member.node_id: bandwidths[member.key]
        for member in view.members
        if member.key in bandwidths
    }


def _told_rates(words: Mapping[bytes, Words], by: MemberView) -> Mapping[str, float]:
    links = words[by.key].links if by.key in words else None
    return {} if links is None else links.bandwidth_mbps


def _measured_s_ago(
    view: MeshView, words: Mapping[bytes, Words], by: MemberView, of: MemberView
) -> float | None:
    """Return how old what ``by`` measured is: since its last word, or, of this node itself, since
    the last message of the other."""
    if by.key != view.me:
        return words[by.key].links_age_s
    return None if of.last_heard is None else max(0.0, view.at - of.last_heard)


def _youngest(*ages_s: float | None) -> float | None:
    known = [age_s for age_s in ages_s if age_s is not None]
    return round(min(known), 1) if known else None


def _status(status: Status, load: Load | None) -> NodeStatus:
    match status:
        case Status.ALIVE:
            return "busy" if load and load.actions_running else "online"
        case Status.SUSPECT:
            return "suspect"
        case Status.DEAD:
            return "offline"
        case Status.LEFT:
            return "left"


def _address(member: MemberView, profile: Profile | None) -> str | None:
    if profile and profile.address:
        return profile.address
    return next(iter(member.addresses), None)


def _measured_at(words: Words) -> datetime | None:
    if words.load and words.load.utilization:
        return words.load.utilization.measured_at
    if words.profile and words.profile.resources:
        return words.profile.resources.scanned_at
    return None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def names_text(names: Iterable[str], joined: str = "") -> str:
    """Return some names as one text, the first five of them; ``joined``: "and" or "or"."""
    each = list(names)
    if len(each) > _NAMES:
        return f"{', '.join(each[:_NAMES])} {joined or 'and'} {len(each) - _NAMES} more"
    if joined and len(each) > 1:
        return f"{', '.join(each[:-1])} {joined} {each[-1]}"
    return ", ".join(each)


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%H:%M:%S UTC")
