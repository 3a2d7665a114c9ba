"""A node's data directory: where everything it keeps lies, and the lock that makes it one node.

``BUILDNET_HOME`` names the directory; without it the platform's user data directory is taken.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from buildnet.mesh.errors import BuildNetError

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
SOCKET_PATH_MAX_BYTES = 103

# Who only asks whether a node runs holds the lock shared for some microseconds.
_LOCK_ATTEMPTS = 10
_LOCK_RETRY_S = 0.02


def make_private(directory: Path) -> Path:
    """Make a directory that nobody else looks into, also where one is there already; return it.

    Raises:
        OSError: that can't be.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    return directory


class HomeError(BuildNetError):
    """The data directory can't be used."""

    code = "HOME"
    exit_code = 2


class AlreadyRunningError(BuildNetError):
    """Another process holds the data directory's lock."""

    code = "ALREADY_RUNNING"
    exit_code = 0
    http_status = 409


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running node says of itself to those who look into its data directory."""

    node_id: str
    name: str
    address: str
    socket: str
    pid: int
    home: str
    started_at: str
    version: str


def default_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data directory that ``BUILDNET_HOME`` or the platform names."""
    named = environment.get("BUILDNET_HOME")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # costs start-up time only where it is needed

    return platformdirs.user_data_path("buildnet", appauthor=False)


class Home:
    """Paths below a data directory, and its lock. Nothing is created before :meth:`prepare`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = directory / "node.key"
        self.former_keys = directory / "former-keys"
        self.config = directory / "node.yaml"
        self.log = directory / "node.log"
        self.history = directory / "history.db"
        self.others = directory / "builds-of-others"
        self.told_builds = directory / "builds-of-others.db"
        self.requests = directory / "requests.db"
        self.access = directory / "access.db"
        self.store = directory / "store"
        self.work = directory / "work"
        self.defaults = directory / "defaults.json"
        self.opened = directory / "opened.json"
        self.dead_letters = directory / "dead-letters.json"
        self.terms = directory / "terms.json"
        self.benchmark = directory / "benchmark.json"
        self._name = directory / "name"
        self._runtime = directory / "runtime.json"
        self._lock = directory / "node.lock"
        self._lock_descriptor: int | None = None

    def prepare(self) -> None:
        """Make the directory (mode 0700) and see that it can be written to.

        Raises:
            HomeError: it can't.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for private in (self.work, self.store):
                make_private(private)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            raise self._unwritable(error) from error

    def lock(self) -> None:
        """Take the lock that a running node holds until it ends, however it ends.

        What an earlier node that was killed left published is withdrawn.

        Raises:
            AlreadyRunningError: another process has it.
            HomeError: the directory can't be written to.
        """
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        if not _locked(descriptor):
            os.close(descriptor)
            raise AlreadyRunningError(
                f"a node runs already on {self.directory}", hint="buildnet node status"
            )
        self._lock_descriptor = descriptor
        try:
            self._runtime.unlink(missing_ok=True)
        except OSError as error:
            self.unlock()
            raise self._unwritable(error) from error

    def is_ours(self) -> bool:
        """Tell whether the lock that this process holds still is the data directory's: not after
        somebody removed or replaced the directory."""
        if self._lock_descriptor is None:
            return False
        try:
            there = self._lock.stat()
        except OSError:
            return False
        held = os.fstat(self._lock_descriptor)
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def unlock(self) -> None:
        """Give the lock back."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def is_locked(self) -> bool:
        """Tell whether a node runs, starts or ends on this directory."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # Shared: two who ask at once must not take each other for a node.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def socket_path(self) -> Path:
        """Return where the node's unix socket lies.

        A path that is too long for a socket address is replaced by one in the system's temporary
        directory, in a folder that only this user may enter; its name is made from the data
        directory, so that every process finds the same one.
        """
        path = self.directory / "node.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES:
            return path
        from blake3 import blake3

        name = blake3(os.fsencode(self.directory.resolve())).hexdigest(8)
        # Not tempfile.gettempdir(): TMPDIR may differ between the node and who calls it.
        return Path("/tmp") / f"buildnet-{os.getuid()}" / f"{name}.sock"

    def prepare_socket(self) -> Path:
        """Make the socket's folder safe, remove a dead node's socket, and return the path.

        Call with the lock held.
        """
        path = self.socket_path()
        if path.parent != self.directory:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            status = path.parent.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                raise HomeError(
                    f"{path.parent} belongs to somebody else",
                    hint="choose a shorter data directory with BUILDNET_HOME",
                )
            path.parent.chmod(0o700)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(
                f"{path} is in the way of the node's socket",
                cause=str(error),
                hint="move it away",
            ) from error
        return path

    def write_runtime(self, runtime: Runtime) -> None:
        """Publish what runs here.

        Raises:
            HomeError: the directory can't be written to, or its volume is full.
        """
        temporary = self._runtime.with_suffix(".new")
        try:
            temporary.touch(0o600)
            temporary.write_text(json.dumps(asdict(runtime), indent=2) + "\n")
            temporary.rename(self._runtime)
        except OSError as error:
            raise self._unwritable(error) from error

    def keep_name(self, name: str) -> None:
        """Keep the name under which the node runs, for starts that give none.

        Raises:
            HomeError: the directory can't be written to, or its volume is full.
        """
        if name == self.kept_name():
            return
        temporary = self._name.with_suffix(".new")
        try:
            temporary.touch(0o600)
            temporary.write_text(name + "\n", encoding="utf-8")
            temporary.rename(self._name)
        except OSError as error:
            raise self._unwritable(error) from error

    def kept_name(self) -> str | None:
        """Return the name under which the node ran last, if it ever did."""
        try:
            return self._name.read_text(encoding="utf-8").removesuffix("\n") or None
        except (OSError, ValueError):
            return None

    def read_runtime(self) -> Runtime | None:
        """Return what runs here, or None if nothing does or it is not ready yet."""
        if not self.is_locked():
            return None
        try:
            told = json.loads(self._runtime.read_text())
            # A node of a later version may tell more.
            return Runtime(**{field.name: told[field.name] for field in fields(Runtime)})
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def remove_runtime(self) -> None:
        """Withdraw what :meth:`write_runtime` published, and the socket."""
        self._runtime.unlink(missing_ok=True)
        self.socket_path().unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> HomeError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what, remedy = "has no room left", "free room on its volume"
        elif error.errno == errno.EROFS:
            what, remedy = "is read-only", "mount its volume for writing"
        else:
            what, remedy = "can't be written to", "make it writable for this user"
        return HomeError(
            f"the data directory {self.directory} {what}",
            cause=str(error),
            hint=f"{remedy}, or choose another one with BUILDNET_HOME",
        )


def _locked(descriptor: int) -> bool:
    """Lock the file for this process alone; False if another one keeps it."""
    for attempt in range(_LOCK_ATTEMPTS):
        if attempt:
            time.sleep(_LOCK_RETRY_S)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
