"""One WebSocket of events, over a connection that is played."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from buildnet.node.auth.caller import OWNER
from buildnet.node.events import socket as module
from buildnet.node.events.service import Events
from buildnet.node.events.socket import MESSAGES_AT_ONCE, POLICY, TRY_AGAIN, EventSocket


class Chatter:
    """A client that says the same without end."""

    def __init__(self) -> None:
        self.answers = 0
        self.closed: tuple[int, str] | None = None

    async def accept(self) -> None:
        await asyncio.sleep(0)

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "websocket.receive", "text": '{"type": "ping"}'}

    async def send(self, message: dict[str, Any]) -> None:
        self.answers += 1

    async def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


def test_who_says_too_much_is_let_go() -> None:
    client = Chatter()

    async def serve() -> None:
        await EventSocket(cast(WebSocket, client), OWNER, Events()).serve()

    asyncio.run(asyncio.wait_for(serve(), 10))
    assert client.closed == (POLICY, "more than 10 messages a second came")
    assert MESSAGES_AT_ONCE <= client.answers < 2 * MESSAGES_AT_ONCE


SENSELESS = {
    '{"type": "subscribe", "channels": []}': "wrong value [] for channels: expected at least 1 of "
    "them",
    '{"type": "subscribe", "channels": 3}': "wrong value 3 for channels: expected a list",
    '{"type": "subscribe", "channels": ["x"]}': 'wrong value "x" for channels[0]: expected '
    "'resources', 'nodes', 'builds', 'queue', 'pool', 'ledger', 'logs', 'sessions' or 'node_logs'",
    '{"type": "subscribe"}': "channels is missing",
    '{"type": "ping", "x": 1}': "unknown key 'x'",
    '{"type": "x"}': "wrong value {\"type\": \"x\"} for the message: expected 'subscribe', 'ping' "
    "for 'type'",
    "{}": "type is missing",
    "x": "the message is no JSON",
}


class Speaker(Chatter):
    """A client that says some things, and goes."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages
        self.told: list[str] = []

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "text": self.messages.pop(0)}

    async def send(self, message: dict[str, Any]) -> None:
        self.told.append(json.loads(message["text"])["message"])


def test_what_makes_no_sense_is_told_in_our_words() -> None:
    client = Speaker(list(SENSELESS))

    async def serve() -> None:
        await EventSocket(cast(WebSocket, client), OWNER, Events()).serve()

    asyncio.run(serve())
    begin = "this message can't be understood: "
    assert client.told == [begin + what for what in SENSELESS.values()]


class Deaf(Speaker):
    """A client that says something, and takes no answer: it has gone, or does not read."""

    def __init__(self, has_gone: bool) -> None:
        super().__init__(['{"type": "ping"}'])
        self.has_gone = has_gone

    async def receive(self) -> dict[str, Any]:
        if self.messages or self.has_gone:
            return await super().receive()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        if self.has_gone:
            raise WebSocketDisconnect(1006)
        await asyncio.Event().wait()


@pytest.mark.parametrize("has_gone", [True, False])
def test_who_asks_and_takes_no_answer_is_no_error_of_the_node(
    has_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_S", 0.01)
    client = Deaf(has_gone)

    async def serve() -> None:
        await EventSocket(cast(WebSocket, client), OWNER, Events()).serve()

    asyncio.run(asyncio.wait_for(serve(), 10))
    assert client.closed == (
        None if has_gone else (TRY_AGAIN, "too slow: a message was not taken for 0 s")
    )
