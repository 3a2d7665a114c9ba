"""Under which names those who ask are known in the queue, the history and the ledger.

An agent is ``agent:NAME`` of its key, a person who logged in to an account ``account:NAME``. Who
uses the socket of a node is known by the name that they say, such as that of their user there, and
so is a session that was opened with a link of theirs; as :data:`LOCAL`, if they say none. That is a
label and proves nothing: whoever may use the socket owns the node. A name that begins like the
others is refused, so no user of a host is taken for the account or the agent of the same name.
(Accounts had no beginning before; what is on record of them then stays as it is.)
"""

from __future__ import annotations

from urllib.parse import unquote

from buildnet.mesh.errors import UsageError

AGENT = "agent:"
ACCOUNT = "account:"
LOCAL = "local"
"""Who uses the socket and says no name."""
USER_HEADER = "buildnet-user"
"""In which a request on the socket says the name of its user: UTF-8, percent-encoded."""
_MOST_CHARACTERS = 128


def agent(name: str) -> str:
    """Return what the agent of a key is known as."""
    return AGENT + name


def account(name: str) -> str:
    """Return what somebody is known as who logs in by an account."""
    return ACCOUNT + name


def is_of_a_kind(name: str) -> bool:
    """Tell whether a name is one of an agent or an account."""
    return name.startswith((AGENT, ACCOUNT))


def user(said: str) -> str:
    """Return the name that somebody says at the socket.

    Raises:
        UsageError: it would be taken for that of an agent or account.
    """
    if is_of_a_kind(said):
        raise UsageError(
            f"{said!r:.80} is the name of an agent or account, and nobody says that of themselves",
            hint="send the key of the agent, or log in; or say the name of a user",
        )
    return said


def user_of(header: str) -> str:
    """Return the name that :data:`USER_HEADER` says.

    Raises:
        UsageError: it is none, or would be taken for that of an agent or account.
    """
    said = unquote(header)
    if not 0 < len(said) <= _MOST_CHARACTERS or not said.isprintable():
        raise UsageError(
            f"{said!r:.80} is no name of a user",
            hint=f"{USER_HEADER}: 1 to {_MOST_CHARACTERS} characters that can be printed",
        )
    return user(said)
