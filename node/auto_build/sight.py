"""What changes in one workspace that is watched, and what that means for what is built of it.

Changes are told by the workspace's watcher. Where the host can't tell of them the sources are
looked through now and then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError
from buildnet.node.auto_build.changed_paths import changed_paths
from buildnet.node.auto_build.links import SourceLinks
from buildnet.node.auto_build.scan import Scan, scan_sources
from buildnet.node.running import BuildRequest
from buildnet.node.standing import Plan
from buildnet.node.watch.listener import Listener
from buildnet.node.watch_config import AutoBuildSettings, WatchSettings
from buildnet.node.workspaces import OpenWorkspace
from buildnet.pool.affected import Readers
from buildnet.pool.impact import IGNORED_BY_DEFAULT, Impact, Scales, Weighed
from buildnet.pool.territory import is_below
from buildnet.pool.workspace import Workspace

_REST = 10
"""So many times what a look through the sources takes passes before the next one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When builds begin: after ``debounce_s`` without a change, and after ``delay_s`` more unless a
    package below one of the ``priority`` paths changed; or after ``longest_s`` though changes never
    pause. ``prepares``: meanwhile it is looked at what they are going to do. ``ignored``: patterns
    that do not count; ``scan_s``: so often sources are looked through where changes are not
    told."""

    debounce_s: float = 0.3
    delay_s: float = 0.0
    priority: tuple[str, ...] = ()
    ignored: tuple[str, ...] = IGNORED_BY_DEFAULT
    scan_s: float = 1.0
    longest_s: float = 30.0
    prepares: bool = True

    @classmethod
    def of(cls, watch: WatchSettings, auto_build: AutoBuildSettings, delay_s: float) -> Pace:
        """Return what node.yaml says of it."""
        return cls(
            watch.debounce_ms / 1000,
            delay_s,
            auto_build.priority_paths,
            watch.exclude_patterns,
            watch.scan_interval_ms / 1000,
            watch.longest_wait_ms / 1000,
            watch.preemptive_prepare,
        )


class Sight:
    """See the module's text. All methods block; for one thread at a time."""

    def __init__(
        self, opened: OpenWorkspace, request: BuildRequest, pace: Pace, listener: Listener
    ) -> None:
        self._opened = opened
        self._request = request
        self._pace = pace
        self._listener = listener
        self._links = SourceLinks()
        self._weighing: tuple[Workspace, Plan | None, Scales] | None = None
        self._watched: Workspace | None = None
        self._scanned: Scan | None = None
        self._scan_took_s = 0.0

    @property
    def not_told(self) -> str | None:
        """Why changes are not told, in words; None: they are, or that is not known yet."""
        opened = self._opened
        was_tried = opened.watcher is not None or opened.distrusted is not None
        return opened.not_watched if was_tried else None

    @property
    def rests_s(self) -> float:
        """How long to wait between two looks through the sources."""
        return max(self._pace.scan_s, _REST * self._scan_took_s)

    def look(self) -> tuple[Weighed | None, int]:
        """Return what changed since the last call and was not taken in by a build of the
        listener's own, None: nothing that counts; and how many of these had looked before that."""
        if self.not_told is not None:
            # What changed while it was looked through may be after a build's look: it counts.
            paths, looks = self._scanned_anew(), self._listener.looks
        else:
            dirt, looks = self._opened.heard(self._listener)
            if dirt.everything:
                self._watched = None
            paths = changed_paths(self._opened, dirt)
            if self._listener.looks != looks:
                return None, looks
        links = (link for path in paths for link in self._links.leading_to(path))
        _, _, scales = self._now()
        found = scales.weigh(dict.fromkeys((*paths, *links)))
        return (None if found.impact is Impact.IGNORED else found), looks

    def before_build(self) -> None:
        """See that changes of all sources are told: a build that fails does not read all of them.
        Where they are not told, take note of how they are."""
        workspace = self._opened.definition.workspace
        if self.not_told is None and self._watched is workspace:
            return
        if self._opened.watcher is None:
            self._opened.look()
        self._scanned = self._scan()
        self._watched = workspace

    def after_build(self) -> None:
        """Take note of where the sources are, and see that changes of what defines the workspace
        are told."""
        self._opened.watch_definition()
        self._links.look(self._opened)

    def is_urgent(self, found: Weighed) -> bool:
        """Whether a change is one that is not to wait."""
        packages = self._opened.definition.workspace.packages
        paths = [packages[name].path for name in found.affected.touched if name in packages]
        return any(is_below(path, self._pace.priority) for path in paths)

    def _scanned_anew(self) -> list[str]:
        before, self._scanned = self._scanned, self._scan()
        if before is None or not self._opened.definition.files.hold():
            return [""]
        packages = self._opened.definition.workspace.packages
        return [
            f"{packages[name].path}/" if packages[name].path else ""
            for name, said in self._scanned.items()
            if before.get(name) != said
        ]

    def _scan(self) -> Scan:
        began = time.monotonic()
        _, plan, _ = self._now()
        outputs = self._opened.definition.outputs
        found = {} if plan is None else scan_sources(plan, outputs, self._opened.watch)
        self._scan_took_s = time.monotonic() - began
        return found

    def _now(self) -> tuple[Workspace, Plan | None, Scales]:
        """Return the workspace as it is described now, what is built of it, and what weighs; None:
        it has not what was asked for any more."""
        opened, workspace = self._opened, self._opened.definition.workspace
        if self._weighing is None or self._weighing[0] is not workspace:
            try:
                plan = opened.plan(workspace, self._request.packages, self._request.task)
            except BuildNetError:  # the build tells it
                plan = None
            packages = workspace.packages if plan is None else plan.packages
            scales = Scales(Readers(workspace), packages, self._pace.ignored, opened.ignores)
            self._weighing = workspace, plan, scales
        return self._weighing
