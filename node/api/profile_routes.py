"""Profiles of scheduling preferences, and which of them this node's user wants by default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from buildnet.node.api.answers.node import (
    Defaults,
)
from buildnet.node.api.answers.saved import (
    PROFILE_FORMS,
    SavedProfile,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.saved_routes import (
    Document,
    WhoAsks,
    add_changing_routes,
    add_reading_routes,
    keep,
)
from buildnet.node.auth.actions import Action
from buildnet.node.saved import PROFILES_KEPT, saved_in
from buildnet.node.service import NodeService


class DefaultsBody(BaseModel):
    """The profile to use where a build names none; null: none. ``root``: a directory in the
    workspace that it is for; null: all that have none of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Annotated[str, Field(min_length=1, max_length=64)] | None
    root: Path | None = None


def profile_routes(service: NodeService) -> APIRouter:
    """Return the routes of profiles."""
    router = declared_router(prefix="/api/profiles", tags=["configurations"])
    saved = saved_in(service, PROFILES_KEPT)
    add_reading_routes(router, saved, "profiles", PROFILE_FORMS)

    @router.post("", status_code=201)
    @does(Action.MODIFY_CONFIG, answer=SavedProfile, by_admin=True)
    async def create(body: Document, asking: Asking, actor: WhoAsks = "local") -> dict[str, Any]:
        """Keep a new profile. Without an ``id`` it gets one made of its ``name``."""
        return await keep(saved, body, asking.name(actor))

    add_changing_routes(router, saved, PROFILE_FORMS)
    return router


def default_routes(service: NodeService) -> APIRouter:
    """Return the routes of what builds use that name no profile."""
    router = declared_router(prefix="/api/defaults", tags=["configurations"])
    saved = saved_in(service, PROFILES_KEPT)

    @router.get("")
    @does(Action.VIEW_RESOURCES, answer=Defaults)
    async def defaults() -> dict[str, Any]:
        """Which profile builds use that name none: in all, and by the root of a workspace."""
        return service.defaults.view()

    @router.put("")
    @does(Action.OWN_NODE, answer=Defaults)
    async def change_defaults(body: DefaultsBody) -> dict[str, Any]:
        """Choose it; kept in this node's data directory, for builds that are asked of it."""
        if body.profile is not None:
            await saved.read(body.profile)
        root = None if body.root is None else (await service.builder.workspace(body.root)).root
        service.defaults.use_profile(body.profile, root)
        return service.defaults.view()

    return router
