"""Certificates for tests, made by openssl: a new one each time."""

from __future__ import annotations

import subprocess
from pathlib import Path

from buildnet.node.config import TlsSettings


def make_certificate(directory: Path, name: str = "a test") -> TlsSettings:
    """Make a certificate for 127.0.0.1 that is its own authority."""
    found = TlsSettings(certificate=directory / "certificate.pem", key=directory / "key.pem")
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={name.replace(' ', '-')} -addext subjectAltName=IP:127.0.0.1,DNS:localhost "
        f"-keyout {found.key} -out {found.certificate}".split(),
        check=True,
        capture_output=True,
    )
    return found
