"""A cluster of nodes on this machine: what each shows of it, rights, keys, and who coordinates."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.cluster_members import error, members, names

from buildnet.cli.testing import write_files
from testbed.ledger_calls import data
from testbed.nodes import Cluster, Node, alive, invite, join, refused
from testbed.offices import agreement, of_quorum
from testbed.one_package import one_package
from testbed.waiting import PATIENCE_S, until

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
    until(lambda: all("newcomer" not in names(node) for node in trio.members), patience_s=5.0)
    until(lambda: "link of a former member cut" in refused(founder), patience_s=5.0)
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
    root = one_package(tmp_path, f"cat {'in.txt ' * 7} > out.txt")
    return write_files(root, {"a/in.txt": "0123456789" * 30_000})
