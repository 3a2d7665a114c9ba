"""The tasks of a definition as the model of random workspaces takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from testbed.workspaces import IN_PLACE, Definition


@dataclass(slots=True)
class Task:
    id: str
    path: str
    command: str | None
    needs: list[str]
    sources: list[str]
    default: bool
    exports: list[str] | None
    outputs: list[str]
    environment: dict[str, str]
    transitive: bool
    isolation: str | None
    has_dependencies_tree: bool
    settings: str
    """All else that is in its key."""

    @property
    def is_in_place(self) -> bool:
        """Whether it runs in the workspace itself."""
        return self.isolation == IN_PLACE


_IN_KEY = ("tools", "env_paths", "path_prepend")


def tasks_of(definition: Definition, inherited: str | None) -> Iterable[Task]:
    """Yield the tasks of all packages; ``inherited`` is the variable of whoever asks."""
    for package in definition["packages"]:
        builds = list(package.get("dependencies", []))
        variables = dict(package.get("env", {}))
        if inherited is not None and "INHERITED" in package.get("env_inherit", []):
            variables["INHERITED"] = inherited
        build = package.get("build_cmd")
        yield _task(package["name"], package, package, build, builds, variables)
        for name, keys in package.get("tasks", {}).items():
            own = [
                package["name"] if one == "build" else f"{package['name']}#{one}"
                for one in keys.get("depends_on", [])
            ]
            id = f"{package['name']}#{name}"
            yield _task(id, package, keys, keys["cmd"], own + builds, variables)


def _task(
    id: str,
    package: dict[str, Any],
    keys: dict[str, Any],
    command: str | None,
    needs: list[str],
    variables: dict[str, str],
) -> Task:
    sources = keys.get("sources", package.get("sources"))
    extra = [*package.get("extra_sources", [])]
    if keys is not package:
        extra += keys.get("extra_sources", [])
    exports = keys.get("exports")
    outputs = keys.get("outputs", [])
    inherited = [repr(package.get(name)) for name in _IN_KEY]
    return Task(
        id,
        package["path"],
        command,
        needs,
        [*(sources or []), *extra],
        sources is None,
        [exports] if isinstance(exports, str) else exports,
        outputs,
        variables,
        package.get("transitive", False),
        package.get("isolation"),
        package.get("dependencies_tree", True),
        repr((variables, sorted(outputs), inherited)),
    )
