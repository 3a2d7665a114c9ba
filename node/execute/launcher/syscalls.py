"""The filter of system calls that commands in ``strict`` run under.

It refuses what a build has no use for and what has let programs out of sandboxes: the kernel's key
rings, which no namespace holds apart, typing into a terminal (TIOCSTI, TIOCLINUX), further user
namespaces, handles of files, and interfaces with a large surface (bpf, io_uring, userfaultfd …).
Everything else works as usual. Calls of another architecture (32 bits on x86-64) are refused whole.
"""

from __future__ import annotations

import errno
import os
import struct

_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32 = 0x4000_0000
_CLONE_NEWUSER = 0x1000_0000
_TERMINAL_REQUESTS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

# Numbers on x86-64 and on AArch64, from the kernel's tables.
_REFUSED = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
}
# Programs fall back from these to older calls when they hear that there is no such thing.
_UNKNOWN = {
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_CLONE, _UNSHARE, _IOCTL = (56, 220), (272, 97), (16, 29)

# Instructions of the classic packet filter (linux/bpf_common.h).
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST, _AT_SECOND = 0, 4, 16, 24
_ALLOW = 0x7FFF_0000
_ERROR = 0x0005_0000
_KILL = 0x8000_0000


def filter_program() -> bytes:
    """Return the program for this machine's architecture.

    Raises:
        KeyError: the architecture's numbers are not known.
    """
    machine = os.uname().machine
    column = ("x86_64", "aarch64").index(machine) if machine in _ARCHITECTURES else -1
    code = [
        _statement(_LOAD, _AT_ARCHITECTURE),
        _jump(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _AT_NUMBER),
    ]
    if machine == "x86_64":
        code += [_jump(_JUMP_GREATER_EQUAL, _X32, 0, 1), _statement(_RETURN, _KILL)]
    for names, error in ((_REFUSED, errno.EPERM), (_UNKNOWN, errno.ENOSYS)):
        for numbers in names.values():
            code += [
                _jump(_JUMP_EQUAL, numbers[column], 0, 1),
                _statement(_RETURN, _ERROR | error),
            ]
    for numbers in (_CLONE, _UNSHARE):
        code += [
            _jump(_JUMP_EQUAL, numbers[column], 0, 4),
            _statement(_LOAD, _AT_FIRST),
            _jump(_JUMP_SET, _CLONE_NEWUSER, 0, 1),
            _statement(_RETURN, _ERROR | errno.EPERM),
            _statement(_RETURN, _ALLOW),
        ]
    code += [_jump(_JUMP_EQUAL, _IOCTL[column], 0, 4), _statement(_LOAD, _AT_SECOND)]
    code += [
        _jump(_JUMP_EQUAL, _TERMINAL_REQUESTS[0], 1, 0),
        _jump(_JUMP_EQUAL, _TERMINAL_REQUESTS[1], 0, 1),
        _statement(_RETURN, _ERROR | errno.EPERM),
        _statement(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def _statement(code: int, operand: int) -> bytes:
    return struct.pack("<HBBI", code, 0, 0, operand)


def _jump(code: int, operand: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, operand)
