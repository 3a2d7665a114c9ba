"""Actions: a command with everything it may depend on, and the digest that keys its result.

An action is the Remote Execution API's ``Action``: a ``Command`` (command line, environment,
working directory, outputs), the Merkle tree of its inputs and platform properties. Two actions with
one digest have the same result, on whichever host and in whichever directory they run; so neither
absolute paths nor host names nor times are part of it.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.tree import DirectoryTree

# Raise the epoch when the engine runs actions differently, so that older results no longer match.
ENGINE_EPOCH = 1


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What an action's digest is made of.

    ``command`` is a shell command line that runs in ``working_directory`` (relative to the input
    root). ``outputs`` are paths or patterns relative to the input root. ``platform`` holds what
    else decides the result: operating system, tools with version and digest, isolation level.
    ``trust_domain`` keeps results of different clusters apart.
    """

    command: str
    working_directory: str
    environment: Mapping[str, str]
    outputs: tuple[str, ...]
    platform: Mapping[str, str]
    inputs: DirectoryTree
    trust_domain: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An encoded action; ``digest`` is the key of its result in every cache."""

    digest: Digest
    encoded: bytes
    command_encoded: bytes
    spec: ActionSpec = field(compare=False)


def encode_action(spec: ActionSpec) -> Action:
    """Encode ``spec`` canonically (names sorted, fields in order) and digest it."""
    command = reapi.Command(
        arguments=["/bin/sh", "-c", spec.command],
        working_directory=spec.working_directory,
        output_paths=sorted(
            relative_path(output, spec.working_directory) for output in spec.outputs
        ),
    )
    for name, value in sorted(spec.environment.items()):
        command.environment_variables.add(name=name, value=value)
    command_encoded = command.SerializeToString(deterministic=True)
    action = reapi.Action(salt=f"buildnet {ENGINE_EPOCH} {spec.trust_domain}".encode())
    for name, value in sorted(spec.platform.items()):
        action.platform.properties.add(name=name, value=value)
    _fill(action.command_digest, Digest.of(command_encoded))
    _fill(action.input_root_digest, spec.inputs.digest)
    encoded = action.SerializeToString(deterministic=True)
    return Action(Digest.of(encoded), encoded, command_encoded, spec)


@functools.lru_cache(maxsize=4096)
def relative_path(path: str, directory: str) -> str:
    """Return a path as it is seen from a directory, both relative to the input root."""
    return posixpath.relpath(path, directory or ".")


def _fill(message: reapi.Digest, digest: Digest) -> None:
    message.hash, message.size_bytes = digest


def digest_of(message: reapi.Digest) -> Digest:
    """Return a message's address as a :class:`Digest`."""
    return Digest(message.hash, message.size_bytes)
