"""What a dry run tells besides what would run: where, on the hosts that are there now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from buildnet.node.perform import Performer
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, isolation_of
from buildnet.node.running import BuildRequest
from buildnet.node.sharing.known_hosts import THIS_NODE, KnownHosts
from buildnet.node.sharing.needs import fits_a_question, needs_of
from buildnet.pool.experience import Experience
from buildnet.pool.holdings import telling
from buildnet.pool.placement import Case
from buildnet.pool.rehearsal import Command, Place, Stage, rehearse
from buildnet.pool.workspace import TaskId

RUN = "run"
"""The plan of what would run."""


def stage_of(
    request: BuildRequest, slots: int, known: KnownHosts | None, lenders: Iterable[bytes]
) -> Stage:
    """Return the hosts on which a build's commands would run. ``slots``: of this node; ``known``:
    the members as hosts, of which ``lenders`` may run some; None: no others."""
    choice = request.choice
    here = THIS_NODE if known is None else known.here
    others = () if known is None or request.local_only else tuple(map(known.host, lenders))
    return Stage(
        here,
        choice.slots_of(slots),
        others,
        choice.preferences,
        Experience() if known is None else known.experience,
        0 if request.local_only else choice.elsewhere(slots),
        request.wait_s is not None,
    )


def rehearse_places(
    performer: Performer, stage: Stage, known: KnownHosts | None
) -> dict[TaskId, Place]:
    """Note in a dry run's reports where their commands would run, and return that. Blocks."""
    commands = list(_commands(performer, stage, known))
    places = rehearse(commands, stage)
    for task, place in places.items():
        report = performer.reports[task]
        report.place = _told(report, place)
    return places


def _commands(performer: Performer, stage: Stage, known: KnownHosts | None) -> Iterator[Command]:
    for task, report in performer.reports.items():
        prepared = performer.places.prepared.get(task)
        if report.plan != RUN or prepared is None:
            continue
        yield Command(
            task,
            prepared.task.depends_on,
            needs_of(prepared),
            _case(performer, prepared, stage, known),
            _may_stay(performer, prepared),
            fits_a_question(prepared.task, _isolation(performer, prepared)),
            performer.durations_ms.get(task),
        )


def _may_stay(performer: Performer, prepared: Prepared) -> bool:
    granted = performer.workers.grant.allows(prepared.task.requirements)
    return granted and performer.places.may_stay(prepared)


def _isolation(performer: Performer, prepared: Prepared) -> str:
    if prepared.action is not None:
        return isolation_of(prepared.action)
    return prepared.task.isolation or performer.resolver.isolation


def _case(performer: Performer, prepared: Prepared, stage: Stage, known: KnownHosts | None) -> Case:
    kind = f"{performer.resolver.workspace.name}/{prepared.task.id}"
    if prepared.action is None or known is None or not stage.others:
        return Case(kind=kind)
    inputs = telling(prepared.action.spec.inputs.files())
    return Case(
        kind=kind,
        input_bytes=sum(blob.size_bytes for blob in inputs),
        local_bytes=known.holdings.bytes_at((host.key for host in stage.others), inputs),
    )


def _told(report: TaskReport, place: Place) -> dict[str, str | float | None]:
    host = place.host
    here = host is None or host.is_here
    return {
        "node": None if host is None else report.node if here else host.node_id,
        "node_name": None if host is None or here else host.name,
        "begins_ms": place.begins_ms,
        "ends_ms": place.ends_ms,
        "why": place.why,
    }
