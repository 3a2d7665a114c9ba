"""Finding the programs of a table on this host, and asking each what it is and can do."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from buildnet.node.config import ToolOverride
from buildnet.node.scan import macos
from buildnet.node.scan.catalogue import FoundProgram, ProgramRow
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.shims import FileState, file_state, is_shim
from buildnet.pool.resources import Program

P = ParamSpec("P")
R = TypeVar("R")

# Where programs stand that a service's short PATH leaves out; looked at after PATH.
_USUAL_DIRECTORIES = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin", "/bin")
# Names in /usr/bin that are stand-ins on macOS until the developer tools are installed; running
# one opens a dialog.
_DEVELOPER_SHIMS = frozenset(
    {
        *("git", "make", "gmake", "gcc", "g++", "cc", "c++", "clang", "clang++", "ld", "swiftc"),
        *("python3", "pip3", "bison", "flex", "m4", "nasm", "git-lfs"),
    }
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*\x07")


def default_search_path() -> str:
    """Return this process's PATH without BuildNet's own environment, plus the usual directories.

    A build must not come to depend on the virtual environment that BuildNet is installed in.
    """
    own = str(Path(sys.prefix) / "bin") if sys.prefix != sys.base_prefix else None
    directories = os.environ.get("PATH", "").split(os.pathsep)
    kept = [one for one in directories if Path(one).is_absolute() and one.rstrip("/") != own]
    return os.pathsep.join(dict.fromkeys([*kept, *_USUAL_DIRECTORIES]))


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a probe found out. ``listed`` False: it is not this program, or cannot be run."""

    listed: bool
    version: str | None = None
    problem: str | None = None
    answer: str = ""
    capabilities: tuple[str, ...] | None = None
    """None: not asked yet."""

    @property
    def works(self) -> bool:
        """Whether it is the program and told its version."""
        return self.listed and self.problem is None


class InThread(Protocol):
    """Runs a function that may block, in a thread."""

    async def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...


class ProgramDetector:
    """Detects programs; remembers what they answered as long as their files stay the same.

    One detector lives as long as the node.
    """

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, FileState], _Verdict] = {}

    def forget(self) -> None:
        """Drop everything remembered: the next scan asks every program again."""
        self._remembered.clear()

    async def detect(
        self,
        row: ProgramRow,
        override: ToolOverride | None,
        prober: Prober,
        in_thread: InThread,
    ) -> tuple[Program, ...]:
        """Return the programs of one row, when each candidate has answered or timed out.

        Nothing, one, or with ``every_binary`` one for each version. The first file on PATH that is
        really the program and works is the one that counts; a broken one is told of if it is alone.
        """
        if override is not None and not override.enabled:
            return ()
        if override is not None and override.path is not None:
            return (await self._overridden(row, str(override.path), prober, in_thread),)
        asking: list[tuple[FoundProgram, asyncio.Task[_Verdict]]] = []
        async with asyncio.TaskGroup() as group:
            for candidate in await in_thread(distinct_candidates, row, prober):
                answer = self._ask_version(row, candidate, prober, in_thread)
                task = group.create_task(answer)
                asking.append((candidate, task))
                if not row.every_binary and (await task).works:
                    break
        found: dict[str | None, tuple[FoundProgram, _Verdict]] = {}
        broken: list[Program] = []
        for candidate, task in asking:
            verdict = await task
            if verdict.works:
                found.setdefault(verdict.version, (candidate, verdict))
            elif verdict.listed:
                broken.append(_program(row, candidate.path, verdict))
        if not found:
            return tuple(broken[:1])
        programs = []
        for candidate, verdict in found.values():
            able = await self._ask_capabilities(row, candidate, verdict, prober, in_thread)
            programs.append(_program(row, candidate.path, able))
        return tuple(programs)

    async def _overridden(
        self, row: ProgramRow, path: str, prober: Prober, in_thread: InThread
    ) -> Program:
        """Describe the program that the owner named; unlike others it is listed even if broken."""
        if not await in_thread(_is_executable, path):
            missing = "is not executable" if await in_thread(os.path.exists, path) else "is missing"
            return Program(name=row.name, path=path, problem=f"the configured file {missing}")
        candidate = FoundProgram(Path(path).name, path)
        verdict = await self._ask_version(row, candidate, prober, in_thread)
        if verdict.works:
            verdict = await self._ask_capabilities(row, candidate, verdict, prober, in_thread)
        elif verdict.problem is None:
            verdict = replace(verdict, problem=f"does not answer as {row.name} does")
        return _program(row, path, verdict)

    async def _ask_version(
        self, row: ProgramRow, candidate: FoundProgram, prober: Prober, in_thread: InThread
    ) -> _Verdict:
        state = await in_thread(file_state, candidate)
        if state and (known := self._remembered.get((row.name, state))):
            return known
        verdict = await in_thread(ask_version, row, candidate.path, prober)
        # A hang may be the load of the moment; only answers are worth remembering.
        if state and (verdict.works or not verdict.listed):
            self._remembered[row.name, state] = verdict
        return verdict

    async def _ask_capabilities(
        self,
        row: ProgramRow,
        candidate: FoundProgram,
        verdict: _Verdict,
        prober: Prober,
        in_thread: InThread,
    ) -> _Verdict:
        """Add what the program can do; what may change by itself is asked every time."""
        path = candidate.path
        if verdict.capabilities is None:
            lasting = await in_thread(ask_capabilities, row, path, verdict.answer, prober, False)
            verdict = replace(verdict, capabilities=lasting)
            if lasting is not None and (state := await in_thread(file_state, candidate)):
                self._remembered[row.name, state] = verdict
        passing = await in_thread(ask_capabilities, row, path, verdict.answer, prober, True)
        return replace(verdict, capabilities=(*(verdict.capabilities or ()), *(passing or ())))


def distinct_candidates(row: ProgramRow, prober: Prober) -> list[FoundProgram]:
    """Return the candidates without further names of the same file, and without dialogs."""
    kept: dict[str, FoundProgram] = {}
    for candidate in candidates(row, prober.search_path):
        real_path = os.path.realpath(candidate.path)
        # All shims may be one file, which starts another program for each name.
        identity = candidate.path if is_shim(candidate.path, real_path) else real_path
        if identity not in kept and not _opens_dialog(candidate.path, prober):
            kept[identity] = candidate
    return list(kept.values())


def _opens_dialog(path: str, prober: Prober) -> bool:
    if not macos.IS_MACOS or Path(path).parent != Path("/usr/bin"):
        return False
    return Path(path).name in _DEVELOPER_SHIMS and not macos.developer_tools_installed(prober)


def candidates(row: ProgramRow, search_path: str) -> Iterator[FoundProgram]:
    """Yield the executable files that bear one of the row's names, in the order of preference.

    Names go before directories: a ``magick`` anywhere is better than a ``convert``.
    """
    for binary in row.binaries:
        for directory in search_path.split(os.pathsep):
            path = f"{directory.rstrip('/')}/{binary}"
            if _is_executable(path):
                yield FoundProgram(binary, path)


def _is_executable(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode  # a thousand of them a scan
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) and os.access(path, os.X_OK)


def ask_version(row: ProgramRow, path: str, prober: Prober) -> _Verdict:
    """Ask a file for its version; blocks."""
    outcome = prober.run([path, *row.arguments], timeout_s=row.timeout_s)
    answer = _ANSI.sub("", outcome.output)
    if not outcome.started:
        return _Verdict(listed=False, problem=outcome.problem)
    if outcome.exit_code is None:
        return _Verdict(listed=True, problem=outcome.problem)
    if outcome.exit_code < 0:
        return _Verdict(listed=True, problem=outcome.problem)
    version = row.read_version(answer)
    meant = row.is_meant(answer)
    # Some print their version and then fail over something else.
    if version is not None and meant:
        return _Verdict(listed=True, version=version, answer=answer)
    if outcome.exit_code > 0 or not meant:
        # A shim without a program behind it, a namesake, or one that misses its libraries.
        return _Verdict(listed=False, problem=outcome.problem)
    return _Verdict(listed=True, problem=outcome.problem or "printed no version")


def ask_capabilities(
    row: ProgramRow, path: str, answer: str, prober: Prober, volatile: bool
) -> tuple[str, ...] | None:
    """Ask a program what it can do; blocks. None if it did not answer in time."""
    found: list[str] = []
    for probe in row.capabilities:
        if probe.volatile is not volatile:
            continue
        if probe.arguments is not None:
            arguments = [part.replace("{program}", path) for part in probe.arguments]
            outcome = prober.run(arguments, timeout_s=probe.timeout_s)
            if outcome.exit_code is None:
                return None
            found.extend(probe.parse(_ANSI.sub("", outcome.output)))
        else:
            found.extend(probe.parse(answer))
    return tuple(dict.fromkeys(found))


def _program(row: ProgramRow, path: str, verdict: _Verdict) -> Program:
    return Program(
        name=row.name,
        version=verdict.version,
        path=path,
        capabilities=verdict.capabilities or (),
        problem=verdict.problem,
    )
