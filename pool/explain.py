"""Why an action is another one than last time, or than any with a result: what differs between two
encoded actions.

Both actions are compared part by part: command line, environment, platform (tools among it) and the
two Merkle trees of inputs, of which only directories that differ are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from buildnet.mesh.digest import Digest
from buildnet.pool.action import Action, digest_of
from buildnet.pool.reapi import remote_execution_pb2 as reapi

DEPENDENCIES = "dependencies"
"""The platform property that names the install action whose tree an action sees."""

Read = Callable[[Digest], bytes]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``what`` is ``changed``, ``added`` or ``removed``.

    ``kind`` is file, variable, tool, installed dependencies (lock file, manifests or package
    manager), command, outputs, working directory, engine or platform. ``before`` and ``after`` tell
    what can be told in a word: a tool's version, the platform; never a variable's value, which may
    be secret. ``package`` made the file, if it is an output of a dependency.
    """

    kind: str
    name: str
    what: str
    before: str | None = None
    after: str | None = None
    package: str | None = None

    def __str__(self) -> str:
        name = f"{self.kind} {self.name}" if self.name else self.kind
        if self.package is not None:
            name = f"{name} (made by {self.package})"
        if self.before is None or self.after is None:
            return f"{name} {self.what}"
        if self.before == self.after:
            return f"{name} {self.what} (of the same version, {self.after})"
        return f"{name} {self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Nearest:
    """The cached action that differs least from one that has no result, and how it differs."""

    action: Digest
    changes: tuple[Change, ...]


Owner = Callable[[str], str | None]
"""Tells which package made a file among the inputs; None: it is a source."""


def changes_between(
    old: Digest, new: Action, read: Read, *, limit: int = 20, owner: Owner = lambda path: None
) -> list[Change]:
    """Return up to ``limit`` differences between the action ``old`` and ``new``.

    ``read`` fetches a blob; what it raises for one that is gone is passed on.
    """
    known = {tree.digest: tree.message() for tree in new.spec.inputs.directories()}
    after = _Described(
        reapi.Action.FromString(new.encoded), reapi.Command.FromString(new.command_encoded)
    )
    changes: list[Change] = []
    for change in _changes(_described(old, read), after, read, known):
        package = owner(change.name) if change.kind == "file" else None
        changes.append(replace(change, package=package) if package else change)
        if len(changes) == limit:
            break
    return changes


def changes_between_stored(
    old: Digest, new: Digest, read: Read, *, limit: int = 20
) -> list[Change]:
    """Return up to ``limit`` differences between two actions that are both described in the store.

    What ``read`` raises for a blob that is gone is passed on.
    """
    changes = _changes(_described(old, read), _described(new, read), read, {})
    return list(islice(changes, limit))


def nearest_of(
    candidates: Iterable[Digest],
    new: Action,
    read: Read,
    gone: tuple[type[Exception], ...],
    *,
    limit: int = 20,
    owner: Owner = lambda path: None,
) -> Nearest | None:
    """Return which of ``candidates`` differs least from ``new``; of equals the first.

    Those for which ``read`` raises one of ``gone`` are left out. Differences are counted up to
    ``limit``.
    """
    found: Nearest | None = None
    for candidate in candidates:
        most = limit if found is None else len(found.changes)
        try:
            changes = changes_between(candidate, new, read, limit=most, owner=owner)
        except gone:
            continue
        if found is None or len(changes) < len(found.changes):
            found = Nearest(candidate, tuple(changes))
            if len(changes) <= 1:
                break
    return found


@dataclass(frozen=True, slots=True)
class _Described:
    """The messages of an action, but for its inputs."""

    action: reapi.Action
    command: reapi.Command


def _described(action: Digest, read: Read) -> _Described:
    message = reapi.Action.FromString(read(action))
    command = reapi.Command.FromString(read(digest_of(message.command_digest)))
    return _Described(message, command)


def _changes(
    old: _Described, new: _Described, read: Read, known: Mapping[Digest, reapi.Directory]
) -> Iterator[Change]:
    """Yield the differences; ``known`` are directories that need not be read."""
    old_action, old_command = old.action, old.command
    new_action, new_command = new.action, new.command
    if list(old_command.arguments) != list(new_command.arguments):
        yield Change("command", "", "changed")
    if old_command.working_directory != new_command.working_directory:
        yield Change("working directory", "", "changed")
    if list(old_command.output_paths) != list(new_command.output_paths):
        yield Change("outputs", "", "changed")
    for name, what in _differences(
        {variable.name: variable.value for variable in old_command.environment_variables},
        {variable.name: variable.value for variable in new_command.environment_variables},
    ):
        yield Change("variable", name, what)
    old_platform = {each.name: each.value for each in old_action.platform.properties}
    new_platform = {each.name: each.value for each in new_action.platform.properties}
    for name, what in _differences(old_platform, new_platform):
        if name == DEPENDENCIES:
            yield Change("installed dependencies", "", what)
            continue
        before, after = old_platform.get(name), new_platform.get(name)
        if name.startswith("tool:"):
            yield Change(
                "tool", name.removeprefix("tool:"), what, _version(before), _version(after)
            )
        elif name.startswith("variable:"):
            yield Change("variable", name.removeprefix("variable:"), what, before, after)
        else:
            yield Change("platform", name, what, before, after)
    if old_action.salt != new_action.salt:
        yield Change("engine", "", "changed")

    def directory(digest: Digest) -> reapi.Directory:
        found = known.get(digest)
        return found if found is not None else reapi.Directory.FromString(read(digest))

    yield from _file_changes(
        digest_of(old_action.input_root_digest),
        digest_of(new_action.input_root_digest),
        directory,
        "",
    )


def _version(identity: str | None) -> str | None:
    """Return the version in a tool's identity; None without one."""
    return identity.partition(" ")[0] or None if identity else None


def _file_changes(
    old: Digest | None,
    new: Digest | None,
    directory: Callable[[Digest], reapi.Directory],
    at: str,
) -> Iterator[Change]:
    if old == new:
        return
    before = directory(old) if old else reapi.Directory()
    after = directory(new) if new else reapi.Directory()
    for name, what in _differences(_leaves(before), _leaves(after)):
        yield Change("file", at + name, what)
    below_before = {node.name: digest_of(node.digest) for node in before.directories}
    below_after = {node.name: digest_of(node.digest) for node in after.directories}
    for name in sorted(below_before.keys() | below_after.keys()):
        yield from _file_changes(
            below_before.get(name), below_after.get(name), directory, f"{at}{name}/"
        )


def _leaves(directory: reapi.Directory) -> dict[str, object]:
    leaves: dict[str, object] = {
        file.name: (
            digest_of(file.digest),
            file.is_executable,
            file.node_properties.unix_mode.value,
        )
        for file in directory.files
    }
    leaves.update({link.name: link.target for link in directory.symlinks})
    return leaves


def _differences(
    before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield name, "added"
        elif name not in after:
            yield name, "removed"
        elif before[name] != after[name]:
            yield name, "changed"
