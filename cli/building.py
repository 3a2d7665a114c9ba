"""Asking a node for a build."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildnet.cli.client import Client
from buildnet.cli.detached import leave
from buildnet.cli.following import follow
from buildnet.cli.quick import is_text
from buildnet.cli.settings import Settings


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What ``buildnet build`` was asked for."""

    packages: tuple[str, ...] = ()
    task: str = "build"
    force: bool = False
    dry_run: bool = False
    explain: bool = False
    keep_going: bool = False
    local_only: bool = False
    durable: bool = False
    detach: bool = False
    wait: str | None = None
    verify: int | None = None
    retry: int | None = None
    trace_inputs: bool = False
    priority: str | None = None
    config: str | None = None
    template: str | None = None
    values: tuple[str, ...] = ()
    profile: str | None = None
    review: bool = False
    since: str | None = None
    directory: Path = field(default_factory=Path.cwd)


def build(options: BuildOptions, settings: Settings, client: Client) -> int:
    """Ask for a build, show its progress, print its report; return the exit code."""
    body = {
        **request_of(options, client),
        "detail": "all" if _wants_all(options, settings) else "changed",
    }
    with client.stream("/api/build", body) as events:
        if options.detach:
            return leave(events, settings)
        return follow(
            events,
            settings,
            lambda: client,
            explain=options.explain,
            dry_run=options.dry_run,
            review=options.review,
        )


def request_of(options: BuildOptions, client: Client) -> dict[str, Any]:
    """Return the body of a request for a build."""
    return {
        "root": str(options.directory.absolute()),
        "packages": list(options.packages),
        "task": options.task,
        "force": options.force,
        "dry_run": options.dry_run,
        "keep_going": options.keep_going,
        "local_only": options.local_only,
        "durable": options.durable or options.detach,
        **_named(options),
        **({} if options.wait is None else {"wait_s": seconds("--wait", options.wait)}),
        "explain": options.explain,
        # It holds secrets, and TCP is clear text: nobody but the node of this host gets it.
        "environment": _text_environment() if client.is_local else {},
        **({} if options.verify is None else {"verify": options.verify}),
        **({} if options.retry is None else {"retry": options.retry}),
        **({"trace_inputs": True} if options.trace_inputs else {}),
        **({} if options.since is None else {"since": options.since}),
        **({} if options.priority is None else {"priority": options.priority}),
    }


def seconds(option: str, text: str) -> float:
    """Return the duration that somebody wrote with an option.

    Raises:
        UsageError: it is none.
    """
    from buildnet.mesh.errors import UsageError
    from buildnet.pool.quantity import QuantityError, parse_duration_s

    try:
        return parse_duration_s(text)
    except QuantityError as error:
        raise UsageError(f"{option}: {error}", hint="write a duration such as 30m") from error


def _named(options: BuildOptions) -> dict[str, Any]:
    """Return what the request names: a configuration or a template, and a profile."""
    if not any((options.config, options.template, options.values, options.profile)):
        return {}
    from buildnet.pool.keyed_values import assignments

    file = options.config if options.config is not None and is_file(options.config) else None
    return {
        **({"config_id": options.config} if file is None else {"configuration": _read(file)}),
        "template": options.template,
        "variables": assignments(options.values),
        "profile": options.profile,
    }


def is_file(config: str) -> bool:
    """Tell whether what somebody goes by is a file, and not the id of what is kept: it is a path,
    or a name as files of configurations have, and there is one."""
    if "/" in config or os.sep in config:
        return True
    return config.endswith((".yaml", ".yml", ".json")) and Path(config).exists()


def _read(file: str) -> Mapping[str, Any]:
    from buildnet.cli.config import CONFIGURATION
    from buildnet.cli.saved import read_file

    return read_file(CONFIGURATION, Path(file))


def fast_options(arguments: list[str]) -> BuildOptions | None:
    """Read the arguments after ``build`` if they are plain enough to do without the full parser."""
    flags = {"--force": "force", "--dry-run": "dry_run", "--explain": "explain"}
    flags |= {"--keep-going": "keep_going", "--local-only": "local_only"}
    given: dict[str, bool] = {}
    packages: list[str] = []
    for argument in arguments:
        if argument in flags:
            given[flags[argument]] = True
        elif argument.startswith("-"):
            return None
        else:
            packages.append(argument)
    return BuildOptions(packages=tuple(packages), **given)  # type: ignore[arg-type]


def _wants_all(options: BuildOptions, settings: Settings) -> bool:
    """Whether the packages that stand as before are to be told one by one."""
    return options.explain or options.dry_run or settings.format != "table"


def _text_environment() -> dict[str, str]:
    """Return the environment without what is no text."""
    return {name: value for name, value in os.environ.items() if is_text(name + value)}
