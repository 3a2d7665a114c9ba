"""Whose settings an install sees, and which installs wait for each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildnet.node.config import InstallSettings
from buildnet.node.execute.isolation import Isolation
from buildnet.node.installs import Installs
from buildnet.node.toolchain import Toolchain
from buildnet.pool.workspace import Install, Workspace

WORKSPACE = Workspace(
    "shop", Path("/shop"), None, {}, Install("npm", "npm ci", ("package.json",), "lock", ("",))
)


@pytest.fixture
def installs(tmp_path: Path) -> Installs:
    tokens = tmp_path / "npmrc"
    tokens.write_text("//registry/:_authToken=secret")
    settings = InstallSettings(npmrc=tokens, env=("NPM_TOKEN",))
    return Installs(tmp_path / "installs", Toolchain(tmp_path / "links", {}), settings)


@pytest.mark.parametrize("is_own", [True, False])
def test_an_install_of_another_node_sees_no_settings_and_no_files_of_the_owner(
    installs: Installs, tmp_path: Path, is_own: bool
) -> None:
    reader: Any = None
    named = {"SSL_CERT_FILE": str(tmp_path / "npmrc"), "NPM_TOKEN": "t"}
    found = installs.of(WORKSPACE, "id", reader, named, Isolation("strict"), is_own=is_own)
    assert found is not None
    assert bool(found._home()) is is_own
    assert bool(found._certificates()) is is_own
    assert (found.inherited, bool(found.settings.env)) == (named if is_own else {}, is_own)


def test_installs_of_one_workspace_wait_for_each_other(installs: Installs) -> None:
    reader: Any = None
    found = [
        installs.of(WORKSPACE, name, reader, {}, Isolation("strict")) for name in ("a", "a", "b")
    ]
    locks = [one.installing for one in found if one is not None]
    assert locks[0] is locks[1] is not locks[2]
