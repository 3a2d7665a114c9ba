"""Nodes on this machine become a cluster: joining, leaving, trust, and who coordinates."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node, alive, invite, join, refused
from testbed.offices import agreement, of_quorum

PATIENCE_S = 40.0


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that are left as they are found."""
    with Cluster(tmp_path_factory.mktemp("trio"), 3) as cluster:
        yield cluster


@pytest.fixture
def newcomer(trio: Cluster, tmp_path: Path) -> Iterator[Node]:
    """A node of its own; what it joins it leaves again."""
    node = Node(tmp_path / "newcomer", "newcomer", listen="127.0.0.1:0", bare=True)
    node.start()
    yield node
    founder = trio.members[0]
    if any(each["name"] == "newcomer" for each in members(founder)):
        founder.post("/api/node/revoke", {"node": "newcomer"})
    node.kill()
    trio.settle()


def until(true: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def data(node: Node, *arguments: str, code: int = 0) -> Any:
    answer = node(*arguments, "--json")
    assert answer.code == code, answer.err + answer.out
    return answer.data


def error(node: Node, *arguments: str, code: int) -> str:
    """Return the code of the error that a command ends with; each has a hint."""
    told = data(node, *arguments, code=code)["error"]
    assert told["hint"], told
    return str(told["code"])


def members(node: Node) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = node.get("/api/node/members")["members"]
    return listed


def names(node: Node) -> list[str]:
    return [each["name"] for each in members(node)]


def waiting_to_join(node: Node, member: Node) -> subprocess.Popen[str]:
    """Ask for admission; return the command, which waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "node", "join", member.address, "--json"],
        env=node.command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    return process


def shown_by(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the short authentication string that a waiting command shows, and its node's id."""
    assert process.stderr is not None
    line = process.stderr.readline()
    shown = re.search(r"this node's id is (\w+), the code is (\S+)$", line)
    assert shown is not None, line
    return shown[2], shown[1]


# --- one pool ----------------------------------------------------------------------------------


def test_every_node_shows_the_same_pool(trio: Cluster) -> None:
    def is_whole(node: Node) -> bool:
        pool = node.get("/api/pool")
        return (
            pool["view"]["complete"]
            and all(one["resources"] for one in pool["nodes"])
            and all(one["latency_ms"] for one in pool["nodes"] if not one["this_node"])
        )

    for node in trio.members:
        until(lambda node=node: is_whole(node))  # type: ignore[misc]
    pools = [data(node, "pool", "status") for node in trio.members]
    for node, pool in zip(trio.members, pools, strict=True):
        assert pool["view"] == {
            **{"complete": True, "reachable": 3, "members": 3, "problem": None},
            "oldest_age_s": pool["view"]["oldest_age_s"],
        }
        assert pool["cluster"] == pools[0]["cluster"]
        assert pool["coordinator"] == pools[0]["coordinator"]
        assert [one["name"] for one in pool["nodes"]] == ["node1", "node2", "node3"]
        assert [one["name"] for one in pool["nodes"] if one["this_node"]] == [node.name]
        assert {one["status"] for one in pool["nodes"]} <= {"online", "busy"}
        assert [one["latency_ms"] is None for one in pool["nodes"]].count(True) == 1
        assert pool["aggregate"]["total_cpu_cores"] == sum(
            one["resources"]["cpu"]["cores"] for one in pool["nodes"]
        )
    until(lambda: len(trio.members[0].get("/api/pool")["connections"]) == 3)
    for connection in trio.members[2].get("/api/pool")["connections"]:
        assert connection.keys() == {
            *("from_node", "to_node", "latency_ms", "bandwidth_mbps", "status", "estimated"),
            "age_s",
        }
        assert connection["status"] in ("excellent", "good", "fair", "poor")
    resources = data(trio.members[1], "pool", "resources", "--type", "cpu")["resources"]
    assert {one["node_name"] for one in resources} == {"node1", "node2", "node3"}
    only = data(trio.members[1], "pool", "resources", "--type", "cpu", "--on", "node3")
    assert [one["node_name"] for one in only["resources"]] == ["node3"]


def test_the_tables_of_a_pool(trio: Cluster) -> None:
    node = trio.members[1]
    shown = node("pool", "status").out
    assert "pool node1, coordinator node1, term " in shown
    assert "node3" in shown
    assert "this node" in node("pool", "nodes").out
    assert "voters reachable" in node("pool", "health").out
    for command in ("pool status", "pool nodes", "pool health", "node list"):
        shown = node(*command.split()).out
        assert len(re.findall("worker, (voter, )?coordinator", shown)) == 1, command
        assert shown.count("online") == 3, command
    assert "node1 (3 members, coordinator node1" in node("node", "status").out
    assert "admin" in node("node", "list").out


def test_field_names_that_scripts_rely_on(trio: Cluster) -> None:
    node = trio.members[2]
    status = data(node, "node", "status")
    assert status.keys() >= {
        *("node_id", "name", "address", "role", "rights", "status", "cluster", "coordinator"),
        *("term", "uptime_s", "version", "problem"),
    }
    assert status["coordinator"].keys() == {"node_id", "name", "term", "quorum"}
    assert (status["term"], status["rights"]) == (status["coordinator"]["term"], "builder")
    listed = data(node, "node", "list")
    assert listed.keys() == {
        *("cluster", "version", "epoch", "members", "former", "problem", "next"),
    }
    assert listed["problem"] is None
    assert listed["members"][0].keys() == {
        *("id", "name", "key", "status", "role", "coordinator", "rights", "priority", "voter"),
        *("this_node", "addresses"),
    }
    told = data(node, "pool", "health")
    assert told["healthy"], told["problems"]
    assert [one["link"] is None for one in told["nodes"]] == [False, False, True]
    assert node("pool", "health", "--exit-status").code == 0


# --- in and out --------------------------------------------------------------------------------


def test_a_node_joins_by_token_and_leaves(trio: Cluster, newcomer: Node) -> None:
    founder, other, _ = trio.members
    invitation = data(founder, "node", "invite", "--expires", "5m")
    assert invitation.keys() == {
        *("id", "token", "command", "expires_at", "uses", "role", "rights", "warning"),
    }
    assert invitation["warning"] is None
    assert (invitation["uses"], invitation["role"], invitation["rights"]) == (
        *(1, "worker"),
        "builder",
    )
    assert invitation["command"].startswith("buildnet node join 127.0.0.1:")
    arguments = invitation["command"].split()[1:]
    joined = data(newcomer, *arguments)
    assert joined.keys() == {"cluster", "node_id", "members", "already"}
    assert (joined["members"], joined["already"]) == (4, False)
    assert joined["cluster"] == data(other, "pool", "status")["cluster"]
    assert joined["node_id"] == newcomer.identity
    until(lambda: all(alive(node) == 4 for node in (*trio.members, newcomer)))
    assert data(newcomer, *arguments)["already"]
    elsewhere = error(newcomer, "node", "join", "127.0.0.1:1", "--token", "bn1-x", code=2)
    assert elsewhere == "TOKEN"
    left = data(newcomer, "node", "leave", "--yes")
    assert left["cluster"]["id"] != joined["cluster"]["id"]
    until(lambda: all("newcomer" not in names(node) for node in trio.members))
    assert newcomer.identity in data(founder, "node", "list")["former"]
    everybody = data(founder, "node", "list", "--all")["members"]
    assert {"newcomer": "left", "node2": "online"}.items() <= {
        each["name"]: each["status"] for each in everybody
    }.items()
    assert "left" in founder("node", "list", "--all").out
    assert "(a cluster of one)" in newcomer("node", "status").out
    assert error(newcomer, "node", "leave", "--yes", code=2) == "MEMBERSHIP"


def test_the_token_alone_tells_where_to_join(trio: Cluster, newcomer: Node) -> None:
    # It listens on this host only.
    assert data(newcomer, "node", "join") == {"candidates": [], "next": None}
    token = trio.members[0]("node", "invite", "--quiet").out.strip()
    assert data(newcomer, "node", "join", "--token", token)["members"] == 4


def test_a_member_of_one_cluster_joins_no_other(trio: Cluster, newcomer: Node) -> None:
    second = trio.members[1]
    assert error(second, "node", "join", newcomer.address, code=2) == "MEMBERSHIP"
    token = invite(newcomer)
    assert error(second, "node", "join", newcomer.address, "--token", token, code=2) == "MEMBERSHIP"
    assert data(second, "node", "join", trio.members[2].address)["already"]


def test_a_node_bears_the_name_that_it_was_started_with_last(trio: Cluster, newcomer: Node) -> None:
    founder = trio.members[0]
    join(newcomer, founder, invite(founder))
    newcomer.kill()
    newcomer.name = "renamed"
    newcomer.start()
    until(lambda: "renamed" in names(founder))
    until(lambda: "renamed" in {one["name"] for one in founder.get("/api/pool")["nodes"]})
    assert data(founder, "node", "set-priority", "renamed", "1")["node_id"] == newcomer.identity
    assert data(founder, "node", "set-priority", "renamed", "0")["priority"] == 0
    newcomer("node", "leave", "--yes")


def test_wrong_used_and_expired_tokens(trio: Cluster, newcomer: Node) -> None:
    founder = trio.members[0]
    used = invite(founder)
    join(newcomer, founder, used)
    newcomer.post("/api/pool/leave", {})
    until(lambda: "newcomer" not in names(founder))
    expired = founder.post("/api/node/invite", {"valid_s": 2})["token"]
    over = time.time() + 2.1
    until(lambda: time.time() > over)
    cut_off = invite(founder)[:-3]
    before = data(newcomer, "node", "status")["cluster"]["id"]
    for token in (used, expired, cut_off, "nonsense"):
        answer = newcomer("node", "join", founder.address, "--token", token, "--json")
        assert answer.code in (2, 4), answer.out
        told = answer.data["error"]
        assert told["code"] in ("TOKEN", "JOIN"), told
        assert told["hint"], told
    assert data(newcomer, "node", "status")["cluster"]["id"] == before
    assert "newcomer" not in names(founder)


def test_an_invitation_is_listed_and_withdrawn(trio: Cluster, newcomer: Node) -> None:
    founder, second, _ = trio.members
    made = data(founder, "node", "invite", "--uses", "2", "--expires", "29d")
    for node in (founder, second):
        until(
            lambda node=node: (
                [  # type: ignore[misc]
                    (one["id"], one["uses_left"], one["made_by"], one["expires_at"])
                    for one in data(node, "node", "invite", "--list")["invitations"]
                    if one["id"] == made["id"]
                ]
                == [(made["id"], 2, "node1", made["expires_at"])]
            )
        )
    assert made["id"] in founder("node", "invite", "--list").out
    assert error(second, "node", "invite", "--withdraw", made["id"], code=4) == "NOT_ADMIN"
    withdrawn = data(founder, "node", "invite", "--withdraw", made["id"][:6])
    assert withdrawn == {"success": True, "id": made["id"]}
    assert error(founder, "node", "invite", "--withdraw", made["id"], code=6) == "NOT_FOUND"
    joining = ("node", "join", founder.address, "--token", made["token"])
    assert error(newcomer, *joining, code=2) == "TOKEN"
    for expires in ("31d", "0s"):
        told = data(founder, "node", "invite", "--expires", expires, code=2)["error"]
        assert told["message"] == "an invitation works for 1 second to 30 days"
    assert error(founder, "cache", "fetch", "abc", "--from", "node2", code=2) == "USAGE"


def test_a_request_is_shown_on_every_node_with_the_same_code_and_approved(
    trio: Cluster, newcomer: Node
) -> None:
    founder, _, third = trio.members
    process = waiting_to_join(newcomer, third)
    shown = shown_by(process)
    assert shown[1] == newcomer.identity
    for node in trio.members:
        until(lambda node=node: data(node, "node", "requests")["requests"])  # type: ignore[misc]
        (request,) = data(node, "node", "requests")["requests"]
        assert request.keys() == {
            *("id", "node_id", "name", "role", "code", "from", "asked_node", "asked_at"),
            "expires_at",
        }
        assert (request["code"], request["node_id"]) == shown
        assert (request["name"], request["asked_node"]) == ("newcomer", "node3")
    joining = data(newcomer, "node", "status")["joining"]
    assert joining.keys() == {"address", "since", "waits_for", "code", "problem"}
    assert (joining["address"], joining["code"]) == (third.address, shown[0])
    assert shown[0] in newcomer("node", "status").out
    listed = founder("node", "requests").out
    assert all(each in listed for each in shown)
    assert error(third, "node", "approve", request["id"], code=4) == "NOT_ADMIN"
    assert error(founder, "node", "approve", "zz", code=6) == "NOT_FOUND"
    approved = data(founder, "node", "approve", request["id"][:6], "--rights", "observer")
    assert approved["node_id"] == newcomer.identity
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert json.loads(out)["members"] == 4
    status = data(newcomer, "node", "status")
    assert (status["rights"], status["joining"]) == ("observer", None)
    until(lambda: data(founder, "node", "requests")["requests"] == [])


def test_a_request_that_is_rejected(trio: Cluster, newcomer: Node) -> None:
    founder = trio.members[0]
    process = waiting_to_join(newcomer, founder)
    shown_by(process)
    until(lambda: data(founder, "node", "requests")["requests"])
    assert "was turned down" in founder("node", "reject", "newcomer").out
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 4
    assert json.loads(out)["error"]["code"] == "JOIN"
    assert data(newcomer, "node", "status")["cluster"]["members"] == 1


def test_ctrl_c_withdraws_the_request(trio: Cluster, newcomer: Node) -> None:
    founder = trio.members[0]
    process = waiting_to_join(newcomer, founder)
    shown_by(process)
    until(lambda: data(founder, "node", "requests")["requests"])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    until(lambda: data(founder, "node", "requests")["requests"] == [])
    assert data(newcomer, "node", "status")["cluster"]["members"] == 1


def test_a_node_started_with_join_is_a_member_and_comes_back_as_one(
    trio: Cluster, tmp_path: Path
) -> None:
    founder = trio.members[0]
    token = data(founder, "node", "invite", "--role", "observer")["token"]
    watcher = Node(tmp_path / "watcher", "watcher")
    arguments = [
        *("node", "start", "--detach", "--listen", "127.0.0.1:0", "--name", "watcher"),
        *("--role", "observer", "--join", founder.address, "--token", token),
    ]
    try:
        started = data(watcher, *arguments)
        assert {"node_id", "name", "address", "pid", "home"} <= started.keys()
        shown = next(each for each in members(founder) if each["name"] == "watcher")
        assert (shown["role"], shown["voter"]) == ("observer", False)
        until(lambda: data(watcher, "pool", "status")["view"]["complete"])
        pool = data(watcher, "pool", "status")
        offered = data(watcher, "pool", "status")["aggregate"]["total_cpu_cores"]
        assert offered == sum(
            each["resources"]["cpu"]["cores"] for each in pool["nodes"] if each["role"] == "worker"
        )
        assert error(founder, "node", "promote", "watcher", code=1)
        os.kill(started["pid"], signal.SIGKILL)
        until(lambda: alive(founder) == 3)
        assert watcher(*arguments).code == 0  # the same command: the token is used up
        until(lambda: alive(founder) == 4)
    finally:
        watcher("node", "leave", "--yes")
        watcher("node", "stop")
    trio.settle()


def test_rights_come_before_existence(trio: Cluster) -> None:
    founder, builder, _ = trio.members
    for arguments in (
        ("promote", "nosuch"),
        ("approve", "nosuch"),
        ("reject", "nosuch"),
        ("revoke", "nosuch", "--yes"),
        ("remove", "nosuch", "--yes"),
        ("set-priority", "nosuch", "1"),
        ("recover", "--new-voters", "nosuch", "--yes"),
        ("invite", "--withdraw", "nosuch"),
    ):
        assert error(builder, "node", *arguments, code=4) == "NOT_ADMIN"
        assert error(founder, "node", *arguments, code=6) == "NOT_FOUND"
    assert error(builder, "rights", "set", "nosuch", "admin", code=4) == "NOT_ADMIN"


def test_a_node_that_is_gone_for_good_is_removed_and_may_come_back(
    trio: Cluster, newcomer: Node
) -> None:
    founder = trio.members[0]
    join(newcomer, founder, invite(founder))
    assert error(founder, "node", "remove", "newcomer", code=2) == "USAGE"
    removed = founder("node", "remove", "newcomer", "--yes")
    assert removed.out == f"newcomer ({newcomer.identity}) is removed\n"
    until(lambda: all("newcomer" not in names(node) for node in trio.members))
    newcomer("node", "leave", "--force", "--yes")
    token = invite(founder)
    assert data(newcomer, "node", "join", founder.address, "--token", token)["members"] == 4


def test_rights_are_set_and_listed(trio: Cluster) -> None:
    founder, second, _ = trio.members
    said = founder("rights", "set", second.identity[:6], "observer").out
    assert said == f"node2 ({second.identity}) has the rights of: observer\n"
    until(lambda: data(second, "node", "status")["rights"] == "observer")
    listed = data(second, "rights", "list")["members"]
    assert [(one["name"], one["rights"]) for one in listed[:2]] == [
        *(("node1", "admin"), ("node2", "observer")),
    ]
    data(founder, "rights", "set", "node2", "builder")
    until(lambda: data(second, "node", "status")["rights"] == "builder")


# --- who coordinates ---------------------------------------------------------------------------


def test_the_office_is_handed_over(trio: Cluster) -> None:
    founder, second, _ = trio.members
    before = data(founder, "pool", "status")["coordinator"]
    assert data(founder, "node", "promote", "node2")["node_id"] == second.identity
    office, _ = agreement(trio.members, of_quorum, PATIENCE_S)
    assert (office.coordinator, office.term > before["term"]) == (second.identity, True)
    data(founder, "node", "set-priority", "node1", "5")
    assert next(each["priority"] for each in members(second) if each["name"] == "node1") == 5
    data(founder, "node", "promote", "node1")
    data(founder, "node", "set-priority", "node1", "0")
    trio.settle()


def test_a_killed_coordinator_is_succeeded_and_comes_back(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        before = cluster.settle()
        lost = cluster.coordinator(before)
        left = [node for node in cluster.members if node is not lost]
        lost.kill()
        after, _ = agreement(
            left, lambda office: of_quorum(office) and office.term > before.term, PATIENCE_S
        )
        assert after.coordinator in {node.identity for node in left}
        until(lambda: all(alive(node) == 2 for node in left))
        told = data(left[0], "pool", "health")
        assert not told["healthy"]
        assert lost.name in told["problems"][0]
        assert left[0]("pool", "health", "--exit-status").code == 1
        pool = data(left[0], "pool", "status")
        assert pool["view"]["reachable"] == 2
        assert lost.name in pool["view"]["problem"]
        assert "incomplete:" in left[0]("pool", "status").out
        lost.start()
        cluster.settle()


def test_a_cluster_without_its_majority_is_recovered(tmp_path: Path) -> None:
    with Cluster(tmp_path, 2) as cluster:
        founder, other = cluster.members
        founder.post("/api/node/rights", {"node": other.name, "rights": "admin"})
        until(lambda: data(other, "node", "status")["rights"] == "admin")
        founder.kill()
        until(lambda: "provisional" in other("pool", "status").out)
        assert error(other, "node", "invite", code=3) == "NO_QUORUM"
        assert error(other, "node", "promote", "node2", code=3) == "NO_QUORUM"
        assert error(other, "node", "recover", "--new-voters", "node2", code=2) == "USAGE"
        recovered = data(other, "node", "recover", "--new-voters", "node2", "--yes")
        assert (recovered["epoch"], recovered["voters"]) == (1, ["node2"])
        until(lambda: of_quorum_of(other))
        assert data(other, "node", "list")["epoch"] == 1
        founder.start()
        until(lambda: alive(founder) == 2)
        assert data(founder, "node", "list")["epoch"] == 1


def of_quorum_of(node: Node) -> bool:
    office = node.office()
    return office is not None and of_quorum(office)


# --- keys --------------------------------------------------------------------------------------


def test_a_revoked_node_is_cut_off_at_once(trio: Cluster, newcomer: Node) -> None:
    founder, second, _ = trio.members
    join(newcomer, founder, invite(founder))
    until(lambda: alive(newcomer) == 4)
    assert error(founder, "node", "revoke", "newcomer", code=2) == "USAGE"
    assert error(second, "node", "revoke", "newcomer", "--yes", code=4) == "NOT_ADMIN"
    data(founder, "node", "revoke", "newcomer", "--reason", "lost", "--yes")
    until(lambda: all("newcomer" not in names(node) for node in trio.members), 5.0)
    until(lambda: "link of a former member cut" in refused(founder), 5.0)
    until(lambda: "key was revoked" in str(newcomer.get("/api/node")["problem"]))
    views = (("node", "status"), ("node", "list"), ("pool", "status"), ("pool", "health"))
    for command in views:
        told = " ".join(newcomer(*command).out.split())
        assert "revoked" in told
        assert "move node.key away" in told
    until(lambda: "refused: no member" in refused(founder))
    assert error(newcomer, "node", "leave", "--yes", code=2) == "MEMBERSHIP"
    newcomer("node", "leave", "--force", "--yes")
    assert data(newcomer, "node", "status")["cluster"]["members"] == 1
    assert error(newcomer, "node", "join", "--token", invite(founder), code=4) == "JOIN"


def test_a_key_is_rotated_and_results_stay_good(
    trio: Cluster, newcomer: Node, tmp_path: Path
) -> None:
    founder = trio.members[0]
    join(newcomer, founder, invite(founder))
    root = workspace(tmp_path)
    newcomer.command.build(root)
    assert error(newcomer, "node", "rotate-key", code=2) == "USAGE"
    assert error(newcomer, "node", "leave", code=2) == "USAGE"
    rotated = data(newcomer, "node", "rotate-key", "--yes")
    assert rotated["former_node_id"] == newcomer.identity
    runtime = newcomer.home.read_runtime()
    assert runtime is not None
    assert runtime.node_id == rotated["node_id"]
    assert data(newcomer, "node", "status")["node_id"] == rotated["node_id"]
    until(lambda: rotated["node_id"] in {each["id"] for each in members(founder)})
    assert newcomer.identity in data(founder, "node", "list")["former"]
    until(lambda: all(alive(node) == 4 for node in (*trio.members, newcomer)))
    (root / "a/out.txt").unlink()
    report = newcomer.command.build(root)
    assert report["packages"][0]["tier"] == "local-cache"
    newcomer.kill()
    newcomer.start()
    assert newcomer.identity == rotated["node_id"]
    until(lambda: alive(newcomer) == 4)


# --- blobs -------------------------------------------------------------------------------------


def test_a_blob_is_fetched_from_another_node(trio: Cluster, tmp_path: Path) -> None:
    one, two, _ = trio.members
    action = one.command.build(workspace(tmp_path))["packages"][0]["action"]
    blobs = data(one, "cache", "show", action)["blobs"]
    big = max(blobs, key=lambda blob: int(blob["size_bytes"]))
    name = f"{big['hash']}/{big['size_bytes']}"
    assert two("cache", "show", big["hash"]).code == 6
    fetched = data(two, "cache", "fetch", name, "--from", one.name)
    assert fetched.keys() == {"hash", "size_bytes", "node", "already", "duration_ms"}
    assert (fetched["already"], fetched["node"]) == (False, one.identity)
    assert data(two, "cache", "show", big["hash"])["size_bytes"] == 2_100_000
    assert data(two, "cache", "verify")["damaged"] == []
    pair = {one.identity, two.identity}
    (link,) = (
        link
        for link in data(two, "pool", "status")["connections"]
        if {link["from_node"], link["to_node"]} == pair
    )
    assert link["bandwidth_mbps"] > 0
    assert data(two, "cache", "fetch", name, "--from", one.identity)["already"]
    other = f"{'0' * 64}/5"
    assert error(two, "cache", "fetch", other, "--from", one.name, code=6) == "BLOB_UNAVAILABLE"
    assert error(two, "cache", "fetch", other, "--from", "nobody", code=6) == "NOT_FOUND"
    assert error(two, "cache", "fetch", "nonsense", "--from", one.name, code=2)


def workspace(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "w",
        {
            "buildnet.yaml": """\
workspace: one
packages:
  - name: a
    path: a
    build_cmd: cat in.txt in.txt in.txt in.txt in.txt in.txt in.txt > out.txt
    sources: [a/in.txt]
    outputs: [a/out.txt]
""",
            "a/in.txt": "0123456789" * 30_000,
        },
    )
