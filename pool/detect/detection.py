"""The workspace that the manifests of npm, yarn or pnpm describe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildnet.pool.detect.build_script import build_script
from buildnet.pool.detect.directory import Files, MemberPaths
from buildnet.pool.detect.install import describe_install, package_manager
from buildnet.pool.detect.links import dependencies_between
from buildnet.pool.detect.local import local_dependencies
from buildnet.pool.detect.manifest import MANIFEST, Manifest, read_manifest
from buildnet.pool.detect.members import Members, member_patterns, read_members
from buildnet.pool.detect.names import distinct_name, unique_names
from buildnet.pool.detect.outputs import detect_outputs, unknown_outputs
from buildnet.pool.detect.scripts import ScriptLine, script_line
from buildnet.pool.detect.surroundings import files_elsewhere, root_configuration
from buildnet.pool.detect.typescript import compilation
from buildnet.pool.glob import escape
from buildnet.pool.workspace import (
    BUILD,
    WORKSPACE_FILE,
    Install,
    Package,
    Task,
    TaskId,
    Workspace,
    WorkspaceError,
)

_TEST = "test"
_VARIABLE = re.compile(r"npm_package_(\w+)")


def declares_packages(directory: Path) -> bool:
    """Return whether the directory is the root of an npm, yarn or pnpm workspace.

    A declaration that cannot be read counts: reading the workspace tells what is wrong with it.
    """
    try:
        manifest = read_manifest(directory, "")
        return manifest is not None and member_patterns(directory, manifest) is not None
    except WorkspaceError:
        return True


def is_buildable(directory: Path) -> bool:
    """Return whether the directory is a package with a build script."""
    manifest = read_manifest(directory, "")
    return manifest is not None and BUILD in manifest.scripts


def detect_workspace(
    root: Path, scripts: Sequence[str] = (_TEST,), *, to_import: bool = False
) -> Workspace | None:
    """Return the workspace that the manifests at ``root`` describe; None if there is none.

    ``scripts`` are those that become tasks besides the build. ``to_import``: another tool's
    configuration says the rest, so that each member is a package, and what turbo.json names as
    outputs need not be all.

    Raises:
        WorkspaceError: manifests that cannot be read, or two packages of one name.
        CycleError: packages that need each other.
    """
    root = root.resolve()
    members = read_members(root)
    if members is None or not (members.declared or BUILD in members.root.scripts):
        return None
    return _Detection(root, members, scripts, to_import=to_import).workspace()


@dataclass(slots=True)
class _Found:
    """What is known of a package before its tasks are made."""

    manifest: Manifest
    build: ScriptLine | None
    outputs: tuple[str, ...] = ()


class _Detection:
    """Gathers a workspace from manifests that have been read."""

    def __init__(
        self, root: Path, members: Members, scripts: Sequence[str], *, to_import: bool
    ) -> None:
        self._root = root
        self._members = members
        self._scripts = scripts
        self._to_import = to_import
        self._files = Files(root)
        self._notes: list[str] = []
        self._shared = (
            *root_configuration(self._files),
            *(one.as_source(root) for one in local_dependencies(root, members)),
        )
        self._manager = package_manager(root, members)
        self._paths = MemberPaths(member.path for member in members.members)
        self._script = build_script(members.root.scripts, members.members)
        self._by_name = {member.name: member.path for member in members.members}

    def workspace(self) -> Workspace:
        """Return the workspace."""
        described = describe_install(self._root, manager=self._manager, members=self._members)
        manifests = self._manifests()
        whole = not any(self._script in manifest.scripts for manifest in manifests.values())
        as_one = whole and BUILD in self._members.root.scripts
        if as_one and not (self._to_import and manifests):
            packages = self._as_one(described.install)
        else:
            packages = self._packages(manifests, described.install)
            if not manifests:
                self._notes.append("no package has both a name and a package.json")
            elif whole and not self._to_import:
                self._notes.append("no package has a build script, so there is nothing to run")
            elif self._script != BUILD:
                self._notes.append(f"packages are built by their script {self._script}")
            elif BUILD in self._members.root.scripts:
                self._notes.append(
                    "the root's own build script is not run: each package's is run by itself"
                )
        return Workspace(
            name=self._name(),
            root=self._root,
            file=None,
            packages=packages,
            install=described.install,
            notes=(*self._notes, *described.notes),
            definition_files=tuple(
                dict.fromkeys(
                    (
                        WORKSPACE_FILE,
                        *self._members.files,
                        *described.files,
                        *self._files.looked_at(),
                    )
                )
            ),
        )

    def _name(self) -> str:
        return distinct_name(self._members.root.name or self._root.name)

    def _manifests(self) -> dict[str, Manifest]:
        """Return the members by name."""
        return unique_names(self._members.members, lambda one: one.name, MANIFEST, self._notes)

    def _as_one(self, install: Install | None) -> dict[str, Package]:
        """Return the root as the only package, which builds all that is below it."""
        root = self._members.root
        found = self._found(root)
        outputs = dict.fromkeys(found.outputs)
        command = found.build.command if found.build else ""
        for member in self._members.members:
            compiled = compilation(self._files, member.path, "")
            written = detect_outputs(self._files, member, command, compiled, script=BUILD)
            outputs.update(dict.fromkeys(written))
        if self._members.members:
            self._notes.append(
                "the packages have no build scripts of their own: the root's builds them as one"
            )
        found.outputs = tuple(one for one in outputs if not self._swallows_member(one))
        name = self._name()
        return {name: self._package(name, found, (), install)}

    def _swallows_member(self, output: str) -> bool:
        directory = output.removesuffix("/**")
        return directory == self._paths.holding(directory) or bool(self._paths.below(directory))

    def _packages(
        self, manifests: Mapping[str, Manifest], install: Install | None
    ) -> dict[str, Package]:
        edges, notes = dependencies_between(manifests)
        self._notes += notes
        return {
            name: self._package(name, self._found(manifest), edges[name], install)
            for name, manifest in manifests.items()
        }

    def _script_of(self, manifest: Manifest) -> str:
        return self._script if manifest.path else BUILD

    def _found(self, manifest: Manifest) -> _Found:
        script = self._script_of(manifest)
        build = script_line(manifest.scripts, script)
        if build is None:
            return _Found(manifest, None)
        compiled = compilation(self._files, manifest.path, build.command)
        by = None if self._to_import else script
        outputs = detect_outputs(self._files, manifest, build.command, compiled, script=by)
        if not outputs and not self._to_import:  # it may say so itself
            self._notes.append(unknown_outputs(manifest.path))
        if build.managers:
            where = manifest.path or "the root"
            managers = ", ".join(build.managers)
            self._notes.append(f"{where}: its build script starts {managers}, which is slow")
        return _Found(manifest, build, outputs)

    def _package(
        self, name: str, found: _Found, dependencies: tuple[str, ...], install: Install | None
    ) -> Package:
        manifest = found.manifest
        path = manifest.path
        others = {
            script: line
            for script in dict.fromkeys((_TEST, *self._scripts))
            if script not in {self._script_of(manifest), BUILD}
            and (line := script_line(manifest.scripts, script)) is not None
        }
        known = (found.build, others.get(_TEST))
        lines = " ; ".join(line.command for line in known if line)
        builds = tuple(TaskId(one, BUILD) for one in dependencies)
        task = Task(
            package=name,
            name=BUILD,
            command=found.build.command if found.build else None,
            path=path,
            depends_on=builds,
            sources=self._sources(path, lines, dependencies),
            exports=(),
            exports_sources=True,
            outputs=found.outputs,
            tools=_tools(found.build),
            env=_environment(manifest, self._script_of(manifest), found.build),
            env_paths=self._path_variables(path) if lines else {},
            path_entries=_path_entries(path) if lines else (),
            transitive=bool(lines),  # a package's imports lead to the imports of what it imports
            dependencies_tree=install is not None,
        )
        tasks = {BUILD: task}
        for script in self._scripts:
            if script in others:
                line = others[script]
                seen = script == _TEST  # its line is among those that the sources are of
                more = () if seen else self._sources(path, line.command, dependencies)
                own = (task.id,) if found.build and script == _TEST else ()
                tasks[script] = replace(
                    task,
                    name=script,
                    command=line.command,
                    depends_on=(*own, *builds),
                    sources=tuple(dict.fromkeys((*task.sources, *more))),
                    exports=None,
                    exports_sources=False,
                    outputs=(),
                    tools=_tools(line),
                    env={**task.env, **_environment(manifest, script, line)},
                    env_paths=self._path_variables(path),
                    path_entries=_path_entries(path),
                    transitive=True,
                )
        return Package(name, path, dependencies, tasks)

    def _path_variables(self, path: str) -> dict[str, str]:
        """Return the variables with which package managers tell scripts where things are."""
        found = {"INIT_CWD": "", "npm_package_json": f"{path}/{MANIFEST}".lstrip("/")}
        if self._manager == "pnpm":  # where it hoists to, so that its commands find each other
            found["NODE_PATH"] = "node_modules/.pnpm/node_modules"
        return found

    def _sources(self, path: str, command: str, dependencies: tuple[str, ...]) -> tuple[str, ...]:
        """Return the sources besides the package's own files, and what is not its own."""
        nested = self._paths.below(path) if path else ()
        excluded = tuple(f"!{escape(one)}" for one in nested)
        if not command:
            return excluded
        reads = compilation(self._files, path, command).reads
        beyond = files_elsewhere(self._files, path, command, reads, self._paths) if path else ()
        seen = {self._by_name[one] for one in dependencies}
        beyond = tuple(one for one in beyond if self._paths.holding(one) not in seen)
        shared = self._shared if path else ()
        return tuple(dict.fromkeys((*shared, *beyond, *excluded)))


def _tools(line: ScriptLine | None) -> tuple[str, ...]:
    if line is None:
        return ()
    extra = {"npx": "npm", "pnpx": "pnpm"}
    return tuple(dict.fromkeys(("node", *(extra.get(one, one) for one in line.managers))))


def _path_entries(path: str) -> tuple[str, ...]:
    own = f"{path}/node_modules/.bin" if path else ""
    return (own, "node_modules/.bin") if own else ("node_modules/.bin",)


def _environment(manifest: Manifest, event: str, line: ScriptLine | None) -> dict[str, str]:
    """Return the npm_* variables: those that most scripts use, and those that this one names."""
    if line is None:
        return {}
    found = {
        "npm_lifecycle_event": event,
        "npm_package_name": manifest.name or "",
        "npm_package_version": manifest.version,
    }
    for name in _VARIABLE.findall(line.command):
        value: object = manifest.data
        for part in name.split("_"):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            found[f"npm_package_{name}"] = value
    return found
