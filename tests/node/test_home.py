"""The data directory: its lock, its socket's path, what a node publishes in it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from buildnet.node.home import (
    SOCKET_PATH_MAX_BYTES,
    AlreadyRunningError,
    Home,
    HomeError,
    Runtime,
    default_home,
    require_supported_platform,
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


def test_windows_is_told_of_wsl() -> None:
    require_supported_platform("linux")
    with pytest.raises(HomeError) as error:
        require_supported_platform("win32")
    assert "WSL" in (error.value.hint or "")
