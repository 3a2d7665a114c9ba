"""Templates: patterns of configurations, those that are built in and those that people keep."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.errors import UsageError
from buildnet.node.api.answers.saved import (
    TEMPLATE_FORMS,
    ChangedConfiguration,
    SavedConfiguration,
    SavedTemplate,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.saved_routes import (
    Document,
    Expected,
    WhoAsks,
    add_changing_routes,
    add_reading_routes,
    keep,
)
from buildnet.node.auth.actions import Action
from buildnet.node.saved import CONFIGURATIONS, TEMPLATES_KEPT, saved_in
from buildnet.node.service import NodeService
from buildnet.pool.configuration import (
    BuildConfiguration,
    read_configuration,
)
from buildnet.pool.keyed_values import merged

Text = Annotated[str, Field(min_length=1, max_length=100)]


class UseBody(BaseModel):
    """Values of the variables by name. ``save_as``: the id to keep the configuration under."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: dict[str, bool | int | float | str] = {}
    save_as: Text | None = None


class ApplyBody(BaseModel):
    """Values of the variables by name, and the configuration to change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config_id: Text
    variables: dict[str, bool | int | float | str] = {}


def template_routes(service: NodeService) -> APIRouter:
    """Return the routes of templates."""
    router = declared_router(prefix="/api/templates", tags=["configurations"])
    saved = saved_in(service, TEMPLATES_KEPT)
    configurations = saved_in(service, CONFIGURATIONS)
    add_reading_routes(router, saved, "templates", TEMPLATE_FORMS)

    @router.post("", status_code=201)
    @does(Action.MODIFY_CONFIG, answer=SavedTemplate, by_admin=True)
    async def create(body: Document, asking: Asking, actor: WhoAsks = "local") -> dict[str, Any]:
        """Keep a new template: whole, or with ``config_id`` in place of ``config``, which takes the
        configuration that is kept under it."""
        if "config_id" in body:
            saved.require_rights()
            if "config" in body or not isinstance(body["config_id"], str):
                raise UsageError("config_id stands in place of config", hint="leave one away")
            found, _ = await configurations.read(body["config_id"])
            config = {key: one for key, one in found.document().items() if key != "name"}
            rest = {key: one for key, one in body.items() if key != "config_id"}
            body = {**rest, "config": config}
        return await keep(saved, body, asking.name(actor))

    @router.post("/{name}/use")
    @does(Action.VIEW_RESOURCES, answer=SavedConfiguration | BuildConfiguration)
    async def use(
        name: str, body: UseBody, request: Request, asking: Asking, actor: WhoAsks = "local"
    ) -> Any:
        """Make a configuration of a template; with ``save_as`` it is kept, too, which takes the
        rights to change configurations."""
        if body.save_as is not None:
            asking.require(Action.MODIFY_CONFIG)
            asking.require_cluster()
            elsewhere: Response | None = await request.app.state.admins.answer(request)
            if elsewhere is not None:
                return elsewhere
            configurations.require_rights()
        template, _ = await saved.read(name)
        made = template.fill(body.variables, f"the template {name}").document()
        if body.save_as is None:
            return made
        return await keep(configurations, {**made, "id": body.save_as}, asking.name(actor))

    @router.post("/{name}/apply")
    @does(Action.MODIFY_CONFIG, answer=ChangedConfiguration, by_admin=True)
    async def apply(
        name: str,
        body: ApplyBody,
        asking: Asking,
        expects: Expected = None,
        actor: WhoAsks = "local",
    ) -> dict[str, Any]:
        """Change a configuration that is kept: what the template says takes the place of what is
        there, the rest stays. ``expects``: only if it is in this version."""
        configurations.require_rights()
        template, _ = await saved.read(name)
        made = template.fill(body.variables, f"the template {name}").document()
        before, version = await configurations.read(body.config_id)
        after = read_configuration(
            {**merged(before.document(), made), "id": body.config_id},
            f"the configuration {body.config_id} with the template {name}",
        )
        changed = await configurations.replace(
            body.config_id,
            after,
            expects=version if expects is None else expects,
            actor=asking.name(actor),
            reason=f"template {name}",
        )
        return {"success": True, **changed.view()}

    add_changing_routes(router, saved, TEMPLATE_FORMS)
    return router
