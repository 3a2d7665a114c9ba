"""What a node answers: its pool, cache and history on the command line, and little over TCP."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers
from testbed.commands import ForkedCommandLine
from testbed.one_package import one_package


def ask(address: str, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Ask over TCP; return status and JSON."""
    connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_over_tcp_nobody_gets_more_than_health_and_ready(buildnet: CommandLine) -> None:
    address = buildnet.start()["address"]
    assert ask(address, "/health") == (200, {"status": "ok"})
    buildnet("pool", "status")  # waits for the first scan
    assert ask(address, "/ready") == (200, {"status": "ready"})
    for path in ("/status", "/api/node", "/api/pool", "/api/builds", "/api/openapi.json", "/none"):
        status, problem = ask(address, path)
        assert status == 401, path
        assert problem["code"] == "NOT_AUTHENTICATED"
        assert "--key FILE" in problem["hint"]
    assert ask(address, "/api/node/stop", "POST")[0] == 401
    assert ask(address, "/health", "POST")[0] == 401
    refused = buildnet("pool", "status", "--node", address)
    assert refused.code == 4
    assert "error[NOT_AUTHENTICATED]" in refused.err


POOL_FIELDS = {"cluster", "coordinator", "nodes", "aggregate", "connections"}

NODE_FIELDS = {
    *{"id", "name", "status", "role", "address", "age_s", "latency_ms", "resources"},
    "utilization",
}

AGGREGATE_FIELDS = {
    *{"total_cpu_cores", "available_cpu_cores", "total_memory_bytes", "available_memory_bytes"},
    *{"storage_volumes", "tools", "runtimes", "last_updated"},
}


def test_the_pool_is_shown_as_tables_and_as_data(equipped: CommandLine) -> None:
    equipped.start()
    pool = equipped("pool", "status", "--json").data
    assert pool.keys() >= POOL_FIELDS
    (only,) = pool["nodes"]
    assert only.keys() >= NODE_FIELDS
    resources = only["resources"]
    assert resources["cpu"].keys() >= {"cores", "model", "architecture"}
    assert resources["memory"].keys() >= {"total_bytes", "available_bytes"}
    assert {"storage", "tools", "runtimes", "network"} <= resources.keys()
    assert all(
        tool.keys() >= {"name", "version", "path", "capabilities"} for tool in resources["tools"]
    )
    assert pool["aggregate"].keys() >= AGGREGATE_FIELDS
    assert pool["aggregate"]["total_cpu_cores"] == resources["cpu"]["cores"]
    assert only["id"][:12] in equipped("pool", "status").out
    assert equipped("pool", "nodes", "--quiet").out.split() == [only["id"]]
    only_cpu = equipped("pool", "resources", "--type", "cpu", "--json").data["resources"]
    assert [each["type"] for each in only_cpu] == ["cpu"]
    wrong = equipped("pool", "resources", "--type", "cpus")
    assert wrong.code == 2
    assert "did you mean" in wrong.err
    scanned = equipped("node", "scan", "--json").data
    assert scanned["cpu"] == resources["cpu"]
    assert "python" in equipped("node", "scan").out


@pytest.mark.parametrize("name", ["[/x]", "[bold]:x:"])
def test_names_are_never_taken_for_markup(tmp_path: Path, name: str) -> None:
    buildnet = ForkedCommandLine(tmp_path / "[red]home", bare=True)
    root = one_package(tmp_path, "cp in.txt out.txt")
    text = (root / "buildnet.yaml").read_text()
    named = text.replace("workspace: one", f"workspace: {json.dumps(name)}")
    (root / "buildnet.yaml").write_text(named)
    started = buildnet("node", "start", "--detach", "--listen", "127.0.0.1:0", "--name", name)
    try:
        assert started.code == 0, started.err
        assert str(buildnet.home) in started.out
        for arguments in (["node", "status"], ["pool", "status"], ["pool", "nodes"]):
            shown = buildnet(*arguments)
            assert shown.code == 0, shown.err
            assert name in shown.out
        buildnet.build(root)
        build_id = buildnet("history", "--quiet").out.strip()
        for arguments in (["history"], ["history", build_id], ["pool", "resources"]):
            shown = buildnet(*arguments)
            assert shown.code == 0, shown.err
            assert name in shown.out
        assert buildnet("node", "scan").code == 0
        assert buildnet("cache", "list").code == 0
    finally:
        stopped = buildnet("node", "stop")
    assert name in stopped.out


def test_nobody_on_the_network_can_fill_the_log(buildnet: CommandLine) -> None:
    started = buildnet.start()
    address = urlsplit(started["address"])
    for request in (
        b"no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ):
        with socket.create_connection((str(address.hostname), address.port or 80)) as connection:
            connection.sendall(request)
            assert connection.recv(1000)  # it was seen
    buildnet("node", "stop")
    log = [json.loads(line) for line in (buildnet.home / "node.log").read_text().splitlines()]
    assert [line for line in log if line["logger"].startswith("uvicorn")] == []
    assert "stopping" in [line["message"] for line in log]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(buildnet: CommandLine) -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "buildnet.cli.main", "version"],
            env=buildnet.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr.startswith("error[FAILED]: ")
    assert "No space left" in process.stderr
    assert "Traceback" not in process.stderr


def test_the_cache_can_be_looked_at_and_looked_after(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "cp in.txt out.txt")
    action = node.build(root)["packages"][0]["action"]
    stats = node("cache", "stats", "--json").data
    assert stats["actions"] == 1
    listed = node("cache", "list", "--json").data["actions"]
    assert [each["action"] for each in listed] == [action]
    shown = node("cache", "show", action[:10], "--json").data
    assert (shown["kind"], shown["hash"], shown["missing"]) == ("action", action, [])
    assert node("cache", "show", "ffffffffffff").code == 6
    assert node("cache", "verify").code == 0
    assert node("cache", "gc", "--max-size", "1 lot").code == 2
    collected = node("cache", "gc", "--max-size", "0 B", "--json")
    assert (collected.code, collected.data["actions"]) == (0, 1)
    assert node("cache", "stats", "--json").data["bytes"] == 0
    node.build(root, "--force")
    assert node("cache", "delete", action[:12]).code == 2  # it asks
    ahead = node("cache", "delete", action[:12], "--dry-run")
    assert (ahead.code, ahead.out.startswith("would delete the result of ")) == (0, True)
    deleted = node("cache", "delete", action[:12], "--yes", "--json")
    assert (deleted.code, deleted.data["actions"]) == (0, 1)
    assert node("cache", "delete", "ffffffffffff", "--yes").code == 6
    node.build(root, "--force")
    assert node("cache", "delete", action[:12], "--yes").out.startswith("deleted 1 result and ")
    node.build(root, "--force")
    refused = node("cache", "clear")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert node("cache", "clear", "--dry-run").code == 0
    assert node("cache", "clear", "--yes").code == 0
    assert node("cache", "stats", "--json").data["actions"] == 0


def test_a_damaged_blob_is_dropped_and_made_again(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "cp in.txt out.txt; echo more >> out.txt")
    node.build(root)
    output = (root / "a/out.txt").read_bytes()
    for blob in (node.home / "store/blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == output:
            blob.chmod(0o644)
            blob.write_bytes(output.replace(b"more", b"lies"))
    (root / "a/out.txt").unlink()
    report = node.build(root)
    assert statuses(report) == {"a": "succeeded"}
    assert (root / "a/out.txt").read_bytes() == output


def test_history_shows_builds_and_their_output(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "echo said this; cp in.txt out.txt")
    build_id = node.build(root)["build_id"]
    listed = node("history", "--json").data["builds"]
    assert [build["build_id"] for build in listed] == [build_id]
    shown = node("history", build_id[:6], "--json").data
    assert tiers(shown) == {"a": "full"}
    assert node("history", build_id, "--log", "a").out == "said this\n"
    assert node("history", "zzzz").code == 6


def test_usage_errors_are_short_and_end_with_2(buildnet: CommandLine) -> None:
    for arguments in (["nod", "status"], ["node", "start", "--port", "1"], ["--format", "xml"]):
        answer = buildnet(*arguments)
        assert answer.code == 2, arguments
        assert "Traceback" not in answer.err
        assert "error[USAGE]" in answer.err
    assert buildnet("--help").code == 0
    assert buildnet("version").out.strip()
