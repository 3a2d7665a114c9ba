"""What nodes tell of themselves: bytes there and back, and when it is worth telling."""

from __future__ import annotations

import json
import random
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from buildnet.pool.advertisement import (
    BODY_MAX_BYTES,
    AdvertisementError,
    Lent,
    Links,
    Load,
    Profile,
)
from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    Program,
    StorageVolume,
    Utilization,
    VolumeUse,
)

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)


def resources(free: int = 500, capabilities: tuple[str, ...] = ()) -> NodeResources:
    return NodeResources(
        system=OperatingSystem(name="linux"),
        cpu=CpuResources(cores=4, logical=4, architecture="x86_64"),
        memory=MemoryResources(total_bytes=1000, available_bytes=free, installed_bytes=1000),
        storage=(
            StorageVolume(
                path="/", mount_point="/", total_bytes=1000, available_bytes=free, file_system="x"
            ),
        ),
        tools=(Program(name="git", version="2", path="/git", capabilities=capabilities),),
        scanned_at=NOW,
    )


def profile(found: NodeResources | None = None) -> Profile:
    return Profile(name="anna", role="worker", version="1", resources=found or resources())


def words(count: int) -> tuple[str, ...]:
    """Return words that can't be packed."""
    numbers = random.Random(1)
    return tuple(f"{numbers.getrandbits(160):040x}" for _ in range(count))


def test_there_and_back() -> None:
    load = Load(actions_running=2, utilization=Utilization(cpu_percent=5, measured_at=NOW))
    assert Profile.decode(profile().encode()) == profile()
    assert Load.decode(load.encode()) == load
    assert Links.decode(Links(round_trip_ms={"ab": 1.5}).encode()).round_trip_ms == {"ab": 1.5}


def test_a_load_is_small() -> None:
    """It is what idle clusters talk about most."""
    usual = Load(
        utilization=Utilization(
            cpu_percent=3.4,
            memory_percent=61.2,
            load_average=(0.31, 0.44, 0.52),
            disks=(VolumeUse(path="/", used_percent=71.3, available_bytes=91_234_567_890),),
            measured_at=NOW + timedelta(microseconds=123456),
        ),
        loop_lag_ms=4.1,
        age_s=2.7,
    )
    assert len(usual.encode()) < 150


def test_a_long_profile_is_packed() -> None:
    long = profile(resources(capabilities=("the same",) * 4000))
    assert len(long.encode()) < 2000
    assert Profile.decode(long.encode()) == long


def test_a_profile_that_is_too_long_loses_what_matters_least() -> None:
    long = profile(resources(capabilities=words(4000)))
    assert len(long.encode()) > BODY_MAX_BYTES
    body = long.fitting()
    assert len(body) <= BODY_MAX_BYTES
    (tool,) = (Profile.decode(body).resources or resources()).tools
    assert (tool.name, tool.capabilities) == ("git", ())
    many = tuple(Program(name=name, path="/x") for name in words(4000))
    longer = profile(resources().model_copy(update={"tools": many}))
    assert Profile.decode(longer.fitting()) == profile().model_copy(update={"resources": None})


def test_a_later_version_may_tell_more() -> None:
    told = json.loads(profile().model_dump_json())
    told["mood"] = "good"
    told["resources"]["cpu"]["quantum_cores"] = 1
    assert Profile.decode(json.dumps(told).encode()) == profile()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"no JSON",
        b"\xff\xfe",
        b'{"name": 1, "role": "worker", "version": "1"}',
        b'{"name": "x", "role": "king", "version": "1"}',
        b"\x78\x9cbroken",
        zlib.compress(profile().encode())[:-1],
        zlib.compress(b" " * 50_000_000),
        zlib.compress(
            profile().model_dump_json(exclude_none=True).encode()[:-1]
            + b', "more": ['
            + b"0," * 50_000
            + b"0]}"
        ),
    ],
)
def test_what_is_no_profile_is_refused(body: bytes) -> None:
    with pytest.raises(AdvertisementError):
        Profile.decode(body)


def test_a_scan_that_found_the_same_is_not_told_again() -> None:
    again = resources(free=510).model_copy(update={"scanned_at": NOW + timedelta(minutes=10)})
    assert profile(again).says_the_same(profile())
    assert not profile(resources(free=300)).says_the_same(profile())
    assert not profile(resources(capabilities=("lfs",))).says_the_same(profile())
    assert not profile().says_the_same(None)


def used(cpu: float | None, disk: float = 10.0) -> Load:
    disks = (VolumeUse(path="/", used_percent=disk, available_bytes=1),)
    return Load(utilization=Utilization(cpu_percent=cpu, disks=disks, measured_at=NOW))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, Load(), True),
        (used(10), used(14.9), False),
        (used(10), used(15.1), True),
        (used(10), used(4.9), True),
        (used(None), used(1), True),
        (used(1), Load(), True),
        (used(1, disk=10), used(1, disk=16), True),
        (Load(), Load(actions_running=1), True),
        (Load(), Load(cores_in_use=1), True),
        (Load(), Load(loop_lag_ms=3.0, age_s=2.0), False),
    ],
)
def test_a_load_is_told_when_it_changed_noticeably(
    before: Load | None, after: Load, told: bool
) -> None:
    assert after.differs(before) is told


def test_round_trips_are_told_when_they_changed_noticeably() -> None:
    near = Links(round_trip_ms={"a": 0.3, "b": 40.0})
    assert not Links(round_trip_ms={"a": 2.2, "b": 59.0}).differs(near)
    assert Links(round_trip_ms={"a": 2.4, "b": 40.0}).differs(near)
    assert Links(round_trip_ms={"a": 0.3, "b": 61.0}).differs(near)
    assert near.has_other_peers(None)
    assert Links(round_trip_ms={"a": 0.3, "b": 40.0}, bandwidth_mbps={"a": 9.0}).differs(near)
    fast = Links(bandwidth_mbps={"a": 900.0})
    assert not Links(bandwidth_mbps={"a": 500.0}).differs(fast)
    assert Links(bandwidth_mbps={"a": 400.0}).differs(fast)
    assert not near.has_other_peers(Links(round_trip_ms={"b": 1.0, "a": 9.0}))
    assert Links(round_trip_ms={"a": 0.3}).has_other_peers(near)


def test_whom_a_node_lends_to_is_news_and_travels() -> None:
    lent = Lent(build="b1", node_id="ab" * 16, slots=2, since_ms=1)
    load = Load(lent=(lent,), lends_nothing="its owner says so", draining=True, builds=1)
    assert Load.decode(load.encode()) == load
    for field in ("lent", "lends_nothing", "draining", "builds"):
        assert load.differs(load.model_copy(update={field: Load.model_fields[field].default}))
    assert not load.differs(load.model_copy(update={"age_s": 3.0, "loop_lag_ms": 7.0}))


def test_a_weight_is_a_number_above_nothing() -> None:
    body = profile().model_copy(update={"priority_weight": 0.0}).encode()
    with pytest.raises(AdvertisementError):
        Profile.decode(body)
