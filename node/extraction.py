"""What a stored result made, written to a directory: to look at it, or compare it with another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.store import MissingBlobError, Store
from buildnet.node.store.store import ActionDetails
from buildnet.pool.result import MalformedResultError, decode_result
from buildnet.pool.tree import FileEntry


class ExtractionError(BuildNetError):
    """A result can't be written to a directory."""

    code = "EXTRACTION_FAILED"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Extracted:
    """``label``: what the result is one of; ``directory``: where its ``files`` lie now."""

    label: str
    directory: Path
    files: int


def extract(store: Store, prefix: str, directory: Path) -> Extracted:
    """Write the outputs of a result, named by a unique prefix of its digest, to a directory that is
    new or empty. Paths are relative to the package's. Blocks.

    Raises:
        NotFoundError, UsageError: there is no such result, or several.
        ExtractionError: it is damaged, or can't be written there.
    """
    with store.hold() as hold:
        details = store.show(prefix)
        if not isinstance(details, ActionDetails):
            raise ExtractionError(
                f"{prefix} is a blob, not a result", hint="buildnet cache list shows the results"
            )
        record = details.record
        try:
            hold.add(record.references)
            found = decode_result(record.result, "", hold.get)
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise ExtractionError(
                    f"{directory} is not empty", hint="name a directory that is new or empty"
                )
            files = 0
            for path, leaf in found.outputs.leaves():
                target = directory / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(leaf, FileEntry):
                    hold.copy_to(leaf.digest, target, leaf.executable)
                else:
                    os.symlink(leaf.target, target)
                files += 1
        except (MalformedResultError, MissingBlobError) as error:
            raise ExtractionError(
                "the result is not whole any more",
                cause=str(error),
                hint="build again: it is made anew",
            ) from error
        except OSError as error:
            raise ExtractionError(
                f"{directory} can't be written", cause=error.strerror or str(error)
            ) from error
        return Extracted(record.label, directory, files)
