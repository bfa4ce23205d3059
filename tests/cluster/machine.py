"""A machine for a cluster: processes, mounts and networks of its own, with as many hosts in it as are asked for.

Nothing of it has a name outside, so any number of them run beside each other; and it ends with whoever made it, even
where that is killed (`supervisor`).  Its files are in memory.

    machine             the LAN's router, and what is outside of the cluster
      ├─ control plane  a host with a network of its own
      └─ n1, n2, ...    hosts with /etc, /opt, /var, /run, host name and cgroups of their own as well
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from podnet.kernel.namespace import OWN
from podnet.testing.node import REPOSITORY
from podnet.testing.waiting import PATIENCE

MACHINE = """
trap '' CHLD     # whom nobody waits for is not waited for
mount -t tmpfs machine /run
mkdir /run/log
ip link set lo up
echo made
exec sleep infinity >/dev/null
"""
NETWORK = """
ip link set lo up
echo made
exec sleep infinity >/dev/null
"""
HOST = """
name=$1 cgroup=$2
for at in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
    [ -e $at ] || continue
    mkdir ${at%/*}/$cgroup/$name
    echo 0 >${at%/*}/$cgroup/$name/cgroup.procs
done
exec unshare --net --mount --uts --cgroup --propagation private sh -ec "$3" sh $name
"""
"""A cgroup namespace begins where its first process is."""
HOST_INSIDE = r"""
hostname $1
hierarchies=$(grep -E ' /sys/fs/cgroup[^ ]* cgroup2? ' /proc/mounts)
umount --recursive --lazy /sys/fs/cgroup
mount -t tmpfs $1 /sys/fs/cgroup
echo "$hierarchies" | while read -r _ at kind options _; do
    mkdir -p $at
    options=$(echo $options | tr , '\n' |
        grep -vE '^(rw|ro|nosuid|nodev|noexec|relatime|nsdelegate|memory_.*)$' | paste -sd,)
    mount -t $kind ${options:+-o $options} $1 $at
    mkdir $at/system
done
mount -t tmpfs $1 /run
mkdir -p /run/netns /run/lock
for at in etc opt var; do
    mkdir -p /run/upper/$at /run/scratch/$at
    mount -t overlay $1 -o lowerdir=/$at,upperdir=/run/upper/$at,workdir=/run/scratch/$at /$at
done
rm -rf /etc/cni /etc/podnet /opt/cni /var/lib/podnet /var/lib/kubelet /var/lib/containerd /var/log/pods
mkdir -p /etc/cni/net.d /opt/cni/bin
for at in kubelet containerd; do  # what mounts are made in, or overlays of
    mkdir /var/lib/$at
    mount -t tmpfs $1 /var/lib/$at
done
# Of the kernel's settings that are the machine's, kubelet finds what it wants, and changes none.
set_aside() { mkdir -p /run/sysctl/${1%/*}; echo $2 >/run/sysctl/$1; mount --bind /run/sysctl/$1 /proc/sys/$1; }
set_aside vm/overcommit_memory 1
set_aside vm/panic_on_oom 0
set_aside kernel/panic 10
set_aside kernel/panic_on_oops 1
set_aside kernel/keys/root_maxkeys 1000000
set_aside kernel/keys/root_maxbytes 25000000
mount --make-rshared /  # apart from the machine, but what containers mount for the host is the host's
ip link set lo up
echo made
exec sleep infinity >/dev/null
"""
JOIN = "for at in /sys/fs/cgroup/*/system /sys/fs/cgroup/system; do [ ! -e $at ] || echo 0 >$at/cgroup.procs; done\n"


class Place:
    """Namespaces to run programs in, those of the process `pid` outside."""

    kinds: tuple[str, ...] = ("--pid", "--mount", "--net")

    def __init__(self, name: str, pid: int, stack: ExitStack) -> None:
        """Take what has been made."""
        self.name = name
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")
        self._stack = stack
        self.inner = int(self._status("NSpid").split()[-1])
        """The process as the machine's others know it."""
        self.network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, self.network)

    def _status(self, key: str) -> str:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(value for name, _, value in (line.partition(":") for line in lines) if name == key)

    def enter(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` here; it ends when the command is killed."""
        return ["nsenter", f"--target={self.pid}", *self.kinds, "--", "setpriv", "--pdeathsig", "KILL", *argv]

    def run(self, *argv: str, text: str = "", patience: float = PATIENCE) -> str:
        """Run a command here; return what it prints, or raise `RuntimeError`."""
        done = subprocess.run(
            self.enter(*argv), input=text, text=True, capture_output=True, check=False, timeout=patience
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def sh(self, script: str) -> str:
        """Run a script here."""
        return self.run("sh", "-euc", script)

    def start(self, log: "IO[bytes]", *argv: str) -> "subprocess.Popen[bytes]":
        """Start a program that runs until it is killed, or the machine ends."""
        process = subprocess.Popen(
            self.enter("sh", "-ec", f'{self.join}exec "$@"', "sh", *argv),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
        self._stack.callback(_end, process)
        return process

    join = ""
    """A script by which a program that goes on is counted as the place's."""


class Network(Place):
    """A host that has only a network to itself."""


class Host(Place):
    """A host that finds and writes the usual paths as on a machine of its own."""

    kinds = ("--pid", "--mount", "--net", "--uts", "--cgroup")
    join = JOIN


class Machine(Place):
    """The machine; `stack` ends it."""

    def __init__(self, stack: ExitStack) -> None:
        """Make it; raise `RuntimeError` where the kernel does not."""
        self.cgroup = f"podnet-cluster-{uuid4().hex[:8]}"
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.supervisor", self.cgroup, MACHINE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
            start_new_session=True,  # ^C ends the test, and by that this
        )  # fmt: skip
        stack.callback(self._end, supervisor)
        assert supervisor.stdout is not None
        told = supervisor.stdout.readline()
        if not told:
            raise RuntimeError(supervisor.communicate()[1])
        super().__init__("machine", int(told), stack)
        self.home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, self.home)

    def _end(self, supervisor: "subprocess.Popen[str]") -> None:
        _, complaints = supervisor.communicate(timeout=4 * PATIENCE)  # which closes its standard input
        if supervisor.returncode:
            raise RuntimeError(f"{self.cgroup} did not end well: {complaints}")

    def network_host(self, name: str) -> Network:
        """Make a host that has only a network to itself."""
        return Network(name, self._made(name, "unshare", "--net", "sh", "-ec", NETWORK), self._stack)

    def host(self, name: str) -> Host:
        """Make a host that has all to itself."""
        made = self._made(name, "sh", "-ec", HOST, "sh", name, self.cgroup, HOST_INSIDE)
        return Host(name, made, self._stack)

    def _made(self, name: str, *argv: str) -> int:
        process = subprocess.Popen(
            self.enter(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._stack.callback(_end, process)
        assert process.stdout is not None
        if process.stdout.readline() != "made\n":
            raise RuntimeError(f"host {name}: {process.communicate()[1]}")
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def _end(process: "subprocess.Popen[Any]") -> None:
    process.kill()
    process.communicate()
