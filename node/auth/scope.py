"""What a key is for, where that is less than its rights allow: nodes, workspaces, actions.

Each is said once or several times, as ``node:NAME``, ``workspace:NAME`` or ``action:ACTION``. Of
one kind any that is said will do; of a kind of which nothing is said all will do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.node.auth.actions import Action

MAX_SCOPES = 32
_MAX_CHARACTERS = 200
_ABOUT_WORKSPACES = frozenset(
    {Action.VIEW_RESOURCES, Action.VIEW_BUILDS, Action.TRIGGER_BUILD, Action.CANCEL_BUILD}
)
"""All that a key for single workspaces is for: the rest concerns all of them."""
_KINDS = ("node", "workspace", "action")


@dataclass(frozen=True, slots=True)
class Scope:
    """``nodes``: their ids, as a key says them; empty sets: all."""

    nodes: frozenset[str] = frozenset()
    workspaces: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset()

    @classmethod
    def read(cls, said: Iterable[str]) -> Scope:
        """Read what was said.

        Raises:
            UsageError: something in it has no meaning.
        """
        found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for number, one in enumerate(said):
            kind, _, name = one.partition(":")
            if number >= MAX_SCOPES:
                raise UsageError("too many scopes", hint=f"{MAX_SCOPES} are the most")
            if kind not in found or not name or len(name) > _MAX_CHARACTERS:
                raise UsageError(
                    f"{one!r:.80} is no scope",
                    hint="node:NAME, workspace:NAME or action:ACTION",
                )
            if not name.isprintable():
                raise UsageError("a scope holds what can't be printed", hint="type it anew")
            found[kind].add(name)
        return cls(
            frozenset(found["node"]),
            frozenset(found["workspace"]),
            frozenset(_action(name) for name in found["action"]),
        )

    def said(self) -> tuple[str, ...]:
        """Return it as it is said, sorted."""
        return tuple(
            f"{kind}:{name}"
            for kind, names in (
                ("action", self.actions),
                ("node", self.nodes),
                ("workspace", self.workspaces),
            )
            for name in sorted(names)
        )

    @property
    def allowed(self) -> frozenset[Action] | None:
        """The only actions that it is for; None: all."""
        if not self.workspaces:
            return self.actions or None
        return _ABOUT_WORKSPACES & (self.actions or _ABOUT_WORKSPACES)

    def __bool__(self) -> bool:
        """Tell whether it is less than everything."""
        return bool(self.nodes or self.workspaces or self.actions)


def _action(name: str) -> Action:
    known = [action.value for action in Action if action not in (Action.OPEN, Action.OWN_NODE)]
    if name not in known:
        raise UsageError(f"{name!r:.80} is no action", hint=did_you_mean(name, known))
    return Action(name)
