"""Stages of actions in ``strict``, used again: making directories is most of what a stage costs.

A command in ``strict`` sees its stage at the same places whatever it is called, so any stage will
do whose HOME and TMPDIR the commands before left empty.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from buildnet.node.execute.errors import StageError, full_disk_reported
from buildnet.node.execute.staging import Stage
from buildnet.node.store.spreading import spread_below

_PREFIX = "strict-"
_MODE = 0o755


class ReusedStages:
    """The stages below a directory that is cleared when a node starts. Thread-safe."""

    def __init__(self, work: Path, owner: int | None, remove: Callable[[Path], None]) -> None:
        """``owner`` is the user that commands run as, if not the node's; ``remove`` takes a
        directory out of the way."""
        self._work = Path(os.path.realpath(work))
        self._owner = owner
        self._remove = remove
        self._free: list[Stage] = []
        self._numbers = itertools.count()

    @contextmanager
    def stage(self, fill: Callable[[Path], None]) -> Iterator[Stage]:
        """Give a stage, its path a real one, whose input root was made and filled by ``fill``.

        Raises:
            StageError: it can't be made; StageFullError: the disk is full.
        """
        stage: Stage | None = None
        try:
            try:
                with full_disk_reported("staging an action"):
                    stage = self._take()
                    os.mkdir(stage.root)
                    fill(stage.root)
            except OSError as error:
                raise StageError(
                    f"a stage in {self._work} can't be made",
                    cause=str(error),
                    hint="see that the data directory (BUILDNET_HOME) is writable",
                ) from error
            yield stage
        finally:
            if stage is not None:
                self._give_back(stage)

    def _take(self) -> Stage:
        try:
            return self._free.pop()
        except IndexError:
            pass
        stage = Stage.at(self._work / f"{_PREFIX}{next(self._numbers)}")
        for directory in (stage.directory, stage.home, stage.temporary):
            os.mkdir(directory)
            if self._owner is not None:
                os.chown(directory, self._owner, self._owner)
            os.chmod(directory, _MODE)
        spread_below(str(stage.directory))  # for each action's root to lie apart
        return stage

    def _give_back(self, stage: Stage) -> None:
        if os.path.lexists(stage.root):
            self._remove(stage.root)
        try:
            left = sorted(os.listdir(stage.directory))
            clean = left == ["home", "tmp"] and _is_fresh(stage.home) and _is_fresh(stage.temporary)
        except OSError:  # a command took our right to look
            clean = False
        if clean:
            self._free.append(stage)
        else:
            self._remove(stage.directory)


def _is_fresh(directory: Path) -> bool:
    """Whether a directory is as it was made."""
    unchanged = stat.S_IMODE(os.stat(directory).st_mode) == _MODE
    return unchanged and not os.listdir(directory) and not os.listxattr(directory)
