"""What a command in ``strict`` sees: a root of its own, made once, and what is its own in it.

The launcher makes a *template* once: a read-only root of the system's programs and libraries, a few
devices and a made-up ``/etc``; the host's own root hangs in it at ``/.host``. Each command starts
in a copy of it (copying a mount namespace costs microseconds) that was furnished beforehand with
what all commands need; its supervisor mounts what is its own, and takes ``/.host`` out before it
gives up its rights. The places are the same on every host:

    /build            the input root; the working directory is in it
    /home/buildnet    HOME
    /tmp              TMPDIR
    /tools            links to declared tools that lie outside of the system's directories
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import stat

from buildnet.node.execute.launcher import kernel
from buildnet.node.execute.launcher.places import BUILD, HOME, HOST_NAME, TEMPORARY, TOOLS, USER_ID

HOST = "/.host"

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store", "gnu/store")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
    "dev/ptmx": "pts/ptmx",
    "var/tmp": TEMPORARY,
    "etc/mtab": "/proc/self/mounts",
}
_DIRECTORIES = ("dev/shm", "dev/pts", "proc", "run", "var", "etc", ".host", "root")
# Of /etc: what programs need in order to run, nothing of the host's users, names and secrets.
_CONFIGURATION = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "fonts",
    "gai.conf",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki",
    "perl",
    "protocols",
    "rpc",
    "services",
    "ssl",
    "terminfo",
    "xml",
    "sgml",
)
_CONFIGURATION_BEGINNINGS = ("java", "python", "debian_version", "maven", "php", "ruby", "lsb-")
_MADE = {
    "etc/passwd": (
        f"root:x:0:0:root:/root:/bin/sh\nbuildnet:x:{USER_ID}:{USER_ID}:BuildNet:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\nbuildnet:x:{USER_ID}:\nnogroup:x:65534:\n",
    "etc/hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    "etc/hostname": f"{HOST_NAME}\n",
    "etc/resolv.conf": "",  # the host's is bound over it for who may use the network
}
_NEVER_USED_AGAIN = 300  # Linux's RESERVED_PIDS: what numbers start from after the last one
_FILE_MAX_BYTES = 1 << 20
_SHARED_MEMORY_BYTES = 1 << 30

Bind = tuple[str, str]
"""A host's path, without symbolic links in it, and where that is shown."""


def become_user() -> None:
    """Give this process a user namespace in which it may mount, and a mount namespace.

    Raises:
        OSError: the host does not let this user have one.
    """
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{USER_ID} {user} 1"),
        ("gid_map", f"{USER_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def make_template(root: str) -> None:
    """Make the template at ``root``, an empty directory, and move into it.

    The process has to be in a mount namespace of its own, with the right to mount.
    """
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=16m")
    for path in (*_DIRECTORIES, *(place[1:] for place in (BUILD, HOME, TEMPORARY, TOOLS))):
        os.makedirs(f"{root}/{path}", exist_ok=True)
    for path in _SYSTEM:
        _show(f"/{path}", f"{root}/{path}")
    for path, text in _MADE.items():
        with open(f"{root}/{path}", "w") as file:
            file.write(text)
    for name in sorted(os.listdir("/etc")):
        if name in _CONFIGURATION or name.startswith(_CONFIGURATION_BEGINNINGS):
            _show(f"/etc/{name}", f"{root}/etc/{name}")
    os.symlink("/usr/share/zoneinfo/UTC", f"{root}/etc/localtime")
    kernel.restrict_mount(
        root, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV, below=True
    )
    kernel.relax_mount(root, kernel.ATTR_RDONLY)
    for name in _DEVICES:
        with open(f"{root}/dev/{name}", "w"):
            pass
        kernel.mount(f"/dev/{name}", f"{root}/dev/{name}", None, kernel.MS_BIND)
        kernel.restrict_mount(f"{root}/dev/{name}", kernel.ATTR_NOSUID)
    for path, target in _LINKS.items():
        os.symlink(target, f"{root}/{path}")
    kernel.restrict_mount(root, kernel.ATTR_RDONLY, below=False)
    kernel.pivot_root(root, f"{root}{HOST}")
    os.chdir("/")


def _show(source: str, place: str) -> None:
    """Show what the host has at ``source``: a link as it is, a small file as a copy, a directory
    as a mount."""
    try:
        status = os.lstat(source)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(source)
        if not os.path.exists(source):
            return
        if os.path.realpath(source).startswith(("/usr/", "/etc/alternatives/")):
            os.symlink(target, place)
            return
        source = os.path.realpath(source)
        status = os.stat(source)
    if stat.S_ISDIR(status.st_mode):
        os.makedirs(place, exist_ok=True)
        kernel.mount(source, place, None, kernel.MS_BIND | kernel.MS_REC)
    elif stat.S_ISREG(status.st_mode) and status.st_size <= _FILE_MAX_BYTES:
        try:
            with open(source, "rb") as original:
                content = original.read()
        except PermissionError:
            return
        with open(place, "wb") as copy:
            copy.write(content)


def furnish(*, network: bool) -> None:
    """Make this process's copy of the template a sandbox that waits for its command."""
    mounted = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", mounted)
    kernel.restrict_mount("/proc", kernel.ATTR_RDONLY, below=False)
    kernel.mount(
        "tmpfs",
        "/dev/shm",
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV,
        f"mode=1777,size={_SHARED_MEMORY_BYTES}",
    )
    kernel.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        kernel.MS_NOSUID | kernel.MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=620",
    )
    if not network:
        kernel.raise_loopback()
    kernel.set_host_name(HOST_NAME)


def enter(
    stage: str,
    *,
    binds: list[Bind],
    writable: list[Bind],
    trees: list[tuple[str, str, str, str]],
) -> None:
    """Make a furnished sandbox the command's own.

    ``stage`` is a directory of the host that holds ``root``, ``home`` and ``tmp``. ``binds`` are
    shown read-only, ``writable`` are not. Each of
    ``trees`` is (a host's directory, where it is shown below /build, a directory that takes what is
    written there, one that the kernel works in): those two are relative to the stage.
    """
    os.chdir(HOST + stage)
    inner = kernel.ATTR_NOSUID | kernel.ATTR_NODEV
    for name, place in (("root", BUILD), ("home", HOME), ("tmp", TEMPORARY)):
        kernel.mount(name, place, None, kernel.MS_BIND)
        kernel.restrict_mount(place, inner, below=False)
    for number, (source, path, upper, work) in enumerate(trees):
        # Under a name of our own, for the options of an overlay know no spaces and colons.
        os.mkdir(alias := f"tree{number}")
        kernel.mount(HOST + source, alias, None, kernel.MS_BIND | kernel.MS_REC)
        options = f"lowerdir={alias},upperdir={upper},workdir={work},volatile,userxattr"
        place = f"{BUILD}/{path}"
        kernel.mount("overlay", place, "overlay", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    if binds or writable:
        kernel.relax_mount("/", kernel.ATTR_RDONLY)
        for source, place in binds:
            _bind(source, place, inner | kernel.ATTR_RDONLY)
        for source, place in writable:
            _bind(source, place, inner)
        kernel.restrict_mount("/", kernel.ATTR_RDONLY, below=False)
    os.chdir("/")
    kernel.detach(HOST)


def limit_processes(processes: int) -> None:
    """Bound how many processes the sandbox has at once, where the kernel can: whatever their user.

    Before Linux 6.14 ``pid_max`` is the whole host's, and left alone.
    """
    if not kernel.has_pid_limit():
        return
    kernel.relax_mount("/proc", kernel.ATTR_RDONLY)
    with open("/proc/sys/kernel/pid_max", "w") as file:
        file.write(str(_NEVER_USED_AGAIN + processes + 1))
    kernel.restrict_mount("/proc", kernel.ATTR_RDONLY, below=False)


def _bind(source: str, place: str, attributes: int) -> None:
    host = HOST + source
    if os.path.isdir(host):
        os.makedirs(place, exist_ok=True)
    elif not os.path.lexists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "a"):  # all sandboxes have one root: another may just have made it
            pass
    kernel.mount(host, place, None, kernel.MS_BIND | kernel.MS_REC)
    kernel.restrict_mount(place, attributes)


def give_up_rights(user: int | None, filter_program: bytes) -> None:
    """Become ``user`` (None: stay who one is) without any capability, for ever."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kernel.drop_capabilities()
    kernel.forbid_new_privileges()
    kernel.hide_memory()
    kernel.die_with_parent(_signal.SIGKILL)  # again: a change of user forgets it
    kernel.set_seccomp(filter_program)
