"""The files of the built page, as a node sends them: read once, packed once.

They are listed when the node starts, and read when somebody asks for them: a disk that can't be
read takes the page away, not the node.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.entity_tag import tag_of

INDEX = "index.html"
_TEXT = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_OTHER = {"png": "image/png", "woff2": "font/woff2"}
_NAMED_BY_CONTENT = "assets/"
"""Where the build puts files whose names change with what is in them."""


class PageFileError(BuildNetError):
    """A file of the page can't be read."""

    code = "PAGE_FILE"
    http_status = 500


class PageFile:
    """One file of the page; ``read``: gets what is in it.

    Raises:
        ValueError: nobody said what type files of this name are.
    """

    def __init__(self, name: str, read: Callable[[], bytes]) -> None:
        suffix = name.rpartition(".")[2]
        if suffix in _TEXT:
            self.media_type = f"{_TEXT[suffix]}; charset=utf-8"
        elif suffix in _OTHER:
            self.media_type = _OTHER[suffix]
        else:
            raise ValueError(f"the page has a file of a type that is not known: {name}")
        self._name = name
        self._read = read
        self.is_for_good = name.startswith(_NAMED_BY_CONTENT)
        self._is_text = suffix in _TEXT
        self.is_ready = False

    def make_ready(self) -> None:
        """Read and pack it, which takes a while; all else about it takes none afterwards.

        Raises:
            PageFileError: it can't be read.
        """
        _ = self.tag, self.packed
        self.is_ready = True

    @cached_property
    def content(self) -> bytes:
        """What is in it.

        Raises:
            PageFileError: it can't be read.
        """
        try:
            return self._read()
        except OSError as error:
            raise PageFileError(
                f"the page's file {self._name} can't be read",
                cause=str(error),
                hint="check the disk that BuildNet is installed on; the command line works without",
            ) from error

    @cached_property
    def tag(self) -> str:
        """Its entity tag."""
        return tag_of(self.content)

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
        name: PageFile(name, read)
        for name, read in _listed(files("buildnet.node.web") / "static", "")
    }


def _listed(folder: Traversable, prefix: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _listed(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes
