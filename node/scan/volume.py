"""What any system's volumes have in common: which are remote, and how large one is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.probe import Prober

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "9p"),
        *("webdav", "davfs", "fuse.davfs", "fuse.davfs2", "fuse.sshfs", "fuse.rclone"),
        *("fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "fuse.glusterfs", "glusterfs"),
        *("ceph", "fuse.ceph", "lustre", "beegfs", "gpfs", "ocfs2", "gfs2", "orangefs", "pvfs2"),
    }
)


@dataclass(frozen=True, slots=True)
class VolumeSize:
    """The size of a file system in bytes; None if it did not tell, with the reason.

    ``total_bytes`` is what is in use and what is left to this node's user, as ``df`` counts for its
    percentage: what the file system keeps for root is neither.
    """

    total_bytes: int | None
    available_bytes: int | None
    problem: str | None = None


def volume_size(host: HostFiles, mount_point: str) -> VolumeSize:
    """Return the size of a local volume."""
    try:
        found = os.statvfs(host.path(mount_point))
    except OSError as error:
        return VolumeSize(None, None, error.strerror or str(error))
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    return VolumeSize(usable * found.f_frsize, found.f_bavail * found.f_frsize)


def ask_size(prober: Prober, mount_point: str, *, shares: bool = False) -> VolumeSize:
    """Return the size of a volume that may never answer, by way of ``df``."""
    outcome = prober.run(["df", "-kP", mount_point], timeout_s=3.0, merge_stderr=False)
    size = parse_df(outcome.output, shares=shares) if outcome.succeeded else None
    if size is None:
        return VolumeSize(None, None, outcome.problem or "df told no size")
    return size


def parse_df(text: str, *, shares: bool = False) -> VolumeSize | None:
    """Read the second line of ``df -kP``: 1024-byte blocks in total, used, available.

    ``shares``: the volume has the space of others, too, and what these use is in use.
    """
    lines = text.splitlines()
    match = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", lines[1]) if len(lines) > 1 else None
    if match is None:
        return None
    total, used, available = (int(number) * 1024 for number in match.groups())
    return VolumeSize(total if shares else used + available, available)
