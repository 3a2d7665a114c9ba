"""Ways out of the sandbox, each tried: what a hostile command in ``strict`` does not get."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest
from tests.node.strict_host import StrictHost

from buildnet.mesh.digest import Digest
from buildnet.node.execute.errors import OutputError
from buildnet.node.execute.launcher import kernel
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.mounts import Mount

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

PYTHON = "/usr/bin/python3"
needs_python = pytest.mark.skipif(not os.path.exists(PYTHON), reason="needs the system's Python")


def python(script: str) -> str:
    """Return the command line of a Python script."""
    return f"{PYTHON} -I - <<'END'\n{script}\nEND"


# Files


def test_absolute_paths_and_dots_lead_to_nothing_of_the_host(host: StrictHost) -> None:
    secret = host.workspace / "secret.txt"
    secret.write_text("the secret")
    up = "../" * 30
    roots = ("", up, "/.host", "/proc/1/root", f"/proc/self/cwd/{up}", "/proc/self/root")
    for root in roots:
        said = host.said(f"cat {root}{secret}; ls {root}{host.home} 2> /dev/null")
        assert "the secret" not in said
        assert "workspace\n" not in said
    assert host.said("ls -a /.host") == ".\n..\n"


def test_keys_and_home_of_the_node_are_not_there(host: StrictHost) -> None:
    key = host.home / "node.key"
    key.write_text("the key")
    said = host.said(
        f"cat {key} {Path.home()}/.ssh/* /root/.ssh/* /etc/shadow /etc/machine-id;"
        f"ls -A {Path.home()} /root /run /var /srv /opt /mnt /media /work /sys; echo ~root"
    )
    assert "the key" not in said
    readable = [line for line in said.splitlines() if not line.startswith(("cat:", "ls:"))]
    assert set(readable) <= {"", "/root:", "/run:", "/var:", "tmp", "/root"}


def test_mounts_tell_of_ones_own_stage_alone(host: StrictHost) -> None:
    told = host.said("cut -d' ' -f4 /proc/self/mountinfo; cat /proc/self/cgroup").splitlines()
    own = {os.path.dirname(line) for line in told if str(host.home) in line.replace("\\040", " ")}
    assert len(own) == 1
    (stage,) = own
    assert host.said(f"ls {stage}").startswith("ls: cannot access")
    assert all(line.endswith(":/") for line in told if ":" in line)  # no control group is named


def test_what_is_the_systems_cannot_be_written(host: StrictHost) -> None:
    places = (
        "/ /usr /usr/bin /etc /etc/ssl /bin /dev /proc /proc/sys/kernel /tools /home /root /.host"
    )
    said = host.said(f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done")
    assert said == ""
    assert (
        host.said("echo x > /etc/passwd; echo x > /etc/hosts; mv /etc/hosts /tmp").count("\n") == 3
    )


def test_inputs_and_the_store_stay_as_they_are(host: StrictHost) -> None:
    inputs = host.write({"packages/a/x.js": "x\n", "packages/a/y.js": "y\n"})
    execution = host.run(
        "chmod 777 x.js; echo evil > x.js; ln y.js hard; echo evil >> hard; rm y.js", inputs=inputs
    )
    assert execution.outcome.succeeded, host.log(execution)
    for content in (b"x\n", b"y\n"):
        assert host.store.get(Digest.of(content)) == content
    assert (host.workspace / "packages/a/x.js").read_text() == "x\n"
    # The next command gets what was declared, not what the one before has made of it.
    assert host.said("cat x.js y.js", inputs=inputs) == "x\ny\n"


def test_a_shared_tree_stays_as_it_is(host: StrictHost, tmp_path: Path) -> None:
    modules = tmp_path / "shared" / "node_modules"
    (modules / "lib").mkdir(parents=True)
    (modules / "lib" / "index.js").write_text("lib\n")
    (modules / "lib" / "index.js").chmod(0o444)
    mounts = (Mount("node_modules", modules),)
    before = (modules / "lib" / "index.js").stat()
    host.said(
        "cd ../../node_modules; chmod -R u+w .; echo evil > lib/index.js; ln lib/index.js hard;"
        "echo evil >> hard; rm -rf lib; mkdir lib; echo evil > lib/index.js",
        mounts=mounts,
    )
    assert (modules / "lib" / "index.js").read_text() == "lib\n"
    after = (modules / "lib" / "index.js").stat()
    assert (after.st_mode, after.st_nlink, after.st_mtime_ns) == (
        before.st_mode,
        before.st_nlink,
        before.st_mtime_ns,
    )
    assert sorted(os.listdir(modules)) == ["lib"]
    assert host.said("cat ../../node_modules/lib/index.js", mounts=mounts) == "lib\n"


def test_a_blob_cannot_be_reached_to_poison_it(host: StrictHost) -> None:
    digest = host.store.put(b"good")
    blob = next((host.home / "store" / "blobs").rglob(digest.hash))
    said = host.said(f"echo evil > {blob}; ln {blob} out; cat {blob}; find / -name {digest.hash}")
    assert host.store.get(digest) == b"good"
    assert "good" not in said
    assert not [line for line in said.splitlines() if line == str(blob)]


def test_hard_links_bring_nothing_out_and_nothing_in(host: StrictHost) -> None:
    execution = host.run(
        "mkdir out; ln /usr/bin/env out/env; ln /etc/passwd out/passwd;"
        "ln -L /proc/self/exe out/exe; echo own > out/own; ln out/own out/other",
        "packages/a/out",
    )
    assert host.contents(execution.outputs) == {
        "packages/a/out/own": b"own\n",
        "packages/a/out/other": b"own\n",
    }


@pytest.mark.parametrize(
    "command",
    [
        "ln -s /etc/passwd out",
        "mkdir out; ln -s {secret} out/x",
        "ln -s ../../../../../../../../../../..{secret} out",
        "mkdir out; ln -s / out/root",
        "mkdir out; ln -s ../../../../.. out/up",
        "ln -s {home} out",
        "rm -rf ../a; ln -s {home} ../a",
    ],
)
def test_links_to_the_outside_are_no_outputs(host: StrictHost, command: str) -> None:
    """The node collects outputs outside of the sandbox, where such links lead somewhere."""
    secret = host.workspace / "secret.txt"
    secret.write_text("the secret")
    (host.home / "out").write_text("the node's")
    with pytest.raises(OutputError):
        host.run(command.format(secret=secret, home=host.home), "packages/a/out")


def test_a_directory_swapped_for_a_link_shows_nothing(host: StrictHost) -> None:
    (host.home / "dist").mkdir()
    (host.home / "dist" / "secret").write_text("the secret")
    with pytest.raises(OutputError):
        host.run(f"cd ..; rm -rf a; ln -s {host.home} a", "packages/a/dist/*.x", "packages/a/dist")


@pytest.mark.parametrize(
    "name", ["new\nline", "-rf", " ", "'", "$(touch x)", "*", "\\", "ä", "a:b,c"]
)
def test_outputs_with_odd_names_are_kept_as_they_are(host: StrictHost, name: str) -> None:
    execution = host.run(
        'mkdir out; printf x > "out/$NAME"', "packages/a/out", environment={"NAME": name}
    )
    assert host.contents(execution.outputs) == {f"packages/a/out/{name}": b"x"}


@pytest.mark.parametrize(
    "command",
    ["touch \"out/$(printf '\\377')\"", "mkfifo out/x", "mkdir -p $(printf 'out/%0250d/' 1)"],
)
def test_outputs_that_cannot_be_kept_are_told(host: StrictHost, command: str) -> None:
    if command.startswith("mkdir"):
        command = "cd out; for i in $(seq 300); do mkdir d; cd d; done"
    with pytest.raises(OutputError):
        host.run(f"mkdir out; {command}", "packages/a/out")


@needs_python
def test_a_socket_is_no_output(host: StrictHost) -> None:
    script = "import socket; socket.socket(socket.AF_UNIX).bind('out')"
    with pytest.raises(OutputError):
        host.run(python(script), "packages/a/out")


# Rights


def test_a_set_user_id_program_gives_no_rights(host: StrictHost, tmp_path: Path) -> None:
    """Neither one that the command makes nor one of the host's."""
    tools = tmp_path.parent / f"{tmp_path.name}-tools" / "set" / "bin"
    tools.mkdir(parents=True)
    shutil.copy("/usr/bin/id", tools / "rootid")
    (tools / "rootid").chmod(0o6755)
    path = {"PATH": f"{tools}:/usr/bin:/bin"}
    said = host.said(
        "rootid -u; cp /usr/bin/id own; chmod 6755 own; ./own -u; grep NoNew /proc/self/status",
        environment=path,
    )
    assert said.split() == ["65533", "65533", "NoNewPrivs:", "1"]
    made = host.run("mkdir out; cp /usr/bin/id out/own; chmod 6755 out/own", "packages/a/out")
    assert made.outputs is not None
    ((_, leaf),) = made.outputs.leaves()
    assert leaf.permissions == 0o755  # type: ignore[union-attr]


def test_there_are_no_capabilities_and_none_can_be_had(host: StrictHost) -> None:
    said = host.said(
        "grep Cap /proc/self/status; unshare -U true; unshare -Ur true; unshare -m true"
    )
    lines = said.splitlines()
    assert {line.split()[1] for line in lines[:5]} == {"0" * 16}
    assert all("not permitted" in line for line in lines[5:]), lines[5:]
    assert len(lines) == 8


def test_device_nodes_cannot_be_made_or_used(host: StrictHost) -> None:
    said = host.said(
        "mknod disk b 8 0 && echo made; mknod null c 1 3 && echo made; mknod w c 0 0 && cat w;"
        "ls /dev"
    )
    assert "made" not in said
    devices = "fd full null ptmx pts random shm stderr stdin stdout urandom zero".split()
    assert said.split("\n")[-len(devices) - 1 : -1] == devices


@needs_python
def test_nothing_can_be_typed_into_a_terminal(host: StrictHost) -> None:
    script = """
import errno, fcntl, os
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError as error:
    print("tty", errno.errorcode[error.errno])
master, slave = os.openpty()
for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
    for terminal in (0, slave):
        try:
            fcntl.ioctl(terminal, request, b"x")
            print("typed")
        except (OSError, OverflowError) as error:
            print(type(error).__name__)
"""
    said = host.said(python(script)).split()
    assert said[:2] == ["tty", "ENOENT"]
    assert "typed" not in said


@needs_python
def test_key_rings_and_other_doors_of_the_kernel_are_shut(host: StrictHost) -> None:
    script = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
for name, number in NUMBERS:
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    print(name, result, errno.errorcode.get(ctypes.get_errno(), 0))
"""
    numbers = [("keyctl", 250), ("add_key", 248), ("bpf", 321), ("perf_event_open", 298)]
    if os.uname().machine == "aarch64":
        numbers = [("keyctl", 219), ("add_key", 217), ("bpf", 280), ("perf_event_open", 241)]
    said = host.said(python(script.replace("NUMBERS", repr(numbers))))
    assert said == "".join(f"{name} -1 EPERM\n" for name, _ in numbers)


# Processes


def test_only_its_own_processes_are_seen_and_reached(host: StrictHost) -> None:
    said = host.said("cat /proc/[0-9]*/comm; kill -9 1; kill -9 -1; echo still here")
    assert said.split()[0] == "buildnet-launch"
    assert set(said.split()[1:3]) <= {"sh", "dash", "bash", "cat", "/bin/sh:"}
    assert said.endswith("still here\n")
    assert "No such process" in host.said(f"kill -0 {os.getpid()}")
    assert "denied" in host.said("ls /proc/1/fd/ /proc/1/cwd/; cat /proc/1/environ")


@needs_python
def test_the_supervisor_cannot_be_traced_or_made_to_lie(host: StrictHost) -> None:
    script = """
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(16, 1, 0, 0), errno.errorcode.get(ctypes.get_errno()))
for path in ("/proc/1/mem", "/proc/1/fd/0", "/proc/1/environ", "/proc/1/maps"):
    try:
        open(path, "rb").read(1)
        print("read", path)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    said = host.said(python(script)).split()
    assert said[:2] == ["-1", "EPERM"]
    assert set(said[2:]) <= {"EACCES", "EPERM", "ENOENT"}


def test_no_descriptor_of_the_node_is_left_open(host: StrictHost) -> None:
    assert host.said("ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_a_flood_of_forks_is_ended(host: StrictHost) -> None:
    """Others go on working meanwhile, and afterwards nothing of it is left."""
    limits = ActionLimits(processes=60)
    execution = host.run(
        "bomb() { bomb | bomb & }; while :; do bomb; done", limits=limits, timeout_s=30
    )
    assert not execution.outcome.succeeded
    assert execution.outcome.exceeded == "processes" or execution.outcome.duration_ms < 20_000
    assert host.said("echo alive") == "alive\n"


@pytest.mark.skipif(not kernel.has_pid_limit(), reason="needs Linux 6.14")
def test_the_kernel_bounds_a_flood_whatever_its_user(host: StrictHost) -> None:
    """Numbers are used again, so that a long command of few processes does not run out of them."""
    before = Path("/proc/sys/kernel/pid_max").read_text()
    limits = ActionLimits(processes=60)
    execution = host.run(
        "cat /proc/sys/kernel/pid_max; i=0;"
        "while [ $i -lt 1000 ]; do (exit 0) || exit 9; i=$((i + 1)); done; echo $i",
        limits=limits,
    )
    assert execution.outcome.succeeded, host.log(execution)
    assert host.log(execution).split() == ["541", "1000"]
    assert Path("/proc/sys/kernel/pid_max").read_text() == before


def test_settings_of_the_kernel_cannot_be_changed(host: StrictHost) -> None:
    said = host.said(
        "echo x > /proc/sys/kernel/core_pattern && echo wrote;"
        "echo b > /proc/sysrq-trigger && echo wrote;"
        "echo 0 > /proc/self/oom_score_adj && echo wrote; head -c1 /proc/kcore && echo read"
    )
    assert "wrote" not in said
    assert "read" not in said.splitlines()


# Network


def test_sockets_of_the_host_are_out_of_reach(host: StrictHost) -> None:
    """The node's own first: whoever reaches it may build anything as the node's user."""
    if not os.path.exists(PYTHON):
        pytest.skip("needs the system's Python")
    with (
        socket.socket(socket.AF_UNIX) as node,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        place = host.home / "node.sock"
        os.chdir(host.home)  # a path of a test's directory may be too long for a socket
        node.bind("node.sock")
        node.listen()
        name = f"\\0buildnet-{os.getpid()}-{host.launcher.way}"
        abstract.bind(name.replace("\\0", "\0"))
        abstract.listen()
        udp.bind(("127.0.0.1", 0))
        script = f"""
import socket
for family, address in (
    (socket.AF_UNIX, {str(place)!r}),
    (socket.AF_UNIX, "{name}"),
    (socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]})),
):
    try:
        socket.socket(family).connect(address)
        print("connected", address)
    except OSError as error:
        print(type(error).__name__)
"""
        said = host.said(python(script)).split()
    assert said == ["FileNotFoundError", "ConnectionRefusedError", "ConnectionRefusedError"] or (
        said[1:] == ["ConnectionRefusedError", "ConnectionRefusedError"] and said[0] == "OSError"
    )


@needs_python
def test_there_is_no_network_and_no_metadata_service(host: StrictHost) -> None:
    script = """
import errno, socket
for address in (("169.254.169.254", 80), ("192.0.2.1", 80), ("10.0.0.1", 22)):
    try:
        socket.create_connection(address, timeout=20)
        print("connected")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
try:
    socket.getaddrinfo("example.org", 80)
    print("resolved")
except OSError:
    print("unresolved")
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    print("raw")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    said = host.said(python(script)).split()
    assert said == ["ENETUNREACH"] * 3 + ["unresolved", "EPERM"]


@needs_python
def test_a_command_that_declares_it_has_the_network(host: StrictHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"import socket; socket.create_connection({server.getsockname()!r}); print('up')"
        assert host.said(python(script), network=True) == "up\n"


# Floods


@pytest.mark.parametrize("output", ["packages/a/out", "packages/a/out/*"])
def test_too_many_outputs_are_told_before_they_are_read(host: StrictHost, output: str) -> None:
    limits = ActionLimits(files=100)
    with pytest.raises(OutputError) as raised:
        host.run("mkdir out; cd out; touch $(seq 200)", output, limits=limits)
    assert "more than one action may leave" in raised.value.message


@pytest.mark.parametrize("output", ["packages/a/out", "packages/a/out/*"])
def test_a_sparse_giant_is_refused(host: StrictHost, output: str) -> None:
    limits = ActionLimits(disk_bytes=1 << 20)
    made = host.run("truncate -s 1T out", "packages/a/out", limits=limits)
    assert made.outputs is None or made.outcome.exit_code != 0
    with pytest.raises(OutputError):
        host.run(
            "mkdir out; for i in 1 2 3 4; do truncate -s 900K out/$i; done",
            output,
            limits=limits,
        )


@needs_python
def test_directories_in_each_other_beside_the_outputs_are_left_alone(host: StrictHost) -> None:
    down = "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')\nopen('x', 'w')"
    command = f"{python(down)}\ncd /build/packages/a; echo made > out"
    execution = host.run(command, "packages/a/out")
    assert execution.outputs is not None
    with pytest.raises(OutputError, match="nest deeper"):
        host.run(command, "packages/a/**/x")


def test_a_stage_that_fills_the_disk_is_ended(host: StrictHost) -> None:
    limits = ActionLimits(disk_bytes=8 << 20)
    command = "while :; do i=$((i+1)); head -c 1000000 /dev/zero > $i || exit 1; done"
    execution = host.run(command, limits=limits, timeout_s=60)
    assert execution.outcome.exceeded == "disk"


def test_modes_of_what_a_command_leaves_do_not_stop_the_node(host: StrictHost) -> None:
    execution = host.run("mkdir -p a/b; touch a/b/c; chmod 000 a/b a; chmod 000 $HOME $TMPDIR")
    assert execution.outcome.succeeded
    host.executor.tidy()
    assert not [path for path in (host.home / "work").iterdir() if not path.name.startswith(".")]
    assert host.said("touch ~/x && touch $TMPDIR/x && echo fine") == "fine\n"


def test_nothing_of_one_command_is_left_for_the_next(host: StrictHost) -> None:
    host.run("echo x > ~/x; echo x > /tmp/x; echo x > /dev/shm/x; echo x > left")
    host.run("chmod 700 ~ /tmp")
    host.run("touch -d 2001-01-01 ~")
    said = host.said("ls -A ~ /tmp /dev/shm .; stat -c %a ~ /tmp")
    assert said.split() == ["/dev/shm:", "/home/buildnet:", "/tmp:", ".:", "755", "755"] or (
        "x" not in said.split() and said.endswith("755\n755\n")
    )
