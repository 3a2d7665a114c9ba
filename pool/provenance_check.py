"""Is a file what a member of a cluster says that it made? Checked without a node or a network.

Beside the signed statement a file of ours carries, under :data:`BESIDE`, the ledger's proof of the
end of the build (:mod:`buildnet.ledger.proof`) and the place of the result among the build's. From
the cluster's id alone follow its members, so that the statement's key was one of theirs, and that a
majority of the voters sealed that this build used this very result.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from buildnet.ledger.merkle import is_included
from buildnet.ledger.proof import Proof, check
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.members.member import Ending
from buildnet.mesh.members.member_list import MemberList
from buildnet.pool.dsse import Envelope
from buildnet.pool.provenance import Statement
from buildnet.pool.result import message_of_hashes

BESIDE = "buildnet"
_MOST_RESULTS = 1 << 32
_FOUND_FAULT_WITH = (Ending.REMOVED, Ending.REVOKED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a result stands among ``size`` results of a build; ``path`` leads to their root."""

    index: int
    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file shows. ``problem``: why it shows nothing; None: all of it holds. ``words``: what
    it shows; ``cautions``: what to mind; ``artifacts``: by name the path in the workspace that each
    was made as, None: no such file was made."""

    problem: str | None
    statement: Statement | None = None
    words: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    cluster_id: bytes = b""
    build: str | None = None
    artifacts: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether everything was right."""
        return self.problem is None


def with_proof(envelope: Envelope, proof: bytes | None, place: Place | None) -> dict[str, Any]:
    """Return a statement as the JSON of a file, with what shows that its key is a member's."""
    beside: dict[str, Any] = {"version": 1, "proof": None, "place": None}
    if proof is not None:
        beside["proof"] = base64.b64encode(proof).decode()
    if place is not None:
        path = [one.hex() for one in place.path]
        beside["place"] = {"index": place.index, "size": place.size, "path": path}
    return {**envelope.as_dict(), BESIDE: beside}


def leaf_of(action: str, isolation: str, result: str) -> bytes:
    """Return a result's leaf in the tree over the results of a build, from hashes."""
    return blake3(message_of_hashes(action, isolation, result)).digest()


def check_file(
    envelope: Envelope,
    artifacts: Mapping[str, str],
    cluster_id: bytes | None = None,
) -> Checked:
    """Check a file of any origin; nothing is raised for what it holds.

    ``artifacts``: the SHA-256 of files, in hexadecimal, by any names. ``cluster_id``: known from
    elsewhere; None: the answer tells which one it would have to be.
    """
    try:
        return _Check(envelope, artifacts, cluster_id).checked()
    except _WrongError as wrong:
        return Checked(str(wrong))
    except BuildNetError as error:
        return Checked(": ".join(filter(None, (error.message, error.cause))))


class _WrongError(Exception):
    """Why a file shows nothing."""


class _Check:
    """One look at one file."""

    def __init__(
        self, envelope: Envelope, artifacts: Mapping[str, str], cluster_id: bytes | None
    ) -> None:
        self._stated = Statement.of(envelope)
        self._beside = _beside(envelope)
        self._artifacts = artifacts
        self._cluster_id = cluster_id
        self._words = [
            f"Node {self._stated.signer.hex()[:16]} states that it made "
            f"{_files(len(self._stated.subjects))} of {self._stated.label} "
            f"({self._stated.isolation}, {self._stated.ended})."
        ]
        self._cautions: list[str] = []
        self._build: str | None = None

    def checked(self) -> Checked:
        cluster_id = self._member()
        found = self._found()
        unknown = sorted(name for name, path in found.items() if path is None)
        problem = None
        if unknown:
            some = ", ".join(unknown[:5]) + (" …" if len(unknown) > 5 else "")
            problem = f"the statement is of no such files: {some}"
        elif found:
            self._words.append(
                "The file given is among them."
                if len(found) == 1
                else f"All {len(found)} files given are among them."
            )
        else:
            self._cautions.append("no file was compared: name them with --artifact")
        return Checked(
            problem,
            self._stated,
            tuple(self._words),
            tuple(self._cautions),
            cluster_id,
            self._build,
            found,
        )

    def _found(self) -> dict[str, str | None]:
        by_hash: dict[str, str] = {}
        for path, sha256 in self._stated.subjects.items():
            by_hash.setdefault(sha256, path)
        return {name: by_hash.get(sha256) for name, sha256 in self._artifacts.items()}

    def _member(self) -> bytes:
        """See that who signed is or was a member; return the cluster's id."""
        if self._beside.get("proof") is None:
            if self._cluster_id is not None:
                raise _WrongError(
                    "nothing in it shows that its key is a member's: the end of the build was not "
                    "sealed yet; write it again: buildnet audit attest"
                )
            self._cautions.append(
                f"nothing shows whose key it is: compare {self._stated.signer.hex()} with that of "
                "a node that you trust"
            )
            return b""
        verdict = check(_proof(self._beside["proof"]), self._cluster_id)
        if verdict.problem is not None or verdict.members is None:
            raise _WrongError(f"the proof beside it does not hold: {verdict.problem}")
        self._words += verdict.words
        self._cautions += verdict.cautions
        self._was_member(verdict.members)
        entry = verdict.entry
        if entry is not None and entry.body.type.startswith("build."):
            self._sealed(entry.body.correlation, entry.data)
        else:
            self._cautions.append("nothing shows which build used these files")
        return verdict.cluster_id

    def _was_member(self, members: MemberList) -> None:
        key = self._stated.signer
        former = members.former.get(key)
        if members.current(key) in members.revoked or key in members.revoked:
            raise _WrongError("the key that signed it was revoked: nothing it says counts")
        if former is not None and former.ending in _FOUND_FAULT_WITH:
            raise _WrongError(f"the node that signed it was {former.ending.value} from the cluster")
        member = members.members.get(key) or (former.member if former is not None else None)
        if member is None:
            raise _WrongError("the key that signed it was never a member's")
        if member.rights is Rights.OBSERVER:  # no node takes results of its own either
            raise _WrongError(f"the node that signed it, {member.name!r}, may only look, not build")
        is_now = "is" if former is None else "was"
        self._words.append(
            f"That node {is_now} {member.name!r}, a member of the cluster {members.genesis.name!r}."
        )

    def _sealed(self, build: str | None, data: Mapping[str, Any]) -> None:
        """See that the sealed end of the build tells of this result."""
        self._build, stated = build, self._stated
        place = self._beside.get("place")
        if place is None:
            self._cautions.append("nothing shows that the build used these very files")
            return
        try:
            index, size = int(place["index"]), int(place["size"])
            path = [bytes.fromhex(one) for one in place["path"]]
            root = bytes.fromhex(data["root"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _WrongError("what it says of its place in the build is damaged") from error
        leaf = leaf_of(stated.action, stated.isolation, stated.result)
        metrics = data.get("metrics")
        told = metrics.get("results") if isinstance(metrics, Mapping) else None
        is_whole = size == told and 0 <= index < size
        if not is_whole or size > _MOST_RESULTS or not is_included(leaf, index, size, path, root):
            raise _WrongError("the result is not among those of the build")
        self._words.append(f"The result is one of the {size} that build {build} used.")


def _beside(envelope: Envelope) -> Mapping[str, Any]:
    found = envelope.more.get(BESIDE)
    return found if isinstance(found, dict) else {}


def _proof(text: object) -> Proof:
    try:
        if not isinstance(text, str):
            raise ValueError("it is no text")
        return Proof.from_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _WrongError("the proof beside it is damaged") from error


def _files(count: int) -> str:
    return "one file" if count == 1 else f"{count} files"
