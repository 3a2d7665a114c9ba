"""Running an action: the border between deciding that it runs and how it is isolated."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import IO, Protocol

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.collection import Collector, IsNew
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import OutputError, StageError, full_disk_reported
from buildnet.node.execute.hints import LOG_TAIL_BYTES, hint_of_undeclared, hints_of_failure
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher.client import Launcher, LaunchRequest
from buildnet.node.execute.leftovers import end_leftovers
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.execute.process import OUTPUT_LIMIT_BYTES, run_process
from buildnet.node.execute.process_tree import ACTION_VARIABLE
from buildnet.node.execute.reads.tracer import Reads
from buildnet.node.execute.removal import discard, remove_tree
from buildnet.node.execute.staging import SOURCE_EPOCH_NS, fill_home, staged
from buildnet.node.execute.trash import Trash
from buildnet.node.store.actions import ActionRecord
from buildnet.node.store.files import RACY_NS
from buildnet.node.store.holds import BlobAccess, Hold
from buildnet.node.store.spreading import spread_below
from buildnet.node.timings import Laps
from buildnet.pool.timeline import EXECUTION, STAGING, UPLOAD, Timed
from buildnet.pool.tree import DirectoryTree, FileEntry

_LOG_PIECE_BYTES = 1 << 20
LOG_IN_MEMORY_BYTES = 256 << 10
"""More than this of what a command prints is kept in a file meanwhile."""
MOST_REPORTS = 256
"""Files and directories that are kept of a command that failed."""
REPORTS_MAX_BYTES = 64 << 20
logger = logging.getLogger(__name__)

TRASH_FOLDER = ".trash"
OnOutput = Callable[[bytes], None]
FileVersion = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """An action that is to run.

    ``command`` is a shell command line, run in ``working_directory`` (relative to the input root,
    made if missing) with exactly ``environment``, to which the executor adds HOME, TMPDIR and
    BUILDNET_ACTION; ``path_entries`` are directories below the input root that come first on PATH,
    ``path_variables`` variables whose values are paths below it.
    ``home`` are files that HOME holds, by name, readable for the command alone. ``shown``, by name,
    are files and directories of the host that ``strict`` shows in ``/settings``; ``cache`` is a
    directory that it shows as ``/cache`` and that outlives the command.
    ``outputs`` are plain paths or patterns relative to the input root. ``network``: whether it may
    use the host's network, where that can be forbidden.
    ``reports`` are those of the outputs that are kept though the command fails.
    ``workspace`` serves only for hints. ``on_collected`` is called with the directory in which the
    command ran after its outputs were collected and before that directory is removed; it may move
    things out of it. ``wrap`` changes the command line
    that the node starts; None: it stays as it is.
    """

    action: Digest
    command: str
    working_directory: str
    environment: Mapping[str, str]
    inputs: DirectoryTree
    mounts: tuple[Mount, ...]
    outputs: tuple[str, ...]
    timeout_s: float | None
    path_entries: tuple[str, ...] = ()
    path_variables: Mapping[str, str] = field(default_factory=dict)
    home: Mapping[str, bytes] = field(default_factory=dict)
    shown: Mapping[str, Path] = field(default_factory=dict)
    cache: Path | None = None
    network: bool = False
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    limits: ActionLimits = DEFAULT_LIMITS
    reports: tuple[str, ...] = ()
    workspace: Path | None = None
    on_collected: Callable[[Path], None] | None = field(default=None, compare=False)
    wrap: Callable[[list[str]], list[str]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Execution:
    """How an action ended.

    ``log`` is the merged stdout and stderr. ``outputs`` is rooted like the inputs and holds only
    declared outputs; None if the command failed or ``missing_outputs`` names some. ``reports``: the
    outputs that were to be kept of a command that failed. ``undeclared``
    are files written besides the outputs. ``input_changed``: a source changed while the command ran
    (only without a stage). ``record``: of the result that another node signed, to be kept once it
    counts; None: this node makes its own. ``times``: its parts as they were measured;
    ``reads``: which files the command read, None: nobody looked.
    """

    outcome: ProcessOutcome
    log: Digest
    outputs: DirectoryTree | None
    missing_outputs: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    input_changed: bool = False
    record: ActionRecord | None = None
    reports: DirectoryTree | None = None
    reads: Reads | None = None
    times: tuple[Timed, ...] = ()


class Executor(Protocol):
    """Runs actions with one level of isolation. Thread-safe; blocks the calling thread."""

    @property
    def isolation(self) -> str:
        """The level's name, part of an action's key and of its result."""
        ...

    def execute(
        self, request: ExecutionRequest, hold: Hold, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """Run the action; a command that fails is an outcome, not an error.

        Raises:
            ExecutionError: the action could not be run, or its outputs can't be stored.
            MissingBlobError: an input is not in the store (any more).
            StoreFullError: no room for the outputs.
        """
        ...


class StagedExecutor:
    """Runs actions on private copies of their inputs, without namespaces."""

    isolation = "staged"

    def __init__(self, work: Path, launcher: Launcher | None = None) -> None:
        """Use ``work``, which no other node uses, for stages, and a launcher of the way ``plain``
        to start commands, or none.

        What an earlier node left is removed: first the commands that still run there, also those
        of :class:`WorkspaceExecutor`, then their files.

        Raises:
            StageError: a command that an earlier node left can't be ended.
        """
        self.work = work
        self.launcher = launcher
        self._running: set[str] = set()
        self._ended = threading.Condition()
        work.mkdir(parents=True, exist_ok=True)
        spread_below(str(work))
        end_leftovers(work)
        for left in work.iterdir():
            try:
                remove_tree(left)
            except OSError as error:
                logger.warning("%s can't be removed: %s", left, error)
        self._trash = Trash(work / TRASH_FOLDER)

    def tidy(self) -> None:
        """Remove the stages of actions that have ended; for when there is time. Blocks."""
        self._trash.empty()

    def throw(self, stage: Path) -> None:
        """Take a stage out of the way, to be removed later."""
        self._trash.throw(stage)

    def execute(
        self, request: ExecutionRequest, hold: BlobAccess, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`. One action asked for twice runs once after the other."""
        declared, laps = DeclaredOutputs(request.outputs), Laps()
        with (
            self.alone(request.action),
            staged(
                self.work,
                request.action,
                request.inputs,
                hold,
                mounts=request.mounts,
                outputs=declared,
                working_directory=request.working_directory,
                remove=self._trash.throw,
            ) as stage,
            SpooledTemporaryFile(LOG_IN_MEMORY_BYTES, dir=str(stage.directory)) as log,
        ):
            fill_home(stage.home, request.home, owner=None)
            private = private_variables(request, str(stage.home), str(stage.temporary))
            if "TZ" not in request.environment:
                private["TZ"] = "UTC"
            laps.lap(STAGING)
            outcome = _run(request, stage.root, private, log, on_output, cancel, self.launcher)
            laps.lap(EXECUTION)
            collector = Collector(
                stage.root,
                request.inputs,
                declared,
                written_in_stage(request.inputs),
                request.limits,
            )
            execution = conclude(request, outcome, stage.root, log, collector, hold)
            return replace(execution, times=laps.lap(UPLOAD))

    @contextmanager
    def alone(self, action: Digest) -> Iterator[None]:
        """Let one action be staged once at a time."""
        with self._ended:
            self._ended.wait_for(lambda: action.hash not in self._running)
            self._running.add(action.hash)
        try:
            yield
        finally:
            with self._ended:
                self._running.remove(action.hash)
                self._ended.notify_all()


class WorkspaceExecutor:
    """Runs actions in the workspace itself: no copies, no protection, never for other nodes."""

    isolation = "workspace"

    def __init__(self, root: Path, work: Path, launcher: Launcher | None = None) -> None:
        """Run commands in ``root``; ``work`` holds their private directories.

        It has to be that of the node's :class:`StagedExecutor`, which looks there for commands that
        a dead node left, and clears it when it is made; so has the ``launcher``.
        """
        self._root = root
        self._work = work
        self._launcher = launcher

    def execute(
        self, request: ExecutionRequest, hold: BlobAccess, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`. Undeclared outputs are not looked for."""
        declared, laps = DeclaredOutputs(request.outputs), Laps()
        for path in (request.working_directory, *map(os.path.dirname, declared.plain)):
            self._make_directory(path)
        before = self._stats(path for path, _ in request.inputs.leaves())
        everything = Collector(self._root, request.inputs, declared, lambda path, status: True)
        matched = self._stats(everything.matching(), times_of_links=True)
        started_ns = time.time_ns() - RACY_NS  # files are dated by a coarser clock

        def is_new(path: str, status: os.stat_result) -> bool:
            if path in matched:
                return matched[path] != _version(status, times_of_links=True)
            return path not in before or status.st_mtime_ns >= started_ns

        with (
            self._private() as private,
            SpooledTemporaryFile(LOG_IN_MEMORY_BYTES, dir=str(private)) as log,
        ):
            variables = private_variables(request, str(private / "home"), str(private))
            laps.lap(STAGING)
            outcome = _run(request, self._root, variables, log, on_output, cancel, self._launcher)
            laps.lap(EXECUTION)
            changed = self._stats(before) != before
            collector = Collector(self._root, request.inputs, declared, is_new, request.limits)
            execution = conclude(request, outcome, self._root, log, collector, hold, in_place=True)
        return replace(execution, input_changed=changed, times=laps.lap(UPLOAD))

    def _make_directory(self, path: str) -> None:
        try:
            with full_disk_reported(f"making {path} in the workspace"):
                (self._root / path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StageError(
                f"the directory {path} can't be made in the workspace",
                cause=str(error),
                hint=f"see that no file is in its way and that {self._root} is writable",
            ) from error

    @contextmanager
    def _private(self) -> Iterator[Path]:
        """Make a directory for one command, with a directory ``home`` in it."""
        try:
            with full_disk_reported("making a command's private directory"):
                private = Path(tempfile.mkdtemp(prefix="in-place-", dir=self._work))
                (private / "home").mkdir()
        except OSError as error:
            raise StageError(
                f"a private directory can't be made in {self._work}",
                cause=str(error),
                hint="see that the data directory (BUILDNET_HOME) is writable",
            ) from error
        try:
            yield private
        finally:
            discard(private)

    def _stats(
        self, paths: Iterable[str], *, times_of_links: bool = False
    ) -> dict[str, FileVersion | None]:
        """Return what tells one version of a file from another, by path. ``times_of_links``: also
        the time that moves when it loses or gets another name."""
        stats: dict[str, FileVersion | None] = {}
        for path in paths:
            try:
                stats[path] = _version((self._root / path).lstat(), times_of_links=times_of_links)
            except OSError:
                stats[path] = None
        return stats


def _version(status: os.stat_result, *, times_of_links: bool) -> FileVersion:
    ctime_ns = status.st_ctime_ns if times_of_links else 0
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode, ctime_ns


def private_variables(request: ExecutionRequest, home: str, temporary: str) -> dict[str, str]:
    """Return the variables that name a command's private places. Of a shard of tests one is a file
    that test runners for Bazel touch to say that they run a part of the tests only."""
    variables = {"HOME": home, "TMPDIR": temporary}
    if "TEST_TOTAL_SHARDS" in request.environment:
        variables["TEST_SHARD_STATUS_FILE"] = f"{temporary}/test-shard-status"
    return variables


def _run(
    request: ExecutionRequest,
    root: Path,
    private: Mapping[str, str],
    log: IO[bytes],
    on_output: OnOutput,
    cancel: CancelToken,
    launcher: Launcher | None,
) -> ProcessOutcome:
    paths = {name: str(root / path) for name, path in request.path_variables.items()}
    environment = {**request.environment, **paths, **private, ACTION_VARIABLE: request.action.hash}
    if request.path_entries:
        first = [str(root / entry) for entry in request.path_entries]
        environment["PATH"] = os.pathsep.join([*first, environment["PATH"]])
    argv = ["/bin/sh", "-c", request.command]
    if request.wrap is not None:
        argv, launcher = request.wrap(argv), None
    directory = root / request.working_directory
    with full_disk_reported("keeping the command's output"):
        if launcher is not None:
            return run_launched(
                launcher,
                LaunchRequest(
                    argv,
                    os.path.abspath(directory),
                    environment,
                    memory_bytes=request.limits.memory_bytes,
                    processes=request.limits.processes,
                    file_bytes=request.limits.disk_bytes,
                    cores=request.limits.cores,
                ),
                timeout_s=request.timeout_s,
                on_output=on_output,
                cancel=cancel,
                log=log,
                output_limit_bytes=request.output_limit_bytes,
            )
        return run_process(
            argv,
            directory,
            environment,
            timeout_s=request.timeout_s,
            on_output=on_output,
            cancel=cancel,
            log=log,
            output_limit_bytes=request.output_limit_bytes,
        )


def written_in_stage(inputs: DirectoryTree) -> IsNew:
    """Return what tells files that a command wrote: all inputs were given one date."""

    def is_new(path: str, status: os.stat_result) -> bool:
        if status.st_mtime_ns != SOURCE_EPOCH_NS:
            return True
        entry = inputs.find(path)
        if isinstance(entry, FileEntry):
            return entry.digest.size_bytes != status.st_size
        return entry is None

    return is_new


def conclude(
    request: ExecutionRequest,
    outcome: ProcessOutcome,
    root: Path,
    log: IO[bytes],
    collector: Collector,
    hold: BlobAccess,
    *,
    in_place: bool = False,
    seen_at: str | None = None,
) -> Execution:
    """Store what a command printed and left in ``root``, which it saw at ``seen_at``."""
    stored_log = _put_log(log, hold)
    if not outcome.succeeded:
        stopped = outcome.cancelled or outcome.timed_out
        workspace = None if in_place else request.workspace
        hints = () if stopped else _hints(request, outcome, root, log, workspace, seen_at)
        reports: DirectoryTree | None = None
        if request.reports:
            try:
                reports = _reports(request, collector, hold)
            except OutputError as error:
                hints = (*hints, f"its test reports were not read: {error.message}")
        return Execution(outcome, stored_log, None, hints=hints, reports=reports)
    missing = collector.missing()
    outputs = None if missing else collector.collect(hold)
    undeclared = () if in_place else collector.undeclared()
    if outputs is not None and request.on_collected is not None:
        request.on_collected(root)
    hints = (hint_of_undeclared(undeclared),) if undeclared else ()
    return Execution(outcome, stored_log, outputs, missing, undeclared, hints)


def _reports(
    request: ExecutionRequest, collector: Collector, hold: BlobAccess
) -> DirectoryTree | None:
    """Store what a command that failed reports; None: that is nothing.

    Raises:
        OutputError: it is too much, or can't be kept.
    """
    few = replace(request.limits, files=MOST_REPORTS, disk_bytes=REPORTS_MAX_BYTES)
    found = collector.of(DeclaredOutputs(request.reports), few).collect(hold)
    return found if found.entries else None


def _put_log(log: IO[bytes], hold: BlobAccess) -> Digest:
    log.seek(0)
    data = log.read(_LOG_PIECE_BYTES)
    if len(data) < _LOG_PIECE_BYTES:
        return hold.put(data)
    with full_disk_reported("keeping the command's output"), NamedTemporaryFile() as copy:
        log.seek(0)
        shutil.copyfileobj(log, copy)
        copy.flush()
        return hold.put_file(Path(copy.name))


def _hints(
    request: ExecutionRequest,
    outcome: ProcessOutcome,
    root: Path,
    log: IO[bytes],
    workspace: Path | None,
    seen_at: str | None,
) -> tuple[str, ...]:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
    tail = log.read().decode(errors="replace")
    return hints_of_failure(
        tail,
        outcome.exit_code,
        root,
        request.working_directory,
        workspace,
        seen_at,
        request.outputs,
    )
