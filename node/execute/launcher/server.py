"""The launcher's process: forks a supervisor for every command that the node asks for.

The node asks for a supervisor, often before it has a command for it, by one byte and a descriptor
over a socket: :data:`STRICT`, :data:`STRICT_WITH_NETWORK` or :data:`PLAIN`, and a connection. The
answer on the connection is a descriptor of the supervisor; what follows on it is between the node
and the supervisor. When the node ends, so does the launcher, and with it, however it ended, every
supervisor with its command.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import gc
import os
import sys

from buildnet.node.execute.launcher import kernel, sandbox
from buildnet.node.execute.launcher.messages import (
    receive_descriptor,
    receive_request,
    send_descriptor,
    send_report,
)
from buildnet.node.execute.launcher.places import USER_ID
from buildnet.node.execute.launcher.supervisor import KILL, STOP, Supervisor
from buildnet.node.execute.launcher.syscalls import filter_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAIN = b"p"
STRICT = b"s"
STRICT_WITH_NETWORK = b"n"

# Of control groups a supervisor makes its own once it has joined them.
_PRIVATE = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
_NAMESPACES = {
    PLAIN: 0,
    STRICT_WITH_NETWORK: _PRIVATE,
    STRICT: _PRIVATE | kernel.CLONE_NEWNET,
}


def main() -> None:
    """Serve the node on descriptor 0 until it closes it."""
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # the node's to decide
    # What a supervisor is asked before it can listen waits until it can.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (STOP, KILL))
    control = _socket.socket(fileno=0)
    settings = receive_request(control)
    if settings is None:
        return
    kernel.set_name("buildnet-launch")
    try:
        user = _prepare(settings)
    except OSError as error:
        send_report(control, {"failed": error.errno, "why": str(error)})
        return
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # nobody waits for supervisors here
    gc.collect()
    gc.freeze()  # a fork shares what is not written to
    send_report(control, {"ready": True})
    _serve(control, user, filter_program())


def _prepare(settings: dict[str, Any]) -> int | None:
    """Make the template that ``settings`` ask for; return the user that commands become."""
    way = settings["way"]
    if way == "plain":
        return None
    if way == "user namespace":
        sandbox.become_user()
    else:
        kernel.unshare(kernel.CLONE_NEWNS)
    sandbox.make_template(settings["root"])
    kernel.bound_capabilities()  # of all that is started from here
    return USER_ID if way == "root" else None


def _serve(control: _socket.socket, user: int | None, filter_: bytes) -> None:
    life, held = os.pipe()  # never written: its end of file is this process's end
    while True:
        kind, descriptor = receive_descriptor(control, 1)
        if descriptor is None:
            return
        connection = _socket.socket(fileno=descriptor)
        try:
            pid, process = kernel.clone(_NAMESPACES[kind])
        except OSError as error:
            send_report(connection, {"failed": "process", "errno": error.errno, "why": str(error)})
        else:
            if pid == 0:
                os.close(held)
                control.close()
                network = None if kind == PLAIN else kind == STRICT_WITH_NETWORK
                _supervise(Supervisor(connection, network, life, user, filter_))
            send_descriptor(connection, PLAIN, process)
            os.close(process)
        connection.close()


def _supervise(supervisor: Supervisor) -> None:
    """Run a supervisor and end this process, whatever happens."""
    try:
        supervisor.run()
    except BaseException as error:
        sys.stderr.write(f"supervisor: {error!r}\n")
    finally:
        os._exit(0)
