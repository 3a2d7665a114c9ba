"""Small workspaces of Cargo, Go and uv that need nothing of a registry."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

_TEST_GO = 'package lib\nimport "testing"\nfunc TestX(t *testing.T) { if X() != 42 { t.Fail() } }\n'
CARGO = {
    "Cargo.toml": """
        [workspace]
        members = ["crates/*"]
        exclude = ["crates/old"]
        resolver = "2"
        [workspace.dependencies]
        core-lib = { path = "crates/core" }
        """,
    "Cargo.lock": """
        version = 3
        [[package]]
        name = "app"
        version = "0.1.0"
        dependencies = ["core-lib"]
        [[package]]
        name = "core-lib"
        version = "0.1.0"
        dependencies = ["checks"]
        [[package]]
        name = "checks"
        version = "0.1.0"
        dependencies = ["core-lib"]
        """,
    "crates/app/Cargo.toml": """
        [package]
        name = "app"
        version = "0.1.0"
        edition = "2021"
        [dependencies]
        core-lib.workspace = true
        """,
    "crates/app/src/main.rs": 'fn main() { println!("{}", core_lib::x()); }',
    "crates/core/Cargo.toml": """
        [package]
        name = "core-lib"
        version = "0.1.0"
        edition = "2021"
        [dev-dependencies]
        checks = { path = "../checks" }
        """,
    "crates/core/src/lib.rs": """
        pub fn x() -> i32 { 42 }
        #[test]
        fn checked() { assert_eq!(checks::y(), 43); }
        """,
    "crates/checks/Cargo.toml": """
        [package]
        name = "checks"
        version = "0.1.0"
        edition = "2021"
        [lib]
        crate-type = ["cdylib", "rlib"]
        [dependencies]
        core-lib = { path = "../core" }
        """,
    "crates/checks/src/lib.rs": "pub fn y() -> i32 { core_lib::x() + 1 }",
    "crates/old/Cargo.toml": "[package]\nname = 'old'\n",
}
GO = {
    "go.work": "go 1.19\n\nuse (\n\t./app // the program\n\t./lib\n)\nuse ./alone\n",
    "app/go.mod": "module example.org/app\n\ngo 1.19\n\nrequire example.org/lib v0.0.0\n",
    "app/main.go": 'package main\n\nimport "example.org/lib"\n\nfunc main() { println(lib.X()) }\n',
    "lib/go.mod": "module example.org/lib\n\ngo 1.19\n",
    "lib/x.go": "package lib\n\nfunc X() int { return 42 }\n",
    "lib/x_test.go": _TEST_GO,
    "alone/go.mod": 'module "example.org/alone"\n\ngo 1.19\n',
    "alone/a.go": "package alone\n",
}
UV = {
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "0.1.0"
        requires-python = ">=3.11"
        dependencies = ["Shop_Core>=0.1"]
        [tool.uv.sources]
        shop-core = { workspace = true }
        [tool.uv.workspace]
        members = ["packages/*"]
        exclude = ["packages/old"]
        [dependency-groups]
        dev = ["pytest>=8"]
        """,
    "uv.lock": """
        version = 1
        [[package]]
        name = "pytest"
        version = "8.3.4"
        """,
    "packages/core/pyproject.toml": """
        [project]
        name = "shop-core"
        version = "0.1.0"
        requires-python = ">=3.11"
        [build-system]
        requires = ["uv_build>=0.5,<99"]
        build-backend = "uv_build"
        """,
    "packages/core/src/shop_core/__init__.py": "def x():\n    return 42\n",
    "packages/core/tests/test_x.py": "",
    "packages/web/pyproject.toml": """
        [project]
        name = "shop-web"
        version = "0.1.0"
        dependencies = ["shop-core", "requests"]
        [tool.uv.sources]
        shop-core = { workspace = true }
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        """,
    "packages/old/pyproject.toml": "[project]\nname = 'old'\n",
}


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    """Write path -> text below ``root``, indented text as it is without."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(textwrap.dedent(text).lstrip("\n"))
    return root
