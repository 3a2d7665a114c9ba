"""A result that another member offers: checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import is_signed_by
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.store import ActionRecord, Hold
from buildnet.pool.messages.results import SharedResult
from buildnet.pool.result import (
    DecodedResult,
    MalformedResultError,
    decode_result,
    signed_message,
    trees_of,
)


class ResultRefusedError(BuildNetError):
    """What a member offered as an action's result is none that may be used."""

    code = "RESULT_REFUSED"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Offer:
    """A result that the member ``holder`` says to have."""

    result: SharedResult
    holder: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """An offer that is to be taken in. ``declared``: the outputs of its action, which runs in
    ``working_directory``."""

    offer: Offer
    working_directory: str
    declared: tuple[str, ...]

    @property
    def action(self) -> Digest:
        """Whose result it is."""
        return self.offer.result.action.digest

    @property
    def is_long(self) -> bool:
        """Whether the encoded result is a blob of its holder."""
        return self.offer.result.result is None


def signed_by_its_maker(one: Wanted, hold: Hold) -> bytes:
    """Return the encoded result, as whom it names has signed it.

    Raises:
        ResultRefusedError: it was not signed, or can't be read.
    """
    said, address = one.offer.result, one.offer.result.result_digest.digest
    encoded = hold.get(address) if said.result is None else said.result
    message = signed_message(one.action, said.isolation, encoded)
    if Digest.of(encoded) != address or not is_signed_by(said.worker, message, said.signature):
        raise refused(one, "its executor did not sign it")
    try:
        trees_of(encoded)
    except MalformedResultError as error:
        raise refused(one, f"it can't be read: {error}") from error
    return encoded


def decoded(one: Wanted, encoded: bytes, hold: Hold) -> DecodedResult:
    """Return what a result says.

    Raises:
        ResultRefusedError: it can't be one of its action.
    """
    try:
        found = decode_result(encoded, one.working_directory, hold.get)
    except MalformedResultError as error:
        raise refused(one, f"it can't be read: {error}") from error
    if (why := _objection(found, one.declared)) is not None:
        raise refused(one, why)
    return found


def record_of(said: SharedResult, encoded: bytes, references: tuple[Digest, ...]) -> ActionRecord:
    """Return a result as this node keeps it."""
    return ActionRecord(
        action=said.action.digest,
        result=encoded,
        isolation=said.isolation,
        worker=said.worker,
        signature=said.signature,
        created_at=said.created_ms / 1000,
        duration_ms=float(said.duration_ms),
        label=said.label,
        references=references,
    )


def refused(one: Wanted, why: str) -> ResultRefusedError:
    """Return the error that says why a result is not used."""
    return ResultRefusedError(
        f"a member's result of {one.offer.result.label} can't be used",
        cause=why,
        hint="buildnet pool nodes shows which member that was",
    )


def _objection(found: DecodedResult, declared: tuple[str, ...]) -> str | None:
    """Say why outputs are none of an action that declared ``declared``; None: they may be."""
    kinds = DeclaredOutputs(declared)
    for path, _ in found.outputs.leaves():
        if not kinds.covers(path):
            return f"it holds {path}, which the action does not make"
    for path in kinds.plain:
        if found.outputs.find(path) is None:
            return f"it lacks {path}"
    return None
