"""What those who are not the owner of a host are not told of it: where its files lie, and what an
error said that nobody foresaw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.requests import HTTPConnection

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.declared import caller_of

PLACES = "private_places"
"""Under which the application's state has them: each path with what stands for it."""


def private_places(data_directory: Path) -> dict[str, str]:
    """Return the paths of a node that are nobody else's business, the longest first."""
    found = {str(data_directory): "DATA"}
    for path in (data_directory.resolve(), Path.home()):
        found.setdefault(str(path), "DATA" if path != Path.home() else "~")
    found.pop("/", None)
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def is_told_all(connection: HTTPConnection) -> bool:
    """Tell whether who asks owns this host."""
    return caller_of(connection).is_owner


def discreet(connection: HTTPConnection, error: BuildNetError) -> BuildNetError:
    """Return the error as who asks is told it; the owner is told all."""
    application = connection.scope.get("app")
    places = getattr(getattr(application, "state", None), PLACES, None)
    if not places or is_told_all(connection):
        return error
    error.message = _without(places, error.message) or ""
    error.cause, error.hint = _without(places, error.cause), _without(places, error.hint)
    return error


def _without(places: Mapping[str, str], text: str | None) -> str | None:
    for path, stands_for in places.items():
        text = None if text is None else text.replace(path, stands_for)
    return text
