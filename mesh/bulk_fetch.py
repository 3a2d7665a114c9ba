"""Getting a blob from whoever has it: go on after a cut connection, go elsewhere after a lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager

from buildnet.mesh.bulk import BlobSink, WrongBytesError
from buildnet.mesh.bulk_serving import STALL_S
from buildnet.mesh.bulk_stream import open_stream
from buildnet.mesh.connection import Connection
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Note
from buildnet.mesh.frames import FrameCipher
from buildnet.mesh.identity import node_id_of

WRONG_BYTES = "wrong blob bytes"

OpenLink = Callable[[bytes], AbstractAsyncContextManager[tuple[Connection, FrameCipher]]]
"""Opens a bulk connection to a member, handshake included
(:meth:`~buildnet.mesh.service.MeshService.bulk`)."""


class BlobUnavailableError(BuildNetError):
    """No holder sent the blob; ``cause`` has what each of them did."""

    code = "BLOB_UNAVAILABLE"
    http_status = 502


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

        What one has sent is kept when its connection ends, and asked for no second time, of it or
        of the next one. If the whole turns out wrong and several had a share in it, the last one is
        asked again from the beginning.

        Raises:
            BlobUnavailableError: none of them did.
            OSError: the sink can't be written.
        """
        failures: list[str] = []
        for holder in holders:
            while True:
                before = sink.offset
                try:
                    await self._once(sink, holder)
                except WrongBytesError as error:
                    alone = before == 0
                    if alone:
                        self._note(Note(WRONG_BYTES, holder, str(sink.digest)))
                    failure, again = error.message, not alone
                except (BuildNetError, TimeoutError) as error:
                    failure, again = str(error), sink.offset > before
                else:
                    return holder
                if not again:
                    failures.append(f"{node_id_of(holder)}: {failure}")
                    break
        raise BlobUnavailableError(
            f"the blob {sink.digest} can't be had",
            cause="; ".join(failures) or "nobody is known to have it",
            hint="buildnet pool nodes shows who can be reached",
        )

    async def _once(self, sink: BlobSink, holder: bytes) -> None:
        async with (
            self._open_link(holder) as (connection, cipher),
            open_stream(connection, cipher, self._workers, stall_s=self._stall_s) as stream,
        ):
            await stream.fetch(sink)
