"""One-time codes to log in with: given out by ``buildnet login``, taken once. A pure core.

A code is 256 random bits, so nobody guesses one. That guesses are counted all the same keeps them
from costing anything: who is wrong too often waits.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.errors import BuildNetError
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.secret import hash_of, new_secret
from buildnet.node.auth.sessions import Grant
from buildnet.node.http_guard import network_of

CODE_S = 600.0
"""How long a code is good for."""
MOST_CODES = 64
"""That wait to be used; of more the oldest is void."""
WRONG_AT_ONCE = 10
WRONG_A_SECOND = 1 / 6
_MOST_ADDRESSES = 1024


class TooManyLoginsError(BuildNetError):
    """Too many wrong codes came from one address."""

    code = "TOO_MANY_ATTEMPTS"
    exit_code = 4
    http_status = 429


@dataclass(frozen=True, slots=True)
class _Waiting:
    grant: Grant
    ends: float


class Logins:
    """Codes that wait to be used; times are monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()
        self._wrong: OrderedDict[str, Allowance] = OrderedDict()

    def issue(self, grant: Grant, now: float) -> str:
        """Return a new code for ``grant``, good for :data:`CODE_S`."""
        code = new_secret()
        self._waiting[hash_of(code)] = _Waiting(grant, now + CODE_S)
        while len(self._waiting) > MOST_CODES:
            self._waiting.popitem(last=False)
        return code

    def redeem(self, code: str, address: str, now: float) -> Grant:
        """Return what a code gives, which is void from now on; ``address``: who brings it.

        Raises:
            TooManyLoginsError: that address was wrong too often.
            NotAuthenticatedError: it is none, was used, or is too old.
        """
        allowance = self._allowance(address, now)
        if allowance.left(now) < 1:
            raise TooManyLoginsError(
                "too many wrong codes came from this address",
                hint=f"wait {round(1 / WRONG_A_SECOND)} s between two attempts",
            )
        found = self._waiting.pop(hash_of(code), None)
        if found is None or now >= found.ends:
            allowance.take(1, now)
            raise NotAuthenticatedError(
                "this code is not good: it was used already, is too old, or is none",
                hint="ask for another link: buildnet login",
            )
        return found.grant

    def _allowance(self, address: str, now: float) -> Allowance:
        name = network_of(address)
        found = self._wrong.pop(name, None) or Allowance(WRONG_A_SECOND, WRONG_AT_ONCE, now)
        self._wrong[name] = found
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        return found
