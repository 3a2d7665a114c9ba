"""One workspace that is built as it changes: what its builds take in, and what they miss."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.mesh.errors import NotFoundError
from buildnet.node.auto_build.sight import Pace
from buildnet.node.auto_build.watch import Watch, finder
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.build import Status
from buildnet.pool.warrant import SALT_BYTES, Warrant

WITH_APP = """
workspace: shop
packages:
  - {name: core, path: core, build_cmd: make}
  - {name: app, path: app, build_cmd: make}
"""
WITHOUT_APP = WITH_APP.rpartition("  - ")[0]
PATIENCE_S = 20.0


@dataclass
class Shop:
    """A workspace that is watched, and the builds of it that began."""

    root: Path
    opened: OpenWorkspace
    watch: Watch
    builds: asyncio.Queue[RunningBuild] = field(default_factory=asyncio.Queue)
    refused: asyncio.Queue[NotFoundError] = field(default_factory=asyncio.Queue)

    async def began(self) -> RunningBuild:
        async with asyncio.timeout(PATIENCE_S):
            return await self.builds.get()

    def looks(self, build: RunningBuild) -> None:
        self.opened.look(build.listeners)
        for path in ("core", "app"):
            self.opened.watch(path)
        self.opened.watch_definition()


@asynccontextmanager
async def watched(directory: Path, *packages: str) -> AsyncIterator[Shop]:
    root = write_files(directory / "shop", {"buildnet.yaml": WITH_APP, "core/a": "", "app/a": ""})
    workspaces = Workspaces(directory / "cookies")
    opened, numbers = workspaces.find(root), itertools.count()

    async def start(request: BuildRequest) -> RunningBuild:
        definition = workspaces.find(root).definition
        try:
            opened.plan(definition.workspace, request.packages, request.task)
        except NotFoundError as error:
            shop.refused.put_nowait(error)
            raise
        warrant = Warrant(bytes(32), next(numbers).to_bytes(SALT_BYTES))
        build = RunningBuild(warrant.build, definition, request, 0.0, "n", warrant)
        shop.builds.put_nowait(build)
        return build

    request = BuildRequest(root, packages=packages)
    pace = Pace(debounce_s=0.0)
    watch = Watch(opened, request, pace, builds=True, find=finder(workspaces, root), start=start)
    shop = Shop(root, opened, watch)
    watch.join()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        try:
            yield shop
        finally:
            watch.close()
    workspaces.close()


def test_what_changes_right_after_a_look_is_built(tmp_path: Path) -> None:
    async def main() -> None:
        async with watched(tmp_path) as shop:
            build = await shop.began()
            shop.looks(build)
            if shop.opened.not_watched is not None:
                pytest.skip(shop.opened.not_watched)
            # All of it before anybody is told of the first change.
            write_files(shop.root, {"core/a": "1"})
            shop.opened.look(build.listeners)
            write_files(shop.root, {"core/a": "2"})
            build.close(Status.SUCCEEDED, 1.0, None)
            again = await shop.began()
            shop.looks(again)
            again.close(Status.SUCCEEDED, 1.0, None)

    asyncio.run(main())


def test_a_package_that_is_described_no_more_is_built_once_it_is_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with watched(tmp_path, "app") as shop:
            build = await shop.began()
            shop.looks(build)
            if shop.opened.not_watched is not None:
                pytest.skip(shop.opened.not_watched)
            build.close(Status.SUCCEEDED, 1.0, None)
            write_files(shop.root, {"buildnet.yaml": WITHOUT_APP})
            async with asyncio.timeout(PATIENCE_S):
                await shop.refused.get()
            write_files(shop.root, {"buildnet.yaml": WITH_APP})
            again = await shop.began()
            again.close(Status.SUCCEEDED, 1.0, None)

    asyncio.run(main())
