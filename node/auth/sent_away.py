"""What is told of sessions that an admin ends: to who is sent away, and to who names themselves."""

from __future__ import annotations

from buildnet.mesh.errors import UsageError
from buildnet.node.auth.activity import Way
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.people import session_over
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.sessions import Ended

_BACK = {
    Way.API: "the key still counts: ask again once who ended it agrees; an admin sees who that was "
    "with buildnet audit query --type session.kicked",
    Way.CLI: "run the command again: who may use the node's socket needs no login; "
    "buildnet audit query --type session.kicked tells who ended it",
}
_OWN = {
    CallerKind.OWNER: "name another one; here nothing is open but commands of your user",
    CallerKind.KEY: "name another one; what a key has open ends with its program, "
    "or for good: buildnet key revoke",
    CallerKind.SESSION: "log out instead, or name another one",
}


def sent_away(way: str) -> NotAuthenticatedError:
    """Return what ends the connections of somebody who is sent away. ``way``: how they asked."""
    if way not in (Way.API, Way.CLI):
        return session_over(Ended.KICKED)
    return NotAuthenticatedError(f"this connection is over: {Ended.KICKED}", hint=_BACK[Way(way)])


def own_session(asking: Caller, name: str) -> UsageError:
    """Return what is told to who would end the session that they ask from, by its id."""
    return UsageError(f"the session {name} is you, who ask this", hint=_OWN.get(asking.kind))
