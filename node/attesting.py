"""Where files come from: this node's signed word of what it made, and that of others.

A statement is made when somebody asks for it, by the node whose key signed the result, as long as
it has that result. So it costs a build nothing, and who has lost what it made states nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.blob_exchange import BlobExchange
from buildnet.node.own_keys import OwnKeys
from buildnet.node.peer_questions import Question, Questions
from buildnet.node.pool_results import may_ask, name_of
from buildnet.node.store import ActionRecord, Hold, Store
from buildnet.node.told_to_others import told_to_others
from buildnet.pool.action import digest_of
from buildnet.pool.dsse import MAX_ENVELOPE_BYTES, Envelope, EnvelopeError
from buildnet.pool.messages.attesting import MAX_DESCRIPTION_BYTES, AttestAnswer, AttestAsk
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.provenance import MadeFile, MadeLink, Making, Statement, attest
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.result import MalformedResultError, decode_result, signed_message
from buildnet.pool.tree import FileEntry, LinkEntry

ANSWER_S = 30.0
"""Who is asked reads all files of the result."""
_PIECE_BYTES = 1 << 20
_WORDS = 1000
_log = logging.getLogger("buildnet.pool")


class ProvenanceError(BuildNetError):
    """Nobody can state where the files of a result come from."""

    code = "PROVENANCE"
    http_status = 409


@dataclass(slots=True, kw_only=True)
class _Question(Question):
    answer: AttestAnswer | None = None


class Attesting:
    """One node's side of it, as who asks and as who answers. :meth:`guest` is for the mesh."""

    def __init__(self, keys: OwnKeys, store: Store, exchange: BlobExchange) -> None:
        self._keys = keys
        self._store = store
        self._exchange = exchange
        self._questions: Questions[_Question] = Questions()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        async with self._questions.joined(cluster):
            yield self

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, AttestAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, AttestAnswer() as answer):
                question = self._questions.of(answer.request, sender)
                if question is not None:
                    question.answer = answer
                    question.peers.discard(sender)
                    question.settle()
            case LinkDown(peer):
                self._questions.gone(peer)

    async def of(self, action: str) -> Envelope:
        """Return the statement of where the files of a result of this node's cache come from;
        ``action``: the hash of its action.

        Raises:
            ProvenanceError: nobody can state it now.
            EnvelopeError: it made no files, or the statement of another node does not hold.
        """
        with self._store.hold() as hold:
            record, described, command = await asyncio.to_thread(self._described, action, hold)
            if self._is_mine(record):
                return await asyncio.to_thread(self._made, record, described, command, hold)
            return await self._of_other(record, described, command, hold)

    def _described(self, action: str, hold: Hold) -> tuple[ActionRecord, bytes, bytes]:
        """Return a result with its action and command. Blocks."""
        record = self._store.peek_action(Digest(action, 0))
        if record is None:
            raise ProvenanceError(
                "the result is not in this node's cache any more",
                hint="ask the node that made it, or build again: buildnet build",
            )
        try:
            hold.add((record.action,))
            described = hold.get(record.action)
            command = hold.get(digest_of(reapi.Action.FromString(described).command_digest))
        except (BuildNetError, DecodeError) as error:
            raise ProvenanceError(
                f"what {record.label} consisted of is not in this node's cache any more",
                cause=str(error),
                hint="ask the node that drove the build, or build again: buildnet build --force",
            ) from error
        return record, described, command

    def _is_mine(self, record: ActionRecord) -> bool:
        said = signed_message(record.action, record.isolation, record.result)
        return self._keys.signed(record.worker, said, record.signature)

    def _made(self, record: ActionRecord, described: bytes, command: bytes, hold: Hold) -> Envelope:
        """State how this node made a result. Blocks: it reads all its files."""
        directory = reapi.Command.FromString(command).working_directory
        found = decode_result(record.result, directory, hold.get)
        hold.add(record.references)
        files: list[MadeFile] = []
        links: list[MadeLink] = []
        for path, leaf in found.outputs.leaves():
            if isinstance(leaf, FileEntry):
                files.append(MadeFile(path, leaf.digest, _sha256(leaf.digest, hold)))
            elif isinstance(leaf, LinkEntry):
                links.append(MadeLink(path, leaf.target))
        making = Making(
            action=described,
            command=command,
            label=record.label,
            isolation=record.isolation,
            ended_at=record.created_at,
            duration_ms=record.duration_ms,
            log=found.log,
            result=Digest.of(record.result),
            files=tuple(files),
            links=tuple(links),
        )
        return attest(making, self._keys.current)

    # --- asking --------------------------------------------------------------------------------

    async def _of_other(
        self, record: ActionRecord, described: bytes, command: bytes, hold: Hold
    ) -> Envelope:
        cluster = self._questions.cluster
        if cluster is None:
            raise _unreachable(record, "the node that made it")
        if max(len(described), len(command)) > MAX_DESCRIPTION_BYTES:
            raise ProvenanceError(f"the command of {record.label} is too long for a message")
        members = cluster.local.members
        maker = members.current(record.worker)
        name = name_of(members, maker)
        if maker not in cluster.local.links:
            raise _unreachable(record, name)
        ask = AttestAsk(os.urandom(16), WireDigest.of(record.action), described, command)
        question = _Question(peers={maker})
        answer = (await self._questions.ask(cluster, ask.request, ask, question, ANSWER_S)).answer
        if answer is None:
            raise _unreachable(record, name)
        if answer.statement is None:
            raise ProvenanceError(
                f"{name}, which made {record.label}, does not state how",
                cause=answer.refused,
                hint="build it again, and ask soon after: buildnet build --force",
            )
        where = answer.statement.digest
        if where.size_bytes > MAX_ENVELOPE_BYTES:
            raise EnvelopeError(f"the statement of {name} is too long")
        hold.add((where,))
        await self._exchange.fetch_all((where,), maker)
        envelope = Envelope.of_text(await asyncio.to_thread(hold.get, where))
        await asyncio.to_thread(_check, envelope, maker, record, command, hold)
        return envelope

    # --- answering -----------------------------------------------------------------------------

    def _asked(self, sender: bytes, ask: AttestAsk) -> None:
        cluster = self._questions.cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if self._questions.may_answer(cluster, sender, "AttestAsk"):
            self._questions.answer(cluster, sender, lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: AttestAsk) -> None:
        statement, refused = None, None
        try:
            with self._store.hold() as hold:
                statement = await asyncio.to_thread(self._stated, ask, hold)
        except BuildNetError as error:
            refused = told_to_others(error, ProvenanceError, EnvelopeError)[:_WORDS]
        except Exception:
            _log.exception("a statement for another node could not be made")
            refused = "it could not be made: see the log of that node"
        cluster.say(sender, AttestAnswer(ask.request, statement, refused))

    def _stated(self, ask: AttestAsk, hold: Hold) -> WireDigest:
        """Make a statement for another node, and keep it as a blob. Blocks."""
        action = ask.action.digest
        if Digest.of(ask.described) != action or _command_of(ask.described) != Digest.of(
            ask.command
        ):
            raise ProvenanceError("what was sent is not the action that it is said to be")
        record = self._store.peek_action(action)
        if record is None or not self._is_mine(record):
            raise ProvenanceError("it has not the result any more")
        made = self._made(record, ask.described, ask.command, hold)
        return WireDigest.of(hold.put(json.dumps(made.as_dict()).encode()))


def _command_of(described: bytes) -> Digest:
    try:
        return digest_of(reapi.Action.FromString(described).command_digest)
    except DecodeError as error:
        raise ProvenanceError("what was sent is no action") from error


def _check(
    envelope: Envelope, maker: bytes, record: ActionRecord, command: bytes, hold: Hold
) -> None:
    """See that another node's statement is of the result that is here. Blocks.

    Raises:
        EnvelopeError: it is not.
    """
    stated = Statement.of(envelope)
    directory = reapi.Command.FromString(command).working_directory
    try:
        outputs = decode_result(record.result, directory, hold.get).outputs
    except MalformedResultError as error:
        raise EnvelopeError("the result that is here can't be read", cause=str(error)) from error
    here = {path for path, leaf in outputs.leaves() if isinstance(leaf, FileEntry)}
    if (
        stated.signer != maker
        or stated.action != record.action.hash
        or stated.result != Digest.of(record.result).hash
        or stated.subjects.keys() != here
    ):
        raise EnvelopeError(
            f"what the maker of {record.label} states is not of this result",
            hint="build it again: buildnet build --force",
        )


def _sha256(blob: Digest, hold: Hold) -> str:
    found = hashlib.sha256()
    for offset in range(0, blob.size_bytes, _PIECE_BYTES):
        found.update(hold.read(blob, offset, _PIECE_BYTES))
    return found.hexdigest()


def _unreachable(record: ActionRecord, name: str) -> ProvenanceError:
    return ProvenanceError(
        f"{name}, which made {record.label}, does not answer, and nobody else can state how",
        hint="start it, or build again: buildnet build --force",
    )
