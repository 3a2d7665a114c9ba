"""What can be done over a node's API, and which rights it takes.

The names and the matrix are those of the source document's section 11.3; what it does not know
(what only the owner of a host may do, keys and people) is added below.

    =================  =====  =======  ========
    action             admin  builder  observer
    =================  =====  =======  ========
    view-resources     yes    yes      yes
    view-ledger        yes    yes      yes
    view-builds        yes    yes      yes
    trigger-build      yes    yes      no
    cancel-build       yes    own      no
    write-note         yes    yes      no
    modify-config      yes    no       no
    delete-config      yes    no       no
    modify-resources   yes    no       no
    manage-nodes       yes    no       no
    manage-access      yes    no       no
    own-node           no     no       no
    =================  =====  =======  ========

``own-node`` is nobody's by rights: it is what the owner of a host alone decides, on its socket or
in a session that was opened there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from buildnet.mesh.members.member_list import Rights


class Action(StrEnum):
    """What a route does; each declares one."""

    OPEN = "open"
    """Nothing that needs rights: whether the node lives, and what a browser loads first."""
    VIEW_RESOURCES = "view-resources"
    VIEW_LEDGER = "view-ledger"
    VIEW_BUILDS = "view-builds"
    TRIGGER_BUILD = "trigger-build"
    CANCEL_BUILD = "cancel-build"
    """And what else changes the course of a build: a builder's own ones."""
    WRITE_NOTE = "write-note"
    """Put a text on record in the ledger."""
    MODIFY_CONFIG = "modify-config"
    DELETE_CONFIG = "delete-config"
    MODIFY_RESOURCES = "modify-resources"
    """Servers, limits, caches."""
    MANAGE_NODES = "manage-nodes"
    """Members, invitations, who coordinates, the whole queue."""
    MANAGE_ACCESS = "manage-access"
    """Keys of agents, accounts of people, sessions of others."""
    OWN_NODE = "own-node"
    """What concerns this host alone: its files, its process, its membership."""


_VIEW = frozenset({Action.VIEW_RESOURCES, Action.VIEW_LEDGER, Action.VIEW_BUILDS})
_BUILD = _VIEW | {Action.TRIGGER_BUILD, Action.CANCEL_BUILD, Action.WRITE_NOTE}

GRANTED: Mapping[Rights, frozenset[Action]] = MappingProxyType(
    {
        Rights.OBSERVER: _VIEW,
        Rights.BUILDER: _BUILD,
        Rights.ADMIN: frozenset(Action) - {Action.OPEN, Action.OWN_NODE},
    }
)
"""Which actions rights allow; a builder's ``cancel-build`` is for its own builds."""


OF_THE_CLUSTER = frozenset(
    {Action.MODIFY_CONFIG, Action.DELETE_CONFIG, Action.MANAGE_NODES, Action.MANAGE_ACCESS}
)
"""What is done on one node and counts on all: nothing for a key that is for single nodes, but where
a route says that it keeps to its own node."""


def least_rights(action: Action) -> Rights | None:
    """Return the least rights that allow an action; None: rights do not."""
    for rights in (Rights.OBSERVER, Rights.BUILDER, Rights.ADMIN):
        if action in GRANTED[rights]:
            return rights
    return None
