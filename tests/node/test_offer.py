"""What a node offers, and what of it is allocated, as the ledger has it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.node.recording_ledger import (
    GIB,
    NODE,
    OneLedger,
    offers,
    resources,
    run,
    volume,
    written,
)

from buildnet.ledger.accounts import Books
from buildnet.ledger.postings import allocated
from buildnet.node.offer import ResourcesFound, amounts, described, postings
from buildnet.node.recording import Recording
from buildnet.node.sharing.loans import Loans, LoansBrokenOff
from buildnet.pool.leases import Amount, Lease
from buildnet.pool.resources import Program


def test_a_scan_is_recorded_if_it_found_something_else(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        same = (ResourcesFound("ann", resources()), ResourcesFound("ann", resources(free=2 * GIB)))
        entries = await written(ledger, *same)
        assert [one.body.type for one in entries] == ["node.resources"]
        assert offers(entries)["cores/free", "cores"] == 4
        assert "available_bytes" not in json.dumps(entries[0].data)

        entries = await written(ledger, ResourcesFound("ann", resources(6)))
        assert len(entries) == 2
        assert len(entries[1].body.postings) == 2
        entries = await written(ledger, ResourcesFound("ann", resources(2)))
        found = offers(entries)
        assert found["cores/free", "cores"] == 2
        assert found["cores/capacity", "cores"] == -2
        assert found["storage://free", "bytes"] == 100 * GIB
        rows = await ledger.store.table("node_resources")
        cpu = next(row for row in rows if row["resource_type"] == "cpu")
        assert json.loads(str(cpu["resource_data"]))["cores"] == 2

    run(tmp_path, work)


def test_a_volume_that_is_gone_is_withdrawn(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        both = resources(4, GIB, volume("/", 9), volume("/mnt/x", 7))
        one = resources(4, GIB, volume("/", 9))
        entries = await written(ledger, ResourcesFound("a", both), ResourcesFound("a", one))
        assert ("storage:/mnt/x/free", "bytes") not in offers(entries)
        assert ("storage:/mnt/x/free", "bytes") in offers(entries[:1])

    run(tmp_path, work)


def test_what_is_allocated_counts_as_offered() -> None:
    place = f"node:{NODE}/cores"
    held = {(place, "capacity", "cores"): -4, (place, "free", "cores"): 4}
    assert postings(held, {(place, "cores"): 4}) == ()
    lent = held | {(place, "free", "cores"): 0, (place, "allocated", "cores"): 4}
    assert postings(lent, {(place, "cores"): 1}) == (), "what is allocated can't be withdrawn"
    pair = postings(held, {(place, "cores"): 1})
    assert [(one.account, one.side, one.amount) for one in pair] == [
        (f"{place}/free", "debit", 3),
        (f"{place}/capacity", "credit", 3),
    ]
    assert allocated(place, "cores", 3)[0].account == f"{place}/free"


def lease(number: int, slots: int, memory_bytes: int = 0) -> Lease:
    key, amount = number.to_bytes(16, "big"), Amount(slots, memory_bytes)
    return Lease(key, f"b{number}", b"h" * 32, b"c" * 32, 7, amount, True, 0.0, 0.0, "ann")


def test_what_is_lent_is_allocated_as_far_as_it_is_free_and_given_back_whole(
    tmp_path: Path,
) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        loans, (first, second) = Loans(), (lease(1, 3, GIB), lease(2, 3))
        for each in (first, second):
            loans.lent(each, 100.0, 0.0)
        begun = loans.to_write(100.0)
        assert begun is not None
        entries = await written(ledger, ResourcesFound("ann", resources(4)), begun)
        found = offers(entries)
        assert found["cores/allocated", "cores"] == 4, "slots may be more than there are cores"
        assert ("cores/free", "cores") not in found
        assert found["memory/allocated", "bytes"] == GIB
        found = offers(await written(ledger, ResourcesFound("ann", resources(2))))
        assert found["cores/capacity", "cores"] == -4, "all of it is lent"
        loans.ended(first, "it was given back", 101.0)
        over = loans.to_write(110.0)
        assert over is not None
        found = offers(await written(ledger, over, ResourcesFound("ann", resources(2))))
        assert found["cores/allocated", "cores"] == 1
        assert found["cores/capacity", "cores"] == -2
        assert ("memory/allocated", "bytes") not in found
        # The node is killed, and starts again.
        entries = await written(ledger, LoansBrokenOff())
        assert not [name for name, _ in offers(entries) if name.endswith("/allocated")]
        books = Books()
        for entry in entries:
            assert not books.apply(entry).violations
        assert books.balance(f"node:{NODE}/cores/free", "cores") == 2

    run(tmp_path, work)


def test_long_scans_and_many_volumes_fit_into_an_entry(tmp_path: Path) -> None:
    tools = tuple(Program(name=f"t{n}", path="/opt/" + "x" * 200) for n in range(500))
    many = tuple(volume(f"/mnt/{n}", n + 1) for n in range(200))
    found = resources(4, GIB, *many).model_copy(update={"tools": tools})
    assert len(json.dumps(described(found))) < 40_000
    assert len(amounts(NODE, found)) <= 16

    async def work(ledger: OneLedger, recording: Recording) -> None:
        (entry,) = await written(ledger, ResourcesFound("ann", found))
        assert len(entry.body.postings) == 32
        assert entry.data["resources"]["cpu"]["cores"] == 4

    run(tmp_path, work)
