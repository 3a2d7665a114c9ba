"""Which files a task reads, and their digests: from patterns to a directory tree.

A reader belongs to one build. It lists each directory and looks at each file once, whatever the
number of tasks that share them, and hashes only what the file table does not vouch for. With a
memory that outlives the build it looks only at what may have changed since.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import DeclaredOutputs, kinds_of
from buildnet.node.execute.links import lexical_target
from buildnet.node.source_file import FileTable, SourceError, digest_file, unreadable
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.source_memory import Key, Kind, Listing, SourceMemory, listing_of
from buildnet.node.source_walk import Walk, compiled, compiled_reaching
from buildnet.pool.glob import Patterns
from buildnet.pool.ignore_file import IGNORE_FILE, Chain
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry, Leaf, LinkEntry

_DEPTH_LIMIT = 256  # as stored trees


@dataclass(frozen=True, slots=True)
class SourceSet:
    """The files that some patterns mean.

    ``tree`` is rooted at the workspace's root. ``touched`` are the files whose ``stat`` is not the
    recorded one, ``changed`` those of them whose bytes differ from what was recorded last (both
    hold new files). ``unmatched`` are the patterns that match nothing.
    """

    tree: DirectoryTree
    touched: frozenset[str]
    changed: frozenset[str]
    unmatched: tuple[str, ...]

    def untouched(self) -> SourceSet:
        """Return it as a later build sees it that found nothing of it changed."""
        return replace(self, touched=frozenset(), changed=frozenset()) if self.touched else self


class Sources(Protocol):
    """What a build reads its sources from: a workspace, by a :class:`SourceReader`, or what another
    node has stored of one."""

    def tree(
        self,
        patterns: Sequence[str],
        default_sources: str | None = None,
        exclude: Sequence[str] | Patterns = (),
    ) -> SourceSet:
        """Return the files that ``patterns`` mean; see :meth:`SourceReader.tree`."""

    def tree_of_outputs(self, outputs: Sequence[str]) -> DirectoryTree | None:
        """Return what stands at a task's outputs; see :meth:`SourceReader.tree_of_outputs`."""


def outputs_excluded(outputs: Sequence[str]) -> Patterns:
    """Compile a workspace's outputs for :meth:`SourceReader.tree`, to be kept between builds."""
    return Patterns(outputs, reach_below=True)


class SourceReader:
    """Reads sources of one workspace during one build. For one thread at a time; other builds may
    read beside it, with the same memory.

    Args:
        table: holds the digests between builds, also over restarts.
        rules: the decisions of ignore files.
        clock: ``time.time_ns``.
        memory: what earlier builds learnt; begun for this build.
        watch: watches a directory before it is read and tells whether changes will be told.

    ``touched`` are the files that had to be hashed so far.
    """

    def __init__(
        self,
        root: Path,
        table: FileTable,
        rules: IgnoreRules | None = None,
        clock: Callable[[], int] = time.time_ns,
        *,
        memory: SourceMemory | None = None,
        watch: Callable[[str], bool] = lambda directory: True,
    ) -> None:
        self._root = os.path.realpath(root)
        self._table = table
        self._rules = rules or IgnoreRules()
        self._clock = clock
        self._memory = memory or SourceMemory()
        self._build = self._memory.build
        self._watch = watch
        self._keeps_modes = False  # of outputs all permissions count, of sources the executable bit
        self.touched: set[str] = set()
        self._changed: set[str] = set()
        self._exclusions: dict[int, tuple[Sequence[str], Patterns]] = {}
        self._uses: set[str] = set()

    def tree(
        self,
        patterns: Sequence[str],
        default_sources: str | None = None,
        exclude: Sequence[str] | Patterns = (),
    ) -> SourceSet:
        """Return the files that ``patterns`` match.

        Args:
            patterns: relative to the root; ``!pattern`` excludes.
            default_sources: a directory (``""`` is the root) of which all files count too that
                .gitignore does not name, but not buildnet.yaml; None: only the patterns.
            exclude: outputs, or :func:`outputs_excluded` of them; neither they nor what is below
                them is a source.

        Raises:
            SourceError: a file that cannot be a source: a device, a name that is not UTF-8, a
                link to a directory outside, one that cannot be read or keeps changing.
        """
        with self._memory.lock:
            return self._tree(patterns, default_sources, exclude)

    def _tree(
        self,
        patterns: Sequence[str],
        default_sources: str | None,
        exclude: Sequence[str] | Patterns,
    ) -> SourceSet:
        key = source_key(patterns, default_sources)
        memory = self._memory
        known = memory.answers.get(key)
        if known is not None and known.about is exclude:
            assert isinstance(known.value, SourceSet)
            if known.build != self._build:
                known.value, known.build = known.value.untouched(), self._build
            return known.value
        self._uses = set()
        found = self._read(tuple(patterns), default_sources, self._exclusion(exclude))
        found = replace(found, tree=found.tree.reusing(memory.former.pop(key, None)))
        memory.keep(key, found, exclude, self._uses, self._build)
        return found

    def _exclusion(self, exclude: Sequence[str] | Patterns) -> Patterns:
        """Return the outputs compiled. By identity: they are thousands, the same for all tasks."""
        if isinstance(exclude, Patterns):
            return exclude
        known = self._exclusions.get(id(exclude))
        if known is None:
            known = (exclude, outputs_excluded(exclude))
            self._exclusions[id(exclude)] = known
        return known[1]

    def tree_of_outputs(self, outputs: Sequence[str]) -> DirectoryTree | None:
        """Return what stands at a task's output paths now; empty directories count.

        None: a plain path is missing, or something is there that no result can hold. A directory
        is listed once in a build, so ask before the task runs.
        """
        with self._memory.lock:
            return self._tree_of_outputs(outputs)

    def _tree_of_outputs(self, outputs: Sequence[str]) -> DirectoryTree | None:
        key = outputs_key(outputs)
        memory = self._memory
        known = memory.answers.get(key)
        if known is not None:
            assert known.value is None or isinstance(known.value, DirectoryTree)
            return known.value
        self._keeps_modes = True
        self._uses = set()
        try:
            found = self._outputs(kinds_of(tuple(outputs)))
        except SourceError:
            return None
        finally:
            self._keeps_modes = False
        if found is not None:
            found = found.reusing(memory.former.pop(key, None))
        memory.keep(key, found, None, self._uses, self._build)
        return found

    def _outputs(self, declared: DeclaredOutputs) -> DirectoryTree | None:
        walk = Walk(self, Patterns(()), Patterns(()))
        tree = EMPTY_TREE
        for path in declared.outermost():
            found = self._whole(path)
            if isinstance(found, DirectoryTree):
                tree = tree.merged(found.placed_at(path))
            elif found is not None:
                tree = tree.merged(DirectoryTree.from_paths({path: found}))
            elif path in declared.plain:
                return None
        if any(self._missing(path) for path in declared.plain):
            return None
        below = walk.matching("", declared.patterns.start, frozenset())
        return tree.merged(below) if below else tree

    def _missing(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return self.entry(parent, name) is None

    def _read(
        self, patterns: tuple[str, ...], default_path: str | None, outputs: Patterns
    ) -> SourceSet:
        included = tuple(one for one in patterns if not one.startswith("!"))
        excluded = tuple(one[1:] for one in patterns if one.startswith("!"))
        walk = Walk(self, outputs, compiled_reaching(excluded))
        tree = EMPTY_TREE
        if default_path is not None:
            tree = walk.default_at(default_path) or EMPTY_TREE
        if included:
            found = walk.matching("", compiled(included).start, frozenset())
            if found is not None:
                tree = tree.merged(found)
        tree = walk.with_link_targets(tree)
        return SourceSet(
            tree,
            frozenset(walk.touched),
            frozenset(walk.touched & self._changed),
            tuple(one for number, one in enumerate(included) if number not in walk.hits),
        )

    def listing(self, directory: str) -> Listing:
        """Return what is in a directory, by name; nothing if there is none."""
        self._uses.add(f"{directory}/")
        return self._listing(directory)

    def entry(self, directory: str, name: str) -> Kind | None:
        """Return what the entry of that name in a directory is; None if there is none."""
        self._uses.add(f"{directory}/{name}" if directory else name)
        return self._listing(directory).get(name)

    def _listing(self, directory: str) -> Listing:
        known = self._memory.listings.get(directory)
        if known is None:
            known = self._scan(directory)
            self._memory.remember_directory(directory, known)
        return known

    def _scan(self, directory: str) -> Listing:
        if directory.count("/") >= _DEPTH_LIMIT:
            raise SourceError(f"{directory}: directories nest deeper than {_DEPTH_LIMIT}")
        if not self._watch(directory):
            self._memory.unwatched.add(directory)
        try:
            listing = listing_of(self._root, directory)
        except OSError as error:
            raise unreadable(directory or ".", error) from error
        for name in listing:
            if not name.isascii():
                _check_name(directory, name)
        return listing

    def leaf(self, path: str, kind: Kind) -> Leaf | None:
        """Return the file or link at ``path``; None if it is gone by now."""
        directory, _, name = path.rpartition("/")
        leaves = self._memory.leaves.setdefault((directory, self._keeps_modes), {})
        leaf = leaves.get(name)
        if leaf is not None:
            return leaf
        try:
            leaf = self._link(path) if kind is Kind.LINK else self._file(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        leaves[name] = leaf
        return leaf

    def _file(self, path: str) -> Leaf:
        full_path = f"{self._root}/{path}"
        status = os.lstat(full_path)
        if not stat.S_ISREG(status.st_mode):
            raise _special(path, status)
        self._memory.remember_file(path, status, self._clock(), followed=False)
        digest = self._table.lookup(path, status) or self._digest(full_path, path)
        if self._keeps_modes:
            return FileEntry.of(digest, status.st_mode)
        return FileEntry(digest, bool(status.st_mode & 0o100))

    def _digest(self, full_path: str, path: str) -> Digest:
        before = self._table.previous(path)
        digest = digest_file(
            full_path, path, self._table, self._clock, lambda: self._memory.look_again(path)
        )
        self.touched.add(path)
        if digest != before:
            self._changed.add(path)
        return digest

    def _link(self, path: str) -> Leaf:
        full_path = f"{self._root}/{path}"
        target = os.readlink(full_path)  # a Path would rewrite "./x"
        if not target.isascii():
            _check_name(path, target)
        if lexical_target(path.rpartition("/")[0], target) is not None:
            return LinkEntry(target)
        try:
            status = os.stat(full_path)
        except FileNotFoundError:
            raise SourceError(
                f"{path} is a symbolic link to {target}, which does not exist",
                hint=f"remove the link, or exclude it from the sources: !{path}",
            ) from None
        except OSError as error:
            raise unreadable(path, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(
                f"{path} is a symbolic link to a directory outside of the workspace, {target}",
                hint=f"exclude it from the sources: !{path}",
            )
        if not stat.S_ISREG(status.st_mode):
            raise _special(path, status)
        self._memory.remember_file(path, status, self._clock(), followed=True)
        digest = self._table.lookup(path, status) or self._digest(full_path, path)
        return FileEntry(digest, bool(status.st_mode & 0o100))

    def chain(self, directory: str) -> Chain:
        """Return the ignore files that are about what is in ``directory``."""
        known = self._memory.chains.get(directory)
        if known is not None:
            return known
        above = self.chain(directory.rpartition("/")[0]) if directory else ()
        if self._listing(directory).get(IGNORE_FILE) is Kind.FILE:
            path = f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE
            leaf = self.leaf(path, Kind.FILE)
            if isinstance(leaf, FileEntry):
                content = Path(self._root, path).read_bytes
                above = (*above, self._rules.file(directory, leaf.digest, content))
        self._memory.chains[directory] = above
        return above

    def decisions(self, directory: str, chain: Chain) -> dict[str, bool]:
        """Return what was decided about the names in ``directory``, see :class:`IgnoreRules`."""
        return self._rules.decisions(directory, chain)

    def _whole(self, path: str) -> DirectoryTree | Leaf | None:
        parent, _, name = path.rpartition("/")
        if not path:
            return self._directory(path)
        kind = self.entry(parent, name)
        if kind is None:
            return None
        return self._directory(path) if kind is Kind.DIRECTORY else self.leaf(path, kind)

    def _directory(self, path: str) -> DirectoryTree:
        entries: dict[str, Leaf | DirectoryTree] = {}
        for name, kind in self.listing(path).items():
            below = f"{path}/{name}" if path else name
            if kind is Kind.DIRECTORY:
                entries[name] = self._directory(below)
            elif (leaf := self.leaf(below, kind)) is not None:
                entries[name] = leaf
        return DirectoryTree(entries)


def source_key(patterns: Sequence[str], default_sources: str | None = None) -> Key:
    """Return under which key :meth:`SourceReader.tree` keeps its answer."""
    return ("sources", tuple(patterns), default_sources)


def outputs_key(outputs: Sequence[str]) -> Key:
    """Return under which key :meth:`SourceReader.tree_of_outputs` keeps its answer."""
    return ("outputs", tuple(outputs))


def _check_name(directory: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"a name in {directory or '.'} is not UTF-8: {os.fsencode(name)!r}",
            hint="rename the file; a path must mean the same on every host",
        ) from None


def _special(path: str, status: os.stat_result) -> SourceError:
    kinds = (
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    kind = next((name for test, name in kinds if test(status.st_mode)), "no regular file")
    return SourceError(
        f"{path} is {kind} and cannot be a source",
        hint=f"remove it, or exclude it from the sources: !{path}",
    )
