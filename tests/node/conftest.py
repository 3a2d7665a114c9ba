"""Fixtures of the sandbox's tests: each runs once for every way that this host is to have. And of
those of people, who ask a node, and of those that need a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.node.people import Around, Check, Node, running
from tests.node.strict_host import StrictHost, running_launcher, strict_host, ways

from buildnet.node.execute.launcher.client import Launcher
from buildnet.node.execute.removal import remove_tree
from buildnet.node.store.store import Store


@pytest.fixture(scope="module", params=ways())
def launcher(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher]:
    with running_launcher(request.param, tmp_path_factory.mktemp("sandbox")) as launcher:
        yield launcher


@pytest.fixture
def host(tmp_path: Path, launcher: Launcher) -> Iterator[StrictHost]:
    with strict_host(tmp_path, launcher) as host:
        yield host
    remove_tree(tmp_path / "work")  # pytest could not, where directories nest deep


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 1 << 30) as opened:
        yield opened


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(work: Callable[[Node, Around], Awaitable[None]]) -> None:
        async def whole() -> None:
            around = Around()
            async with running(tmp_path / "access.db", around) as node:
                await work(node, around)

        asyncio.run(asyncio.wait_for(whole(), 30))

    return run
