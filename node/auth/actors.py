"""Under which names those who ask are known in the queue, the history and the ledger.

An agent is ``agent:NAME`` of its key, a person who logged in ``account:NAME``. Who uses the socket
of a node says a name, such as that of their user there; one with such a beginning is refused. So no
user of a host is taken for the account or the agent of the same name. (Accounts had no beginning
before; what is on record of them then stays as it is.)
"""

from __future__ import annotations

from buildnet.mesh.errors import UsageError

AGENT = "agent:"
ACCOUNT = "account:"


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
