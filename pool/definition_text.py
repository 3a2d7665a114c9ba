"""Writing ``buildnet.yaml``: the text that reads back as the same workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as SafeDumper
except ImportError:  # PyYAML was built without its library
    from yaml import SafeDumper  # type: ignore[assignment]

from buildnet.pool.detect.install import describe_install
from buildnet.pool.quantity import bytes_text
from buildnet.pool.requirements import Requirements
from buildnet.pool.task_definition import written_needs
from buildnet.pool.workspace import BUILD, DEFAULT_SOURCES, Package, Task, Workspace
from buildnet.pool.yaml_document import needs_quotes

_HEAD = """\
# What is built here, and from what. Paths are relative to this file's directory; a command runs in
# its package's path. Written by `buildnet init`; yours to change.
"""


def write_workspace(workspace: Workspace) -> str:
    """Return the text of a ``buildnet.yaml`` for the workspace: only what is not the default."""
    top = _Block(workspace=workspace.name)
    if workspace.description:
        top["description"] = workspace.description
    if workspace.install is not None:
        top["install"] = _install(workspace)
    hooks = {"pre_build": workspace.pre_build, "post_build": workspace.post_build}
    if any(hooks.values()):
        top["hooks"] = {key: command for key, command in hooks.items() if command}
    installs = workspace.install is not None
    notes = "".join(f"# Note: {note}\n" for note in workspace.notes)
    parts = [_HEAD, notes, _dump(top), "\npackages:\n"]
    for package in workspace.packages.values():
        item = (
            _dump(_package(package, installs, workspace.packages))
            .replace("\n", "\n    ")
            .rstrip("\n ")
        )
        parts.append(f"  - {item}\n\n")
    return "".join(parts).rstrip("\n") + "\n"


class _Block(dict[str, Any]):
    """A mapping with one key a line, even if all its values are plain."""


class _Compact:
    """Lists and mappings of plain values on one line, except blocks, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _Dumper(_Compact, SafeDumper):
    """By PyYAML's library: three times as fast."""


class _WholeDumper(_Compact, yaml.SafeDumper):
    """For what the library escapes, such as emoji."""


for _each in (_Dumper, _WholeDumper):
    _each.add_representer(
        _Block,
        lambda dumper, block: dumper.represent_mapping(
            "tag:yaml.org,2002:map", block.items(), flow_style=False
        ),
    )
    _each.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style="'" if needs_quotes(text) else None
        ),
    )


def _dump(value: object) -> str:
    text = _dumped(value, _Dumper)
    return _dumped(value, _WholeDumper) if "\\U" in text else text


def _dumped(value: object, dumper: type[_Dumper | _WholeDumper]) -> str:
    return yaml.dump(
        value,
        Dumper=dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=100,
    )


def _install(workspace: Workspace) -> object:
    install = workspace.install
    assert install is not None
    usual = describe_install(workspace.root, manager=install.manager).install
    if usual is not None and usual.command == install.command:
        return install.manager
    return {"manager": install.manager, "command": install.command}


def _package(package: Package, installs: bool, packages: Mapping[str, Package]) -> _Block:
    build = package.tasks[BUILD]
    keys = _Block(name=package.name, path=package.path or ".")
    if build.command is not None:
        keys["build_cmd"] = build.command
    if package.dependencies:
        keys["dependencies"] = list(package.dependencies)
    if needed := written_needs(packages, package, build):
        keys["depends_on"] = needed
    plain = Task(package.name, BUILD, None, package.path, dependencies_tree=installs)
    adding = all(
        task.default_sources == build.default_sources and set(build.sources) <= set(task.sources)
        for task in package.tasks.values()
    )
    keys.update(_sources(build, plain, adding=adding))
    keys.update(_settings(build, plain))
    tasks = _Block(
        {
            task.name: _task(task, build, written_needs(packages, package, task), adding=adding)
            for task in package.tasks.values()
            if task is not build
        }
    )
    if tasks:
        keys["tasks"] = tasks
    return keys


def _task(task: Task, build: Task, needed: list[str], *, adding: bool) -> object:
    keys = _Block(cmd=task.command)
    if needed:
        keys["depends_on"] = needed
    keys.update(_sources(task, build, adding=adding))
    keys.update(_settings(task, build))
    if task.shards is not None:
        keys["shards"] = task.shards
        keys.pop("outputs", None)
        if task.shard_outputs:
            keys["outputs"] = list(task.shard_outputs)
    for key in ("tests", "junit"):
        if getattr(task, key):
            keys[key] = list(getattr(task, key))
    if task.retries:
        keys["retries"] = task.retries
    return task.command if len(keys) == 1 else keys


def _sources(task: Task, inherited: Task, *, adding: bool) -> dict[str, Any]:
    """Return the key of what a task reads besides what it inherits; unless tasks only are
    ``adding`` to what their package reads, each says all that it reads."""
    same = (task.default_sources, task.sources) == (inherited.default_sources, inherited.sources)
    if same:
        return {}
    if adding and task.default_sources:
        added = [one for one in task.sources if one not in inherited.sources]
        return {"extra_sources": added} if added else {}
    own = (DEFAULT_SOURCES,) if task.default_sources else ()
    return {"sources": [*own, *task.sources]}


def _settings(task: Task, inherited: Task) -> dict[str, Any]:
    """Return the keys in which a task differs from what it inherits."""
    keys: dict[str, Any] = {}
    keys.update(_exports(task))
    if task.outputs:
        keys["outputs"] = list(task.outputs)
    if (task.tools, task.tool_versions) != (inherited.tools, inherited.tool_versions):
        keys["tools"] = [
            f"{tool} {task.tool_versions.get(tool, '')}".strip() for tool in task.tools
        ]
    env = _added(task.env, inherited.env)
    if env:
        keys["env"] = env
    inherit = [one for one in task.env_inherit if one not in inherited.env_inherit]
    if inherit:
        keys["env_inherit"] = inherit
    paths = _added(task.env_paths, inherited.env_paths)
    if paths:
        keys["env_paths"] = {name: path or "." for name, path in paths.items()}
    if task.path_entries != inherited.path_entries:
        keys["path_prepend"] = [entry or "." for entry in task.path_entries]
    for key in ("network", "isolation", "transitive", "dependencies_tree"):
        if getattr(task, key) != getattr(inherited, key):
            keys[key] = getattr(task, key)
    return {**keys, **_requirements(task.requirements, inherited.requirements)}


def _requirements(needed: Requirements, inherited: Requirements) -> dict[str, Any]:
    values = {
        "cores": needed.cores if needed.cores != inherited.cores else None,
        "memory": _size(needed.memory_bytes, inherited.memory_bytes),
        "disk": _size(needed.disk_bytes, inherited.disk_bytes),
        "processes": needed.processes if needed.processes != inherited.processes else None,
        "timeout": needed.timeout_s if needed.timeout_s != inherited.timeout_s else None,
        "labels": list(needed.labels or ()) if needed.labels != inherited.labels else None,
        "platform": needed.platform.as_dict()
        if needed.platform is not None and needed.platform != inherited.platform
        else None,
    }
    return {key: value for key, value in values.items() if value is not None}


def _size(needed: int | None, inherited: int | None) -> str | None:
    return None if needed is None or needed == inherited else bytes_text(needed)


def _exports(task: Task) -> dict[str, Any]:
    if task.exports is None:
        return {"exports": "sources"} if task.exports_sources else {}
    if task.exports_sources and not task.exports:
        return {"exports": "sources"}
    return {"exports": [*(("sources",) if task.exports_sources else ()), *task.exports]}


def _added(env: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in env.items() if inherited.get(key) != value}
