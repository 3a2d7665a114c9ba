"""The settings of this node: what counts, where it comes from, and changing it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from buildnet.node.api.answers.node import (
    NodeSettings,
    SettingChanged,
)
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.auth.actions import Action
from buildnet.node.config_file import change
from buildnet.node.config_view import settings_view
from buildnet.node.config_warnings import warnings_of
from buildnet.node.in_force import is_live
from buildnet.node.service import NodeService


class SettingBody(BaseModel):
    """``key``: dotted, such as ``workers.max``; ``value``: null takes it out of the file, so that
    the default counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=200)]
    value: Any


def settings_routes(service: NodeService) -> APIRouter:
    """Return the routes of this node's settings."""
    router = declared_router(prefix="/api/node/config", tags=["node"])
    changing = asyncio.Lock()

    @router.get("")
    @does(Action.OWN_NODE, answer=NodeSettings)
    async def settings(paged: Paged) -> dict[str, Any]:
        """All settings of ``node.yaml``: the value that counts, where it comes from (``default``,
        ``node.yaml:LINE``, ``start option``, ``server update``), whether a change is ``live``, and
        what counts from the ``next_start`` on if that is something else."""
        settings = await asyncio.to_thread(settings_view, service.in_force)
        found, following = paged.part(settings, lambda one: one.key)
        return {
            "file": str(service.in_force.config_file),
            "problem": service.in_force.problem,
            "warnings": await asyncio.to_thread(warnings_of, service.config),
            "settings": [one.as_dict() for one in found],
            "next": following,
        }

    @router.put("")
    @does(Action.OWN_NODE, answer=SettingChanged)
    async def set_one(body: SettingBody) -> dict[str, Any]:
        """Change one setting in ``node.yaml``; comments stay. ``counts`` says when it does: ``now``
        or ``next start``. What the node could not start with is refused, and nothing changed; what
        it can, but does not do here what it says, has ``warnings``."""
        async with changing:
            file = service.in_force.config_file
            written = await asyncio.to_thread(change, file, body.key, body.value)
            service.in_force.look()
        live = is_live(body.key) and body.key not in service.in_force.options
        return {
            "key": body.key,
            "value": body.value,
            "counts": "now" if live else "next start",
            "warnings": await asyncio.to_thread(warnings_of, written),
        }

    return router
