"""Who asks a node for something, and what they may do there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth import actors
from buildnet.node.auth.actions import GRANTED, Action, least_rights
from buildnet.node.auth.refusal import NotAllowedError, NotAuthenticatedError


class CallerKind(StrEnum):
    """By what somebody is known."""

    NOBODY = "nobody"
    OWNER = "owner"
    """Who may use the node's socket."""
    KEY = "key"
    SESSION = "session"
    NODE = "node"
    """A member of the cluster, over its link."""


@dataclass(frozen=True, slots=True)
class Caller:
    """``actor``: the name under which the queue, the ledger and the history know them; ``rights``:
    in the cluster, None of nobody; ``actions``: the only ones that their credential is for, None:
    all that their rights allow; ``is_owner``: of this host; ``credential``: the id of their key or
    session, "" without one; ``address``: where they ask from, "" on the socket; ``workspaces``,
    ``nodes`` (ids): the only ones that their credential is for, None: all; ``body_sha256``: of the
    body that they signed, None: any; ``rate``: requests a minute of their key, None: it has none;
    ``opened_with``: the id of the key that their session was opened with; ``linked_by``: the id of
    that which its link was made with; ``problem``: tells why
    their credential counts no more, asked again and again for as long as they are connected; None:
    it does."""

    kind: CallerKind
    actor: str
    rights: Rights | None = None
    actions: frozenset[Action] | None = None
    is_owner: bool = False
    credential: str = ""
    address: str = ""
    workspaces: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    body_sha256: bytes | None = None
    rate: int | None = None
    opened_with: str = ""
    linked_by: str = ""
    problem: Callable[[], BuildNetError | None] = field(
        default=lambda: None, repr=False, compare=False
    )

    @property
    def counted_as(self) -> str:
        """The id of the credential whose limits count: sessions have those of the key that they
        were opened with, so that nobody gets more of a node by opening some."""
        return self.opened_with or self.credential

    def may(self, action: Action) -> bool:
        """Tell whether this caller may do something; of builds: at least their own ones."""
        if action is Action.OPEN:
            return True
        if self.actions is not None and action not in self.actions:
            return False
        return self.is_owner or (self.rights is not None and action in GRANTED[self.rights])

    def require(self, action: Action) -> None:
        """See that this caller may do something.

        Raises:
            NotAuthenticatedError: nobody is known to ask.
            NotAllowedError: their rights, or what their credential is for, do not allow it.
        """
        if self.may(action):
            return
        if self.kind is CallerKind.NOBODY:
            raise NotAuthenticatedError(
                "this needs a key or a login",
                hint="send a key of `buildnet key create` (--key FILE, or the header "
                "`Authorization: Bearer KEY`), log in with the link of `buildnet login`, "
                "or ask on the node's own host",
            )
        if self.actions is not None and action not in self.actions:
            raise NotAllowedError(
                f"{self.actor}'s key is not for {action}", hint="ask an admin for a wider one"
            )
        least = least_rights(action)
        if least is None:
            raise NotAllowedError(
                f"{action} is for the owner of this node alone", hint="ask on the node's own host"
            )
        raise NotAllowedError(
            f"{self.actor} has the rights {self.rights}, and {action} takes those of {least}",
            hint="ask an admin of the cluster: buildnet rights list",
        )

    def require_touch(self, actor: str, what: str) -> None:
        """See that this caller may change ``what``, such as a build that ``actor`` asked for.

        Raises:
            NotAllowedError: it is another's, and they are no admin.
        """
        if not (self.is_owner or self.rights is Rights.ADMIN or actor == self.actor):
            raise NotAllowedError(
                f"{what} is {actor}'s, and {self.actor} is no admin",
                hint=f"ask {actor}, or an admin of the cluster",
            )

    def reaches(self, workspace: str) -> bool:
        """Tell whether their credential is for a workspace, and so for its builds."""
        return self.workspaces is None or workspace in self.workspaces

    def require_reach(self, workspace: str) -> None:
        """See that their credential is for a workspace.

        Raises:
            NotAllowedError: it is for others.
        """
        if not self.reaches(workspace):
            raise NotAllowedError(
                f"{self.actor}'s key is for other workspaces than this one",
                hint="ask an admin for a wider one",
            )

    def require_everything(self) -> None:
        """See that their credential is not for single workspaces only.

        Raises:
            NotAllowedError: it is.
        """
        if self.workspaces is not None:
            raise NotAllowedError(
                f"{self.actor}'s key is for single workspaces, and this concerns others too",
                hint="ask an admin for a wider one",
            )

    def require_cluster(self) -> None:
        """See that their credential is not for single nodes only.

        Raises:
            NotAllowedError: it is.
        """
        if self.nodes is not None:
            raise NotAllowedError(
                f"{self.actor}'s key is for single nodes, and this concerns the whole cluster",
                hint="ask with a key that has no scope of nodes: buildnet key create --rights "
                "admin, without --scope node:…",
            )

    def name(self, said: str) -> str:
        """Return the actor to go by: who uses the node's socket may say another one than they are
        known by, nobody else may; ``local`` says none.

        Raises:
            UsageError: what they say is the name of an agent or account.
        """
        if self.kind is not CallerKind.OWNER or said == actors.LOCAL:
            return self.actor
        return actors.user(said)


NOBODY = Caller(CallerKind.NOBODY, "nobody")
OWNER = Caller(CallerKind.OWNER, actors.LOCAL, is_owner=True)
"""Who uses the socket (mode 0600) and says no name: everything on this node. What that means for
others is decided by the rights of this node in the cluster, where it is done."""
