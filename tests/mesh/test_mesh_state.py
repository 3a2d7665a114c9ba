"""A node's mesh files: changing clusters survives a crash at every step."""

from __future__ import annotations

from pathlib import Path

from buildnet.mesh.service.state import StateDirectory

OLD = bytes.fromhex("0123456789abcdef") + bytes(24)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    StateDirectory(tmp_path).settle()
    assert names(tmp_path) == set()


def test_the_old_state_is_kept_under_its_clusters_name(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    for number in range(2):
        state.facts.write_text(f"old {number}")
        state.next_facts.write_text("new")
        state.replace(OLD)
        assert state.facts.read_text() == "new"
    assert (tmp_path / "mesh-0123456789abcdef.db").read_text() == "old 0"
    assert (tmp_path / "mesh-0123456789abcdef-1.db").read_text() == "old 1"


def test_a_change_that_had_begun_is_finished(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.next_facts.write_text("new")  # the old one was moved away, then the power went
    state.settle()
    assert names(tmp_path) == {"mesh.db"}
    assert state.facts.read_text() == "new"


def test_a_change_that_had_not_begun_is_forgotten(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.facts.write_text("old")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"mesh-next.db{suffix}").write_text("half written")
    state.settle()
    assert names(tmp_path) == {"mesh.db"}
    assert state.facts.read_text() == "old"


def test_a_leave_that_had_begun_is_kept_until_the_others_say_what_became_of_it(
    tmp_path: Path,
) -> None:
    state = StateDirectory(tmp_path)
    for path in (state.facts, state.cluster_key):
        path.write_text("old")
    for path in (state.next_facts, state.next_cluster_key):
        path.write_text("new")
    state.settle()
    assert state.leave_begun
    state.replace(OLD)
    assert not state.leave_begun
    stem = "0123456789abcdef"
    assert names(tmp_path) == {
        "mesh.db",
        "cluster.key",
        f"mesh-{stem}.db",
        f"cluster-{stem}.key",
    }
    assert state.facts.read_text() == state.cluster_key.read_text() == "new"


def test_a_leave_that_a_crash_interrupted_between_two_clusters_is_finished(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.cluster_key.write_text("old")
    for path in (state.next_facts, state.next_cluster_key):
        path.write_text("new")
    state.settle()
    assert state.facts.read_text() == state.cluster_key.read_text() == "new"
    assert names(tmp_path) == {"mesh.db", "cluster.key", f"cluster-{bytes(8).hex()}.key"}


def test_the_recovery_key_of_a_cluster_that_is_left_is_kept(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    key = state.new_cluster_key()
    assert state.new_cluster_key() == key
    assert state.cluster_key.stat().st_mode & 0o777 == 0o600
    assert state.recovery_key(key.public_key) == key
    assert state.recovery_key(bytes(32)) is None
    state.set_aside_cluster_key(OLD)
    assert names(tmp_path) == {"cluster-0123456789abcdef.key"}
    assert state.recovery_key(key.public_key) is None
    assert state.new_cluster_key() != key
