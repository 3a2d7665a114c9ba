"""Running actions in ``strict``: they see their inputs, the system's programs, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.collection import Collector
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import full_disk_reported
from buildnet.node.execute.executor import (
    LOG_IN_MEMORY_BYTES,
    Execution,
    ExecutionRequest,
    OnOutput,
    StagedExecutor,
    conclude,
    private_variables,
    written_in_stage,
)
from buildnet.node.execute.isolation import Isolation
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher.client import LaunchRequest, StrictView
from buildnet.node.execute.launcher.places import BUILD, CACHE, HOME, SETTINGS, TEMPORARY
from buildnet.node.execute.limits import DiskWatch
from buildnet.node.execute.mounts import (
    Mount,
    hide_caches,
    let_own_commands_be_called,
    show,
)
from buildnet.node.execute.process_tree import ACTION_VARIABLE
from buildnet.node.execute.reused_stages import ReusedStages
from buildnet.node.execute.staging import Stage, fill, fill_home
from buildnet.node.execute.tool_view import tool_view
from buildnet.node.store.holds import BlobAccess
from buildnet.node.timings import Laps
from buildnet.pool.timeline import EXECUTION, STAGING, UPLOAD

_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts")


class StrictExecutor:
    """Runs actions in a sandbox of their own; see :mod:`buildnet.node.execute.launcher.sandbox`."""

    isolation = "strict"

    def __init__(self, stages: StagedExecutor, isolation: Isolation, private: Path) -> None:
        """Use the stages of ``stages``; of ``private``, the node's own directory, nothing is shown
        to a command but folders of links to tools."""
        assert isolation.launcher is not None
        self._stages = stages
        self._reused = ReusedStages(stages.work, isolation.launcher.owner, stages.throw)
        self._launcher = isolation.launcher
        self._overlay = isolation.overlay
        self._private = private

    @property
    def owner(self) -> int | None:
        """The user that commands run as, if not the node's."""
        return self._launcher.owner

    def tidy(self) -> None:
        """Remove the stages of actions that have ended. Blocks."""
        self._stages.tidy()

    def execute(
        self, request: ExecutionRequest, hold: BlobAccess, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`."""
        declared, laps = DeclaredOutputs(request.outputs), Laps()

        def fill_root(root: Path) -> None:
            at, owner = request.working_directory, self._launcher.owner
            fill(root, request.inputs, hold, (), declared, at, owner)

        with (
            self._reused.stage(fill_root) as stage,
            SpooledTemporaryFile(LOG_IN_MEMORY_BYTES, dir=str(stage.directory)) as log,
        ):
            fill_home(stage.home, request.home, self._launcher.owner)
            launched = self._launch_request(request, stage)
            watches = [
                DiskWatch(place, request.limits)
                for place in (stage.directory, request.cache)
                if place
            ]
            laps.lap(STAGING)
            with full_disk_reported("keeping the command's output"):
                outcome = run_launched(
                    self._launcher,
                    launched,
                    timeout_s=request.timeout_s,
                    on_output=on_output,
                    cancel=cancel,
                    log=log,
                    output_limit_bytes=request.output_limit_bytes,
                    exceeded=lambda: next(filter(None, (watch() for watch in watches)), None),
                )
            laps.lap(EXECUTION)
            collector = Collector(
                stage.root,
                request.inputs,
                declared,
                written_in_stage(request.inputs),
                request.limits,
            )
            ended = conclude(request, outcome, stage.root, log, collector, hold, seen_at=BUILD)
            return replace(ended, times=laps.lap(UPLOAD))

    def _launch_request(self, request: ExecutionRequest, stage: Stage) -> LaunchRequest:
        search_path, binds = tool_view(request.environment.get("PATH", ""), self._private)
        entries = [f"{BUILD}/{entry}" for entry in request.path_entries]
        trees: list[tuple[str, str, str, str]] = []
        for number, mount in enumerate(request.mounts):
            if self._overlay:
                trees.append(self._tree(mount, stage, number))
                let_own_commands_be_called(mount, stage.root)
            else:
                show(mount, stage.root, f"mount{number}", self._launcher.owner)
                binds = (*binds, (os.path.realpath(mount.source), f"/mount{number}"))
        if request.network:
            files = [(os.path.realpath(name), name) for name in _NETWORK_FILES]
            binds = (*binds, *(bind for bind in files if os.path.exists(bind[0])))
        shown = (
            (os.path.realpath(path), f"{SETTINGS}/{name}") for name, path in request.shown.items()
        )
        binds = (*binds, *(bind for bind in shown if os.path.exists(bind[0])))
        return LaunchRequest(
            argv=("/bin/sh", "-c", request.command),
            cwd=f"{BUILD}/{request.working_directory}".rstrip("/"),
            environment={
                "TZ": "UTC",
                **request.environment,
                **{
                    name: f"{BUILD}/{path}".rstrip("/")
                    for name, path in request.path_variables.items()
                },
                "PATH": os.pathsep.join([*entries, search_path]),
                **private_variables(request, HOME, TEMPORARY),
                ACTION_VARIABLE: request.action.hash,
            },
            strict=StrictView(
                stage.directory,
                request.network,
                binds,
                tuple(trees),
                self._writable(request),
            ),
            memory_bytes=request.limits.memory_bytes,
            processes=request.limits.processes,
            file_bytes=request.limits.disk_bytes,
            cores=request.limits.cores,
        )

    def _writable(self, request: ExecutionRequest) -> tuple[tuple[str, str], ...]:
        """Return the action's cache as something that the command may write to."""
        if request.cache is None:
            return ()
        with full_disk_reported("making a cache"):
            request.cache.mkdir(parents=True, exist_ok=True)
        if self._launcher.owner is not None:
            os.chown(request.cache, self._launcher.owner, self._launcher.owner)
        return ((os.path.realpath(request.cache), CACHE),)

    def _tree(self, mount: Mount, stage: Stage, number: int) -> tuple[str, str, str, str]:
        """Prepare a tree to be shown; what is written to it lands in its place in the stage."""
        upper, work = stage.root / mount.path, stage.directory / f"tree-work{number}"
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir()
        if self._launcher.owner is not None:
            os.chown(upper, self._launcher.owner, self._launcher.owner)
        hide_caches(mount, upper, self._launcher.owner)
        return os.path.realpath(mount.source), mount.path, f"root/{mount.path}", work.name
