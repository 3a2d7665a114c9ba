"""What another node asks for, read: that it is what the action's key says, and may run here.

What tells of an action (its ``Action``, ``Command`` and ``Tree`` messages) mostly comes with the
question. It is read from there, and never kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.isolation import STRICT
from buildnet.node.platform import platform_properties
from buildnet.node.store import Hold
from buildnet.node.toolchain import Tool, Toolchain
from buildnet.pool.action import digest_of, relative_path
from buildnet.pool.explain import DEPENDENCIES
from buildnet.pool.glob import leads_out
from buildnet.pool.messages.work import WorkAsk
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.tree import DirectoryTree


class WorkRefusedError(BuildNetError):
    """An action of another node can't run here."""

    code = "WORK_REFUSED"


@dataclass(frozen=True, slots=True)
class Order:
    """An action that was read and may run here."""

    command: str
    working_directory: str
    environment: Mapping[str, str]
    inputs: DirectoryTree


@dataclass(frozen=True, slots=True)
class Parts:
    """Blobs that came with a question, by what they are, whatever its sender says; the others are
    those of ``hold``."""

    enclosed: Mapping[Digest, bytes]
    hold: Hold

    @classmethod
    def of(cls, ask: WorkAsk, hold: Hold) -> Parts:
        """Return those of a question."""
        return cls({Digest.of(blob): blob for blob in ask.blobs}, hold)

    def missing(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Return which of some blobs are not here. Blocks."""
        others = [digest for digest in wanted if digest not in self.enclosed]
        return self.hold.missing(others) if others else set()

    def get(self, digest: Digest) -> bytes:
        """Return a blob's bytes. Blocks.

        Raises:
            MissingBlobError: it is not here.
        """
        enclosed = self.enclosed.get(digest)
        return self.hold.get(digest) if enclosed is None else enclosed

    def keep(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Put those of some blobs into the store that came; return which are missing. Blocks.

        Raises:
            StoreFullError: there is no room for them.
        """
        digests = set(wanted)
        for digest in digests & self.enclosed.keys():
            self.hold.put(self.enclosed[digest])
        return self.missing(digests)


def order_of(ask: WorkAsk, parts: Parts, toolchain: Toolchain) -> Order | set[Digest]:
    """Read what is to run; see that it is what the key says, and may run here. Return what tells of
    it and is not here, if anything. Blocks.

    Raises:
        WorkRefusedError: it is not, or may not.
    """
    lacking = parts.missing((ask.action.digest, ask.command.digest, ask.inputs.digest))
    if lacking:
        return lacking
    try:
        action = reapi.Action.FromString(parts.get(ask.action.digest))
        command = reapi.Command.FromString(parts.get(ask.command.digest))
        tree = reapi.Tree.FromString(parts.get(ask.inputs.digest))
        inputs = DirectoryTree.from_tree_message(tree)
    except (DecodeError, ValueError) as error:
        raise WorkRefusedError("the action can't be read", cause=str(error)) from error
    same = digest_of(action.command_digest) == ask.command.digest
    if not same or digest_of(action.input_root_digest) != inputs.digest:
        raise WorkRefusedError("command or inputs are not those of the action")
    if list(command.arguments[:2]) != ["/bin/sh", "-c"] or len(command.arguments) != 3:
        raise WorkRefusedError("the command is none of BuildNet's")
    _require_inside(ask, command)
    platform = {each.name: each.value for each in action.platform.properties}
    tools = _check_platform(ask, platform, toolchain)
    environment = {each.name: each.value for each in command.environment_variables}
    return Order(
        command.arguments[2],
        command.working_directory,
        {"PATH": toolchain.search_path(tools), **environment},
        inputs,
    )


def _require_inside(ask: WorkAsk, command: reapi.Command) -> None:
    """See that nothing is made or taken outside of the directory in which the command runs, and
    nothing but the outputs that the key names."""
    directory = command.working_directory
    places = (directory, *ask.outputs, *ask.path_entries)
    for place in (*places, *(each.value for each in ask.path_variables)):
        if leads_out(place):
            raise WorkRefusedError("it names a place outside of its directory", cause=place[:200])
    named = sorted(relative_path(output, directory) for output in ask.outputs)
    if named != sorted(command.output_paths) or not {*ask.reports} <= {*ask.outputs}:
        raise WorkRefusedError("the outputs are not those of the action")


def _check_platform(ask: WorkAsk, platform: Mapping[str, str], toolchain: Toolchain) -> list[Tool]:
    """See that programs and platform are those of the key; return the declared tools."""
    wanted = dict(platform)
    if wanted.pop("isolation", None) != STRICT:
        raise WorkRefusedError("only strict actions run for other nodes")
    if (wanted.pop(DEPENDENCIES, None) is None) != (ask.dependencies is None):
        raise WorkRefusedError("the key names installed packages, or they are there; not both")
    declared = [toolchain.tool(name) for name in ask.tools]
    here = {f"tool:{tool.name}": tool.identity for tool in declared} | dict(platform_properties())
    here |= {f"variable:{each.name}": each.value for each in ask.path_variables}
    if ask.network:
        here["network"] = "allowed"
    if ask.path_entries:
        here["path"] = ":".join(ask.path_entries)
    for name in wanted.keys() - here.keys():
        kind, _, word = name.partition(":")
        program = toolchain.program(word) if kind == "tool" else None
        if program is not None:
            here[name] = program.identity
    for name, value in sorted(wanted.items()):
        if here.get(name) != value:
            what = name.removeprefix("tool:")
            raise WorkRefusedError(
                f"{what} is another one here",
                cause=f"{here.get(name, 'missing')}, not {value}"[:200],
            )
    if here.keys() - wanted.keys():
        raise WorkRefusedError("the action's key does not say all that was asked for")
    return declared
