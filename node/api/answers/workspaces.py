"""Workspaces, the graph of a build's tasks, and what these made."""

from __future__ import annotations

from typing import Literal

from buildnet.node.api.answers.answer import Answer, Page, Success


class WorkspaceTask(Answer):
    """A command of a package; ``sources``: patterns of what it is made from, ``all_files``: besides
    them all files of the package are; ``depends_on``: tasks such as ``core`` or ``core#test``."""

    name: str
    command: str | None
    depends_on: list[str]
    sources: list[str]
    all_files: bool
    outputs: list[str]
    tools: list[str]


class WorkspacePackage(Answer):
    """A package: its ``command`` and ``outputs`` are those of its build."""

    name: str
    path: str
    dependencies: list[str]
    tasks: list[str]
    command: str | None
    outputs: list[str]
    details: list[WorkspaceTask]


class WorkspaceFinding(Answer):
    """Something of another tool's configuration that could not be taken over: where it stands, what
    it is, and what to do."""

    file: str
    line: int | None
    message: str
    hint: str | None


class Workspace(Answer):
    """What a workspace is; ``yaml``: the same as a file. ``findings``: of an import."""

    name: str
    root: str
    file: str | None
    packages: list[WorkspacePackage]
    install: str | None
    notes: list[str]
    findings: list[WorkspaceFinding]
    yaml: str


class KnownWorkspace(Answer):
    """A workspace that can be built here; ``problem``: why it can't, and then its ``name`` and how
    many ``packages`` it has are null. ``problem_kind``: ``gone``, its directory is not there any
    more, or ``unreadable``."""

    root: str
    name: str | None
    packages: int | None
    problem: str | None
    problem_kind: Literal["gone", "unreadable"] | None


class ForgottenWorkspace(Success):
    """A workspace that others build no more."""

    root: str


class KnownWorkspaces(Page):
    """Those of this host."""

    workspaces: list[KnownWorkspace]


class GraphTask(Answer):
    """A task of a build; ``path``: where its package is in the workspace, null: not there any
    more, or on another host; ``depends_on``: as of ``packages`` in the build's report."""

    name: str
    task: str
    path: str | None
    depends_on: list[str]


class BuildGraph(Answer):
    """The tasks that a build means. ``complete`` false: of a build in the record those are there
    that it came to."""

    build_id: str
    workspace: str
    complete: bool
    tasks: list[GraphTask]


class Artifact(Answer):
    """A file that a task made; ``target``: of a link, which has no digest and no size."""

    path: str
    digest: str | None
    size_bytes: int | None
    executable: bool
    target: str | None


class TaskArtifacts(Answer):
    """What a task made: ``count`` files of together ``size_bytes``, of which ``files`` are the
    first; ``problem``: why that is not known here, and then they are null."""

    name: str
    task: str
    action: str
    count: int | None
    size_bytes: int | None
    files: list[Artifact]
    problem: str | None


class BuildArtifacts(Page):
    """What the tasks of a build made or got."""

    build_id: str
    tasks: list[TaskArtifacts]
