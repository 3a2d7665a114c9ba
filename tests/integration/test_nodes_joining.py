"""Nodes on this machine become a cluster: by token, by request, and out again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.cluster_members import error, members, names

from testbed.ledger_calls import data
from testbed.nodes import Cluster, Node, alive, invite, join
from testbed.waiting import PATIENCE_S, until


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
