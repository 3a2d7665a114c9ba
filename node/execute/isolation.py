"""Which levels of isolation this host can give, found out by trying."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher import kernel
from buildnet.node.execute.launcher.client import Launcher, LaunchRequest, StrictView, Way
from buildnet.node.execute.launcher.places import BUILD
from buildnet.node.execute.mounts import Mount, hide_caches
from buildnet.node.execute.removal import discard

logger = logging.getLogger(__name__)

STRICT = "strict"
STAGED = "staged"
WORKSPACE = "workspace"

_PROBE_TIMEOUT_S = 20.0
_PROBE = (
    'test ! -e /.host/usr && test "$(cat tree/lower)" = below && echo > tree/upper && '
    "test ! -e tree/.cache/lower && echo > tree/.cache/upper"
)


class IsolationError(ExecutionError):
    """An action asks for more isolation than the host can give."""

    code = "ISOLATION"
    exit_code = 5

    @classmethod
    def of(cls, level: str) -> IsolationError:
        return cls(
            f"this host can't run commands in {level}",
            hint="`buildnet node status` tells why; without `isolation` in buildnet.yaml and "
            "node.yaml the best level that the host has is taken",
        )


@dataclass(frozen=True, slots=True)
class Isolation:
    """What actions get that ask for nothing else.

    ``reason`` tells why that is less than ``strict``. ``launcher`` starts commands in ``strict``;
    ``overlay``: whether it can show trees that a command may write to without altering them.
    """

    level: str
    reason: str | None = None
    launcher: Launcher | None = None
    overlay: bool = False

    def at(self, level: str | None) -> Isolation:
        """Return it with another level for actions that ask for nothing; None: as it is.

        Raises:
            IsolationError: the host can't give that.
        """
        if level is None or level == self.level:
            return self
        if level == STRICT and self.launcher is None:
            raise IsolationError.of(level)
        return replace(self, level=level, reason="the build's configuration asks for it")


class IsolationProbe:
    """Finds out once what the host can do. Thread-safe; :meth:`result` waits for the answer."""

    def __init__(
        self, work: Path, wanted: str | None = None, groups: ControlGroups | None = None
    ) -> None:
        """``work`` is the directory of the stages; ``wanted`` the owner's word, None: the best;
        ``groups`` keep the limits of the launcher's commands."""
        self._groups = groups
        self._work = work
        self._wanted = wanted
        self._lock = threading.Lock()
        self._found: Isolation | None = None

    @property
    def known(self) -> Isolation | None:
        """What the host gives, if that has been found out already; does not wait."""
        return self._found

    def result(self) -> Isolation:
        """Return what the host gives; the first call takes a tenth of a second."""
        with self._lock:
            if self._found is None:
                self._found = self._probe()
            return self._found

    def close(self) -> None:
        """End the launcher."""
        with self._lock:
            if self._found is not None and self._found.launcher is not None:
                self._found.launcher.close()

    def _probe(self) -> Isolation:
        if self._wanted is not None and self._wanted != STRICT:
            return Isolation(self._wanted, "node.yaml says so")
        reasons: list[str] = []
        for way in _ways(reasons):
            launcher = Launcher(way, self._work / f".sandbox-{os.getpid()}")
            launcher.groups = self._groups
            for overlay in (True, False):
                try:
                    self._try(launcher, overlay)
                except (BuildNetError, OSError) as error:
                    cause = getattr(error, "cause", None) or str(error)
                    logger.info("no sandbox by way of %s (overlay: %s): %s", way, overlay, cause)
                    reasons.append(f"{way}: {cause}")
                else:
                    return Isolation(STRICT, None, launcher, overlay)
            launcher.close()
        reason = "; ".join(dict.fromkeys(reasons))
        if self._wanted is not None:
            logger.warning("no strict sandbox on this host, so nothing can run: %s", reason)
            return Isolation(STRICT, reason)
        logger.warning("no strict sandbox on this host, actions run in `staged`: %s", reason)
        return Isolation(STAGED, reason)

    def _try(self, launcher: Launcher, overlay: bool) -> None:
        """Run a command with all that a sandbox consists of.

        Raises:
            ExecutionError, OSError: something of it does not work.
        """
        stage = self._work / f".probe-{os.getpid()}"
        discard(stage)
        try:
            for name in ("root/tree", "home", "tmp", "lower/.cache", "tree-work"):
                (stage / name).mkdir(parents=True)
            for name in ("lower", ".cache/lower"):
                (stage / "lower" / name).write_text("below")
            if launcher.owner is not None:
                for name in ("root", "root/tree", "home", "tmp"):
                    os.chown(stage / name, launcher.owner, launcher.owner)
            if overlay:
                tree = Mount("tree", stage / "lower")
                hide_caches(tree, stage / "root/tree", launcher.owner)
            trees = ((str((stage / "lower").resolve()), "tree", "root/tree", "tree-work"),)
            view = StrictView(stage.resolve(), network=False, trees=trees if overlay else ())
            command = _PROBE if overlay else "test ! -e /.host/usr && echo > written"
            log = io.BytesIO()
            outcome = run_launched(
                launcher,
                LaunchRequest(["/bin/sh", "-c", command], BUILD, {"PATH": "/usr/bin:/bin"}, view),
                timeout_s=_PROBE_TIMEOUT_S,
                on_output=lambda chunk: None,
                cancel=CancelToken(),
                log=log,
                output_limit_bytes=1 << 10,
            )
            if not outcome.succeeded:
                said = log.getvalue().decode(errors="replace").strip()
                raise ExecutionError(
                    "a command in the sandbox failed", cause=said or f"exit {outcome.exit_code}"
                )
        finally:
            discard(stage)


def _ways(reasons: list[str]) -> tuple[Way, ...]:
    """Return the ways to make a sandbox that are worth trying, the best first."""
    if sys.platform != "linux":
        reasons.append("there are no namespaces on this system")
        return ()
    if not kernel.supported():
        reasons.append("the system calls of this processor are not known to BuildNet")
        return ()
    if os.geteuid() == 0:
        return ("root", "user namespace")
    return ("user namespace",)
