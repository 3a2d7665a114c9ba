"""What a change of files affects: by what packages read, and by what depends on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.pool.affected import Readers, affected_by
from buildnet.pool.workspace import load_workspace

DEFINITION = """
workspace: shop
packages:
  - {name: core, path: packages/core, build_cmd: make, outputs: [packages/core/dist]}
  - name: api
    path: packages/api
    build_cmd: make
    dependencies: [core]
    sources: ["packages/api/src/**/*.ts", "!packages/api/src/**/*.test.ts", schema.json]
    outputs: [packages/api/dist]
  - {name: web, path: packages/web, build_cmd: make, dependencies: [api]}
  - name: docs
    path: docs
    build_cmd: make
    sources: ["docs/*.md"]
    tasks: {check: {cmd: make check, depends_on: [web]}}
"""


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    folders = ("packages/core", "packages/api/src", "packages/web", "docs")
    write_files(
        tmp_path,
        {"buildnet.yaml": DEFINITION.replace("[web]", "[build]"), "schema.json": "{}"}
        | {f"{folder}/x": "" for folder in folders},
    )
    return Readers(load_workspace(tmp_path))


@pytest.mark.parametrize(
    ("path", "read_by"),
    [
        ("packages/core/src/a.c", {"core"}),
        ("packages/core/node_modules/x/a.js", set()),
        ("packages/core/dist/a.o", set()),
        ("packages/core/dist/", set()),
        ("packages/core/", {"core"}),
        ("packages/api/src/deep/a.ts", {"api"}),
        ("packages/api/src/deep/a.test.ts", set()),
        ("packages/api/src/a.md", set()),
        ("packages/api/README.md", set()),
        ("packages/api/src/deep/", {"api"}),
        ("packages/", {"core", "api", "web"}),
        ("schema.json", {"api"}),
        ("schema.json/", {"api"}),
        ("docs/a.md", {"docs"}),
        ("docs/deep/a.md", set()),
        ("packages/web/.gitignore", {"web"}),
        ("elsewhere/a", set()),
        ("buildnet.yaml", None),
        (".gitignore", None),
        ("", None),
    ],
)
def test_who_reads_a_path(readers: Readers, path: str, read_by: set[str] | None) -> None:
    assert readers.of(path) == (None if read_by is None else frozenset(read_by))


def test_what_depends_on_a_changed_package_is_affected_with_the_reason(readers: Readers) -> None:
    found = affected_by(readers, ["packages/core/a.c", "elsewhere/a"])
    assert found.packages == {
        "core": "packages/core/a.c changed",
        "api": "depends on core",
        "web": "depends on api",
    }
    assert found.touched == {"core"}


def test_the_definition_affects_all_and_nothing_affects_nothing(readers: Readers) -> None:
    assert set(affected_by(readers, ["buildnet.yaml"]).packages) == {"core", "api", "web", "docs"}
    assert affected_by(readers, []).packages == {}


def test_a_lock_file_affects_all_and_a_manifest_its_own_package(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "package.json": '{"name": "root", "workspaces": ["packages/*"]}',
            "package-lock.json": '{"lockfileVersion": 3, "packages": {}}',
            "packages/a/package.json": '{"name": "a", "scripts": {"build": "make"}}',
            "packages/b/package.json": '{"name": "b", "scripts": {"build": "make"},'
            '"dependencies": {"a": "*"}}',
            "packages/c/package.json": '{"name": "c", "scripts": {"build": "make"}}',
        },
    )
    readers = Readers(load_workspace(tmp_path))
    assert set(affected_by(readers, ["packages/a/package.json"]).packages) == {"a", "b"}
    assert set(affected_by(readers, ["packages/c/package.json"]).packages) == {"c"}
    for about_all in ("package-lock.json", "package.json", ".npmrc"):
        assert set(affected_by(readers, [about_all]).packages) == {"a", "b", "c"}
