"""Commands that were given up: tried on other hosts and at home, and run nowhere.

Kept in a file of the data directory, the latest :data:`MOST`. A command that is given up again
takes the place of what was told of it before; once it has run, nothing is told of it any more.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.node.report import TaskReport
from buildnet.node.running import RunningBuild
from buildnet.pool.attempts import Attempt
from buildnet.pool.build import Status
from buildnet.pool.workspace import TaskId

MOST = 200
_log = logging.getLogger("buildnet.builds")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One command. ``at``: unix time; ``root``: of the workspace; ``error``: the last one, as JSON;
    ``attempts``: all, the last one included."""

    id: str
    at: float
    build: str
    workspace: str
    root: str
    package: str
    task: str
    action: str | None
    error: dict[str, str | None]
    attempts: tuple[Attempt, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return asdict(self) | {"attempts": [each.as_dict() for each in self.attempts]}

    @classmethod
    def of_dict(cls, kept: dict[str, Any]) -> DeadLetter:
        """Return what :meth:`as_dict` made."""
        attempts = tuple(Attempt(**each) for each in kept["attempts"])
        return cls(**{**kept, "attempts": attempts})


class DeadLetters:
    """The list, in ``file``. Methods block a little; any thread may call them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._letters = self._load()

    def put(self, letters: Iterable[DeadLetter]) -> None:
        """Add some. What can't be written is kept in memory, and logged."""
        with self._lock:
            kept = {(each.root, each.package, each.task): each for each in self._letters}
            for letter in letters:
                kept.pop((letter.root, letter.package, letter.task), None)
                kept[letter.root, letter.package, letter.task] = letter
            self._letters = list(kept.values())[-MOST:]
            self._write()

    def settle(self, root: str, tasks: Collection[TaskId]) -> None:
        """Forget commands of a workspace that have run since, or stand as they are."""
        with self._lock:
            left = [
                each
                for each in self._letters
                if each.root != root or TaskId(each.package, each.task) not in tasks
            ]
            if len(left) < len(self._letters):
                self._letters = left
                self._write()

    def all(self) -> list[DeadLetter]:
        """Return them, the latest first."""
        with self._lock:
            return self._letters[::-1]

    def find(self, prefix: str) -> DeadLetter:
        """Return the one whose id begins so.

        Raises:
            NotFoundError: there is none.
            UsageError: there are several.
        """
        found = [each for each in self.all() if prefix and each.id.startswith(prefix)]
        if not found:
            raise NotFoundError(
                f"no dead letter {prefix!r}", hint="buildnet queue dead list lists them"
            )
        if len(found) > 1:
            raise UsageError(f"several dead letters begin with {prefix!r}", hint="write more of it")
        return found[0]

    def remove(self, ids: Collection[str] | None = None) -> int:
        """Remove some, or all; return how many there were."""
        with self._lock:
            left = [each for each in self._letters if ids is not None and each.id not in ids]
            removed = len(self._letters) - len(left)
            self._letters = left
            if removed:
                self._write()
            return removed

    def _load(self) -> list[DeadLetter]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            return [DeadLetter.of_dict(each) for each in kept["letters"]][-MOST:]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s can't be read; the list of it begins anew: %s", self._file, error)
            return []

    def _write(self) -> None:
        partial = self._file.with_name(f".{self._file.name}.part")
        letters = [each.as_dict() for each in self._letters]
        try:
            partial.touch(0o600)
            partial.write_text(json.dumps({"letters": letters}), "utf-8")
            os.replace(partial, self._file)
        except OSError as error:
            _log.warning("what was given up can't be written to %s: %s", self._file, error)


def is_given_up(report: TaskReport) -> bool:
    """Whether a command was tried on several hosts in vain, or could be run on none."""
    failed = report.status is Status.FAILED
    return failed and (report.could_not_run or bool(report.attempts))


def letter_of(build: RunningBuild, report: TaskReport) -> DeadLetter:
    """Return what is kept of a command that was given up."""
    error, now = report.error or {}, time.time()
    last = Attempt(
        node=report.node,
        node_name=report.node_name,
        at=now,
        code=str(error.get("code")),
        why=": ".join(filter(None, (error.get("message"), error.get("cause")))),
    )
    return DeadLetter(
        id=secrets.token_hex(6),
        at=now,
        build=build.id,
        workspace=build.workspace.name,
        root=str(build.workspace.root),
        package=report.task.package,
        task=report.task.task,
        action=report.action.hash if report.action else None,
        error=error,
        attempts=report.attempts if _is_last(report) else (*report.attempts, last),
    )


def _is_last(report: TaskReport) -> bool:
    """Whether the report is that of its last attempt, which was elsewhere."""
    return bool(report.attempts) and report.attempts[-1].node == report.node
