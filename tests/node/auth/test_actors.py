"""Who uses the socket is known by the name of their user, and nobody is taken for another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import HTTPConnection

from buildnet.cli.user import USER_HEADER, user_header
from buildnet.mesh.errors import UsageError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth import actors
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, OWNER, Caller, CallerKind

KEY = Caller(CallerKind.KEY, "agent:ci", Rights.ADMIN, credential="k")


class Keys:
    """Knows one key."""

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who has the key."""
        return KEY if "authorization" in connection.headers else None


def asking(otherwise: Caller, **headers: str) -> Caller:
    said = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "http", "headers": said})
    return asyncio.run(Authenticator((Keys(),)).caller(connection, otherwise))


def test_the_name_of_the_user_counts_on_the_socket_alone() -> None:
    assert asking(OWNER) == OWNER
    assert asking(OWNER).actor == "local"
    root = asking(OWNER, buildnet_user="root")
    assert root == replace(OWNER, actor="root")
    assert asking(NOBODY, buildnet_user="root") == NOBODY
    assert asking(OWNER, buildnet_user="root", authorization="Bearer") == KEY


@pytest.mark.parametrize(
    "name", ["account:anna", "agent:ci", "account%3Aanna", "", "a%0Ab", "x" * 129]
)
def test_what_is_no_name_of_a_user_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        asking(OWNER, buildnet_user=name)


def test_a_name_that_is_said_for_one_thing_counts_for_that() -> None:
    root = replace(OWNER, actor="root")
    assert root.name("ann") == "ann"
    assert root.name("local") == "root"  # what is said where nothing is
    assert KEY.name("ann") == KEY.name("local") == "agent:ci"


@pytest.mark.parametrize("name", ["root", "Zoé b", "a-b.c_d~1", "50%", "\udce9"])
def test_what_the_command_line_says_is_understood(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", name)
    assert actors.USER_HEADER == USER_HEADER
    header = user_header()
    assert header.isascii()
    assert header.isprintable()
    assert actors.user_of(header) == name.replace("\udce9", "\ufffd")
