"""Shell command lines of targets that nx runs as they are: ``nx:run-commands``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from buildnet.pool.importing.nx_file import NxProject


def command_line(project: NxProject, options: Mapping[str, Any]) -> str | None:
    """Return the line that runs from the project's directory; None if the options name none.

    The commands run in the root unless ``cwd`` says otherwise.
    """
    single = options.get("command")
    listed = options.get("commands")
    several = [single] if single is not None else listed if isinstance(listed, list) else []
    lines = [one.get("command") if isinstance(one, dict) else one for one in several]
    texts = [_filled(project, one) for one in lines if isinstance(one, str)]
    if not texts or len(texts) != len(lines):
        return None
    env = options.get("env")
    given = env.items() if isinstance(env, dict) else ()
    exported = "".join(f"export {key}={shlex.quote(str(value))}; " for key, value in given)
    cwd = options.get("cwd")
    at = _filled(project, cwd) if isinstance(cwd, str) else ""
    up = "/".join([".."] * (project.path.count("/") + 1)) if project.path else "."
    at_once = single is None and options.get("parallel", True) is not False
    line = exported + _together(texts, at_once=at_once)
    if at.strip("/") == project.path:
        return line
    return f"cd {shlex.quote(f'{up}/{at}'.rstrip('/'))} && {line}"


def _together(lines: Iterable[str], *, at_once: bool) -> str:
    listed = list(lines)
    if len(listed) == 1:
        return listed[0]
    if not at_once:
        return " && ".join(f"({one})" for one in listed)
    starts = " ".join(f"({one}) & p{number}=$!;" for number, one in enumerate(listed))
    waits = " ".join(f"wait $p{number} || failed=1;" for number in range(len(listed)))
    return f"{starts} failed=0; {waits} [ $failed = 0 ]"


def _filled(project: NxProject, text: str) -> str:
    found = text.replace("{projectRoot}", project.path or ".")
    return found.replace("{projectName}", project.name).replace("{workspaceRoot}/", "")
