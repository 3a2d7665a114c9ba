"""People who log in: opens their sessions, knows them by their cookies, ends them.

It holds no decision of its own: which sessions there are and when they are over is in
:mod:`~buildnet.node.auth.sessions`, codes in :mod:`~buildnet.node.auth.logins`, tickets in
:mod:`~buildnet.node.auth.tickets`, what counts as a page of this node in
:mod:`~buildnet.node.auth.same_site`.

A session lets nobody do more than the node that it is on: of the rights of an account and those of
the node's owner the lesser ones count. It counts on this node only.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.cookies import cookie_name
from buildnet.node.auth.logins import Logins
from buildnet.node.auth.rates import Rates
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.same_site import SAFE_METHODS, require_own_page, require_token
from buildnet.node.auth.session_records import ended, opened
from buildnet.node.auth.session_store import SessionStore
from buildnet.node.auth.sessions import Ended, Grant, Session, SessionLimits, Sessions
from buildnet.node.auth.tickets import Tickets
from buildnet.node.recording import Record

LOOK_S = 0.5
"""The pause between two looks at whether sessions are over and their accounts still there."""
_WRITE_AFTER_S = 60.0
"""That a session is in use is written so often at most."""
_REQUESTS_A_MINUTE = 1200
_AGENT_CHARACTERS = 200
_ORDER = (Rights.OBSERVER, Rights.BUILDER, Rights.ADMIN)
_log = logging.getLogger("buildnet.access")


@dataclass(frozen=True, slots=True)
class PeopleSurroundings:
    """What people's sessions depend on. ``own_rights``: of this node's owner in the cluster;
    ``account_rights``: of an account, None: there is none; ``record``: into the ledger;
    ``hang_up``: ends the connections of a session, saying why, but for one of them; ``pages``:
    where else this node's pages are, as origins."""

    limits: Callable[[], SessionLimits]
    own_rights: Callable[[], Rights | None]
    account_rights: Callable[[str], Awaitable[Rights | None]]
    record: Callable[[Record], None]
    hang_up: Callable[[str, BuildNetError, int], object]
    pages: Callable[[], Collection[str]] = tuple


class People:
    """See the module's text. One kind of credentials: a cookie, or a ticket for a WebSocket."""

    def __init__(
        self,
        store: SessionStore,
        known: Collection[Session],
        around: PeopleSurroundings,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._around = around
        self._wall = wall
        self._clock = clock
        self.sessions = Sessions(around.limits(), known)
        self._logins = Logins()
        self._tickets = Tickets()
        self.rates = Rates()
        self._written: dict[str, float] = {}
        self._unforgotten: set[str] = set()
        """Sessions that are over and still on the disk, which would not take that."""

    @property
    def name(self) -> str:
        """This node's name in its cookies."""
        return self._store.name

    # --- who asks --------------------------------------------------------------------------------

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who asks, by a cookie or a ticket; None: there is neither.

        Raises:
            NotAuthenticatedError: the session is over, the ticket is none.
            OtherSiteError: a page of another site may have sent this.
        """
        scheme = connection.url.scheme
        if connection.scope["type"] == "websocket":
            return await self._by_ticket(connection)
        secret = self.secret_of(connection)
        if secret is None:
            return None
        if connection.scope["method"] not in SAFE_METHODS:
            require_own_page(connection.headers, scheme, self._around.pages())
            require_token(connection.headers, secret)
        now = self._wall()
        session = self.sessions.find(secret, now)
        if session is None:
            raise session_over()
        self._count(session)
        found = await self._caller(session)
        if not self.sessions.has(session):  # it was ended meanwhile, and stays forgotten
            raise session_over()
        await self._use(session, now)
        return replace(found, address=_address(connection))

    def _count(self, session: Session) -> None:
        """Count a request: of a session that was opened with a key as one of the key's."""
        key = session.grant.key
        name, rate = (session.id, None) if key is None else (key.credential, key.rate)
        self.rates.take(name, rate or _REQUESTS_A_MINUTE, self._clock())

    async def _by_ticket(self, connection: HTTPConnection) -> Caller | None:
        ticket = connection.query_params.get("ticket")
        if ticket is None:
            return None
        if "origin" in connection.headers:
            self.require_own_page(connection)
        found = self._tickets.redeem(ticket, self._clock())
        if found is None:
            raise NotAuthenticatedError(
                "this ticket is not good: it was used already, is too old, or is none",
                hint="ask for another one: POST /api/ws-ticket",
            )
        if (why := found.problem()) is not None:
            raise why
        return replace(found, address=_address(connection))

    def require_own_page(self, connection: HTTPConnection) -> None:
        """See that a page of this node asks: to be logged in, since another one might log somebody
        in as somebody else; or for a WebSocket, which a browser opens for any page.

        Raises:
            OtherSiteError: none does.
        """
        scheme = connection.url.scheme
        page = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        require_own_page(connection.headers, page, self._around.pages())

    async def account_rights(self, name: str) -> Rights | None:
        """Return what an account allows; None: there is none."""
        return await self._around.account_rights(name)

    def secret_of(self, connection: HTTPConnection) -> str | None:
        """Return what the cookie of this node holds; None: there is none."""
        return connection.cookies.get(cookie_name(self.name, connection.url.scheme))

    async def _caller(self, session: Session) -> Caller:
        grant = session.grant
        if grant.stands_on is not None and (why := grant.stands_on.problem()) is not None:
            await self.end(session.id, Ended.KEY)
            raise why
        if grant.key is not None:
            # What it made would not end with the key that it stands on.
            actions = frozenset(Action) if grant.key.actions is None else grant.key.actions
            return replace(
                grant.key,
                kind=CallerKind.SESSION,
                actions=actions - {Action.MANAGE_ACCESS},
                credential=session.id,
                opened_with=grant.key.credential,
                problem=lambda: self._problem(session),
            )
        own = self._around.own_rights()
        rights = own if grant.rights is None else lesser(grant.rights, own)
        if grant.account:
            of_account = await self._around.account_rights(grant.actor)
            if of_account is None:
                await self.end(session.id, Ended.ACCOUNT)
                raise NotAuthenticatedError(
                    f"there is no account {grant.actor} any more",
                    hint="ask an admin of the cluster: buildnet account list",
                )
            rights = lesser(rights, of_account)
        by = grant.linked_by
        return Caller(
            CallerKind.SESSION,
            grant.known_as,
            rights if by is None else lesser(rights, by.rights),
            is_owner=grant.is_owner,
            credential=session.id,
            linked_by="" if by is None else by.credential,
            problem=lambda: self._problem(session),
        )

    def _problem(self, session: Session) -> BuildNetError | None:
        """Tell why a session counts no more; None: it does."""
        if self.sessions.has(session):
            key = session.grant.stands_on
            return None if key is None else key.problem()
        return session_over()

    async def _use(self, session: Session, now: float) -> None:
        used = self.sessions.use(session, now)
        if now - self._written.get(session.id, 0.0) >= _WRITE_AFTER_S:
            self._written[session.id] = now
            await self._keep(used)

    def key_of(self, caller: Caller) -> Caller | None:
        """Return who asked with the key with which all ends that a caller makes; None: none."""
        if caller.kind is CallerKind.KEY:
            return caller
        session = self.sessions.by_id(caller.credential)
        return None if session is None else session.grant.stands_on

    def code_for(self, grant: Grant) -> str:
        """Return a code that is good for a login, once."""
        return self._logins.issue(grant, self._clock())

    def redeem(self, code: str, connection: HTTPConnection) -> Grant:
        """Return what a code gives, which is void from now on.

        Raises:
            OtherSiteError, TooManyLoginsError, NotAuthenticatedError: it gives nothing.
        """
        self.require_own_page(connection)
        return self._logins.redeem(code, _address(connection), self._clock())

    def ticket_for(self, caller: Caller) -> str:
        """Return a ticket that opens a WebSocket, once."""
        return self._tickets.issue(caller, self._clock())

    # --- sessions begin and end ------------------------------------------------------------------

    async def open(
        self,
        grant: Grant,
        connection: HTTPConnection,
        secret: str,
    ) -> tuple[Session, Caller]:
        """Open a session, and end the one that this browser may have had. Its secret is a new one,
        whatever the browser brought along: nobody can prepare a session for somebody else.

        Raises:
            NotAuthenticatedError: what it was granted for is no more.
        """
        now = self._wall()
        self.sessions.limits = self._around.limits()
        session, too_many = self.sessions.open(
            secrets.token_hex(6),
            secret,
            grant,
            now,
            address=_address(connection),
            agent=_printable(connection.headers.get("user-agent", "")),
        )
        for each in too_many:
            await self._over(each, Ended.TOO_MANY)
        caller = await self._caller(session)
        before = self.secret_of(connection)
        former = None if before is None else self.sessions.find(before, now)
        if former is not None:
            await self.end(former.id, Ended.ANEW)
        self._written[session.id] = now
        await self._keep(session)
        rights = None if caller.rights is None else caller.rights.value
        self._around.record(opened(session, rights))
        return session, caller

    async def end(self, session_id: str, why: Ended, but: int = 0) -> Session | None:
        """End a session with all that goes on in it, ``but`` for the connection of this number;
        None: there is none of this id."""
        session = self.sessions.end(session_id)
        if session is not None:
            await self._over(session, why, but)
        return session

    async def _over(self, session: Session, why: Ended, but: int = 0) -> None:
        self._written.pop(session.id, None)
        self._tickets.forget(session.id)
        self._around.hang_up(session.id, session_over(why), but)
        if why is not Ended.KICKED:  # which has a record of its own
            self._around.record(ended(session, why))
        if session.grant.stands_on is None:
            self._unforgotten.add(session.id)
            await self._forget()

    async def _forget(self) -> None:
        """Have those that are over off the disk: who was sent away is not back after a new start
        because it was full just then."""
        for name in tuple(self._unforgotten):
            await self._store.remove(name)
            self._unforgotten.discard(name)

    async def _keep(self, session: Session) -> None:
        if session.grant.stands_on is None:  # what a key may is not ours to keep
            await self._store.put(session)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End what is over, until the context ends."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            try:
                yield
            finally:
                watching.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except BuildNetError as error:  # such as a full disk: it is tried again
                _log.debug("sessions could not be looked at: %s", error.message)

    async def look(self) -> None:
        """End the sessions whose time is over, whose account or key is no more."""
        self.sessions.limits = self._around.limits()
        for session, why in self.sessions.over(self._wall()):
            await self._over(session, why)
        for actor in {each.grant.actor for each in self.sessions.all() if each.grant.account}:
            if await self._around.account_rights(actor) is None:
                for each in self.sessions.all():
                    if each.grant.account and each.grant.actor == actor:
                        await self.end(each.id, Ended.ACCOUNT)
        for each in self.sessions.all():
            key = each.grant.stands_on
            if key is not None and key.problem() is not None:
                await self.end(each.id, Ended.KEY)
        await self._forget()


def session_over(why: Ended | None = None) -> NotAuthenticatedError:
    """Return what is told of a session that is over, or was none."""
    return NotAuthenticatedError(
        f"this session is over: {why}" if why else "this session is over, or of another node",
        hint="log in again: buildnet login on the node's host gives a link",
    )


def lesser(one: Rights | None, other: Rights | None) -> Rights | None:
    """Return the rights that allow less; None allows nothing."""
    if one is None or other is None:
        return None
    return min(one, other, key=_ORDER.index)


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client is not None else ""


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_AGENT_CHARACTERS]
