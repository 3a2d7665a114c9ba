"""Walking through a workspace's directories along patterns: from patterns to a directory tree."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from buildnet.node.execute.links import lexical_target
from buildnet.node.source_memory import Kind, Listing
from buildnet.pool.glob import SKIPPED, Patterns, State, escape, everything, matched
from buildnet.pool.ignore_file import Chain, is_ignored
from buildnet.pool.tree import DirectoryTree, Leaf, LinkEntry
from buildnet.pool.workspace import WORKSPACE_FILE


class Files(Protocol):
    """What a walk asks of :class:`~buildnet.node.sources.SourceReader`."""

    touched: set[str]

    def listing(self, directory: str) -> Listing: ...

    def entry(self, directory: str, name: str) -> Kind | None: ...

    def leaf(self, path: str, kind: Kind) -> Leaf | None: ...

    def chain(self, directory: str) -> Chain: ...

    def decisions(self, directory: str, chain: Chain) -> dict[str, bool]: ...


class Walk:
    """One request of a reader: what it may not find, and what it came across."""

    def __init__(self, reader: Files, outputs: Patterns, excluded: Patterns) -> None:
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
        for name, kind in reader.listing(path).items():
            if name in SKIPPED or (name == WORKSPACE_FILE and not path):
                continue  # what the workspace's file says is in the key already, as it matters
            below = prefix + name
            is_directory = kind is Kind.DIRECTORY
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
            elif (leaf := self._take(below, kind)) is not None:
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
        entries: dict[str, Leaf | DirectoryTree] = {}
        prefix = f"{path}/" if path else ""
        for name, kind in self._candidates(path, state, held):
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
            if kind is Kind.DIRECTORY:
                tree = self.matching(prefix + name, after, held_here, outputs_below, excluded_below)
                if tree is not None:
                    entries[name] = tree
            elif held_here or matched(after):
                leaf = self._take(prefix + name, kind)
                if leaf is not None:
                    entries[name] = leaf
                    self.hits.update(held_here, matched(after))
        return DirectoryTree(entries) if entries else None

    def _candidates(
        self, path: str, state: State, held: frozenset[int]
    ) -> Iterable[tuple[str, Kind]]:
        """Return the entries that can matter: all, or if patterns are plain here, just theirs."""
        if held or any(node.wild or node.globstar for node in state):
            return self._reader.listing(path).items()
        found = ((name, self._reader.entry(path, name)) for node in state for name in node.literals)
        return [(name, kind) for name, kind in found if kind is not None]

    def _take(self, path: str, kind: Kind) -> Leaf | None:
        leaf = self._reader.leaf(path, kind)
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
        if self._reader.entry(parent, name) is Kind.DIRECTORY:
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
