"""Configurations, templates and profiles by the command line and the API, on nodes of a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.ledger_calls import data
from testbed.nodes import Cluster, Node, NodeError
from testbed.waiting import until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two admins' nodes of one cluster, shared by all tests here: each uses names of its own."""
    with Cluster(tmp_path_factory.mktemp("configurations"), 2) as cluster:
        one, other = cluster.members
        data(one, "rights", "set", other.name, "admin")
        until(lambda: other.get("/api/node")["rights"] == "admin")
        yield cluster


@pytest.fixture
def node(pair: Cluster) -> Node:
    return pair.members[0]


def test_a_configuration_is_made_on_one_node_and_shown_on_all(pair: Cluster) -> None:
    one, other = pair.members
    made = data(one, "config", "create", "shared", "--set", "resources.cpu.cores=4")
    assert (made["id"], made["version"], made["system"]) == ("shared", 1, False)
    assert made["sealed"] >= 1
    until(lambda: any(each["id"] == "shared" for each in data(other, "config", "list")["configs"]))
    assert data(other, "config", "show", "shared") == data(one, "config", "show", "shared") == made
    changed = data(other, "config", "edit", "shared", "--set", "resources.cpu.cores=5")
    assert (changed["version"], changed["resources"]["cpu"]["cores"]) == (2, 5)
    assert changed["created_at"] == made["created_at"]
    entries = data(one, "ledger", "list", "--entity", "config:shared")["entries"]
    assert {each["type"] for each in entries} == {"config.created", "config.modified"}


def test_a_change_from_an_older_version_overwrites_nothing(node: Node) -> None:
    data(node, "config", "create", "versions")
    path = "/api/configs/versions"
    body = json.dumps({"description": "second"}).encode()
    assert node.get(path)["version"] == 1
    data(node, "config", "edit", "versions", "--set", "description=first")
    assert _ask(node, "PUT", f"{path}?expects=1", body) == (409, "CONFLICT")
    assert _ask(node, "DELETE", f"{path}?expects=1", b"") == (409, "CONFLICT")
    assert node.get(path)["description"] == "first"
    assert data(node, "config", "create", "versions", code=1)["error"]["code"] == "CONFLICT"


def test_what_was_deleted_can_be_made_again(node: Node) -> None:
    data(node, "config", "create", "again")
    refused = data(node, "config", "delete", "again", code=2)["error"]
    assert "--yes" in refused["hint"]
    assert data(node, "config", "delete", "again", "--dry-run")["version"] == 1
    assert data(node, "config", "delete", "again", "--yes")["success"]
    assert data(node, "config", "show", "again", code=6)["error"]["code"] == "NOT_FOUND"
    assert data(node, "config", "create", "again")["version"] == 3


def test_what_is_wrong_is_told_with_what_was_meant(node: Node) -> None:
    wrong = data(node, "config", "create", "x", "--set", "resources.cpu.core=4", code=2)["error"]
    assert wrong["code"] == "INVALID_CONFIGURATION"
    assert wrong["hint"] == "did you mean 'cores'?"
    with pytest.raises(NodeError, match=r"did you mean .*resources"):
        node.post("/api/configs", {"id": "x", "resourcs": {}})
    data(node, "config", "create", "nearly")
    assert data(node, "config", "show", "neerly", code=6)["error"]["hint"] == (
        "did you mean 'nearly'?"
    )
    checked = node.post("/api/configs/validate", {"resources": {"cpu": {"cores": "x"}}})
    assert [one["path"] for one in checked["problems"]] == ["resources.cpu.cores"]
    fits = node.post("/api/configs/validate", {"resources": {"cpu": {"cores": 100_000}}})
    assert fits["valid"]
    assert "100000 cores, of" in fits["capacity"]
    assert [one["path"] for one in fits["shortages"]] == ["resources.cpu.cores"]


def test_what_is_too_large_for_an_entry_is_refused(node: Node) -> None:
    names = [f"package-{number:05}" for number in range(4000)]
    body = json.dumps({"id": "large", "build": {"packages": names}}).encode()
    assert _ask(node, "POST", "/api/configs", body) == (400, "USAGE")
    body = json.dumps({"id": "large", "build": {"packages": names[:2000]}}).encode()
    status, _ = node._exchange(_request("POST", "/api/configs", body))
    assert status == 201


def test_export_and_import_keep_everything(node: Node, tmp_path: Path) -> None:
    text = (
        "id: travels\nname: Travels\nresources: {memory: {gb: 512 MB}, tools: [git >=2]}\n"
        "execution: {timeout: 30m}\n"
    )
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert data(node, "config", "validate", str(file))["valid"]
    made = data(node, "config", "import", str(file))
    assert made["resources"]["memory"] == {"gb": 0.5}
    assert data(node, "config", "import", str(file), code=1)["error"]["code"] == "CONFLICT"
    again = data(node, "config", "import", str(file), "--replace")
    assert again["version"] == 2
    for name in ("out.yaml", "out.json"):
        out = tmp_path / name
        assert node("config", "export", "travels", "-o", str(out)).code == 0
        exported = yaml.safe_load(out.read_text())
        assert exported == data(node, "config", "export", "travels")
        other = name.replace(".", "-")
        copied = data(node, "config", "import", str(out), "--as", other)
        assert copied["execution"] == {"timeout": 1800.0}
    assert json.loads((tmp_path / "out.json").read_text())["id"] == "travels"
    file.write_text("id: travels\nresources:\n  memory: {gbs: 1}\n")
    wrong = data(node, "config", "validate", str(file), code=2)["error"]
    assert wrong["message"].endswith("c.yaml:3: unknown key 'gbs' in resources.memory")


def test_the_editor_changes_a_configuration(node: Node, tmp_path: Path) -> None:
    data(node, "config", "create", "edited", "--set", "resources.cpu.cores=2")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/cores: 2/cores: 7/" "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    words = ("config", "edit", "edited", "--json")
    answer = node.command(*words, env={"EDITOR": str(editor)})
    assert answer.data["resources"]["cpu"]["cores"] == 7
    assert node.command(*words, env={"EDITOR": str(editor)}).err == "nothing was changed\n"
    editor.write_text('#!/bin/sh\nsed -i "s/cores: 7/cores: -7/" "$1"\n')
    assert node.command(*words, env={"EDITOR": str(editor)}).code == 2
    assert node.command(*words, env={"EDITOR": "false"}).code == 2
    assert node.command(*words).code == 2  # no terminal, no editor
    assert data(node, "config", "show", "edited")["version"] == 2


def test_templates_make_configurations(node: Node, tmp_path: Path) -> None:
    known = data(node, "template", "list")["templates"]
    assert [each["id"] for each in known if each["system"]] == [
        *("local-only", "quick", "distributed-full", "ci", "monorepo-large")
    ]
    printed = data(node, "template", "use", "local-only", "--set", "cores=3")
    assert printed["resources"]["cpu"]["cores"] == 3
    wrong = data(node, "template", "use", "local-only", "--set", "cores=x", code=2)["error"]
    assert "expected a whole number from 0" in wrong["message"]
    kept = data(
        node,
        *("config", "create", "mine", "--from-template", "local-only"),
        *("--set", "cores=2", "--set", "description=here"),
    )
    assert kept["resources"]["cpu"] == printed["resources"]["cpu"] | {
        "cores": 2,
        "node_allocations": [{"node_id": "local", "cores": 2}],
    }
    assert kept["description"] == "here"
    strange = ("config", "create", "m2", "--from-template", "local-only", "--set", "core=2")
    assert data(node, *strange, code=2)["error"]["hint"] == "did you mean 'cores'?"

    assert data(node, "template", "save", "of-mine", "--config", "mine")["version"] == 1
    used = data(node, "template", "use", "of-mine", "--save-as", "mine2")
    assert used["resources"] == kept["resources"]
    applied = data(node, "template", "apply", "monorepo-large", "mine")
    assert applied["execution"] == {"strategy": "smart", "local_only": True, "parallel": 8}

    file = tmp_path / "t.yaml"
    file.write_text(
        'config: {resources: {cpu: {cores: "{n}"}}}\nvariables: [{name: n, type: integer}]\n'
    )
    assert data(node, "template", "save", "of-file", "--file", str(file))["version"] == 1
    missing = data(node, "template", "use", "of-file", code=2)["error"]
    assert "the variable 'n' needs a value" in missing["message"]
    again = ("template", "save", "of-file", "--file", str(file), "--replace")
    assert data(node, *again)["version"] == 2
    assert data(node, "template", "delete", "ci", "--yes", code=4)["error"]["code"] == "REFUSED"
    assert data(node, "template", "delete", "of-file", "--yes")["success"]


def test_a_profile_is_chosen_for_all_workspaces_or_for_one(node: Node, tmp_path: Path) -> None:
    made = data(node, "profile", "create", "near", "--set", "weights.locality=0.9")
    assert made["weights"] == {"locality": 0.9}
    assert data(node, "profile", "use", "near") == {"profile": "near", "workspaces": {}}
    (tmp_path / "buildnet.yaml").write_text(
        "workspace: w\npackages: [{name: a, path: ., build_cmd: 'true'}]\n"
    )
    (tmp_path / "below").mkdir()
    chosen = data(node, "profile", "use", "speed", "--workspace", str(tmp_path / "below"))
    assert chosen == {"profile": "near", "workspaces": {str(tmp_path): "speed"}}
    assert data(node, "profile", "list")["defaults"] == chosen
    assert data(node, "profile", "use", "nobody", code=6)["error"]["code"] == "NOT_FOUND"
    data(node, "profile", "use", "--none", "--workspace", str(tmp_path))
    assert data(node, "profile", "use", "--none") == {"profile": None, "workspaces": {}}
    assert data(node, "profile", "show", "speed")["system"]


def test_the_tables_are_for_people(node: Node) -> None:
    data(node, "config", "create", "seen", "--set", "resources.cpu.cores=6")
    for noun in ("config", "template", "profile"):
        answer = node(noun, "list")
        assert answer.code == 0, answer.err
    assert "seen" in node("config", "list").out
    shown = node("config", "show", "seen").out
    assert "cores: 6" in shown
    assert "version     1, sealed at height" in shown
    assert "built in" in node("template", "show", "ci").out
    assert node("config", "list", "--quiet").out.splitlines().count("seen") == 1


ONE_AT_A_TIME = """\
workspace: alone
packages:
  - {name: a, path: a, build_cmd: mkdir ../busy && sleep 0.2 && rmdir ../busy, isolation: workspace}
  - {name: b, path: b, build_cmd: mkdir ../busy && sleep 0.2 && rmdir ../busy, isolation: workspace}
  - {name: c, path: c, build_cmd: "true"}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "buildnet.yaml").write_text(ONE_AT_A_TIME)
    for name in "abc":
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_build_goes_by_a_configuration(node: Node, workspace: Path) -> None:
    data(node, "config", "create", "one-core", "--set", "resources.cpu.cores=1")
    words = ("build", "-C", str(workspace), "--force", "--config", "one-core")
    report = data(node, *words, "--profile", "speed")
    assert report["choice"] == {
        **{"configuration": "one-core", "version": 1, "template": None, "profile": "speed"},
        **{"priority": "normal", "strategy": "fastest", "parallel": 1, "slots": None},
        **{"isolation": None, "local_only": False, "max_nodes": None, "nodes": {}, "labels": []},
        **{"artifacts_on": None, "artifacts_bytes": 0, "memory": {}, "redundancy": 1},
        **{"timeout_s": None, "cpus": [], "unkept": None, "variables": {}},
    }
    recorded = node.get(f"/api/build/{report['build_id']}")
    assert recorded["status"] == "succeeded"
    kept = node.get("/api/builds?limit=1")["builds"][0]
    assert kept["request"]["choice"] == report["choice"]
    about = f"/api/ledger?build={report['build_id']}&type=build.started"
    until(lambda: node.get(about)["entries"])
    assert node.get(about)["entries"][0]["data"]["config_id"] == "one-core"


def test_a_build_goes_by_a_file_that_nobody_kept(
    node: Node, workspace: Path, tmp_path: Path
) -> None:
    file = tmp_path / "try.yaml"
    file.write_text("resources: {cpu: {cores: 1}}\nexecution: {timeout: 5m}\n", encoding="utf-8")
    report = data(node, "build", "-C", str(workspace), "--force", "--config", str(file))
    choice = report["choice"]
    assert (choice["configuration"], choice["version"], choice["parallel"]) == (None, None, 1)
    asked = {"resources": {"cpu": {"cores": 1}}, "execution": {"timeout": "5m"}}
    assert choice["unkept"] == asked
    words = {"root": str(workspace), "environment": {}, "actor": "ann", "force": True}
    again = node.post("/api/build", words | {"configuration": choice["unkept"]})["build_id"]
    until(lambda: node.get(f"/api/build/{again}")["status"] == "succeeded")
    assert node.get("/api/builds?limit=1")["builds"][0]["request"]["choice"] == choice
    file.write_text("resources: {cpu: {coers: 1}}\n", encoding="utf-8")
    wrong = node("build", "-C", str(workspace), "--config", str(file))
    assert wrong.code == 2
    assert "coers" in wrong.err
    missing = node("build", "-C", str(workspace), "--config", "./not-there.yaml")
    assert "not-there.yaml" in missing.err


def test_what_has_no_effect_is_told_wherever_it_is_said(
    node: Node, workspace: Path, tmp_path: Path
) -> None:
    said = "resources.memory.priority has no effect in this version"
    file = tmp_path / "idle.yaml"
    file.write_text("resources: {memory: {priority: high}}\n")
    for words in (("validate", str(file)), ("validate", str(file), "--pool")):
        assert data(node, "config", *words)["warnings"] == [said]
        assert f"warning: {said}\n" in node("config", *words).err
    assert data(node, "config", "create", "idle", "--file", str(file))["warnings"] == [said]
    told = node("config", "create", "idle-too", "--file", str(file)).err
    assert f"warning: {said}\n" in told
    asked = ("build", "-C", str(workspace), "--config", "idle", "c")
    assert data(node, *asked)["warnings"] == [f"the configuration idle: {said}"]
    assert f"warning: the configuration idle: {said}\n" in node(*asked).err
    assert data(node, "build", "-C", str(workspace), "c")["warnings"] == []


def test_cpus_that_are_named_are_those_that_commands_run_on(node: Node, workspace: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    share = f"[{{node_id: local, specific_cores: [{cpu}]}}]"
    data(node, "config", "create", "one-cpu", "--set", f"resources.cpu.node_allocations={share}")
    (workspace / "buildnet.yaml").write_text(
        "workspace: cpus\npackages:\n"
        "  - {name: c, path: c, build_cmd: grep Cpus_allowed_list /proc/self/status && false}\n"
    )
    words = ("build", "-C", str(workspace), "--force")
    (package,) = data(node, *words, "--config", "one-cpu", code=1)["packages"]
    assert package["output"].split() == ["Cpus_allowed_list:", str(cpu)]


def test_a_configuration_says_what_the_request_does_not(node: Node, workspace: Path) -> None:
    words = ("--set", "build.packages=[c]", "--set", "execution.isolation=staged")
    data(node, "config", "create", "only-c", *words)
    report = data(node, "build", "-C", str(workspace), "--config", "only-c")
    assert [(one["name"], one["isolation"]) for one in report["packages"]] == [("c", "staged")]
    filled = ("--template", "local-only", "--set", "cores=1")
    report = data(node, "build", "-C", str(workspace), *filled, "c")
    choice = report["choice"]
    assert (choice["template"], choice["variables"]) == ("local-only", {"cores": "1"})
    recorded = node.get(f"/api/build/{report['build_id']}")
    assert recorded["request"]["choice"]["variables"] == {"cores": "1"}
    assert report["choice"]["local_only"] is True


def test_a_build_that_the_pool_can_not_give_does_not_begin(node: Node, workspace: Path) -> None:
    data(node, "config", "create", "greedy", "--set", "resources.cpu.cores=100000")
    data(node, "config", "create", "toolless", "--set", "resources.tools=[no-such-tool]")
    words = ("build", "-C", str(workspace))
    for name, part in (("greedy", "100000 cores, of"), ("toolless", "no-such-tool is nowhere")):
        error = data(node, *words, "--config", name, code=5)["error"]
        assert error["code"] == "NO_CAPACITY"
        assert part in error["message"]
    assert data(node, *words, "--config", "no-such", code=6)["error"]["code"] == "NOT_FOUND"
    wrong = data(node, *words, "--template", "local-only", "--set", "cores=x", code=2)["error"]
    assert wrong["code"] == "INVALID_CONFIGURATION"
    data(node, *words, "--set", "cores=1", code=2)
    data(node, *words, "--config", "greedy", "--template", "ci", code=2)


def test_a_default_profile_is_used_until_it_is_gone(node: Node, workspace: Path) -> None:
    words = ("build", "-C", str(workspace), "c")
    data(node, "profile", "create", "passing", "--set", "strategy=locality")
    data(node, "profile", "use", "passing", "--workspace", str(workspace))
    assert data(node, *words)["choice"]["profile"] == "passing"
    data(node, "profile", "delete", "passing", "--yes")
    assert data(node, *words)["choice"] is None
    data(node, "profile", "use", "--none", "--workspace", str(workspace))


@pytest.mark.parametrize("rights", ["builder", "observer"])
def test_who_is_no_admin_looks_and_changes_nothing(pair: Cluster, rights: str) -> None:
    one, other = pair.members
    version = data(one, "config", "create", "kept")["version"]
    until(lambda: other("config", "show", "kept").code == 0)
    data(one, "rights", "set", other.name, rights)
    until(lambda: other.get("/api/node")["rights"] == rights)
    try:
        for words in (
            ("config", "create", "kept"),
            ("config", "edit", "not-there", "--set", "name=x"),
            ("config", "edit", "kept", "--set", "name=x"),
            ("config", "delete", "kept", "--yes"),
            ("template", "save", "t", "--config", "kept"),
            ("template", "use", "ci", "--save-as", "c"),
            ("profile", "create", "p"),
        ):
            assert data(other, *words, code=4)["error"]["code"] == "REFUSED"
        assert data(other, "config", "show", "kept")["version"] == version
        if rights == "observer":
            for asked in (("queue", "list"), ("build", "--attach", "0123456789ab")):
                assert data(other, *asked, code=4)["error"]["code"] == "NOT_ALLOWED"
    finally:
        data(one, "rights", "set", other.name, "admin")
        until(lambda: other.get("/api/node")["rights"] == "admin")
        data(one, "config", "delete", "kept", "--yes")


def test_without_a_majority_a_change_is_kept_and_made_later(pair: Cluster) -> None:
    voter, other = pair.members  # of two members one votes: who founded the cluster
    voter.freeze()
    try:
        until(lambda: (office := other.office()) is None or not office.quorum)
        refused = data(other, "config", "create", "later", code=3)["error"]
        assert refused["code"] == "NO_QUORUM"
        (draft,) = data(other, "config", "list")["drafts"]
        assert (draft["id"], draft["expects"]) == ("later", 0)
    finally:
        voter.thaw()
    until(lambda: other("config", "show", "later").code == 0)
    until(lambda: data(other, "config", "list")["drafts"] == [])


def _ask(node: Node, method: str, path: str, body: bytes) -> tuple[int, str]:
    """Return the status and code of a refusal."""
    status, answer = node._exchange(_request(method, path, body))
    return status, json.loads(answer)["code"]


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def test_on_a_terminal_everything_is_asked(node: Node, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "buildnet.cli.main", "config", "create"]
    asker, asked = pty.openpty()
    with subprocess.Popen(
        command, cwd=tmp_path, env=node.command.environment, stdin=asked, stdout=asked, stderr=asked
    ) as process:
        os.close(asked)
        os.write(asker, b"0\n1\n\n0\n0\n\nfrom-a-terminal\ny\n")
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(asker, 1 << 16):
                said += piece
        os.close(asker)
    text = said.decode()
    assert process.returncode == 0, text
    assert "No estimate" in text  # there is no workspace here
    kept = data(node, "config", "show", "from-a-terminal")
    assert kept["resources"]["cpu"]["cores"] == 1
    refused = node.command("config", "create")
    assert refused.code == 2
    assert "without a terminal" in refused.err
