"""Which files of a workspace differ from where its git history left another one. Blocks.

Git only reads, and a repository can't make it run anything: no hooks, no file system monitor, no
filters or diff programs of its configuration, no fetching of what is missing, no pager and no
question. It can't hang either, and what it prints is bounded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError
from buildnet.node.execute.links import lexical_target
from buildnet.node.scan.probe import ProbeOutcome, Prober

TIMEOUT_S = 60.0
"""For all questions about one workspace together."""
MOST_PATHS = 100_000
"""With more changed files than that everything counts as changed."""
MOST_REVISION_CHARACTERS = 500
_MOST_BYTES = 64 << 20
_MOST_SUBMODULES, _MOST_DEPTH = 200, 4
_LINK, _SUBMODULE = "120000", "160000"
_PASSED_ON = ("HOME", "PATH", "XDG_CONFIG_HOME", "TMPDIR", "USER")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PAGER": "cat",
}
_SETTINGS = (
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
)


class NotARepositoryError(UsageError):
    """A workspace that lies in no git repository, or in one that git does not open."""

    code = "NOT_A_REPOSITORY"


class UnknownRevisionError(NotFoundError):
    """A repository does not know what was named, or nothing that it and HEAD have in common."""

    code = "UNKNOWN_REVISION"


class GitError(BuildNetError):
    """Git is not there, or did not answer."""

    code = "GIT"


@dataclass(frozen=True, slots=True)
class GitChanges:
    """What changed since the commit ``base``: paths relative to the workspace's root; one that ends
    in ``/`` stands for all below it, ``""`` for everything."""

    base: str
    paths: tuple[str, ...]


def changes_since(root: Path, revision: str) -> GitChanges:
    """Return what differs between the working tree below ``root`` and the commit where its history
    and that of ``revision`` parted: committed, staged or not, and new files that nothing ignores.
    A file that was changed and changed back counts where git has seen the change.

    Raises:
        NotARepositoryError: ``root`` lies in none.
        UnknownRevisionError: there is no such revision, or nothing in common with it.
        GitError: there is no git, or it did not answer.
    """
    git = _Git(root, time.monotonic() + TIMEOUT_S)
    git.require_repository()
    base = _parting(git, revision)
    paths = dict.fromkeys(_limited(_changed(git, base)))
    if "" in paths or len(paths) > MOST_PATHS:
        return GitChanges(base, ("",))
    return GitChanges(base, tuple(paths))


def _limited(paths: Iterator[str]) -> Iterator[str]:
    for count, path in enumerate(paths):
        yield path
        if count >= MOST_PATHS:
            return


def _parting(git: _Git, revision: str) -> str:
    if not revision or len(revision) > MOST_REVISION_CHARACTERS or not revision.isprintable():
        raise UnknownRevisionError(
            f"{revision[:80]!r} names no revision", hint="name a branch, a tag or a commit"
        )
    commit = git.line(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if commit is None:
        raise UnknownRevisionError(
            f"git knows no revision {revision!r} in {git.root}",
            hint=_shallow_hint(git) or "name a branch, a tag or a commit; fetch it if it is new",
        )
    if git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise UnknownRevisionError("nothing is committed yet", hint="commit, or build without it")
    base = git.line("merge-base", commit, "HEAD")
    if base is None:
        raise UnknownRevisionError(
            f"HEAD and {revision!r} have no commit in common",
            hint=_shallow_hint(git) or "name one that the current branch comes from",
        )
    return base


def _shallow_hint(git: _Git) -> str | None:
    if git.line("rev-parse", "--is-shallow-repository") != "true":
        return None
    return (
        "the clone is shallow, and what lies further back is missing: git fetch --unshallow, or "
        "in CI a checkout with the whole history (fetch-depth: 0)"
    )


def _changed(git: _Git, base: str | None, depth: int = 0) -> Iterator[str]:
    """Yield what changed below ``git.root`` since ``base`` (None: what is not committed), links
    that lead to it, and what changed in submodules without being committed."""
    links, submodules = _special(git)
    changed: set[str] = set()
    for path in _compared(git, base):
        whole = path.rstrip("/") in submodules or path.endswith("/")
        changed.add(path.rstrip("/"))
        yield f"{path.rstrip('/')}/" if whole else path
    for link, target in links.items():
        below = f"{target}/"
        if link not in changed and any(one == target or one.startswith(below) for one in changed):
            yield link
    for path in submodules[:_MOST_SUBMODULES]:
        inside = git.inside(path)
        if path in changed or inside is None or depth >= _MOST_DEPTH:
            continue
        yield from (f"{path}/{one}" for one in _changed(inside, None, depth + 1))


def _compared(git: _Git, base: str | None) -> Iterator[str]:
    """Yield what was committed since ``base``, if there is one, and what is not committed.

    Of the two only ``status`` compares files whose dates are others with what they were, and it can
    do that without writing to the repository.
    """
    if base is not None:
        yield from git.fields(
            "diff-tree", "-r", "--name-only", "--no-renames", "--relative", "-z", base, "HEAD", "--"
        )
    prefix = git.line("rev-parse", "--show-prefix") or ""
    for entry in git.fields(
        "status",
        "--porcelain=v1",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=dirty",
        "-z",
        "--",
        ".",
    ):
        path = entry[3:].removeprefix(prefix)  # it comes after two letters
        yield path if entry else ""


def _special(git: _Git) -> tuple[dict[str, str], list[str]]:
    """Return the links that are tracked, with what they lead to, and the submodules."""
    links: dict[str, str] = {}
    submodules: list[str] = []
    for entry in git.fields("ls-files", "--stage", "-z", "--", "."):
        mode, _, rest = entry.partition(" ")
        path = rest.partition("\t")[2]
        if mode == _SUBMODULE:
            submodules.append(path)
        elif mode == _LINK:
            try:
                target = lexical_target(path.rpartition("/")[0], os.readlink(git.root / path))
            except OSError:
                continue
            if target:
                links[path] = target
    return links, submodules


class _Git:
    """Asks git about one directory, until ``deadline``."""

    def __init__(self, root: Path, deadline: float) -> None:
        self.root = root
        self._deadline = deadline
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._prober = Prober("", {**passed_on, **_ENVIRONMENT}, threading.Event())
        self._settings = [part for each in _SETTINGS for part in ("-c", each)]

    def require_repository(self) -> None:
        """See that there is a repository, and have no filter of its configuration run."""
        found = self._run(("rev-parse", "--is-inside-work-tree"), merge_stderr=True)
        if not found.started:
            raise GitError("git can't be run on this host", cause=found.problem, hint="install git")
        if not found.succeeded or found.output.strip() != "true":
            said = found.output.strip().splitlines()
            is_there = "not a git repository" not in found.output and found.exit_code
            raise NotARepositoryError(
                f"{self.root} is in no working tree of a git repository"
                if not is_there
                else f"git does not open the repository around {self.root}",
                cause=said[0][:300] if is_there and said else None,
                hint="git config --global --add safe.directory DIRECTORY, if it is to be trusted"
                if "dubious ownership" in found.output
                else "what changed since a revision is known of a git repository only",
            )
        self._turn_filters_off()

    def _turn_filters_off(self) -> None:
        names = self.fields("config", "--null", "--name-only", "--get-regexp", r"^filter\.", none=1)
        settings = [
            (f"{name}.{key}", value)
            for name in sorted({each.rpartition(".")[0] for each in names})
            for key, value in (("clean", ""), ("process", ""), ("required", "false"))
        ]
        # As variables: with -c, a name with "=" in it would be cut there.
        told = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings):
            told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        environment = {**self._prober.environment, **told}
        self._prober = Prober("", environment, threading.Event())

    def inside(self, path: str) -> _Git | None:
        """Return git for a submodule that is checked out; None: it is not."""
        root = self.root / path
        if root.is_symlink() or not os.path.lexists(root / ".git"):
            return None
        git = _Git(root, self._deadline)
        top = git.line("rev-parse", "--show-toplevel")
        if top is None or os.path.realpath(top) != os.path.realpath(root):
            return None
        if git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
            return None
        git._turn_filters_off()
        return git

    def line(self, *arguments: str) -> str | None:
        """Return an answer of one line, which may be a path with more in it; None: git said no."""
        found = self._run(arguments)
        if found.exit_code is None:
            raise self._failed(arguments, found)
        return found.output.removesuffix("\n") or None if found.succeeded else None

    def fields(self, *arguments: str, none: int | None = None) -> list[str]:
        """Return an answer's fields, separated by null bytes; exit code ``none``: there are none.
        Where it is too long, the root, for everything."""
        found = self._run(arguments)
        if len(found.output) >= _MOST_BYTES:
            return [""]
        if none is not None and found.exit_code == none:
            return []
        if not found.succeeded:
            raise self._failed(arguments, found)
        return [each for each in found.output.split("\0") if each]

    def _failed(self, arguments: Sequence[str], found: ProbeOutcome) -> GitError:
        said = found.output if found.exit_code is None else self._run(arguments, True).output
        lines = [line for line in said.replace("\0", "\n").splitlines() if line.strip()]
        return GitError(
            f"git {arguments[0]} in {self.root} came to nothing: {found.problem}",
            cause=lines[-1][:300] if lines else None,
            hint="run git status there, and build without --since until it works",
        )

    def _run(self, arguments: Sequence[str], merge_stderr: bool = False) -> ProbeOutcome:
        return self._prober.run(
            ["git", "--no-pager", "-C", os.fspath(self.root), *self._settings, *arguments],
            timeout_s=max(0.1, self._deadline - time.monotonic()),
            merge_stderr=merge_stderr,
            output_limit_bytes=_MOST_BYTES,
        )
