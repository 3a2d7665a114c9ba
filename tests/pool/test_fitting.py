"""Whether the pool has what a configuration asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.pool.pool_nodes import ANNA, BERT, node

from buildnet.mesh.errors import NotFoundError
from buildnet.pool.configuration import parse_configuration
from buildnet.pool.fitting import NoCapacityError, check_fit, shortages
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import (
    MemoryResources,
    Program,
    StorageVolume,
    Utilization,
    VolumeUse,
)
from buildnet.pool.view import NodeState


def host(identity: str, name: str, cores: int = 8) -> NodeState:
    made = node(identity, name, cores)
    assert made.resources is not None
    resources = made.resources.model_copy(
        update={
            "memory": MemoryResources(
                total_bytes=8 * GIB, available_bytes=GIB, installed_bytes=8 * GIB
            ),
            "tools": (Program(name="git", version="2.40.1", path="/bin/git"),),
            "runtimes": (Program(name="node", version="v20.11.1", path="/bin/node"),),
            "storage": (
                StorageVolume(path="/", mount_point="/", file_system="x", storage_class="ssd"),
            ),
        }
    )
    return replace(made, resources=resources)


POOL = [host(ANNA, "anna", 8), host(BERT, "bert", 4)]


def check(text: str, nodes: list[NodeState] = POOL) -> None:
    configuration = parse_configuration(text, "x")
    check_fit(configuration, nodes, this_node=ANNA, where="the configuration dev")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "resources: {cpu: {cores: 12}, memory: {gb: 16}}",
        "resources: {cpu: {node_allocations: [{node_id: local, cores: 8}, {node_id: bert}]}}",
        "resources: {tools: [git >=2], runtimes: [node ^20]}",
        "resources: {storage: {min_class: ssd}}",
        "resources: {cpu: {cores: 8}}\nexecution: {local_only: true}",
    ],
)
def test_what_is_there_may_be_asked_for(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("resources: {cpu: {cores: 13}}", "the pool has: 13 cores, of 12"),
        ("resources: {memory: {gb: 16.5}}", "16.5 GiB of memory, of 16"),
        (
            "resources: {cpu: {node_allocations: [{node_id: bert, cores: 5}]}}",
            "5 cores on bert, of 4 (anna could)",
        ),
        ("resources: {cpu: {cores: 9}}\nexecution: {local_only: true}", "this node has: 9 cores"),
        ("resources: {tools: [ffmpeg]}", "the tool ffmpeg is nowhere"),
        (
            "resources: {runtimes: [node >=22]}",
            "the runtime node >=22 is nowhere (v20.11.1 on anna, v20.11.1 on bert)",
        ),
        ("resources: {storage: {min_class: nvme}}", "storage of the class nvme is nowhere"),
    ],
)
def test_what_is_not_there_is_named(text: str, part: str) -> None:
    with pytest.raises(NoCapacityError) as raised:
        check(text)
    assert part in raised.value.message
    assert raised.value.exit_code == 5


def with_free(one: NodeState, free_gib: int) -> NodeState:
    assert one.resources is not None
    disk, other = (
        StorageVolume(path=path, mount_point=path, available_bytes=size * GIB, file_system="x")
        for path, size in (("/", free_gib), ("/full", 1))
    )
    resources = one.resources.model_copy(update={"storage": (disk, other)})
    return replace(one, resources=resources)


def test_one_node_has_to_have_the_free_storage() -> None:
    text = "resources: {storage: {min_free_gb: 30}}"
    check(text, [with_free(POOL[0], 20), with_free(POOL[1], 40)])
    check(text, [with_free(POOL[0], 20), POOL[1]])  # nobody knows what bert has
    with pytest.raises(NoCapacityError, match="30 GiB of free storage on one node, of 20"):
        check(text, [with_free(POOL[0], 20), with_free(POOL[1], 20)])


def test_what_was_measured_later_and_what_the_owner_gave_for_builds_count() -> None:
    resources = with_free(POOL[0], 20).resources
    assert resources is not None
    now = Utilization(
        disks=(VolumeUse(path="/", used_percent=99, available_bytes=3 * GIB),),
        measured_at=resources.scanned_at,
    )
    assert resources.free_storage_bytes(None) == 20 * GIB
    assert resources.free_storage_bytes(now) == 3 * GIB
    given = resources.storage[1].model_copy(update={"purpose": "builds"})
    builds = resources.model_copy(update={"storage": (resources.storage[0], given)})
    assert builds.free_storage_bytes(None) == GIB


def test_nodes_that_are_away_give_nothing() -> None:
    away = [POOL[0], replace(POOL[1], status="offline")]
    with pytest.raises(NoCapacityError, match="9 cores, of 8"):
        check("resources: {cpu: {cores: 9}}", away)
    with pytest.raises(NoCapacityError, match="bert can't be given work now"):
        check("resources: {cpu: {node_allocations: [{node_id: bert}]}}", away)


def test_each_key_that_asks_for_too_much_is_told() -> None:
    away = [POOL[0], replace(POOL[1], status="offline")]
    text = """
        resources:
          cpu:
            cores: 20
            node_allocations:
              - {node_id: anna, cores: 9}
              - {node_id: bert}
              - {node_id: carl, cores: 1}
          memory: {node_allocations: [{node_id: bert, gb: 1}]}
          tools: [git, ffmpeg >=4]
        """
    configuration = parse_configuration(text, "x")
    found = shortages(configuration, away, this_node=ANNA)
    assert {".".join(map(str, one.path)): one.message for one in found} == {
        "resources.cpu.cores": "20 cores, of 8",
        "resources.cpu.node_allocations.0": "9 cores on anna, of 8",
        "resources.cpu.node_allocations.1": "bert can't be given work now",
        "resources.cpu.node_allocations.2": "carl is no node of the pool",
        "resources.memory.node_allocations.0": "bert can't be given work now",
        "resources.tools.1": "the tool ffmpeg >=4 is nowhere",
    }


def test_a_strange_name_is_told_with_what_was_meant() -> None:
    with pytest.raises(NotFoundError) as raised:
        check("resources: {storage: {volumes: [{node_id: brt, path: /c, purpose: cache}]}}")
    assert raised.value.hint == "did you mean 'bert'?"


def test_what_nobody_knows_is_not_held_against_it() -> None:
    unscanned = [replace(POOL[0], resources=None)]
    with pytest.raises(NoCapacityError):  # a node that was never scanned contributes nothing
        check("resources: {cpu: {cores: 1}}", unscanned)
    assert POOL[0].resources is not None
    volume = StorageVolume(path="/", mount_point="/", file_system="x")
    unknown = POOL[0].resources.model_copy(update={"storage": (volume,)})
    check("resources: {storage: {min_class: nvme}}", [replace(POOL[0], resources=unknown)])
