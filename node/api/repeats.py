"""Requests that are sent again because nobody heard the answer: done once, answered the same.

Who chooses an ``Idempotency-Key`` gets the first answer again, for a day, from the node that was
asked; it is kept in memory, 16 MiB in all. An error is not kept, nor is an answer of more than
64 KiB: to ask again asks anew. Of an answer that holds a secret only that it was given is kept.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from buildnet.mesh.errors import BuildNetError

HEADER = "idempotency-key"
REPEATED = "idempotency-replayed"
KEPT_S = 24 * 3600.0
MOST = 4096
MOST_EACH = 512
"""Of one key, session or owner."""
MAX_ANSWER_BYTES = 64 * 1024
MOST_BYTES = 16 * 1024 * 1024
"""Of all answers together."""
_STREAM = "application/x-ndjson"
_FORM = re.compile(r"[\x21-\x7e]{1,128}")


class IdempotencyError(BuildNetError):
    """An idempotency key that can't be one, or that is of another request."""

    code = "IDEMPOTENCY"
    exit_code = 2
    http_status = 422


class ToldOnceError(BuildNetError):
    """A request that was done already, and whose answer held a secret, which is told once."""

    code = "TOLD_ONCE"
    exit_code = 1
    http_status = 409


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. ``is_secret``: no more of it is kept than that it was given."""

    status: int
    media_type: str
    body: bytes
    is_secret: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether it is given again: no error, such as of another node, and not too long."""
        return self.status < HTTPStatus.BAD_REQUEST and len(self.body) <= MAX_ANSWER_BYTES

    def as_kept(self) -> Answer:
        """Return what is kept of it."""
        return replace(self, body=b"") if self.is_secret else self

    def again(self) -> Response:
        """Return it as a response.

        Raises:
            ToldOnceError: it held a secret.
        """
        if self.is_secret:
            raise ToldOnceError(
                "this was done already, and its answer held a secret, which is not told again",
                hint="if that answer is lost: revoke or withdraw what was made, and make another",
            )
        headers = {"content-type": self.media_type, REPEATED: "true"}
        return Response(self.body, self.status, headers)


@dataclass(slots=True)
class _Kept:
    request: bytes
    until: float
    done: asyncio.Future[Answer | None] = field(repr=False)
    size_bytes: int = 0


class Repeats:
    """What was answered to whom, under which key. ``clock``: monotonic seconds. Where there is more
    than ``most``, or ``most_bytes``, whoever has most of it loses what is oldest."""

    def __init__(
        self,
        clock: Callable[[], float],
        most: int = MOST,
        most_each: int = MOST_EACH,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._clock = clock
        self._most = most
        self._most_each = most_each
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._kept: dict[str, OrderedDict[str, _Kept]] = {}

    async def once(
        self, who: str, key: str, request: bytes, do: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """Return the answer to a request, and whether it was given before; ``request``: what tells
        it from another one. Who asks while it is still being done waits for that.

        Raises:
            IdempotencyError: the key was of another request.
        """
        while (kept := self._find(who, key)) is not None:
            if kept.request != request:
                raise IdempotencyError(
                    f"the idempotency key {key!r} was that of another request",
                    hint="choose another key for each request, and the same to repeat one",
                )
            found = await asyncio.shield(kept.done)
            if found is not None:
                return found, True
        kept = self._begin(who, key, request)
        answer = None
        try:
            answer = await do()
        finally:
            if self._find(who, key) is kept:
                if answer is not None and answer.is_kept:
                    self._hold(kept, len(answer.as_kept().body))
                else:
                    self._drop(who, key)
            kept.done.set_result(None if answer is None else answer.as_kept())
        return answer, False

    def _find(self, who: str, key: str) -> _Kept | None:
        kept = self._kept.get(who, OrderedDict[str, _Kept]()).get(key)
        if kept is not None and kept.done.done() and kept.until <= self._clock():
            return None
        return kept

    def _begin(self, who: str, key: str, request: bytes) -> _Kept:
        theirs = self._kept.setdefault(who, OrderedDict())
        if key in theirs:
            self._drop(who, key)
            theirs = self._kept.setdefault(who, OrderedDict())
        done: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        kept = theirs[key] = _Kept(request, self._clock() + KEPT_S, done)
        if len(theirs) > self._most_each:
            self._drop(who, next(iter(theirs)))
        if sum(map(len, self._kept.values())) > self._most:
            most = max(self._kept, key=lambda each: len(self._kept[each]))
            self._drop(most, next(iter(self._kept[most])))
        return kept

    def _hold(self, kept: _Kept, size_bytes: int) -> None:
        kept.size_bytes = size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            sizes = {
                who: sum(each.size_bytes for each in theirs.values())
                for who, theirs in self._kept.items()
            }
            most = max(sizes, key=sizes.__getitem__)
            theirs = self._kept[most]
            self._drop(most, next(key for key, each in theirs.items() if each.size_bytes))

    def _drop(self, who: str, key: str) -> None:
        theirs = self._kept[who]
        self._size_bytes -= theirs.pop(key).size_bytes
        if not theirs:
            del self._kept[who]


def require_answer(request: Request, *, goes_on: bool) -> None:
    """See that the answer to a request that bears an idempotency key can be kept; ``goes_on``: it
    does not end, whatever is accepted.

    Raises:
        IdempotencyError: it would be a stream, which is not.
    """
    if goes_on or _STREAM in request.headers.get("accept", ""):
        raise IdempotencyError(
            "an answer that goes on for long is not kept, and can't be repeated",
            hint=f"leave {HEADER} away, and ask again"
            if goes_on
            else "leave `Accept: application/x-ndjson` away, and ask for the events besides",
        )


async def answered_once(
    repeats: Repeats,
    who: str,
    request: Request,
    handle: Callable[[Request], Awaitable[Response]],
    *,
    is_secret: bool = False,
) -> Response:
    """Answer a request that bears an idempotency key; ``is_secret``: the answer holds one.

    Raises:
        ToldOnceError: it was answered, with a secret.
        IdempotencyError: it can't be one, or is of another request.
    """
    key = request.headers[HEADER]
    if not _FORM.fullmatch(key):
        raise IdempotencyError(
            "an idempotency key has 1 to 128 visible characters", hint="such as a UUID"
        )
    first: Response | None = None

    async def do() -> Answer:
        nonlocal first
        first = response = await handle(request)
        assert not isinstance(response, StreamingResponse)
        media_type = response.headers.get("content-type", "application/json")
        return Answer(response.status_code, media_type, bytes(response.body), is_secret)

    scope = request.scope
    parts = (request.method.encode(), scope["raw_path"], scope["query_string"])
    said = blake3(b"\0".join(parts) + b"\0" + await request.body()).digest()
    answer, _ = await repeats.once(who, key, said, do)
    return answer.again() if first is None else first  # with headers, such as a cookie's
