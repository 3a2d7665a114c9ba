"""Puts results that were found into the workspace, one after the other on one thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from buildnet.mesh.errors import BuildNetError
from buildnet.node.junit_reports import with_tests
from buildnet.node.pool_lookup import Outcome
from buildnet.node.resolve import Prepared
from buildnet.node.runner import TaskRunner
from buildnet.node.store import Hold, MissingBlobError
from buildnet.node.telling import UnexpectedError
from buildnet.node.timings import Timings
from buildnet.pool.timeline import RESTORE
from buildnet.pool.tree import EMPTY_TREE
from buildnet.pool.workspace import TaskId

Undelivered = tuple[TaskId, Prepared, float]
"""A result that was found, and how many milliseconds that took."""
_log = logging.getLogger("buildnet.builds")


def deliver_all(
    results: Sequence[Undelivered], runner: TaskRunner, hold: Hold, timings: Timings
) -> list[Outcome]:
    """Put results into the workspace; return what came of each. Blocks."""
    outcomes: list[Outcome] = []
    for task, prepared, duration_ms in results:
        started = time.monotonic()
        outcome: Prepared | BuildNetError = prepared
        try:
            runner.deliver(prepared)
            outcome = with_tests(prepared, hold)
        except MissingBlobError as error:
            # The result can't be had after all; what was damaged has been dropped.
            reason = f"its cached result was lost: {error.message}"
            outcome = replace(
                prepared, tier=None, outputs=EMPTY_TREE, undelivered=False, reasons=(reason,)
            )
        except BuildNetError as error:
            outcome = error
        except Exception as error:
            _log.exception("the outputs of %s could not be delivered", task)
            outcome = UnexpectedError.of(error)
        took_ms = (time.monotonic() - started) * 1000
        timings.took(task, RESTORE, started)
        outcomes.append((task, outcome, duration_ms + took_ms))
    return outcomes
