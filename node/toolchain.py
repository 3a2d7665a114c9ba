"""The programs that actions may use: where and which they are, and the PATH that leads to them.

An action's PATH holds the system's default directories and, before them, a folder of links to those
declared tools that lie elsewhere, so that a tool in a home directory is found without everything
that lies beside it. What identifies a tool is its version and the digest of its executable: of the
one that a version manager's shim or a link leads to at present, and for a script of its interpreter
too. A wrapper that somebody wrote is a script like any other: what it starts has to be declared.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import ToolOverride
from buildnet.node.scan.catalogue import VERSION, FoundProgram, ProgramRow
from buildnet.node.scan.detect import default_search_path
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.runtimes import RUNTIMES
from buildnet.node.scan.shims import FileState, file_state, is_shim, program_behind
from buildnet.node.scan.tools import TOOLS
from buildnet.node.store.files import is_settled
from buildnet.pool.command_words import FIRST_LINE_BYTES, interpreter_words

_DIRECTORIES = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"]
SYSTEM_PATH = os.pathsep.join(
    (["/opt/homebrew/bin"] if sys.platform == "darwin" else []) + _DIRECTORIES
)
_TIMEOUT_S = 10.0
_PYTHON = frozenset({"python", "python3"})
_ROWS = {name: row for row in (*TOOLS, *RUNTIMES) for name in (*row.binaries, row.name)}
_INTERPRETERS_AT_MOST = 4  # as the Linux kernel


class ToolMissingError(BuildNetError):
    """A declared tool is not on this host, or its owner disabled it."""

    code = "TOOL_MISSING"
    exit_code = 5


class PlatformMissingError(BuildNetError):
    """A command is for a platform that this host is not of, nor any other that could run it."""

    code = "PLATFORM_MISSING"
    exit_code = 5


@dataclass(frozen=True, slots=True)
class Tool:
    """An executable: the name it is asked for by, that it is called by, its real path, version and
    content; for a script, what interprets it."""

    name: str
    command: str
    path: Path
    version: str
    digest: Digest
    interpreters: tuple[Tool, ...] = ()

    @property
    def identity(self) -> str:
        """What stands in an action's key; no path is part of it."""
        own = f"{self.version} {self.digest.hash}"
        return " ".join([own, *(f"{each.name} {each.digest.hash}" for each in self.interpreters)])


class Toolchain:
    """Finds and identifies tools; safe to use from several threads.

    Args:
        links: directory for folders of links (made when needed).
        overrides: the owner's word, by the name of a row in the tables of tools and runtimes.
        search_path: where to look for tools, as in ``PATH``.
    """

    def __init__(
        self, links: Path, overrides: Mapping[str, ToolOverride], search_path: str | None = None
    ) -> None:
        self._links = links
        self._overrides = overrides
        self._search_path = search_path or default_search_path()
        self._known: dict[tuple[str, str, Path, tuple[int, ...]], tuple[Tool, bytes]] = {}
        self._behind: dict[str, tuple[FileState, Path]] = {}
        self._lock = threading.Lock()

    def tool(self, name: str) -> Tool:
        """Return the tool of that name: an executable's, or a row's in the tables. A path is no
        name: members ask for tools, too, and what is found is run to learn its version.

        Raises:
            ToolMissingError: there is none, or it is disabled.
        """
        row = _ROWS.get(name)
        override = self._overrides.get(row.name) if row else None
        if override is not None and not override.enabled:
            raise ToolMissingError(
                f"the owner of this host disabled the tool {name!r}",
                hint="build on another host, or enable it under tool_overrides in node.yaml",
            )
        candidates = row.binaries if row and row.name == name else (name,)
        if override is not None and override.path is not None:
            return self._identify(name, candidates[0], str(override.path), row)
        for candidate in candidates if "/" not in name else ():
            found = shutil.which(candidate, path=self._search_path)
            if found is None and candidate in _PYTHON:
                found = sys.executable  # the interpreter that runs this node
            if found is not None:
                return self._identify(name, candidate, found, row)
        raise ToolMissingError(
            f"the tool {name!r} is not on this host",
            hint=f"install {name}, or name its path under tool_overrides in node.yaml",
        )

    def search_path(self, tools: Iterable[Tool]) -> str:
        """Return the value of PATH for an action that declared ``tools``."""
        links = {
            tool.command: tool.path
            for tool in tools
            if _real(shutil.which(tool.command, path=SYSTEM_PATH)) != tool.path
        }
        if not links:
            return SYSTEM_PATH
        described = "\n".join(f"{name}={path}" for name, path in sorted(links.items()))
        folder = self._links / blake3(described.encode()).hexdigest(8)
        if not folder.is_dir():
            with self._lock:
                self._make_links(folder, links)
        return f"{folder}{os.pathsep}{SYSTEM_PATH}"

    def program(self, word: str) -> Tool | None:
        """Return the program that the shell takes for ``word``, a name or an absolute path, in the
        system's directories."""
        # Only declared tools are asked for their version: an undeclared word could be anything.
        return self._program(word, _INTERPRETERS_AT_MOST)

    def _program(self, word: str, depth: int) -> Tool | None:
        found = shutil.which(word, path=SYSTEM_PATH)
        if found is None or not os.path.isabs(found):
            return None
        try:
            return self._identify(word, word, found, None, versioned=False, depth=depth)
        except ToolMissingError:
            return None

    def _interpreters(self, first_line: bytes, depth: int) -> tuple[Tool, ...]:
        words = interpreter_words(first_line) if depth else ()
        found = (self._program(word, depth - 1) for word in words)
        return tuple(each for tool in found if tool for each in (tool, *tool.interpreters))

    def _identify(
        self,
        name: str,
        command: str,
        found: str,
        row: ProgramRow | None,
        *,
        versioned: bool = True,
        depth: int = _INTERPRETERS_AT_MOST,
    ) -> Tool:
        real = self._real(command, found)
        try:
            status = real.stat()
            state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            key = (name, command, real, state)
            with self._lock:
                known = self._known.get(key)
            if known is None:
                observed_at_ns = time_ns()
                hasher = blake3()
                hasher.update_mmap(real)
                digest = Digest(hasher.hexdigest(), status.st_size)
                version = self._version(real, row) if versioned else ""
                with real.open("rb") as file:
                    known = (
                        Tool(name, command, real, version, digest),
                        file.read(FIRST_LINE_BYTES),
                    )
                if is_settled(status, observed_at_ns):
                    with self._lock:
                        self._known[key] = known
        except OSError as error:
            raise ToolMissingError(
                f"the tool {name!r} can't be read",
                cause=str(error),
                hint="correct its path under tool_overrides in node.yaml",
            ) from error
        tool, first_line = known
        interpreters = self._interpreters(first_line, depth)
        return replace(tool, interpreters=interpreters) if interpreters else tool

    def _real(self, command: str, found: str) -> Path:
        """Return the executable that a link leads to, or that a version manager's shim would start:
        to ask it costs 70 ms, so that is done again only when its settings change."""
        real = Path(found).resolve()
        if not is_shim(found, str(real)):
            return real
        state = file_state(FoundProgram(command, found))
        with self._lock:
            known = self._behind.get(found)
        if known is not None and known[0] == state and known[1].exists():
            return known[1]
        path = Path(program_behind(command, found, str(real), self._said_by) or found)
        behind = path.resolve()
        if state is not None:
            with self._lock:
                self._behind[found] = (state, behind)
        return behind

    def _version(self, path: Path, row: ProgramRow | None) -> str:
        answer = self._said_by([str(path), *(row.arguments if row else ("--version",))]).decode()
        if row is not None:
            return row.read_version(answer) or "unknown"
        found = re.search(VERSION, answer)
        return found.group(1) if found else "unknown"

    def _said_by(self, arguments: list[str]) -> bytes:
        prober = Prober.of_process(default_search_path())
        return prober.run(arguments, timeout_s=_TIMEOUT_S).output.encode()

    def _make_links(self, folder: Path, links: Mapping[str, Path]) -> None:
        if folder.is_dir():
            return
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, path in links.items():
            (temporary / name).symlink_to(path)
        temporary.rename(folder)


def _real(found: str | None) -> Path | None:
    return Path(found).resolve() if found else None
