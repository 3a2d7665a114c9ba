"""Which files a task reads, and their digests: from patterns to a directory tree.

A reader belongs to one build. It lists each directory and looks at each file once, whatever the
number of tasks that share them, and hashes only what the file table does not vouch for.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.links import lexical_target
from buildnet.node.source_file import FileTable, SourceError, digest_file, unreadable
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.store.blobs import TEMPORARY_PREFIX
from buildnet.pool.glob import SKIPPED, Patterns, State, escape, everything, matched
from buildnet.pool.ignore_file import IGNORE_FILE, Chain, is_ignored
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry, Leaf, LinkEntry
from buildnet.pool.workspace import WORKSPACE_FILE

_DEPTH_LIMIT = 256  # as stored trees

Listing = dict[str, os.DirEntry[str]]


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


def outputs_excluded(outputs: Sequence[str]) -> Patterns:
    """Compile a workspace's outputs for :meth:`SourceReader.tree`, to be kept between builds."""
    return Patterns(outputs, reach_below=True)


class SourceReader:
    """Reads sources of one workspace during one build. For one thread at a time.

    ``table`` holds the digests between builds, ``rules`` the decisions of ignore files; ``clock``
    is ``time.time_ns``. ``touched`` are the files that had to be hashed so far.
    """

    def __init__(
        self,
        root: Path,
        table: FileTable,
        rules: IgnoreRules | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = os.path.realpath(root)
        self._table = table
        self._rules = rules or IgnoreRules()
        self._clock = clock
        self._listings: dict[str, Listing] = {}
        self._leaves: dict[str, Leaf] = {}
        self._keeps_modes = False  # of outputs all permissions count, of sources the executable bit
        self.touched: set[str] = set()
        self._changed: set[str] = set()
        self._chains: dict[str, Chain] = {}
        self._exclusions: dict[int, tuple[Sequence[str], Patterns]] = {}
        self._sets: dict[tuple[tuple[str, ...], str | None, int], SourceSet] = {}

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
        wanted = tuple(patterns)
        key = (wanted, default_sources, id(exclude))
        known = self._sets.get(key)
        if known is None:
            outputs = self._exclusion(exclude)
            known = self._sets[key] = self._read(wanted, default_sources, outputs)
        return known

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
        is listed once in a reader's life, so ask before the task runs.
        """
        self._keeps_modes = True
        try:
            return self._outputs(DeclaredOutputs(outputs))
        finally:
            self._keeps_modes = False

    def _outputs(self, declared: DeclaredOutputs) -> DirectoryTree | None:
        walk = _Walk(self, Patterns(()), Patterns(()))
        tree = EMPTY_TREE
        try:
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
        except SourceError:
            return None
        return tree.merged(below) if below else tree

    def _missing(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return name not in self.listing(parent)

    def _read(
        self, patterns: tuple[str, ...], default_path: str | None, outputs: Patterns
    ) -> SourceSet:
        included = tuple(one for one in patterns if not one.startswith("!"))
        excluded = tuple(one[1:] for one in patterns if one.startswith("!"))
        walk = _Walk(self, outputs, compiled_reaching(excluded))
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
        known = self._listings.get(directory)
        if known is None:
            known = self._listings[directory] = self._scan(directory)
        return known

    def _scan(self, directory: str) -> Listing:
        if directory.count("/") >= _DEPTH_LIMIT:
            raise SourceError(f"{directory}: directories nest deeper than {_DEPTH_LIMIT}")
        listing: Listing = {}
        try:
            with os.scandir(f"{self._root}/{directory}") as entries:
                for entry in entries:
                    name = entry.name
                    if not name.isascii():
                        _check_name(directory, name)
                    if not name.startswith(TEMPORARY_PREFIX):
                        listing[name] = entry
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise unreadable(directory or ".", error) from error
        return listing

    def leaf(self, path: str, entry: os.DirEntry[str]) -> Leaf | None:
        """Return the file or link at ``path``; None if it is gone by now."""
        leaf = self._leaves.get(path)
        if leaf is not None:
            return leaf
        try:
            leaf = self._link(path, entry) if entry.is_symlink() else self._file(path, entry)
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._leaves[path] = leaf
        return leaf

    def _file(self, path: str, entry: os.DirEntry[str]) -> Leaf:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise _special(path, status)
        digest = self._table.lookup(path, status) or self._digest(entry.path, path)
        if self._keeps_modes:
            return FileEntry.of(digest, status.st_mode)
        return FileEntry(digest, bool(status.st_mode & 0o100))

    def _digest(self, full_path: str, path: str) -> Digest:
        before = self._table.previous(path)
        digest = digest_file(full_path, path, self._table, self._clock)
        self.touched.add(path)
        if digest != before:
            self._changed.add(path)
        return digest

    def _link(self, path: str, entry: os.DirEntry[str]) -> Leaf:
        target = os.readlink(entry.path)  # a Path would rewrite "./x"
        if not target.isascii():
            _check_name(path, target)
        if lexical_target(path.rpartition("/")[0], target) is not None:
            return LinkEntry(target)
        try:
            status = entry.stat()
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
        digest = self._table.lookup(path, status) or self._digest(entry.path, path)
        return FileEntry(digest, bool(status.st_mode & 0o100))

    def chain(self, directory: str) -> Chain:
        """Return the ignore files that are about what is in ``directory``."""
        known = self._chains.get(directory)
        if known is not None:
            return known
        above = self.chain(directory.rpartition("/")[0]) if directory else ()
        entry = self.listing(directory).get(IGNORE_FILE)
        if entry is not None and entry.is_file(follow_symlinks=False):
            leaf = self.leaf(f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE, entry)
            if isinstance(leaf, FileEntry):
                content = Path(entry.path).read_bytes
                above = (*above, self._rules.file(directory, leaf.digest, content))
        self._chains[directory] = above
        return above

    def decisions(self, directory: str, chain: Chain) -> dict[str, bool]:
        """Return what was decided about the names in ``directory``, see :class:`IgnoreRules`."""
        return self._rules.decisions(directory, chain)

    def _whole(self, path: str) -> DirectoryTree | Leaf | None:
        parent, _, name = path.rpartition("/")
        if not path:
            return self._directory(path)
        entry = self.listing(parent).get(name)
        if entry is None:
            return None
        return (
            self._directory(path) if entry.is_dir(follow_symlinks=False) else self.leaf(path, entry)
        )

    def _directory(self, path: str) -> DirectoryTree:
        entries: dict[str, Leaf | DirectoryTree] = {}
        for name, entry in self.listing(path).items():
            below = f"{path}/{name}" if path else name
            if entry.is_dir(follow_symlinks=False):
                entries[name] = self._directory(below)
            elif (leaf := self.leaf(below, entry)) is not None:
                entries[name] = leaf
        return DirectoryTree(entries)


class _Walk:
    """One request of a reader: what it may not find, and what it came across."""

    def __init__(self, reader: SourceReader, outputs: Patterns, excluded: Patterns) -> None:
        self._reader = reader
        self._outputs: State = outputs.start if outputs.patterns else ()
        self._excluded: State = excluded.start if excluded.patterns else ()
        self.hits: set[int] = set()
        self.touched: set[str] = set()
        self._links: dict[str, str] = {}

    def default_at(self, path: str) -> DirectoryTree | None:
        """Return all files below ``path`` that nothing excludes, as a tree of the root."""
        outputs, excluded = self._outputs, self._excluded
        for name in path.split("/") if path else ():
            outputs = Patterns.step(outputs, name)
            excluded = Patterns.step(excluded, name)
            if _reached(outputs) or _reached(excluded):
                return None
        tree = self._default(path, outputs, excluded)
        return tree and tree.placed_at(path)

    def _default(self, path: str, outputs: State, excluded: State) -> DirectoryTree | None:
        reader = self._reader
        chain = reader.chain(path)
        decisions = reader.decisions(path, chain)
        entries: dict[str, Leaf | DirectoryTree] = {}
        prefix = f"{path}/" if path else ""
        for name, entry in reader.listing(path).items():
            if name in SKIPPED or (name == WORKSPACE_FILE and not path):
                continue  # what the workspace's file says is in the key already, as it matters
            below = prefix + name
            is_directory = entry.is_dir(follow_symlinks=False)
            if chain:
                key = f"{name}/" if is_directory else name
                ignored = decisions.get(key)
                if ignored is None:
                    ignored = decisions[key] = is_ignored(chain, prefix + key)
                if ignored:
                    continue
            outputs_below = Patterns.step(outputs, name) if outputs else ()
            excluded_below = Patterns.step(excluded, name) if excluded else ()
            if (outputs_below and _reached(outputs_below)) or (
                excluded_below and _reached(excluded_below)
            ):
                continue
            if is_directory:
                tree = self._default(below, outputs_below, excluded_below)
                if tree is not None:
                    entries[name] = tree
            elif (leaf := self._take(below, entry)) is not None:
                entries[name] = leaf
        return DirectoryTree(entries) if entries else None

    def matching(
        self,
        path: str,
        state: State,
        held: frozenset[int],
        outputs: State | None = None,
        excluded: State | None = None,
    ) -> DirectoryTree | None:
        """Return the files below ``path`` that patterns match; ``held`` hold all of them."""
        outputs = self._outputs if outputs is None else outputs
        excluded = self._excluded if excluded is None else excluded
        held = held | everything(state)
        listing = self._reader.listing(path)
        entries: dict[str, Leaf | DirectoryTree] = {}
        prefix = f"{path}/" if path else ""
        for name in self._names(listing, state, held):
            entry = listing[name]
            after = Patterns.step(state, name) if state else ()
            held_here = frozenset() if name in SKIPPED else held
            if not after and not held_here:
                continue
            outputs_below = Patterns.step(outputs, name) if outputs else ()
            excluded_below = Patterns.step(excluded, name) if excluded else ()
            if (outputs_below and _reached(outputs_below)) or (
                excluded_below and _reached(excluded_below)
            ):
                continue
            if entry.is_dir(follow_symlinks=False):
                tree = self.matching(prefix + name, after, held_here, outputs_below, excluded_below)
                if tree is not None:
                    entries[name] = tree
            elif held_here or matched(after):
                leaf = self._take(prefix + name, entry)
                if leaf is not None:
                    entries[name] = leaf
                    self.hits.update(held_here, matched(after))
        return DirectoryTree(entries) if entries else None

    @staticmethod
    def _names(listing: Listing, state: State, held: frozenset[int]) -> Iterable[str]:
        """Return the names that can matter: all, or if patterns are plain here, just theirs."""
        if held or any(node.wild or node.globstar for node in state):
            return listing
        return [name for node in state for name in node.literals if name in listing]

    def _take(self, path: str, entry: os.DirEntry[str]) -> Leaf | None:
        leaf = self._reader.leaf(path, entry)
        if path in self._reader.touched:
            self.touched.add(path)
        if isinstance(leaf, LinkEntry):
            target = lexical_target(path.rpartition("/")[0], leaf.target)
            if target is not None:
                self._links[path] = target
        return leaf

    def with_link_targets(self, tree: DirectoryTree) -> DirectoryTree:
        """Add what symbolic links lead to: their bytes are read through the link."""
        done: set[str] = set()
        hits = set(self.hits)
        while waiting := {link: to for link, to in self._links.items() if to not in done}:
            for link, target in sorted(waiting.items()):
                done.add(target)
                leads_upwards = f"{link}/".startswith(f"{target}/") or not target
                if leads_upwards or not SKIPPED.isdisjoint(target.split("/")):
                    continue
                found = self._target(target)
                if found is not None:
                    tree = tree.merged(found)
        self.hits = hits
        return tree

    def _target(self, path: str) -> DirectoryTree | None:
        parent, _, name = path.rpartition("/")
        entry = self._reader.listing(parent).get(name)
        if entry is not None and entry.is_dir(follow_symlinks=False):
            return self.default_at(path)
        return self.matching("", Patterns((escape(path),)).start, frozenset())


@lru_cache(maxsize=4096)
def compiled(patterns: tuple[str, ...]) -> Patterns:
    """Return the patterns compiled; the same object for the same text."""
    return Patterns(patterns)


@lru_cache(maxsize=4096)
def compiled_reaching(patterns: tuple[str, ...]) -> Patterns:
    """Return patterns of what is excluded with all that is below it."""
    return Patterns(patterns, reach_below=True)


def _reached(state: State) -> bool:
    for node in state:  # noqa: SIM110  (runs for every file: a generator costs as much again)
        if node.matches or node.everything:
            return True
    return False


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
