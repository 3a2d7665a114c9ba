"""A client of a node's API: over the unix socket of the local node, or over TCP with ``--node``."""

from __future__ import annotations

import http.client
import io
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
from buildnet.cli.quick import Begun
from buildnet.cli.settings import Settings
from buildnet.cli.user import USER_HEADER, user_header
from buildnet.node.home import Home, default_home

_PART_BYTES = 1 << 16


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


class _Answered(io.RawIOBase):
    """What a connection has answered already, and goes on to answer."""

    def __init__(self, connection: socket.socket, answered: bytes) -> None:
        self._connection = connection
        self._answered = answered

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return it as ``http.client`` wants a socket's stream."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what was answered, first what came already."""
        if not self._answered:
            return self._connection.recv_into(buffer)
        count = min(len(buffer), len(self._answered))
        buffer[:count] = self._answered[:count]
        self._answered = self._answered[count:]
        return count


class Client:
    """Asks one node; a connection a request. ``retry_s``: so long what only looks (GET) or begins
    something (POST) is asked again where the node does not answer or has no time; ``tell``: told
    what people want to know while they wait."""

    def __init__(
        self,
        *,
        socket_path: Path | None = None,
        url: str | None = None,
        credential: Credential | None = None,
        retry_s: float = 0.0,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._socket_path = socket_path
        self._credential = credential
        self._retry_s = retry_s
        self._tell = tell
        self._url = address_of(url)

    @classmethod
    def of(cls, settings: Settings, home: Path | None = None) -> Client:
        """Return the client of the node that the options, or else the data directory, name."""
        from buildnet.cli.output import note

        def tell(text: str) -> None:
            note(settings, text)

        credential = None if settings.key is None else Credential.read(settings.key)
        if settings.node is not None:
            return cls(url=settings.node, credential=credential, tell=tell)
        path = Home(home or default_home()).socket_path()
        return cls(socket_path=path, credential=credential, tell=tell)

    @property
    def is_local(self) -> bool:
        """Whether nothing that is sent leaves the host: it goes through the node's own socket."""
        return self._socket_path is not None

    def do(self, call: Call[T]) -> T:
        """Ask what a call says; return what it is to give."""
        body = None if call.body is None else dict(call.body)
        match call.method:
            case "GET":
                found = self.get(call.path, **call.query)
            case "POST":
                found = self.post(call.path, body, **call.query)
            case "PUT":
                found = self.put(call.path, body or {}, **call.query)
            case "DELETE":
                found = self.delete(call.path, **call.query)
        return call.read(found)

    def get(self, path: str, **query: object) -> Any:
        """GET ``path``; return the parsed JSON, or the text of another type."""
        return self._again(lambda: self._ask("GET", with_query(path, query), None))

    def post(self, path: str, body: dict[str, Any] | None = None, **query: object) -> Any:
        """POST ``body``; return the parsed JSON. Who asks again does so under one idempotency key,
        so that it is done once."""
        more = {"idempotency-key": os.urandom(16).hex()} if self._retry_s else {}
        return self._again(lambda: self._ask("POST", with_query(path, query), body, more))

    def put(self, path: str, body: dict[str, Any], **query: object) -> Any:
        """PUT ``body``; return the parsed JSON."""
        return self._ask("PUT", with_query(path, query), body)

    def delete(self, path: str, **query: object) -> Any:
        """DELETE ``path``; return the parsed JSON."""
        return self._ask("DELETE", with_query(path, query), None)

    def _again(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer, or it takes too long."""
        again = Again(self._retry_s, time.monotonic())
        while True:
            try:
                return ask()
            except (NodeUnreachableError, AnswerError) as error:
                rest_s = again.rest_s(error, time.monotonic())
                if rest_s is None:
                    raise
            time.sleep(rest_s)

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        asked = self._answer(method, path, body, "application/json", more)
        with asked as answer, _stopped_answering():
            content = answer.read()
        return read_content(content, answer.getheader("content-type") or "")

    @contextmanager
    def stream(self, path: str, body: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """POST ``body`` and yield the events of the answer, one JSON object a line."""
        with self._answer("POST", path, body, NDJSON) as answer:
            yield _events(answer)

    @contextmanager
    def resumed(self, begun: Begun) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield the events of the answer to a request that was sent already."""
        with socket.socket(fileno=begun.descriptor) as connection:
            answer = http.client.HTTPResponse(_Answered(connection, begun.answered))  # type: ignore[arg-type]
            with _stopped_answering():
                answer.begin()
                if answer.status >= 400:
                    raise _refusal(answer)
            yield _events(answer)

    @contextmanager
    def follow(self, path: str, **query: object) -> Iterator[Iterator[dict[str, Any]]]:
        """GET ``path`` and yield the lines of the answer, JSON objects, as they come."""
        with self._answer("GET", with_query(path, query), None, NDJSON) as answer:
            yield _events(answer)

    @contextmanager
    def lines(
        self, path: str, headers: Mapping[str, str], **query: object
    ) -> Iterator[Iterator[str]]:
        """GET server-sent events and yield the lines of the answer as they come. A node that is
        silent for a minute counts as gone: it says every 25 s that it is there."""
        target = with_query(path, query)
        with self._answer("GET", target, None, EVENT_STREAM, headers) as answer:
            yield _lines(answer)

    @contextmanager
    def download(self, path: str, **query: object) -> Iterator[Iterator[bytes]]:
        """GET ``path`` and yield the parts of the answer, whatever its type."""
        with self._answer("GET", with_query(path, query), None, "*/*") as answer:
            yield _parts(answer)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        accept: str,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            try:
                connection.connect()
            except OSError as error:
                raise self._unreachable(error) from error
            assert connection.sock is not None
            connection.sock.settimeout(STREAM_TIMEOUTS_S.get(accept, ANSWER_TIMEOUT_S))
            headers = {"accept": accept, **self._always(), **more}
            content = None
            if body is not None:
                content = json.dumps(body)
                headers["content-type"] = "application/json"
            if self._credential is not None:
                headers |= self._credential.headers(method, path, (content or "").encode())
            with _stopped_answering():
                # It may have answered, and hung up, before it had read all.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, content, headers)
                if accept not in STREAM_TIMEOUTS_S:
                    self._watch(connection.sock)
                answer = connection.getresponse()
                if answer.status >= 400:
                    raise _refusal(answer)
            with answer:  # it holds the socket that the connection gave away
                yield answer
        finally:
            connection.close()

    def _watch(self, waiting: socket.socket) -> None:
        """Wait until an answer begins, for as long as the node lives: what was asked for may take
        its time, but a node that is not even healthy within seconds is stopped or overloaded.

        Raises:
            NodeUnreachableError: it was silent for :data:`SILENT_S`.
        """
        heard, told = time.monotonic(), False
        while not select.select([waiting], [], [], LOOK_AFTER_S)[0]:
            if self._is_alive():
                heard = time.monotonic()
                continue
            silent_s = time.monotonic() - heard
            if silent_s >= SILENT_S:
                raise silent(silent_s)
            if not told:
                told = True
                self._tell(
                    f"the node has not answered for {silent_s:.0f} s; waiting up to "
                    f"{SILENT_S:.0f} s",
                )

    def _is_alive(self) -> bool:
        connection = self._connection()
        connection.timeout = ALIVE_WITHIN_S
        try:
            connection.request("GET", "/health", headers=self._always())
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def _always(self) -> dict[str, str]:
        """Return the headers of every request."""
        said = {} if self._socket_path is None else {USER_HEADER: user_header()}
        return {"connection": "close", **said}

    def _connection(self) -> http.client.HTTPConnection:
        if self._socket_path is not None:
            return _SocketConnection(str(self._socket_path))
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT_S)
        return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)

    def _unreachable(self, error: OSError) -> NodeUnreachableError:
        has_key = self._credential is not None
        return no_node(error, self._socket_path, self._url, has_key=has_key)


@contextmanager
def _stopped_answering() -> Iterator[None]:
    """Say trouble with the connection in our words. To be kept around nothing but its use: what
    the caller does with an answer may fail with an OSError of its own."""
    try:
        yield
    except (http.client.HTTPException, OSError) as error:
        raise stopped_answering(error) from error


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    while True:
        with _stopped_answering():
            line = answer.readline()
        if not line.endswith(b"\n"):
            return  # the end, or a node that ended in the middle of a line
        yield json.loads(line)


def _lines(answer: http.client.HTTPResponse) -> Iterator[str]:
    while True:
        with _stopped_answering():
            line = answer.readline()
        if not line.endswith(b"\n"):
            return
        yield line.decode(errors="replace").rstrip("\n")


def _parts(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _stopped_answering():
            part = answer.read(_PART_BYTES)
        if not part:
            return
        yield part


def _refusal(answer: http.client.HTTPResponse) -> AnswerError:
    content = answer.read(MAX_PROBLEM_BYTES)
    retry_after = answer.getheader("retry-after") or ""
    return refusal_of(answer.status, answer.reason, content, retry_after)
