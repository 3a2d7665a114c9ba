"""``buildnet init --from nx``: the workspace that nx.json and its projects' files describe."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from buildnet.pool.detect.detection import detect_workspace
from buildnet.pool.detect.install import describe_install, package_manager
from buildnet.pool.detect.members import read_members
from buildnet.pool.detect.names import distinct_name
from buildnet.pool.importing.foreign import AT_ROOT, DEFAULT, Foreign, ForeignTask, Said
from buildnet.pool.importing.imported import Findings, Imported
from buildnet.pool.importing.nx_command import command_line
from buildnet.pool.importing.nx_file import (
    NX_FILE,
    PROJECT_FILE,
    RUN_COMMANDS,
    RUN_SCRIPT,
    NxProject,
    NxTarget,
    Place,
    read_projects,
)
from buildnet.pool.importing.settings_file import SettingsFile, read_settings
from buildnet.pool.importing.takeover import TakeOver
from buildnet.pool.workspace import (
    BUILD,
    WORKSPACE_FILE,
    Package,
    Task,
    Workspace,
    WorkspaceError,
)

_ALWAYS = frozenset({BUILD, "test"})
_READ_BY_NX = ("externalDependencies", "dependentTasksOutputFiles", "json")


def import_nx(root: Path) -> Imported:
    """Return the workspace at ``root`` as the files of nx have it.

    Raises:
        WorkspaceError: no nx.json, no project, or one of the files is wrong.
        CycleError: packages that need each other.
    """
    root = root.resolve()
    nx = read_settings(root, NX_FILE)
    if nx is None:
        raise WorkspaceError(f"{root} has no {NX_FILE}", hint="run it where nx.json is")
    members = read_members(root)
    listed = members.members if members is not None else ()
    projects = read_projects(root, {one.name or one.path: one.path for one in listed})
    if not projects:
        raise WorkspaceError(
            f"{root} has no project: neither a {PROJECT_FILE} nor a member with a package.json",
            hint="run it at the root of the workspace that nx builds",
        )
    scripts = dict.fromkeys(one for project in projects for one in project.scripts)
    workspace = detect_workspace(root, tuple(scripts), to_import=True)
    return _Import(root, nx, projects, workspace).result()


class _Import:
    """Puts what nx says of each target in the words of any tool."""

    def __init__(
        self, root: Path, nx: SettingsFile, projects: tuple[NxProject, ...], found: Workspace | None
    ) -> None:
        self._nx = nx
        self._projects = projects
        self._names = {
            alias: one.name for one in projects for alias in (one.called, one.name) if alias
        }
        self._findings = Findings()
        self._workspace = self._with_projects(root, found)
        operations = nx.texts("tasksRunnerOptions", "default", "options", "cacheableOperations")
        self._cached = frozenset(operations or ())

    def result(self) -> Imported:
        """Return the workspace and what is to be told of it."""
        self._tell_plugins()
        files = (file.where for one in self._projects for file in one.files)
        own = (one for one in files if one.endswith(PROJECT_FILE))
        foreign = Foreign(
            tool="nx",
            file=NX_FILE,
            files=(NX_FILE, *own),
            tasks={project.name: dict(self._tasks(project)) for project in self._projects},
        )
        return TakeOver(self._workspace, foreign, self._findings).result()

    def _with_projects(self, root: Path, found: Workspace | None) -> Workspace:
        """Return the workspace with the projects that have no package.json."""
        if found is None:
            members = read_members(root)
            install = (
                describe_install(
                    root, manager=package_manager(root, members), members=members
                ).install
                if members is not None
                else None
            )
            name = distinct_name(root.name)
            found = Workspace(name, root, None, {}, install, definition_files=(WORKSPACE_FILE,))
        packages = dict(found.packages)
        for project in self._projects:
            if project.name not in packages:
                packages[project.name] = self._plain(project, found)
        known = dict(packages)
        for project in self._projects:
            meant = (self._names.get(one.text, "") for one in project.needs)
            needed = [one for one in meant if one in known and one != project.name]
            for said in project.needs:
                if said.text not in self._names and not said.text.startswith("!"):
                    hint = "name it in dependencies of buildnet.yaml, if it is needed"
                    self._findings.tell(said.problem(f"there is no project {said.text!r}", hint))
            if needed:
                package = known[project.name]
                more = dict.fromkeys((*package.dependencies, *needed))
                packages[project.name] = replace(package, dependencies=tuple(more))
        return replace(found, packages=packages)

    def _plain(self, project: NxProject, found: Workspace) -> Package:
        message = f"{project.name}: what it needs of other projects is in no file, nx reads imports"
        place = Place(project.files[0], ())
        hint = "name them in dependencies of buildnet.yaml; nx graph shows them"
        self._findings.tell(place.said("").problem(message, hint))
        build = Task(
            package=project.name,
            name=BUILD,
            command=None,
            path=project.path,
            exports=(),
            exports_sources=True,
            tools=("node",),
            path_entries=("node_modules/.bin",),
            sources=("*.json",),
            transitive=True,
            dependencies_tree=found.install is not None,
        )
        return Package(project.name, project.path, (), {BUILD: build})

    def _tell_plugins(self) -> None:
        listed = self._nx.value("plugins")
        for index, plugin in enumerate(listed if isinstance(listed, list) else ()):
            name = plugin.get("plugin") if isinstance(plugin, dict) else plugin
            place = Place(self._nx, ("plugins", index))
            self._findings.tell(
                place.said("").problem(
                    f"the targets that {name} infers are in no file and are not taken over",
                    "see them with: nx show project NAME; those that you need, write as tasks",
                )
            )

    def _tasks(self, project: NxProject) -> Iterator[tuple[str, ForeignTask]]:
        for target in project.targets(self._nx):
            if self._is_wanted(target):
                task = self._task(project, target)
                if task is not None:
                    yield target.name, task

    def _is_wanted(self, target: NxTarget) -> bool:
        """Return whether a target is a task here: what nx keeps, builds and tests."""
        cache = target.value("cache")
        kept = cache is True or target.name in self._cached
        return kept or target.name in _ALWAYS

    def _task(self, project: NxProject, target: NxTarget) -> ForeignTask | None:
        layers = target.layers
        first = layers[0] if layers else Place(self._nx, ())
        name = first.said(f"{project.name}#{target.name}")
        command, in_place = self._command(project, target, name)
        if command is None and not target.script:
            return None
        inputs, env = self._inputs(project, target)
        return ForeignTask(
            name=name,
            depends_on=tuple(self._needs(project, target)),
            inputs=inputs,
            outputs=tuple(self._outputs(project, target)) if target.find("outputs") else None,
            env=env,
            ends=target.value("continuous") is not True,
            command=command,
            tools=("node",) if command is not None else (),
            in_place=in_place,
        )

    def _command(self, project: NxProject, target: NxTarget, name: Said) -> tuple[str | None, bool]:
        """Return the command of a target, None for its script, and whether only nx can run it."""
        executor, options = target.value("executor"), target.options
        shorthand = target.value("command")
        if isinstance(shorthand, str):
            executor, options = RUN_COMMANDS[0], {**options, "command": shorthand}
        if executor is None or executor in RUN_SCRIPT:
            script = options.get("script")
            if isinstance(script, str) and script != target.name:
                message = f"{target.name} runs the script {script}"
                self._findings.tell(name.problem(message, f"name the target {script}, too"))
            return None, False
        if executor in RUN_COMMANDS:
            line = command_line(project, options)
            if line is not None:
                return line, False
        message = f"{name.text}: {executor} runs in nx alone, so the task sees the whole workspace"
        hint = "write its cmd without nx and remove isolation: workspace"
        self._findings.tell(name.problem(message, hint))
        return f"nx run {shlex.quote(f'{project.name}:{target.name}')}", True

    def _needs(self, project: NxProject, target: NxTarget) -> Iterator[Said]:
        place = target.find("dependsOn")
        listed = place.value if place is not None else None
        for index, one in enumerate(listed if isinstance(listed, list) else ()):
            assert place is not None
            at = place.below(index)
            if isinstance(one, str):
                owner, separator, other = one.partition(":")
                known = separator and owner in self._names
                yield at.said(f"{self._names[owner]}#{other}" if known else one)
            elif isinstance(one, dict) and isinstance(name := one.get("target"), str):
                projects = one.get("projects")
                if one.get("dependencies") is True or projects == "dependencies":
                    yield at.said(f"^{name}")
                elif projects in (None, "self", "{self}"):
                    yield at.said(name)
                else:
                    several = projects if isinstance(projects, list) else [projects]
                    names = (self._names.get(str(each), each) for each in several)
                    yield from (at.said(f"{each}#{name}") for each in names)

    def _inputs(
        self, project: NxProject, target: NxTarget
    ) -> tuple[tuple[Said, ...] | None, tuple[Said, ...]]:
        place = target.find("inputs")
        if place is None:
            return None, ()
        files: dict[Said, None] = {}
        env: dict[Said, None] = {}
        named = project.named_inputs(self._nx)

        seen: set[str] = set()

        def visit(at: Place) -> None:
            listed = at.value
            for index, one in enumerate(listed if isinstance(listed, list) else ()):
                here = at.below(index)
                text: object = one
                if isinstance(one, dict):
                    text = one.get("fileset", one.get("input"))
                if isinstance(one, dict) and isinstance(one.get("env"), str):
                    env[here.said(one["env"])] = None
                elif isinstance(text, str) and text in named:
                    if text not in seen and not (isinstance(one, dict) and one.get("dependencies")):
                        seen.add(text)
                        visit(named[text])
                elif isinstance(text, str) and (pattern := _relative(project, text)) is not None:
                    files[here.said(pattern)] = None
                elif not _is_of_others(one):
                    message = f"{target.name}: the input {one!r} is not taken over"
                    hint = "name files in extra_sources, variables in env_inherit"
                    self._findings.tell(here.said("").problem(message, hint))

        visit(place)
        return tuple(files), tuple(env)

    def _outputs(self, project: NxProject, target: NxTarget) -> Iterator[Said]:
        place = target.find("outputs")
        listed = place.value if place is not None else None
        for index, one in enumerate(listed if isinstance(listed, list) else ()):
            assert place is not None
            if not isinstance(one, str):
                continue
            text = one.replace("{projectName}", project.name)
            if text.startswith("{options."):
                value = target.options.get(text.removeprefix("{options.").partition("}")[0])
                if not isinstance(value, str):
                    continue  # an option that is not given: nothing is written there
                text = f"{{workspaceRoot}}/{value}"
            excluded = "!" if text.startswith("!") else ""
            text = text.removeprefix("!")
            if not text.startswith("{"):
                text = f"{{workspaceRoot}}/{text.lstrip('/')}"
            pattern = _relative(project, text)
            if pattern is not None:
                yield place.below(index).said(f"{excluded}{pattern}")


def _relative(project: NxProject, text: str) -> str | None:
    """Return a pattern with tokens as one of any tool; None for names that mean something else."""
    excluded = "!" if text.startswith("!") else ""
    bare = text.removeprefix("!")
    if bare in {"{projectRoot}", "{projectRoot}/**/*", "{projectRoot}/**"} and not excluded:
        return DEFAULT
    if bare == "{projectRoot}":
        return f"{excluded}**"
    if bare.startswith("{projectRoot}/"):
        return excluded + bare.removeprefix("{projectRoot}/")
    if bare.startswith("{workspaceRoot}/"):
        at = bare.removeprefix("{workspaceRoot}/").replace("{projectRoot}", project.path)
        below = f"{project.path}/"
        own = at.startswith(below) and bool(project.path)
        return excluded + (at.removeprefix(below) if own else f"{AT_ROOT}{at}")
    return None


def _is_of_others(one: object) -> bool:
    """Return whether an input is what dependencies show anyway, or what nx alone reads."""
    if isinstance(one, str):
        return one.startswith("^") or one in {"default", "production"}
    return isinstance(one, dict) and (
        any(key in one for key in _READ_BY_NX) or bool(one.get("dependencies"))
    )
