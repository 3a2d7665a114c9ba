from __future__ import annotations

import os
import plistlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.config import StorageLimitSettings
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.macos import parse_plist
from buildnet.node.scan.macos_volumes import disk_class, parse_macos_mounts
from buildnet.node.scan.mounts import Mount, parse_mountinfo
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.storage import (
    linux_volumes,
    real_mounts,
    scan_storage,
    storage_class,
    with_purposes,
)
from buildnet.node.scan.volume import VolumeSize, ask_size, parse_df, volume_size
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import StorageVolume

HOST = """\
22 27 0:21 / /proc rw - proc proc rw
23 27 0:22 / /sys rw - sysfs sysfs rw
24 27 0:6 / /dev rw - devtmpfs devtmpfs rw
25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw,size=1g
26 27 0:24 / /run rw - tmpfs tmpfs rw
27 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw
28 27 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw
29 27 8:1 / /data rw - xfs /dev/sda1 rw
30 27 8:1 /sub /srv/bound rw - xfs /dev/sda1 rw
31 27 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
32 27 0:40 / /home/me/share rw - nfs4 server:/export rw
33 27 0:41 / /mnt/my\\040disk rw - fuse.sshfs me@host: rw
34 27 0:42 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
35 27 0:43 / /tmp rw - tmpfs tmpfs rw
36 27 11:0 / /media/cd ro - iso9660 /dev/sr0 ro
37 27 0:44 / /btrfs/a rw - btrfs /dev/sdb rw,subvol=/a
38 27 0:45 / /btrfs/b rw - btrfs /dev/sdb rw,subvol=/b
39 27 0:46 / /tank rw - zfs tank rw
40 27 0:47 / /tank/home rw - zfs tank/home rw
a line of another form
"""


def mount(device: str, point: str, kind: str = "ext4", source: str = "/dev/sda1") -> Mount:
    return Mount(device, "/", point, frozenset({"rw"}), kind, source, frozenset())


def test_only_real_volumes_and_each_once() -> None:
    found = real_mounts(parse_mountinfo(HOST))
    assert [one.mount_point for one in found] == [
        "/",
        "/btrfs/a",
        "/data",
        "/dev/shm",
        "/home/me/share",
        "/mnt/my disk",
        "/tank",
        "/tmp",
    ]


def test_a_mount_on_top_hides_the_one_below() -> None:
    below, above = mount("8:1", "/data"), mount("8:2", "/data")
    assert real_mounts([below, above]) == [above]


def test_the_root_counts_whatever_it_is() -> None:
    root = mount("0:50", "/", "overlay", "overlay")._replace(options=frozenset({"ro"}))
    assert real_mounts([root, mount("0:51", "/x", "overlay", "overlay")]) == [root]


def block_device(root: Path, number: str, path: str, **files: str) -> None:
    device = root / "sys/devices" / path
    device.mkdir(parents=True)
    for name, text in files.items():
        file = device / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    link = root / "sys/dev/block" / number
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(os.path.relpath(device, link.parent)))


@pytest.mark.parametrize(
    ("path", "files", "expected"),
    [
        ("pci0/nvme/nvme0/nvme0n1", {"queue__rotational": "0"}, "nvme"),
        ("ata1/block/sda", {"queue__rotational": "0", "device__model": "Samsung SSD"}, "ssd"),
        ("ata1/block/sda", {"queue__rotational": "1", "device__model": "WDC WD40"}, "hdd"),
        ("ata1/block/sda", {"queue__rotational": "1", "device__model": "QEMU HARDDISK"}, "unknown"),
        ("virtio/block/vda", {"queue__rotational": "1"}, "unknown"),
        ("virtio/block/vda", {"queue__rotational": "0"}, "ssd"),
        ("virtual/block/zram0", {"queue__rotational": "0"}, "ramdisk"),
        ("virtual/block/nbd0", {"queue__rotational": "0"}, "network"),
        ("virtual/block/loop3", {"queue__rotational": "0"}, "unknown"),
        ("ata1/block/sdz", {}, "unknown"),
    ],
)
def test_the_class_of_a_disk(
    tmp_path: Path, path: str, files: dict[str, str], expected: str
) -> None:
    block_device(tmp_path, "8:0", path, **files)
    assert storage_class(HostFiles(tmp_path), mount("8:0", "/x")) == expected


def test_a_partition_is_of_its_disks_class(tmp_path: Path) -> None:
    block_device(tmp_path, "259:0", "nvme0n1", queue__rotational="0")
    block_device(tmp_path, "259:1", "nvme0n1/nvme0n1p1", partition="1")
    assert storage_class(HostFiles(tmp_path), mount("259:1", "/x")) == "nvme"


def test_an_encrypted_or_striped_volume_is_as_slow_as_its_slowest_part(tmp_path: Path) -> None:
    block_device(tmp_path, "259:0", "nvme0n1", queue__rotational="0")
    block_device(tmp_path, "8:0", "sda", queue__rotational="1")
    block_device(tmp_path, "254:0", "virtual/block/dm-0", queue__rotational="0")
    slaves = tmp_path / "sys/devices/virtual/block/dm-0/slaves"
    slaves.mkdir()
    (slaves / "nvme0n1").symlink_to("../../../../nvme0n1")
    host = HostFiles(tmp_path)
    assert storage_class(host, mount("254:0", "/x")) == "nvme"
    (slaves / "sda").symlink_to("../../../../sda")
    assert storage_class(host, mount("254:0", "/x")) == "hdd"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("tmpfs", "ramdisk"), ("nfs4", "network"), ("9p", "network"), ("overlay", "unknown")],
)
def test_the_class_of_a_file_system(tmp_path: Path, kind: str, expected: str) -> None:
    assert storage_class(HostFiles(tmp_path), mount("0:77", "/x", kind, "any")) == expected


def fake_host(root: Path, mountinfo: str, *directories: str) -> HostFiles:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(mountinfo)
    for directory in directories:
        (root / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return HostFiles(root)


def fake_df(root: Path, body: str) -> Prober:
    binary = root / "bin/df"
    binary.parent.mkdir(exist_ok=True)
    binary.write_text(f"#!/bin/sh\n{body}\n")
    binary.chmod(0o755)
    # `df` is looked up on the PATH of the probe's environment.
    return Prober.of_process(f"{binary.parent}:/usr/bin:/bin")


def test_volumes_have_sizes_and_a_ram_disk_no_more_than_memory(tmp_path: Path) -> None:
    text = (
        "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "28 27 0:30 / /dev/shm rw - tmpfs tmpfs rw\n"
        "29 27 8:1 / /etc/hosts rw - ext4 /dev/sda1 rw\n"
        "30 27 8:2 / /gone rw - ext4 /dev/sda2 rw\n"
    )
    host = fake_host(tmp_path, text, "/dev/shm")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    root, shm = linux_volumes(host, Prober.of_process("/nonexistent"), 1000)
    found = os.statvfs(tmp_path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    assert (root.path, root.total_bytes) == ("/", usable * found.f_frsize)
    assert root.available_bytes is not None
    assert (shm.storage_class, shm.available_bytes) == ("ramdisk", 1000)


def test_a_containers_root_stands_for_the_device_behind_it(tmp_path: Path) -> None:
    text = (
        "27 1 0:50 / / rw - overlay overlay rw\n"
        "28 27 259:1 /volumes/x /data rw - ext4 /dev/nvme0n1p1 rw\n"
    )
    host = fake_host(tmp_path, text, "/data")
    block_device(tmp_path, "259:1", "nvme0n1", queue__rotational="0")
    (root,) = linux_volumes(host, Prober.of_process("/nonexistent"), None)
    assert (root.path, root.storage_class, root.device) == ("/", "nvme", "/dev/nvme0n1p1")


def test_network_volumes_are_asked_in_a_process(tmp_path: Path) -> None:
    text = "27 1 0:50 / /share rw - nfs4 server:/export rw\n"
    prober = fake_df(tmp_path, "echo Filesystem; echo 'server:/export 100 40 60 40% /share'")
    (share,) = linux_volumes(fake_host(tmp_path, text), prober, None)
    assert (share.total_bytes, share.available_bytes) == (102400, 61440)
    assert (share.storage_class, share.device) == ("network", "server:/export")


def test_a_server_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    prober = fake_df(tmp_path, "echo stale file handle >&2; exit 1")
    assert ask_size(prober, "/share") == VolumeSize(None, None, "ended with exit code 1")
    prober.cancelled.set()
    hanging = fake_df(tmp_path, "exec sleep 1000")
    hanging.cancelled.set()
    assert ask_size(hanging, "/share").problem == "the scan was cancelled"


def volume(mount_point: str, total: int, available: int) -> StorageVolume:
    return StorageVolume(
        path=mount_point,
        mount_point=mount_point,
        total_bytes=total,
        available_bytes=available,
        storage_class="ssd",
        file_system="ext4",
    )


def test_directories_with_a_purpose(tmp_path: Path) -> None:
    root, other = volume("/", 500 * GIB, 50 * GIB), volume("/other", 9 * GIB, 8 * GIB)
    cache, builds = tmp_path / "cache", tmp_path / "builds"
    cache.mkdir()
    settings = [
        StorageLimitSettings(path=cache, max_gb=100.0, purpose="cache"),
        StorageLimitSettings(path=builds, max_gb=20.0, purpose="builds"),
    ]
    first, second, third = with_purposes([root, other], settings)
    assert (first.path, first.mount_point, first.purpose) == (str(cache), "/", "cache")
    assert (first.total_bytes, first.available_bytes) == (100 * GIB, 50 * GIB)
    assert (first.max_bytes, first.problem) == (100 * GIB, None)
    assert (second.total_bytes, second.available_bytes) == (20 * GIB, 20 * GIB)
    assert second.problem == "the directory does not exist"
    assert third == other


def test_a_directory_belongs_to_the_nearest_mount_also_through_links(tmp_path: Path) -> None:
    (tmp_path / "disk/builds").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/builds")
    disk = volume(os.path.realpath(tmp_path / "disk"), 5 * GIB, 4 * GIB)
    settings = [StorageLimitSettings(path=tmp_path / "link")]
    linked, root = with_purposes([volume("/", GIB, GIB), disk], settings)
    assert (linked.path, linked.mount_point) == (str(tmp_path / "link"), disk.mount_point)
    assert (linked.total_bytes, linked.max_bytes) == (5 * GIB, None)
    assert root.path == "/"


def test_what_is_kept_for_root_is_neither_used_nor_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SimpleNamespace(f_frsize=10, f_blocks=1000, f_bfree=700, f_bavail=200)
    monkeypatch.setattr("buildnet.node.scan.volume.os.statvfs", lambda path: told)
    size = volume_size(fake_host(tmp_path, ""), "/")
    # df -P: 300 of 500 used, 60 %.
    assert size == VolumeSize(5000, 2000)
    text = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 1000 300 200 60% /\n"
    )
    assert parse_df(text) == VolumeSize(500 * 1024, 200 * 1024)


def test_this_host_has_a_root() -> None:
    found = scan_storage(HostFiles(), Prober.of_process("/usr/bin:/bin"), ())
    (root,) = [one for one in found if one.mount_point == "/"]
    assert root.total_bytes is not None
    assert root.available_bytes is not None
    assert 0 <= root.available_bytes <= root.total_bytes


MACOS_MOUNTS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s6 on /System/Volumes/VM (apfs, local, noexec, journaled, noatime, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
/dev/disk3s7 on /Volumes/Same Container (apfs, local, journaled)
/dev/disk5s1 on /Volumes/FastSSD (apfs, local, nodev, nosuid, journaled, noowners)
/dev/disk6s2 on /Volumes/Old Disk (hfs, local, nodev, nosuid, journaled)
/dev/disk7s1 on /Volumes/Installer (hfs, local, nodev, nosuid, read-only, noowners)
//me@server/share on /Volumes/share (smbfs, nodev, nosuid, mounted by me)
"""


def test_macos_volumes() -> None:
    found = parse_macos_mounts(MACOS_MOUNTS)
    assert [(one.mount_point, one.file_system) for one in found] == [
        ("/", "apfs"),
        ("/Volumes/FastSSD", "apfs"),
        ("/Volumes/Old Disk", "hfs"),
        ("/Volumes/share", "smbfs"),
    ]


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ({"BusProtocol": "Apple Fabric", "SolidState": True}, "nvme"),
        ({"BusProtocol": "PCI-Express", "SolidState": True}, "nvme"),
        ({"BusProtocol": "USB", "SolidState": True}, "ssd"),
        ({"BusProtocol": "SATA", "SolidState": False, "VirtualOrPhysical": "Physical"}, "hdd"),
        ({"BusProtocol": "Disk Image", "SolidState": True}, "unknown"),
        ({"BusProtocol": "USB"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_macos_disk_classes(information: dict[str, object], expected: str) -> None:
    recorded = plistlib.dumps(information).decode()
    assert disk_class(parse_plist(recorded)) == expected


def test_df_of_both_systems() -> None:
    macos = (
        "Filesystem     1024-blocks      Used Available Capacity  Mounted on\n"
        "/dev/disk3s1s1   971350180  10461500 471350180     3%    /\n"
    )
    shared = parse_df(macos, shares=True)
    assert shared == VolumeSize(971350180 * 1024, 471350180 * 1024)
    alone = parse_df(macos)
    assert alone == VolumeSize((10461500 + 471350180) * 1024, 471350180 * 1024)
    assert parse_df("Filesystem\n") is None


@given(st.text(max_size=300))
def test_parsers_take_anything(text: str) -> None:
    parse_df(text)
    parse_plist(text)
    parse_macos_mounts(text)
    real_mounts(parse_mountinfo(text))
