"""Build configurations: which of the pool's resources a build is to use, and how it is to run.

Keys and their meaning follow section 5.1 and appendix B of the source document 002. A configuration
is kept under an id, which commands name; its ``name`` is a title. Sizes are GiB where they are
numbers, and may be written with a unit (``512 MB``). 0 cores, 0 memory: all that there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from buildnet.pool.quantity import GIB, QuantityError, parse_bytes, parse_duration_s
from buildnet.pool.strict_model import Keys, contradiction, expected, load_document, read_model
from buildnet.pool.version import VersionError, VersionRequirement

LOCAL = "local"
"""In place of a node's name: the node that was asked for the build."""
MOST_RUNS = 5
"""Of each command, to compare what they make."""
STORAGE_CLASSES = ("any", "hdd", "ssd", "nvme", "ramdisk")
"""From what does for everything to the fastest."""

Priority = Literal["critical", "high", "normal", "low"]
Strategy = Literal["smart", "round_robin", "least_loaded", "fastest", "locality"]
MinStorageClass = Literal["any", "hdd", "ssd", "nvme", "ramdisk"]

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NUMBER = re.compile(r"\s*\d{1,15}(?:\.\d{0,9})?\s*", re.ASCII)
_MAX_GIB = 1024.0**2
_MAX_ITEMS = 256


def _identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise expected("letters, digits, '.', '_' and '-', at most 64, no sign first")
    return value


def _gib(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise expected("a size: a number of GiB, or text such as 512 MB")
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            found = parse_bytes(value) / GIB
        else:
            found = float(value)
    except QuantityError:
        found = -1.0
    if not 0 <= found <= _MAX_GIB:
        raise expected("a size: a number of GiB, or text such as 512 MB")
    return found


def _some_gib(value: float) -> float:
    if value <= 0:
        raise expected("more than 0")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, str | int | float):
        try:
            seconds = parse_duration_s(value)
        except QuantityError:
            seconds = 0.0
        if seconds > 0:
            return seconds
    raise expected("a duration such as 90 (seconds), 30m or 1h 30m")


def _requirement(value: str) -> str:
    try:
        VersionRequirement.parse(value)
    except VersionError as error:
        raise expected(f"a version requirement ({error.hint})") from None
    return value


def _program(value: object) -> object:
    """``node >=20`` is short for ``{name: node, version: ">=20"}``."""
    if not isinstance(value, str):
        return value
    name, _, version = value.strip().partition(" ")
    return {"name": name, **({"version": version.strip()} if version.strip() else {})}


def _absolute(value: str) -> str:
    if not value.startswith("/") or "\0" in value:
        raise expected("an absolute path")
    return value


def _once(nodes: list[str]) -> None:
    twice = sorted({node for node in nodes if nodes.count(node) > 1})
    if twice:
        raise contradiction(f"node_allocations names {twice[0]} twice", "put it together")


Identifier = Annotated[str, AfterValidator(_identifier)]
Title = Annotated[str, Field(min_length=1, max_length=100)]
Description = Annotated[str, Field(max_length=1000)]
NodeName = Annotated[str, Field(min_length=1, max_length=100)]
Cores = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Gibibytes = Annotated[float, BeforeValidator(_gib)]
SomeGibibytes = Annotated[Gibibytes, AfterValidator(_some_gib)]
DurationS = Annotated[float, BeforeValidator(_seconds)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Milliseconds = Annotated[float, Field(gt=0, le=60_000, allow_inf_nan=False)]


class NodeCores(Keys):
    """Cores of one node: ``node_id`` is its name, its id, or ``local``; ``cores`` 0: all of it."""

    node_id: NodeName
    cores: Cores = 0
    specific_cores: Annotated[tuple[Cores, ...], Field(max_length=1024)] = ()

    @model_validator(mode="after")
    def _as_many(self) -> NodeCores:
        listed = self.specific_cores
        if len(set(listed)) < len(listed):
            raise contradiction("specific_cores names a core twice")
        if listed and self.cores and len(listed) != self.cores:
            raise contradiction(f"cores is {self.cores}, but specific_cores has {len(listed)}")
        return self


class CpuSelection(Keys):
    """Cores to use at once, in all and by node."""

    cores: Cores = 0
    node_allocations: Annotated[tuple[NodeCores, ...], Field(max_length=_MAX_ITEMS)] = ()
    priority: Priority = "normal"

    @model_validator(mode="after")
    def _adds_up(self) -> CpuSelection:
        _once([one.node_id for one in self.node_allocations])
        given = sum(one.cores or len(one.specific_cores) for one in self.node_allocations)
        if self.cores and given > self.cores:
            raise contradiction(
                f"node_allocations has {given} cores, more than cores: {self.cores}"
            )
        return self


class NodeMemory(Keys):
    """Memory of one node."""

    node_id: NodeName
    gb: SomeGibibytes


class MemorySelection(Keys):
    """Memory to use, in all and by node."""

    gb: Gibibytes = 0.0
    node_allocations: Annotated[tuple[NodeMemory, ...], Field(max_length=_MAX_ITEMS)] = ()
    priority: Priority = "normal"

    @model_validator(mode="after")
    def _adds_up(self) -> MemorySelection:
        _once([one.node_id for one in self.node_allocations])
        given = sum(one.gb for one in self.node_allocations)
        if self.gb and given > self.gb:
            raise contradiction(f"node_allocations has {given:g} GiB, more than gb: {self.gb:g}")
        return self


class StorageVolumeSelection(Keys):
    """Room on a node, and what for. ``size_gb``: how much one build puts there; 0: no bound."""

    node_id: NodeName = LOCAL
    path: Annotated[str, Field(max_length=4096), AfterValidator(_absolute)] | None = None
    purpose: Literal["cache", "build", "output"]
    size_gb: Gibibytes = 0.0


class StorageSelection(Keys):
    """Where files go, how fast that has to be at least, and how much has to be free there."""

    called_elsewhere: ClassVar[Mapping[str, str]] = {"min_storage_gb": "min_free_gb"}
    volumes: Annotated[tuple[StorageVolumeSelection, ...], Field(max_length=_MAX_ITEMS)] = ()
    min_class: MinStorageClass = "any"
    min_free_gb: Gibibytes = 0.0

    @model_validator(mode="after")
    def _apart(self) -> StorageSelection:
        places = [(one.node_id, one.path, one.purpose) for one in self.volumes]
        if len(set(places)) < len(places):
            raise contradiction("volumes has one path for one purpose twice")
        return self


class ProgramRequirement(Keys):
    """A tool or runtime that has to be there; ``version`` such as ``>=20``."""

    name: Word
    version: Annotated[str, Field(max_length=100), AfterValidator(_requirement)] | None = None

    @property
    def requirement(self) -> VersionRequirement:
        """What versions do."""
        return VersionRequirement.parse(self.version or "")

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


Programs = Annotated[
    tuple[Annotated[ProgramRequirement, BeforeValidator(_program)], ...],
    Field(max_length=_MAX_ITEMS),
]


class ResourceSelection(Keys):
    """What of the pool a build uses. ``labels``: nodes that have not all of them are not used."""

    called_elsewhere: ClassVar[Mapping[str, str]] = {"min_storage_gb": "storage.min_free_gb"}
    cpu: CpuSelection = CpuSelection()
    memory: MemorySelection = MemorySelection()
    storage: StorageSelection = StorageSelection()
    tools: Programs = ()
    runtimes: Programs = ()
    labels: Annotated[tuple[Label, ...], Field(max_length=_MAX_ITEMS)] = ()


class BuildSettings(Keys):
    """What a request says that names this configuration and does not say it itself."""

    packages: Annotated[tuple[Word, ...], Field(max_length=10_000)] = ()
    task: Word | None = None
    force: StrictBool = False
    keep_going: StrictBool = False


class ExecutionSettings(Keys):
    """How a build runs. ``strategy``, ``priority`` None: what the profile says; ``max_nodes``,
    ``parallel`` None: no bound; ``parallel``: commands at once; ``redundancy``: how many nodes run
    each action, whose results are compared; ``timeout``: of the whole build, in seconds.
    ``preferred_node``: name or id of the one that is used first; ``prefer_local``: the asked node's
    slots before faster ones; ``max_latency_ms``: nodes that are farther are not used."""

    called_elsewhere: ClassVar[Mapping[str, str]] = {"distribution": "strategy"}
    strategy: Strategy | None = None
    priority: Priority | None = None
    local_only: StrictBool = False
    max_nodes: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    parallel: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    isolation: Literal["strict", "staged"] | None = None
    redundancy: Annotated[int, Field(strict=True, ge=1, le=MOST_RUNS)] = 1
    timeout: DurationS | None = None
    preferred_node: NodeName | None = None
    prefer_local: StrictBool = False
    max_latency_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _possible(self) -> ExecutionSettings:
        nodes = 1 if self.local_only else self.max_nodes
        if nodes is not None and self.redundancy > nodes:
            raise contradiction(
                f"redundancy is {self.redundancy}, but only {nodes} node may be used"
                if nodes == 1
                else f"redundancy is {self.redundancy}, but only {nodes} nodes may be used",
                "each repetition runs on a node of its own",
            )
        return self


class BuildConfiguration(Keys):
    """A whole configuration. ``id`` None: it is kept under none yet."""

    id: Identifier | None = None
    name: Title | None = None
    description: Description | None = None
    resources: ResourceSelection = ResourceSelection()
    build: BuildSettings = BuildSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @model_validator(mode="after")
    def _local(self) -> BuildConfiguration:
        if self.execution.local_only:
            elsewhere = sorted(node for node in self.nodes if node != LOCAL)
            if elsewhere:
                raise contradiction(
                    f"execution.local_only is true, but resources names {', '.join(elsewhere)}",
                    f"write node_id: {LOCAL}",
                )
        return self

    @property
    def artifacts_volume(self) -> StorageVolumeSelection | None:
        """Where results are to be kept besides; None: nowhere."""
        volumes = self.resources.storage.volumes
        named = (one for one in volumes if one.purpose != "build")
        return next((one for one in named if one.node_id != LOCAL), None)

    @property
    def only_named(self) -> bool:
        """Whether no other nodes are to be used than those whose cores or memory it names."""
        cpu = self.resources.cpu
        given = sum(one.cores or len(one.specific_cores) for one in cpu.node_allocations)
        return bool(self.nodes_of_cores) and cpu.cores <= given

    @property
    def nodes_of_cores(self) -> frozenset[str]:
        """The nodes whose cores it names."""
        return frozenset(one.node_id for one in self.resources.cpu.node_allocations)

    @property
    def nodes_of_memory_alone(self) -> frozenset[str]:
        """The other nodes of which it names memory and no cores, where it names those of others."""
        if not self.only_named:
            return frozenset()
        named = {one.node_id for one in self.resources.memory.node_allocations}
        return frozenset(named - self.nodes_of_cores - {LOCAL})

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that it names."""
        resources, preferred = self.resources, self.execution.preferred_node
        named = frozenset(
            one.node_id
            for group in (
                resources.cpu.node_allocations,
                resources.memory.node_allocations,
                resources.storage.volumes,
            )
            for one in group
        )
        return named if preferred is None else named | {preferred}

    def document(self) -> dict[str, Any]:
        """Return what it says beyond the defaults, as it is kept and exported, without the id."""
        found: dict[str, Any] = self.model_dump(
            mode="json", exclude={"id"}, exclude_defaults=True, exclude_none=True
        )
        return found


def identifier_of(title: str) -> str:
    """Return an id made of a title: ``Local Development`` becomes ``local-development``; empty if
    nothing of it can stand in one."""
    return re.sub(r"[^a-z0-9._]+", "-", title.lower()).strip("-._")[:64]


def read_configuration(data: object, where: str) -> BuildConfiguration:
    """Return a configuration from plain data; ``where`` names it in errors.

    Raises:
        InvalidDocumentError: something is wrong with it.
    """
    return read_model(BuildConfiguration, data, where)


def parse_configuration(text: str, where: str) -> BuildConfiguration:
    """Read a configuration as YAML or JSON.

    Raises:
        YamlError, InvalidDocumentError: something is wrong with it.
    """
    document = load_document(text, where)
    return read_model(BuildConfiguration, document.data, where, document)
