"""Which script of its packages a workspace is built by."""

from __future__ import annotations

import pytest

from buildnet.pool.detect.build_script import build_script
from buildnet.pool.detect.manifest import Manifest

PACKAGES = [
    Manifest("a", {"scripts": {"compile": "tsc", "build:esm": "tsc"}}),
    Manifest("b", {"scripts": {"build": "webpack"}}),
]


@pytest.mark.parametrize(
    "text",
    [
        "lerna run compile",
        "lerna run --stream --scope=x compile && echo done",
        "turbo compile",
        "turbo run compile --filter=./packages/*",
        "nx run-many -t compile",
        "nx run-many --target=compile --all",
        "pnpm -r run compile",
        "pnpm -r compile",
        "pnpm --recursive --parallel compile",
        "pnpm run -r compile",
        "rimraf x; yarn workspaces run compile",
        "yarn workspaces foreach -A --topological run compile",
        "npm run compile --workspaces --if-present",
        "npm run compile -ws",
        "npm run --workspaces compile",
    ],
)
def test_the_roots_script_names_it(text: str) -> None:
    assert build_script({"build": text}, PACKAGES) == "compile"
    assert build_script({"compile": text}, PACKAGES) == "compile"
    assert build_script({"build": "tsc -b", "compile": text}, PACKAGES) == "build"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tsc -b",
        "npm run compile",
        "pnpm compile",
        "lerna run compile && lerna run build:esm",
        "lerna run unknown",
        "node scripts/lerna run compiled",
    ],
)
def test_otherwise_it_is_build(text: str) -> None:
    assert build_script({"build": text}, PACKAGES) == "build"
    assert build_script({"test": text}, PACKAGES) == "build"
