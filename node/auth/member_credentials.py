"""Another node that asks for itself: it is told of builds, as members that may build tell each
other of them. Whom it asks for is its own to decide."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import HTTPConnection

from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import MemberList, Rights
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.forwarding import sender_of
from buildnet.node.pool_results import may_ask, name_of


class MemberCredentials:
    """Knows a member by the link that its request came over. ``members``: as they are now."""

    def __init__(self, members: Callable[[], MemberList]) -> None:
        self._members = members

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return the member that a request without another credential came from; None: it came
        from no member.

        Raises:
            NotAllowedError: the member may only look at the pool.
        """
        sender = sender_of(connection.scope)
        if sender is None:
            return None
        members = self._members()
        if not may_ask(members, sender):
            raise NotAllowedError(
                f"{name_of(members, sender)} may only look at the pool: it does not see builds of "
                "others",
                hint="ask on the node that was asked for the build, or on one that may build",
            )
        return Caller(
            CallerKind.NODE,
            f"node:{node_id_of(sender)}",
            Rights.OBSERVER,
            frozenset({Action.VIEW_BUILDS}),
        )
