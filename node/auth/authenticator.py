"""Finds out who asks, by what a request brings along."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from starlette.requests import HTTPConnection

from buildnet.node.auth import actors
from buildnet.node.auth.caller import NOBODY, Caller, CallerKind


class Credentials(Protocol):
    """One kind of credential, such as keys or sessions."""

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who asks; None: the request brings no credential of this kind.

        Raises:
            NotAuthenticatedError: it brings one that does not count.
        """


class Authenticator:
    """Asks each kind of credential in turn; the first that is there counts, good or not."""

    def __init__(self, kinds: tuple[Credentials, ...] = ()) -> None:
        self._kinds = kinds

    async def caller(self, connection: HTTPConnection, otherwise: Caller = NOBODY) -> Caller:
        """Return who asks; ``otherwise``: who asks without any credential; if that is who uses the
        node's socket, under the name that they say.

        Raises:
            NotAuthenticatedError: a credential does not count.
            UsageError: the name is none for a user.
        """
        for kind in self._kinds:
            found = await kind.caller(connection)
            if found is not None:
                return found
        said = connection.headers.get(actors.USER_HEADER)
        if otherwise.kind is not CallerKind.OWNER or said is None:
            return otherwise
        return replace(otherwise, actor=actors.user_of(said))
