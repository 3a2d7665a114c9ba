"""What a node tells the others of itself: its profile, its load, how far the others are.

Three records that the node signs and gossip carries; their bytes are JSON, packed. A node of a
later version may tell more: what this one does not know is left out.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from buildnet.mesh.errors import BuildNetError
from buildnet.pool.benchmark import Benchmark
from buildnet.pool.few_values import require_few
from buildnet.pool.leases import Amount
from buildnet.pool.resources import (
    MemoryResources,
    NodeResources,
    ResourceModel,
    StorageVolume,
    Utilization,
)

PROFILE, LOAD, LINKS = "profile", "load", "links"
TOPICS = (PROFILE, LOAD, LINKS)
SET_BACK, CLOSED, NOT_WRITTEN = "set back", "closed", "not written"
"""Why a voter takes no part in sealing; see :class:`Load`."""

LENT_TOLD = 32
"""Builds that a node tells of having lent to."""
_PLENTY = 1 << 60
BODY_MAX_BYTES = 48 * 1024
"""What gossip carries in one record."""
_UNPACKED_MAX_BYTES = 2 * 1024 * 1024
_MOST_VALUES = 50_000
"""Of JSON in a record."""
_ZLIB = b"\x78"  # a zlib stream's first byte; JSON begins with a brace
# What records usually hold, for zlib to refer to. Part of the protocol: it never changes.
_USUAL = (
    b'"tools":[{"name":"git","version":"2.0","path":"/usr/bin/git","capabilities":["clone"]}],'
    b'{"actions_running":0,"cores_in_use":0,"utilization":{"cpu_percent":1.0,"memory_percent":1.0,'
    b'"load_average":[0.0,0.0,0.0],"disks":[{"path":"/","used_percent":50.0,"available_bytes":1}],'
    b'"measured_at":"2026-01-01T00:00:00.000000Z"},"loop_lag_ms":1.0,"age_s":0.0}'
    b'{"round_trip_ms":{"0123456789abcdef":0.5,"'
)
_NOTICEABLE_PERCENT = 5.0
_NOTICEABLE_ROUND_TRIP = 0.5
_NOTICEABLE_ROUND_TRIP_MS = 2.0
"""Less is what a busy host's scheduler makes of any network."""
_NOTICEABLE_BANDWIDTH = 0.5
_Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AdvertisementError(BuildNetError):
    """A record that is not what its topic promises; nothing of it is used."""

    code = "ADVERTISEMENT"
    http_status = 400


class Advertisement(ResourceModel):
    """Base of the three records."""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        text = self.model_dump_json(exclude_none=True).encode()
        packing = zlib.compressobj(9, zdict=_USUAL)
        return min(packing.compress(text) + packing.flush(), text, key=len)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a record of any origin.

        Raises:
            AdvertisementError: it is none of this kind, or unpacks to more than 2 MiB or 50,000
                values.
        """
        try:
            text = _unpacked(body)
            require_few(text, _MOST_VALUES)
            return cls.model_validate_json(text, extra="ignore")
        except (ValidationError, ValueError, zlib.error) as error:
            raise AdvertisementError(
                f"a {cls.__name__.lower()} that can't be read", cause=str(error)[:200]
            ) from error


class Granted(ResourceModel):
    """The most that a node gives one command; 0 bytes: no bound of its own."""

    cores: int = Field(ge=1, le=4096)
    memory_bytes: int = Field(default=0, ge=0)
    disk_bytes: int = Field(default=0, ge=0)

    @property
    def amount(self) -> Amount:
        """The same where amounts are compared."""
        return Amount(self.cores, self.memory_bytes or _PLENTY, self.disk_bytes or _PLENTY)


class Profile(Advertisement):
    """Who a node is and what its host has; told anew after each scan that found something else.

    ``age_s`` is how old the scan was when this was said. ``priority_weight``: how much the node is
    to be preferred for work of others, by its owner. ``slots``: how many commands it runs at once;
    ``grants``: the most that it gives one; ``benchmark``: how fast it is, None: it was not
    measured.
    """

    name: str = Field(max_length=128)
    role: Literal["worker", "observer"]
    version: str = Field(max_length=64)
    address: str | None = Field(default=None, max_length=512)
    tags: tuple[str, ...] = ()
    resources: NodeResources | None = None
    slots: int | None = Field(default=None, ge=1, le=4096)
    grants: Granted | None = None
    benchmark: Benchmark | None = None
    priority_weight: float = Field(default=1.0, gt=0, le=1000, allow_inf_nan=False)
    age_s: float = Field(default=0.0, ge=0)

    def fitting(self) -> bytes:
        """Return the bytes, with less in them if they would be too long for one record: first the
        programs' capabilities go, then what the host has."""
        for less in (self, _without_capabilities(self)):
            body = less.encode()
            if len(body) <= BODY_MAX_BYTES:
                return body
        return self.model_copy(update={"resources": None}).encode()

    def says_the_same(self, other: Profile | None) -> bool:
        """Tell whether ``other`` differs at most in what changes with every scan."""
        return other is not None and _settled(self) == _settled(other)


class Lent(ResourceModel):
    """What a node has lent to one build: how many ``slots`` to which build (its id) that which node
    (its id) drives for whom (``actor``), and since when (milliseconds since 1970, by the lender's
    clock)."""

    build: str = Field(max_length=128)
    node_id: str = Field(max_length=64)
    actor: str = Field(default="", max_length=128)
    slots: int = Field(ge=0)
    memory_bytes: int = Field(default=0, ge=0)
    since_ms: int = Field(ge=0)


class Load(Advertisement):
    """How busy a node is; told anew when that changed noticeably.

    ``age_s`` is how old the measurement was when this was said; ``loop_lag_ms`` how late the node's
    event loop ran lately (99th percentile). ``silence``: why the node, as a voter, seals nothing
    now: its ledger was ``set back``, is ``closed``, or ``not written``; None: it takes part.
    ``lends_nothing``: why it runs no commands of others now; None: it does. ``lent``: to whom it
    lends, the first :data:`LENT_TOLD` builds; ``builds``: how many it drives itself.
    """

    actions_running: int = Field(default=0, ge=0)
    cores_in_use: int = Field(default=0, ge=0)
    utilization: Utilization | None = None
    loop_lag_ms: float | None = None
    silence: str | None = Field(default=None, max_length=64)
    draining: bool = False
    lends_nothing: str | None = Field(default=None, max_length=200)
    lent: tuple[Lent, ...] = Field(default=(), max_length=256)
    builds: int = Field(default=0, ge=0)
    age_s: float = Field(default=0.0, ge=0)

    def differs(self, other: Load | None) -> bool:
        """Tell whether something changed by more than 5 % of the whole since ``other`` was said."""
        if other is None or self._settled() != other._settled():
            return True
        mine, told = _percentages(self.utilization), _percentages(other.utilization)
        return mine.keys() != told.keys() or any(
            abs(value - told[name]) > _NOTICEABLE_PERCENT for name, value in mine.items()
        )

    def _settled(self) -> Load:
        """Return it without what changes all the time."""
        return self.model_copy(update={"utilization": None, "loop_lag_ms": None, "age_s": 0.0})


class Links(Advertisement):
    """What a node measured of its links, by node id: round trips in milliseconds, and how many
    megabits a second came over them in the last hour, where enough came to tell."""

    round_trip_ms: dict[str, _Figure] = Field(default_factory=dict, max_length=1024)
    bandwidth_mbps: dict[str, _Figure] = Field(default_factory=dict, max_length=1024)

    def has_other_peers(self, other: Links | None) -> bool:
        """Tell whether a link came or went since ``other`` was said."""
        return other is None or self.round_trip_ms.keys() != other.round_trip_ms.keys()

    def differs(self, other: Links) -> bool:
        """Tell whether a round trip changed by half and by 2 ms since ``other`` was said, or a
        bandwidth by half."""
        return self._has_other_bandwidths(other) or any(
            abs(now - other.round_trip_ms.get(peer, 0.0))
            > max(
                _NOTICEABLE_ROUND_TRIP_MS,
                _NOTICEABLE_ROUND_TRIP * other.round_trip_ms.get(peer, 0.0),
            )
            for peer, now in self.round_trip_ms.items()
        )

    def _has_other_bandwidths(self, other: Links) -> bool:
        mine, told = self.bandwidth_mbps, other.bandwidth_mbps
        return mine.keys() != told.keys() or any(
            abs(now - told[peer]) > _NOTICEABLE_BANDWIDTH * told[peer] for peer, now in mine.items()
        )


def _percentages(utilization: Utilization | None) -> dict[str, float]:
    if utilization is None:
        return {}
    found = {"cpu": utilization.cpu_percent, "memory": utilization.memory_percent}
    found.update((disk.path, disk.used_percent) for disk in utilization.disks)
    return {name: value for name, value in found.items() if value is not None}


def _without_capabilities(profile: Profile) -> Profile:
    resources = profile.resources
    if resources is None:
        return profile
    bare = {
        kind: tuple(one.model_copy(update={"capabilities": ()}) for one in programs)
        for kind, programs in (("tools", resources.tools), ("runtimes", resources.runtimes))
    }
    return profile.model_copy(update={"resources": resources.model_copy(update=bare)})


def _settled(profile: Profile) -> Profile:
    """Return the profile without ages, and with what is free in steps of a twentieth."""
    resources = profile.resources
    if resources is not None:
        memory = resources.memory
        resources = resources.model_copy(
            update={
                "scanned_at": _EPOCH,
                "scan_duration_ms": None,
                "memory": memory.model_copy(update={"available_bytes": _free_steps(memory)}),
                "storage": tuple(
                    volume.model_copy(update={"available_bytes": _free_steps(volume)})
                    for volume in resources.storage
                ),
            }
        )
    return profile.model_copy(update={"age_s": 0.0, "resources": resources})


def _free_steps(part: MemoryResources | StorageVolume) -> int:
    if part.available_bytes is None or not part.total_bytes:
        return -1
    return round(20 * part.available_bytes / part.total_bytes)


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(_ZLIB):
        return body
    unpacking = zlib.decompressobj(zdict=_USUAL)
    text = unpacking.decompress(body, _UNPACKED_MAX_BYTES)
    if not unpacking.eof:
        raise ValueError("longer than it may be when unpacked, or cut off")
    return text
