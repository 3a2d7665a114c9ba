"""Finding who is meant by what a person types: an id, the beginning of one, or a name.

Nobody chooses its id, and everybody its name, so an id always wins: nobody takes another's place by
calling itself so. A name that several bear finds none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from buildnet.mesh.errors import UsageError
from buildnet.mesh.members.genesis import looks_like_node_id

PREFIX_CHARACTERS = 4
"""So many characters of an id stand for it, where no other begins with them."""

Found = TypeVar("Found")


def find_one(
    text: str,
    among: Iterable[Found],
    *,
    ids: Callable[[Found], tuple[str, ...]],
    names: Callable[[Found], Iterable[str]],
    what: str,
    listed_by: str,
) -> Found | None:
    """Return the one of ``among`` that ``text`` means, or None. ``what`` they are called together,
    such as "members"; ``listed_by`` the command that shows their ids.

    Raises:
        UsageError: several answer to it.
    """
    known = list(among)
    begins = text.lower()
    by_id = [one for one in known if begins in ids(one)]
    if not by_id and len(text) >= PREFIX_CHARACTERS:
        by_id = [one for one in known if any(each.startswith(begins) for each in ids(one))]
    if len(by_id) > 1:
        raise UsageError(
            f"the ids of several {what} begin with {text!r}",
            hint=f"give more of the id: {listed_by}",
        )
    if by_id:
        return by_id[0]
    if looks_like_node_id(text):
        return None
    called = [one for one in known if text in names(one)]
    if len(called) > 1:
        raise UsageError(
            f"several {what} are called {text!r}", hint=f"give the node id: {listed_by}"
        )
    return called[0] if called else None
