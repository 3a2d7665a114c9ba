"""Results: when a look-up is a hit, what drops a record, lists, last runs, clearing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.store import (
    ActionDetails,
    ActionRecord,
    AmbiguousIdError,
    BlobDetails,
    LastRun,
    MissingBlobError,
    Store,
)
from buildnet.pool.tree import FileEntry, LinkEntry

STAGED = frozenset({"staged"})


def record_of(name: str, *references: Digest, isolation: str = "staged") -> ActionRecord:
    return ActionRecord(
        action=Digest.of(name.encode()),
        result=b"result of " + name.encode(),
        isolation=isolation,
        worker=b"w" * 32,
        signature=b"s" * 64,
        created_at=1_700_000_000.25,
        duration_ms=12.5,
        label=f"shop/{name} build",
        references=references,
    )


def path_of(store: Store, digest: Digest) -> Path:
    return store.directory / "blobs" / digest.hash[:2] / digest.hash


def test_a_stored_result_is_found_and_survives(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", 1 << 30) as store:
        record = record_of("core", store.put(b"output"), store.put(b"log"))
        store.put_action(record)
        assert store.get_action(record.action, STAGED) == record
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.get_action(record.action, STAGED) == record
        assert store.get_action(Digest.of(b"other"), STAGED) is None
        stats = store.stats()
        assert (stats.actions, stats.hits, stats.misses) == (1, 2, 1)


def test_a_result_that_was_put_is_committed_with_its_blobs(tmp_path: Path) -> None:
    """No close: what a killed process would leave."""
    store = Store.open(tmp_path / "store", 1 << 30)
    record = record_of("core", store.put(b"output"))
    store.put_action(record)
    blobs = store._database.rows("SELECT count(*) FROM blobs")
    store._database.close()
    store._journal.close()
    assert blobs == [(1,)]
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.get_action(record.action, STAGED) == record


def test_a_result_of_another_isolation_level_is_a_miss_and_stays(store: Store) -> None:
    record = record_of("core", isolation="workspace")
    store.put_action(record)
    assert store.get_action(record.action, STAGED) is None
    assert store.get_action(record.action, frozenset({"staged", "workspace"})) == record


@pytest.mark.parametrize("harm", ["removed", "truncated"])
def test_a_result_without_one_of_its_blobs_is_dropped(store: Store, harm: str) -> None:
    output, log = store.put(b"output"), store.put(b"log")
    record = record_of("core", output, log)
    store.put_action(record)
    path = path_of(store, log)
    path.unlink()
    if harm == "truncated":
        path.write_bytes(b"lo")
    assert store.get_action(record.action, STAGED) is None
    assert store.stats().actions == 0
    store.put(b"log")
    assert store.get_action(record.action, STAGED) is None
    store.put_action(record)
    assert store.get_action(record.action, STAGED) == record


def test_a_result_goes_with_a_blob_that_turns_out_damaged(store: Store) -> None:
    output, other = store.put(b"output"), store.put(b"other")
    store.put_action(record_of("core", output, other))
    store.put_action(record_of("web", other))
    path = path_of(store, output)
    path.unlink()
    path.write_bytes(b"OUTPUT")
    with pytest.raises(MissingBlobError):
        store.get(output)
    assert [item.label for item in store.list_actions().items] == ["shop/web build"]


def test_a_result_cannot_name_a_blob_that_the_store_does_not_have(store: Store) -> None:
    with pytest.raises(MissingBlobError):
        store.put_action(record_of("core", Digest.of(b"never stored")))
    assert store.stats().actions == 0


def test_a_result_with_a_bad_signature_is_dropped(tmp_path: Path) -> None:
    trusted = {b"s" * 64}
    with Store.open(
        tmp_path / "store", 1 << 30, verify=lambda record: record.signature in trusted
    ) as store:
        record = record_of("core", store.put(b"output"))
        store.put_action(record)
        assert store.get_action(record.action, STAGED) == record
        store.put_action(replace(record, signature=b"x" * 64))
        assert store.get_action(record.action, STAGED) is None
        assert store.stats().actions == 0


def test_a_result_that_is_put_while_a_bad_one_is_looked_at_stays(tmp_path: Path) -> None:
    def verify(record: ActionRecord) -> bool:
        if record == bad:
            store.put_action(good)
        return record == good

    with Store.open(tmp_path / "store", 1 << 30, verify=verify) as store:
        good = record_of("core", store.put(b"output"))
        bad = replace(good, signature=b"x" * 64)
        store.put_action(bad)
        assert store.get_action(good.action, STAGED) is None
        assert store.get_action(good.action, STAGED) == good


def test_a_later_result_of_the_same_action_replaces_the_earlier(store: Store) -> None:
    first, second = store.put(b"first"), store.put(b"second")
    store.put_action(record_of("core", first))
    store.put_action(record_of("core", second))
    assert store.stats().actions == 1
    shown = store.show(first.hash)
    assert isinstance(shown, BlobDetails)
    assert shown.actions == ()
    assert len(store._database.rows("SELECT * FROM referrers")) == 1


def test_results_are_listed_newest_first_in_pages(store: Store) -> None:
    log = store.put(b"log")
    for number in range(5):
        store.put_action(record_of(f"p{number}", log, log))
    page = store.list_actions(limit=2)
    assert [item.label for item in page.items] == ["shop/p4 build", "shop/p3 build"]
    assert (page.items[0].references, page.items[0].bytes) == (2, 3)
    page = store.list_actions(limit=2, cursor=page.next)
    assert [item.label for item in page.items] == ["shop/p2 build", "shop/p1 build"]
    page = store.list_actions(limit=2, cursor=page.next)
    assert [item.label for item in page.items] == ["shop/p0 build"]
    assert page.next is None
    assert [item.label for item in store.list_actions(label="/p3").items] == ["shop/p3 build"]
    assert store.list_actions(label="%").items == ()


def test_what_commands_took_is_that_of_their_newest_results(store: Store) -> None:
    log = store.put(b"log")
    for number, took_ms in enumerate((10, 30, 20)):
        record = replace(record_of("p", log), action=Digest.of(b"%d" % number))
        store.put_action(replace(record, duration_ms=took_ms))
    store.put_action(replace(record_of("q", log), duration_ms=5))
    labels = ("shop/p build", "shop/q build", *(f"none {number}" for number in range(1000)))
    assert store.durations_ms(labels) == {"shop/p build": 20.0, "shop/q build": 5.0}
    assert store.durations_ms(()) == {}


def test_the_latest_results_of_a_task_are_found_by_an_index(store: Store) -> None:
    log = store.put(b"log")
    for number in range(3):
        store.put_action(replace(record_of("p", log), action=Digest.of(b"%d" % number)))
    store.put_action(record_of("pp", log))
    found = store.latest_actions("shop/p build", 2)
    assert found == [Digest.of(b"2"), Digest.of(b"1")]
    assert store.latest_actions("shop/p", 2) == []
    plan = store._database.rows("EXPLAIN QUERY PLAN SELECT 1 FROM actions WHERE label = 'x'")
    assert "actions_by_label" in str(plan)


def test_a_prefix_shows_a_result_or_a_blob(store: Store) -> None:
    output, log = store.put(b"output"), store.put(b"log")
    record = record_of("core", output, log)
    store.put_action(record)
    path_of(store, log).unlink()
    shown = store.show(record.action.hash[:13])  # an odd number of digits
    assert isinstance(shown, ActionDetails)
    assert (shown.record, shown.missing) == (record, (log,))
    blob = store.show(output.hash[:12])
    assert isinstance(blob, BlobDetails)
    assert (blob.digest, blob.actions) == (output, (record.action,))
    assert blob.path.read_bytes() == b"output"
    for wrong in ("0" * 64, "", "xyz", "../..", "ABCDEF", "a" * 65):
        with pytest.raises(NotFoundError):
            store.show(wrong)


def test_a_prefix_of_several_ids_says_which(store: Store) -> None:
    names = [store.put(b"%d" % number).hash for number in range(20)]  # 20 ids, 16 first digits
    shared = next(name[0] for name in names if [other[0] for other in names].count(name[0]) > 1)
    with pytest.raises(AmbiguousIdError, match=f"{shared} is the beginning of several") as error:
        store.show(shared)
    assert error.value.exit_code == 2


def test_last_runs_are_kept_by_workspace_and_task(tmp_path: Path) -> None:
    run = LastRun(Digest.of(b"action"), Digest.of(b"outputs"), 1_700_000_000.5)
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.last_run("shop", "core") is None
        store.record_run("shop", "core", replace(run, finished_at=1.0))
        store.record_run("shop", "core", run)
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.last_run("shop", "core") == run
        assert store.last_run("shop", "core#test") is None
        assert store.last_run("other", "core") is None


def test_what_patterns_matched_is_kept_with_the_last_run(tmp_path: Path) -> None:
    run = LastRun(Digest.of(b"action"), Digest.of(b"outputs"), 1.0)
    file, link = FileEntry(Digest.of(b"a"), True), LinkEntry("ä")
    with Store.open(tmp_path / "store", 1 << 30) as store:
        store.record_run("shop", "core", run, {"gone": file})
        store.record_run("shop", "core", run, {"gen/a": file, "gen/ä": link})
    with Store.open(tmp_path / "store", 1 << 30) as store:
        store.clear()
        assert store.made("shop", "core") == {"gen/a": FileEntry(file.digest), "gen/ä": link}
        assert store.made("shop", "other") == {}


def test_clear_forgets_all_but_what_builds_hold_and_what_stands_in_workspaces(
    store: Store,
) -> None:
    held, free, empty = store.put(b"held"), store.put(b"free"), store.put(b"")
    store.put_action(record_of("held", held))
    store.put_action(record_of("free", free))
    store.put_action(record_of("none"))
    run = LastRun(held, free, 1.0)
    store.record_run("shop", "core", run)
    table = store.file_table("shop")
    table.record("a", store.directory.stat(), held, 0)
    with store.hold() as hold:
        assert hold.get_action(Digest.of(b"held"), STAGED) is not None
        removed = store.clear()
        assert (removed.blobs, removed.actions, removed.bytes) == (2, 2, 4)
        assert store.missing([held, free, empty]) == {free, empty}
        assert [item.label for item in store.list_actions().items] == ["shop/held build"]
    assert store.last_run("shop", "core") == run
    assert store.file_table("shop").previous("a") == held
    store.clear()
    stats = store.stats()
    assert (stats.blobs, stats.bytes, stats.actions) == (0, 0, 0)
    assert (stats.hits, stats.misses, stats.oldest_used_at) == (0, 0, None)
    assert not list((store.directory / "blobs").glob("*/*"))


def test_the_file_table_of_a_workspace_is_one_object_and_is_written_at_close(
    tmp_path: Path,
) -> None:
    digest = Digest.of(b"x")
    with Store.open(tmp_path / "store", 1 << 30) as store:
        table = store.file_table("shop")
        assert store.file_table("shop") is table
        assert store.file_table("other") is not table
        table.record("a", tmp_path.stat(), digest, 0)
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.file_table("shop").previous("a") == digest


def test_a_result_of_many_blobs_is_looked_up_in_as_many_queries_as_one_of_few(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = record_of("few", store.put(b"one"))
    many = record_of("many", *(store.put(b"%d" % number) for number in range(1200)))
    for record in (few, many):
        store.put_action(record)
    store.close()
    with Store.open(store.directory, 1 << 30) as opened:
        queries: list[str] = []
        rows = opened._database.rows

        def counted(statement: str, parameters: Iterable[Any] = ()) -> Any:
            queries.append(statement)
            return rows(statement, parameters)

        monkeypatch.setattr(opened._database, "rows", counted)
        assert opened.get_action(few.action, STAGED) == few
        assert len(queries) == 1
        queries.clear()
        assert opened.get_action(many.action, STAGED) == many
        assert len(queries) == 3  # of 500 blobs each at most
        queries.clear()
        assert opened.get_action(many.action, STAGED) == many
        assert queries == []  # their rows were seen lately
        path_of(opened, many.references[700]).unlink()
        assert opened.missing(many.references) == {many.references[700]}


@pytest.mark.parametrize("step", ["put", "flushed", "looked up"])
def test_a_row_that_is_gone_is_not_remembered(store: Store, step: str) -> None:
    blob = store.put(b"one")
    if step != "put":
        store.stats()  # writes what was gathered
    if step == "looked up":
        assert store.missing([blob]) == set()
    store.clear()
    assert store.missing([blob]) == {blob}
    assert store.put(b"one") == blob
    stats = store.stats()
    assert (stats.blobs, stats.bytes) == (1, 3)
    assert store.verify().repaired == 0
