"""The launcher's process: forks a supervisor for every command that the node asks for.

The node sends, for each command, one byte and two descriptors over a socket: :data:`STRICT`,
:data:`STRICT_WITH_NETWORK` or :data:`PLAIN`; a connection for this command, and the pipe that takes
its output. The answer on the connection is a descriptor of the supervisor; what follows on it is
between the node and the supervisor. When the node ends, so does the launcher, and with it, however
it ended, every supervisor with its command.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import Any

from buildnet.node.execute.launcher import kernel, sandbox
from buildnet.node.execute.launcher.messages import receive_message, send_message
from buildnet.node.execute.launcher.places import USER_ID
from buildnet.node.execute.launcher.supervisor import KILL, STOP, Supervisor
from buildnet.node.execute.launcher.syscalls import filter_program

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the node's to decide
    # What a supervisor is asked before it can listen waits until it can.
    signal.pthread_sigmask(signal.SIG_BLOCK, (STOP, KILL))
    control = socket.socket(fileno=0)
    settings = receive_message(control)
    if settings is None:
        return
    kernel.set_name("buildnet-launch")
    try:
        user = _prepare(settings)
    except OSError as error:
        send_message(control, {"failed": error.errno, "why": str(error)})
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors here
    gc.collect()
    gc.freeze()  # a fork shares what is not written to
    send_message(control, {"ready": True})
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
    return USER_ID if way == "root" else None


def _serve(control: socket.socket, user: int | None, filter_: bytes) -> None:
    life, held = os.pipe()  # never written: its end of file is this process's end
    while True:
        kind, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not kind:
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # no command is to find them
        connection = socket.socket(fileno=descriptors[0])
        try:
            pid, process = kernel.clone(_NAMESPACES[kind])
        except OSError as error:
            send_message(connection, {"failed": "process", "errno": error.errno, "why": str(error)})
        else:
            if pid == 0:
                os.close(held)
                control.close()
                _supervise(Supervisor(connection, descriptors[1], life, user, filter_))
            socket.send_fds(connection, [PLAIN], [process])
            os.close(process)
        connection.close()
        os.close(descriptors[1])


def _supervise(supervisor: Supervisor) -> None:
    """Run a supervisor and end this process, whatever happens."""
    try:
        supervisor.run()
    except BaseException as error:
        sys.stderr.write(f"supervisor: {error!r}\n")
    finally:
        os._exit(0)
