"""What ``pool status`` tells of disks."""

from typing import Any

from buildnet.cli.pool import _disks


def volume(node: str, mount_point: str, total: int | None, free: int | None) -> dict[str, Any]:
    return {
        "node_id": node,
        "mount_point": mount_point,
        "total_bytes": total,
        "available_bytes": free,
    }


def test_directories_of_one_volume_have_its_space_together() -> None:
    found = [
        *(
            volume("anna", "/", 100, 40),
            volume("anna", "/", 20, 20),
            volume("anna", "/data", 50, 5),
        ),
        *(volume("bert", "/", 10, 1), volume("bert", "/share", None, None)),
    ]
    assert _disks(found) == (46, 160, 4)
