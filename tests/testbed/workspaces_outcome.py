"""Looking at what a build of a random workspace left, and damaging what a node keeps."""

from __future__ import annotations

import difflib
from pathlib import Path

from testbed.workspaces_model import Entry, Files, Snapshot


def difference(found: Entry | None, wanted: Entry) -> str:
    """Say how what was found differs from what was wanted."""
    if found is None:
        return "is missing"
    if (found.is_link, found.mode) != (wanted.is_link, wanted.mode):
        return f"is {found}, not {wanted}"
    old, new = (one.data.decode(errors="replace").splitlines() for one in (found, wanted))
    lines = difflib.unified_diff(old, new, "found", "wanted", n=0, lineterm="")
    return "\n".join(lines)


def damage(blob: Path, how: str) -> None:
    if how == "delete":
        blob.unlink()
        return
    content = blob.read_bytes()
    blob.chmod(0o644)
    if how == "flip" and content:
        blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    else:
        blob.write_bytes(content[:-1])
    blob.chmod(0o444)


def below(files: Files, outputs: tuple[str, ...]) -> Files:
    return {path: entry for path, entry in files.items() if _is_below(path, outputs)}


def directories_below(snapshot: Snapshot, outputs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(path for path in snapshot.directories if _is_below(path, outputs))


def _is_below(path: str, outputs: tuple[str, ...]) -> bool:
    for output in outputs:
        if "/*." in output:
            directory, _, ending = output.partition("/*")
            if path.endswith(ending) and path.rpartition("/")[0] == directory:
                return True
        else:
            plain = output.removesuffix("/**")
            if path == plain or path.startswith(f"{plain}/"):
                return True
    return False
