"""Results of actions as ``ActionResult`` messages: what was left behind, and by whom.

Outputs are one directory tree, rooted at the workspace, of which a result names the declared parts:
each top-most output directory as a ``Tree`` blob, each output file and link by itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from buildnet.mesh.digest import EMPTY, Digest
from buildnet.pool.action import digest_of, relative_path
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.tree import (
    DirectoryTree,
    FileEntry,
    LinkEntry,
    merge_trees,
    read_file_entry,
)

_SIGNED_CONTEXT = b"buildnet action result 1\0"


class MalformedResultError(ValueError):
    """A stored result that can't be read; treat it as a miss."""


@dataclass(frozen=True, slots=True)
class EncodedResult:
    """An ``ActionResult`` in bytes; ``trees`` are the ``Tree`` blobs it names and which must be
    stored with it; ``references`` all blobs that must exist for it to be a hit."""

    encoded: bytes
    trees: tuple[bytes, ...]
    references: tuple[Digest, ...]


def output_directory(output: str) -> str | None:
    """Return the directory that the pattern ``output`` stands for (``dist/**``), or None."""
    return output.removesuffix("/**") if output.endswith("/**") else None


def encode_result(
    outputs: DirectoryTree, working_directory: str, declared: tuple[str, ...], log: Digest
) -> EncodedResult:
    """Encode the outputs (rooted at the workspace) of a successful action and its log."""
    result = reapi.ActionResult(exit_code=0)
    result.stdout_digest.hash, result.stdout_digest.size_bytes = log
    result.stderr_digest.hash, result.stderr_digest.size_bytes = EMPTY
    trees: list[bytes] = []
    references: dict[Digest, None] = {log: None}
    directories = {output_directory(output) or output for output in declared}

    def relative(path: str) -> str:
        return relative_path(path, working_directory)

    def add(path: str, tree: DirectoryTree) -> None:
        for name, entry in sorted(tree.entries.items()):
            below = f"{path}/{name}" if path else name
            if isinstance(entry, FileEntry):
                file = result.output_files.add(path=relative(below), is_executable=entry.executable)
                file.digest.hash, file.digest.size_bytes = entry.digest
                if entry.mode is not None:
                    file.node_properties.unix_mode.value = entry.mode
                references[entry.digest] = None
            elif isinstance(entry, LinkEntry):
                result.output_symlinks.add(path=relative(below), target=entry.target)
            elif below in directories:
                encoded = entry.tree_message().SerializeToString(deterministic=True)
                digest = Digest.of(encoded)
                directory = result.output_directories.add(path=relative(below))
                directory.tree_digest.hash, directory.tree_digest.size_bytes = digest
                root = directory.root_directory_digest
                root.hash, root.size_bytes = entry.digest
                trees.append(encoded)
                references[digest] = None
                for _, leaf in entry.leaves():
                    if isinstance(leaf, FileEntry):
                        references[leaf.digest] = None
            else:
                add(below, entry)

    add("", outputs)
    return EncodedResult(
        result.SerializeToString(deterministic=True), tuple(trees), tuple(references)
    )


@dataclass(frozen=True, slots=True)
class DecodedResult:
    """The outputs of a stored result, rooted at the workspace, and the address of its log."""

    outputs: DirectoryTree
    log: Digest


def decode_result(
    encoded: bytes, working_directory: str, read: Callable[[Digest], bytes]
) -> DecodedResult:
    """Read an ``ActionResult``; ``read`` fetches ``Tree`` blobs.

    Raises:
        MalformedResultError: it isn't one, or a path leads out of the workspace.
    """
    try:
        result = reapi.ActionResult.FromString(encoded)
        parts: list[DirectoryTree] = []
        for file in result.output_files:
            parts.append(_placed(_inside(working_directory, file.path), read_file_entry(file)))
        for link in result.output_symlinks:
            parts.append(_placed(_inside(working_directory, link.path), LinkEntry(link.target)))
        for directory in result.output_directories:
            message = reapi.Tree.FromString(read(digest_of(directory.tree_digest)))
            tree = DirectoryTree.from_tree_message(message)
            parts.append(_placed(_inside(working_directory, directory.path), tree))
    except (DecodeError, ValueError) as error:
        raise MalformedResultError(str(error)) from error
    return DecodedResult(merge_trees(parts), digest_of(result.stdout_digest))


def trees_of(encoded: bytes) -> tuple[Digest, ...]:
    """Return the ``Tree`` blobs that :func:`decode_result` reads of an ``ActionResult``.

    Raises:
        MalformedResultError: it isn't one.
    """
    try:
        result = reapi.ActionResult.FromString(encoded)
    except DecodeError as error:
        raise MalformedResultError(str(error)) from error
    return tuple(digest_of(directory.tree_digest) for directory in result.output_directories)


def references_of(trees: tuple[Digest, ...], found: DecodedResult) -> tuple[Digest, ...]:
    """Return all blobs that must exist for a decoded result to be a hit."""
    files = (leaf.digest for _, leaf in found.outputs.leaves() if isinstance(leaf, FileEntry))
    return tuple(dict.fromkeys((found.log, *trees, *files)))


def _placed(path: str, entry: FileEntry | LinkEntry | DirectoryTree) -> DirectoryTree:
    parent, _, name = path.rpartition("/")
    return DirectoryTree({name: entry}).placed_at(parent)


def _inside(working_directory: str, path: str) -> str:
    joined = posixpath.normpath(posixpath.join(working_directory, path))
    if joined.startswith(("../", "/")) or joined in {"..", "."}:
        raise ValueError(f"output path leads out of the workspace: {path!r}")
    return joined


def signed_message(action: Digest, isolation: str, result: bytes) -> bytes:
    """Return the bytes that a worker signs to vouch for a result."""
    return message_of_hashes(action.hash, isolation, Digest.of(result).hash)


def message_of_hashes(action: str, isolation: str, result: str) -> bytes:
    """Return what is signed of a result, by the hashes of action and encoded result."""
    parts = (action.encode(), isolation.encode(), result.encode())
    return b"\0".join((_SIGNED_CONTEXT, *parts))
