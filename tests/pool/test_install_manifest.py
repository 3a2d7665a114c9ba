"""Manifests as an install sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildnet.pool.detect.install_manifest import (
    commands_of,
    manifest_for_install,
    scripts_left_out,
)


@pytest.mark.parametrize(
    ("scripts", "left"),
    [
        ({"prepare": "husky", "build": "tsc"}, {}),
        ({"postinstall": "patch-package"}, {"postinstall": "patch-package"}),
        (
            {"install": "npx patch-package --patch-dir p"},
            {"install": "npx patch-package --patch-dir p"},
        ),
        ({"postinstall": "patch-package && node build.js"}, {}),
        ({"fix": "patch-package"}, {}),
        ("odd", {}),
    ],
)
def test_only_scripts_that_patch_packages_are_shown(scripts: Any, left: dict[str, str]) -> None:
    shown = json.loads(manifest_for_install({"name": "é", "scripts": scripts, "version": "1"}))
    assert shown.pop("scripts", {}) == left
    assert shown == {"name": "é", "version": "1"}


def test_scripts_that_do_not_run_are_told() -> None:
    scripts = {"prepare": "husky", "build": "tsc", "postinstall": "patch-package"}
    assert scripts_left_out(scripts) == ("prepare",)


@pytest.mark.parametrize(
    ("bins", "found"),
    [
        ("./cli.js", ["p/a/cli.js"]),
        ({"a": "dist/a.js", "b": "bin/b"}, ["p/a/dist/a.js", "p/a/bin/b"]),
        ({"a": "../../../outside", "b": ".", "c": 3, "d": ""}, []),
        (None, []),
    ],
)
def test_commands_of_a_package(bins: Any, found: list[str]) -> None:
    assert list(commands_of("p/a", {"bin": bins})) == found
