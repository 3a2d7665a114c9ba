"""Dependencies of real npm, pnpm and yarn workspaces: installed once, as an action of their own.

The third-party package is an archive in the workspace, so no registry is needed.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers, write_files

LOCKING = {
    "npm": "npm install --package-lock-only --ignore-scripts --no-audit --no-fund",
    "pnpm": "pnpm install --lockfile-only --ignore-scripts",
    "yarn": "yarn install --ignore-scripts --non-interactive",
}
GREETER = {
    "package/package.json": json.dumps(
        {
            "name": "greeter",
            "version": "1.0.0",
            "scripts": {"postinstall": "node postinstall.js"},
        }
    ),
    "package/postinstall.js": "require('fs').writeFileSync('made.js', 'module.exports = \"hi\"')",
    "package/index.js": "module.exports = require('./made')",
}
LOOKING_AROUND = """
const fs = require('fs'), path = require('path')
const read = place => fs.existsSync(place) ? fs.readFileSync(place, 'utf8').trim() : 'none'
const settings = read(path.join(process.env.HOME, '.npmrc'))
const seen = [process.env.NPM_TOKEN || 'none', settings, read(process.env.SECRET || 'x')]
fs.writeFileSync('made.js', 'module.exports = ' + JSON.stringify(seen.join(' ')))
"""
LEAVING = """
const fs = require('fs'), path = require('path')
const left = path.join(process.env.NPM_CONFIG_CACHE, 'left')
const found = fs.existsSync(left) ? 'poisoned' : 'untouched'
fs.writeFileSync(left, '')
fs.writeFileSync('made.js', 'module.exports = ' + JSON.stringify(found))
"""
TOOL = "#!/usr/bin/env node\nconsole.log(require('greeter'), require('./lib/word'))\n"


@pytest.fixture
def buildnet(equipped: CommandLine) -> CommandLine:
    return equipped


def archive(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(data.getvalue(), mtime=0)


def manifest(name: str, **fields: Any) -> str:
    return json.dumps({"name": name, "version": "1.0.0", "private": True, **fields})


def make_workspace(root: Path, manager: str, greeter: dict[str, str] = GREETER) -> Path:
    """A workspace whose app is built by the command of its tool, which uses the archive."""
    if shutil.which(manager) is None or shutil.which("node") is None:
        pytest.skip(f"needs node and {manager}")
    above = "" if manager == "npm" else "../../"
    needed = {"greeter": f"file:{above}greeter.tgz"}
    of_root, of_tool = (needed, {}) if manager == "npm" else ({}, needed)
    write_files(
        root,
        {
            ".gitignore": "node_modules\ndist\n",
            "package.json": manifest(
                "shop",
                workspaces=["packages/*"],
                scripts={"prepare": "node not-to-be-run.js"},
                devDependencies=of_root,
            ),
            "packages/tool/package.json": manifest(
                "tool",
                bin={"make-words": "cli.js"},
                dependencies=of_tool,
            ),
            "packages/tool/cli.js": TOOL,
            "packages/tool/lib/word.js": "module.exports = 'there'\n",
            "packages/app/package.json": manifest(
                "app",
                dependencies={"tool": "workspace:*" if manager == "pnpm" else "1.0.0"},
                scripts={"build": "mkdir -p dist && make-words > dist/words"},
                main="dist/words",
            ),
        },
    )
    if manager == "pnpm":
        members = "packages: ['packages/*']\ndangerouslyAllowAllBuilds: true\n"
        write_files(root, {"pnpm-workspace.yaml": members})
    (root / "greeter.tgz").write_bytes(archive(greeter))
    private = {"HOME": str(root.parent), "YARN_CACHE_FOLDER": str(root.parent / "yarn")}
    locked = subprocess.run(
        LOCKING[manager],
        shell=True,
        cwd=root,
        env={**os.environ, **private},
        capture_output=True,
        text=True,
        check=False,
    )
    if locked.returncode != 0:
        pytest.skip(f"{manager} can't lock here: {locked.stdout[-300:]}{locked.stderr[-300:]}")
    for modules in list(root.rglob("node_modules")):
        shutil.rmtree(modules, ignore_errors=True)  # some lie in others
    return root


def words(workspace: Path) -> str:
    return (workspace / "packages/app/dist/words").read_text()


@pytest.mark.parametrize("manager", ["npm", "pnpm", "yarn"])
def test_an_install_is_an_action_of_its_own(
    node: CommandLine, tmp_path: Path, manager: str
) -> None:
    workspace = make_workspace(tmp_path / "shop", manager)
    first = tiers(node.build(workspace))
    assert (first["dependencies"], first["app"]) == ("full", "full")
    assert words(workspace) == "hi there\n"
    assert not list(workspace.rglob("node_modules"))
    assert "dependencies" not in tiers(node.build(workspace))
    word = workspace / "packages/tool/lib/word.js"
    word.write_text("module.exports = 'again'\n")
    assert tiers(node.build(workspace))["dependencies"] == "local-cache"
    assert words(workspace) == "hi again\n"


@pytest.mark.parametrize("manager", ["npm", "yarn"])
def test_an_installed_package_finds_a_package_of_the_workspace(
    node: CommandLine, tmp_path: Path, manager: str
) -> None:
    """Hoisting puts both side by side: the link beside it leads to the sandbox's own copy."""
    greeter = {**GREETER, "package/index.js": "module.exports = require('tool/lib/word')"}
    workspace = make_workspace(tmp_path / "shop", manager, greeter)
    report = node("build", "--json", cwd=workspace).data
    if "staged" in {one["isolation"] for one in report["packages"]}:
        pytest.skip("without strict it is not found")
    assert words(workspace) == "there there\n"
    edit(workspace, "here")
    node.build(workspace)
    assert words(workspace) == "here here\n"


def test_what_an_install_leaves_in_its_cache_reaches_no_other_workspace(
    node: CommandLine, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        greeter = {**GREETER, "package/postinstall.js": LEAVING, "package/name": name}
        workspace = make_workspace(tmp_path / name, "npm", greeter)
        assert tiers(node.build(workspace))["dependencies"] == "full"
        assert words(workspace) == "untouched there\n"


@pytest.mark.skipif(sys.platform != "linux", reason="strict is Linux's")
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("", "none none none"),
        ("install: {npmrc: ~/registry, env: [NPM_TOKEN, SECRET]}", "token ; of the owner none"),
        ("install: {npmrc: ~/missing}", None),
    ],
)
def test_an_install_sees_what_the_nodes_owner_gives_it_and_nothing_of_the_user(
    buildnet: CommandLine, tmp_path: Path, given: str, seen: str | None
) -> None:
    user = tmp_path / ".npmrc"
    write_files(tmp_path, {".npmrc": "; of the user", "registry": "; of the owner"})
    (tmp_path / "registry").chmod(0o600)
    write_files(buildnet.home, {"node.yaml": given})
    buildnet.environment.update({"NPM_TOKEN": "token", "SECRET": str(user)})
    greeter = {**GREETER, "package/postinstall.js": LOOKING_AROUND}
    workspace = make_workspace(tmp_path / "shop", "npm", greeter)
    buildnet.start()
    report = buildnet.build(workspace, code=1 if seen is None else 0)
    entry = {one["name"]: one for one in report["packages"]}["dependencies"]
    if entry["isolation"] != "strict":
        pytest.skip(report["isolation_reason"])
    if seen is None:
        assert entry["error"]["code"] == "REGISTRY_FILE"
    else:
        assert words(workspace) == f"{seen} there\n"


def edit(workspace: Path, word: str) -> None:
    (workspace / "packages/tool/lib/word.js").write_text(f"module.exports = '{word}'\n")


def installed(workspace: Path) -> Path:
    """Install as its user would; return where the archive lies."""
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm ci does not work here: {done.stderr[-300:]}")
    return workspace / "node_modules/greeter"


def test_an_altered_tree_is_unpacked_again(node: CommandLine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    node.build(workspace)
    (made,) = (node.home / "trees").glob("*/node_modules/greeter/made.js")
    made.chmod(0o644)
    made.write_text("module.exports = 'altered'")
    node("node", "stop")  # a tree is looked at when it is first used, and now and then
    edit(workspace, "again")
    assert tiers(node.build(workspace))["dependencies"] == "local-cache"
    assert words(workspace) == "hi again\n"


def test_a_copy_elsewhere_needs_no_install(node: CommandLine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    node.build(workspace)
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("dist"))
    assert tiers(node.build(copy))["app"] == "local-cache"
    (copy / "package.json").write_text(
        (copy / "package.json").read_text().replace("not-to-be-run", "another")
    )
    edit(copy, "there too")
    assert tiers(node.build(copy))["dependencies"] == "local-cache"
    assert words(copy) == "hi there too\n"


def test_node_modules_that_match_the_lock_file_are_used(node: CommandLine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    (installed(workspace) / "made.js").write_text("module.exports = 'the workspace says'")
    assert tiers(node.build(workspace))["dependencies"] == "instant-skip"
    assert words(workspace) == "the workspace says there\n"
    assert not (node.home / "trees").exists() or not any((node.home / "trees").iterdir())


def test_node_modules_of_another_lock_file_are_not_used(node: CommandLine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    (installed(workspace) / "made.js").write_text("module.exports = 'the workspace says'")
    note = workspace / "node_modules/.package-lock.json"
    note.write_text(note.read_text().replace('"version": "1.0.0"', '"version": "0.9.0"'))
    assert tiers(node.build(workspace))["dependencies"] == "full"
    assert words(workspace) == "hi there\n"
    assert (workspace / "node_modules/greeter/made.js").read_text().endswith("says'")


def test_a_failed_install_shows_what_the_package_manager_said(
    node: CommandLine, tmp_path: Path
) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    described = json.loads((workspace / "package.json").read_text())
    described["devDependencies"]["greeter"] = "file:another.tgz"
    (workspace / "package.json").write_text(json.dumps(described))
    report = node.build(workspace, code=1)
    assert statuses(report)["dependencies"] == "failed"
    entries = {entry["name"]: entry for entry in report["packages"]}
    assert "npm error" in entries["dependencies"]["output"]
    assert entries["dependencies"]["error"]["code"] == "COMMAND_FAILED"
    assert entries["app"]["error"]["code"] == "INSTALL_FAILED"
    shown = node("build", cwd=workspace)
    assert shown.code == 1
    assert "npm error" in shown.err


class Refusing(BaseHTTPRequestHandler):
    """A registry that wants to know who asks."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_registry_that_refuses_is_told_with_the_remedy(node: CommandLine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "shop", "npm")
    with HTTPServer(("127.0.0.1", 0), Refusing) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{registry.server_port}/greeter.tgz"
        for name in ("package.json", "package-lock.json"):
            file = workspace / name
            file.write_text(file.read_text().replace("file:greeter.tgz", place))
        report = node.build(workspace, code=1)
        registry.shutdown()
    entry = {one["name"]: one for one in report["packages"]}["dependencies"]
    assert "401" in entry["output"]
    assert any("install.npmrc" in hint for hint in entry["hints"]), entry
