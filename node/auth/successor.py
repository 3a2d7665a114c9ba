"""To whom builds may be handed over: an account or an agent that is there, and may cancel them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.suggest import did_you_mean
from buildnet.node.auth import actors
from buildnet.node.auth.actions import GRANTED, Action
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.auth.scope import Scope


@dataclass(frozen=True, slots=True)
class Successor:
    """``name``: the actor's; ``workspaces``: the only ones that their key is for, None: all;
    ``doubt``: what this node can't know of them."""

    name: str
    workspaces: Collection[str] | None = None
    doubt: str | None = None

    def warning(self, workspaces: Collection[str]) -> str | None:
        """Return what to tell of builds of these workspaces that were handed over."""
        if self.workspaces is None:
            return self.doubt
        others = sorted(set(workspaces) - set(self.workspaces))
        if not others:
            return self.doubt
        return (
            f"the key of {self.name} is not for {', '.join(others)}: it can't cancel builds of it"
        )


async def successor(
    said: str,
    account_rights: Callable[[str], Awaitable[Rights | None]],
    keys: Sequence[Mapping[str, Any]],
) -> Successor:
    """Return whom a name means: an account, where there is one of that name. ``keys``: those that
    are known here, as they are listed.

    Raises:
        NotFoundError: there is no such account or agent.
        NotAllowedError: it can't cancel builds.
    """
    if said.startswith(actors.AGENT):
        return _agent(said, keys)
    name = said.removeprefix(actors.ACCOUNT)
    rights = await account_rights(name)
    if rights is not None:
        _require(actors.account(name), GRANTED[rights], f"has the rights {rights}")
        return Successor(actors.account(name))
    if said != name:
        raise NotFoundError(
            f"there is no account {name!r:.80}", hint="buildnet account list shows them"
        )
    hint = ""
    if any(one["name"] == said for one in keys):
        hint = f"; the agent with the key {said} is {actors.agent(said)}"
    doubt = f"{said} is no account: that is whoever says this name on the node's own host{hint}"
    return Successor(said, doubt=doubt)


def _agent(said: str, keys: Sequence[Mapping[str, Any]]) -> Successor:
    name = said.removeprefix(actors.AGENT)
    counting = [one for one in keys if one["status"] == "valid"]
    key = next((one for one in counting if one["name"] == name), None)
    if key is None:
        close = did_you_mean(name, [str(one["name"]) for one in counting])
        raise NotFoundError(
            f"no key counts here whose agent is {said!r:.80}",
            hint=close or "buildnet key list shows them",
        )
    scope, rights = Scope.read(key["scope"]), Rights(key["rights"])
    _require(said, GRANTED[rights], f"has a key with the rights {rights}")
    if scope.actions:
        _require(said, scope.actions, "has a key whose scope has other actions")
    return Successor(said, scope.workspaces or None)


def _require(name: str, actions: Collection[Action], why: str) -> None:
    """See that somebody can cancel builds, for that is what they are handed over for.

    Raises:
        NotAllowedError: they can't.
    """
    if Action.CANCEL_BUILD not in actions:
        raise NotAllowedError(
            f"{name} {why}, and can't cancel builds",
            hint="hand them over to a builder: buildnet key list, buildnet account list",
        )
