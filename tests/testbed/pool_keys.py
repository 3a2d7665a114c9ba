"""A cluster of an admin, a builder and a spare, and keys that they make."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import HTTPConnection

from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Member, MemberList, Rights, Role
from buildnet.mesh.testing import key_number
from buildnet.node.auth.claims import Claims
from buildnet.node.auth.keys import Keys, make_token
from buildnet.node.auth.register import Register
from buildnet.node.auth.token import SignedToken
from buildnet.pool.messages.keys import KeyMade

CLUSTER, ADMIN, BUILDER, SPARE, AGENT = (key_number(number) for number in range(5))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def members(name: str = "team") -> MemberList:
    founded = MemberList.found(
        CLUSTER, ADMIN, name=name, founder_name="first", created=1 << 16, nonce=bytes(16)
    )
    builder = Member(BUILDER.public_key, "second", Role.WORKER, Rights.BUILDER, 1)
    return replace(founded, members={**founded.members, builder.key: builder})


MEMBERS = members()


def claims(issuer: NodeKey = ADMIN, **said: Any) -> Claims:
    values = {
        "id": "0123456789abcdef",
        "name": "ci",
        "cluster": MEMBERS.cluster_id.hex(),
        "issuer": issuer.public_key.hex(),
        "issued": NOW - timedelta(hours=1),
        "expires": NOW + timedelta(days=30),
        "rights": Rights.BUILDER,
    }
    return Claims(**{**values, **said})


def token(issuer: NodeKey = ADMIN, **said: Any) -> str:
    return make_token(claims(issuer, **said), issuer.sign)


class Clock:
    """Shows ``now``, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


class Pool:
    """What a node knows: whom the cluster has, and what is revoked. It is the builder's."""

    def __init__(self) -> None:
        self.members = MEMBERS
        self.clock = Clock()
        self.register = Register(MEMBERS.cluster_id)
        self.revocations = self.register.revocations
        self.keys = Keys(
            lambda: self.members, lambda: BUILDER.public_key, lambda: self.register, self.clock
        )

    def knows(self, text: str) -> None:
        """Let the node know that a key was made, as its issuer told it."""
        said = Claims.decode(SignedToken.read(text).message)
        record = KeyMade.unsigned(claims=said.encode().decode(), by="anna", digest=bytes(32))
        signed = record.signed(MEMBERS.cluster_id, ADMIN.public_key, ADMIN.sign)
        assert self.register.take(signed, MEMBERS)


def asking(
    headers: dict[str, str], *, method: str = "GET", path: str = "/api/pool", query: str = ""
) -> HTTPConnection:
    """A request as the gate sees it."""
    return HTTPConnection(
        {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.1", 5),
        }
    )
