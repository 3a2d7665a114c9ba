"""A client of a node's API: over the unix socket of the local node, or over TCP with ``--node``."""

from __future__ import annotations

import http.client
import io
import json
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from buildnet.cli.credential import Credential
from buildnet.cli.quick import Begun
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.home import Home, default_home

_CONNECT_TIMEOUT_S = 10.0
_ANSWER_TIMEOUT_S = 600.0
_LOOK_AFTER_S = 2.0
_ALIVE_WITHIN_S = 1.0
_SILENT_S = 30.0
_STREAM_SILENT_S = 60.0
_PART_BYTES = 1 << 16
_AGAIN_FIRST_S, _AGAIN_LONGEST_S = 0.2, 5.0
_TOO_MANY, _UNAVAILABLE = 429, 503
NDJSON, EVENT_STREAM = "application/x-ndjson", "text/event-stream"
_TIMEOUTS_S = {NDJSON: None, EVENT_STREAM: _STREAM_SILENT_S}
"""Of answers that come bit by bit: how long none may come."""
_STRANGER = "is this the address of a BuildNet node?"


class NodeUnreachableError(BuildNetError):
    """No node answers."""

    code = "NODE_UNREACHABLE"
    exit_code = 3


class AnswerError(BuildNetError):
    """A node answered with an error; ``code`` and ``exit_code`` are the node's, ``retry_after_s``:
    how long it wants to be left alone, None: it does not say."""

    def __init__(self, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(
            str(problem.get("detail") or "the node refused"),
            cause=problem.get("cause"),
            hint=problem.get("hint"),
        )
        self.code = str(problem.get("code", "FAILED"))
        self.http_status = int(problem.get("status") or 0)
        self.retry_after_s = retry_after_s
        self.exit_code = int(problem.get("exit_code", 1))
        for word in ("code", "cause", "hint"):  # so that a script's trace ends with what to do
            if problem.get(word):
                self.add_note(f"{word}: {problem[word]}")


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CONNECT_TIMEOUT_S)
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
        self._url = urlsplit(url if url and "://" in url else f"http://{url or ''}")
        if url is not None and (
            self._url.scheme not in ("http", "https") or not self._url.hostname
        ):
            raise UsageError(f"{url!r} is no URL of a node", hint="write http://HOST:PORT")

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

    def get(self, path: str, **query: object) -> Any:
        """GET ``path``; return the parsed JSON, or the text of another type."""
        return self._again(lambda: self._ask("GET", _with_query(path, query), None))

    def post(self, path: str, body: dict[str, Any] | None = None, **query: object) -> Any:
        """POST ``body``; return the parsed JSON. Who asks again does so under one idempotency key,
        so that it is done once."""
        more = {"idempotency-key": os.urandom(16).hex()} if self._retry_s else {}
        return self._again(lambda: self._ask("POST", _with_query(path, query), body, more))

    def put(self, path: str, body: dict[str, Any], **query: object) -> Any:
        """PUT ``body``; return the parsed JSON."""
        return self._ask("PUT", _with_query(path, query), body)

    def delete(self, path: str, **query: object) -> Any:
        """DELETE ``path``; return the parsed JSON."""
        return self._ask("DELETE", _with_query(path, query), None)

    def _again(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer, or it takes too long."""
        until, wait_s = time.monotonic() + self._retry_s, _AGAIN_FIRST_S
        while True:
            try:
                return ask()
            except NodeUnreachableError:
                rest_s = wait_s
                if time.monotonic() + rest_s > until:
                    raise
            except AnswerError as error:
                rest_s = error.retry_after_s or wait_s
                has_no_time = error.http_status in (_TOO_MANY, _UNAVAILABLE)
                if not has_no_time or time.monotonic() + rest_s > until:
                    raise
            time.sleep(rest_s)
            wait_s = min(2 * wait_s, _AGAIN_LONGEST_S)

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
        if "json" not in (answer.getheader("content-type") or ""):
            return content.decode(errors="replace")
        try:
            return json.loads(content)
        except ValueError as error:
            raise AnswerError(
                {"detail": "the answer can't be read", "cause": str(error), "hint": _STRANGER}
            ) from error

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
                    raise AnswerError(_problem(answer))
            yield _events(answer)

    @contextmanager
    def follow(self, path: str, **query: object) -> Iterator[Iterator[dict[str, Any]]]:
        """GET ``path`` and yield the lines of the answer, JSON objects, as they come."""
        with self._answer("GET", _with_query(path, query), None, NDJSON) as answer:
            yield _events(answer)

    @contextmanager
    def lines(
        self, path: str, headers: Mapping[str, str], **query: object
    ) -> Iterator[Iterator[str]]:
        """GET server-sent events and yield the lines of the answer as they come. A node that is
        silent for a minute counts as gone: it says every 25 s that it is there."""
        target = _with_query(path, query)
        with self._answer("GET", target, None, EVENT_STREAM, headers) as answer:
            yield _lines(answer)

    @contextmanager
    def download(self, path: str, **query: object) -> Iterator[Iterator[bytes]]:
        """GET ``path`` and yield the parts of the answer, whatever its type."""
        with self._answer("GET", _with_query(path, query), None, "*/*") as answer:
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
            connection.sock.settimeout(_TIMEOUTS_S.get(accept, _ANSWER_TIMEOUT_S))
            headers = {"accept": accept, "connection": "close", **more}
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
                if accept not in _TIMEOUTS_S:
                    self._watch(connection.sock)
                answer = connection.getresponse()
                if answer.status >= 400:
                    raise AnswerError(_problem(answer), _retry_after_s(answer))
            with answer:  # it holds the socket that the connection gave away
                yield answer
        finally:
            connection.close()

    def _watch(self, waiting: socket.socket) -> None:
        """Wait until an answer begins, for as long as the node lives: what was asked for may take
        its time, but a node that is not even healthy within seconds is stopped or overloaded.

        Raises:
            NodeUnreachableError: it was silent for :data:`_SILENT_S`.
        """
        heard, told = time.monotonic(), False
        while not select.select([waiting], [], [], _LOOK_AFTER_S)[0]:
            if self._is_alive():
                heard = time.monotonic()
                continue
            silent_s = time.monotonic() - heard
            if silent_s >= _SILENT_S:
                raise NodeUnreachableError(
                    f"the node has not answered for {silent_s:.0f} s",
                    hint="its process may be stopped or overloaded: look at it, and at node.log in "
                    "its data directory",
                )
            if not told:
                told = True
                self._tell(
                    f"the node has not answered for {silent_s:.0f} s; waiting up to "
                    f"{_SILENT_S:.0f} s",
                )

    def _is_alive(self) -> bool:
        connection = self._connection()
        connection.timeout = _ALIVE_WITHIN_S
        try:
            connection.request("GET", "/health", headers={"connection": "close"})
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def _connection(self) -> http.client.HTTPConnection:
        if self._socket_path is not None:
            return _SocketConnection(str(self._socket_path))
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_CONNECT_TIMEOUT_S)
        return http.client.HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT_S)

    def _unreachable(self, error: OSError) -> NodeUnreachableError:
        if self._socket_path is not None:
            hint = "start one with: buildnet node start --detach"
            if self._credential is not None:
                hint = "a key is for nodes that are asked over the network: say which one, by "
                hint += "--node URL or BUILDNET_NODE"
            return NodeUnreachableError(
                "no node runs here",
                cause=f"{self._socket_path}: {error.strerror or error}",
                hint=hint,
            )
        hint = "check the address, and that the node runs: buildnet node status (on its host)"
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = "name the file of the authority that signed its certificate: SSL_CERT_FILE"
        elif isinstance(error, ssl.SSLError):
            hint = "a node without a certificate is asked with http:// in the address"
        return NodeUnreachableError(
            f"no node answers at {self._url.geturl()}", cause=str(error), hint=hint
        )


@contextmanager
def _stopped_answering() -> Iterator[None]:
    """Say trouble with the connection in our words. To be kept around nothing but its use: what
    the caller does with an answer may fail with an OSError of its own."""
    try:
        yield
    except (http.client.HTTPException, OSError) as error:
        raise NodeUnreachableError(
            "the node stopped answering",
            cause=str(error) or type(error).__name__,
            hint="buildnet node status tells whether it still runs",
        ) from error


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


def _with_query(path: str, query: Mapping[str, object]) -> str:
    """Return ``path`` with what of ``query`` is given; a list stands for several of one name."""
    given = [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in query.items()
        if value is not None
        for one in (value if isinstance(value, list) else [value])
    ]
    return f"{path}?{urlencode(given)}" if given else path


def _problem(answer: http.client.HTTPResponse) -> dict[str, Any]:
    content = answer.read(1 << 20)
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {
        "detail": f"the answer was HTTP {answer.status} {answer.reason}",
        "hint": _STRANGER,
    }


def _retry_after_s(answer: http.client.HTTPResponse) -> float | None:
    """Return what a ``Retry-After`` says in seconds; as a date it is not understood."""
    said = answer.getheader("retry-after") or ""
    return float(said) if said.isdigit() else None


def path_part(text: str) -> str:
    """Return ``text`` as one part of a URL's path.

    Raises:
        UsageError: it is empty, so the path would be another one.
    """
    if not text:
        raise UsageError("an id is empty", hint="give it, or the beginning of it")
    return quote(text, safe="")
