"""A client of a node's API for asyncio: what :mod:`~buildnet.cli.client.connection` is for programs
that wait. Requests and answers are put together and read by h11."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h11

from buildnet.cli.client.asking import (
    ALIVE_WITHIN_S,
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    EVENT_STREAM,
    LOOK_AFTER_S,
    MAX_PROBLEM_BYTES,
    NDJSON,
    SILENT_S,
    STREAM_TIMEOUTS_S,
    Again,
    AnswerError,
    NodeUnreachableError,
    address_of,
    no_node,
    read_content,
    refusal_of,
    silent,
    stopped_answering,
    with_query,
)
from buildnet.cli.client.calls import Call, T
from buildnet.cli.credential import Credential
from buildnet.cli.user import USER_HEADER, user_header

_READ_BYTES = 1 << 16
_CLOSE_S = 1.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class _Answer:
    """An answer whose body is still to come. ``timeout_s``: so long none of it may come."""

    reader: asyncio.StreamReader
    protocol: h11.Connection
    timeout_s: float | None
    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def begin(self) -> None:
        """Read the status and the headers."""
        while isinstance(found := await self._event(), h11.InformationalResponse):
            pass
        if not isinstance(found, h11.Response):
            raise ConnectionError("the connection was closed")
        self.status, self.reason = found.status_code, found.reason.decode("latin-1")
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in found.headers
        }

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        while True:
            with _told():
                found = await self._event()
            if not isinstance(found, h11.Data):
                return
            yield bytes(found.data)

    async def whole(self, most: int | None = None) -> bytes:
        """Return the body; no more than ``most`` bytes, if that is given."""
        found = b""
        async for part in self.parts():
            found += part
            if most is not None and len(found) >= most:
                return found[:most]
        return found

    async def lines(self) -> AsyncIterator[str]:
        """Yield whole lines; one that the node did not end is none."""
        rest = b""
        async for part in self.parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")

    async def _event(self) -> object:
        while (found := self.protocol.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(self.timeout_s):
                self.protocol.receive_data(await self.reader.read(_READ_BYTES))
        return found


class AsyncClient:
    """Asks one node; a connection a request. ``retry_s``: so long what only looks (GET) or begins
    something (POST) is asked again where the node does not answer or has no time."""

    def __init__(
        self,
        *,
        socket_path: Path | None = None,
        url: str | None = None,
        credential: Credential | None = None,
        retry_s: float = 0.0,
    ) -> None:
        self._socket_path = socket_path
        self._credential = credential
        self._retry_s = retry_s
        self._url = address_of(url)

    async def do(self, call: Call[T]) -> T:
        """Ask what a call says; return what it is to give."""
        target = with_query(call.path, call.query)
        more = {}
        if call.method == "POST" and self._retry_s:  # so that it is done once
            more = {"idempotency-key": os.urandom(16).hex()}
        retry_s = self._retry_s if call.is_repeatable else 0.0
        again = Again(retry_s, time.monotonic())
        while True:
            try:
                return call.read(await self._ask(call.method, target, call.body, more))
            except (NodeUnreachableError, AnswerError) as error:
                rest_s = again.rest_s(error, time.monotonic()) if call.is_repeatable else None
                if rest_s is None:
                    raise
            await asyncio.sleep(rest_s)

    async def get(self, path: str, **query: object) -> Any:
        """GET ``path``; return the parsed JSON, or the text of another type."""
        call: Call[Any] = Call("GET", path, query=query)
        return await self.do(call)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **query: object) -> Any:
        """POST ``body``; return the parsed JSON. Who asks again does so under one idempotency
        key."""
        call: Call[Any] = Call("POST", path, body, query)
        return await self.do(call)

    async def put(self, path: str, body: Mapping[str, Any], **query: object) -> Any:
        """PUT ``body``; return the parsed JSON."""
        call: Call[Any] = Call("PUT", path, body, query)
        return await self.do(call)

    async def delete(self, path: str, **query: object) -> Any:
        """DELETE ``path``; return the parsed JSON."""
        call: Call[Any] = Call("DELETE", path, query=query)
        return await self.do(call)

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Any]]:
        """POST ``body`` and yield the lines of the answer, JSON objects, as they come."""
        async with self._answer("POST", path, body, NDJSON) as answer:
            yield (json.loads(line) async for line in answer.lines())

    @asynccontextmanager
    async def follow(self, path: str, **query: object) -> AsyncIterator[AsyncIterator[Any]]:
        """GET ``path`` and yield the lines of the answer, JSON objects, as they come."""
        async with self._answer("GET", with_query(path, query), None, NDJSON) as answer:
            yield (json.loads(line) async for line in answer.lines())

    @asynccontextmanager
    async def lines(
        self, path: str, headers: Mapping[str, str], **query: object
    ) -> AsyncIterator[AsyncIterator[str]]:
        """GET server-sent events and yield the lines of the answer as they come."""
        target = with_query(path, query)
        async with self._answer("GET", target, None, EVENT_STREAM, headers) as answer:
            yield answer.lines()

    async def _ask(
        self, method: str, target: str, body: Mapping[str, Any] | None, more: Mapping[str, str]
    ) -> Any:
        async with self._answer(method, target, body, "application/json", more) as answer:
            content = await answer.whole()
        return read_content(content, answer.headers.get("content-type", ""))

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | None,
        accept: str,
        more: Mapping[str, str] = _NOTHING,
    ) -> AsyncIterator[_Answer]:
        content = b"" if body is None else json.dumps(dict(body)).encode()
        headers = {"accept": accept, **more}
        if body is not None:
            headers |= {"content-type": "application/json", "content-length": str(len(content))}
        if self._credential is not None:
            headers |= self._credential.headers(method, target, content)
        async with self._connection() as (reader, writer):
            answer = _Answer(
                reader, h11.Connection(h11.CLIENT), STREAM_TIMEOUTS_S.get(accept, ANSWER_TIMEOUT_S)
            )
            with _told():
                # It may have answered, and hung up, before it had read all.
                with suppress(BrokenPipeError, ConnectionResetError):
                    writer.write(self._request(answer.protocol, method, target, headers, content))
                    await writer.drain()
                if accept in STREAM_TIMEOUTS_S:
                    await answer.begin()
                else:
                    await self._patiently(answer)
            if answer.status >= 400:
                content = await answer.whole(MAX_PROBLEM_BYTES)
                retry_after = answer.headers.get("retry-after", "")
                raise refusal_of(answer.status, answer.reason, content, retry_after)
            yield answer

    def _request(
        self,
        protocol: h11.Connection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        content: bytes,
    ) -> bytes:
        if self._socket_path is None:
            always = {"host": self._url.netloc.rpartition("@")[2]}
        else:
            always = {"host": "localhost", USER_HEADER: user_header()}
        whole = {**always, "connection": "close", **headers}
        events = [h11.Request(method=method, target=target, headers=list(whole.items()))]
        sent = [protocol.send(event) for event in events]
        if content:
            sent.append(protocol.send(h11.Data(content)))
        return b"".join(part or b"" for part in (*sent, protocol.send(h11.EndOfMessage())))

    async def _patiently(self, answer: _Answer) -> None:
        """Wait until an answer begins, for as long as the node lives: what was asked for may take
        its time, but a node that is not even healthy within seconds is stopped or overloaded."""
        heard = time.monotonic()
        async with asyncio.TaskGroup() as group:
            beginning = group.create_task(_outcome(answer))
            while not (await asyncio.wait({beginning}, timeout=LOOK_AFTER_S))[0]:
                if await self._is_alive():
                    heard = time.monotonic()
                elif time.monotonic() - heard >= SILENT_S:
                    beginning.cancel()
                    break
        if beginning.cancelled():
            raise silent(time.monotonic() - heard)
        if (trouble := beginning.result()) is not None:
            raise trouble

    async def _is_alive(self) -> bool:
        try:
            async with asyncio.timeout(ALIVE_WITHIN_S), self._connection() as (reader, writer):
                protocol = h11.Connection(h11.CLIENT)
                writer.write(self._request(protocol, "GET", "/health", {}, b""))
                await _Answer(reader, protocol, None).begin()
        except (OSError, TimeoutError, NodeUnreachableError, h11.ProtocolError):
            return False
        return True

    @asynccontextmanager
    async def _connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await self._connected()
        except OSError as error:  # TimeoutError is one
            has_key = self._credential is not None
            raise no_node(error, self._socket_path, self._url, has_key=has_key) from error
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await writer.wait_closed()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._socket_path is not None:
            return await asyncio.open_unix_connection(str(self._socket_path))
        is_encrypted = self._url.scheme == "https"
        context = ssl.create_default_context() if is_encrypted else None
        port = self._url.port or (443 if is_encrypted else 80)
        return await asyncio.open_connection(self._url.hostname, port, ssl=context)


async def _outcome(answer: _Answer) -> Exception | None:
    """Let an answer begin; return what is wrong."""
    try:
        await answer.begin()
    except (OSError, h11.ProtocolError) as error:
        return error
    return None


@contextmanager
def _told() -> Iterator[None]:
    """Say trouble with the connection in our words."""
    try:
        yield
    except (h11.ProtocolError, OSError) as error:
        raise stopped_answering(error) from error
