"""What a node watches by itself, as its owner's words have it, and for others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.mesh.errors import BuildNetError
from buildnet.node.auto_build import watches
from buildnet.node.auto_build.own import OwnWatches, Wanted
from buildnet.node.auto_build.sight import Pace
from buildnet.node.auto_build.watches import TooManyWatchesError, Watches
from buildnet.node.config import parse_config
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.workspaces import Workspaces


def wanted_by(text: str) -> Wanted:
    config = parse_config(text, "node.yaml")
    return Wanted.of(config.watch, config.auto_build)


def test_what_node_yaml_says_is_what_is_wanted() -> None:
    directories = "watch: {directories: [/srv/shop], debounce_ms: 100}\n"
    prepared = wanted_by(directories)
    assert (prepared.directories, prepared.builds) == ((Path("/srv/shop"),), False)
    assert (prepared.pace.debounce_s, prepared.pace.delay_s) == (0.1, 0.0)
    built = wanted_by(f"{directories}auto_build: {{enabled: true, priority_paths: [core]}}")
    assert (built.builds, built.at_once) == (True, 3)
    assert (built.pace.delay_s, built.pace.priority) == (2.0, ("core",))
    neither = "watch: {directories: [/srv/shop], preemptive_prepare: false}"
    assert wanted_by(neither).directories == ()
    with pytest.raises(BuildNetError, match="exclude_patterns"):
        wanted_by("watch: {exclude_patterns: ['{1..99999}']}")


def test_those_that_are_wanted_are_watched_and_no_others(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("one", "two", "missing")]
    for root in roots[:2]:
        name = root.name
        text = f"workspace: {name}\npackages: [{{name: p, path: p, build_cmd: 'true'}}]\n"
        write_files(root, {"buildnet.yaml": text, "p/x": ""})
    asked: asyncio.Queue[BuildRequest] = asyncio.Queue()

    async def start(request: BuildRequest) -> RunningBuild:
        asked.put_nowait(request)
        raise BuildNetError("nothing is built here")

    async def run() -> None:
        own = OwnWatches(Workspaces(tmp_path / "cookies"), start)
        running = asyncio.ensure_future(own.run())
        own.follow(lambda: Wanted(tuple(roots), builds=True))
        requests = [await asked.get(), await asked.get()]
        assert {each.directory for each in requests} == set(roots[:2])
        assert {(each.actor, each.choice.priority) for each in requests} == {("auto-build", "low")}
        own.follow(lambda: Wanted((roots[1],)))
        request = await asked.get()
        assert (request.directory, request.dry_run) == (roots[1], True)
        running.cancel()
        await asyncio.wait([running])
        assert asked.empty()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_who_wants_what_is_watched_joins_where_no_more_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "MOST_WATCHES", 1)
    text = "workspace: w\npackages: [{name: p, path: p, build_cmd: 'true'}]\n"
    request = BuildRequest(write_files(tmp_path / "w", {"buildnet.yaml": text, "p/x": ""}))

    async def start(request: BuildRequest) -> RunningBuild:
        raise BuildNetError("nothing is built here")

    async def begin(watches: Watches, *, builds: bool = False) -> AsyncGenerator[bytes]:
        lines = await watches.open(request, Pace(), builds=builds, every=False)
        assert isinstance(lines, AsyncGenerator)
        return lines

    async def run() -> None:
        all_watches = Watches(Workspaces(tmp_path / "cookies"), start)
        running = asyncio.ensure_future(all_watches.run())
        first = await begin(all_watches)
        assert json.loads(await anext(first))["viewers"] == 1
        with pytest.raises(TooManyWatchesError):
            await begin(all_watches, builds=True)
        second = await begin(all_watches)
        assert json.loads(await anext(second))["viewers"] == 2
        await second.aclose()
        await first.aclose()
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(asyncio.wait_for(run(), 60))
