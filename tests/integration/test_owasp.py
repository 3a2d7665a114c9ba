"""The ten of OWASP for APIs (2023), one test each; ``docs/security.md`` names what holds each
back, and the tests that go deeper. The tenth, trust in what others answer, stands in
``tests/node/test_forwarded.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from buildnet.node.api.app import create_application
from buildnet.node.scan import detect
from buildnet.node.web.pages import PATHS
from testbed.api_node import ApiNode, api_node
from testbed.asking_api import ask


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    home = tmp_path_factory.mktemp("owasp") / "home"
    with pytest.MonkeyPatch.context() as patch:  # no tool is asked for its version
        patch.setenv("PATH", "/nonexistent")
        patch.setattr(detect, "_USUAL_DIRECTORIES", ())
        with api_node(home) as node:
            yield node


def test_owasp_1_objects_of_others_are_not_touched(node: ApiNode) -> None:
    for path in ("/api/queue/none/cancel", "/api/build/none/cancel"):
        assert ask(node, "POST", path, {}, "observer").status == 403
        assert ask(node, "POST", path, {}, "builder").status in (403, 404)


def test_owasp_2_only_a_key_that_counts_lets_anybody_in(node: ApiNode) -> None:
    assert ask(node, "GET", "/api/pool", key="builder").status == 200
    wrong = [
        {"authorization": "Basic YWRtaW46YWRtaW4="},
        {"authorization": "Bearer"},
        {"authorization": "Bearer v4.public.AAAA"},
        {"cookie": "buildnet=guess"},
        {"x_api_key": "builder"},
    ]
    said = [ask(node, "GET", "/api/pool", key=None, **headers) for headers in wrong]
    said.append(ask(node, "GET", "/api/pool?key=builder", key=None))
    assert {one.status for one in said} <= {400, 401}
    assert all(b"builder" not in one.body for one in said)


def test_owasp_3_a_body_sets_no_property_that_is_not_the_caller_s(node: ApiNode) -> None:
    """A field that says who asks counts on the socket alone; unknown fields are refused."""
    said = ask(node, "POST", "/api/ledger/entries", {"text": "x", "actor": "boss"}, "builder")
    assert said.json["actor"]["id"] == "builder"
    more = {"text": "x", "is_owner": True, "rights": "admin"}
    assert ask(node, "POST", "/api/ledger/entries", more, "builder").status == 400


def test_owasp_4_nobody_uses_up_the_node(node: ApiNode) -> None:
    large = b'{"text": "' + b"x" * (64 << 20) + b'"}'
    try:
        status = ask(node, "POST", "/api/ledger/entries", large, "builder").status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it was refused before all of it was sent
    assert status == 413
    assert ask(node, "GET", "/api/builds?limit=1000000").status == 400
    assert ask(node, "GET", "/api/node", key="builder").status == 200


def test_owasp_5_rights_come_before_existence(node: ApiNode) -> None:
    for path in ("/api/node/revoke", "/api/node/none", "/api/configs/none"):
        for method in ("DELETE", "PUT", "PATCH", "TRACE", "OPTIONS"):
            assert ask(node, method, path, {}, key=None).status == 401
    assert ask(node, "DELETE", "/api/configs/none", key="builder").status == 403


def test_owasp_6_codes_of_logins_can_not_be_tried_out(node: ApiNode) -> None:
    own = f"http://127.0.0.1:{node.port}"
    codes = ({"code": f"{number:032x}"} for number in range(60))
    tried = [ask(node, "POST", "/api/login", code, None, origin=own).status for code in codes]
    assert set(tried) <= {401, 403, 404, 429}
    assert tried[-1] == 429


def test_owasp_7_nobody_but_the_owner_has_the_node_dial_an_address(node: ApiNode) -> None:
    address = "http://169.254.169.254/latest"
    join = {"address": address}
    assert ask(node, "POST", "/api/pool/join", join).status == 403
    fetch = {"digest": f"{'a' * 64}/1", "node": address}
    assert ask(node, "POST", "/api/cache/fetch", fetch).status == 404


def test_owasp_8_no_page_of_another_site_reads_an_answer(node: ApiNode) -> None:
    said = ask(node, "GET", "/api/node", origin="https://attacker.example")
    assert not [name for name in said.headers if name.lower().startswith("access-control")]
    asked = ask(
        node, "OPTIONS", "/api/node", origin="https://attacker.example", key=None,
        access_control_request_method="POST",
    )  # fmt: skip
    assert asked.status == 401
    assert "server" not in {name.lower() for name in said.headers}


def test_owasp_9_every_route_is_described_or_known(node: ApiNode) -> None:
    described = ask(node, "GET", "/api/openapi.json").json["paths"]
    known = {"/mesh", "/bulk", "/ws", "/api/openapi.json", "/api/docs", "/health", "/ready"}
    application = create_application(node.service)
    paths = {
        getattr(route, "path_format", getattr(route, "path", "")) for route in application.declared
    }
    assert paths - known - set(described) <= {path.replace(":path", "") for path in PATHS}
