"""Linux system calls that Python 3.11 has no function for. Errors are raised as ``OSError``.

The library is called without releasing the interpreter's lock: after :func:`clone` the child goes
on as if nothing had happened, which is sound in a process of one thread.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os
import struct

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_RDONLY = 1
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

ATTR_RDONLY = 1
ATTR_NOSUID = 2
ATTR_NODEV = 4

_CLONE_PIDFD = 0x1000
_SIGCHLD = 17
_MNT_DETACH = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x2008_0522
_CAPABILITIES = 64
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# clone, pivot_root, capset, ioprio_set, mount_setattr; from the kernel's tables of system calls.
_NUMBERS = {
    "x86_64": (56, 155, 126, 251, 442),
    "aarch64": (220, 41, 91, 30, 442),
}
_clone, _pivot_root, _capset, _ioprio_set, _mount_setattr = _NUMBERS.get(
    os.uname().machine, (-1, -1, -1, -1, -1)
)
_libc = ctypes.PyDLL(None, use_errno=True)


def supported() -> bool:
    """Whether the numbers of this architecture's system calls are known."""
    return _clone >= 0


def has_pid_limit() -> bool:
    """Whether a PID namespace has a ``pid_max`` of its own: Linux 6.14 and later."""
    try:
        major, minor = os.uname().release.split("-")[0].split(".")[:2]
        return (int(major), int(minor)) >= (6, 14)
    except ValueError:
        return False


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def clone(namespaces: int) -> tuple[int, int]:
    """Fork into new namespaces; returns (process id, descriptor of the process), (0, -1) there."""
    pidfd = ctypes.c_int(-1)
    flags = namespaces | _CLONE_PIDFD | _SIGCHLD
    pid = _checked(_libc.syscall(_clone, flags, 0, ctypes.byref(pidfd), 0, 0), "clone")
    return pid, pidfd.value


def unshare(namespaces: int) -> None:
    """Give this process namespaces of its own."""
    _checked(_libc.unshare(namespaces), "unshare")


def mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    """Mount; paths may be relative to the working directory."""
    encoded = [
        None if text is None else os.fsencode(text) for text in (source, target, kind, options)
    ]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(result, f"mount {kind or source} at {target}")


def restrict_mount(target: str, attributes: int, *, below: bool = True) -> None:
    """Add attributes (``ATTR_*``) to a mount and, with ``below``, to all mounts in it."""
    _set_attributes(target, attributes, 0, _AT_RECURSIVE if below else 0)


def relax_mount(target: str, attributes: int) -> None:
    """Take attributes away from one mount."""
    _set_attributes(target, 0, attributes, 0)


def _set_attributes(target: str, added: int, removed: int, flags: int) -> None:
    attributes = struct.pack("<QQQQ", added, removed, 0, 0)
    path = os.fsencode(target)
    result = _libc.syscall(_mount_setattr, _AT_FDCWD, path, flags, attributes, len(attributes))
    _checked(result, f"attributes of {target}")


def detach(target: str) -> None:
    """Take a mount, with all in it, out of this mount namespace."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root and show the former one at ``old``."""
    _checked(_libc.syscall(_pivot_root, os.fsencode(new), os.fsencode(old)), "pivot_root")


def set_host_name(name: str) -> None:
    """Name the host, as this UTS namespace sees it."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), "sethostname")


def die_with_parent(number: int) -> None:
    """Have this process get a signal when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def become_subreaper() -> None:
    """Make orphans below this process its own children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Keep processes of the same user from tracing this one or looking into its descriptors."""
    _prctl(_PR_SET_DUMPABLE, 0)


def set_name(name: str) -> None:
    """Name this process, at most 15 bytes, for lists of processes."""
    _checked(_libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl")


def forbid_new_privileges() -> None:
    """Let no program that is executed from here on gain rights."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bound_capabilities() -> None:
    """Let no program gain a capability from here on; takes CAP_SETPCAP."""
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # beyond the kernel's last


def drop_capabilities() -> None:
    """Give up all capabilities that this process has."""
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.syscall(_capset, header, bytes(24)), "capset")


def set_seccomp(program: bytes) -> None:
    """Filter the system calls of this process and all that it starts."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0), "seccomp")


def set_disk_priority_idle() -> None:
    """Let this process wait for the disk while others use it. A host may have no such thing."""
    _libc.syscall(_ioprio_set, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)


def raise_loopback() -> None:
    """Bring up ``lo`` of this network namespace."""
    any_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    asked = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
    (flags,) = struct.unpack_from("h", asked, 16)
    fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    any_socket.close()


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")
