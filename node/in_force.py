"""The configuration that counts now: ``node.yaml``, as it is read again when it changes, within the
terms that were said of the host since."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel

from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import NodeConfig, load_config
from buildnet.node.terms import Terms, TermsError, check_within, in_force

_log = logging.getLogger("buildnet.node")

_Stamp = tuple[int, int, int] | None
Section = TypeVar("Section", bound=BaseModel)
LIVE = (
    "node_tags",
    "sessions",
    "scheduling",
    "access",
    "watch",
    "auto_build",
    "resource_limits.cpu",
    "resource_limits.memory",
    "workers.min",
    "workers.max",
    "workers.redundancy_factor",
    "cache.max_gb",
    "log.level",
)
"""The settings, or whole sections, of which a change counts at once."""


class TermsWriteError(BuildNetError):
    """Terms of a host can't be kept; nothing changes."""

    code = "SERVER_TERMS_KEPT"


class InForce:
    """Keeps terms in one small file of the data directory; ``file`` need not be there.

    ``config_file`` is where ``written``, the configuration that the node started with, was read;
    ``options``: by key, what counts in place of it since the start.
    Whoever depends on :attr:`config` reads it anew each time, or is told by ``on_change``.
    """

    def __init__(
        self,
        file: Path,
        config_file: Path,
        written: NodeConfig,
        options: Mapping[str, str | int] = MappingProxyType({}),
    ) -> None:
        self._file = file
        self.config_file = config_file
        self.options = options
        self._written = written
        self._stamp = _stamp(config_file)
        self.terms = self._load()
        self.config = in_force(written, self.terms)
        self.problem: str | None = None
        """Why ``node.yaml`` as it is now does not count; None: it does."""
        self.on_change: Callable[[], None] = lambda: None

    def say(self, change: Terms) -> Terms:
        """Take terms from now on; return those before. They are on the disk when this returns.

        Raises:
            TermsError: they are more than the owner gives.
            TermsWriteError: they can't be kept.
        """
        check_within(self._written, change)
        before, terms = self.terms, self.terms.changed(change)
        if terms != before:
            self._write(terms)
            self._take(self._written, terms)
        return before

    @property
    def written(self) -> NodeConfig:
        """What ``node.yaml`` said at the start, with what changed since and counts already."""
        return self._written

    def look(self) -> None:
        """Read ``node.yaml`` again if it has changed. Blocks for a moment."""
        stamp = _stamp(self.config_file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:  # some editors take a file away before they write it anew
            self.problem = f"{self.config_file.name} is gone; that counts from the next start"
            _log.warning("%s", self.problem)
            return
        try:
            read = load_config(self.config_file)
        except BuildNetError as error:
            self.problem = f"{self.config_file.name} has changed and can't be used: "
            self.problem += "; ".join(error.message.splitlines())
            _log.warning("%s; what counted before still does", self.problem)
            return
        self.problem = None
        written = _with_what_can_change(self._written, read)
        if written != read:
            _log.info("%s has changed; some of it counts from the next start", self.config_file)
        else:
            _log.info("%s has changed, and counts now", self.config_file)
        self._take(written, self.terms)

    def _take(self, written: NodeConfig, terms: Terms) -> None:
        self._written, self.terms = written, terms
        self.config = in_force(written, terms)
        self.on_change()

    def _load(self) -> Terms:
        try:
            return Terms.read(self._file.read_bytes())
        except FileNotFoundError:
            return Terms()
        except (OSError, TermsError) as error:
            # Rather too little than what the owner may not want any more.
            _log.error("%s can't be read, so this node is drained: %s", self._file, error)
            return Terms(draining=True)

    def _write(self, terms: Terms) -> None:
        partial = self._file.with_name(f".{self._file.name}.part")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(terms.model_dump_json(exclude_none=True))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self._file)
            _sync(self._file.parent)
        except OSError as error:
            raise TermsWriteError(
                "what was said of this host can't be kept",
                cause=f"{self._file}: {error.strerror or error}",
                hint="check the room and permissions of the data directory",
            ) from error


def is_live(key: str) -> bool:
    """Tell whether a change of a setting, dotted, counts without a new start."""
    return any(key == live or key.startswith(f"{live}.") for live in LIVE)


def _with_what_can_change(written: NodeConfig, read: NodeConfig) -> NodeConfig:
    """Return a configuration with what of another one can count without a new start."""
    changed = written
    for key in LIVE:
        changed = _with(changed, read, key.split("."))
    return changed


def _with(section: Section, other: Section, steps: list[str]) -> Section:
    """Return a section with what stands at ``steps`` of another one."""
    name, *below = steps
    value = getattr(other, name)
    if below:
        value = _with(getattr(section, name), value, below)
    return section.model_copy(update={name: value})


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stamp(path: Path) -> _Stamp:
    """Return what changes with a file; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
