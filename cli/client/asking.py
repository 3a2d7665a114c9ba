"""Asking a node, without the asking: what is sent, what answers mean, when to ask again. Both
clients, the one that blocks and the one for asyncio, go by it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from buildnet.mesh.errors import BuildNetError, UsageError

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 600.0
LOOK_AFTER_S = 2.0
ALIVE_WITHIN_S = 1.0
SILENT_S = 30.0
STREAM_SILENT_S = 60.0
AGAIN_FIRST_S, AGAIN_LONGEST_S = 0.2, 5.0
NDJSON, EVENT_STREAM = "application/x-ndjson", "text/event-stream"
STREAM_TIMEOUTS_S = {NDJSON: None, EVENT_STREAM: STREAM_SILENT_S}
"""Of answers that come bit by bit: how long none may come."""
MAX_PROBLEM_BYTES = 1 << 20
_TOO_MANY, _UNAVAILABLE = 429, 503
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

    @property
    def has_no_time(self) -> bool:
        """Whether the node may answer the same later."""
        return self.http_status in (_TOO_MANY, _UNAVAILABLE)


class Again:
    """Whether, and how soon, what failed is asked again; times are monotonic seconds. ``retry_s``:
    for so long."""

    def __init__(self, retry_s: float, now: float) -> None:
        self._until = now + retry_s
        self._wait_s = AGAIN_FIRST_S

    def rest_s(self, error: NodeUnreachableError | AnswerError, now: float) -> float | None:
        """Return how long to wait before asking again; None: it stays with that error."""
        rest_s = self._wait_s
        if isinstance(error, AnswerError):
            if not error.has_no_time:
                return None
            rest_s = error.retry_after_s or rest_s
        if now + rest_s > self._until:
            return None
        self._wait_s = min(2 * self._wait_s, AGAIN_LONGEST_S)
        return rest_s


def address_of(url: str | None) -> SplitResult:
    """Return the parts of a node's URL; without ``http://`` it is meant.

    Raises:
        UsageError: it is none.
    """
    parts = urlsplit(url if url and "://" in url else f"http://{url or ''}")
    if url is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise UsageError(f"{url!r} is no URL of a node", hint="write http://HOST:PORT")
    return parts


def with_query(path: str, query: Mapping[str, object]) -> str:
    """Return ``path`` with what of ``query`` is given; a list stands for several of one name."""
    given = [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in query.items()
        if value is not None
        for one in (value if isinstance(value, list) else [value])
    ]
    return f"{path}?{urlencode(given)}" if given else path


def path_part(text: str) -> str:
    """Return ``text`` as one part of a URL's path.

    Raises:
        UsageError: it is empty, so the path would be another one.
    """
    if not text:
        raise UsageError("an id is empty", hint="give it, or the beginning of it")
    return quote(text, safe="")


def read_content(content: bytes, kind: str) -> Any:
    """Return the body of an answer: JSON, or the text of another type.

    Raises:
        AnswerError: it says that it is JSON, and is none.
    """
    if "json" not in kind:
        return content.decode(errors="replace")
    try:
        return json.loads(content)
    except ValueError as error:
        raise AnswerError(
            {"detail": "the answer can't be read", "cause": str(error), "hint": _STRANGER}
        ) from error


def refusal_of(status: int, reason: str, content: bytes, retry_after: str) -> AnswerError:
    """Return the error that an answer tells; ``retry_after``: that header. As a date it is not
    understood."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": f"the answer was HTTP {status} {reason}", "hint": _STRANGER}
    return AnswerError(problem, float(retry_after) if retry_after.isdigit() else None)


def stopped_answering(error: Exception) -> NodeUnreachableError:
    """Return trouble with a connection in our words."""
    return NodeUnreachableError(
        "the node stopped answering",
        cause=str(error) or type(error).__name__,
        hint="buildnet node status tells whether it still runs",
    )


def silent(silent_s: float) -> NodeUnreachableError:
    """Return the error of a node that takes connections, and says nothing."""
    return NodeUnreachableError(
        f"the node has not answered for {silent_s:.0f} s",
        hint="its process may be stopped or overloaded: look at it, and at node.log in its data "
        "directory",
    )


def no_node(
    error: OSError, socket_path: Path | None, url: SplitResult, *, has_key: bool
) -> NodeUnreachableError:
    """Return the error of a connection that could not be made. ``socket_path``: of the node of this
    host, None: ``url`` was asked."""
    if socket_path is not None:
        hint = "start one with: buildnet node start --detach"
        if has_key:
            hint = "a key is for nodes that are asked over the network: say which one, by "
            hint += "--node URL or BUILDNET_NODE"
        cause = f"{socket_path}: {error.strerror or error}"
        return NodeUnreachableError("no node runs here", cause=cause, hint=hint)
    hint = "check the address, and that the node runs: buildnet node status (on its host)"
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "name the file of the authority that signed its certificate: SSL_CERT_FILE"
    elif isinstance(error, ssl.SSLError):
        hint = "a node without a certificate is asked with http:// in the address"
    return NodeUnreachableError(f"no node answers at {url.geturl()}", cause=str(error), hint=hint)
