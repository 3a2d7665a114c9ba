"""Detection of Cargo, Go and uv workspaces from their manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.detect.cargo import detect_cargo
from buildnet.pool.detect.ecosystems import detect
from buildnet.pool.detect.go import detect_go
from buildnet.pool.detect.uv import detect_uv
from buildnet.pool.workspace import BUILD, Task, TaskId, Workspace, WorkspaceError, find_root
from testbed.ecosystems import CARGO, GO, UV, write_files


def same_from_file(workspace: Workspace | None) -> Workspace:
    """Return a workspace whose file reads back as the same."""
    assert workspace is not None
    file = workspace.root / "again.yaml"
    file.write_text(write_workspace(workspace))
    assert read_workspace(file).packages == workspace.packages
    file.unlink()
    return workspace


def task(workspace: Workspace, package: str, name: str = BUILD) -> Task:
    return workspace.task(TaskId(package, name))


def test_a_cargo_workspace(tmp_path: Path) -> None:
    found = same_from_file(detect_cargo(write_files(tmp_path, CARGO)))
    assert sorted(found.packages) == ["app", "checks", "core-lib"]
    app, core, checks = (task(found, one) for one in ("app", "core-lib", "checks"))
    assert app.command is not None
    assert "cargo build --offline --locked -p app" in app.command
    assert (app.outputs, app.depends_on) == (("target/debug/app",), (core.id,))
    assert core.command is None  # compiled with what uses it
    assert core.exports_sources
    assert checks.outputs == ("target/debug/libchecks.{so,dylib}",)
    assert task(found, "core-lib", "test").depends_on == (checks.id,)  # a dev-dependency
    assert {"Cargo.toml", "Cargo.lock", "crates/core/Cargo.toml"} <= set(app.sources)
    assert not any("src" in one for one in app.sources)
    assert not found.notes
    assert "crates" in found.definition_files


def test_what_cargo_packages_make(tmp_path: Path) -> None:
    files = {
        "Cargo.toml": """
            [package]
            name = "many-tools"
            [[bin]]
            name = "first"
            path = "src/first.rs"
            [[bin]]
            name = "second"
            [lib]
            crate-type = ["staticlib"]
            [dependencies]
            inner = { path = "inner" }
            serde = "1"
            """,
        "Cargo.lock": "[[package]]\nname = 'serde'\nsource = 'registry+x'\n",
        "src/main.rs": "",
        "src/bin/third.rs": "",
        "src/bin/fourth/main.rs": "",
        "inner/Cargo.toml": "[package]\nname = 'inner'\n",
    }
    found = same_from_file(detect_cargo(write_files(tmp_path, files)))
    build = task(found, "many-tools")
    assert {one.removeprefix("target/debug/") for one in build.outputs} == {
        "first", "second", "third", "fourth", "many-tools", "libmany_tools.a",
    }  # fmt: skip
    assert "src/bin/second.rs" in build.sources
    assert "inner" in found.packages  # a path dependency below the root is a member
    assert ["cargo vendor" in one for one in found.notes] == [True]
    settings = '[source.vendored-sources]\ndirectory = "third_party"\n'
    write_files(tmp_path, {".cargo/config.toml": settings})
    vendored = detect_cargo(tmp_path)
    assert vendored is not None
    assert not vendored.notes
    assert "third_party/**" in task(vendored, "many-tools").sources


def test_a_go_workspace(tmp_path: Path) -> None:
    found = same_from_file(detect_go(write_files(tmp_path, GO)))
    app, lib, alone = (
        task(found, f"example.org/{one}") for one in ("app", "lib", "alone")
    )  # fmt: skip
    assert (app.command, app.outputs) == ("go build -o bin/ ./...", ("app/bin/**",))
    assert app.depends_on == (lib.id,)
    assert app.tools == ("go",)
    assert (lib.command, alone.command) == (None, "go build ./...")
    assert set(app.sources) == {"go.work", "app/go.mod", "lib/go.mod", "alone/go.mod"}
    assert not found.notes


def test_go_modules_that_replace_call_c_and_need_others(tmp_path: Path) -> None:
    files = {
        "go.mod": """
            module example.org/top
            require (
                example.org/y v1.2.3 // indirect
            )
            replace example.org/z => ./z
            """,
        "main.go": 'package main\n\n// #include <math.h>\nimport "C"\n\nfunc main() {}\n',
        "z/go.mod": "module example.org/z\n",
        "z/z.go": "package main\n",
    }
    found = same_from_file(detect_go(write_files(tmp_path, files)))
    build = task(found, "example.org/top")
    assert (build.path, build.tools, build.outputs) == ("", ("go", "cc"), ("bin/**",))
    assert build.sources == ("z/**",)
    assert ["go work vendor" in one for one in found.notes] == [True]
    (tmp_path / "vendor").mkdir()
    again = detect_go(tmp_path)
    assert again is not None
    assert not again.notes


def test_a_uv_workspace(tmp_path: Path) -> None:
    found = same_from_file(detect_uv(write_files(tmp_path, UV)))
    assert sorted(found.packages) == ["shop", "shop-core", "shop-web"]
    shop, core, web = (task(found, one) for one in ("shop", "shop-core", "shop-web"))
    assert (shop.command, shop.depends_on) == (None, (core.id,))
    assert core.command == "uv build --offline --package shop-core --out-dir dist"
    assert (core.outputs, core.network) == (("packages/core/dist/**",), False)
    assert (web.command, web.network) == ("uv build --package shop-web --out-dir dist", True)
    assert web.depends_on == (core.id,)
    test = task(found, "shop-core", "test")
    assert test.command == "uv run --frozen --package shop-core --with pytest==8.3.4 pytest"
    assert test.network
    assert "test" not in found.packages["shop-web"].tasks  # it has none
    assert any("shop-web fetches its build backend" in one for one in found.notes)


def test_a_circle_for_development_is_opened(tmp_path: Path) -> None:
    core = UV["packages/core/pyproject.toml"] + (
        "\n        [dependency-groups]\n        dev = ['shop']\n"
        "        [tool.uv.sources]\n        shop = { workspace = true }\n"
    )
    found = detect_uv(write_files(tmp_path, {**UV, "packages/core/pyproject.toml": core}))
    assert found is not None
    assert found.packages["shop-core"].dependencies == ()
    assert "left out of a circle: shop-core -> shop (dev)" in found.notes


@pytest.mark.parametrize(
    ("files", "inside"), [(CARGO, "crates/app"), (GO, "app"), (UV, "packages")]
)
def test_roots_are_found_from_within(tmp_path: Path, files: dict[str, str], inside: str) -> None:
    root = write_files(tmp_path, files)
    assert find_root(root / inside) == root
    assert detect(root) is not None


def test_of_two_kinds_the_first_counts_and_the_other_is_told(tmp_path: Path) -> None:
    manifest = '{"workspaces": ["js"]}'
    member = '{"name": "js", "scripts": {"build": "true"}}'
    write_files(tmp_path, {**CARGO, "package.json": manifest, "js/package.json": member})
    found = detect(tmp_path)
    assert found is not None
    assert list(found.packages) == ["js"]
    assert found.notes[-1].startswith("Cargo.toml beside package.json declares packages")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"Cargo.toml": "[workspace\n"}, r"Cargo\.toml: malformed TOML"),
        ({**CARGO, "crates/x/Cargo.toml": "[package]\nname = 'app'"}, "a second package 'app'"),
        ({**UV, "packages/x/pyproject.toml": "\x00"}, r"packages/x/pyproject\.toml: malformed"),
        ({**GO, "lib/go.mod": "module example.org/app"}, "a second package"),
    ],
)
def test_manifests_that_cannot_be_read(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        detect(write_files(tmp_path, files))
