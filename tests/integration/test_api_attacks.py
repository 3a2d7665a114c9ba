"""The HTTP API of a node under attack, by whoever reaches its port and by whoever has a key.

One node serves all tests here; see ``docs/security.md`` for what is tried, and why.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.description import operations
from buildnet.node.auth.actions import GRANTED, OF_THE_CLUSTER, Action
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.scope import Scope
from buildnet.node.scan import detect
from buildnet.node.service import NodeService
from testbed.api_fuzz import Fuzzing, fuzz
from testbed.api_keys import key_of
from testbed.api_node import ApiNode, api_node
from testbed.asking_api import ask


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    home = tmp_path_factory.mktemp("attacked") / "home"
    with pytest.MonkeyPatch.context() as patch:  # no tool is asked for its version
        patch.setenv("PATH", "/nonexistent")
        patch.setattr(detect, "_USUAL_DIRECTORIES", ())
        with api_node(home) as node:
            yield node


def test_who_has_an_answer_is_not_told_again(node: ApiNode) -> None:
    for path in ("/api/pool", "/api/configs"):
        first = ask(node, "GET", path)
        tag = str(first.headers["etag"])
        assert ask(node, "GET", path, if_none_match='"other"').status == 200
    again = ask(node, "GET", "/api/configs", if_none_match=f'W/"x", {tag}')
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert ask(node, "GET", "/api/configs", if_none_match=tag, key=None).status == 401


def test_the_description_tells_how_to_come_in_and_names_each_operation_once(node: ApiNode) -> None:
    described = ask(node, "GET", "/api/openapi.json").json
    found = [one for _, _, one in operations(described)]
    assert described["openapi"].startswith("3.1")
    assert set(described["components"]["securitySchemes"]) == {"key", "session"}
    assert len({one["operationId"] for one in found}) == len(found)
    assert all(Action(one["x-buildnet-action"]) for one in found)
    assert all((one.get("security") == []) == (one["x-buildnet-action"] == "open") for one in found)
    page = ask(node, "GET", "/api/docs")
    shown = page.body.decode()
    assert "POST /api/build" in shown
    assert all(word not in shown for word in ("<script", "src=", "http://", "https://"))
    assert "script-src" not in page.headers["content-security-policy"]
    assert ask(node, "GET", "/api/docs", key=None).status == 401


@pytest.mark.parametrize("path", ["/builds", "/cache/stats"])
def test_the_short_paths_of_before_lead_to_the_same_routes(node: ApiNode, path: str) -> None:
    assert ask(node, "GET", path).json.keys() == ask(node, "GET", f"/api{path}").json.keys()
    assert ask(node, "GET", path, key=None).status == 401


def test_a_package_is_built_by_its_path(node: ApiNode, tmp_path: Path) -> None:
    packages = [{"name": name, "path": ".", "build_cmd": "true"} for name in ("@x/a", "b")]
    (tmp_path / "buildnet.yaml").write_text(json.dumps({"workspace": "w", "packages": packages}))
    body = {"root": str(tmp_path), "dry_run": True}
    for path, names in (("/build/@x%2fa", ["@x/a"]), ("/api/build/b", ["b"])):
        told = ask(node, "POST", path, body, "owner", accept="application/x-ndjson")
        report = json.loads(told.body.splitlines()[-1])["report"]
        assert [one["name"] for one in report["packages"]] == names
    begun = ask(node, "POST", "/api/build/b", body, "owner")
    assert begun.status == 202
    cancel = f"/api/build/{begun.json['build_id']}/cancel"
    assert ask(node, "POST", cancel, {}, "owner").status in (200, 404)  # and no package is built
    assert ask(node, "POST", "/build/b", {**body, "packages": ["b"]}, "owner").status == 400
    assert ask(node, "POST", "/build/b", body, "observer").status == 403


def test_long_lists_come_in_parts(node: ApiNode) -> None:
    whole = ask(node, "GET", "/api/node/config", key="owner").json
    first = ask(node, "GET", "/api/node/config?limit=2", key="owner").json
    rest = ask(node, "GET", f"/api/node/config?cursor={first['next']}", key="owner").json
    assert first["settings"] + rest["settings"] == whole["settings"]
    assert (len(first["settings"]), whole["next"], rest["next"]) == (2, None, None)
    for path in ("cache/actions", "configs", "ledger/seals"):
        said = ask(node, "GET", f"/api/{path}?cursor=x")
        assert (said.status, said.json["code"]) == (400, "USAGE")


def test_what_is_sent_again_is_done_once(node: ApiNode) -> None:
    body = {"text": "once", "actor": "x"}
    note = ask(node, "POST", "/api/ledger/entries", body, idempotency_key="n1")
    again = ask(node, "POST", "/api/ledger/entries", body, idempotency_key="n1")
    assert (again.status, again.body) == (201, note.body)
    assert again.headers["idempotency-replayed"] == "true"
    others = ask(node, "POST", "/api/ledger/entries", body, "builder", idempotency_key="n1")
    assert others.json["id"] != note.json["id"]
    for key, accept in (("n1", "*/*"), ("with blank", "*/*"), ("n2", "application/x-ndjson")):
        bad = {"text": "other"}
        said = ask(node, "POST", "/api/ledger/entries", bad, idempotency_key=key, accept=accept)
        assert (said.status, said.json["code"]) == (422, "IDEMPOTENCY")
    said = ask(node, "POST", "/api/watch", {"root": "/"}, idempotency_key="n3")  # it goes on
    assert (said.status, said.json["code"]) == (422, "IDEMPOTENCY")


def test_an_answer_with_a_secret_is_not_told_again(node: ApiNode) -> None:
    made = ask(node, "POST", "/api/node/invite", {}, idempotency_key="s1")
    again = ask(node, "POST", "/api/node/invite", {}, idempotency_key="s1")
    assert made.json["token"]
    assert (again.status, again.json["code"]) == (409, "TOLD_ONCE")


def test_who_asks_for_the_head_of_an_answer_gets_it_as_of_get(node: ApiNode) -> None:
    for path in ("/", "/health", "/api/node/config", "/api/configs", "/api/none"):
        head, whole = ask(node, "HEAD", path), ask(node, "GET", path)
        assert (head.status, head.body) == (whole.status, b"")
        for name in ("content-type", "content-length", "etag"):
            assert head.headers[name] == whole.headers[name]
    for path in ("/events", "/api/ledger/tail"):  # which does not end by itself
        assert ask(node, "HEAD", path).status == 200
    assert ask(node, "HEAD", "/", key=None).status == 200
    assert ask(node, "HEAD", "/api/none", key=None).status == 401
    assert ask(node, "HEAD", "/api/keys", key="observer").status == 403
    assert ask(node, "HEAD", "/api/build").status == 405


def test_a_reason_that_no_member_list_takes_is_told_as_one(node: ApiNode) -> None:
    for reason in ("two\nlines", " around ", "\x1b[2J"):
        said = ask(node, "POST", "/api/node/revoke", {"node": "asked", "reason": reason})
        assert (said.status, said.json["code"]) == (400, "USAGE")


def test_a_name_that_no_account_can_have_is_told_as_one(node: ApiNode) -> None:
    said = ask(node, "POST", "/api/accounts", {"id": "x y", "rights": "builder"}).json
    assert (said["code"], said["detail"]) == ("USAGE", "'x y' is no name for an account")


def test_errors_tell_nobody_but_the_owner_where_files_lie_or_what_went_wrong(
    node: ApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(node.service.home.directory)

    def fail() -> dict[str, Any]:
        raise ValueError(f"secret of {home}")

    def tell() -> dict[str, Any]:
        raise UsageError(f"{home}/x is bad", cause=f"in {home}", hint=f"see {home}/log")

    monkeypatch.setattr(NodeService, "node_status", lambda self: fail())
    said = ask(node, "GET", "/api/node")
    assert (said.status, said.json["cause"]) == (500, None)
    monkeypatch.setattr(NodeService, "node_status", lambda self: tell())
    told = ask(node, "GET", "/api/node")
    assert told.json["detail"] == "DATA/x is bad"
    assert told.json["cause"] == "in DATA"
    for answer in (said, told):
        assert home not in answer.body.decode()
    assert "DATA/x is bad" not in ask(node, "GET", "/api/node", key="owner").body.decode()
    monkeypatch.undo()
    assert ask(node, "GET", "/api/node").json["home"] is None
    assert ask(node, "GET", "/api/node", key="owner").json["home"] == home


# --- rights × route × state of the key ---------------------------------------------------------

STATES: dict[str, tuple[Callable[[ApiNode], str | None], int]] = {
    "absent": (lambda node: None, 401),
    "no key": (lambda node: "v4.public.AAAA", 401),
    "truncated": (lambda node: key_of(node, "x", Rights.ADMIN)[:-3], 401),
    "altered": (lambda node: altered(key_of(node, "x", Rights.OBSERVER)), 401),
    "signed by another": (
        lambda node: key_of(node, "x", Rights.ADMIN, signed_by=NodeKey.generate()),
        401,
    ),
    "of an issuer that is no member": (lambda node: of_a_stranger(node), 401),
    "of another cluster": (lambda node: key_of(node, "x", Rights.ADMIN, cluster="ab" * 32), 401),
    "expired": (
        lambda node: key_of(node, "x", Rights.ADMIN, expires=datetime.now(UTC)),
        401,
    ),
    "from the future": (
        lambda node: key_of(node, "x", Rights.ADMIN, issued=datetime(2090, 1, 1, tzinfo=UTC)),
        401,
    ),
    "revoked": (lambda node: revoked(node), 401),
    "bound, without a proof": (lambda node: key_of(node, "x", Rights.ADMIN, bound="cd" * 32), 401),
    "for another node": (lambda node: key_of(node, "x", Rights.ADMIN, scope=("node:far",)), 403),
}


def altered(key: str) -> str:
    """Return a key of which one character says something else."""
    return key[:40] + ("A" if key[40] != "A" else "B") + key[41:]


def of_a_stranger(node: ApiNode) -> str:
    """Return a key that is signed as it says, by a node that is no member."""
    stranger = NodeKey.generate()
    return key_of(node, "x", Rights.ADMIN, signed_by=stranger, issuer=stranger.public_key.hex())


def revoked(node: ApiNode) -> str:
    """Return a key that was revoked after it was made."""
    made = ask(node, "POST", "/api/keys", {"name": "gone", "rights": "admin"}, "owner").json
    assert ask(node, "POST", f"/api/keys/{made['id']}/revoke", {}, "owner").status == 200
    return str(made["key"])


def walk(node: ApiNode, key: str | None) -> dict[tuple[str, str], tuple[int, str, Action]]:
    """Ask for every operation over the port that is open to all; return status, code and action.
    What gets through fails at a parameter that no route has, before anything is done."""
    parts = urlsplit(node.service.address)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    found = {}
    try:
        described = ask(node, "GET", "/api/openapi.json").json
        for path, method, operation in operations(described):
            connection.request(
                method, f"{path.replace('{', '').replace('}', '')}?none=1", "{}", headers
            )
            answer = connection.getresponse()
            told = json.loads(answer.read() or b"{}")
            action = Action(operation["x-buildnet-action"])
            found[method, path] = answer.status, str(told.get("code")), action
    finally:
        connection.close()
    return found


@pytest.mark.parametrize("state", STATES)
def test_no_route_takes_a_key_that_does_not_count(node: ApiNode, state: str) -> None:
    key, status = STATES[state]
    for route, (got, code, action) in walk(node, key(node)).items():
        if action is not Action.OPEN:
            assert got == status, (route, code)


@pytest.mark.parametrize("rights", list(Rights))
def test_each_route_lets_those_through_whose_rights_allow_its_action(
    node: ApiNode, rights: Rights
) -> None:
    for route, (got, code, action) in walk(node, key_of(node, "x", rights)).items():
        if action is Action.OPEN:
            continue
        allowed = (400, "INVALID_REQUEST") if action in GRANTED[rights] else (403, "NOT_ALLOWED")
        assert (got, code) == allowed, route


def test_a_key_for_one_action_gets_to_no_other(node: ApiNode) -> None:
    key = key_of(node, "x", Rights.ADMIN, scope=(f"action:{Action.VIEW_LEDGER}",))
    for route, (got, code, action) in walk(node, key).items():
        if action is not Action.OPEN:
            assert got == (400 if action is Action.VIEW_LEDGER else 403), (route, code)


def test_a_key_for_this_node_gets_to_nothing_of_the_whole_cluster(node: ApiNode) -> None:
    here = {("DELETE", "/api/dead-letters"), ("DELETE", "/api/dead-letters/{letter}")}
    key = key_of(node, "x", Rights.ADMIN, scope=(f"node:{node.service.key.node_id}",))
    for route, (got, code, action) in walk(node, key).items():
        if action is not Action.OPEN:
            kept = action in OF_THE_CLUSTER | {Action.OWN_NODE} and route not in here
            assert (got, code) == ((403, "NOT_ALLOWED") if kept else (400, "INVALID_REQUEST")), (
                route
            )


LISTS = {
    ("GET", "/api/builds"): "builds",
    ("GET", "/api/queue"): "builds",
    ("GET", "/api/workspaces"): "workspaces",
}
"""Lists that tell each caller what they may know of."""


def test_a_key_for_other_workspaces_gets_to_nothing_of_a_build(
    node: ApiNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether each route that says that it looks at the workspace does."""
    package = {"name": "a", "path": ".", "build_cmd": "true"}
    (tmp_path / "buildnet.yaml").write_text(json.dumps({"workspace": "w", "packages": [package]}))
    body = {"root": str(tmp_path)}
    told = ask(node, "POST", "/api/build", body, "owner", accept="application/x-ndjson")
    build = json.loads(told.body.splitlines()[-1])["report"]["build_id"]
    queries = {
        "/api/build/{build_id}/log": "?package=a",
        "/api/build/{build_id}/file": "?package=a&path=b",
        "/api/builds/compare": f"?before={build}&after={build}",
        "/api/builds/trends": "?workspace=w",
    }
    bodies = {"priority": {"priority": "high"}, "move": {"place": 1}}
    bodies |= {"pause": {}, "resume": {}, "cancel": {}}
    for name in ("w", "other"):
        allowed, only = Scope.read((f"workspace:{name}",)).allowed, frozenset({name})
        asking = Caller(
            CallerKind.KEY, name, Rights.ADMIN, allowed, credential=name, workspaces=only
        )
        monkeypatch.setitem(node.made_up.callers, name, asking)
    seen = Counter[str]()
    for path, method, operation in operations(ask(node, "GET", "/api/openapi.json").json):
        if operation["x-buildnet-action"] in (Action.OPEN, Action.VIEW_RESOURCES):
            continue
        where = path.replace("{build_id}", build).replace(
            "/api/build/{name}", f"/api/build/{build}"
        )
        where = where.replace("{", "").replace("}", "") + queries.get(path, "")
        sent = None if method == "GET" else bodies.get(path.rpartition("/")[2], body)
        said = ask(node, method, where, sent, "other")
        if (method, path) in LISTS:
            assert said.json[LISTS[method, path]] == []
        else:
            assert said.status in (403, 404), (method, path, said.body)
        if said.status == 403 and method == "GET":
            seen[str(ask(node, method, where, sent, "w").status)] += 1
    assert seen["200"] >= 6  # who has a key for it gets there


# --- what is no honest request -------------------------------------------------------------------

HEAD = b"POST /api/configs/validate HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer admin\r\n"
HIDDEN = b"GET /api/node HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer admin\r\n\r\n"
SMUGGLED = {
    "two lengths": b"content-length: 0\r\ncontent-length: %d\r\n\r\n",
    "a length and parts": b"content-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "parts and a length": b"transfer-encoding: chunked\r\ncontent-length: %d\r\n\r\n0\r\n\r\n",
    "parts by another name": b"transfer-encoding: xchunked\r\nx: %d\r\n\r\n0\r\n\r\n",
    "parts and none": b"transfer-encoding: chunked, identity\r\nx: %d\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"content-length : %d\r\n\r\n",
    "a folded line": b"x: y\r\n content-length: %d\r\n\r\n",
    "a length with a sign": b"content-length: +%d\r\n\r\n",
    "a length in hexadecimal": b"content-length: 0x%x\r\n\r\n",
    "a carriage return within": b"x: a\rcontent-length: %d\r\n\r\n",
    "a null byte": b"x: a\0b\r\ncontent-length: %d\r\n\r\n",
    "a part with a sign": b"transfer-encoding: chunked\r\nx: %d\r\n\r\n-1\r\n\r\n",
}


@pytest.mark.parametrize("shape", SMUGGLED)
def test_no_request_hides_in_another(node: ApiNode, shape: str) -> None:
    head = SMUGGLED[shape] % len(HIDDEN)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        connection.sendall(HEAD + head + HIDDEN)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"node_id" not in said


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[" * 200_000, {}, 400),
        (b'{"a":' * 100_000, {}, 400),
        (b'{"variables": {"a": ' + b"9" * 5000 + b"}}", {}, 400),
        (gzip.compress(bytes(1 << 24)), {"content_encoding": "gzip"}, 415),
        (b"\xff\xfe{}", {}, 400),
        (b'{"variables": {"a": NaN}}', {}, 400),
        (b'{"variables": {"a": -Infinity}}', {}, 400),
        (b'{"save_as": "\\uD800"}', {}, 400),
        (b'{"save_as": "\\uD83D\\ude00"}', {}, 404),
        (b'{"save_as": "a\\u0000b"}', {}, 404),
        (b"{}" + b" " * (1 << 20), {}, 413),
        (b"--x\r\n" * 1000, {"content_type": "multipart/form-data; boundary=x"}, 400),
    ],
)
def test_bodies_that_unfold_are_refused(
    node: ApiNode, body: bytes, headers: dict[str, str], status: int
) -> None:
    said = ask(node, "POST", "/api/templates/none/use", body, **headers)
    assert said.status == status, said.body


@pytest.mark.parametrize(
    "path",
    [
        "/api/cache/show/..%2f..%2f..%2fetc%2fpasswd",
        "/api/cache/show/../../../../etc/passwd",
        "/api/configs/%2e%2e%2f%2e%2e%2fnode.key",
        "/api/build/..%5c..%5cnode.key/log?package=..%2f..%2fnode.key",
        "/api/build/..%2fnode.key/events",
        "/api/ledger/entries/%252e%252e%252fnode.key",
        "/api/configs/a%00b",
        "/api/configs/a%0d%0aset-cookie:%20x=y",
        "/api/configs/a%1b%5b2J",
        "/api/servers/%ff%fe",
        "/api/configs/" + "a" * 20_000,
        "//api/node",
        "/api//node",
        "/api/node/",
        "/api/node;x=y",
        "/api/./node",
    ],
)
def test_paths_lead_to_what_a_route_names_and_nowhere_else(node: ApiNode, path: str) -> None:
    said = ask(node, "GET", path)
    assert said.status in (307, 400, 404, 405), said.body
    assert "set-cookie" not in said.headers
    assert b"PRIVATE" not in said.body
    assert b"\x1b" not in said.body


def test_half_open_connections_keep_nobody_out(node: ApiNode) -> None:
    """Ten thousand: uv run python tests/benchmarks/api.py --half-open 10000."""
    with ExitStack() as stack:
        for _ in range(300):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            half.sendall(b"GET /api/node HTTP/1.1\r\nhost:")
        assert ask(node, "GET", "/api/node").status == 200
        assert ("too many idle connections of one address", "127.0.0.1") in node.refusals


def test_no_number_of_an_address_is_larger_than_a_store_has_room_for(node: ApiNode) -> None:
    paths = ask(node, "GET", "/api/openapi.json").json["paths"]
    numbers = [
        (way, path, said["name"], kind)
        for path, ways in paths.items()
        for way, route in ways.items()
        for said in route.get("parameters", ())
        for kind in said["schema"].get("anyOf", [said["schema"]])
        if kind.get("type") == "integer"
    ]
    assert len(numbers) > 10
    assert not [each for each in numbers if "maximum" not in each[-1]]
    for path in ("/api/ledger/seals?from=", "/api/cache/actions?cursor="):
        assert ask(node, "GET", f"{path}{10**20}").status == 400


# --- and anything else ----------------------------------------------------------------------------


def test_requests_made_of_the_description_are_never_an_error_of_the_server(
    node: ApiNode, tmp_path: Path
) -> None:
    """For long, and with the bounds of every field: tests/faults/api_fuzz.py."""
    assert fuzz(node.url, "admin", Fuzzing(2, 1, "fuzzing", 30), tmp_path) is None
