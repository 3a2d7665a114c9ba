"""Secrets in what a command prints: their values are replaced before anybody sees or keeps them.

A secret is the value of a variable of the command whose name says so, such as ``NPM_TOKEN``; of one
with several lines, each line. What is shorter than eight characters is none: it would blank out
words that mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MASK = b"***"
SHORTEST = 8
LONGEST = 4096
"""Characters of a value that are looked for: its beginning, if it is longer."""
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
    return frozenset(line[:LONGEST] for line in found if len(line) >= SHORTEST)


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
        for size in range(min(len(self._secrets[0]) - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(len(each) > size and each.startswith(end) for each in self._secrets):
                return size
        return 0
