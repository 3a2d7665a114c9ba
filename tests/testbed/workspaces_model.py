"""What a build of a random workspace must come to, worked out from the files on the disk alone.

A second implementation of what the documentation says of sources, links, exports, ``transitive``
and outputs, without any memory of earlier builds: it reads everything anew each time. Which files
``.gitignore`` names is asked of git.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from testbed.workspaces import FAILING, LOCK_FILE, MANIFEST, OPTIONAL, Definition, shape_of
from testbed.workspaces_patterns import matcher
from testbed.workspaces_tasks import Task, tasks_of

SKIPPED = frozenset({".git", ".hg", ".svn", "node_modules"})
_OURS = ".buildnet-"


class Entry(NamedTuple):
    """A file (``data`` is its content) or a link (its target)."""

    is_link: bool
    data: bytes
    mode: int

    @property
    def as_input(self) -> tuple[bool, bytes, bool]:
        """What of it counts for a command: of the mode only the owner's right to execute."""
        return self.is_link, self.data, not self.is_link and bool(self.mode & 0o100)


Files = dict[str, Entry]


class AmbiguousError(Exception):
    """What the state means is nowhere said: a link leads through another link, a path that the
    definition names is a link that leads outside, or something else than a directory stands where
    outputs need one. It is over when ``path`` is removed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What lies below a root, without ``.git``. ``leftovers`` are names of BuildNet's own."""

    files: Files
    directories: frozenset[str]
    leftovers: tuple[str, ...]

    @classmethod
    def of(cls, root: Path) -> Snapshot:
        """Read everything."""
        files: Files = {}
        directories: set[str] = set()
        leftovers: list[str] = []
        waiting = [""]
        while waiting:
            at = waiting.pop()
            with os.scandir(root / at) as entries:
                for entry in entries:
                    path = f"{at}/{entry.name}" if at else entry.name
                    if entry.name.startswith(_OURS):
                        leftovers.append(path)
                    elif entry.is_symlink():
                        files[path] = Entry(True, os.fsencode(os.readlink(entry.path)), 0)
                    elif entry.is_dir():
                        if entry.name != ".git":
                            directories.add(path)
                            waiting.append(path)
                    else:
                        mode = stat.S_IMODE(entry.stat().st_mode)
                        files[path] = Entry(False, Path(entry.path).read_bytes(), mode)
        return cls(files, frozenset(directories), tuple(leftovers))

    def with_file(self, path: str, content: bytes) -> Snapshot:
        """Return it with a file that replaces what is there.

        Raises:
            AmbiguousError: another file stands where its directory has to be.
        """
        parts = path.split("/")
        above = ["/".join(parts[:length]) for length in range(1, len(parts))]
        for one in above:
            if one in self.files:
                raise AmbiguousError(one)

        def is_kept(other: str) -> bool:
            return not f"{other}/".startswith(f"{path}/")

        files = {other: entry for other, entry in self.files.items() if is_kept(other)}
        files[path] = Entry(False, content, 0o644)
        directories = frozenset({*filter(is_kept, self.directories), *above})
        return Snapshot(files, directories, self.leftovers)


@dataclass(slots=True)
class Expected:
    """What must become of one task. ``status`` is that of the report. ``key`` stands for all that
    decides the outcome; ``files`` and ``directories`` are the outputs."""

    status: str
    key: str = ""
    files: Files = field(default_factory=dict)
    directories: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    why: str = ""


class FailedError(Exception):
    """A task can't be prepared; the code of its error."""


class Model:
    """One state of a workspace's disk. ``inherited`` is the variable of whoever asks.

    Raises:
        AmbiguousError: see there.
    """

    def __init__(
        self, root: Path, definition: Definition, snapshot: Snapshot, inherited: str | None
    ) -> None:
        self._root = root
        self._files = snapshot.files
        self._directories = snapshot.directories
        self.tasks = {task.id: task for task in tasks_of(definition, inherited)}
        self._outputs = [one for task in self.tasks.values() for one in task.outputs]
        for output in self._outputs:
            above = output.partition("/*")[0] if "*" in output else output.rpartition("/")[0]
            if above in self._files:
                raise AmbiguousError(above)
        for pattern in (one for task in self.tasks.values() for one in task.sources):
            named = self._files.get(pattern)
            if named is not None and _leads_out(pattern, named):
                raise AmbiguousError(pattern)
        self._is_output = matcher(tuple(self._outputs), True)
        self._free = {path: entry for path, entry in self._files.items() if not self.owned(path)}
        self._ignored = self._ask_git()
        self._installed = self._install() if "install" in definition else ""
        self._own: dict[str, Files] = {}
        self._below: dict[str, Files] = {}

    def owned(self, path: str) -> bool:
        """Whether a file at ``path`` belongs to some task's outputs."""
        return self._is_output(path)

    def closure(self, packages: Iterable[str], task: str) -> list[str]:
        """Return the tasks that a request means, those that are needed first."""
        suffix = "" if task == "build" else f"#{task}"
        wanted = [f"{name}{suffix}" for name in packages]
        if not wanted:
            wanted = [one for one in self.tasks if one.partition("#")[2] == suffix[1:]]
        found: dict[str, None] = {}

        def visit(one: str) -> None:
            if one not in found:
                for need in self.tasks[one].needs:
                    visit(need)
                found[one] = None

        for one in wanted:
            visit(one)
        return list(found)

    def expect(self, ids: Iterable[str]) -> dict[str, Expected]:
        """Return what must become of the tasks, given each after those it needs.

        Raises:
            AmbiguousError: see there.
        """
        done: dict[str, Expected] = {}
        for one in ids:
            done[one] = self._expect(self.tasks[one], done)
        return done

    def _expect(self, task: Task, done: Mapping[str, Expected]) -> Expected:
        outputs = tuple(task.outputs)
        if any(done[need].status != "succeeded" for need in task.needs):
            return Expected("skipped", outputs=outputs)
        try:
            sources = self._sources(task.sources, task.path if task.default else None)
            expected = self._run(task, sources)
            if expected.status == "succeeded":
                self._show(task, sources, expected)
        except FailedError as error:
            return Expected("failed", outputs=outputs, why=str(error))
        return expected

    def _run(self, task: Task, sources: Files) -> Expected:
        if task.command is None:
            return Expected("succeeded")
        seen = dict(sources)
        for need in task.needs:
            seen |= self._own[need]
        if task.transitive:
            for need in task.needs:
                seen |= self._below[need]
        listed = self._below_source(task) if task.is_in_place else seen
        text = _listing(listed) + self._said(task)
        key = repr(
            (
                task.command,
                task.path,
                task.settings,
                self._installed if task.has_dependencies_tree else "",
                sorted((path, *entry.as_input) for path, entry in seen.items()),
            )
        )
        key = hashlib.sha256(key.encode()).hexdigest()
        if FAILING.encode() in text:
            return Expected("failed", key, outputs=tuple(task.outputs), why="COMMAND_FAILED")
        files, directories = _made(task, listed, text)
        return Expected("succeeded", key, files, directories, tuple(task.outputs))

    def _said(self, task: Task) -> bytes:
        """Return what a command prints of its variables and of what was installed."""
        sees = task.has_dependencies_tree and not task.is_in_place
        variables = task.environment
        words = (variables.get("SALT", ""), variables.get("INHERITED", ""))
        return f"{' '.join(words)} {self._installed if sees else ''}\n".encode()

    def _below_source(self, task: Task) -> Files:
        """Return the files that a command sees that runs in the workspace itself."""
        return {
            path: entry
            for path, entry in self._free.items()
            if path.startswith(f"{task.path}/src/") and not entry.is_link
        }

    def _show(self, task: Task, sources: Files, expected: Expected) -> None:
        """Note what dependents see of a task."""
        own = dict(expected.files)
        exports = task.exports
        if "sources" in (exports or ()) or (exports is None and not task.outputs):
            own |= sources
        patterns = [one for one in exports or () if one != "sources"]
        if patterns:
            own |= self._sources(patterns, None)
        if task.command is None:
            for need in task.needs:
                own |= self._own[need]
        below: Files = {}
        for need in task.needs:
            below |= self._own[need] | self._below[need]
        self._own[task.id], self._below[task.id] = own, below

    def _sources(self, patterns: list[str], default: str | None) -> Files:
        excluded = matcher(tuple(one[1:] for one in patterns if one.startswith("!")), True)
        included = [one for one in patterns if not one.startswith("!")]
        free = {path: entry for path, entry in self._free.items() if not excluded(path)}
        found = {} if default is None else self._default_below(default, free)
        for pattern in included:
            matches = matcher((pattern,), False)
            hits = {path: entry for path, entry in free.items() if matches(path)}
            if not hits and default is None:
                raise FailedError("SOURCES")
            found |= hits
        taken: Files = {}
        while found:
            path, entry = found.popitem()
            if path in taken:
                continue
            taken[path] = self._taken(path, entry)
            if taken[path].is_link:
                found |= self._led_to(path, taken[path], free)
        return taken

    def _default_below(self, directory: str, free: Files) -> Files:
        return {
            path: entry
            for path, entry in free.items()
            if path.startswith(f"{directory}/") and path not in self._ignored
        }

    def _taken(self, path: str, entry: Entry) -> Entry:
        """Return a source as commands see it: what a link leads to outside is a file."""
        if not _leads_out(path, entry):
            return entry
        place = self._root / path
        if not place.exists() or place.is_dir():
            raise FailedError("SOURCE")
        return Entry(False, place.read_bytes(), stat.S_IMODE(place.stat().st_mode))

    def _led_to(self, path: str, entry: Entry, free: Files) -> Files:
        target = _lexical(path, entry.data.decode())
        if not target or f"{path}/".startswith(f"{target}/"):
            return {}
        parts = target.split("/")
        for length in range(1, len(parts)):
            above = self._files.get("/".join(parts[:length]))
            if above is not None and above.is_link:
                raise AmbiguousError(path)
        if target in self._directories:
            return self._default_below(target, free)
        return {target: free[target]} if target in free else {}

    def _install(self) -> str:
        """Return what :data:`testbed.workspaces.INSTALL` leaves."""
        content = b"".join(self._files[name].data for name in (LOCK_FILE, MANIFEST))
        return f"{_sha256(content)}  -"

    def _ask_git(self) -> frozenset[str]:
        if not any(path.rpartition("/")[2] == ".gitignore" for path in self._files):
            return frozenset()
        answer = subprocess.run(
            ["git", "check-ignore", "--no-index", "-z", "--stdin"],
            cwd=self._root,
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull},
            input=b"\0".join(os.fsencode(path) for path in self._free) + b"\0",
            capture_output=True,
            check=False,
        )
        if answer.returncode > 1:
            raise RuntimeError(answer.stderr.decode())
        return frozenset(os.fsdecode(path) for path in answer.stdout.split(b"\0"))


def _listing(seen: Files) -> bytes:
    """Return what the commands of :mod:`testbed.workspaces` print of the files they see."""
    lines = sorted(
        f"l ./{path} -> {entry.data.decode()}".encode() if entry.is_link else f"x ./{path}".encode()
        for path, entry in seen.items()
        if entry.is_link or entry.mode & 0o100
    )
    lines += [
        f"{_sha256(entry.data)}  ./{path}".encode()
        for path, entry in sorted(seen.items(), key=lambda one: one[0].encode())
        if not entry.is_link
    ]
    return b"".join(line + b"\n" for line in lines)


@lru_cache(maxsize=4096)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _made(task: Task, seen: Files, text: bytes) -> tuple[Files, frozenset[str]]:
    """Return the files and directories that a command makes of what it sees."""
    assert task.command is not None
    own = {
        path.removeprefix(f"{task.path}/src/"): entry
        for path, entry in seen.items()
        if path.rpartition("/")[0] == f"{task.path}/src" and not entry.is_link
    }
    plain = {name: entry for name, entry in own.items() if not name.startswith(".")}
    made: Files = {}
    directories: set[str] = set()
    shape = shape_of(task.command)
    if shape in ("directory", "both"):
        directories = {"dist", "dist/o", "dist/empty"}
        made["dist/list"] = Entry(False, text, 0o644)
        made["dist/latest"] = Entry(True, b"list", 0)
        made["dist/run"] = Entry(False, b"run\n", 0o755)
        for name, entry in plain.items():
            made[f"dist/o/{name}"] = Entry(False, _first_line(entry.data), 0o644)
    if shape in ("file", "both"):
        name = "check.txt" if "#" in task.id else "out.txt"
        made[name] = Entry(False, text, 0o644)
    if shape == "pattern":
        for name, entry in plain.items():
            made[f"gen/{name}.o"] = Entry(False, _first_line(entry.data), 0o644)
        made.setdefault("gen/all.o", Entry(False, text, 0o644))
    if shape == "optional" and any(name.startswith(OPTIONAL) for name in _regular(task, seen)):
        directories = {"opt"}
        made["opt/list"] = Entry(False, text, 0o644)
    return (
        {f"{task.path}/{name}": entry for name, entry in made.items()},
        frozenset(f"{task.path}/{name}" for name in directories),
    )


def _regular(task: Task, seen: Files) -> Iterable[str]:
    """Yield the names in ``src`` that are files, links followed."""
    for path, entry in seen.items():
        directory, _, name = path.rpartition("/")
        if directory != f"{task.path}/src":
            continue
        here, there = path, entry
        for _ in range(40):
            if not there.is_link:
                yield name
                break
            target = _lexical(here, there.data.decode())
            if target is None or target not in seen:
                break
            here, there = target, seen[target]


def _first_line(data: bytes) -> bytes:
    return data.partition(b"\n")[0] + b"\n"


def _leads_out(path: str, entry: Entry) -> bool:
    return entry.is_link and _lexical(path, entry.data.decode()) is None


def _lexical(path: str, target: str) -> str | None:
    """Return where a link at ``path`` leads, relative to the root; None: outside."""
    if target.startswith("/"):
        return None
    joined = os.path.normpath(f"{path.rpartition('/')[0]}/{target}")
    return None if joined.startswith("..") else "" if joined == "." else joined
