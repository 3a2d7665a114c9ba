"""The tasks of one package of ``buildnet.yaml``: what they inherit, and what runs before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.requirements import Requirements
from buildnet.pool.schema import PackageKeys, Settings, TaskKeys
from buildnet.pool.sharding import AUTO, has_number, of_any_shard
from buildnet.pool.wanted_platform import WantedPlatform
from buildnet.pool.workspace import BUILD, DEFAULT_SOURCES, WORKSPACE_FILE, Task, TaskId
from buildnet.pool.yaml_document import YamlPath

_Value = TypeVar("_Value")
_REPOSITORY = frozenset({".git", ".hg", ".svn"})
_SHOWN = 10
UPSTREAM = "^"
"""Before a task's name in ``depends_on``: that of the packages which this one depends on."""


class Checked(Protocol):
    """The definition that the tasks belong to; what is wrong with them is told to it."""

    def patterns(
        self, at: YamlPath, texts: Iterable[str], *, is_read: bool = True
    ) -> tuple[str, ...]:
        """Return the patterns of a list, each checked at its line."""

    def paths(self, at: YamlPath, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the plain paths of a list, each checked at its line."""

    def named_paths(self, at: YamlPath, texts: Mapping[str, str]) -> dict[str, str]:
        """Return the plain paths of a mapping, each checked at its line."""

    def problem_in_task(self, at: YamlPath, message: str, hint: str | None) -> None:
        """Record what is wrong with a task."""


class TaskReader:
    """Makes the tasks of one package; a task inherits what it does not say itself.

    ``packages``: the keys of all packages by name; ``path``: the package's directory.
    """

    def __init__(
        self,
        definition: Checked,
        at: YamlPath,
        keys: PackageKeys,
        packages: Mapping[str, PackageKeys],
        path: str,
        installs: bool,
    ) -> None:
        self._definition = definition
        self._at = at
        self._keys = keys
        self._packages = packages
        self._path = path
        self._installs = installs

    def tasks(self) -> dict[str, Task]:
        """Return the package's build and its other tasks."""
        tasks = {BUILD: self._build()}
        for name, task in self._keys.tasks.items():
            if name == BUILD:
                hint = "write it as the package's build_cmd, outputs and so on"
                at = (*self._at, "tasks", name)
                message = f"{self._keys.name}: build is no task here"
                self._definition.problem_in_task(at, message, hint)
                continue
            tasks[name] = self._other(name, task)
        return tasks

    def _build(self) -> Task:
        keys = self._keys
        outputs = self._outputs(self._at, keys)
        if outputs and keys.build_cmd is None:
            self._definition.problem_in_task(
                (*self._at, "output_dir" if keys.output_dir else "outputs"),
                f"{keys.name} has outputs but no build_cmd that makes them",
                "add build_cmd, or list the files as sources",
            )
        needs = self._needs(BUILD, keys.depends_on, self._at)
        return self._task(BUILD, keys.build_cmd, needs, keys, self._at, outputs)

    def _other(self, name: str, keys: TaskKeys) -> Task:
        at = (*self._at, "tasks", name)
        needs = self._needs(name, keys.depends_on, at)
        junit = self._definition.patterns((*at, "junit"), keys.junit, is_read=False)
        outputs = self._outputs(at, keys)
        outputs += tuple(one for one in junit if one not in outputs)
        tests = self._definition.patterns((*at, "tests"), keys.tests)
        shards = keys.shards if keys.shards is not None or not tests else AUTO
        task = self._task(name, keys.cmd, needs, keys, at, outputs)
        task = replace(task, junit=junit, retries=keys.retries)
        if shards is None:
            return task
        for output in outputs:
            if not has_number(output):
                self._definition.problem_in_task(
                    at,
                    f"{task.id}: {output!r} would be made by each of its shards",
                    f"have each make its own: write {{shard}} into it, such as {_numbered(output)}",
                )
        read = tuple(pattern for pattern in tests if not pattern.startswith("!"))
        return replace(
            task,
            shards=shards,
            tests=tests,
            sources=tuple(dict.fromkeys((*task.sources, *read))),
            outputs=tuple(of_any_shard(output) for output in outputs),
            shard_outputs=outputs,
        )

    def _needs(self, task: str, texts: list[str], at: YamlPath) -> tuple[TaskId, ...]:
        """Return what runs before a task: what it names, and the builds of the packages that this
        one depends on unless it says which of their tasks do."""
        own: list[TaskId] = []
        upstream: list[TaskId] = []
        for number, text in enumerate(texts):
            where = (*at, "depends_on", number)
            if text.startswith(UPSTREAM):
                upstream += self._upstream(task, text.removeprefix(UPSTREAM), where)
                continue
            package, separator, needed = text.rpartition("#")
            found = self._named(task, package if separator else self._keys.name, needed, where)
            own += [] if found is None else [found]
        if not any(text.startswith(UPSTREAM) for text in texts):
            upstream = list(upstream_of(self._packages, self._keys, BUILD))
        return tuple(dict.fromkeys((*own, *upstream)))

    def _upstream(self, task: str, needed: str, at: YamlPath) -> Iterator[TaskId]:
        known = {BUILD, *(name for keys in self._packages.values() for name in keys.tasks)}
        if needed and needed not in known:
            self._unknown(task, at, f"{UPSTREAM}{needed}", "task of any package", needed, known)
        return upstream_of(self._packages, self._keys, needed)

    def _named(self, task: str, package: str, needed: str, at: YamlPath) -> TaskId | None:
        if (package, needed) == (self._keys.name, task):
            others = [one for one in (BUILD, *self._keys.tasks) if one != task]
            hint = f"tasks: {', '.join(others)}" if others else "remove it"
            message = f"{TaskId(package, task)} depends on itself"
            self._definition.problem_in_task(at, message, hint)
            return None
        keys = self._packages.get(package)
        if keys is None:
            self._unknown(task, at, f"{package}#{needed}", "package", package, self._packages)
            return None
        known = (BUILD, *keys.tasks)
        if needed not in known:
            is_own = package == self._keys.name
            text = needed if is_own else f"{package}#{needed}"
            whose = "task of its package" if is_own else f"task of {package}"
            others = [one for one in known if not is_own or one != task]
            self._unknown(task, at, text, whose, needed, others)
            return None
        return TaskId(package, needed)

    def _unknown(
        self, task: str, at: YamlPath, text: str, what: str, wanted: str, known: Iterable[str]
    ) -> None:
        names = sorted(known)
        message = f"{TaskId(self._keys.name, task)} depends on {text!r}, which is no {what}"
        listed = f"{what.partition(' ')[0]}s: {', '.join(names[:_SHOWN])}"
        self._definition.problem_in_task(at, message, did_you_mean(wanted, names) or listed)

    def _outputs(self, at: YamlPath, keys: Settings) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        if keys.output_dir is not None:
            found = self._definition.patterns((*at, "output_dir"), [keys.output_dir], is_read=False)
        found += self._definition.patterns((*at, "outputs"), keys.outputs, is_read=False)
        for output in found:
            if output.startswith("!"):
                self._definition.problem_in_task(
                    (*at, "outputs"),
                    f"{output!r}: outputs cannot exclude",
                    "name the directories and files that the command makes",
                )
            elif output == WORKSPACE_FILE or output.partition("/")[0] in _REPOSITORY:
                self._definition.problem_in_task(
                    (*at, "outputs"),
                    f"{output!r} cannot be an output: a build never makes it",
                    "name the directories and files that the command makes",
                )
        return tuple(dict.fromkeys(found))

    def _task(
        self,
        name: str,
        command: str | None,
        depends_on: tuple[TaskId, ...],
        keys: Settings,
        at: YamlPath,
        outputs: tuple[str, ...],
    ) -> Task:
        package = self._keys
        sources = keys.sources if keys.sources is not None else package.sources
        said_at = at if keys.sources is not None else self._at
        named = [one for one in sources or () if one != DEFAULT_SOURCES]
        patterns = self._definition.patterns((*said_at, "sources"), named)
        for one, where in ((package, self._at), (keys, at)):
            patterns += self._definition.patterns((*where, "extra_sources"), one.extra_sources)
        exports = keys.exports
        shown = [one for one in exports or () if one != "sources"]
        entries = _first(keys.path_prepend, package.path_prepend, [])
        tools = _first(keys.tools, package.tools, [])
        tree = _first(keys.dependencies_tree, package.dependencies_tree, self._installs)
        return Task(
            package=package.name,
            name=name,
            command=command,
            path=self._path,
            depends_on=depends_on,
            sources=tuple(dict.fromkeys(patterns)),
            default_sources=sources is None or DEFAULT_SOURCES in sources,
            exports=None if exports is None else self._definition.patterns((*at, "exports"), shown),
            exports_sources="sources" in (exports or ()),
            outputs=outputs,
            tools=tuple(dict.fromkeys(tool.name for tool in tools)),
            tool_versions={tool.name: tool.version for tool in tools if tool.version is not None},
            env={**package.env, **keys.env},
            env_inherit=tuple(dict.fromkeys((*package.env_inherit, *keys.env_inherit))),
            env_paths={
                **self._definition.named_paths((*self._at, "env_paths"), package.env_paths),
                **self._definition.named_paths((*at, "env_paths"), keys.env_paths),
            },
            path_entries=self._definition.paths((*at, "path_prepend"), entries),
            network=_first(keys.network, package.network, False),
            requirements=_requirements(keys).over(_requirements(package)),
            isolation=keys.isolation or package.isolation,
            transitive=_first(keys.transitive, package.transitive, False),
            dependencies_tree=tree,
        )


def _requirements(keys: Settings) -> Requirements:
    labels = None if keys.labels is None else tuple(dict.fromkeys(keys.labels))
    platform = None if keys.platform is None else WantedPlatform(**keys.platform.model_dump())
    return Requirements(
        keys.cores, keys.memory, keys.disk, keys.processes, keys.timeout, labels, platform
    )


def _first(said: _Value | None, inherited: _Value | None, default: _Value) -> _Value:
    """Return what the task says, else what its package says, else the default."""
    if said is not None:
        return said
    return default if inherited is None else inherited


def _numbered(output: str) -> str:
    stem, dot, suffix = output.rpartition(".")
    return f"{stem}-{{shard}}{dot}{suffix}" if stem and "/" not in suffix else f"{output}/{{shard}}"


class Unit(Protocol):
    """A package, or what a file says of one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dependencies(self) -> Sequence[str]:
        """The packages that it depends on."""

    @property
    def tasks(self) -> Mapping[str, object]:
        """Its tasks by name; a build it has in any case."""


def upstream_of(packages: Mapping[str, Unit], package: Unit, task: str) -> Iterator[TaskId]:
    """Yield the task ``task`` of the packages that one depends on; where a package has none, that
    of those which it depends on itself. No name: none."""
    seen = {package.name}
    waiting = list(reversed(package.dependencies)) if task else []
    while waiting:
        name = waiting.pop()
        unit = packages.get(name)
        if unit is None or name in seen:
            continue
        seen.add(name)
        if task == BUILD or task in unit.tasks:
            yield TaskId(name, task)
        else:
            waiting += reversed(unit.dependencies)


def written_needs(packages: Mapping[str, Unit], package: Unit, task: Task) -> list[str]:
    """Return the ``depends_on`` that reads as what runs before a task of a package."""
    texts = [needed.task for needed in task.depends_on if needed.package == package.name]
    across = dict.fromkeys(each for each in task.depends_on if each.package != package.name)
    builds = dict.fromkeys(upstream_of(packages, package, BUILD))
    if builds.keys() <= across.keys():
        left = across.keys() - builds.keys()
    else:
        left, upstream = set(across), []
        for name in dict.fromkeys(needed.task for needed in across):
            found = set(upstream_of(packages, package, name))
            if found and found <= left:
                left -= found
                upstream.append(f"{UPSTREAM}{name}")
        texts += upstream or [UPSTREAM]
    return [*texts, *(f"{each.package}#{each.task}" for each in across if each in left)]
