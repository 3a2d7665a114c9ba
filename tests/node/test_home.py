"""The data directory: its lock, its socket's path, what a node publishes in it."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from buildnet.node.home import (
    SOCKET_PATH_MAX_BYTES,
    AlreadyRunningError,
    Home,
    HomeError,
    Runtime,
    default_home,
)

RUNTIME = Runtime("id", "name", "http://127.0.0.1:1", "/s", 1, "/h", "now", "0")


def test_the_environment_names_the_directory(tmp_path: Path) -> None:
    assert default_home({"BUILDNET_HOME": str(tmp_path)}) == tmp_path
    assert default_home({}).name == "buildnet"


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.prepare()
    first.lock()
    assert second.is_locked()
    with pytest.raises(AlreadyRunningError):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_what_runs_is_published_only_while_it_runs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.lock()
    home.write_runtime(RUNTIME)
    assert Home(tmp_path).read_runtime() == RUNTIME
    told = json.loads((tmp_path / "runtime.json").read_text())
    (tmp_path / "runtime.json").write_text(json.dumps({**told, "of_a_later_version": 1}))
    assert Home(tmp_path).read_runtime() == RUNTIME
    home.unlock()  # as after kill -9: the file stays, the lock does not
    assert Home(tmp_path).read_runtime() is None


def test_a_half_written_runtime_file_means_not_ready(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.lock()
    (tmp_path / "runtime.json").write_text('{"node_id": ')
    assert Home(tmp_path).read_runtime() is None
    home.unlock()


def test_a_path_too_long_for_a_socket_address_is_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path / ("x" * 120) / ("y" * 60))
    home.prepare()
    path = home.prepare_socket()
    assert len(str(path)) <= SOCKET_PATH_MAX_BYTES
    assert path == Home(home.directory).socket_path()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.unlink()


def test_a_dead_nodes_socket_is_removed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.socket_path()))
    assert not home.prepare_socket().exists()


def test_a_directory_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError) as error:
        Home(tmp_path / "file" / "home").prepare()
    assert "BUILDNET_HOME" in (error.value.hint or "")


def test_who_asks_whether_a_node_runs_is_not_taken_for_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.lock()
    home.unlock()
    with (tmp_path / "node.lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not home.is_locked()


def test_a_start_waits_for_those_who_only_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.prepare()
    with (tmp_path / "node.lock").open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        waited: list[float] = []

        def answered(duration_s: float) -> None:
            waited.append(duration_s)
            fcntl.flock(asking, fcntl.LOCK_UN)

        monkeypatch.setattr("buildnet.node.home.time.sleep", answered)
        home.lock()
    assert len(waited) == 1
    home.unlock()


def test_a_start_withdraws_what_a_killed_node_published(tmp_path: Path) -> None:
    killed = Home(tmp_path)
    killed.prepare()
    killed.lock()
    killed.write_runtime(RUNTIME)
    killed.unlock()
    starting = Home(tmp_path)
    starting.lock()
    assert Home(tmp_path).read_runtime() is None  # although somebody holds the lock
    starting.unlock()


def test_a_full_volume_is_told_as_that(small_volume: Path) -> None:
    home = Home(small_volume)
    with (small_volume / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    home.prepare()
    home.lock()
    with pytest.raises(HomeError, match="no room") as error:
        home.write_runtime(RUNTIME)
    assert "free room" in (error.value.hint or "")
    home.unlock()


def test_a_removed_or_replaced_directory_is_no_longer_ours(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    assert not home.is_ours()
    home.lock()
    assert home.is_ours()
    shutil.rmtree(home.directory)
    assert not home.is_ours()
    other = Home(tmp_path / "home")
    other.prepare()
    other.lock()
    assert other.is_ours()
    assert not home.is_ours()
    other.unlock()
    home.unlock()
