"""What one run of the command line works with: the general options, set once by ``main``."""

from __future__ import annotations

from buildnet.cli.settings import Settings

_current = Settings()


def settings() -> Settings:
    """Return the general options of this run."""
    return _current


def use(given: Settings) -> None:
    """Set the general options of this run."""
    global _current
    _current = given
