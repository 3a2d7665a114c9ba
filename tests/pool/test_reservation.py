"""What a build reserves of other nodes."""

from __future__ import annotations

from dataclasses import replace

from buildnet.pool.demand import Want
from buildnet.pool.leases import Amount
from buildnet.pool.placement import ONE_SLOT, Host, Preferences
from buildnet.pool.reservation import Reservation, reservation_of

A = Host(b"a", "node-a", "aa", slots=4)
B = Host(b"b", "node-b", "bb", slots=8)


def test_cores_of_named_nodes_are_reserved_and_the_rest_of_any_other() -> None:
    preferences = Preferences(cores={"node-a": 3})
    found = reservation_of(preferences, 10, 2, [A, B])
    assert found == Reservation(
        (Want(ONE_SLOT, 3, (b"a",), at_least=3), Want(ONE_SLOT, 5, (b"b",), at_least=5))
    )
    assert reservation_of(preferences, 0, 2, [A, B]).wants == found.wants[:1]
    everything = Preferences(cores={"aa": 0})
    assert reservation_of(everything, 0, 2, [A]).wants == (Want(ONE_SLOT, 4, (b"a",), 4),)


def test_what_is_at_home_already_need_not_be_reserved() -> None:
    assert reservation_of(Preferences(), 2, 2, [A]) == Reservation()
    assert reservation_of(Preferences(), 0, 2, []) == Reservation()


def test_what_can_not_be_had_is_told_with_who_could() -> None:
    idle = replace(A, lends_nothing="it is drained")
    preferences = Preferences(cores={"node-a": 3, "gone": 2, "node-b": 9})
    found = reservation_of(preferences, 0, 1, [idle, B])
    assert found.wants == ()
    first, second, third = found.lacking
    assert first.startswith("3 cores on node-a: ")
    assert first.endswith("(node-b could)")
    assert second == "2 cores on gone: it has no link with this node now (node-b could)"
    assert third == "9 cores on node-b: it runs 8 commands at once"
    (lacking,) = reservation_of(Preferences(), 20, 2, [A, B]).lacking
    assert lacking == "18 cores besides those here, of 12 that others have"


def test_it_is_had_once_all_of_it_is() -> None:
    found = Reservation((Want(ONE_SLOT, 1, (b"a",), 1), Want(ONE_SLOT, 2, (b"a", b"b"), 2)))
    assert not found.is_had([(b"a", ONE_SLOT), (b"b", ONE_SLOT)])
    assert not found.is_had([(b"a", ONE_SLOT), (b"b", ONE_SLOT), (b"b", Amount(2))])
    assert found.is_had([(b"b", ONE_SLOT), (b"a", ONE_SLOT), (b"a", ONE_SLOT)])
    assert Reservation().is_had([])


def test_the_memory_of_a_node_is_shared_by_the_cores_there() -> None:
    preferences = Preferences(cores={"node-a": 3}, memory={"node-a": 3000})
    found = reservation_of(preferences, 0, 1, [A, B])
    assert found.wants == (Want(Amount(1, 1000), 3, (b"a",), at_least=3),)
    small = replace(A, grants=Amount(4, 500, 1 << 60))
    (lacking,) = reservation_of(preferences, 0, 1, [small, B]).lacking
    assert "gives one command less" in lacking


def test_memory_of_a_node_without_cores_is_reserved_for_one_command() -> None:
    preferences = Preferences(cores={"node-a": 1}, memory={"node-b": 1 << 30}, only_named=True)
    found = reservation_of(preferences, 1, 0, [A, B])
    there = Want(Amount(1, 1 << 30), 1, (b"b",), at_least=1)
    assert found.wants == (Want(ONE_SLOT, 1, (b"a",), at_least=1), there)
    small = replace(B, memory_bytes=1 << 29)
    lacking = reservation_of(preferences, 1, 0, [A, small]).lacking
    assert lacking == ("1 GB of memory on node-b: it has less memory",)
    assert reservation_of(preferences, 1, 0, [A]).lacking[0].startswith("1 GB of memory on node-b")
