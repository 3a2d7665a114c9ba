"""How the files of an action came about, as a statement that the node signs which ran it.

An in-toto Statement, version 1, with the predicate of SLSA Provenance, version 1 (``slsa.dev``), in
a DSSE envelope. Its subjects are the files that the command made; the definition is the action:
command, platform, tools, and the digest of all its inputs. The values of variables are not in it,
they may be secrets: the action's digest covers them.

What it says is the word of the node whose key signed it. That this node was a member of a cluster
is shown by what :mod:`buildnet.node.provenance` puts beside the signed part.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from google.protobuf.message import DecodeError

from buildnet import __version__
from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import NodeKey
from buildnet.pool.action import digest_of
from buildnet.pool.dsse import Envelope, EnvelopeError, seal
from buildnet.pool.reapi import remote_execution_pb2 as reapi

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:buildnet:action:1"
MOST_FILES = 100_000
"""Subjects of one statement."""
_BUILDER = "urn:buildnet:node:"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOOL = "tool:"


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that an action made; ``path`` from the workspace's root, ``sha256`` in hexadecimal."""

    path: str
    blob: Digest
    sha256: str


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A symbolic link that an action made."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Making:
    """An action that ran to its end. ``action`` and ``command`` are the encoded messages, whose
    digests have been checked; ``label`` names workspace, package and task; ``ended_at`` is unix
    time; ``log`` what it printed; ``result``: the encoded result, which says what it made."""

    action: bytes
    command: bytes
    label: str
    isolation: str
    ended_at: float
    duration_ms: float
    log: Digest
    result: Digest
    files: tuple[MadeFile, ...]
    links: tuple[MadeLink, ...] = ()


def attest(making: Making, key: NodeKey) -> Envelope:
    """Return the statement of how files were made, signed by the node that made them.

    Raises:
        EnvelopeError: no files were made, or too many; or ``action`` is none.
    """
    if not making.files:
        raise EnvelopeError(
            f"{making.label} made no files, so there is nothing to state the origin of",
            hint="name packages that have outputs",
        )
    if len(making.files) > MOST_FILES:
        raise EnvelopeError(f"{making.label} made more than {MOST_FILES} files")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": one.path, "digest": {"sha256": one.sha256, "blake3": one.blob.hash}}
            for one in making.files
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": _definition(making),
            "runDetails": _run(making, key),
        },
    }
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return seal(PAYLOAD_TYPE, text.encode(), key)


def _definition(making: Making) -> dict[str, Any]:
    try:
        action = reapi.Action.FromString(making.action)
        command = reapi.Command.FromString(making.command)
    except DecodeError as error:
        raise EnvelopeError("the description of the action is damaged") from error
    platform = {one.name: one.value for one in action.platform.properties}
    tools = {name: platform.pop(name) for name in sorted(platform) if name.startswith(_TOOL)}
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "label": making.label,
            "command": command.arguments[-1] if command.arguments else "",
            "workingDirectory": command.working_directory,
            "outputs": list(command.output_paths),
            "environment": [one.name for one in command.environment_variables],
        },
        "internalParameters": {
            "platform": platform,
            "isolation": making.isolation,
            "salt": action.salt.decode(errors="replace"),
        },
        "resolvedDependencies": [
            {"name": "action", "digest": {"blake3": Digest.of(making.action).hash}},
            {
                "name": "inputs",
                "digest": {"blake3": digest_of(action.input_root_digest).hash},
                "annotations": {"encoding": "build.bazel.remote.execution.v2.Directory"},
            },
            *(_tool(name.removeprefix(_TOOL), said) for name, said in tools.items()),
        ],
    }


def _tool(name: str, identity: str) -> dict[str, Any]:
    """Return a tool by its part of the action's key: version, digest, what interprets it."""
    found = re.search(r"(?:^|\s)([0-9a-f]{64})(?:\s|$)", identity)
    annotations = {"identity": identity.strip()}
    described = {"name": f"{_TOOL}{name}", "annotations": annotations}
    if found is None:  # a resource has a digest or a content
        return {**described, "content": _base64(identity)}
    return {**described, "digest": {"blake3": found[1]}}


def _run(making: Making, key: NodeKey) -> dict[str, Any]:
    began_at = making.ended_at - making.duration_ms / 1000
    return {
        "builder": {
            "id": f"{_BUILDER}{key.public_key.hex()}",
            "version": {"buildnet": __version__},
        },
        "metadata": {
            "invocationId": f"urn:buildnet:run:{Digest.of(making.action).hash}",
            "startedOn": _time(began_at),
            "finishedOn": _time(making.ended_at),
        },
        "byproducts": [
            {"name": "log", "digest": {"blake3": making.log.hash}},
            {"name": "result", "digest": {"blake3": making.result.hash}},
            *({"name": f"link:{one.path}", "content": _base64(one.target)} for one in making.links),
        ],
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signed statement says, as far as it is looked at. ``signer``: the key of the node that
    signed it; ``subjects``: the SHA-256 of each file by its path, in hexadecimal; ``action`` and
    ``result``: hashes; ``label``: workspace, package and task; ``ended``: when, as text."""

    signer: bytes
    subjects: Mapping[str, str]
    action: str
    result: str
    label: str
    command: str
    isolation: str
    ended: str

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        """Check an envelope of any origin and read what it states.

        Raises:
            EnvelopeError: it is not signed by the node that it names, or it states something else.
        """
        if envelope.payload_type != PAYLOAD_TYPE:
            raise EnvelopeError(f"{envelope.payload_type!r:.80} is not in-toto's {PAYLOAD_TYPE}")
        signers = envelope.signers()
        try:
            found = json.loads(envelope.payload)
            kinds = found["_type"], found["predicateType"]
            definition = found["predicate"]["buildDefinition"]
            run = found["predicate"]["runDetails"]
            subjects = {str(one["name"]): str(one["digest"]["sha256"]) for one in found["subject"]}
            builder, build_type = run["builder"]["id"], definition["buildType"]
            outside, inside = definition["externalParameters"], definition["internalParameters"]
            said = [
                _blake3(definition["resolvedDependencies"], "action"),
                _blake3(run["byproducts"], "result"),
                outside["label"],
                outside["command"],
                inside["isolation"],
                run["metadata"]["finishedOn"],
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EnvelopeError("what is signed is no provenance", cause=str(error)) from error
        if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or build_type != BUILD_TYPE:
            raise EnvelopeError(
                "what is signed is no provenance of BuildNet",
                cause=f"{kinds[0]!r:.80}, {kinds[1]!r:.80}, {build_type!r:.80}",
                hint="other verifiers read other kinds: slsa-verifier, in-toto",
            )
        if len(signers) != 1 or builder != f"{_BUILDER}{signers[0].hex()}":
            raise EnvelopeError(
                "it is signed by somebody else than the node that it names",
                hint="ask for it again where it comes from",
            )
        if not all(isinstance(one, str) for one in said):
            raise EnvelopeError("what is signed is no provenance", cause="texts are missing")
        if not subjects or not all(_SHA256.fullmatch(one) for one in subjects.values()):
            raise EnvelopeError("it names no files, or not by their SHA-256")
        return cls(signers[0], subjects, *said)


def _blake3(described: list[dict[str, Any]], name: str) -> str:
    """Return the hash of what has this name in a list of resources.

    Raises:
        KeyError: there is none.
    """
    for one in described:
        if one["name"] == name:
            return str(one["digest"]["blake3"])
    raise KeyError(name)
