"""Detection of npm, yarn and pnpm workspaces from their manifests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.detect.detection import declares_packages, detect_workspace, is_buildable
from buildnet.pool.detect.ranges import may_mean
from buildnet.pool.graph import CycleError
from buildnet.pool.workspace import BUILD, Task, TaskId, Workspace, WorkspaceError

Make = Callable[[dict[str, Any]], Path]
LOCK = {"package-lock.json": "{}"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write files: path -> text, or an object for JSON."""

    def files(contents: dict[str, Any]) -> Path:
        for path, content in contents.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / path).write_text(text)
        return tmp_path

    return files


def package(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.2.3", "scripts": {"build": "tsc"}, **fields}


def detected(root: Path) -> Workspace:
    workspace = detect_workspace(root)
    assert workspace is not None
    (root / "again.yaml").write_text(write_workspace(workspace))
    again = read_workspace(root / "again.yaml")
    (root / "again.yaml").unlink()
    assert again.packages == workspace.packages
    assert again.install == workspace.install
    return workspace


def build_of(workspace: Workspace, name: str) -> Task:
    return workspace.task(TaskId(name, BUILD))


def test_an_npm_workspace(make: Make) -> None:
    root = make(
        {
            "package.json": {"name": "shop", "workspaces": ["packages/*", "!packages/old"]},
            ".gitignore": "node_modules\ndist\n",
            ".npmrc": "",
            "tsconfig.base.json": {"compilerOptions": {"composite": True}},
            "README.md": "",
            **LOCK,
            "packages/core/package.json": package("core", main="dist/index.js"),
            "packages/core/tsconfig.json": '{"extends": "../../tsconfig.base", /* a */ "x": [1,],}',
            "packages/web/package.json": package(
                "@shop/web",
                scripts={"prebuild": "rm -rf dist", "build": "npm run js", "js": "rollup -c",
                         "test": "vitest"},
                dependencies={"core": "^1.0.0", "react": "^18"},
            ),
            "packages/old/package.json": package("old"),
            "packages/empty/readme": "",
        }
    )  # fmt: skip
    workspace = detected(root)
    assert (workspace.name, workspace.file, list(workspace.packages)) == (
        "shop", None, ["core", "@shop/web"],
    )  # fmt: skip
    core, web = build_of(workspace, "core"), build_of(workspace, "@shop/web")
    shared = (".npmrc", "package.json", "tsconfig.base.json")
    assert core == Task(
        package="core",
        name=BUILD,
        command="tsc",
        path="packages/core",
        sources=shared,
        exports=(),
        exports_sources=True,
        outputs=("packages/core/dist/**", "packages/core/*.tsbuildinfo"),
        tools=("node",),
        env={
            "npm_lifecycle_event": "build",
            "npm_package_name": "core",
            "npm_package_version": "1.2.3",
        },
        env_paths={"INIT_CWD": "", "npm_package_json": "packages/core/package.json"},
        path_entries=("packages/core/node_modules/.bin", "node_modules/.bin"),
        transitive=True,
        dependencies_tree=True,
    )
    assert web.command == "rm -rf dist && rollup -c"
    assert web.depends_on == (core.id,)
    test = workspace.task(TaskId("@shop/web", "test"))
    assert (test.command, test.depends_on) == ("vitest", (web.id, core.id))
    assert test.env["npm_lifecycle_event"] == "test"
    install = workspace.install
    assert install is not None
    assert (install.manager, install.command) == ("npm", "npm ci --no-audit --no-fund")
    assert install.inputs == (
        "package-lock.json", "package.json", "packages/core/package.json",
        "packages/web/package.json", ".npmrc",
    )  # fmt: skip
    assert install.roots == ("", "packages/core", "packages/web")
    for file in ("buildnet.yaml", "package.json", "packages", "packages/core/tsconfig.json"):
        assert file in workspace.definition_files


@pytest.mark.parametrize(
    ("files", "manager", "command"),
    [
        ({"package-lock.json": ""}, "npm", "npm ci --no-audit --no-fund"),
        ({"npm-shrinkwrap.json": ""}, "npm", "npm ci --no-audit --no-fund"),
        ({"yarn.lock": "# v1"}, "yarn", "yarn install --frozen-lockfile --non-interactive"),
        ({"yarn.lock": "__metadata:\n"}, "yarn", "yarn install --immutable"),
        ({"yarn.lock": "", ".yarnrc.yml": ""}, "yarn", "yarn install --immutable"),
        ({"pnpm-lock.yaml": ""}, "pnpm", "pnpm install --frozen-lockfile"),
    ],
)
def test_managers_by_lock_file(
    make: Make, files: dict[str, str], manager: str, command: str
) -> None:
    manifest = {"workspaces": {"packages": ["a"]}, "dependencies": {"x": "1"}}
    workspace = detected(make({"package.json": manifest, "a/package.json": package("a"), **files}))
    assert workspace.install is not None
    assert (workspace.install.manager, workspace.install.command) == (manager, command)
    assert set(files) <= set(workspace.install.inputs)


def test_the_manager_field_counts_more_than_lock_files(make: Make) -> None:
    manifest = {"packageManager": "yarn@4.1.0+sha512.x", "dependencies": {"x": "1"}}
    manifest["workspaces"] = ["a"]
    root = make({"package.json": manifest, "a/package.json": package("a"), **LOCK})
    assert detected(root).install is None
    make({"yarn.lock": ""})
    install = detected(root).install
    assert install is not None
    assert install.command == "yarn install --immutable"


def test_a_pnpm_workspace(make: Make) -> None:
    root = make(
        {
            "package.json": {"name": "p"},
            "pnpm-workspace.yaml": "packages:\n  - 'packages/**'\n  - docs\n  - '!**/test/**'\n",
            "pnpm-lock.yaml": "",
            "patches/x.patch": "",
            "packages/a/package.json": package("a", dependencies={"b": "workspace:*", "x": "1"}),
            "packages/group/b/package.json": package("b"),
            "packages/a/test/fixture/package.json": package("fixture"),
            "packages/a/node_modules/c/package.json": package("c"),
            "docs/package.json": package("docs"),
        }
    )
    workspace = detected(root)
    assert sorted(workspace.packages) == ["a", "b", "docs"]
    assert workspace.packages["a"].dependencies == ("b",)
    assert workspace.install is not None
    assert "patches/**" in workspace.install.inputs
    assert "pnpm-workspace.yaml" in build_of(workspace, "a").sources
    assert build_of(workspace, "a").env_paths["NODE_PATH"] == "node_modules/.pnpm/node_modules"


def test_pnpm_settings_alone_declare_nothing(make: Make) -> None:
    root = make(
        {"package.json": package("a"), "pnpm-workspace.yaml": "onlyBuiltDependencies: []\n"}
    )
    assert not declares_packages(root)
    assert list(detected(root).packages) == ["a"]


def test_a_single_package(make: Make) -> None:
    root = make(
        {
            "package.json": package("one", main="lib/index.js", scripts={"build": "tsc -p src"}),
            "src/tsconfig.json": {"compilerOptions": {"outDir": "../lib"}},
            ".gitignore": "lib/\n",
        }
    )
    assert is_buildable(root)
    workspace = detected(root)
    task = build_of(workspace, "one")
    assert (task.path, task.outputs, task.sources) == ("", ("lib/**",), ())
    assert task.path_entries == ("node_modules/.bin",)
    assert workspace.install is None
    assert workspace.notes == ()


def test_nothing_to_detect(make: Make) -> None:
    assert detect_workspace(make({"x": ""})) is None
    assert detect_workspace(make({"package.json": {"name": "x"}})) is None


def test_packages_that_the_root_builds_as_one(make: Make) -> None:
    root = make(
        {
            "package.json": {"name": "r", "workspaces": ["p/*"], "scripts": {"build": "node b.js"}},
            ".gitignore": "build\n",
            "p/a/package.json": {"name": "a", "main": "build/index.js"},
            "p/b/package.json": {"name": "b", "main": "build/index.js"},
        }
    )
    workspace = detected(root)
    assert list(workspace.packages) == ["r"]
    assert build_of(workspace, "r").outputs == ("build/**", "p/a/build/**", "p/b/build/**")
    assert "as one" in workspace.notes[0]


def test_packages_that_another_script_builds(make: Make) -> None:
    root = make(
        {
            "package.json": {"workspaces": ["*"], "scripts": {"compile": "lerna run compile"}},
            "a/package.json": package("a", scripts={"compile": "tsc", "build": "webpack"}),
        }
    )
    workspace = detected(root)
    task = build_of(workspace, "a")
    assert (task.command, task.env["npm_lifecycle_event"]) == ("tsc", "compile")
    assert "packages are built by their script compile" in workspace.notes


def test_no_lock_file_is_noted(make: Make) -> None:
    root = make({"package.json": package("a", dependencies={"x": "1"})})
    workspace = detected(root)
    assert workspace.install is None
    assert "npm install" in workspace.notes[0] + workspace.notes[1]


def test_own_install_scripts_are_left_out_and_noted(make: Make) -> None:
    manifest = package("a", dependencies={"x": "1"})
    manifest["scripts"] |= {"prepare": "husky", "postinstall": "patch-package"}
    workspace = detected(make({"package.json": manifest, **LOCK}))
    assert workspace.install is not None
    assert not workspace.install.own_scripts
    (note,) = [note for note in workspace.notes if "not the workspace's own" in note]
    assert "(.: prepare)" in note


def test_dependencies_that_lie_in_the_repository(make: Make) -> None:
    manifest = package(
        "a", devDependencies={"h": "link:helpers", "p": "file:./pack", "t": "file:t.tgz", "x": "1"}
    )
    manifest["workspaces"] = ["b"]
    root = make(
        {
            "package.json": manifest,
            "b/package.json": package("b", dependencies={"gone": "link:../gone", "b": "file:../b"}),
            "helpers/package.json": package("h"),
            "pack/package.json": package("p"),
            "t.tgz": "",
            "pnpm-lock.yaml": "",
        }
    )
    workspace = detected(root)
    assert workspace.install is not None
    assert workspace.install.inputs == (
        "pnpm-lock.yaml", "package.json", "b/package.json", "helpers/package.json", "pack/**",
        "t.tgz",
    )  # fmt: skip
    assert {"helpers/**", "pack/**", "t.tgz"} <= set(build_of(workspace, "b").sources)
    make({"package-lock.json": "{}"})
    (root / "pnpm-lock.yaml").unlink()
    install = detected(root).install
    assert install is not None
    assert "pack/package.json" in install.inputs  # npm makes a link of it


def test_a_circle_of_dev_dependencies_is_opened(make: Make) -> None:
    root = make(
        {
            "package.json": {"workspaces": ["a", "b", "c"]},
            "a/package.json": package("a", dependencies={"b": "*"}),
            "b/package.json": package("b", dependencies={"c": "*"}),
            "c/package.json": package("c", devDependencies={"a": "*"}),
        }
    )
    workspace = detected(root)
    assert {name: one.dependencies for name, one in workspace.packages.items()} == {
        "a": ("b",),
        "b": ("c",),
        "c": (),
    }
    assert any("c -> a" in note for note in workspace.notes)
    make({"c/package.json": package("c", dependencies={"a": "*"})})
    with pytest.raises(CycleError, match="a -> b -> c -> a"):
        detect_workspace(root)


def test_errors_of_manifests(make: Make) -> None:
    root = make({"package.json": {"workspaces": ["*"]}, "a/package.json": '{\n"name": x}'})
    with pytest.raises(WorkspaceError, match=r"a/package.json:2: malformed JSON"):
        detect_workspace(root)
    make({"a/package.json": package("same"), "b/package.json": package("same")})
    with pytest.raises(WorkspaceError, match="a second package 'same', the first is a"):
        detect_workspace(root)
    make({"package.json": {"workspaces": "packages"}})
    with pytest.raises(WorkspaceError, match="workspaces must be a list"):
        detect_workspace(root)
    make({"package.json": "[]"})
    with pytest.raises(WorkspaceError, match="must be a JSON object"):
        detect_workspace(root)
    make({"package.json": "{}", "pnpm-workspace.yaml": "packages: [\n"})
    with pytest.raises(WorkspaceError, match=r"pnpm-workspace.yaml:2"):
        detect_workspace(root)


def test_files_outside_of_the_package(make: Make) -> None:
    root = make(
        {
            "package.json": {"workspaces": ["packages/*"]},
            "scripts/build.js": "",
            "tools/deep/helper.mjs": "",
            "config/ts/base.json": {},
            "types/x.d.ts": "",
            "packages/a/package.json": package(
                "a", scripts={"build": "node ../../scripts/build.js"}
            ),
            "packages/a/rollup.config.mjs": "import h from '../../tools/deep/helper'\n",
            "packages/a/tsconfig.json": {
                "extends": "../../config/ts/base",
                "include": ["src", "../../types"],
                "references": [{"path": "../b"}],
            },
            "packages/b/package.json": package("b"),
            "packages/b/tsconfig.json": {},
        }
    )
    sources = build_of(detected(root), "a").sources
    assert set(sources) == {
        "package.json", "scripts/**", "tools/deep/**", "config/ts/base.json", "types/**",
        "packages/b/tsconfig.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "outputs"),
    [
        ({"turbo.json": '{"tasks": {"build": {"outputs": ["out/**", "!out/c/**", "x.js"]}}} // x'},
         ("a/out/**", "a/x.js/**")),
        ({"turbo.json": {"pipeline": {"a#build": {"outputs": ["own"]}}}}, ("a/own/**",)),
        ({"a/package.json": package("a", exports={".": {"import": "./esm/i.mjs"}}, files=["umd"])},
         ("a/esm/**", "a/umd/**")),
        ({"a/package.json": package("a", main="src/i.js", bin={"x": "dist/cli.js"})},
         ("a/dist/**",)),
        ({"a/package.json": package("a", scripts={"build": "esbuild i.ts --outdir=made/js"})},
         ("a/made/js/**",)),
        ({"a/package.json": package("a", scripts={"build": "vite build && next build"})},
         ("a/.next/**", "a/out/**", "a/dist/**")),
        ({"a/tsconfig.json": {"compilerOptions": {"outDir": "${configDir}/o", "composite": True}}},
         ("a/o/**", "a/*.tsbuildinfo")),
        ({"a/tsconfig.json": {"compilerOptions": {"outDir": "../made/a"}}}, ("made/a/**",)),
        ({".gitignore": "/a/lib\nindex.js\n", "a/package.json": package("a", main="index.js")},
         ("a/lib/**", "a/index.js{,.map}")),
        ({"a/package.json": package("a", exports={"./x": "./x/dist/i.js", "./y": "./src/dist/i.js"},
                                    files=["LICENSE", "LICENSE-MIT"])},
         ("a/x/dist/**",)),
        ({".gitignore": "/a/*\n!/a/src\n", "a/package.json": package("a", main="dist/x.js")},
         ("a/dist/**",)),
    ],
)  # fmt: skip
def test_outputs(make: Make, files: dict[str, Any], outputs: tuple[str, ...]) -> None:
    root = make({"package.json": {"workspaces": ["a"]}, "a/package.json": package("a"), **files})
    assert build_of(detected(root), "a").outputs == outputs


def test_what_git_tracks_is_no_output(make: Make) -> None:
    root = make(
        {
            "package.json": {"workspaces": ["a"]},
            "a/package.json": package(
                "a", main="lib/i.js", types="types/i.d.ts", module="lib/esm/i.js", files=["LICENSE"]
            ),
            "a/lib/i.js": "",
        }
    )
    try:
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *command], cwd=root, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not installed")
    before = build_of(detected(root), "a").outputs
    assert before == ("a/lib/esm/**", "a/types/**")
    make({"a/types/i.d.ts": ""})  # as the build makes it
    assert build_of(detected(root), "a").outputs == before


def test_variables_that_scripts_name(make: Make) -> None:
    manifest = package("a", config={"port": "80"}, scripts={"build": "x $npm_package_config_port"})
    task = build_of(detected(make({"package.json": manifest})), "a")
    assert task.env["npm_package_config_port"] == "80"


def test_nested_packages_are_not_their_parents_sources(make: Make) -> None:
    root = make(
        {
            "package.json": {"workspaces": ["a", "a/inner"]},
            "a/package.json": package("a"),
            "a/inner/package.json": package("inner"),
        }
    )
    assert "!a/inner" in build_of(detected(root), "a").sources


@pytest.mark.parametrize(
    ("spec", "version", "possible"),
    [
        ("workspace:^", "9.9.9", True),
        ("file:../x", "1.0.0", True),
        ("*", "1.0.0", True),
        ("latest", "1.0.0", True),
        ("^1.2.0", "1.3.0", True),
        ("^1.2.0", "2.0.0", False),
        ("^1.4.0", "1.3.0", False),
        ("^0.2.1", "0.2.9", True),
        ("^0.2.1", "0.3.0", False),
        ("~1.2.3", "1.2.9", True),
        ("~1.2.3", "1.3.0", False),
        ("1", "1.9.0", True),
        ("1.x", "2.0.0", False),
        ("1.2.3", "1.2.3", True),
        ("1.2.3", "1.2.4", False),
        (">=1.2", "3.0.0", True),
        (">=2", "1.0.0", False),
        ("^1.0.0 || ^2.0.0", "3.0.0", True),
        ("npm:other@1", "1.0.0", False),
        ("github:a/b", "1.0.0", False),
        ("https://x/y.tgz", "1.0.0", False),
        ("^1.0.0", "odd", True),
    ],
)
def test_ranges(spec: str, version: str, possible: bool) -> None:
    assert may_mean(spec, version) is possible


def test_a_name_that_would_be_shown_as_another_one_is_refused(make: Make) -> None:
    with pytest.raises(WorkspaceError, match=r"'a\\u202eb' cannot be a name") as caught:
        detect_workspace(
            make(
                {
                    "package.json": {"name": "w", "workspaces": ["packages/*"]},
                    "packages/a/package.json": package("a\u202eb"),
                }
            )
        )
    assert "turn text around" in str(caught.value.hint)
