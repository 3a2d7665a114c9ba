"""Keys as requests bring them: ``Authorization: Bearer KEY``."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.requests import HTTPConnection

from buildnet.node.auth import actors
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.keys import Keys
from buildnet.node.auth.proof import HEADER, Proof, Proofs, Request
from buildnet.node.auth.proof_marks import ProofMarks
from buildnet.node.auth.rates import Rates
from buildnet.node.auth.refusal import KeyInvalidError, ProofError, TooManyRequestsError

_SCHEME = "bearer"

Count = Callable[[str, str, str, float, bool], object]
"""Told a key's id and name, from where it was used, when, and whether that was once too often."""


class KeyCredentials:
    """Says who asks with a key; ``used`` counts each request, ``rates`` bounds them; ``marks``:
    what is kept of proofs beyond a new start of the node, None: nothing."""

    def __init__(
        self,
        keys: Keys,
        used: Count = lambda key, name, address, now, limited: None,
        *,
        rates: Rates | None = None,
        marks: ProofMarks | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._used = used
        self._clock = clock
        self._monotonic = monotonic
        self._rates = rates or Rates()
        self._marks = marks
        self._proofs = Proofs(clock()) if marks is None else Proofs(clock(), marks.before)

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who asks; None: the request brings no key.

        Raises:
            NotAuthenticatedError: it brings one that does not count.
            KeyElsewhereError: it brings one for other nodes.
            TooManyRequestsError: its agent asks too often.
            KeysWriteError: that a proof was used can't be kept.
        """
        said = connection.headers.getlist("authorization")
        if not said:
            return None
        scheme, _, token = said[0].partition(" ")
        if len(said) > 1 or scheme.lower() != _SCHEME:
            raise KeyInvalidError(
                "this is no key", hint="send one header: `Authorization: Bearer KEY`"
            )
        key = self._keys.key(token.strip())
        claims = key.claims
        proof = None if claims.bound is None else self._proof(connection, claims.id, claims.bound)
        address = connection.client.host if connection.client is not None else ""
        try:
            self._rates.take(claims.id, claims.rate, self._monotonic())
        except TooManyRequestsError:
            self._used(claims.id, claims.name, address, self._clock(), True)
            raise
        if proof is not None:  # only now: who asks too often takes no room from others
            self._proofs.remember(proof, claims.id, self._clock())
            if self._marks is not None:
                await self._marks.keep(claims.id, proof.time, self._clock())
        self._used(claims.id, claims.name, address, self._clock(), False)
        return Caller(
            CallerKind.KEY,
            actors.agent(claims.name),
            claims.rights,
            key.actions,
            credential=claims.id,
            address=address,
            workspaces=key.scope.workspaces or None,
            nodes=key.scope.nodes or None,
            body_sha256=None if proof is None else proof.body_sha256,
            rate=claims.rate,
            problem=lambda: self._keys.problem(key),
        )

    def _proof(self, connection: HTTPConnection, key: str, agent: str) -> Proof:
        """Return the proof that a request brings, which is the agent's and new."""
        said = connection.headers.getlist(HEADER)
        if len(said) != 1:
            raise ProofError(
                "this key is bound to its agent, and needs its proof",
                hint="sign the request as docs/how-to/keys-for-agents.md tells; a browser can't: "
                "log in there with the link of buildnet login, or a key made without --bind",
            )
        proof, scope = Proof.read(said[0]), connection.scope
        request = Request(scope.get("method", "GET"), _target(scope), key)
        self._proofs.check(proof, request, bytes.fromhex(agent), self._clock())
        return proof


def _target(scope: object) -> str:
    """Return path and query as they were sent."""
    assert isinstance(scope, dict)
    path: bytes = scope.get("raw_path") or str(scope["path"]).encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")
