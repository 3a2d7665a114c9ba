"""What a key says of itself, as it is signed: JSON under the names of RFC 7519, and some more."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from buildnet.mesh.errors import UsageError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.scope import MAX_SCOPES, Scope
from buildnet.node.auth.token import TokenError

KEY_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
KEY_ID = r"[0-9a-f]{16}"
_HASH = r"^[0-9a-f]{64}$"
MAX_PARENTS = 4
"""Keys that were made with keys that were made with keys …"""
MAX_RATE = 1_000_000
DEFAULT_RATE = 600
"""Requests a minute, on each node."""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Claims(BaseModel):
    """``id`` stays through rotations, ``issued`` does not; ``issuer``: public key of the node of an
    admin; ``bound``: public key of the agent, None: whoever has the key may use it; ``rate``:
    requests a minute; ``parents``: the ids of the keys that it was made with, the nearest first."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: Annotated[str, Field(alias="jti", pattern=f"^{KEY_ID}$")]
    name: Annotated[str, Field(alias="sub", pattern=f"^{KEY_NAME}$")]
    cluster: Annotated[str, Field(alias="aud", pattern=_HASH)]
    issuer: Annotated[str, Field(alias="iss", pattern=_HASH)]
    issued: Annotated[Moment, Field(alias="iat")]
    expires: Annotated[Moment, Field(alias="exp")]
    rights: Rights
    scope: Annotated[tuple[str, ...], Field(max_length=MAX_SCOPES)] = ()
    bound: Annotated[str, Field(pattern=_HASH)] | None = None
    rate: Annotated[int, Field(ge=1, le=MAX_RATE)] = DEFAULT_RATE
    parents: Annotated[
        tuple[Annotated[str, Field(pattern=f"^{KEY_ID}$")], ...], Field(max_length=MAX_PARENTS)
    ] = ()

    def encode(self) -> bytes:
        """Return the JSON that is signed."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> Claims:
        """Read what somebody signed.

        Raises:
            TokenError: it makes no sense to this version of BuildNet.
        """
        try:
            found = cls.model_validate_json(data)
            Scope.read(found.scope)
        except (ValidationError, UsageError) as error:
            raise TokenError("a key that says what makes no sense here") from error
        return found


def new_key_id() -> str:
    """Return an id that no key has."""
    return os.urandom(8).hex()
