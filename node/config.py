"""The configuration of a node: ``node.yaml`` in the data directory (JSON is read too).

The owner's word about this host: its name, what of its resources BuildNet may use, which tools
count, where it listens. A missing file means the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.node.config_section import Settings
from buildnet.node.config_values import (
    AbsolutePath,
    Advertised,
    BulkLimit,
    ControlGroup,
    Days,
    DurationS,
    Host,
    Hours,
    Minutes,
    PositiveNumber,
    ProgramName,
    SizeBytes,
    Text,
    Url,
    VariableName,
)
from buildnet.node.execute.limits import DISK_MAX_BYTES, PROCESSES_MAX
from buildnet.node.watch_config import AutoBuildSettings, WatchSettings
from buildnet.pool.quantity import GIB
from buildnet.pool.strict_model import dotted, expected
from buildnet.pool.wording import expectation
from buildnet.pool.yaml_document import YamlDocument, YamlPath, YamlProblem, load_yaml


class ConfigError(UsageError):
    """A configuration file that cannot be read, or that says something without meaning.

    ``problems`` holds each of them with its line.
    """

    code = "CONFIG"

    def __init__(
        self, message: str, problems: Iterable[YamlProblem] = (), *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class CpuLimitSettings(Settings):
    """How many cores may be used, and which CPU ids are kept for others."""

    max_cores: Annotated[int, Field(ge=1, strict=True)] | None = None
    reserved_cores: tuple[Annotated[int, Field(ge=0, lt=65536, strict=True)], ...] = ()


class MemoryLimitSettings(Settings):
    """How much memory may be used (``max_gb``), and how much is kept for others; GiB."""

    max_gb: PositiveNumber | None = None
    reserved_gb: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 0.0


class StorageLimitSettings(Settings):
    """A directory that BuildNet may use, for what, and how much of its volume (GiB)."""

    path: AbsolutePath
    max_gb: PositiveNumber | None = None
    purpose: Text | None = None

    @property
    def max_bytes(self) -> int | None:
        """The limit in bytes."""
        return None if self.max_gb is None else int(self.max_gb * GIB)


class ResourceLimits(Settings):
    """What of the host BuildNet may use."""

    cpu: CpuLimitSettings = CpuLimitSettings()
    memory: MemoryLimitSettings = MemoryLimitSettings()
    storage: tuple[StorageLimitSettings, ...] = ()


class ToolOverride(Settings):
    """Where a tool or runtime really stands, or that it does not count here."""

    path: AbsolutePath | None = None
    enabled: StrictBool = True


class TlsSettings(Settings):
    """What the node's port answers TLS with: PEM files; the certificate's with those that lead to
    its authority, the key's without a password."""

    certificate: AbsolutePath
    key: AbsolutePath


class NetworkSettings(Settings):
    """Where the node listens, what it tells others, and whom it meets first.

    ``peers`` are dialled again for ever, also where nobody else tells of them. ``discovery``:
    announce this node on the local network and list others that do. ``proxies``: dial through the
    proxies that the environment names (``HTTP_PROXY``, ``NO_PROXY``). ``bulk_limit``: bytes per
    second of blobs that it sends to all others together; None: as fast as it goes. ``tls`` None:
    the port answers no TLS.
    """

    listen_address: Host = "0.0.0.0"
    listen_port: Annotated[int, Field(ge=0, le=65535, strict=True)] = 80
    advertise_address: Advertised | None = None
    peers: tuple[Url, ...] = ()
    discovery: StrictBool = True
    proxies: StrictBool = False
    bulk_limit: BulkLimit | None = None
    tls: TlsSettings | None = None


class TimeRestrictions(Settings):
    """Hours of local time in which only this host's own builds run; may pass midnight."""

    local_only_hours: tuple[Hours, ...] = ()


class SchedulingSettings(Settings):
    """How this node takes part in the pool's work. ``accept_changes``: the cluster's admins may
    change its tags and narrow its limits from their nodes. ``fetch_ahead``: it gets ready for
    commands that others expect to ask for soon. ``hold_outputs``: for how many seconds
    what it made of a build whose own node was lost waits in the store."""

    accept_remote_builds: StrictBool = True
    accept_changes: StrictBool = False
    fetch_ahead: StrictBool = True
    priority_weight: Annotated[PositiveNumber, Field(le=1000)] = 1.0
    time_restrictions: TimeRestrictions = TimeRestrictions()
    hold_outputs: Minutes = 3 * 86400.0


class CacheSettings(Settings):
    """``max_gb``: how large the store may grow, in GiB. ``scrub_interval``: the pause between two
    slow readings of all that it holds, in seconds."""

    max_gb: PositiveNumber = 20.0
    scrub_interval: Minutes = 7 * 86400.0

    @property
    def max_bytes(self) -> int:
        """The store's capacity in bytes."""
        return int(self.max_gb * GIB)


SLOTS_MAX = 4096
"""Commands at once on one host."""


class WorkerSettings(Settings):
    """How actions run: ``redundancy_factor`` at once for each allowed core, but at least ``min``
    and at most ``max``; ``max`` alone: exactly so many."""

    min: Annotated[int, Field(ge=1, le=SLOTS_MAX, strict=True)] | None = None
    max: Annotated[int, Field(ge=1, le=SLOTS_MAX, strict=True)] | None = None
    redundancy_factor: Annotated[PositiveNumber, Field(le=16)] | None = None
    timeout: DurationS = 1800.0
    """Of an action that declares none, in seconds."""
    output_limit: SizeBytes = 64 * 1024 * 1024
    """What is kept of one action's output, in bytes."""
    isolation: Literal["strict", "staged"] | None = None
    """Of actions that ask for none; None: the best that the host can give."""
    memory: SizeBytes | None = None
    """Of all processes of one action together, in bytes; None: as much as there is."""
    processes: Annotated[int, Field(ge=1, strict=True)] = PROCESSES_MAX
    """Of one action at once."""
    disk: SizeBytes = DISK_MAX_BYTES
    """What one action may write, in bytes."""
    control_group: ControlGroup | None = None
    """Below which actions get groups of their own; None: below the node's, if it was delegated."""

    @model_validator(mode="after")
    def _least_below_most(self) -> WorkerSettings:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise expected("min to be no more than max")
        return self


class InstallSettings(Settings):
    """What installs of dependencies may use besides the workspace's own files: ``npmrc``, a file
    that they find as ``~/.npmrc``; ``env``, variables of who asks for the build."""

    npmrc: AbsolutePath | None = None
    env: tuple[VariableName, ...] = ()


class LedgerEncryptionSettings(Settings):
    """The key that the ledger's file is encrypted with; None: it is not. ``former_key_file``: the
    one that it was encrypted with before, so that the next start can write it anew."""

    key_file: AbsolutePath | None = None
    former_key_file: AbsolutePath | None = None


class LedgerSettings(Settings):
    """How this node keeps the ledger. ``retention``: after how many seconds it forgets what entries
    say (their hashes stay); None: never. ``scrub_interval``: the pause between two readings of
    everything, in seconds."""

    retention: Days | None = None
    scrub_interval: Minutes = 6 * 3600.0
    encryption: LedgerEncryptionSettings = LedgerEncryptionSettings()


class SessionSettings(Settings):
    """Of people who log in. ``idle``: the longest pause between two requests, ``lifetime``: of a
    session at all, in seconds; ``per_person``: how many sessions one may have at once."""

    idle: Minutes = 12 * 3600.0
    lifetime: Minutes = 7 * 86400.0
    per_person: Annotated[int, Field(ge=1, le=1000, strict=True)] = 16


class LogSettings(Settings):
    """What is logged and how; ``auto`` is for people on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


class TelemetrySettings(Settings):
    """``endpoint``: the URL of a collector that takes OpenTelemetry's traces by OTLP over HTTP;
    None: nothing is told."""

    endpoint: Url | None = None


class AccessSettings(Settings):
    """What keys for agents open of this host. ``workspaces``: directories whose workspaces they may
    build, besides those that were built here before; ``environment``: names of the variables that
    they may set for a build."""

    workspaces: tuple[AbsolutePath, ...] = ()
    environment: tuple[VariableName, ...] = ()


class NodeConfig(Settings):
    """A node's whole configuration."""

    node_id: Literal["auto"] = "auto"
    """Only ``auto``: a node's id comes from its key."""
    node_name: Annotated[Text, Field(max_length=100)] | None = None
    """None: the host's name."""
    node_tags: tuple[Text, ...] = ()
    node_role: Literal["worker", "observer"] | None = None
    """Of a cluster that this node founds, and what it asks for where it joins one."""
    resource_limits: ResourceLimits = ResourceLimits()
    tool_overrides: Mapping[ProgramName, ToolOverride] = {}
    network: NetworkSettings = NetworkSettings()
    scheduling: SchedulingSettings = SchedulingSettings()
    cache: CacheSettings = CacheSettings()
    workers: WorkerSettings = WorkerSettings()
    install: InstallSettings = InstallSettings()
    ledger: LedgerSettings = LedgerSettings()
    sessions: SessionSettings = SessionSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    access: AccessSettings = AccessSettings()
    watch: WatchSettings = WatchSettings()
    auto_build: AutoBuildSettings = AutoBuildSettings()

    @property
    def cache_bytes(self) -> int:
        """How large the store may grow: as the directory given for it says, else in general."""
        volume = self.storage_for("cache")
        return (volume and volume.max_bytes) or self.cache.max_bytes

    def storage_for(self, purpose: str) -> StorageLimitSettings | None:
        """Return the directory that the owner gave for ``purpose`` (``cache``, ``builds``)."""
        volumes = self.resource_limits.storage
        return next((volume for volume in volumes if volume.purpose == purpose), None)


def load_config(path: Path, *, required: bool = False) -> NodeConfig:
    """Read a configuration file; one that does not exist means the defaults, unless ``required``.

    Raises:
        ConfigError: the file cannot be read, or holds unknown keys or wrong values.
        YamlError: it is no YAML.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        if required:
            raise ConfigError(f"{path}: no such file", hint="check --config") from error
        return NodeConfig()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="check its permissions, or name another file with --config",
        ) from error
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> NodeConfig:
    """Read a configuration; ``where`` names it in errors. See :func:`load_config`."""
    if text.lstrip().startswith("{"):
        # JSON may be indented with tabs, YAML may not; inside of JSON text a tab cannot stand.
        text = text.replace("\t", " ")
    document = load_yaml(text, where)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        problem = YamlProblem(1, "expected keys and values, such as `node_name: dev-macbook`")
        raise _refused(where, [problem])
    try:
        return NodeConfig.model_validate(_without_nulls(data, ()))
    except ValidationError as error:
        problems = {_problem(found, document) for found in error.errors(include_url=False)}
        raise _refused(where, sorted(problems, key=lambda one: (one.line, one.message))) from error


def check_key(steps: YamlPath) -> None:
    """See that there is such a key.

    Raises:
        ConfigError: there is none.
    """
    for depth, step in enumerate(steps):
        if not _is_key(steps[:depth], step):
            message, hint = _unknown(steps[: depth + 1])
            raise ConfigError(message, hint=hint)


def _without_nulls(value: object, path: YamlPath) -> object:
    """Drop keys without a value (``peers:`` and nothing after it): they mean the default. What is
    no key at all stays, to be told."""
    if isinstance(value, dict):
        return {
            key: _without_nulls(one, (*path, key))
            for key, one in value.items()
            if one is not None or not _is_key(path, key)
        }
    if isinstance(value, list):
        return [_without_nulls(one, (*path, index)) for index, one in enumerate(value)]
    return value


def _refused(where: str, problems: list[YamlProblem]) -> ConfigError:
    lines = [
        f"{where}:{one.line}: {one.message}"
        + (f" ({one.hint})" if one.hint and len(problems) > 1 else "")
        for one in problems
    ]
    hint = problems[0].hint if len(problems) == 1 else None
    return ConfigError("\n".join(lines), problems, hint=hint)


def _problem(error: ErrorDetails, document: YamlDocument) -> YamlProblem:
    """Say in plain words what pydantic found, with the line where it stands."""
    path: YamlPath = tuple(step for step in error["loc"] if step != "[key]")
    line = document.line(path)
    name = _dotted(path)
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx") or {}
    if kind == "extra_forbidden":
        return YamlProblem(line, *_unknown(path))
    if kind == "unknown_program":
        meant = context["hint"]
        suggestion = f"did you mean {meant!r}?" if meant else "`buildnet node scan` lists them"
        return YamlProblem(line, f"unknown tool {path[-1]!r} in tool_overrides", suggestion)
    if kind == "missing":
        return YamlProblem(line, f"{_dotted(path[:-1])}: the key {path[-1]!r} is missing")
    hint: str | None = None
    if path == ("node_id",):
        hint = "a node's id comes from its key; choose its name with node_name"
    elif kind == "literal_error":
        options = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        hint = did_you_mean(str(error["input"]), options)
    written = document.text(path) if document.text(path) is not None else _shown(error["input"])
    message = f"wrong value {written!r} for {name}: expected {expectation(kind, context)}"
    return YamlProblem(line, message, hint)


def _unknown(path: YamlPath) -> tuple[str, str]:
    """Say that the last step of ``path`` is no key, and which one may be meant."""
    known = _keys_at(path[:-1])
    inside = f" in {_dotted(path[:-1])}" if len(path) > 1 else ""
    hint = did_you_mean(str(path[-1]), known) or f"known keys: {', '.join(known)}"
    return f"unknown key {path[-1]!r}{inside}", hint


def _shown(value: object) -> object:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _dotted(path: YamlPath) -> str:
    return dotted(path) or "the file"


def _is_key(path: YamlPath, key: object) -> bool:
    # Names of tools are looked at where their values are.
    return path == ("tool_overrides",) or key in _keys_at(path)


def _keys_at(path: YamlPath) -> list[str]:
    """Return the keys that the section at ``path`` knows."""
    section: type[BaseModel] = NodeConfig
    for step in path:
        found = _SECTIONS.get((section, step if isinstance(step, str) else ""))
        section = found or (ToolOverride if section is NodeConfig else section)
    return list(section.model_fields)


_SECTIONS: Mapping[tuple[type[BaseModel], str], type[BaseModel]] = {
    (NodeConfig, "resource_limits"): ResourceLimits,
    (NodeConfig, "network"): NetworkSettings,
    (NodeConfig, "scheduling"): SchedulingSettings,
    (NodeConfig, "cache"): CacheSettings,
    (NodeConfig, "workers"): WorkerSettings,
    (NodeConfig, "install"): InstallSettings,
    (NodeConfig, "ledger"): LedgerSettings,
    (NodeConfig, "sessions"): SessionSettings,
    (NodeConfig, "log"): LogSettings,
    (NodeConfig, "telemetry"): TelemetrySettings,
    (NodeConfig, "access"): AccessSettings,
    (NodeConfig, "watch"): WatchSettings,
    (NodeConfig, "auto_build"): AutoBuildSettings,
    (NodeConfig, "tool_overrides"): ToolOverride,
    (LedgerSettings, "encryption"): LedgerEncryptionSettings,
    (NetworkSettings, "tls"): TlsSettings,
    (ResourceLimits, "cpu"): CpuLimitSettings,
    (ResourceLimits, "memory"): MemoryLimitSettings,
    (ResourceLimits, "storage"): StorageLimitSettings,
    (SchedulingSettings, "time_restrictions"): TimeRestrictions,
}
