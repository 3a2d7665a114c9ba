"""A node in this process whose API is asked over TCP by whomever a test makes up.

Who asks is said by a bearer token: ``admin``, ``builder``, ``observer``,
``owner`` (of the host), or what else a test knows. All behind the gate is what every node has.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import HTTPConnection

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.app import create_application
from buildnet.node.api.entrance import Entrance, names_of
from buildnet.node.api.gate import Gate
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, Caller, CallerKind
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.config import load_config
from buildnet.node.daemon import StartOptions, running_node
from buildnet.node.home import Home
from buildnet.node.server import serving
from buildnet.node.service import NodeService

ROLES = {
    rights.value: Caller(CallerKind.KEY, rights.value, rights=rights, credential=rights.value)
    for rights in Rights
} | {"owner": Caller(CallerKind.SESSION, "owner", Rights.ADMIN, is_owner=True, credential="owner")}
_START_TIMEOUT_S = 60.0


class MadeUp:
    """Credentials that are the names of callers."""

    def __init__(self, callers: Mapping[str, Caller] = ROLES) -> None:
        self.callers = dict(callers)

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who bears the name; nobody without a header."""
        said = connection.headers.get("authorization")
        if said is None:
            return None
        name = said.removeprefix("Bearer ")
        if name not in self.callers:
            raise NotAuthenticatedError("this key does not count", hint="make another one")
        return self.callers[name]


@dataclass(slots=True)
class ApiNode:
    """``port``: where its API answers; ``loop``: what it runs in; ``refusals``: of connections."""

    port: int
    service: NodeService
    loop: asyncio.AbstractEventLoop
    made_up: MadeUp
    refusals: list[tuple[str, str]]

    @property
    def url(self) -> str:
        """Where its API answers."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def asked_node(home: Path, made_up: MadeUp | None = None) -> AsyncIterator[ApiNode]:
    """Run a node on a data directory, in this loop, until the context ends."""
    place = Home(home)
    place.prepare()
    place.lock()
    options = StartOptions(home=home, listen="127.0.0.1:0", name="asked")
    try:
        async with running_node(options, place, load_config(place.config)) as (service, _):
            application, refusals = create_application(service), list[tuple[str, str]]()
            found = made_up or MadeUp()
            kinds, connections = Authenticator((found,)), service.access.connections
            gate = Gate(application, application.declared, kinds, NOBODY, connections)
            public = Entrance(gate, lambda: names_of((service.address,)))
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.setblocking(False)
                port = listener.getsockname()[1]
                async with serving(public, listener, lambda *each: refusals.append(each)):
                    await service.scanned.wait()
                    yield ApiNode(port, service, asyncio.get_running_loop(), found, refusals)
            await service.builder.stop()
    finally:
        place.unlock()


@contextmanager
def api_node(home: Path, made_up: MadeUp | None = None) -> Iterator[ApiNode]:
    """Run a node on a data directory, in a thread, until the context ends."""
    started: Future[ApiNode] = Future()
    ending = asyncio.Event()

    async def live() -> None:
        async with asked_node(home, made_up) as node:
            started.set_result(node)
            await ending.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    with ThreadPoolExecutor(1, "api-node") as threads:
        running = threads.submit(run)
        node = started.result(_START_TIMEOUT_S)
        try:
            yield node
        finally:
            with suppress(RuntimeError):  # the loop is closed: what the node died of is the result
                node.loop.call_soon_threadsafe(ending.set)
            running.result(_START_TIMEOUT_S)
