"""What is learned of tests, in a file of the data directory for each workspace.

It is no record of anything: without it tests are divided as if they ran for the first time.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from buildnet.node.home import make_private
from buildnet.pool.learned_tests import FlakyTest, LearnedTests

MOST_WORKSPACES = 200
_MAX_FILE_BYTES = 64 << 20
_SUFFIX = ".json"
_log = logging.getLogger("buildnet.builds")


class KeptTests:
    """See the module's text. Methods block a little; any thread may call them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._known: dict[str, LearnedTests] = {}

    @contextmanager
    def of(self, workspace_id: str) -> Iterator[LearnedTests]:
        """Give what is known of a workspace's tests, to be read and changed within the context."""
        read = None
        if workspace_id not in self._known:
            read = _load(self._file(workspace_id))  # nobody waits for that
        with self._lock:
            known = self._known.get(workspace_id)
            if known is None:
                if len(self._known) >= MOST_WORKSPACES:
                    del self._known[next(iter(self._known))]
                known = read if read is not None else _load(self._file(workspace_id))
                self._known[workspace_id] = known
            yield known

    def save(self, workspace_id: str) -> None:
        """Write what is known of a workspace. What can't be written is kept in memory, and
        logged."""
        with self._writing:
            with self.of(workspace_id) as known:
                data = _adapter().dump_json(known)
            file = self._file(workspace_id)
            partial = file.with_name(f".{file.name}.part")
            try:
                make_private(self._directory)
                partial.write_bytes(data)
                os.replace(partial, file)
                self._remove_oldest()
            except OSError as error:
                _log.warning("what is known of tests can't be written to %s: %s", file, error)

    def flaky(self) -> list[tuple[str, str, tuple[FlakyTest, ...]]]:
        """Return the flaky tests of all workspaces, each with its name and root."""
        kept = (file.name.removesuffix(_SUFFIX) for file in self._files())
        found: list[tuple[str, str, tuple[FlakyTest, ...]]] = []
        with self._lock:
            known = tuple(self._known)
        for workspace_id in dict.fromkeys((*known, *kept)):
            with self.of(workspace_id) as each:
                found.append((each.workspace, each.root, tuple(each.flaky.values())))
        return found

    def _file(self, workspace_id: str) -> Path:
        return self._directory / f"{workspace_id}{_SUFFIX}"

    def _files(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return [one for one in self._directory.glob(f"*{_SUFFIX}") if not one.name.startswith(".")]

    def _remove_oldest(self) -> None:
        files = self._files()
        for old in sorted(files, key=lambda one: one.stat().st_mtime)[:-MOST_WORKSPACES]:
            with suppress(OSError):
                old.unlink()


def _load(file: Path) -> LearnedTests:
    try:
        if file.stat().st_size <= _MAX_FILE_BYTES:
            return _adapter().validate_json(file.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValidationError) as error:
        _log.warning("%s can't be read; what is known of tests begins anew: %s", file, error)
    return LearnedTests()


@cache
def _adapter() -> TypeAdapter[LearnedTests]:
    return TypeAdapter(LearnedTests)
