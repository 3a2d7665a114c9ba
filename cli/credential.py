"""The key with which the command line asks a node over the network.

``--key FILE``, or ``BUILDNET_KEY`` with the key itself or the name of its file. Such a file holds
the key on a line; below it, of a key that is bound to this agent, ``secret:`` and the agent's own
secret (Ed25519 seed, hexadecimal).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path

from buildnet.mesh.errors import BuildNetError

_KEY = re.compile(r"v4\.public\.[A-Za-z0-9_-]+")
_SECRET = re.compile(r"secret: ([0-9a-f]{64})")


class KeyFileError(BuildNetError):
    """There is no key where one should be."""

    code = "KEY_FILE"
    exit_code = 2


class Credential:
    """``key``: as ``buildnet key create`` wrote it; ``secret``: of the agent, None: not bound."""

    def __init__(self, key: str, secret: bytes | None = None) -> None:
        self.key = key
        self.secret = secret

    @classmethod
    def read(cls, said: str) -> Credential:
        """Return the key that is said, or stands in the file that is.

        Raises:
            KeyFileError: there is none.
        """
        if _KEY.fullmatch(said):
            return cls(said)
        path = Path(said)
        try:
            lines = [line.strip() for line in path.read_text("ascii").splitlines()]
        except (OSError, ValueError) as error:
            raise KeyFileError(
                f"the key in {said:.80} can't be read" if "v4.public" not in said else "no key",
                cause=str(error) if isinstance(error, ValueError) else error.strerror,
                hint="--key FILE, or BUILDNET_KEY: as buildnet key create wrote it",
            ) from None
        keys = [line for line in lines if _KEY.fullmatch(line)]
        secrets = [found[1] for line in lines if (found := _SECRET.fullmatch(line))]
        if len(keys) != 1 or len(secrets) > 1:
            raise KeyFileError(
                f"{path} holds no key", hint="buildnet key create --out FILE writes one"
            )
        return cls(keys[0], bytes.fromhex(secrets[0]) if secrets else None)

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return what to send with a request. ``target``: path and query, as they are sent."""
        headers = {"authorization": f"Bearer {self.key}"}
        if self.secret is not None:
            from buildnet.mesh.identity import NodeKey
            from buildnet.node.auth.proof import HEADER, Proof, Request

            request = Request(method, target, self._id())
            proof = Proof.make(
                request,
                NodeKey.from_seed(self.secret).sign,
                time=int(time.time()),
                nonce=os.urandom(16).hex(),
                body_sha256=hashlib.sha256(body).digest(),
            )
            headers[HEADER] = str(proof)
        return headers

    def _id(self) -> str:
        from buildnet.node.auth.token import SignedToken, TokenError

        try:
            return str(json.loads(SignedToken.read(self.key).message)["jti"])
        except (TokenError, ValueError, LookupError, TypeError) as error:
            raise KeyFileError("this is no key", hint="buildnet key create makes one") from error

    def __repr__(self) -> str:
        return "Credential(…)"
