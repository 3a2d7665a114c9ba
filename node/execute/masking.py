"""Secrets in what a command prints: their values are replaced before anybody sees or keeps them.

A secret is the value of a variable of the command whose name says so, such as ``NPM_TOKEN``; of one
with several lines, each line. What is shorter than eight characters is none: it would blank out
words that mean nothing. One that is very long is looked for in parts, so that what waits for the
rest of one stays short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MASK = b"***"
SHORTEST = 8
LONGEST = 4096
"""Bytes that are looked for as one; what is longer is as many secrets, one after the other."""
_NAME = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PWD|CREDENTIALS?|AUTH|PAT"
    r"|(?:API|PRIVATE|ACCESS|SIGNING|ENCRYPTION|DEPLOY|LICENSE)_?KEY)(?:_|$)",
    re.IGNORECASE,
)
_NOT_SECRET = frozenset({"PWD", "OLDPWD"})

Write = Callable[[bytes], None]


def is_secret(name: str) -> bool:
    """Tell whether the value of a variable of this name is not to be shown."""
    return _NAME.search(name) is not None and name not in _NOT_SECRET


def secrets_of(environment: Mapping[str, str]) -> frozenset[bytes]:
    """Return what must not be shown of what a command with these variables prints."""
    lines = (
        line.strip()
        for name, value in environment.items()
        if is_secret(name)
        for line in (value, *value.splitlines())
    )
    found = (line.encode(errors="surrogateescape") for line in lines)
    return frozenset(part for line in found if len(line) >= SHORTEST for part in _parts(line))


def _parts(secret: bytes) -> list[bytes]:
    """Return a secret in parts of about one size, so that none is too short to be looked for."""
    count = -(-len(secret) // LONGEST)
    size = -(-len(secret) // count)
    return [secret[start : start + size] for start in range(0, len(secret), size)]


def masked(environment: Mapping[str, str], write: Write) -> tuple[Write, Callable[[], None]]:
    """Return what takes the output of a command in place of ``write``, and what is to be called at
    its end."""
    secrets = secrets_of(environment)
    if not secrets:
        return write, lambda: None
    mask = Masking(secrets, write)
    return mask.take, mask.finish


class Masking:
    """Passes a stream on to ``write`` in which ``secrets`` are replaced, wherever it is cut. What
    may be the beginning of one waits for what follows."""

    def __init__(self, secrets: frozenset[bytes], write: Write) -> None:
        # The longest first: of two that begin alike nothing of the longer one may be left.
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(secret) for secret in self._secrets))
        self._write = write
        self._waiting = b""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        data = self._waiting + chunk
        cut = len(data) - self._begun(data)
        for match in self._pattern.finditer(data):
            if match.start() < cut < match.end():
                cut = match.start()
        self._waiting = data[cut:]
        self._pass_on(data[:cut])

    def finish(self) -> None:
        """The stream is over."""
        rest, self._waiting = self._waiting, b""
        self._pass_on(rest)

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._write(self._pattern.sub(MASK, data))

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end of ``data`` may be the beginning of a secret."""
        most = 0
        for secret in self._secrets:
            if len(secret) > most + 1:
                most = max(most, _overlap(data[1 - len(secret) :], secret))
        return most


def _overlap(end: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of ``end``, which is shorter, ``secret`` begins with."""
    head, at = secret[:SHORTEST], -1
    while (at := end.find(head, at + 1)) >= 0:
        if secret.startswith(end[at:]):
            return len(end) - at
    sizes = range(min(len(head) - 1, len(end)), 0, -1)
    return next((size for size in sizes if head.startswith(end[-size:])), 0)
