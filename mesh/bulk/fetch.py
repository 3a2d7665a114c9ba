"""Getting a blob from whoever has it: go on after a cut connection, go elsewhere after a lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager

from buildnet.mesh.bulk.protocol import BlobSink, FetchRefusedError, WrongBytesError
from buildnet.mesh.bulk.serving import STALL_S
from buildnet.mesh.bulk.stream import open_stream
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Note
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.messages.bulk import MISSING

WRONG_BYTES = "wrong blob bytes"

OpenLink = Callable[[bytes], AbstractAsyncContextManager[tuple[Connection, FrameCipher]]]
"""Opens a bulk connection to a member, handshake included
(:meth:`~buildnet.mesh.service.service.MeshService.bulk`)."""


class BlobUnavailableError(BuildNetError):
    """No holder sent the blob; ``cause`` has what each of them did. ``missing``: all that were
    asked answered that they lack it."""

    code = "BLOB_UNAVAILABLE"
    http_status = 502

    def __init__(self, message: str, *, cause: str, hint: str, missing: bool) -> None:
        super().__init__(message, cause=cause, hint=hint)
        if missing:
            self.exit_code, self.http_status = 6, 404


class BulkFetcher:
    """Fetches blobs over new connections. ``note`` is told of holders that sent wrong bytes."""

    def __init__(
        self,
        open_link: OpenLink,
        workers: Executor,
        *,
        note: Callable[[Note], None],
        stall_s: float = STALL_S,
    ) -> None:
        self._open_link = open_link
        self._workers = workers
        self._note = note
        self._stall_s = stall_s

    async def fetch(self, sink: BlobSink, holders: Iterable[bytes]) -> bytes:
        """Fetch ``sink.digest`` from the first of ``holders`` (keys) that sends it; return which.

        What one has sent is kept and asked for no second time, of it or of the next one.

        Raises:
            BlobUnavailableError: none of them did.
            OSError: the sink can't be written.
        """
        failures: list[str] = []
        missing = True
        for holder in holders:
            try:
                await self._from(sink, holder)
            except (BuildNetError, TimeoutError) as error:
                failures.append(f"{node_id_of(holder)}: {error}")
                missing &= isinstance(error, FetchRefusedError) and error.refusal == MISSING
            else:
                return holder
        raise BlobUnavailableError(
            f"the blob {sink.digest} can't be had",
            cause="; ".join(failures) or "nobody is known to have it",
            hint="ask another node: buildnet cache show there tells whether it has the blob"
            if missing
            else "buildnet pool nodes shows who can be reached",
            missing=missing,
        )

    async def _from(self, sink: BlobSink, holder: bytes) -> None:
        """Fetch what is missing of ``sink.digest`` from one holder, over as many connections as it
        takes while each brings some bytes.

        If the whole turns out wrong and others had a share in it, this one is asked again from the
        beginning.

        Raises:
            BuildNetError: it did not send it: what ended the last connection.
            OSError: the sink can't be written.
        """
        while True:
            before = sink.offset
            try:
                await self._once(sink, holder)
            except WrongBytesError:
                if before == 0:
                    self._note(Note(WRONG_BYTES, holder, str(sink.digest)))
                    raise
            except (BuildNetError, TimeoutError):
                if sink.offset == before:
                    raise
            else:
                return

    async def _once(self, sink: BlobSink, holder: bytes) -> None:
        async with (
            self._open_link(holder) as (connection, cipher),
            open_stream(connection, cipher, self._workers, stall_s=self._stall_s) as stream,
        ):
            await stream.fetch(sink)
