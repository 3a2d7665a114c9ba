"""Accounts of people: who may log in by name, and what they may do in the cluster.

An account is a shared fact of the ledger (``rights:NAME``): an admin makes it on any node, and all
nodes know it once it is sealed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.mesh.errors import UsageError
from buildnet.mesh.members.member_list import Rights
from buildnet.pool.strict_model import InvalidDocumentError, Keys, contradiction, read_model

KIND = "rights"
"""What the entities of accounts begin with."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_RESERVED = frozenset({"local", "nobody", "owner", "system"})


def require_account_name(name: str) -> None:
    """See that a name can be that of an account.

    Raises:
        UsageError: it can't.
    """
    if _NAME.fullmatch(name) is None or name.lower() in _RESERVED:
        raise UsageError(
            f"{name!r:.80} is no name for an account",
            hint="up to 64 letters, digits and . _ @ -, first a letter or digit; not "
            + ", ".join(sorted(_RESERVED)),
        )


def _account_name(name: str) -> str:
    try:
        require_account_name(name)
    except UsageError as error:
        raise contradiction(error.message, error.hint or "") from error
    return name


class Account(Keys):
    """``id``: the name that its owner logs in as."""

    id: Annotated[str, AfterValidator(_account_name)] | None = None
    rights: Rights
    description: Annotated[str, Field(max_length=200)] = ""

    def document(self) -> dict[str, Any]:
        """Return what it says, as it is kept, without the name."""
        found: dict[str, Any] = self.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
        return found


def read_account(data: object, where: str) -> Account:
    """Return an account from plain data; ``where`` names it in errors.

    Raises:
        InvalidDocumentError: something is wrong with it.
    """
    return read_model(Account, data, where)


class AccountRights:
    """What accounts allow, as it is sealed on this node."""

    def __init__(self, ledger: Callable[[], Awaitable[ClusterLedger]]) -> None:
        self._ledger = ledger

    async def of(self, name: str) -> Rights | None:
        """Return the rights of an account; None: there is none, or none that can be read."""
        fact = await (await self._ledger()).store.fact(f"{KIND}:{name}")
        if fact is None or fact.data is None:
            return None
        try:
            return read_account({**fact.data, "id": name}, name).rights
        except InvalidDocumentError:
            return None
