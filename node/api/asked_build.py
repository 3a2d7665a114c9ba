"""A request for a build as the API takes it, and what it means on this node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from buildnet.node.api.queue_routes import PriorityName
from buildnet.node.api.reach import Reach
from buildnet.node.auth.caller import Caller
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.choosing import Named, chosen
from buildnet.node.execute.isolation import WORKSPACE
from buildnet.node.git_changes import MOST_REVISION_CHARACTERS
from buildnet.node.running import BuildRequest
from buildnet.node.service import NodeService
from buildnet.node.since import since
from buildnet.pool.configuration import MOST_RUNS
from buildnet.pool.schema import MOST_RETRIES

MOST_WAIT_S = 7 * 24 * 3600
_USUAL = BuildRequest(Path())
"""What is built where nobody says how."""


class PackageBuildBody(BaseModel):
    """A request for a build of one package. ``root`` is a directory in the workspace, on this host.
    With the ``detail`` ``changed`` the report only counts the packages that stand as before; with
    ``explain`` it names the nearest cached result of each package that has to be built;
    ``local_only``: nothing of other nodes is used; ``durable``: another node has the request before
    anything runs, and goes on if this one is lost; ``wait_s``: it waits so long until it has all
    that its configuration asks for of other nodes, and keeps it to its end. ``config_id`` names a
    configuration; ``configuration`` is one itself, which is kept nowhere; ``template`` makes one of
    its ``variables``; ``profile`` says how it is spread.
    What they say of packages and task counts where the request says nothing; so does their
    priority.
    ``since``: only what differs from a revision of the workspace's git repository, and what depends
    on that.
    ``verify``: each command that runs runs so many times, and the outputs are compared.
    ``retry``: what fails runs so many times again, builds apart.
    ``trace_inputs``: all commands run, on this host and where the workspace stands, and what they
    read is told beside what they declare; only the owner of the host may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    task: str = _USUAL.task
    force: bool = _USUAL.force
    dry_run: bool = _USUAL.dry_run
    keep_going: bool = _USUAL.keep_going
    local_only: bool = _USUAL.local_only
    durable: bool = _USUAL.durable
    wait_s: float | None = Field(default=_USUAL.wait_s, gt=0, le=MOST_WAIT_S)
    priority: PriorityName | None = None
    config_id: str | None = None
    configuration: dict[str, Any] | None = None
    template: str | None = None
    variables: dict[str, bool | int | float | str] = Field(default_factory=dict)
    profile: str | None = None
    explain: bool = _USUAL.explain
    verify: int | None = Field(default=None, ge=2, le=MOST_RUNS)
    retry: int = Field(default=_USUAL.retries, ge=0, le=MOST_RETRIES)
    trace_inputs: bool = _USUAL.trace_inputs
    environment: dict[str, str] = Field(default_factory=dict)
    actor: str = _USUAL.actor
    since: str | None = Field(default=None, max_length=MOST_REVISION_CHARACTERS)
    detail: Literal["all", "changed"] = "all"

    def of_package(self, name: str) -> BuildBody:
        """Return the request for that package."""
        return BuildBody(**dict(self), packages=(name,))


class BuildBody(PackageBuildBody):
    """A request for a build of ``packages``; without any, of all. The rest is as with
    ``POST /api/build/{name}``."""

    packages: tuple[str, ...] = _USUAL.packages


async def asked_build(
    service: NodeService, reach: Reach, body: BuildBody, asking: Caller
) -> BuildRequest:
    """Return what a caller asks for, with what it names looked up.

    Raises:
        BuildNetError: the caller may not, or there is not what it names.
    """
    directory = await reach.directory(asking, body.root)
    reach.environment(asking, body.environment)
    found = await chosen(
        service,
        Named(
            body.config_id,
            body.template,
            body.variables,
            body.profile,
            body.local_only,
            body.wait_s is not None,
            body.configuration,
        ),
        directory,
    )
    choice, said = found.choice, found.build
    if body.configuration is not None:
        reach.isolation(asking, choice.isolation)
    if body.priority is not None:
        choice = replace(choice, priority=body.priority)
    traces = body.trace_inputs and not body.dry_run
    if traces:
        if not asking.is_owner:
            raise NotAllowedError(
                "only the owner of the host has commands run outside of a sandbox",
                hint="trace the inputs on that host itself: buildnet build --trace-inputs",
            )
        choice = replace(choice, isolation=WORKSPACE, local_only=True)
    packages = body.packages or said.packages
    task = said.task or body.task if body.task == _USUAL.task else body.task
    changed = None
    if body.since is not None:
        workspace = await service.builder.workspace(directory)
        changed = await since(workspace, body.since, packages, task)
        packages = changed.wanted
    return BuildRequest(
        directory=directory,
        packages=packages,
        task=task,
        force=body.force or said.force or traces,
        dry_run=body.dry_run,
        keep_going=body.keep_going or said.keep_going,
        local_only=body.local_only or choice.local_only,
        durable=body.durable,
        wait_s=None if body.dry_run else body.wait_s,
        explain=body.explain,
        times=1 if traces else body.verify or choice.redundancy,
        retries=body.retry,
        trace_inputs=traces,
        environment=body.environment,
        actor=asking.name(body.actor),
        choice=choice,
        since=changed,
    )
