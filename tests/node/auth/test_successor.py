"""Builds are handed over to who is there and may cancel them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.successor import Successor, successor

ACCOUNTS = {"berta": Rights.BUILDER, "olga": Rights.OBSERVER}


def key(name: str, rights: str = "builder", *scope: str, status: str = "valid") -> dict[str, Any]:
    return {"name": name, "rights": rights, "scope": list(scope), "status": status}


KEYS = [
    key("ci", status="expired"),
    key("ci"),
    key("obs", "observer"),
    key("gone", status="revoked"),
    key("sees", "admin", "action:view-builds"),
    key("stops", "builder", "action:cancel-build"),
    key("web", "builder", "workspace:web"),
    key("berta", "observer"),
]


async def _rights(name: str) -> Rights | None:
    return ACCOUNTS.get(name)


def taken(said: str) -> Successor:
    return asyncio.run(successor(said, _rights, KEYS))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        *(("berta", "account:berta"), ("account:berta", "account:berta")),
        *(("agent:ci", "agent:ci"), ("agent:stops", "agent:stops")),
    ],
)
def test_who_is_there_takes_them(said: str, name: str) -> None:
    found = taken(said)
    assert (found.name, found.warning({"w"})) == (name, None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        *(("agent:nobody", "NOT_FOUND"), ("agent:gone", "NOT_FOUND"), ("agent:", "NOT_FOUND")),
        *(("account:eve", "NOT_FOUND"), ("olga", "NOT_ALLOWED"), ("account:olga", "NOT_ALLOWED")),
        *(("agent:obs", "NOT_ALLOWED"), ("agent:sees", "NOT_ALLOWED")),
    ],
)
def test_who_is_not_there_or_may_not_is_refused(said: str, code: str) -> None:
    with pytest.raises(BuildNetError) as refused:
        taken(said)
    assert refused.value.code == code
    assert refused.value.hint


def test_what_can_t_be_known_is_told() -> None:
    assert "eve is no account" in str(taken("eve").warning(()))
    assert "is agent:obs" in str(taken("obs").warning(()))
    web = taken("agent:web")
    assert web.warning({"web"}) is None
    assert "not for api, lib" in str(web.warning({"lib", "web", "api"}))
