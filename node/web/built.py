"""The files of the built page, as a node sends them: read once, packed once."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from buildnet.node.api.entity_tag import tag_of

INDEX = "index.html"
_TEXT = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_OTHER = {"png": "image/png", "woff2": "font/woff2"}
_NAMED_BY_CONTENT = "assets/"
"""Where the build puts files whose names change with what is in them."""


class PageFile:
    """One file of the page.

    Raises:
        ValueError: nobody said what type files of this name are.
    """

    def __init__(self, name: str, content: bytes) -> None:
        suffix = name.rpartition(".")[2]
        if suffix in _TEXT:
            self.media_type = f"{_TEXT[suffix]}; charset=utf-8"
        elif suffix in _OTHER:
            self.media_type = _OTHER[suffix]
        else:
            raise ValueError(f"the page has a file of a type that is not known: {name}")
        self.content = content
        self.tag = tag_of(content)
        self.is_for_good = name.startswith(_NAMED_BY_CONTENT)
        self._is_text = suffix in _TEXT

    @cached_property
    def packed(self) -> bytes | None:
        """The content as gzip; None: it does not get smaller."""
        if not self._is_text:
            return None
        packed = gzip.compress(self.content, mtime=0)
        return packed if len(packed) < len(self.content) else None


def built_page() -> Mapping[str, PageFile]:
    """Return the files of the page by their paths in it, such as ``assets/index-1a2b.js``."""
    return {
        name: PageFile(name, content)
        for name, content in _read(files("buildnet.node.web") / "static", "")
    }


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()
