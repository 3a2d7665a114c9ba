"""Asking a node: what goes over the wire, and every way an answer can go wrong."""

from __future__ import annotations

import json
import socket
import ssl
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.node.certificates import make_certificate

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError
from buildnet.cli.credential import Credential
from buildnet.cli.testing import FakeNode, http_answer
from buildnet.mesh.errors import UsageError

NDJSON = "application/x-ndjson"


@contextmanager
def answering(directory: Path, answer: bytes) -> Iterator[tuple[Client, FakeNode]]:
    """A node on a unix socket that gives one answer, and its client."""
    path = directory / "node.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    with FakeNode(listener, answer) as node:
        yield Client(socket_path=path), node


def test_json_is_parsed_and_text_is_passed_on(tmp_path: Path) -> None:
    with answering(tmp_path, http_answer('{"a": [1]}')) as (client, node):
        assert client.get("/api/builds", limit=2, status=None) == {"a": [1]}
    assert node.request.startswith(b"GET /api/builds?limit=2 HTTP/1.1\r\n")
    (tmp_path / "node.sock").unlink()
    with answering(tmp_path, http_answer("said\n", type="text/plain")) as (client, _):
        assert client.get("/log") == "said\n"


def test_the_node_of_this_host_is_told_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    with answering(tmp_path, http_answer("{}")) as (client, node):
        client.get("/api/x")
    assert b"\r\nbuildnet-user: ann\r\n" in node.request


def test_a_body_is_sent_as_json(tmp_path: Path) -> None:
    with answering(tmp_path, http_answer("{}")) as (client, node):
        client.post("/api/x", {"é": 1})
    assert node.body == {"é": 1}
    assert b"content-type: application/json" in node.request.lower()


def test_a_problem_becomes_the_nodes_error(tmp_path: Path) -> None:
    problem = {
        "detail": "no such",
        "code": "NOT_FOUND",
        "exit_code": 6,
        "hint": "look",
        "cause": "c",
    }
    answer = http_answer(
        json.dumps(problem), status="404 Not Found", type="application/problem+json"
    )
    with answering(tmp_path, answer) as (client, _), pytest.raises(AnswerError) as error:
        client.get("/api/x")
    assert (error.value.code, error.value.exit_code) == ("NOT_FOUND", 6)
    assert traceback.format_exception(error.value)[-3:] == [
        "code: NOT_FOUND\n",
        "cause: c\n",
        "hint: look\n",
    ]
    assert (error.value.message, error.value.cause, error.value.hint) == ("no such", "c", "look")


@pytest.mark.parametrize(
    "answer",
    [http_answer("<html>", status="502 Bad Gateway", type="text/html"), http_answer("{oops")],
)
def test_another_program_at_the_address_is_told(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer) as (client, _), pytest.raises(AnswerError) as error:
        client.get("/api/x")
    assert error.value.exit_code == 1
    assert "BuildNet node" in (error.value.hint or "")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP at all\r\n\r\n",
        http_answer('{"cut": "here"}')[:-4],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_node_that_stops_answering_is_told(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer) as (client, _), pytest.raises(NodeUnreachableError) as error:
        client.get("/api/x")
    assert error.value.message == "the node stopped answering"
    assert error.value.cause


def test_no_node_is_told_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match="no node runs here") as error:
        Client(socket_path=tmp_path / "node.sock").get("/health")
    assert str(tmp_path) in (error.value.cause or "")
    assert "node start" in (error.value.hint or "")
    with pytest.raises(NodeUnreachableError, match="no node runs here") as error:
        Client(socket_path=tmp_path / "node.sock", credential=Credential("key")).get("/health")
    assert "--node URL" in (error.value.hint or "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(NodeUnreachableError, match=address):
        Client(url=address).get("/health")


def test_what_is_wrong_with_an_encrypted_address_is_told(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files.certificate, files.key)

    def hint(context: ssl.SSLContext | None) -> str:
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as other:

            def serve() -> None:
                with listener.accept()[0] as plain, suppress(OSError):
                    if context is None:
                        plain.recv(1)
                        plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    else:
                        context.wrap_socket(plain, server_side=True).close()

            answered = other.submit(serve)
            with pytest.raises(NodeUnreachableError) as error:
                Client(url=f"https://127.0.0.1:{listener.getsockname()[1]}").get("/health")
            answered.result()
        return error.value.hint or ""

    assert "SSL_CERT_FILE" in hint(serving)
    assert "http://" in hint(None)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Client(url=url)


def test_only_the_socket_is_local(tmp_path: Path) -> None:
    assert Client(socket_path=tmp_path / "node.sock").is_local
    assert not Client(url="http://127.0.0.1:8080").is_local


def test_events_come_one_a_line_until_the_node_ends(tmp_path: Path) -> None:
    whole = http_answer('{"n": 1}\n{"n": 2}\n{"n": 3', type=NDJSON)
    with answering(tmp_path, whole) as (client, _), client.stream("/b", {}) as events:
        assert list(events) == [{"n": 1}, {"n": 2}]


def test_a_stream_that_breaks_is_told(tmp_path: Path) -> None:
    broken = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n"
        '9\r\n{"n": 1}\n\r\n9\r\n{"n":'
    )
    with answering(tmp_path, broken.encode()) as (client, _), client.stream("/b", {}) as events:
        assert next(events) == {"n": 1}
        with pytest.raises(NodeUnreachableError, match="stopped answering"):
            next(events)


@pytest.mark.parametrize("trouble", [BrokenPipeError(), OSError("no room on the terminal")])
def test_trouble_of_who_reads_the_events_is_not_the_nodes(tmp_path: Path, trouble: OSError) -> None:
    def read_one() -> None:
        with client.stream("/b", {}) as events:
            assert next(events) == {"n": 1}
            raise trouble

    answer = http_answer('{"n": 1}\n', type=NDJSON)
    with answering(tmp_path, answer) as (client, _), pytest.raises(OSError) as error:  # noqa: PT011
        read_one()
    assert error.value is trouble


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_AFTER_S", 0.1), ("ALIVE_WITHIN_S", 0.1), ("SILENT_S", 0.5)):
        monkeypatch.setattr(f"buildnet.cli.client.connection.{name}", seconds)


@pytest.mark.usefixtures("impatient")
def test_a_node_that_is_stopped_is_told_and_given_up(tmp_path: Path) -> None:
    path, told = tmp_path / "node.sock", list[str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(NodeUnreachableError, match="has not answered for") as error:
            Client(socket_path=path, tell=told.append).get("/api/node")
    assert error.value.exit_code == 3
    assert [text.count("the node has not answered for") for text in told] == [1]


@pytest.mark.usefixtures("impatient")
def test_what_takes_its_time_is_waited_for_as_long_as_the_node_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.sock"
    healthy = 0

    def serve(listener: socket.socket) -> None:
        nonlocal healthy
        asked, _ = listener.accept()
        with asked:
            while healthy < 8:  # longer than a silent node is waited for
                probe, _ = listener.accept()
                with probe:
                    probe.recv(1000)
                    probe.sendall(http_answer("{}"))
                    healthy += 1
            asked.recv(1000)
            asked.sendall(http_answer('{"done": true}'))

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with ThreadPoolExecutor(1) as thread:
            served = thread.submit(serve, listener)
            assert Client(socket_path=path).post("/api/cache/verify") == {"done": True}
            served.result()
    assert capsys.readouterr().err == ""


def test_an_answer_before_the_body_was_read_counts(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    problem = http_answer('{"detail": "no such path", "code": "NOT_FOUND"}', status="404 Not Found")

    def serve(listener: socket.socket) -> None:
        asked, _ = listener.accept()
        with asked:
            asked.sendall(problem)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with ThreadPoolExecutor(1) as thread:
            thread.submit(serve, listener)
            with pytest.raises(AnswerError, match="no such path"):
                Client(socket_path=path).post("/api/new", {"much": "x" * 10_000_000})
