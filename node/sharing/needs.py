"""What commands need of a host, as placement asks for it."""

from __future__ import annotations

from buildnet.node.execute.isolation import STRICT
from buildnet.node.resolve import Prepared
from buildnet.pool.leases import Amount
from buildnet.pool.messages.work import MAX_OUTPUTS, MAX_OUTPUTS_CHARACTERS
from buildnet.pool.placement import Needs
from buildnet.pool.workspace import Task


def needs_of(prepared: Prepared) -> Needs:
    """Return what a task's command needs of a host."""
    task, far = prepared.task, prepared.far
    needed = task.requirements
    return Needs(
        Amount(needed.slots, needed.memory_bytes or 0, needed.disk_bytes or 0),
        frozenset(needed.labels or ()),
        frozenset(task.tools),
        None if far is None else frozenset(far.owners),
    )


def fits_a_question(task: Task, isolation: str) -> bool:
    """Whether other hosts can be asked to run a task's command at all."""
    return (
        isolation == STRICT
        and len(task.outputs) <= MAX_OUTPUTS
        and sum(map(len, task.outputs)) <= MAX_OUTPUTS_CHARACTERS
    )


def choosiness(needs: Needs) -> tuple[bool, int, tuple[int, int, int]]:
    return needs.owners is not None, len(needs.labels), needs.amount.size
