"""Symbolic links: where they lead."""

from __future__ import annotations

from buildnet.pool.tree import DirectoryTree, LinkEntry

_FOLLOWED_AT_MOST = 40  # as the Linux kernel


def stays_inside(tree: DirectoryTree, directory: str, target: str) -> bool:
    """Whether a link in ``directory`` of a tree leads to a place in it, other links followed.

    A place that the tree does not hold counts, as long as it is below the tree's root.
    """
    if target.startswith("/"):
        return False
    here = directory.split("/") if directory else []
    ahead = target.split("/")[::-1]
    followed = 0
    while ahead:
        name = ahead.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not here:
                return False
            here.pop()
            continue
        here.append(name)
        entry = tree.find("/".join(here))
        if isinstance(entry, LinkEntry):
            if entry.target.startswith("/"):
                return False
            followed += 1
            if followed > _FOLLOWED_AT_MOST:
                return True  # a loop leads nowhere
            here.pop()
            ahead += entry.target.split("/")[::-1]
    return True


def lexical_target(directory: str, target: str) -> str | None:
    """Return where a relative link in ``directory`` leads, both relative to one root.

    None: it is absolute or leads above the root. Links on the way are not followed.
    """
    if target.startswith("/"):
        return None
    here = directory.split("/") if directory else []
    for name in target.split("/"):
        if name == "..":
            if not here:
                return None
            here.pop()
        elif name not in {"", "."}:
            here.append(name)
    return "/".join(here)
