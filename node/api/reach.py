"""What of this host and of its builds a caller with a key gets to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from buildnet.mesh.errors import NotFoundError
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.refusal import KeyElsewhereError, NotAllowedError
from buildnet.node.execute.isolation import STRICT
from buildnet.node.other_builds import OtherBuild
from buildnet.node.records import FoundBuild
from buildnet.node.service import NodeService


class Reach:
    """Answers for ``service``; the owner of the host gets everywhere."""

    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def directory(self, asking: Caller, directory: Path) -> Path:
        """Return a directory in which a caller may build.

        Raises:
            WorkspaceClosedError: its workspace is not open to others.
            NotAllowedError: the caller's key is for other workspaces.
        """
        if asking.is_owner:
            return directory
        service = self._service
        found = await asyncio.to_thread(service.opened.require, directory)
        if asking.workspaces is not None:
            asking.require_reach((await service.builder.workspace(found)).name)
        return found

    def environment(self, asking: Caller, variables: Mapping[str, str]) -> None:
        """See that a caller may set variables: they can change what runs, outside of any sandbox.

        Raises:
            NotAllowedError: not all of them.
        """
        if asking.is_owner:
            return
        others = sorted(set(variables) - set(self._service.config.access.environment))
        if others:
            raise NotAllowedError(
                f"variables that only the owner of this host sets: {', '.join(others)[:200]}",
                hint="leave them away; or its owner names them in access.environment of node.yaml",
            )

    def isolation(self, asking: Caller, level: str | None) -> None:
        """See that a caller may say at which level tasks run that ask for none, in a configuration
        that nobody kept: at a lower one commands get at the files of the host.

        Raises:
            NotAllowedError: they may keep no configuration, either, and the level is a lower one.
        """
        if level in (None, STRICT) or asking.is_owner or asking.may(Action.MODIFY_CONFIG):
            return
        raise NotAllowedError(
            f"{asking.actor} is no admin, and a configuration of their own says {level!r} of how "
            "far commands are kept apart from the host",
            hint="leave execution.isolation away; or an admin keeps the configuration, and the "
            "build names it",
        )

    async def build(self, asking: Caller, build: str) -> str:
        """Return the id by which to go on of a build that is named by its id or the beginning of
        one: where the caller's key is for some workspaces only, the whole id of one of theirs, as
        the same beginning may be another's in a moment, or on another node.

        Raises:
            NotAllowedError: the key is for others, or it is not known here which it would be.
        """
        return build if asking.workspaces is None else (await self.find(asking, build)).id

    async def find(self, asking: Caller, build: str) -> FoundBuild:
        """Return a build that is named by its id or the beginning of one: of this node, as it runs
        or ran lately, or as recorded, or of another one.

        Raises:
            NotAllowedError: the caller's key is not for it, or nobody knows whether it is.
            NotFoundError: there is none, or there are several.
        """
        running = self._service.builder.find(build)
        if running is not None:
            asking.require_reach(running.workspace.name)
            return running
        try:
            recorded = await self._service.history.build(build)
        except NotFoundError as none:
            return await self._elsewhere(asking, build, none)
        asking.require_reach(recorded.workspace)
        return recorded

    async def _elsewhere(self, asking: Caller, build: str, none: NotFoundError) -> OtherBuild:
        others = self._service.others
        if asking.kind is CallerKind.NODE:  # which asks those itself that it knows of
            raise none
        try:
            found = await others.find(build)
        except NotFoundError:
            asking.require_reach("")
            raise none from None
        if asking.nodes is not None:
            mine = tuple(one for one in found.recorders if one.node_id in asking.nodes)
            if not mine:
                raise KeyElsewhereError(
                    f"{asking.actor}'s key is for other nodes than {found.recorders[0].name}, "
                    "which drove this build",
                    hint="ask an admin for a wider one",
                )
            found = replace(found, recorders=mine)
        if asking.workspaces is not None:
            asking.require_reach((await others.record(found)).data["workspace"])
        return found
