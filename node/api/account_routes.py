"""Accounts of people: who may log in by name, and what they may do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.answers.saved import (
    ACCOUNT_FORMS,
    ChangedAccount,
    Deleted,
    SavedAccount,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.saved_routes import Expected, WhoAsks, add_reading_routes
from buildnet.node.auth.account import KIND, Account, read_account, require_account_name
from buildnet.node.auth.actions import Action
from buildnet.node.saved import Kind, saved_in
from buildnet.node.service import NodeService

ACCOUNTS: Kind[Account] = Kind(
    KIND,
    "account",
    read_account,
    {},
    noun="account",
    verbs=("granted", "modified", "withdrawn"),
)


class RightsBody(BaseModel):
    """What an account allows; ``description`` null: it stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rights: Rights
    description: Annotated[str, Field(max_length=200)] | None = None


class AccountBody(RightsBody):
    """A new account."""

    id: Annotated[str, Field(min_length=1, max_length=64)]


def account_routes(service: NodeService) -> APIRouter:
    """Return the routes of accounts."""
    router = declared_router(prefix="/api/accounts", tags=["access"])
    saved = saved_in(service, ACCOUNTS)
    add_reading_routes(router, saved, "accounts", ACCOUNT_FORMS)

    @router.post("", status_code=201)
    @does(Action.MANAGE_ACCESS, answer=SavedAccount, by_admin=True)
    async def create_account(
        body: AccountBody, asking: Asking, actor: WhoAsks = "local"
    ) -> dict[str, Any]:
        """Make an account, by which somebody logs in on any node."""
        require_account_name(body.id)
        account = saved.kind.read(body.model_dump(mode="json"), f"the account {body.id}")
        return (await saved.create(account, actor=asking.name(actor))).view()

    @router.put("/{name}")
    @does(Action.MANAGE_ACCESS, answer=ChangedAccount, by_admin=True)
    async def change_account(
        name: str, body: RightsBody, asking: Asking, actor: WhoAsks = "local"
    ) -> dict[str, Any]:
        """Change what an account allows, also in the sessions that are open."""
        found = await saved.one(name)
        said = body.model_dump(mode="json", exclude_none=True)
        account = saved.kind.read({**found.document, **said, "id": name}, f"the account {name}")
        made = await saved.replace(name, account, expects=found.version, actor=asking.name(actor))
        return {"success": True, **made.view()}

    @router.delete("/{name}")
    @does(Action.MANAGE_ACCESS, answer=Deleted, by_admin=True)
    async def remove_account(
        name: str,
        asking: Asking,
        expects: Expected = None,
        actor: WhoAsks = "local",
    ) -> dict[str, Any]:
        """Remove an account; its sessions end on all nodes. ``expects``: only if it is in this
        version."""
        gone = await saved.delete(name, expects=expects, actor=asking.name(actor))
        return {"success": True, "id": gone.id, "version": gone.version}

    return router
