"""What configurations, templates and profiles have in common: list, show, keep, change, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from buildnet.mesh.errors import UsageError
from buildnet.node.api.answers.saved import (
    Deleted,
    Forms,
)
from buildnet.node.api.declared import Asking, does
from buildnet.node.api.numbers import MOST_COUNTED
from buildnet.node.api.paging import Paged
from buildnet.node.auth.actions import Action
from buildnet.node.saved import Kept, SavedDocuments
from buildnet.pool.configuration import identifier_of
from buildnet.pool.keyed_values import merged

WhoAsks = Annotated[str, Query(min_length=1, max_length=128)]
Document = Annotated[dict[str, Any], Body()]
Expected = Annotated[int | None, Query(ge=1, le=MOST_COUNTED)]


def add_reading_routes(
    router: APIRouter, saved: SavedDocuments[Kept], key: str, forms: Forms
) -> None:
    """Add the routes that list and show; ``key``: of the list in the answer;
    ``forms``: how they are answered."""
    word = saved.kind.word

    @router.get("", name=f"list_{key}", description=_listing(word))
    @does(Action.VIEW_RESOURCES, answer=forms.all)
    async def listed(paged: Paged) -> dict[str, Any]:
        found, following = paged.part(await saved.all(), lambda one: one.id)
        views = [one.view() for one in found]
        return {key: views, "next": following, "drafts": await saved.drafts()}

    @router.get(
        "/{name}",
        name=f"show_{saved.kind.name}",
        description=f"One {word} by its id, with the version that is sealed on this node.",
    )
    @does(Action.VIEW_RESOURCES, answer=forms.one)
    async def shown(name: str) -> dict[str, Any]:
        return (await saved.one(name)).view()


def add_changing_routes(router: APIRouter, saved: SavedDocuments[Kept], forms: Forms) -> None:
    """Add the routes that change and delete."""
    word = saved.kind.word

    @router.put("/{name}", name=f"change_{saved.kind.name}", description=_changing(word))
    @does(Action.MODIFY_CONFIG, answer=forms.changed, by_admin=True)
    async def changed(
        name: str,
        body: Document,
        asking: Asking,
        replace: bool = False,
        expects: Expected = None,
        actor: WhoAsks = "local",
    ) -> dict[str, Any]:
        saved.require_rights()
        if body.get("id", name) != name:
            raise UsageError(
                f"the id {body['id']!r:.80} is not {name}",
                hint=f"a {word} keeps its id; make another one of it, and delete this one",
            )
        found = await saved.one(name)
        if found.problem is not None and not replace:
            await saved.read(name)  # tells what is wrong with it
        said = body if replace else merged(found.document, body)
        document = saved.kind.read({**said, "id": name}, f"the {word} {name}")
        version = found.version if expects is None else expects
        made = await saved.replace(name, document, expects=version, actor=asking.name(actor))
        return {"success": True, **made.view()}

    @router.delete(
        "/{name}",
        name=f"delete_{saved.kind.name}",
        description=f"Delete a {word}. ``expects``: only if it is in this version.",
    )
    @does(Action.DELETE_CONFIG, answer=Deleted, by_admin=True)
    async def deleted(
        name: str, asking: Asking, expects: Expected = None, actor: WhoAsks = "local"
    ) -> dict[str, Any]:
        gone = await saved.delete(name, expects=expects, actor=asking.name(actor))
        return {"success": True, "id": gone.id, "version": gone.version}


async def keep(saved: SavedDocuments[Kept], body: dict[str, Any], actor: str) -> dict[str, Any]:
    """Keep a new one; without an id it gets one made of its name. Return it as JSON.

    Raises:
        BuildNetError: something is wrong with it, there is one of this id, or it can't be kept.
    """
    saved.require_rights()
    word = saved.kind.word
    name = body.get("name")
    identifier = body.get("id") or (identifier_of(name) if isinstance(name, str) else "")
    if not identifier:
        raise UsageError(f"the {word} has no id", hint="give it an id, or a name to make one of")
    document = saved.kind.read({**body, "id": identifier}, f"the {word} {identifier!s:.80}")
    return (await saved.create(document, actor=actor)).view()


def _listing(word: str) -> str:
    return (
        f"All {word}s as they are sealed on this node, those that are built in (``system``) first; "
        "``drafts``: changes that were asked of this node and wait for a majority of the voters."
    )


def _changing(word: str) -> str:
    return (
        f"Change a {word}: the body is merged into it (RFC 7396: null takes a key away), or, with "
        "``replace``, put in its place. ``expects``: only if it is in this version; else the code "
        "is ``CONFLICT``."
    )
