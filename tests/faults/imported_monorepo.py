"""Takes over a public monorepo and compares what is built with what its own tool builds.

    git clone -q REPOSITORY /tmp/mono && (cd /tmp/mono && npm ci)
    uv run python tests/faults/imported_monorepo.py /tmp/mono --own "npx turbo run build"

In the clone, from which it removes what git does not track (but node_modules) and what its tool
remembers, it runs the repository's own tool, keeps what that left, removes it, takes the tool's
configuration over (``init --from``), builds with three nodes and compares the files byte for byte.
With ``--shard PACKAGE --cmd LINE --tests PATTERN`` the tests of a package are then split into
shards over the three nodes. With ``--edit FILE`` that file gets a line more while a watch is on,
and the packages are told that were built again. The clone is left with a ``buildnet.yaml`` and its
outputs. Prints JSON; exit code 1 if a file differs, a build fails, or more is built than depends on
the edit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from buildnet.cli.client import Client
from testbed.building import Building
from testbed.nodes import Cluster, Node

FILE = "buildnet.yaml"
LEFT_OUT = ("node_modules", ".turbo", ".nx", ".git", ".cache")
PATIENCE_S = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--from", dest="tool", choices=("turbo", "nx"), default="turbo")
    parser.add_argument("--own", required=True, help="how the repository is built otherwise")
    parser.add_argument("--packages", default="", help="those to build, by commas; default: all")
    parser.add_argument("--tools", default="", help="more tools that every package needs")
    parser.add_argument("--shard", help="a package whose tests are split")
    parser.add_argument("--cmd", help="the command of its tests, with {tests}")
    parser.add_argument("--tests", help="the pattern of its test files")
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--retries", type=int, default=0, help="runs more of a shard that failed")
    parser.add_argument("--edit", help="a file to change under a watch")
    arguments = parser.parse_args()
    root: Path = arguments.clone.resolve()
    names = [one for one in arguments.packages.split(",") if one]
    (root / FILE).unlink(missing_ok=True)
    remove(root, generated(root))
    forget(root)
    subprocess.run(arguments.own, shell=True, cwd=root, check=True, stdout=sys.stderr)
    wanted = generated(root)
    remove(root, wanted)
    told: dict[str, Any] = {"files_of_own_tool": len(wanted)}
    failed = False
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-mono-") as name,
        Cluster(Path(name), 3, bare=False) as cluster,
    ):
        node = cluster.members[0]
        client = Client(socket_path=node.home.socket_path())
        body = {"root": str(root), "import_from": arguments.tool}
        found = client.post("/api/workspace", body)
        told["findings"] = len(found["findings"])
        definition = yaml.safe_load(found["yaml"])
        for package in definition["packages"] if arguments.tools else ():
            package["tools"] = [*package.get("tools", ()), *arguments.tools.split(",")]
        (root / FILE).write_text(yaml.safe_dump(definition, sort_keys=False))
        report = built(node, root, names, "build")
        made = generated(root)
        told["build"] = summary(report)
        told["files_here"] = len(made)
        told["differing"] = sorted(
            one for one in wanted.keys() | made.keys() if wanted.get(one) != made.get(one)
        )
        failed |= report["status"] != "succeeded" or bool(told["differing"])
        if arguments.shard:
            shard(definition, arguments)
            (root / FILE).write_text(yaml.safe_dump(definition, sort_keys=False))
            report = built(node, root, [arguments.shard], "test")
            told["tests"] = summary(report)
            failed |= report["status"] != "succeeded"
        if arguments.edit:
            told["edit"], right = edited(node, root, definition, arguments.edit)
            failed |= not right
    print(json.dumps(told, indent=1))
    return int(failed)


def generated(root: Path) -> dict[str, str]:
    """Return path -> digest of the files that git does not track, dependencies and caches apart."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--others"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return {
        one: hashlib.sha256((root / one).read_bytes()).hexdigest()
        for one in listed
        if one
        and one != FILE
        and not set(LEFT_OUT) & set(one.split("/"))
        and (root / one).is_file()
    }


def remove(root: Path, files: dict[str, str]) -> None:
    """Remove files, and the directories that they alone were in."""
    for one in files:
        (root / one).unlink()
        parent = (root / one).parent
        while parent != root and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent


def forget(root: Path) -> None:
    """Remove what the repository's own tool remembers: it would not make again what it knows."""
    for one in [*root.glob("**/.turbo"), *root.glob("**/.nx")]:
        if "node_modules" not in one.parts:
            shutil.rmtree(one)


def built(node: Node, root: Path, packages: list[str], task: str) -> dict[str, Any]:
    """Build; return the report. Its output goes to stderr."""
    began = time.monotonic()
    asked = {"packages": packages, "task": task, "keep_going": True, "detail": "all"}
    building = Building(node, root, **asked)
    while not building.count("build_finished") and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.2)
    report = building.report()
    for one in report["packages"]:
        if one["status"] != "succeeded":
            print(one["name"], one["task"], one["error"], one["output"], file=sys.stderr)
    return report


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Return what a report comes to: how it ended, how long it took, and where what ran."""
    where: dict[str, int] = {}
    for one in report["packages"]:
        for each in one.get("shards") or (one,):
            if each.get("tier") in {"full", "incremental"}:
                place = each.get("node_name") or each.get("node") or "?"
                where[place] = where.get(place, 0) + 1
    ran = [f"{one['name']}#{one['task']}" for one in report["packages"] if one["tier"] == "full"]
    tests = [one["tests"] for one in report["packages"] if one.get("tests")]
    return {
        "status": report["status"],
        "duration_s": round(report["duration_ms"] / 1000, 1),
        "ran": ran,
        "commands_by_node": where,
        "tests": tests,
    }


def shard(definition: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Have the tests of a package split, as its owner would write it."""
    package = next(one for one in definition["packages"] if one["name"] == arguments.shard)
    before = package["tasks"]["test"]
    task = dict(before) if isinstance(before, dict) else {"cmd": before}
    task |= {"cmd": arguments.cmd, "tests": [arguments.tests], "shards": arguments.shards}
    task["retries"] = arguments.retries
    if "{shard}" in arguments.cmd:
        task["junit"] = f"{package['path']}/report-{{shard}}.xml"
    package["tasks"]["test"] = task


def edited(
    node: Node, root: Path, definition: dict[str, Any], file: str
) -> tuple[dict[str, Any], bool]:
    """Change a file while a watch is on; return what was built, and whether only what depends on
    the package that the file is of."""
    reports: list[dict[str, Any]] = []
    client = Client(socket_path=node.home.socket_path())

    def follow() -> None:
        body = {"root": str(root), "environment": {}, "actor": "test", "detail": "all"}
        with client.stream("/api/watch", {**body, "builds": True}) as events:
            for event in events:
                if event["type"] == "build_finished":
                    reports.append(event["report"])

    threading.Thread(target=follow, daemon=True).start()
    wait(reports, 1)
    kept = (root / file).read_bytes()
    try:
        (root / file).write_bytes(kept + b"\n// edited\n")
        wait(reports, 2)
    finally:
        (root / file).write_bytes(kept)
    ran = [one["name"] for one in reports[1]["packages"] if one["tier"] == "full"]
    owner = owner_of(definition, file)
    allowed = {owner}
    while (
        more := {
            one["name"]
            for one in definition["packages"]
            if allowed & set(one.get("dependencies", ()))
        }
        - allowed
    ):
        allowed |= more
    return {"file": file, "ran": ran, "may": sorted(allowed)}, set(ran) <= allowed


def owner_of(definition: dict[str, Any], file: str) -> str:
    """Return the package that a file is of."""
    owners = [one for one in definition["packages"] if file.startswith(f"{one['path']}/")]
    name: str = max(owners, key=lambda one: len(one["path"]))["name"]
    return name


def wait(reports: list[dict[str, Any]], count: int) -> None:
    """Wait until so many builds have ended."""
    began = time.monotonic()
    while len(reports) < count:
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"{len(reports)} builds, not {count}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
