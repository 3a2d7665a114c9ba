"""People on real nodes: accounts of the cluster, sessions seen and ended from another node."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildnet.cli.user import user_name
from testbed.building import Building, many_commands
from testbed.nodes import Cluster, Node
from testbed.waiting import until

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pair"), 2) as cluster:
        yield cluster


class Browser:
    """Asks a node over TCP, as a page of it does."""

    def __init__(self, node: Node, *login: str) -> None:
        made = node("login", "--json", *login)
        assert made.code == 0, made.err
        url, _, code = str(made.data["url"]).partition("#")
        self.host = urlsplit(url).netloc
        self.headers = {"origin": f"http://{self.host}", "content-type": "application/json"}
        status, body = self.ask("POST", "/api/login", {"code": code})
        assert status == 201, body
        self.headers["x-buildnet-csrf"] = body["csrf"]
        self.id = body["id"]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the answer's status and JSON."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, self.headers)
            answer = connection.getresponse()
            cookie = answer.getheader("set-cookie")
            if cookie is not None:
                self.headers["cookie"] = cookie.partition(";")[0]
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    @property
    def status(self) -> int:
        return self.ask("GET", "/api/session")[0]


def sessions(node: Node) -> dict[str, dict[str, Any]]:
    answer = node("session", "list", "--json")
    return {each["id"]: each for each in answer.data["sessions"]}


def test_an_account_counts_on_all_nodes_until_it_is_removed(pair: Cluster) -> None:
    admin, other = pair.members
    refused = other("account", "add", "eve", "--rights", "admin")
    assert refused.code == 4, refused.err  # the other node's owner is no admin
    assert admin("account", "add", "anna", "--rights", "admin").code == 0
    until(lambda: other("account", "list", "-q").out.split() == ["anna"], "the account is sealed")
    here, there = Browser(admin, "--as", "anna"), Browser(other, "--as", "anna")
    assert here.ask("GET", "/api/session")[1]["rights"] == "admin"
    assert there.ask("GET", "/api/session")[1]["rights"] == "builder"  # as the node's owner
    for browser, node in ((here, other), (there, admin)):  # a cookie is of one node
        moved = Browser(node, "--as", "anna")
        moved.headers["cookie"] = browser.headers["cookie"]
        assert moved.status == 401
    assert other("rights", "set", "anna", "observer").code == 4
    assert admin("rights", "set", "anna", "observer", "-q").out.split() == ["anna"]
    listed = admin("rights", "list", "--json").data
    assert {"id": "anna", "rights": "observer"} in listed["accounts"]
    assert {each["rights"] for each in listed["members"]} == {"admin", "builder"}
    until(lambda: there.ask("GET", "/api/session")[1]["rights"] == "observer", "told there")
    assert here.ask("POST", "/api/queue/pause", {})[0] == 403
    assert admin("account", "add", other.name).code == 0
    for named, code in ((other.name, 2), ("account:none", 6), (f"account:{other.name}", 0)):
        assert admin("rights", "set", named, "observer").code == code
    assert other.get("/api/node")["rights"] == "builder"  # it was the account's that changed
    assert admin("account", "remove", other.name, "--yes").code == 0
    assert admin("account", "remove", "anna", "--yes").code == 0
    until(lambda: (here.status, there.status) == (401, 401), "her sessions are over")
    assert not {here.id, there.id} & sessions(admin).keys()


def test_the_owner_has_one_name_in_whichever_way_they_are_there(pair: Cluster) -> None:
    admin, _ = pair.members
    page = Browser(admin)
    name = user_name()
    assert page.ask("GET", "/api/session")[1]["actor"] == name
    assert page.ask("POST", "/api/queue/pause", {"actor": "local"})[0] == 200
    assert admin("queue", "resume").code == 0
    here = [each for each in sessions(admin).values() if each["node"] == admin.name]
    assert {(each["way"], each["actor"]) for each in here if each["is_owner"]} == {
        ("web", name),
        ("cli", name),
        ("cli", "local"),  # the test bed, whose requests say no name
    }
    done = ("session.opened", "queue.paused", "queue.resumed")

    def told() -> bool:
        found = admin("ledger", "list", "--actor", name, "--json").data["entries"]
        return {each["type"] for each in found} >= set(done)

    until(told, "the ledger tells of all of it under that name")
    # A link for less bears the name as well, and is not the owner.
    less = Browser(admin, "--rights", "observer")
    status, seen = less.ask("GET", "/api/sessions")
    assert (status, [each["id"] for each in seen["sessions"]]) == (200, [less.id])
    assert less.ask("DELETE", f"/api/sessions/{page.id}")[0] == 404
    assert page.status == 200


def test_an_admin_sees_and_ends_sessions_on_other_nodes(pair: Cluster) -> None:
    admin, other = pair.members
    browser = Browser(other)
    assert browser.ask("GET", "/api/session")[1]["is_owner"]
    seen = sessions(admin)[browser.id]
    assert (seen["way"], seen["node"]) == ("web", other.name)
    alone = other("session", "list", "--json").data
    assert browser.id in {each["id"] for each in alone["sessions"]}
    assert [each["node"] for each in alone["silent"]] == [admin.name]  # it shows admins only
    assert other("session", "kick", Browser(admin).id, "--yes").code == 6
    of_nodes = {
        each["node"]: each["id"]
        for each in sessions(admin).values()
        if (each["way"], each["actor"]) == ("cli", user_name())
    }
    assert len(set(of_nodes.values())) == len(of_nodes) == 2
    own = admin("session", "kick", of_nodes[admin.name], "--yes")
    assert (own.code, "is you" in own.err) == (2, True)
    assert admin("session", "kick", of_nodes[other.name], "--yes").code == 0
    kicked = admin("session", "kick", browser.id[:6], "--reason", "a test", "--yes", "--json")
    assert [each["id"] for each in kicked.data["sessions"]] == [browser.id]
    assert browser.status == 401

    def told() -> bool:
        found = admin("audit", "query", "--type", "session.kicked", "--json").data["entries"]
        return "a test" in {each["reason"] for each in found}

    until(told, "the ledger tells who was sent away")


def test_a_build_is_handed_over_and_whose_it_is_counts(pair: Cluster, tmp_path: Path) -> None:
    admin, other = pair.members
    assert admin("account", "add", "berta").code == 0
    until(lambda: "berta" in other("account", "list", "-q").out, "the account is sealed")
    berta = Browser(other, "--as", "berta")
    root = many_commands(tmp_path, "w", "sleep 60; cp in.txt out.txt")
    building = Building(other, root, actor=user_name())
    until(lambda: building.events, "the build began")
    build = building.events[0]["build_id"]
    assert berta.ask("POST", f"/api/build/{build}/cancel")[0] == 403
    (owner,) = [
        each["id"] for each in sessions(other).values() if each["way"] == "cli" and each["builds"]
    ]
    assert berta.ask("POST", f"/api/sessions/{owner}/hand-over", {"to": "berta"})[0] == 404
    assert admin("session", "hand-over", owner, "--to", "agent:nobody").code == 6
    handed = admin("session", "hand-over", owner, "--to", "berta", "--json").data
    assert (handed["to"], handed["warning"]) == ("account:berta", None)
    assert [each["build_id"] for each in handed["builds"]] == [build]
    shown = other("session", "show", berta.id, "--json").data
    assert [each["build_id"] for each in shown["builds"]] == [build]
    assert berta.ask("POST", f"/api/build/{build}/cancel")[0] == 200
    asked = ("history", "--actor", "account:berta", "-q")
    until(lambda: other(*asked).out.split() == [build], "recorded")
    assert other("history", "--actor", "berta", "-q").out.split() == []  # a user of the host
