"""The certificate that the node's port answers TLS with; a renewed one counts without a restart."""

from __future__ import annotations

import logging
import ssl
import stat
import time
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import TlsSettings

LOOK_S = 10.0
"""The pause between two looks at whether the files are others."""
_log = logging.getLogger("buildnet.node")
_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(BuildNetError):
    """The certificate or its key can't be used."""

    code = "CERTIFICATE"
    exit_code = 2


class Certificate:
    """Certificate and key from their files, as a context for TLS 1.2 and later."""

    def __init__(self, settings: TlsSettings, now: float) -> None:
        """Read them.

        Raises:
            CertificateError: they can't be read, or do not fit together.
        """
        self._settings = settings
        self._stamp = self._found()
        self._context = self._read()
        self._looked = now
        if settings.key.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            _log.warning("every user of this host can read %s: chmod 600", settings.key)

    def context(self, now: float) -> ssl.SSLContext:
        """Return the context for a connection that comes at ``now`` (monotonic seconds)."""
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._look()
        return self._context

    def _look(self) -> None:
        """Read them anew if the files are others; what can't be used changes nothing."""
        try:
            stamp = self._found()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._context = self._read()
        except CertificateError as error:
            _log.error("%s (%s); the former one stays in use", error.message, error.cause)
        else:
            _log.info("the certificate %s was read anew", self._settings.certificate)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])

        def refuse_password() -> str:
            raise ssl.SSLError("the key is protected by a password")

        try:
            context.load_cert_chain(self._settings.certificate, self._settings.key, refuse_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise self._unusable(error) from error
        return context

    def _found(self) -> _Stamp:
        files = (self._settings.certificate, self._settings.key)
        try:
            return tuple(_stamp(path) for path in files)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> CertificateError:
        return CertificateError(
            f"the certificate {self._settings.certificate} with the key {self._settings.key} "
            "can't be used",
            cause=str(error),
            hint="network.tls in node.yaml names two PEM files: the certificate, with those that "
            "lead to its authority, and its key without a password",
        )


def require_usable(settings: TlsSettings) -> None:
    """Refuse what a node could not start with, before it counts.

    Raises:
        CertificateError: the files can't be read, or do not fit together.
    """
    try:
        Certificate(settings, time.monotonic())
    except CertificateError as error:
        raise CertificateError(
            f"{error.message}; nothing was changed", cause=error.cause, hint=error.hint
        ) from error


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
