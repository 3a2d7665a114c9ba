"""Keys for agents between real nodes: made on one, used over TCP on another, revoked on a third."""

from __future__ import annotations

import http.client
import json
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildnet.cli.testing import write_files
from testbed.ledger_calls import data
from testbed.nodes import Cluster, Node
from testbed.waiting import until


def workspace(root: Path, command: str = "cat in.txt") -> Path:
    """Make a workspace of one package; return its root."""
    package = {"name": "a", "path": "a", "build_cmd": command, "sources": ["a/**"]}
    described = {"workspace": root.name, "packages": [package]}
    write_files(root, {"buildnet.yaml": json.dumps(described), "a/in.txt": "1"})
    return root


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes: of an admin, a builder, and another admin."""
    with Cluster(tmp_path_factory.mktemp("keys"), 3) as cluster:
        one, _, third = cluster.members
        data(one, "rights", "set", third.name, "admin")
        until(lambda: third.get("/api/node")["rights"] == "admin")
        yield cluster


def make(node: Node, name: str, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = data(node, "key", "create", name, "--rights", "builder", *options)
    return made


class Ask:
    """Asks a node over TCP with a key."""

    def __init__(self, node: Node, key: str) -> None:
        self._address = urlsplit(node.address).netloc
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self._address, timeout=20)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, self._headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def stream(self, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._address, timeout=20)
        connection.request("GET", path, headers=self._headers)
        return connection, connection.getresponse()


def test_a_key_made_on_one_node_builds_on_another_and_is_revoked_on_a_third(
    pool: Cluster, tmp_path: Path
) -> None:
    one, two, three = pool.members
    # Output is not kept for who comes later, so it says so again and again.
    workspace(tmp_path, "while true; do echo begun; sleep 0.1; done")
    assert two("build", "-C", str(tmp_path), "--dry-run").code == 0
    made = make(one, "agent")
    ask = Ask(two, made["key"])
    assert ask("GET", "/api/pool")[0] == 200
    assert ask("POST", "/api/configs", {"id": "mine"})[1]["code"] == "NOT_ALLOWED"
    assert ask("POST", "/api/keys", {"name": "x", "rights": "observer"})[1]["code"] == "NOT_ALLOWED"
    status, begun = ask("POST", "/api/build", {"root": str(tmp_path)})
    assert status == 202, begun
    build = f"/api/build/{begun['build_id']}"
    connection, events = ask.stream(f"{build}/events")
    try:
        seen = ""
        while "begun" not in seen:
            seen += events.readline().decode()
        began = time.monotonic()
        data(three, "key", "revoke", "agent", "--reason", "it leaked", "--yes")
        rest = events.read().decode()
        took_s = time.monotonic() - began
    finally:
        connection.close()
    assert json.loads(rest.splitlines()[-1])["code"] == "KEY_REVOKED"
    assert took_s < 10  # it counts in seconds where the machine is busy; alone it takes 0.3 s
    for each in (two, three, one):
        until(partial(_is_refused, each, made["key"]))
    two.post(f"{build}/cancel")
    (shown,) = [each for each in one.get("/api/keys")["keys"] if each["name"] == "agent"]
    assert (shown["status"], shown["reason"]) == ("revoked", "it leaked")
    assert "key" not in shown
    until(lambda: _types(two, made["id"]) >= {"key.created", "key.revoked"})


def test_builds_are_cancelled_from_any_node_by_those_who_asked_for_them(
    pool: Cluster, tmp_path: Path
) -> None:
    one, two, three = pool.members
    root = workspace(tmp_path / "stand", "sleep 60")
    assert two("build", "-C", str(root), "--dry-run").code == 0
    scoped, joined, other, outside = (
        make(one, name, *(("--scope", f"workspace:{where}") if where else ()))["key"]
        for name, where in (("scoped", "stand"), ("joined", ""), ("none", ""), ("out", "shop"))
    )
    body = {"root": str(root)}
    build = Ask(two, scoped)("POST", "/api/build", body)[1]["build_id"]
    assert Ask(two, joined)("POST", "/api/build", body)[1] == {
        "build_id": build,
        "asker": 1,
        "estimated_duration_ms": None,
    }
    until(lambda: build in {each["build_id"] for each in one.get("/api/queue")["builds"]})
    for node in pool.members:
        for key in (other, outside):
            for path in (f"/api/queue/{build}/cancel", f"/api/build/{build}/cancel"):
                assert Ask(node, key)("POST", path, {})[1]["code"] == "NOT_ALLOWED"
    shown = Ask(three, scoped)("GET", "/api/queue")[1]["builds"]
    assert [each["build_id"] for each in shown] == [build]
    assert Ask(three, outside)("GET", "/api/queue")[1]["builds"] == []
    for again in (False, True):  # who joined it ends it for themselves alone, also said again
        status, told = Ask(three, joined)("POST", f"/api/queue/{build[:12]}/cancel", {})
        assert (status, told["goes_on"]) == (200, True), again
    assert two.get(f"/api/build/{build}")["status"] == "running"
    status, told = Ask(one, scoped)("POST", f"/api/build/{build}/cancel", {})
    assert (status, told["goes_on"]) == (200, False)
    until(lambda: two.get(f"/api/build/{build}")["status"] == "cancelled")


def _is_refused(node: Node, key: str) -> bool:
    return Ask(node, key)("GET", "/api/pool")[0] == 401


def _types(node: Node, key: str) -> set[str]:
    entries = node.get(f"/api/ledger?entity=key:{key}")["entries"]
    return {each["type"] for each in entries}


def test_who_is_no_admin_makes_and_revokes_none(pool: Cluster) -> None:
    one, two, _ = pool.members
    assert data(two, "key", "create", "mine", code=4)["error"]["code"] == "NOT_ADMIN"
    make(one, "other")
    until(lambda: two.get("/api/keys")["keys"])
    assert data(two, "key", "revoke", "other", "--yes", code=4)["error"]["code"] == "NOT_ADMIN"
    assert data(one, "key", "create", "other", code=2)["error"]["code"] == "KEY_EXISTS"


def test_with_the_key_of_an_admin_any_node_will_do(pool: Cluster) -> None:
    one, two, _ = pool.members
    boss = Ask(two, data(one, "key", "create", "boss", "--rights", "admin")["key"])
    status, made = boss("POST", "/api/keys", {"name": "made-there", "rights": "builder"})
    assert status == 201, made
    until(lambda: Ask(two, made["key"])("GET", "/api/pool")[0] == 200)
    assert boss("POST", "/api/keys/made-there/revoke", {})[0] == 200
    until(partial(_is_refused, two, made["key"]))


def test_a_key_made_anew_takes_the_place_of_the_one_before(pool: Cluster) -> None:
    one, two, three = pool.members
    before = make(one, "rotated")
    until(lambda: any(each["name"] == "rotated" for each in three.get("/api/keys")["keys"]))
    after = data(three, "key", "rotate", "rotated", "--yes")
    assert after["id"] == before["id"]
    until(partial(_is_refused, two, before["key"]))
    assert Ask(two, after["key"])("GET", "/api/pool")[0] == 200


def test_over_the_network_only_what_the_owner_opened_is_built(
    pool: Cluster, tmp_path: Path
) -> None:
    one, two, _ = pool.members
    opened, closed = workspace(tmp_path / "opened"), workspace(tmp_path / "closed")
    assert two("build", "-C", str(opened)).code == 0
    ask = Ask(two, make(one, "opener")["key"])
    for root in (closed, tmp_path / "none", Path("/etc")):
        for path in ("/api/build", "/api/workspace"):
            assert ask("POST", path, {"root": str(root)})[1]["code"] == "WORKSPACE_CLOSED"
    set_path = {"root": str(opened), "environment": {"PATH": str(tmp_path)}}
    assert ask("POST", "/api/build", set_path)[1]["code"] == "NOT_ALLOWED"
    loose = {"root": str(opened), "configuration": {"execution": {"isolation": "staged"}}}
    for path in ("/api/build", "/api/build/a", "/api/build/estimate"):
        assert ask("POST", path, loose)[1]["code"] == "NOT_ALLOWED"
    assert ask("POST", "/api/build", {"root": str(opened / "a")})[0] == 202
    inside = Ask(two, make(one, "inside", "--scope", "workspace:opened")["key"])
    outside = Ask(two, make(one, "outside", "--scope", "workspace:other")["key"])
    assert inside("POST", "/api/build", {"root": str(opened)})[0] == 202
    assert inside("GET", "/api/builds")[1]["builds"]
    assert inside("GET", "/api/ledger")[0] == 403
    assert outside("POST", "/api/build", {"root": str(opened)})[1]["code"] == "NOT_ALLOWED"
    assert outside("GET", "/api/builds")[1]["builds"] == []
    build = two.get("/api/builds?limit=1")["builds"][0]["build_id"]
    (listed,) = inside("GET", "/api/workspaces")[1]["workspaces"]
    assert (listed["root"], listed["name"]) == (str(opened), "opened")
    assert outside("GET", "/api/workspaces")[1] == {"workspaces": [], "next": None}
    told = [f"/api/build/{build}/{what}" for what in ("review", "trace", "graph", "artifacts")]
    told += [
        f"/api/builds/compare?before={build}&after={build}",
        "/api/builds/trends?workspace=opened",
    ]
    for path in (f"/api/build/{build}", f"/api/build/{build}/events", *told):
        assert outside("GET", path)[0] == 403
        assert inside("GET", path.removesuffix("/events"))[0] == 200


def test_the_command_line_asks_with_a_bound_key(pool: Cluster, tmp_path: Path) -> None:
    one, two, _ = pool.members
    file = tmp_path / "agent.key"
    made = data(one, "key", "create", "bound", "--bind", "new", "--out", str(file))
    assert "key" not in made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    answer = data(two, "pool", "status", "--node", two.address, "--key", str(file))
    assert len(answer["nodes"]) == 3
    key = file.read_text().splitlines()[0]
    stolen = two("pool", "status", "--node", two.address, "--key", key, "--json")
    assert stolen.data["error"]["code"] == "KEY_PROOF"
    assert key not in stolen.err + stolen.out


def test_what_was_revoked_stays_so_when_the_node_starts_anew(pool: Cluster) -> None:
    one, two, _ = pool.members
    made = make(one, "past")
    data(one, "key", "revoke", "past", "--yes")
    until(partial(_is_refused, two, made["key"]))
    (file,) = two.home.directory.glob("keys-*.cbor")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made["key"].encode() not in file.read_bytes()
    two.stop()
    two.start()
    assert Ask(two, made["key"])("GET", "/api/pool")[1]["code"] == "KEY_REVOKED"
    until(lambda: one.get("/api/ledger?type=key.used")["entries"])


def test_taking_an_admin_s_rights_away_tells_which_keys_end(pool: Cluster) -> None:
    one, two, three = pool.members
    made = make(three, "of-three")
    until(lambda: Ask(two, made["key"])("GET", "/api/pool")[0] == 200)
    refused = one("rights", "set", three.name, "builder")
    assert (refused.code, "of-three" in refused.err) == (2, True)
    assert three.get("/api/node")["rights"] == "admin"
    assert "of-three" in one("rights", "set", three.name, "builder", "--yes").err
    until(lambda: Ask(two, made["key"])("GET", "/api/pool")[0] == 401)
    again = one("rights", "set", three.name, "admin")  # nothing ends by that, so nobody is asked
    assert (again.code, "of-three" in again.err) == (0, False)
    until(lambda: three.get("/api/node")["rights"] == "admin")
