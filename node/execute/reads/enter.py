"""Starts a command whose opening of files somebody else hears of first.

Run as a program by the interpreter alone (``-I -S``): ``enter.py NAME COMMAND…``. It puts a filter
on itself, hands the kernel's end of it to who listens at the abstract socket ``NAME``, waits for
one byte, and becomes the command. Nothing is imported here but the standard library.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import struct
import sys

NUMBERS = {
    # Each call's number, by architecture, as in the kernel's tables.
    "x86_64": {
        2: "open",
        85: "creat",
        257: "openat",
        437: "openat2",
        59: "execve",
        322: "execveat",
    },
    "aarch64": {56: "openat", 437: "openat2", 221: "execve", 281: "execveat"},
}
_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_NO_NEW_PRIVILEGES = 38
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF_0000, 0x7FC0_0000


def filter_program(machine: str) -> bytes:
    """Return the program that has the kernel tell of :data:`NUMBERS`, and allows everything."""
    code = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),
    ]
    for number in NUMBERS[machine]:
        code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *one) for one in code)


def listener() -> int:
    """Put the filter on this process and what it becomes; return the end that hears of it.

    Raises:
        OSError: the kernel has no such thing.
    """
    machine = os.uname().machine
    libc = ctypes.CDLL(None, use_errno=True)
    if machine not in NUMBERS or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) < 0:
        raise OSError(f"not on {machine}")
    program = filter_program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    found = libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, described)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def main(name: str, command: list[str]) -> None:
    """Become a command that is listened to."""
    with socket.socket(socket.AF_UNIX) as told:
        told.connect(f"\0{name}")
        end = listener()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end]))]
        told.sendmsg([b"!"], rights)
        told.recv(1)
    os.close(end)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
