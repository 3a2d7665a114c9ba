"""What ``buildnet.yaml`` may hold: its keys and their types, and the words for what breaks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.quantity import parse_bytes, parse_duration_s
from buildnet.pool.version import VersionError, VersionRequirement
from buildnet.pool.wanted_platform import ARCHITECTURES
from buildnet.pool.workspace import UNSEEN_HINT, Problem
from buildnet.pool.yaml_document import YamlDocument, YamlPath

Manager = Literal["npm", "yarn", "pnpm"]
MOST_RETRIES = 5
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[^\s#,\x00-\x1f\x7f]+")


def _wrong(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("wrong", "{text}", {"text": message, "hint": hint})


def _name(value: object) -> object:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise _wrong(f"{value!r} cannot be a name", "leave out spaces, '#' and ','")
    if isinstance(value, str) and not value.isprintable():
        raise _wrong(f"{value!r} cannot be a name", UNSEEN_HINT)
    return value


@dataclass(frozen=True, slots=True)
class WantedTool:
    """A tool that a command needs; ``version``: which will do, None: any."""

    name: str
    version: str | None = None


def _tool(value: object) -> WantedTool:
    """``node >=20`` is a name and which versions will do."""
    if not isinstance(value, str):
        raise _wrong("must be a name, or a name and a version such as node >=20")
    name, _, version = value.strip().partition(" ")
    _name(name)
    try:
        VersionRequirement.parse(version)
    except VersionError as error:
        raise _wrong(error.message, error.hint or "") from None
    return WantedTool(name, version.strip() or None)


def _command(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise _wrong("the command is empty", "remove the key if there is nothing to run")
    if isinstance(value, list):
        raise _wrong("must be one command line, not a list", "join the commands with ' && '")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong("must be a duration", "write 90 (seconds), 10m or 1h 30m")
    try:
        seconds = parse_duration_s(value)
    except UsageError as error:
        raise _wrong(error.message, error.hint or "write 90 (seconds), 10m or 1h 30m") from None
    if seconds <= 0:
        raise _wrong("must be longer than 0", "remove the key for no limit")
    return seconds


def _size(value: object) -> object:
    example = "write 512 MB, 2 GB or a number of bytes"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong("must be a size", example)
    try:
        size_bytes = parse_bytes(value)
    except UsageError as error:
        raise _wrong(error.message, error.hint or example) from None
    if size_bytes <= 0:
        raise _wrong("must be more than 0", "remove the key for what the node gives")
    return size_bytes


def _count(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong("must be a whole number from 1", "remove the key for what the node gives")
    return value


def _env_name(value: object) -> object:
    if isinstance(value, str) and not _ENV_NAME.fullmatch(value):
        raise _wrong(
            f"{value!r} cannot name an environment variable",
            "use letters, digits and '_', and no digit first",
        )
    if value == "PATH":
        raise _wrong("PATH is made from the tools", "add directories with path_prepend")
    return value


def _env_value(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise _wrong("an environment variable cannot hold a NUL character")
    return value


def _exports(value: object) -> object:
    if isinstance(value, str):
        if value != "sources":
            hint = f"write [{value!r}], or the word sources to show all sources"
            raise _wrong("must be a list of patterns", hint)
        return ["sources"]
    return value


def _platform_text(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        raise _wrong("must be a name, with or without a version", "such as musl, or glibc 2.36")
    return " ".join(value.split())


def _arch(value: object) -> object:
    return ARCHITECTURES.get(value, value) if isinstance(value, str) else value


def _shards(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise _wrong("must be a number from 1, or auto")


def _junit(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _retries(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise _wrong(f"must be a whole number from 0 to {MOST_RETRIES}")
    return value


def _install(value: object) -> object:
    return {"manager": value} if isinstance(value, str) else value


def _task(value: object) -> object:
    return {"cmd": value} if isinstance(value, str) else value


Name = Annotated[str, BeforeValidator(_name)]
ToolName = Annotated[WantedTool, PlainValidator(_tool)]
Command = Annotated[str, BeforeValidator(_command)]
EnvName = Annotated[str, BeforeValidator(_env_name)]
EnvValue = Annotated[str, BeforeValidator(_env_value)]
Count = Annotated[int | None, BeforeValidator(_count)]
PlatformText = Annotated[str | None, BeforeValidator(_platform_text)]
SizeBytes = Annotated[int | None, BeforeValidator(_size)]


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PlatformKeys(_Keys):
    """``platform``: what a command asks of its host's."""

    os: Literal["linux", "macos"] | None = None
    arch: Annotated[Name | None, BeforeValidator(_arch)] = None
    libc: PlatformText = None
    release: PlatformText = None


class Settings(_Keys):
    """Keys that packages and tasks share."""

    sources: list[str] | None = None
    extra_sources: list[str] = []
    exports: Annotated[list[str] | None, BeforeValidator(_exports)] = None
    output_dir: str | None = None
    outputs: list[str] = []
    tools: list[ToolName] | None = None
    env: dict[EnvName, EnvValue] = {}
    env_inherit: list[EnvName] = []
    env_paths: dict[EnvName, str] = {}
    path_prepend: list[str] | None = None
    network: bool | None = None
    cores: Count = None
    memory: SizeBytes = None
    disk: SizeBytes = None
    processes: Count = None
    timeout: Annotated[float | None, BeforeValidator(_seconds)] = None
    labels: list[Name] | None = None
    platform: PlatformKeys | None = None
    isolation: Literal["strict", "staged", "workspace"] | None = None
    transitive: bool | None = None
    dependencies_tree: bool | None = None


class TaskKeys(Settings):
    """One of a package's ``tasks``."""

    cmd: Command
    depends_on: list[str] = []
    shards: Annotated[int | str | None, BeforeValidator(_shards)] = None
    tests: list[str] = []
    junit: Annotated[list[str], BeforeValidator(_junit)] = []
    retries: Annotated[int, BeforeValidator(_retries)] = 0


class PackageKeys(Settings):
    """One of ``packages``."""

    name: Name
    path: str
    description: str | None = None
    build_cmd: Command | None = None
    dependencies: list[str] = []
    depends_on: list[str] = []
    tasks: dict[Name, Annotated[TaskKeys, BeforeValidator(_task)]] = {}


class HookKeys(_Keys):
    """``hooks``: shell command lines run in the root."""

    pre_build: Command | None = None
    post_build: Command | None = None


class InstallKeys(_Keys):
    """``install``: the package manager, and the command if it is not the manager's usual one."""

    manager: Manager
    command: Command | None = None


class FileKeys(_Keys):
    """The whole file; ``name`` is the template form's word for ``workspace``."""

    workspace: Name | None = None
    name: Name | None = None
    description: str | None = None
    packages: list[PackageKeys]
    install: Annotated[InstallKeys | None, BeforeValidator(_install)] = None
    hooks: HookKeys | None = None


def validate(data: object, document: YamlDocument) -> FileKeys | list[Problem]:
    """Return the keys that ``data`` holds, or all that is wrong with them.

    ``data`` is the document's data with placeholders filled in; lines come from the document.
    """
    if not isinstance(data, Mapping):
        hint = "begin with: workspace: NAME"
        return [Problem(document.where, 1, "the file must be a mapping (key: value)", hint)]
    try:
        return FileKeys.model_validate(data)
    except ValidationError as error:
        return [_problem(one, data, document) for one in error.errors(include_url=False)]


def _problem(error: ErrorDetails, data: object, document: YamlDocument) -> Problem:
    path = _data_path(error["loc"], data)
    message, hint = _wording(error, path)
    missing = error["type"] == "missing"
    place = _place(path[:-1] if missing else path, data)
    line = document.line(path[:-1] if missing else path)
    return Problem(document.where, line, f"{place}{message}", hint)


def _data_path(loc: tuple[int | str, ...], data: object) -> YamlPath:
    """Return ``loc`` without the steps that pydantic adds for unions and keys of mappings."""
    path: list[int | str] = []
    here: Any = data
    for position, step in enumerate(loc):
        if isinstance(here, Mapping) and (step in here or position == len(loc) - 1):
            if step != "[key]":
                path.append(step)
                here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            path.append(step)
            here = here[step]
    return tuple(path)


def _place(path: YamlPath, data: object) -> str:
    """Return where in the file a value is, packages by name: ``core.tasks.test: ``."""
    names: list[str] = []
    here: Any = data
    for step in path:
        here = here.get(step) if isinstance(here, Mapping) else here[int(step)]
        if isinstance(step, str):
            names.append(step if step.isprintable() else repr(step)[1:-1])
        elif names == ["packages"]:
            name = here.get("name") if isinstance(here, Mapping) else None
            is_name = isinstance(name, str) and name.isprintable()
            names = [str(name) if is_name else f"packages[{step}]"]
        else:
            names[-1] += f"[{step}]"
    return ".".join(names) + ": " if names else ""


_KNOWN: Mapping[str, type[BaseModel]] = {"hooks": HookKeys, "install": InstallKeys}


def _known_keys(path: YamlPath) -> tuple[str, ...]:
    """Return the keys that may stand beside the one at ``path``."""
    model: type[BaseModel] = FileKeys
    if path[:1] == ("packages",):
        model = TaskKeys if len(path) > 4 and path[2] == "tasks" else PackageKeys
    elif len(path) > 1:
        model = _KNOWN.get(str(path[0]), FileKeys)
    return tuple(key for key in model.model_fields if key != "name" or model is not FileKeys)


def _wording(error: ErrorDetails, path: YamlPath) -> tuple[str, str | None]:
    """Return the message and the hint for one of pydantic's errors."""
    kind, value = error["type"], error["input"]
    context = error.get("ctx", {})
    if kind == "wrong":
        return str(context["text"]), str(context["hint"]) or None
    if kind == "missing":
        return f"{path[-1]!r} is missing", _missing_hint(str(path[-1]))
    if kind == "extra_forbidden":
        known = _known_keys(path)
        return "unknown key", did_you_mean(str(path[-1]), known) or f"known: {', '.join(known)}"
    if kind == "literal_error":
        return f"must be {context['expected']}, not {value!r}", None
    wanted = {
        "string_type": "text",
        "list_type": "a list",
        "bool_type": "true or false",
    }.get(kind, "a mapping (key: value)")
    hint = None
    if kind == "string_type" and isinstance(value, bool | int | float):
        hint = "put it in quotes"
    elif kind == "list_type" and isinstance(value, str):
        hint = f"write [{value}]"
    elif kind == "list_type" and isinstance(value, Mapping):
        hint = "begin each item with '- '"
    return f"must be {wanted}, not {_kind_of(value)}", hint


def _missing_hint(key: str) -> str | None:
    return {
        "name": "each package begins with '- name: NAME'",
        "path": "name its directory, relative to the root: path: packages/NAME",
        "packages": "list the packages: packages: [{name: …, path: …, build_cmd: …}]",
        "cmd": "give its shell command line: cmd: …",
        "manager": "npm, yarn or pnpm",
    }.get(key)


def _kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "a truth value"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "a mapping")
