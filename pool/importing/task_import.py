"""What a task of another tool reads, writes and takes from the environment."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from buildnet.pool.detect.directory import is_below
from buildnet.pool.detect.scripts import in_sequence
from buildnet.pool.glob import escape, literal_prefix
from buildnet.pool.importing.foreign import AT_ROOT, DEFAULT, Foreign, ForeignTask, Said
from buildnet.pool.importing.imported import (
    Findings,
    is_variable,
    pattern_within,
    readable,
    written,
)
from buildnet.pool.importing.narrowing import Narrowing
from buildnet.pool.territory import Territory
from buildnet.pool.workspace import BUILD, Package, Problem, Task, TaskId


class TaskImport:
    """Takes over task after task; ``said_outputs`` tells where the outputs stand that it took."""

    def __init__(self, territory: Territory, foreign: Foreign, findings: Findings) -> None:
        self._territory = territory
        self._findings = findings
        self._files = foreign.files
        self._narrowed: dict[tuple[Said, str], dict[str, None]] = {}
        self.said_outputs: dict[tuple[TaskId, str], Problem] = {}
        self._shared_env = tuple(self._variables(foreign.env))
        self._shared_sources = tuple(self._patterns("", foreign.sources))

    def taken(self, task: Task, described: ForeignTask, narrowing: Narrowing) -> Task:
        """Return a task with what it reads, writes and takes from the environment."""
        more = self._patterns(task.path, (*(described.inputs or ()), *described.files))
        known = (one for one in task.sources if one not in self._files)  # the other tool reads them
        sources = dict.fromkeys((*known, *self._shared_sources, *more))
        listed = described.inputs
        if listed is not None and not any(one.text == DEFAULT for one in listed):
            left_out = narrowing.left_out(task.name)
            place = listed[0] if listed else described.name
            self._narrowed.setdefault((place, task.name), {}).update(dict.fromkeys(left_out))
            at = (pattern_within(task.path, f"!{escape(one)}/**") for one in left_out)
            sources.update(dict.fromkeys(one for one in at if one is not None))
        variables = self._variables((*described.env, *described.pass_through))
        in_front = (one.text[1:] for one in described.depends_on if one.text.startswith("$"))
        env = (*task.env_inherit, *self._shared_env, *variables, *filter(is_variable, in_front))
        outputs, removed = self._outputs(task, described)
        command = described.command or task.command or ""
        if removed:
            command = in_sequence([command, f"rm -rf {shlex.join(removed)}"])
        return replace(
            task,
            command=command,
            sources=tuple(sources),
            outputs=outputs,
            env_inherit=tuple(dict.fromkeys(env)),
            tools=tuple(dict.fromkeys((*task.tools, *described.tools))),
            isolation="workspace" if described.in_place else task.isolation,
        )

    def tell_narrowed(self) -> None:
        """Tell of the lists of inputs that leave out more than what they say is left out here."""
        for (place, task), left_out in self._narrowed.items():
            shown = ", ".join(f"{one}/" for one in sorted(left_out))
            but = f" but {shown}" if left_out else ""
            message = (
                f"{task}: a command sees nothing but its inputs here, so these are all files of "
                f"the package{but}, not only those listed"
            )
            self._findings.tell(place.problem(message, "narrow its sources if it needs less"))

    def _patterns(self, path: str, listed: Iterable[Said]) -> Iterable[str]:
        """Yield what is read besides a package's own files, and what of them is not."""
        for said in listed:
            text = said.text
            if text == DEFAULT:
                continue
            bare = text.removeprefix("!")
            excluded = "!" if text != bare else ""
            if bare.startswith(AT_ROOT):
                at: str | None = excluded + bare.removeprefix(AT_ROOT)
            else:
                at = pattern_within(path, text)
            plain = None if at is None else readable(self._territory, at)
            if plain is None:
                message = f"{text!r} cannot be read here"
                self._findings.tell(said.problem(message, "name files of the workspace"))
            elif excluded or not path or bare.startswith((".env", "../", AT_ROOT)):
                yield plain

    def _variables(self, listed: Iterable[Said]) -> Iterable[str]:
        for said in listed:
            if is_variable(said.text):
                yield said.text
            elif said.text != "PATH":
                message = f"{said.text!r} stands for any number of environment variables"
                hint = "name those that commands read in env_inherit"
                self._findings.tell(said.problem(message, hint))

    def _outputs(self, task: Task, described: ForeignTask) -> tuple[tuple[str, ...], list[str]]:
        """Return what a task writes, and what of that it removes again: not kept by turbo."""
        found: dict[str, None] = {}
        removed: list[str] = []
        for said in described.outputs or ():
            if said.text.startswith("!"):
                plain = said.text[1:].removesuffix("/**").removesuffix("/*").rstrip("/")
                if pattern_within(task.path, plain) is None or set(plain) & set("*?[]{}$"):
                    message = f"{task.name}: {said.text!r} is kept with the rest"
                    hint = "remove those files at the end of the command"
                    self._findings.tell(said.problem(message, hint))
                else:
                    removed.append(plain)
                continue
            text = said.text
            at = text[len(AT_ROOT) :] if text.startswith(AT_ROOT) else None
            at = at or pattern_within(task.path, text)
            plain_output = None if at is None else written(self._territory, at)
            if plain_output is None:
                message = f"{task.name}: {text!r} cannot be an output here"
                hint = "name directories below the package, node_modules excepted"
                self._findings.tell(said.problem(message, hint))
            else:
                found[plain_output] = None
                self.said_outputs[task.id, plain_output] = said.problem("", "")
        return tuple(found), removed

    def guessed(self, package: Package, named: Iterable[str]) -> tuple[str, ...]:
        """Return what the build writes by all signs, besides what is named for any task: the
        other tool leaves it where it was written, and forgets it when it restores a result."""
        known = [_region(one) for one in named]
        return tuple(
            one
            for one in package.tasks[BUILD].outputs
            if not any(_touch(_region(one), other) for other in known)
        )


def _region(output: str) -> str:
    return literal_prefix(output.removeprefix("!").partition("{")[0])


def _touch(one: str, other: str) -> bool:
    return is_below(one, other) or is_below(other, one)
